//! What labels mean, by the generation of their table, for as long as something may be counted under them that was not told.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Result, ensure};
use sensor_ebpf::abi::{Control, MAX_LABELS, NO_LABEL, OTHER_LABEL};
use serde::{Deserialize, Serialize};

use super::{Counterparts, Label};

/// Exports after which nothing of an earlier table is left to be told: one may have begun before it left force.
const EXPORTS: u32 = 2;

/// The table of labels in force, and those before it, in one life of the counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Meanings {
    /// The generation in force, as the control block counts them; 0: there is no table.
    current: u32,
    tables: BTreeMap<u32, Arc<Table>>,
    /// Exports since the last table came into force.
    exports: u32,
}

/// What the labels of one table mean.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Table {
    labels: Vec<Label>,
    other: Option<u32>,
    content: [u8; 32],
}

/// What the far end of some packets is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Far<'a> {
    /// Something is known of it.
    Known(&'a Label),
    /// No file says anything of it.
    Unknown,
    /// It was counted with all others: there was no room for its label, or for what was exchanged with it.
    Other,
}

impl Meanings {
    /// Of maps that begin with this table, if there is one.
    pub fn begin(counterparts: Option<&Counterparts>) -> Self {
        let first = Control::from_word(0).next_labelling().labelling();
        let tables: BTreeMap<_, _> = counterparts.iter().map(|table| (first, Arc::new(Table::of(table)))).collect();
        Self { current: if tables.is_empty() { 0 } else { first }, tables, exports: 0 }
    }

    /// Whether what is in force says what these would.
    pub fn is_of(&self, counterparts: Option<&Counterparts>) -> bool {
        let content = self.tables.get(&self.current).map(|table| table.content);
        content == counterparts.map(|counterparts| counterparts.content)
    }

    /// The same with another table in force; `None` where these maps have no number left for it.
    pub fn successor(&self, counterparts: &Counterparts) -> Option<Self> {
        let next = self.current + 1;
        if next >= Control::LABELLINGS {
            return None;
        }
        let mut tables = self.tables.clone();
        tables.insert(next, Arc::new(Table::of(counterparts)));
        Some(Self { current: next, tables, exports: 0 })
    }

    /// All that was counted up to some moment was told.
    pub fn exported(&mut self) {
        self.exports = self.exports.saturating_add(1);
        if self.exports >= EXPORTS {
            self.tables.retain(|generation, _| *generation == self.current);
        }
    }

    /// What a label of the table of that generation means.
    pub fn of(&self, (label, generation): (u32, u32)) -> Far<'_> {
        if label == OTHER_LABEL {
            return Far::Other;
        }
        match self.tables.get(&generation) {
            Some(table) if table.other == Some(label) => Far::Other,
            Some(table) if label != NO_LABEL => table.labels.get(label as usize).map_or(Far::Unknown, Far::Known),
            Some(_) | None => Far::Unknown,
        }
    }
}

impl Table {
    fn of(counterparts: &Counterparts) -> Self {
        let Counterparts { labels, other, content, .. } = counterparts;
        Self { labels: labels.clone(), other: *other, content: *content }
    }
}

/// Meanings in a file.
#[derive(Serialize, Deserialize)]
struct Wire {
    current: u32,
    tables: Vec<WireTable>,
}

#[derive(Serialize, Deserialize)]
struct WireTable {
    generation: u32,
    other: Option<u32>,
    content: [u8; 32],
    labels: Vec<WireLabel>,
}

/// A label in a file: country, number and name of the autonomous system, lists.
#[derive(Serialize, Deserialize)]
struct WireLabel(Option<[u8; 2]>, Option<u32>, Option<String>, Vec<String>);

impl From<Meanings> for Wire {
    fn from(Meanings { current, tables, .. }: Meanings) -> Self {
        let label = |Label { country, asn, as_name, lists }: &Label| {
            let lists = lists.iter().map(|list| list.to_string()).collect();
            WireLabel(*country, *asn, as_name.as_deref().map(str::to_owned), lists)
        };
        let table = |(generation, table): (&u32, &Arc<Table>)| WireTable {
            generation: *generation,
            other: table.other,
            content: table.content,
            labels: table.labels.iter().map(label).collect(),
        };
        Self { current, tables: tables.iter().map(table).collect() }
    }
}

