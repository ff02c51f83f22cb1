//! How long what is kept.

use anyhow::{Context as _, Result};
use rusqlite::{OptionalExtension as _, params};

use super::{Archive, DAY_SECONDS, Store, unwritable};
use crate::study::{DAY, Dimension, MINUTE, QUARTER};

/// Minutes of a network's traffic are kept for so many days: of older ones the busiest five minutes are not known any more.
const MINUTES: i64 = 400;
/// Days of counted prefixes are kept for so many days.
const PREFIXES: i64 = 400;

/// What a store has of a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// What it is.
    pub name: &'static str,
    /// Rows.
    pub rows: u64,
    /// For how many days they are kept; `None`: always.
    pub days: Option<i64>,
}

impl Store {
    /// Removes what is older than it is kept, by the age of the newest record; how many rows that were.
    ///
    /// # Errors
    /// The disk takes nothing.
    pub fn prune(&mut self) -> Result<usize> {
        let fix = || unwritable(&self.path);
        let newest = "SELECT max(start) FROM traffic WHERE step = ?1";
        let newest: Option<i64> = self
            .connection
            .query_row(newest, [QUARTER], |row| row.get::<_, Option<i64>>(0))
            .optional()
            .with_context(fix)?
            .flatten();
        let Some(newest) = newest else { return Ok(0) };
        let transaction = self.connection.transaction().with_context(fix)?;
        let networks: Vec<i64> = transaction
            .prepare("SELECT id FROM names WHERE EXISTS (SELECT 1 FROM traffic WHERE network = names.id)")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let mut removed = 0;
        for network in networks {
            // By network and level: then it is a range of the primary key.
            let old = "DELETE FROM traffic WHERE network = ?1 AND dimension = ?2 AND step = ?3 AND start < ?4";
            let oldest = newest - MINUTES * DAY_SECONDS;
            removed += transaction.execute(old, params![network, Dimension::Total as u8, MINUTE, oldest])?;
        }
        removed += transaction
            .execute("DELETE FROM prefixes WHERE day < ?1", [newest / DAY_SECONDS - PREFIXES])
            .with_context(fix)?;
        transaction.commit().with_context(fix)?;
        Ok(removed)
    }

    /// The same, and gives what is free back to the file system.
    ///
    /// # Errors
    /// As [`prune`](Self::prune).
    pub fn vacuum(&mut self) -> Result<usize> {
        let removed = self.prune()?;
        let fix = || format!("{}: cannot be made smaller; free as much disk space as it takes", self.path.display());
        self.connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);").with_context(fix)?;
        Ok(removed)
    }
}

impl Archive {
    /// What it has of traffic, by level.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn levels(&self) -> Result<Vec<Level>> {
        let rows = |step: i64| -> Result<u64> {
            let count = "SELECT count(*) FROM traffic WHERE step = ?1";
            let rows = self.connection.query_row(count, [step], |row| row.get::<_, i64>(0));
            Ok(rows.map_err(|error| self.damaged(error))?.cast_unsigned())
        };
        Ok(vec![
            Level { name: "minutes", rows: rows(MINUTE)?, days: Some(MINUTES) },
            Level { name: "quarters of an hour", rows: rows(QUARTER)?, days: None },
            Level { name: "days", rows: rows(DAY)?, days: None },
        ])
    }
}
