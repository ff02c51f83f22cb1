//! What watched networks exchanged with whom: country, autonomous system and lists of the far end, as records.

use std::{collections::BTreeMap, sync::Arc};

use sensor_ebpf::abi::{Counter, Direction, NetworkId};
use serde::{Serialize, Serializer};

use super::{Count, direction, optional_name, text};
use crate::{
    counterpart::{Far, Label, Meanings},
    prefix::PrefixSet,
    watch::FarChange,
};

/// What those are called that there was no room for.
const OTHER: &str = "other";

/// Traffic of a watched network in one direction with far ends of which the same is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CounterpartRecord {
    /// Name.
    #[serde(serialize_with = "text")]
    pub network: Arc<str>,
    /// `in` or `out`.
    #[serde(serialize_with = "direction")]
    pub direction: Direction,
    /// Two letters (ISO 3166-1 alpha-2).
    #[serde(serialize_with = "letters", skip_serializing_if = "Option::is_none")]
    pub country: Option<[u8; 2]>,
    /// Number of the autonomous system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// Its name.
    #[serde(serialize_with = "optional_name", skip_serializing_if = "Option::is_none")]
    pub as_name: Option<Arc<str>>,
    /// Names of the lists that they are on, and the kind of their network where that is out of the ordinary.
    #[serde(serialize_with = "names", skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<Arc<str>>,
    /// Where all of these are missing: `unknown`, no file says anything of them; `other`, there was no room to tell them apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counterpart: Option<&'static str>,
    /// Traffic.
    #[serde(flatten)]
    pub count: Count,
}

impl CounterpartRecord {
    /// What far ends are called of which no file says anything.
    pub(crate) const UNKNOWN: &'static str = "unknown";

    pub(crate) fn new(network: Arc<str>, direction: Direction, far: Far<'_>, count: Count) -> Self {
        let nothing = Label::default();
        let (label, counterpart) = match far {
            Far::Known(label) if *label != nothing => (label, None),
            Far::Known(_) | Far::Unknown => (&nothing, Some(Self::UNKNOWN)),
            Far::Other => (&nothing, Some(OTHER)),
        };
        let Label { country, asn, as_name, lists: list } = label.clone();
        Self { network, direction, country, asn, as_name, list, counterpart, count }
    }
}

/// The records of what was counted by labels: one for each network, direction and meaning.
pub(super) fn counterparts(changes: &[FarChange], set: &PrefixSet, meanings: &Meanings) -> Vec<CounterpartRecord> {
    let mut sums: BTreeMap<(NetworkId, Direction, Far<'_>), Counter> = BTreeMap::new();
    for FarChange { key, counted } in changes {
        let Some(network) = key.network() else { continue };
        // Several tables may say the same, in an interval in which they changed.
        let sum = sums.entry((network, key.direction(), meanings.of(key.label()))).or_default();
        *sum = sum.sum(counted);
    }
    let record = |((network, direction, far), counter): ((NetworkId, Direction, Far<'_>), Counter)| {
        Some(CounterpartRecord::new(set.network(network)?.into(), direction, far, counter.into()))
    };
    sums.into_iter().filter_map(record).collect()
}

fn letters<S: Serializer>(country: &Option<[u8; 2]>, serializer: S) -> Result<S::Ok, S::Error> {
    // Labels hold letters and nothing else.
    country.as_ref().and_then(|letters| std::str::from_utf8(letters).ok()).serialize(serializer)
}

fn names<S: Serializer>(names: &[Arc<str>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(|name| &**name))
}

#[cfg(test)]
mod tests {
    use sensor_ebpf::abi::{LabelKey, OTHER_LABEL};

    use super::*;
    use crate::prefix::set_of;

    #[test]
    fn what_is_not_known_is_told_as_such() {
        let set = set_of(&[("a", &["10.0.0.0/8"])], &[]);
        let network = NetworkId::new(1).unwrap();
        let change = |direction, label, packets| FarChange {
            key: LabelKey::new(network, direction, label),
            counted: Counter { packets, bytes: 20 * packets, frame_bytes: 34 * packets, reserved: 0 },
        };
        let changes = [
            change(Direction::In, (0, 1), 1),
            // Of a table that nobody knows any more, as of none.
            change(Direction::In, (5, 6), 2),
            change(Direction::Out, (OTHER_LABEL, 0), 4),
        ];
        let records = counterparts(&changes, &set, &Meanings::default());
        let lines: Vec<String> = records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
        let expected = [
            r#"{"network":"a","direction":"in","counterpart":"unknown","packets":3,"bytes":60,"frame_bytes":102}"#,
            r#"{"network":"a","direction":"out","counterpart":"other","packets":4,"bytes":80,"frame_bytes":136}"#,
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_record_says_all_that_is_known() {
        let label = Label {
            country: Some(*b"KP"),
            asn: Some(131_279),
            as_name: Some("Star".into()),
            lists: vec!["hosting".into(), "relays".into()],
        };
        let count = Count { packets: 1, bytes: 20, frame_bytes: 34 };
        let record = CounterpartRecord::new("a".into(), Direction::In, Far::Known(&label), count);
        let expected = r#"{"network":"a","direction":"in","country":"KP","asn":131279,"as_name":"Star","list":["hosting","relays"],"packets":1,"bytes":20,"frame_bytes":34}"#;
        assert_eq!(serde_json::to_string(&record).unwrap(), expected);
    }
}
