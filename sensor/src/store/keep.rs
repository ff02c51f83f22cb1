//! How long what is kept: what is older goes, by the age of the newest record, some rows at a time.

use std::collections::VecDeque;

use anyhow::Result;
use jiff::Timestamp;
use rusqlite::{Connection, params, params_from_iter};

use super::{Archive, DAY_SECONDS, MICROSECONDS, Store, is_damage, unwritable};
use crate::{
    config::{Age, Retention},
    study::{DAY, Dimension, MINUTE, QUARTER},
};

/// Rows that are removed with one commit of records: a tick waits for no more.
const ROWS: usize = 20_000;

/// What a store has of a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// What it is.
    pub name: &'static str,
    /// Rows.
    pub rows: u64,
    /// How long they are kept.
    pub age: Age,
}

/// Rows of a table that are too old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    table: &'static str,
    /// Its primary key, the oldest row of those below first.
    key: &'static str,
    /// Which rows: a range of that key.
    range: &'static str,
    values: Vec<i64>,
}

impl Cut {
    /// Removes some of them, the oldest first; how many that were: fewer than `rows` where none is left.
    pub(super) fn some(&self, connection: &Connection, rows: usize) -> rusqlite::Result<usize> {
        let Self { table, key, range, values } = self;
        let old = format!("SELECT {key} FROM {table} WHERE {range} ORDER BY {key} LIMIT {rows}");
        let mut remove = connection.prepare_cached(&format!("DELETE FROM {table} WHERE ({key}) IN ({old})"))?;
        remove.execute(params_from_iter(values))
    }
}

/// What is too old, where the newest record is of that second.
///
/// Of each network totals go before their parts, and how flows were heard before whose they were: from the oldest row of the former on there is all of the latter,
/// and that is what a study goes by.
fn cuts(networks: &[i64], newest: i64, retention: &Retention) -> VecDeque<Cut> {
    let mut cuts = VecDeque::new();
    let begin = |age: Age| age.days().map(|days| newest - i64::from(days) * DAY_SECONDS);
    let day = |age: Age| age.days().map(|days| newest.div_euclid(DAY_SECONDS) - i64::from(days));
    let mut traffic = |network: i64, dimension: Dimension, step: i64, begin: i64| {
        let (key, range) = (
            "network, dimension, step, start, name, evidence, source",
            "network = ? AND dimension = ? AND step = ? AND start < ?",
        );
        cuts.push_back(Cut { table: "traffic", key, range, values: vec![network, dimension as i64, step, begin] });
    };
    for network in networks {
        if let Some(begin) = begin(retention.minutes) {
            traffic(*network, Dimension::Total, MINUTE, begin);
        }
        for dimension in [Dimension::Total, Dimension::Upstream, Dimension::Class] {
            if let Some(begin) = begin(retention.quarters) {
                traffic(*network, dimension, QUARTER, begin);
            }
        }
    }
    let sights = [
        ("heard", "network, day, source"),
        ("active", "network, day, block, source"),
        ("services", "network, day, address, port, protocol, source"),
        ("class_hosts", "network, day, class, evidence, address, source"),
    ];
    for (table, key) in sights {
        for (network, day) in networks.iter().filter_map(|network| Some((*network, day(retention.sights)?))) {
            cuts.push_back(Cut { table, key, range: "network = ? AND day < ?", values: vec![network, day] });
        }
    }
    let mut of_all = |table, key, range, before: Option<i64>| {
        cuts.extend(before.map(|before| Cut { table, key, range, values: vec![before] }));
    };
    of_all("prefixes", "day, prefix, network, source", "day < ?", day(retention.prefixes));
    of_all("ledger", "start, source, interface, side, counter", "start < ?", begin(retention.ledger));
    let events = begin(retention.events).map(|second| second.saturating_mul(MICROSECONDS));
    of_all("events", "at, source, sequence, place", "at < ?", events);
    cuts
}

/// The latest second at which a record can be: a capture or a clock that says more is wrong, and must not age what is there.
fn latest() -> i64 {
    Timestamp::now().as_second() + DAY_SECONDS
}

