//! What the other end is: country, autonomous system, kind of network and lists, as one small number for each address.
//!
//! Every file that says something about addresses is read into facts; of each attribute of an address the longest prefix that
//! states it holds, whichever file it stands in. Addresses of which the same is known share a label, and a table of the shape that
//! the prefixes have leads from the address to the number of its label: the same lookup serves both.

mod database;
mod facts;
mod labels;
mod meanings;
mod merge;
mod rows;
#[cfg(test)]
mod tests;

use std::{io, path::PathBuf, sync::Arc};

use maxminddb::MaxMindDbError;
use sensor_ebpf::{
    abi::{Entry, MAX_PREFIXES, OTHER_LABEL},
    lookup::{SMALL_ROOT_BITS_V4, SMALL_ROOT_BITS_V6},
};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use self::{facts::Facts, labels::number, merge::merge};
pub use self::{
    meanings::{Far, Meanings},
    rows::RowProblem,
};
use crate::{
    cidr::Cidr,
    config::{self, CounterpartKind},
    lists::Lists,
    prefix::{Item, RootBits, Trie},
    table_file::{Provenance, TableError},
};

/// Most labels, that of nothing and that of all others included: autonomous systems by country are about 100,000.
pub const MAX_LABELS: usize = OTHER_LABEL as usize;
/// Most rows of all files together: 40 bytes each while they are merged.
pub const MAX_ROWS: usize = 8_000_000;
/// Largest MaxMind database in bytes, decompressed: it is held in memory while it is read.
pub const MAX_DATABASE_BYTES: u64 = 512 << 20;
/// The kind of a network that says nothing worth keeping: one that leads people to the Internet.
pub const ORDINARY_KIND: &str = "isp";

/// A flow is looked up once, so the small roots do: large ones would take more memory than all that is below them.
const ROOT_BITS: RootBits = RootBits { v4: SMALL_ROOT_BITS_V4, v6: SMALL_ROOT_BITS_V6 };

const _: () = assert!(MAX_LABELS < MAX_PREFIXES as usize);

/// Files about the other end that cannot be used. Each message is one line, names file and line, and says what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CounterpartError {
    /// The file cannot be read, or is no text.
    #[error(transparent)]
    File(#[from] TableError),
    /// A line that is no row.
    #[error("{}:{line}: {problem}", path.display())]
    Row {
        /// Path as given.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: RowProblem,
    },
    /// A MaxMind database that is damaged, or none.
    #[error("{} is no MaxMind database, or damaged; fetch it again", path.display())]
    Database {
        /// Path as given.
        path: PathBuf,
        /// What the reader said.
        source: MaxMindDbError,
    },
    /// A MaxMind database that holds too much.
    #[error("{}: {problem}", path.display())]
    DatabaseRow {
        /// Path as given.
        path: PathBuf,
        /// What is wrong with it.
        problem: RowProblem,
    },
    /// A file that says nothing: rather a download that failed than a wish.
    #[error("{} has no row; fetch or write it again, or take its [[counterpart]] out of the configuration", path.display())]
    Empty {
        /// Path as given.
        path: PathBuf,
    },
    /// What is known cannot be put into one table.
    #[error("the files of counterparts make no table; leave out some of them")]
    Table {
        /// What the builder said.
        source: io::Error,
    },
}

/// What is known of an address of the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// Two letters, upper case (ISO 3166-1 alpha-2).
    pub country: Option<[u8; 2]>,
    /// Number of its autonomous system, never 0.
    pub asn: Option<u32>,
    /// Name of its autonomous system.
    pub as_name: Option<Arc<str>>,
    /// The kind of its network where that is not [`ORDINARY_KIND`], and the names of all lists it is on, in the order of the
    /// configuration. A kind that a list is named like is that list.
    pub lists: Vec<Arc<str>>,
}

