//! An interval's records from hand-made readings.

use sensor_ebpf::abi::{Cell, Outcome};

use super::*;
use crate::{collect::Reading, prefix::SetBuilder};

#[test]
fn only_what_was_counted_has_a_record() {
    let mut builder = SetBuilder::default();
    builder.watch("a", ["10.0.0.0/8".parse().unwrap()]).unwrap();
    builder.watch("b", ["11.0.0.0/8".parse().unwrap()]).unwrap();
    ["10.1.0.0/16", "12.0.0.0/8"].iter().for_each(|prefix| builder.account(prefix.parse().unwrap()));
    let set = builder.build().unwrap();
    let counter = |packets: u64| Counter { packets, bytes: 10 * packets, frame_bytes: 20 * packets, reserved: 0 };
    // Rows of 10/8 (in), 10.1/16 (out), 12/8 (in), of no prefix, and of an id without a meaning.
    let mut delta = Reading::zero(5, 2);
    for (row, packets) in [(2, 1), (5, 2), (8, 4), (0, 16), (10, 32)] {
        delta.add(row, &counter(packets)).unwrap();
    }
    delta.ledger[1].add(Cell::outcome(Outcome::Other), counter(64));
    let key = Key {
        sensor: "edge".to_owned(),
        epoch: Epoch::from_bytes([1; 16]).unwrap(),
        start: jiff::Timestamp::UNIX_EPOCH,
        end: jiff::Timestamp::UNIX_EPOCH,
        sequence: 0,
    };
    let label = LedgerLabel { slot: 1, ..LedgerLabel::default() };
    let summary = Summary::new(key, &delta.sparse(), &set, &[label], &Watched::default(), &Meanings::default());
    let prefix = |prefix: &str, direction, network: Option<&str>, packets| PrefixRecord {
        prefix: prefix.parse().unwrap(),
        direction,
        network: network.map(Into::into),
        count: counter(packets).into(),
    };
    let expected = [
        prefix("10.0.0.0/8", Direction::In, Some("a"), 1),
        prefix("10.1.0.0/16", Direction::Out, Some("a"), 2),
        prefix("12.0.0.0/8", Direction::In, None, 4),
    ];
    assert_eq!(summary.prefixes, expected);
    // Networks are told by what was billed, not by their prefixes.
    assert_eq!(summary.networks, []);
    assert_eq!((summary.ledger[0].other_packets, summary.ledger[0].direction), (64, "tx"));
}
