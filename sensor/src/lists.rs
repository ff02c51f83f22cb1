//! Lists of known endpoints: who speaks with one of them shows a class by that alone, with the evidence `list`.

mod endpoint;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
};

use sensor_ebpf::class::Class;
use thiserror::Error;

pub use self::endpoint::EndpointProblem;
use self::endpoint::{Endpoint, is_heading};
use crate::{
    cidr::Cidr,
    config::{self, MAX_LISTS},
    table_file::{Provenance, TableError, rows},
};

/// Most entries of all lists together: 32 bytes each, and twice that where the list has a class.
pub const MAX_ENDPOINTS: usize = 2_000_000;
/// Bits of the longest prefix.
const LONGEST: usize = 128;

/// A list that cannot be read. Each message is one line, names file and line, and says what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListError {
    /// The file cannot be read, or is no text.
    #[error(transparent)]
    File(#[from] TableError),
    /// A line that is no entry.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// Path as given.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: EndpointProblem,
    },
    /// A list of nobody: rather a download that failed than a wish.
    #[error("{} has no entry; fetch or write it again, or take its [[list]] out of the configuration", path.display())]
    Empty {
        /// Path as given.
        path: PathBuf,
    },
}

/// All lists of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    lists: Vec<Known>,
    /// What the lists with a class hold, by prefix and port; `None`: any port. Where several name one, the first list holds.
    endpoints: HashMap<(Cidr, Option<u16>), u8>,
    /// Prefix lengths that occur among them, the longest first: IPv4, then IPv6.
    lengths: [Vec<u8>; 2],
    /// Each prefix with the list it is on, sorted, of all lists.
    addresses: Vec<(Cidr, u8)>,
}

/// One list.
#[derive(Clone, Debug)]
struct Known {
    name: Arc<str>,
    class: Option<Class>,
    provenance: Provenance,
}

impl Lists {
    /// Reads all lists; of more than [`MAX_LISTS`], which no valid configuration has, the first so many.
    ///
    /// # Errors
    /// The first thing that is wrong with any of them.
    pub fn read(configured: &[config::List]) -> Result<Self, ListError> {
        let mut lists = Self::default();
        for (number, list) in (0..).zip(configured.iter().take(MAX_LISTS)) {
            let provenance = lists.read_list(number, list)?;
            if provenance.entries == 0 {
                return Err(ListError::Empty { path: list.file.clone() });
            }
            lists.lists.push(Known { name: list.name.as_str().into(), class: list.class, provenance });
        }
        lists.addresses.sort_unstable();
        lists.addresses.dedup();
        let mut occurs = [[false; LONGEST + 1]; 2];
        for (cidr, _) in lists.endpoints.keys() {
            occurs[usize::from(!cidr.is_v4())][usize::from(cidr.prefix_len())] = true;
        }
        lists.lengths = occurs.map(|occurs| (0..=128).rev().filter(|len| occurs[usize::from(*len)]).collect());
        Ok(lists)
    }

    fn read_list(&mut self, number: u8, list: &config::List) -> Result<Provenance, ListError> {
        let mut first = true;
        rows(&list.file, |line, fields| {
            if std::mem::take(&mut first) && is_heading(fields) {
                return Ok(false);
            }
            let problem = |problem| ListError::Line { path: list.file.clone(), line, problem };
            let Endpoint { cidr, port } = Endpoint::read(fields).map_err(problem)?;
            if self.addresses.len() >= MAX_ENDPOINTS {
                return Err(problem(EndpointProblem::TooMany));
            }
            self.addresses.push((cidr, number));
            if list.class.is_some()
                && let Entry::Vacant(entry) = self.endpoints.entry((cidr, port))
            {
                entry.insert(number);
            }
            Ok(true)
        })
    }

    /// The class and the name of the list that an endpoint is on: the longest prefix holds, and of one prefix the entry with the port
    /// before the one for every port. At most one probe of a hash map for each prefix length that occurs, and two with ports.
    pub fn find(&self, address: IpAddr, port: u16) -> Option<(Class, &str)> {
        let lengths = &self.lengths[usize::from(address.is_ipv6())];
        let number = lengths.iter().find_map(|len| {
            let cidr = Cidr::masked(address, *len).ok()?;
            self.endpoints.get(&(cidr, Some(port))).or_else(|| self.endpoints.get(&(cidr, None)))
        })?;
        let list = self.lists.get(usize::from(*number))?;
        Some((list.class?, &list.name))
    }

    /// What each list was read from, in the order of the configuration.
    pub fn provenance(&self) -> impl Iterator<Item = (&str, &Provenance)> {
        self.lists.iter().map(|list| (&*list.name, &list.provenance))
    }

    /// Names in the order of the configuration; the numbers of [`addresses`](Self::addresses) are places in it.
    pub(crate) fn names(&self) -> impl Iterator<Item = Arc<str>> {
        self.lists.iter().map(|list| Arc::clone(&list.name))
    }

    /// Every prefix with the number of the list it is on, whatever its port: sorted, each pair once.
    pub(crate) fn addresses(&self) -> &[(Cidr, u8)] {
        &self.addresses
    }
}
