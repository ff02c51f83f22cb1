//! `sensor reload`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{
    config::Config,
    control::{self, Answer, Reloaded, Request},
    pipeline::prefix_set,
};

#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    /// Configuration file, which must be the one that the agent runs with
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl ReloadArgs {
    pub(super) fn execute(self) -> Result<()> {
        // Before the agent is asked: what is wrong with the file or a table does not even reach it.
        let config = Config::load(&self.config)?;
        prefix_set(&config)?;
        let Some(keep) = &config.keep else { bail!("an agent without a configuration file has nothing to reload") };
        let path = std::path::absolute(&self.config).context("the current folder is gone")?;
        match control::ask(&keep.state_dir, &Request::Reload { config: path })? {
            Answer::Reloaded(reloaded) => {
                write(&reloaded, &mut io::stdout().lock()).context("cannot write what changed")
            }
            Answer::Refused { reason } => bail!("not reloaded, the agent goes on as before: {reason}"),
        }
    }
}

/// What changed, for people.
fn write(reloaded: &Reloaded, out: &mut impl Write) -> io::Result<()> {
    let Reloaded { generation, prefixes, networks, new_maps, from_next_start, read_ms, build_ms, flip_ms } = reloaded;
    writeln!(
        out,
        "prefixes: {} added, {} removed, {} moved, {} kept",
        prefixes.added, prefixes.removed, prefixes.moved, prefixes.kept
    )?;
    writeln!(out, "networks: {} added, {} removed, {} kept", networks.added, networks.removed, networks.kept)?;
    match new_maps {
        None => writeln!(out, "table: generation {generation}, in place")?,
        Some(why) => writeln!(out, "table: generation {generation} of a new epoch, in new maps ({why})")?,
    }
    if !from_next_start.is_empty() {
        writeln!(out, "from the next start of the agent: {}", from_next_start.join(", "))?;
    }
    writeln!(out, "time: read {read_ms} ms, build {build_ms} ms, flip {flip_ms} ms")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{NetworkChanges, PrefixChanges};

    #[test]
    fn what_changed_is_told() {
        let mut reloaded = Reloaded {
            generation: 7,
            prefixes: PrefixChanges { added: 1, removed: 2, moved: 3, kept: 4 },
            networks: NetworkChanges { added: 5, removed: 6, kept: 7 },
            new_maps: None,
            from_next_start: vec![],
            read_ms: 1.25,
            build_ms: 0.5,
            flip_ms: 20.0,
        };
        let told = |reloaded: &Reloaded| {
            let mut out = Vec::new();
            write(reloaded, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let expected = "prefixes: 1 added, 2 removed, 3 moved, 4 kept\nnetworks: 5 added, 6 removed, 7 kept\n\
                        table: generation 7, in place\ntime: read 1.25 ms, build 0.5 ms, flip 20 ms\n";
        assert_eq!(told(&reloaded), expected);
        reloaded.new_maps = Some("other interfaces".to_owned());
        assert!(told(&reloaded).contains("generation 7 of a new epoch, in new maps (other interfaces)"));
        reloaded.from_next_start = vec!["max_activity_addresses".to_owned()];
        assert!(told(&reloaded).contains("from the next start of the agent: max_activity_addresses\n"));
    }
}
