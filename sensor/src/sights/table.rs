//! Tables that never grow beyond their limit, and do not let newcomers drive out what is there.

use std::collections::{BTreeMap, btree_map::Entry};

use jiff::{SignedDuration, Timestamp};

/// Once a table is full, after this much silence makes an entry room that came back at least once after [`ONCE`].
const STALE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// After this much silence does one that did not: what a flood left behind.
const STALE_ONCE: SignedDuration = SignedDuration::from_hours(24);
/// An entry that was last seen within this time after it was first seen was there once.
const ONCE: SignedDuration = SignedDuration::from_hours(1);

/// A table with a limit. A newcomer is refused while it is full.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    limit: usize,
    rows: BTreeMap<K, Row<V>>,
    /// Keys of rows that the interval tells.
    touched: Vec<K>,
    refused: u64,
    forgotten: u64,
}

/// What is known under a key.
#[derive(Debug)]
pub(super) struct Row<V> {
    /// When it was seen first.
    pub(super) first: Timestamp,
    /// When it was seen last.
    pub(super) last: Timestamp,
    /// Whether it is among those that the interval tells.
    pub(super) is_touched: bool,
    /// Whether the first time was.
    pub(super) is_fresh: bool,
    /// What else is known.
    pub(super) value: V,
}

impl<K: Ord + Copy, V> Table<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, rows: BTreeMap::new(), touched: Vec::new(), refused: 0, forgotten: 0 }
    }

    /// The row of a key that was seen; `None`, counted: it is not known and there is no room.
    pub(super) fn touch(&mut self, key: K, at: Timestamp, new: impl FnOnce() -> V) -> Option<&mut Row<V>> {
        let is_full = self.is_full();
        let row = match self.rows.entry(key) {
            Entry::Occupied(row) => row.into_mut(),
            Entry::Vacant(_) if is_full => {
                self.refused += 1;
                return None;
            }
            Entry::Vacant(room) => {
                room.insert(Row { first: at, last: at, is_touched: false, is_fresh: true, value: new() })
            }
        };
        touch(row, &mut self.touched, key, at);
        Some(row)
    }

    /// The row of a key that was seen, if it is known.
    pub(super) fn touch_known(&mut self, key: K, at: Timestamp) -> Option<&mut Row<V>> {
        let row = self.rows.get_mut(&key)?;
        touch(row, &mut self.touched, key, at);
        Some(row)
    }

    /// Has a row told at the end of the interval although its key was not seen: something else about it changed.
    pub(super) fn tell(&mut self, key: K) {
        if let Some(row) = self.rows.get_mut(&key).filter(|row| !row.is_touched) {
            row.is_touched = true;
            self.touched.push(key);
        }
    }

    /// How many keys it remembers to tell.
    #[cfg(test)]
    pub(super) fn telling(&self) -> usize {
        self.touched.len()
    }

    /// Puts back what an earlier table held; as ever where there is room.
    pub(super) fn put_back(&mut self, key: K, first: Timestamp, last: Timestamp, value: V) {
        if self.is_full() && !self.rows.contains_key(&key) {
            self.refused += 1;
            return;
        }
        self.rows.insert(key, Row { first, last, is_touched: false, is_fresh: false, value });
    }

    pub(super) fn get(&self, key: K) -> Option<&Row<V>> {
        self.rows.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut Row<V>> {
        self.rows.get_mut(&key)
    }

    pub(super) fn remove(&mut self, key: K) {
        self.rows.remove(&key);
    }

    /// All rows, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, &Row<V>)> {
        self.rows.iter().map(|(key, row)| (*key, row))
    }

    /// Rows from `first` to `last`, both included.
    pub(super) fn range(&self, first: K, last: K) -> impl Iterator<Item = (K, &Row<V>)> {
        self.rows.range(first..=last).map(|(key, row)| (*key, row))
    }

    /// Ends an interval: rows that were touched in it, ascending, and then all are as if nothing had been.
    pub(super) fn take(&mut self, mut each: impl FnMut(&Self, K, &Row<V>)) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for key in &touched {
            if let Some(row) = self.rows.get(key) {
                each(self, *key, row);
            }
        }
        for key in &touched {
            if let Some(row) = self.rows.get_mut(key) {
                (row.is_touched, row.is_fresh) = (false, false);
            }
        }
    }

    /// Makes room in a full table; `true`: it did.
    pub(super) fn sweep(&mut self, now: Timestamp) -> bool {
        if !self.is_full() {
            return false;
        }
        let before = self.rows.len();
        self.rows.retain(|_, row| {
            let is_once = row.last.duration_since(row.first) < ONCE;
            now.duration_since(row.last) < if is_once { STALE_ONCE } else { STALE }
        });
        self.forgotten += (before - self.rows.len()) as u64;
        before > self.rows.len()
    }

    /// Drops rows for a reason of their own; not counted as forgotten.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(K) -> bool) {
        self.rows.retain(|key, _| keep(*key));
        self.touched.retain(|key| keep(*key));
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= self.limit
    }

    /// Newcomers for which there was no room, each time they came.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Rows that were dropped for their silence.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

fn touch<K, V>(row: &mut Row<V>, touched: &mut Vec<K>, key: K, at: Timestamp) {
    (row.first, row.last) = (row.first.min(at), row.last.max(at));
    if !row.is_touched {
        row.is_touched = true;
        touched.push(key);
    }
}