/// What of a store is too old, beside its newest record of those until the `latest` second.
pub(super) fn cuts_of(connection: &Connection, retention: &Retention, latest: i64) -> rusqlite::Result<VecDeque<Cut>> {
    let networks: Vec<i64> = connection
        .prepare_cached("SELECT id FROM names WHERE EXISTS (SELECT 1 FROM traffic WHERE network = names.id)")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut newest = None;
    for network in &networks {
        // By network and level: then it is one look into the primary key.
        let last = "SELECT max(start) FROM traffic WHERE network = ?1 AND dimension = ?2 AND step = ?3";
        let mut last = connection.prepare_cached(last)?;
        let last: Option<i64> = last.query_row(params![network, Dimension::Total as u8, QUARTER], |row| row.get(0))?;
        newest = newest.max(last);
    }
    Ok(newest.map(|newest: i64| cuts(&networks, newest.min(latest), retention)).unwrap_or_default())
}

impl Store {
    /// Removes some of what is too old: looks for it with the first record of a day, and where the rules are others.
    pub(super) fn prune_some(&mut self) -> Result<()> {
        let retention = self.rules.now().retention;
        let latest = latest();
        let due = (self.newest.min(latest).div_euclid(DAY_SECONDS), retention);
        let fix = |error: rusqlite::Error| unwritable(&self.path, error);
        if self.pruned.replace(due) != Some(due) {
            self.cuts = cuts_of(&self.connection, &retention, latest).map_err(fix)?;
        }
        let mut rows = ROWS;
        while let Some(cut) = self.cuts.front().filter(|_| rows > 0) {
            let removed = cut.some(&self.connection, rows).map_err(fix)?;
            if removed < rows {
                self.cuts.pop_front();
            }
            rows -= removed;
        }
        Ok(())
    }

    /// Removes what is older than it is kept, by the age of the newest record; how many rows that were.
    ///
    /// # Errors
    /// The disk takes nothing.
    pub fn prune(&mut self) -> Result<usize> {
        let retention = self.rules.now().retention;
        let fix = |error: rusqlite::Error| unwritable(&self.path, error);
        let mut removed = 0;
        for cut in cuts_of(&self.connection, &retention, latest()).map_err(fix)? {
            loop {
                // In pieces here as well: whoever writes to the store meanwhile gets between them.
                let some = cut.some(&self.connection, ROWS).map_err(fix)?;
                removed += some;
                if some < ROWS {
                    break;
                }
            }
        }
        Ok(removed)
    }

    /// The same, and gives what is free back to the file system.
    ///
    /// # Errors
    /// As [`prune`](Self::prune).
    pub fn vacuum(&mut self) -> Result<usize> {
        let removed = self.prune()?;
        let vacuumed =
            self.connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);").map_err(anyhow::Error::new);
        vacuumed.map_err(|error| match is_damage(&error) {
            true => unwritable(&self.path, error),
            false => error.context(format!(
                "{}: cannot be made smaller; free as much disk space as it takes",
                self.path.display()
            )),
        })?;
        Ok(removed)
    }
}

impl Archive {
    /// What it has of each level, and how long that is kept by these rules.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn levels(&self, retention: &Retention) -> Result<Vec<Level>> {
        let steps = self.all("SELECT step, count(*) FROM traffic GROUP BY step", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
        })?;
        let of = |step: i64| steps.iter().filter(|(one, _)| *one == step).map(|(_, rows)| rows).sum();
        let table = |names: &[&str]| -> Result<u64> {
            let counts = names.iter().map(|name| format!("(SELECT count(*) FROM {name})"));
            let question = format!("SELECT {}", counts.collect::<Vec<_>>().join(" + "));
            Ok(self.all(&question, [], |row| row.get::<_, i64>(0))?.into_iter().sum::<i64>().cast_unsigned())
        };
        let level = |name, rows, age| Level { name, rows, age };
        Ok(vec![
            level("minutes", of(MINUTE), retention.minutes),
            level("quarters of an hour", of(QUARTER), retention.quarters),
            level("days", of(DAY), Age::FOREVER),
            level("prefixes", table(&["prefixes"])?, retention.prefixes),
            level("sights", table(&["active", "heard", "services", "class_hosts"])?, retention.sights),
            level("counters of the ledger", table(&["ledger"])?, retention.ledger),
            level("events", table(&["events"])?, retention.events),
        ])
    }
}
