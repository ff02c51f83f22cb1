//! The store of a running sensor: where it is, and what it goes by.

use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::Timestamp;

use super::anomalies::Anomalies;
use crate::{
    config::Config,
    store::{Rules, Store},
    summary::EventRecord,
};

/// What the agent keeps hold of while another thread writes to the store.
pub(super) struct Kept {
    /// Where the configuration had it at the start, unless the command line says where.
    configured: Option<Option<PathBuf>>,
    /// Of a sensor with a store.
    rules: Option<Rules>,
    /// The same: what is asked of it.
    anomalies: Option<Anomalies>,
}

impl Kept {
    /// Opens the store in the folder that the command line names, or else the configuration; a sensor may have none.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub(super) fn open(config: &Config, named: Option<&Path>) -> Result<(Self, Option<Store>)> {
        let configured = path(config);
        let folder = named.map(Path::to_path_buf).or_else(|| configured.clone());
        let store = folder.as_ref().map(|folder| Store::open_for(folder, config, false)).transpose()?;
        let rules = store.as_ref().map(Store::rules);
        let anomalies = folder.map(|folder| Anomalies::new(&folder, config));
        let kept = Self { configured: named.is_none().then_some(configured), rules, anomalies };
        Ok((kept, store))
    }

    /// From here on records are kept by this configuration.
    pub(super) fn configure(&mut self, config: &Config) {
        if let Some(rules) = &self.rules {
            rules.replace(&config.networks, config.retention());
        }
        if let Some(anomalies) = &mut self.anomalies {
            anomalies.configure(config);
        }
    }

    /// What was otherwise than in the weeks before, as far as that was found since the last call.
    pub(super) async fn news(&mut self, now: Timestamp) -> Vec<EventRecord> {
        match &mut self.anomalies {
            Some(anomalies) => anomalies.found(now).await,
            None => vec![],
        }
    }

    /// As [`Shipping::waiting_for_next_start`](super::shipping::Shipping::waiting_for_next_start).
    pub(super) fn waiting_for_next_start(&self, config: &Config) -> Option<&'static str> {
        let configured = self.configured.as_ref()?;
        match (configured, path(config)) {
            (Some(one), Some(other)) => (*one != other).then_some("[store] path"),
            (one, other) => (one.is_some() != other.is_some()).then_some("[store]"),
        }
    }
}

fn path(config: &Config) -> Option<PathBuf> {
    config.store.as_ref().map(|store| store.path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "[[interface]]\nname = \"eth0\"\n[[network]]\nname = \"n\"\nprefixes = [\"192.0.2.0/24\"]\n";

    fn config(store: &str) -> Config {
        Config::parse(&format!("{store}\n{LEAST}"), Path::new("s.toml")).unwrap()
    }

    #[test]
    fn a_reload_changes_how_long_and_not_where() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        let at = |path: &Path, keep: &str| config(&format!("[store]\npath = {path:?}\n{keep}"));
        let (kept, store) = Kept::open(&at(&one, ""), None).unwrap();
        assert!(store.is_some() && one.join("store.sqlite").is_file());
        assert_eq!(kept.waiting_for_next_start(&at(&one, "keep_minutes = \"9d\"")), None);
        assert_eq!(kept.waiting_for_next_start(&at(&other, "")), Some("[store] path"));
        assert_eq!(kept.waiting_for_next_start(&config("")), Some("[store]"));
        // Where the command line says where, the configuration does not matter.
        let (kept, store) = Kept::open(&at(&one, ""), Some(&other)).unwrap();
        assert!(store.is_some() && other.join("store.sqlite").is_file());
        assert_eq!(kept.waiting_for_next_start(&config("")), None);
        let (kept, store) = Kept::open(&config(""), None).unwrap();
        assert!(store.is_none());
        assert_eq!(kept.waiting_for_next_start(&at(&one, "")), Some("[store]"));
    }
}
