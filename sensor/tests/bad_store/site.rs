//! A store of two days, and who reads it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
};

use tempfile::TempDir;

use crate::{
    command::{Run, finish, sensor},
    pcap::{self, ipv4},
};

/// Two networks, and the days that the capture is of.
const CONFIG: &str = "[sensor]\nid = \"edge-1\"\ninterval = \"60s\"\nstate_dir = \"STATE\"\n[[network]]\nname = \"lab\"\nprefixes = [\"192.0.2.0/24\"]\n[[network]]\nname = \"idle\"\nprefixes = [\"198.51.100.0/24\"]\n";
const FIRST: u32 = 1_772_323_200;
pub(crate) const DAYS: [&str; 4] = ["--from", "2026-03-01", "--to", "2026-03-03"];
/// A page of a store.
pub(crate) const PAGE: usize = 4096;
pub(crate) const FILE: &str = "store.sqlite";

/// A folder with a configuration and a store of two days, that other users can look into.
pub(crate) struct Site(pub(crate) TempDir);

impl Site {
    pub(crate) fn new() -> Self {
        let site = Self(TempDir::new().unwrap());
        fs::set_permissions(site.0.path(), Permissions::from_mode(0o755)).unwrap();
        fs::write(site.config(), CONFIG.replace("STATE", site.0.path().to_str().unwrap())).unwrap();
        let far = |minute: u32| [10, (minute >> 8) as u8, minute as u8, 1];
        let frames: Vec<_> =
            (0..2880).map(|minute| ipv4(FIRST + 60 * minute, far(minute), [192, 0, 2, minute as u8], 400)).collect();
        let capture = site.0.path().join("two_days.pcap");
        fs::write(&capture, pcap::bytes(&frames)).unwrap();
        let arguments = [
            "replay",
            "--engine",
            "native",
            "--config",
            &site.config(),
            "--store",
            &site.store(),
            capture.to_str().unwrap(),
        ];
        let run = finish(&mut sensor(arguments));
        assert_eq!(run.status, Some(0), "{run:?}");
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn config(&self) -> String {
        self.path("sensor.toml").to_str().unwrap().to_owned()
    }

    pub(crate) fn store(&self) -> String {
        self.path("store").to_str().unwrap().to_owned()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path("store").join(FILE)
    }

    /// Another folder of a store, with this in its file.
    pub(crate) fn other(&self, name: &str, bytes: &[u8]) -> String {
        let folder = self.path(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(FILE), bytes).unwrap();
        folder.to_str().unwrap().to_owned()
    }

    /// The report of a store, as arguments.
    pub(crate) fn question<'a>(&'a self, config: &'a str, store: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        ["report", "--config", config, "--store", store, "--network", "lab", "--format", "json"]
            .into_iter()
            .chain(DAYS)
            .chain(more.iter().copied())
            .collect()
    }

    pub(crate) fn report(&self, store: &str, more: &[&str]) -> Run {
        finish(&mut sensor(self.question(&self.config(), store, more)))
    }

    /// All that reads a store, of this one.
    pub(crate) fn readers(&self, store: &str) -> [Run; 4] {
        let of = |what: &[&str]| finish(&mut sensor([&["store"], what, &["--store", store]].concat()));
        [self.report(store, &[]), of(&["info"]), of(&["export"]), of(&["vacuum"])]
    }
}