impl TryFrom<Wire> for Meanings {
    type Error = anyhow::Error;

    fn try_from(Wire { current, tables }: Wire) -> Result<Self> {
        let known = |generation: u32| (1..Control::LABELLINGS).contains(&generation);
        let label = |WireLabel(country, asn, as_name, lists): WireLabel| Label {
            country,
            asn,
            as_name: as_name.map(Into::into),
            lists: lists.into_iter().map(Into::into).collect(),
        };
        let mut read = BTreeMap::new();
        for WireTable { generation, other, content, labels } in tables {
            ensure!(known(generation) && labels.len() <= MAX_LABELS as usize, "a table of labels that is none");
            let labels = labels.into_iter().map(label).collect();
            read.insert(generation, Arc::new(Table { labels, other, content }));
        }
        ensure!(current == 0 || read.contains_key(&current), "the labels in force have no meaning");
        Ok(Self { current, tables: read, exports: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{counterpart::facts::Facts, lists::Lists};

    fn counterparts(rows: &str, most: usize) -> Counterparts {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), rows).unwrap();
        let mut facts = Facts::default();
        crate::counterpart::rows::read(file.path(), 0, &mut facts).unwrap();
        Counterparts::build(facts, &Lists::default(), most).unwrap()
    }

    #[test]
    fn a_label_keeps_its_meaning_until_it_was_told() {
        let (one, two) =
            (counterparts("10.0.0.0/8,DE,1,One\n", 9), counterparts("10.0.0.0/8,FR,2\n11.0.0.0/8,DE\n", 9));
        let country = |meanings: &Meanings, label, generation| match meanings.of((label, generation)) {
            Far::Known(label) => String::from_utf8(label.country.unwrap().to_vec()).unwrap(),
            Far::Unknown => "unknown".to_owned(),
            Far::Other => "other".to_owned(),
        };
        let none = Meanings::begin(None);
        assert!(none.is_of(None) && !none.is_of(Some(&one)));
        let first = Meanings::begin(Some(&one));
        assert!(first.is_of(Some(&one)) && !first.is_of(Some(&two)) && !first.is_of(None));
        let mut second = first.successor(&two).unwrap();
        assert!(second.is_of(Some(&two)));
        assert_eq!(second.of((NO_LABEL, 1)), Far::Unknown);
        assert_eq!(second.of((OTHER_LABEL, 0)), Far::Other);
        assert_eq!([1, 2].map(|generation| country(&second, 1, generation)), ["DE", "FR"]);
        let bytes = postcard::to_stdvec(&second).unwrap();
        assert_eq!(postcard::from_bytes::<Meanings>(&bytes).unwrap(), second);
        second.exported();
        assert_eq!(country(&second, 1, 1), "DE");
        second.exported();
        assert_eq!([1, 2].map(|generation| country(&second, 1, generation)), ["unknown", "FR"]);
        let last = (2..Control::LABELLINGS).fold(first, |meanings, _| meanings.successor(&two).unwrap());
        assert_eq!(last.successor(&one), None, "no number means two tables");
    }

    #[test]
    fn what_says_the_same_has_the_same_content() {
        let [one, same, other] =
            ["10.0.0.0/8,DE,1,One\n", "10.0.0.0/9,DE,1,One\n10.128.0.0/9,DE,1,One\n", "10.0.0.0/8,DE,1,Two\n"]
                .map(|rows| counterparts(rows, 9).content);
        assert!(one == same && one != other);
    }

    #[test]
    fn what_found_no_room_among_labels_is_other() {
        let table = counterparts("10.0.0.0/8,DE\n11.0.0.0/8,FR\n12.0.0.0/8,IT\n", 2);
        let meanings = Meanings::begin(Some(&table));
        assert_eq!(meanings.of((table.other.unwrap(), 1)), Far::Other);
    }
}
