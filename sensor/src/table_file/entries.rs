//! What was read so far, of all tables together, and its bounds.

use std::{collections::HashSet, sync::Arc};

use thiserror::Error;

use super::{MAX_NAMES_LEN, MAX_TABLE_PREFIXES, TableEntry};

/// More prefixes than accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("more than {MAX_TABLE_PREFIXES} prefixes; leave out tables or aggregate them")]
pub struct TooManyPrefixes;

/// More names than accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the names take more than {} MiB; leave out the column of names", MAX_NAMES_LEN >> 20)]
pub struct TooManyNames;

#[derive(Default)]
pub(super) struct Entries {
    /// In the order of the files.
    pub(super) list: Vec<TableEntry>,
    pub(super) names: HashSet<Arc<str>>,
    /// Bytes of all names.
    pub(super) names_len: usize,
}

impl Entries {
    /// The shared copy of a name: tables repeat the name of an AS for each of its prefixes.
    pub(super) fn intern(&mut self, name: &str) -> Result<Arc<str>, TooManyNames> {
        if let Some(known) = self.names.get(name) {
            return Ok(Arc::clone(known));
        }
        self.names_len += name.len();
        if self.names_len > MAX_NAMES_LEN {
            return Err(TooManyNames);
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name));
        Ok(name)
    }

    pub(super) fn push(&mut self, entry: TableEntry) -> Result<(), TooManyPrefixes> {
        if self.list.len() >= MAX_TABLE_PREFIXES {
            return Err(TooManyPrefixes);
        }
        self.list.push(entry);
        Ok(())
    }
}