/// What is known of all addresses.
#[derive(Clone, Debug)]
pub struct Counterparts {
    /// By number. Number 0 is nothing known; where there were too many, the last is all others, and says nothing of itself.
    pub labels: Vec<Label>,
    /// From an address to a leaf whose prefix id is the number of its label + 1; no entry: nothing is known of it.
    pub trie: Trie,
    /// SHA-256 of labels and table: what two that say the same have in common.
    pub content: [u8; 32],
    /// The number of the label of all others, where there is one.
    pub other: Option<u32>,
    /// Labels that became one with others because they were more than [`MAX_LABELS`]: those of the fewest prefixes.
    pub folded: usize,
    /// Prefixes in the table, after those that say what is said around them were left out.
    pub prefixes: usize,
    /// What was read, in the order of the configuration.
    pub provenance: Vec<Provenance>,
}

impl Counterparts {
    /// Reads the files of a configuration, and joins what they say with its lists.
    ///
    /// # Errors
    /// The first thing that is wrong with any of them.
    pub fn read(configured: &[config::Counterpart], lists: &Lists) -> Result<Self, CounterpartError> {
        let mut facts = Facts::default();
        let mut provenance = vec![];
        for (number, config::Counterpart { kind: CounterpartKind::Geo, file }) in (0..).zip(configured) {
            let read = if database::is_named_so(file) {
                database::read(file, number, &mut facts)?
            } else {
                rows::read(file, number, &mut facts)?
            };
            if read.entries == 0 {
                return Err(CounterpartError::Empty { path: file.clone() });
            }
            provenance.push(read);
        }
        Ok(Self { provenance, ..Self::build(facts, lists, MAX_LABELS)? })
    }

    /// What a configuration says of far ends; `None`: nothing.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn of(config: &config::Config, lists: &Lists) -> Result<Option<Self>, CounterpartError> {
        config.tells_far_ends().then(|| Self::read(&config.counterparts, lists)).transpose()
    }

    /// The table of these facts and lists, with at most so many labels.
    fn build(facts: Facts, lists: &Lists, most: usize) -> Result<Self, CounterpartError> {
        let Facts { mut rows, texts, .. } = facts;
        // Stable, and so the first line of a file about a prefix stays before its others.
        rows.sort_by_key(|fact| (fact.cidr, fact.file));
        rows.dedup_by_key(|fact| (fact.cidr, fact.file));
        let names: Vec<Arc<str>> = lists.names().collect();
        let (leaves, keys) = merge(&rows, lists.addresses(), &texts, &names);
        drop(rows);
        let labels::Numbered { labels, leaves, other, folded } = number(leaves, &keys, &texts, &names, most);
        let v4 = leaves.partition_point(|(cidr, _)| cidr.is_v4());
        let item = |(cidr, entry): &_| {
            let cidr: &Cidr = cidr;
            Item { bits: cidr.bits(), len: cidr.prefix_len(), entry: *entry }
        };
        let content = content(&leaves, &labels);
        let trie = Trie::build(ROOT_BITS, leaves[..v4].iter().map(item), leaves[v4..].iter().map(item))
            .map_err(|error| CounterpartError::Table { source: io::Error::other(error.to_string()) })?;
        Ok(Self { labels, trie, content, other, folded, prefixes: leaves.len(), provenance: vec![] })
    }
}

/// What two of the same labels and prefixes have in common. Every part has its length before it, or is of a fixed one.
fn content(leaves: &[(Cidr, Entry)], labels: &[Label]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for (cidr, entry) in leaves {
        let mut bytes = [0; 22];
        bytes[..16].copy_from_slice(&cidr.bits().to_be_bytes());
        bytes[16..18].copy_from_slice(&[cidr.prefix_len(), cidr.is_v4().into()]);
        bytes[18..].copy_from_slice(&entry.word().to_be_bytes());
        hasher.update(bytes);
    }
    let mut text = |text: &str| {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    };
    for Label { country, asn, as_name, lists } in labels {
        text(&country.map_or(String::new(), |letters| letters.map(char::from).iter().collect()));
        text(&asn.map_or(String::new(), |asn| asn.to_string()));
        text(as_name.as_deref().unwrap_or_default());
        text(&lists.len().to_string());
        lists.iter().for_each(|list| text(list));
    }
    hasher.finalize().into()
}
