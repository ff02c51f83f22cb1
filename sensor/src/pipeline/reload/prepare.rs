//! The part of a reload that disturbs nobody: reading, checking and building, beside everything else.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::change::{self, Change, Table, Wish};
use crate::{
    bpf::Layout,
    config::Config,
    control::{NetworkChanges, PrefixChanges},
    counterpart::Meanings,
    lists::Lists,
    pipeline::{durable::Scribe, watching::lists},
    prefix::PrefixSet,
};

/// What is in force.
pub(super) struct Base {
    pub(super) config: Config,
    pub(super) set: PrefixSet,
    pub(super) meanings: Meanings,
    pub(super) layout: Layout,
    /// Writes the manifest of the next table in these maps; `None` where they end with the agent.
    pub(super) scribe: Option<Scribe>,
}

/// A configuration that is valid, and all that it takes to count by it.
pub(in crate::pipeline) struct Prepared {
    pub(super) config: Config,
    pub(super) lists: Arc<Lists>,
    pub(super) step: Step,
    pub(super) figures: Figures,
}

/// How to get there.
pub(super) enum Step {
    /// The table stays.
    Keep,
    /// Another table in the same maps, whose manifest has this SHA-256 and is on disk.
    InPlace { table: Box<Table>, manifest: [u8; 32] },
    /// New maps beside the old ones.
    NewMaps { table: Box<Table>, why: String },
}

/// What changes, and how long it took to find out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    pub(super) prefixes: PrefixChanges,
    pub(super) networks: NetworkChanges,
    pub(super) read: Duration,
    pub(super) build: Duration,
}

impl Prepared {
    /// Reads a configuration file and its tables, and builds what it takes to go there from `base`; in the same maps also writes its
    /// manifest. Blocks.
    ///
    /// # Errors
    /// The file or a table is wrong, or asks for what only a restart can change; or the manifest cannot be written.
    pub(super) fn read(file: &Path, base: &Base) -> Result<Box<Self>> {
        let began = Instant::now();
        let config = Config::load(file)?;
        check_lasting(&base.config, &config)?;
        let lists = lists(&config)?;
        let wanted = Wish::of(&config, &lists)?;
        let read = began.elapsed();
        let began = Instant::now();
        let networks = change::networks(&base.config, &config);
        let prefixes = change::prefixes(&base.set, &wanted.set);
        let step = step(base, &config, wanted)?;
        let figures = Figures { prefixes, networks, read, build: began.elapsed() };
        Ok(Box::new(Self { config, lists, step, figures }))
    }
}

fn step(base: &Base, config: &Config, wanted: Wish) -> Result<Step> {
    let why = if config.interfaces == base.config.interfaces {
        match Change::between((&base.set, &base.meanings), &base.layout, &wanted, config)? {
            Change::Unchanged => return Ok(Step::Keep),
            Change::InPlace(table) => {
                let Some(scribe) = &base.scribe else {
                    bail!("the counters of this agent end with it: stop it and start it again")
                };
                let manifest = scribe.write(config, &table.set, &table.meanings)?;
                return Ok(Step::InPlace { table, manifest });
            }
            Change::NewMaps { why } => why,
        }
    } else {
        "other interfaces, or others of their settings".to_owned()
    };
    Ok(Step::NewMaps { table: Box::new(wanted.table()?), why })
}

/// Refuses what is the agent's own for its whole life: its name, and the folders that it has locked.
fn check_lasting(old: &Config, new: &Config) -> Result<()> {
    let folders = |config: &Config| config.keep.clone().map(|keep| (keep.state_dir, keep.bpffs)).unwrap_or_default();
    let shown = |path: &PathBuf| path.display().to_string();
    let ((old_state, old_bpffs), (new_state, new_bpffs)) = (folders(old), folders(new));
    let lasting = [
        ("id", old.sensor_id.to_string(), new.sensor_id.to_string()),
        ("state_dir", shown(&old_state), shown(&new_state)),
        ("bpffs", shown(&old_bpffs), shown(&new_bpffs)),
    ];
    for (key, old, new) in lasting {
        if old != new {
            bail!(
                "[sensor] {key} is {old:?} as long as the agent runs and cannot become {new:?} by a reload: stop the agent, end its \
                 counting with `sensor detach`, and start it anew"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(lines: &str) -> Config {
        let text = format!(
            "[sensor]\nid = \"edge-1\"\n{lines}\n[[interface]]\nname = \"eth0\"\n[[network]]\nname = \"lab\"\nprefixes = [\"192.0.2.0/24\"]\n"
        );
        Config::parse(&text, Path::new("/etc/sensor.toml")).unwrap()
    }

    #[test]
    fn what_lasts_cannot_be_reloaded() {
        let old = config("");
        check_lasting(&old, &config("interval = \"1s\"")).unwrap();
        let refused = |new: &Config| check_lasting(&old, new).unwrap_err().to_string();
        let state = refused(&config("state_dir = \"/other\""));
        assert!(state.contains("[sensor] state_dir is \"/var/lib/sensor\"") && state.contains("\"/other\""), "{state}");
        assert!(refused(&config("bpffs = \"/other\"")).contains("[sensor] bpffs"));
        let renamed = Config { sensor_id: "edge-2".parse().unwrap(), ..old.clone() };
        assert!(refused(&renamed).contains("[sensor] id is \"edge-1\""));
    }
}
