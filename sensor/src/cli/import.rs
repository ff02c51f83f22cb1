//! `sensor store import`.

use std::{
    fs::File,
    io::{self, BufReader, Write as _},
    num::NonZeroU32,
    path::PathBuf,
};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, builder::RangedU64ValueParser};
use jiff::{Timestamp, tz::TimeZone};

use super::patience::with_patience;
use crate::{
    config::{Config, SensorId},
    flows::{Format, Reading},
    store::{Imported, Nature, Past, Store},
};

/// What flows are kept as where nothing else is named.
const FLOWS: &str = "flows";
/// Routers sample no less than one packet in so many.
const MAX_SAMPLING: u64 = 1 << 24;
/// Clocks of routers may be wrong by so many seconds.
const AHEAD: i64 = 86_400;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Folder of the store, made where there is none
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// The files are archives of flows, as nfdump prints them; they become a past of what sensors count
    #[arg(long, value_enum, value_name = "FORMAT", requires_all = ["config", "sampling"])]
    flows: Option<Format>,
    /// Configuration file: networks and their zones, tables, lists, far ends and upstreams
    #[arg(long, value_name = "FILE", requires = "flows")]
    config: Option<PathBuf>,
    /// Routers saw one packet in so many; 1: all of them. Counts are multiplied by it
    #[arg(long, value_name = "N", requires = "flows", value_parser = RangedU64ValueParser::<u32>::new().range(1..=MAX_SAMPLING))]
    sampling: Option<u32>,
    /// The collector multiplied counts already, as nfcapd does where the router says how it samples
    #[arg(long, requires = "flows")]
    scaled: bool,
    /// Name of the sensor that the flows are kept as
    #[arg(long, value_name = "NAME", requires = "flows")]
    sensor_id: Option<SensorId>,
    /// Zone of the times in the files, that of the machine that nfdump ran on; without it UTC
    #[arg(long, value_name = "ZONE", requires = "flows")]
    timezone: Option<String>,
    /// What the store has of the same sensor and time, of an earlier import, makes room
    #[arg(long, requires = "flows")]
    replace: bool,
    /// Sensors that counted in the same time saw other links than these flows are of
    #[arg(long, requires = "flows")]
    beside: bool,
    /// JSON lines of `sensor store export`, or archives; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl ImportArgs {
    pub(super) fn execute(self) -> Result<()> {
        match self.flows {
            Some(format) => self.flows(format),
            None => self.export(),
        }
    }

    /// What another store exported.
    fn export(self) -> Result<()> {
        let mut target = Store::open(&self.store, &[], false)?;
        let mut rows = 0;
        for file in &self.files {
            let name = file.display();
            rows += with_patience(&format!("reading {name}"), || {
                if file.as_os_str() == "-" {
                    return target.import(&mut io::stdin().lock());
                }
                let open = File::open(file).with_context(|| format!("cannot open {name}; check the path"))?;
                target.import(&mut BufReader::new(open)).with_context(|| name.to_string())
            })?;
        }
        Ok(writeln!(io::stdout(), "{rows} rows read")?)
    }

    fn flows(self, format: Format) -> Result<()> {
        let (Some(config), Some(sampling)) = (&self.config, self.sampling.and_then(NonZeroU32::new)) else {
            bail!("--flows needs --config and --sampling");
        };
        let config = Config::load_for_replay(config)?;
        let zone = match &self.timezone {
            Some(name) => TimeZone::get(name).map_err(|_| {
                anyhow!("--timezone {name}: no such time zone; name one of the IANA database, such as Europe/Berlin")
            })?,
            None => TimeZone::UTC,
        };
        let latest = Timestamp::now().as_second() + AHEAD;
        let nature = Nature {
            sensor: self.sensor_id.as_ref().map_or(FLOWS, SensorId::as_str),
            sampling,
            is_scaled: self.scaled,
            beside: self.beside,
            reading: Reading { format, zone, latest },
        };
        let Imported { tally, new, time } = with_patience("reading flows", || {
            let past = Past::open(&self.files, &config, nature)?;
            Store::open_for(&self.store, &config, self.replace)?.import_flows(&past)
        })?;
        if let Some(damage) = tally.damage() {
            tracing::warn!("{damage}");
        }
        let when = time.map_or_else(String::new, |(first, last)| {
            let moment = |second| Timestamp::from_second(second).unwrap_or_default();
            format!(", from {} to {}", moment(first), moment(last))
        });
        let (read, others) = (tally.flows, tally.others);
        Ok(writeln!(io::stdout(), "{read} flows read{when}; {new} of them new, {others} of no counted prefix")?)
    }
}
