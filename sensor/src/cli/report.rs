//! `sensor report`.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use jiff::{civil::Date, tz::TimeZone};

use super::patience::with_patience;
use crate::{
    cidr::quote,
    config::{ClickHouse, Config, Network},
    report,
    store::Archive,
    study::{Period, Question, Records, Study},
    warehouse::Warehouse,
};

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One page with all figures, for a browser and for print.
    Html,
    /// Text with tables, for tickets.
    Md,
    /// All numbers, for programs.
    Json,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Configuration file: networks, their zones, what counts as hidden
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Folder of the store; without it that of the configuration, or the one in its state folder
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Ask the ClickHouse server at this URL instead: tables of docs/clickhouse, as an exporter of the configuration fills them
    #[arg(long, value_name = "URL", conflicts_with = "store")]
    clickhouse: Option<String>,
    /// Watched network; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// First day of the period, in the network's zone
    #[arg(long, value_name = "DATE")]
    from: String,
    /// The day after its last
    #[arg(long, value_name = "DATE")]
    to: String,
    /// First day of the period it is compared with; without it as many days before the other
    #[arg(long, value_name = "DATE")]
    baseline_from: Option<String>,
    /// The day after its last
    #[arg(long, value_name = "DATE")]
    baseline_to: Option<String>,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Html)]
    format: Format,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl ReportArgs {
    pub(super) fn execute(self) -> Result<()> {
        let config = Config::load_for_replay(&self.config)?;
        let network = self.network(&config)?;
        let zone = &network.timezone;
        let (period, baseline) = self.periods(zone)?;
        let (place, records) = self.records(&config, zone)?;
        let name = network.name.to_string();
        let (first, last) = records.days(&name)?.with_context(|| {
            format!("{place}: there is no record of network {name:?}; see to the configuration of the sensor, or name another store")
        })?;
        let days = [period.days(), baseline.days()];
        if days.iter().all(|days| days.end <= first || days.start > last) {
            let (first, last) = (Period::date(first), Period::date(last));
            return Err(anyhow!(
                "neither period has a record of network {name:?}; there are some from {first} to {last}"
            ));
        }
        let hidden = config.report.hidden_classes.clone();
        let upstreams = config.upstreams.iter().map(|upstream| (upstream.name.to_string(), upstream.asn)).collect();
        let question = Question { network: name, zone: zone.clone(), period, baseline, hidden, upstreams };
        let study = with_patience(&format!("asking {place}"), || Study::of(&*records, &question))?;
        let text = match self.format {
            Format::Json => serde_json::to_string_pretty(&study)? + "\n",
            Format::Md => report::markdown(&study),
            Format::Html => report::html(&study),
        };
        match &self.output {
            Some(path) => fs::write(path, text)
                .with_context(|| format!("cannot write {}; name another file with --output", path.display())),
            None => Ok(io::stdout().lock().write_all(text.as_bytes())?),
        }
    }

    /// The period, and the one that it is compared with.
    fn periods(&self, zone: &TimeZone) -> Result<(Period, Period)> {
        let (from, to) = (date("--from", &self.from)?, date("--to", &self.to)?);
        let period = Period::new(from, to, zone).context("--from and --to")?;
        let baseline = match (&self.baseline_from, &self.baseline_to) {
            (Some(from), Some(to)) => {
                let (from, to) = (date("--baseline-from", from)?, date("--baseline-to", to)?);
                Period::new(from, to, zone).context("--baseline-from and --baseline-to")?
            }
            (None, None) => {
                let before = from.until(to).and_then(|length| from.checked_sub(length));
                let before = before.context(
                    "--from: there are no days before it to compare with; give --baseline-from and --baseline-to",
                )?;
                Period::new(before, from, zone).context("the days before --from")?
            }
            (Some(_), None) => bail!(
                "--baseline-from alone is no period: give --baseline-to, the day after its last, or leave out both"
            ),
            (None, Some(_)) => {
                bail!("--baseline-to alone is no period: give --baseline-from, its first day, or leave out both")
            }
        };
        Ok((period, baseline))
    }

    /// Who keeps the records, and where that is.
    fn records(&self, config: &Config, zone: &TimeZone) -> Result<(String, Box<dyn Records>)> {
        if let Some(url) = &self.clickhouse {
            let server = ClickHouse::at(url, &config.exporters).context("--clickhouse")?;
            return Ok((url.clone(), Box::new(Warehouse::new(&server, zone)?)));
        }
        let folder = self
            .store
            .clone()
            .or_else(|| config.store_folder())
            .context("there is no store; name its folder with --store")?;
        Ok((folder.display().to_string(), Box::new(Archive::open(&folder)?)))
    }

    fn network<'a>(&self, config: &'a Config) -> Result<&'a Network> {
        let names = || config.networks.iter().map(|network| network.name.as_str()).collect::<Vec<_>>().join(", ");
        match (&self.network, &*config.networks) {
            (Some(name), networks) => {
                let found = networks.iter().find(|network| network.name.as_str() == name);
                found.with_context(|| format!("--network {name}: no such [[network]]; name one of {}", names()))
            }
            (None, [only]) => Ok(only),
            (None, []) => Err(anyhow!("{}: no [[network]] is watched; add one", self.config.display())),
            (None, _) => Err(anyhow!("there are several networks; name one with --network: {}", names())),
        }
    }
}

/// A day, as an argument names it.
fn date(argument: &str, text: &str) -> Result<Date> {
    let quoted = quote(text);
    text.parse().map_err(|_| anyhow!("{argument} {quoted} is no date; write year, month and day, such as 2026-03-31"))
}
