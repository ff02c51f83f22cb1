//! What is told under another kind than programs billed it as.

use std::collections::BTreeMap;

use sensor_ebpf::abi::{Counter, Kind};

use super::row::{Billed, RowChange, RowId};

/// What came into rows and left others since the last interval ended. Each packet that comes into one leaves another, so that together they change
/// nothing.
#[derive(Debug, Default)]
pub(super) struct Moves(BTreeMap<RowId, RowChange>);

impl Moves {
    /// Something that was told as one kind is told as another.
    pub(super) fn add(&mut self, billed: Billed, from: Kind, to: Kind, counter: &Counter) {
        let [from, to] = [from, to].map(|kind| RowId { billed, kind });
        let row = self.row(from);
        row.out = row.out.sum(counter);
        let row = self.row(to);
        row.into = row.into.sum(counter);
    }

    /// Together with what programs counted.
    pub(super) fn take(&mut self, counted: impl Iterator<Item = (RowId, Counter)>) -> Vec<RowChange> {
        for (id, counter) in counted {
            self.row(id).counted = counter;
        }
        std::mem::take(&mut self.0).into_values().collect()
    }

    /// Puts back what was taken and not told; what programs counted is read again.
    pub(super) fn put_back(&mut self, rows: &[RowChange]) {
        for change in rows {
            let row = self.row(change.id);
            (row.into, row.out) = (row.into.sum(&change.into), row.out.sum(&change.out));
        }
    }

    fn row(&mut self, id: RowId) -> &mut RowChange {
        self.0.entry(id).or_insert(RowChange::none(id))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sensor_ebpf::{
        abi::{Direction, NetworkId},
        class::{Class, Evidence},
    };

    use super::*;
    use crate::{
        inspect::{Flow, FlowId, Verdict},
        watch::flow::Tracked,
    };

    const FLOWS: usize = 4;
    const CLASSES: [Class; 3] = [Class::Tls, Class::Ssh, Class::Tor];

    #[derive(Clone, Debug)]
    enum Event {
        /// A flow had so many packets more, in one of two rows.
        Had { flow: usize, row: usize, packets: u64 },
        /// It is now known to be that, or nothing any more.
        Is { flow: usize, class: Option<usize> },
        /// An interval ends, and can be told or not.
        Told { fails: bool },
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => (0..FLOWS, 0..2_usize, 1..100_u64).prop_map(|(flow, row, packets)| Event::Had { flow, row, packets }),
            2 => (0..FLOWS, proptest::option::of(0..CLASSES.len())).prop_map(|(flow, class)| Event::Is { flow, class }),
            2 => any::<bool>().prop_map(|fails| Event::Told { fails }),
        ]
    }

    fn billed(row: usize) -> Billed {
        let direction = if row == 0 { Direction::In } else { Direction::Out };
        Billed { network: NetworkId::new(1).unwrap(), direction, neighbour: None }
    }

    fn flow() -> Tracked {
        let end = ("192.0.2.1".parse().unwrap(), 1);
        Tracked::new(FlowId::default(), Flow { protocol: 6, source: end, destination: end }, [1, 0], None)
    }

    proptest! {
        #[test]
        fn whatever_was_told_before_each_flow_ends_as_what_it_is(events in proptest::collection::vec(event(), 0..60)) {
            let mut flows: [Tracked; FLOWS] = std::array::from_fn(|_| flow());
            let (mut moves, mut had) = (Moves::default(), [[0_u64; 2]; FLOWS]);
            // What programs counted, all of it undecided, as far as it was told.
            let (mut counted, mut reported) = ([0_u64; 2], [0_u64; 2]);
            let mut told: BTreeMap<RowId, i128> = BTreeMap::new();
            for event in events.into_iter().chain([Event::Told { fails: false }]) {
                match event {
                    Event::Had { flow, row, packets } => {
                        let counter = Counter { packets, bytes: packets, frame_bytes: packets, reserved: 0 };
                        flows[flow].add(billed(row), &counter);
                        had[flow][row] += packets;
                        counted[row] += packets;
                    }
                    Event::Is { flow, class } => {
                        let verdict = class.map(|class| Verdict { class: CLASSES[class], evidence: Evidence::Payload });
                        flows[flow].found = verdict;
                    }
                    Event::Told { fails } => {
                        for flow in &mut flows {
                            flow.settle(|billed, from, to, counter| moves.add(billed, from, to, counter));
                        }
                        let since = (0..2).map(|row| {
                            let id = RowId { billed: billed(row), kind: Kind::UNDECIDED };
                            (id, Counter { packets: counted[row] - reported[row], ..Counter::default() })
                        });
                        let rows = moves.take(since.collect::<Vec<_>>().into_iter());
                        if fails {
                            moves.put_back(&rows);
                            continue;
                        }
                        reported = counted;
                        for row in rows {
                            let gained = i128::from(row.counted.packets) + i128::from(row.into.packets);
                            *told.entry(row.id).or_default() += gained - i128::from(row.out.packets);
                        }
                    }
                }
            }
            let mut expected: BTreeMap<RowId, i128> = BTreeMap::new();
            for (flow, had) in flows.iter().zip(had) {
                for (row, packets) in had.into_iter().enumerate() {
                    *expected.entry(RowId { billed: billed(row), kind: flow.kind() }).or_default() += i128::from(packets);
                }
            }
            told.retain(|_, packets| *packets != 0);
            expected.retain(|_, packets| *packets != 0);
            prop_assert_eq!(told, expected);
        }
    }
}
