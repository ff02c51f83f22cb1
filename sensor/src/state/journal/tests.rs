//! The journal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use sensor_ebpf::{
    abi::{self, Cell, Counter, Direction, NetworkId},
    class::{Class, Evidence},
};

use super::*;
use crate::{
    config::Role,
    state::StateDir,
    summary::{Event, EventRecord, Lost, NicCount},
    upstream::{Neighbour, UpstreamName},
    watch::{Billed, RowChange, RowId},
};

mod damage;
mod faults;
mod measure;
mod memory;
mod model;

/// One of a few epochs.
fn epoch(number: u8) -> Epoch {
    Epoch::from_bytes([number + 1; 16]).unwrap()
}

fn counter(packets: u64) -> Counter {
    Counter { packets, bytes: packets.wrapping_mul(100), frame_bytes: packets.wrapping_mul(114), reserved: 0 }
}

/// A reading of two prefixes and one interface.
fn reading(cells: &[(usize, u64)]) -> Reading {
    let mut reading = Reading::zero(2, 2);
    for (place, packets) in cells {
        reading.add(*place, &counter(*packets)).unwrap();
    }
    reading
}

fn batch(epoch: Epoch, sequence: u64, cells: &[(usize, u64)]) -> Batch {
    let time = |number: u64| Timestamp::from_second(1_800_000_000 + 10 * number as i64).unwrap();
    Batch {
        key: Key {
            sensor: "edge-1".to_owned(),
            epoch,
            start: time(sequence % 1000),
            end: time(sequence % 1000 + 1),
            sequence,
        },
        manifest: [7; 32],
        delta: reading(cells).sparse(),
        labels: vec![LedgerLabel {
            slot: 1,
            interface: "eth0".to_owned(),
            role: Some(Role::Internal),
            lost: BTreeMap::from([(Lost::Missed, 3)]),
            attached: Some(true),
            blind_ms: Some(sequence),
            nic: Some(NicCount { packets: 1, bytes: 2 }),
            ..LedgerLabel::default()
        }],
        watched: watched(sequence),
    }
}

/// A row, a neighbour, an event.
fn watched(sequence: u64) -> Watched {
    let neighbour = Neighbour { interface: 0, mac: [2, 0, 0, 0, 0, 1], vlan: Some(100) };
    let billed = Billed { network: NetworkId::new(1).unwrap(), direction: Direction::Out, neighbour: Some(neighbour) };
    let id = RowId { billed, kind: abi::Kind::new(Class::Tls, Evidence::Confirmed) };
    let moved = RowChange { into: counter(3), out: counter(1), ..RowChange::counted(id, counter(sequence)) };
    let event = Event::UpstreamNew { upstream: "a".to_owned(), mac: [2; 6], vlan: None };
    Watched {
        rows: vec![moved],
        upstreams: vec![(neighbour, UpstreamName { name: "a".into(), asn: Some(64_500), configured: true })],
        events: vec![EventRecord { network: None, at: Timestamp::UNIX_EPOCH, event }],
        ..Watched::default()
    }
}

/// All that a journal says, as its users see it.
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    baselines: BTreeMap<Epoch, Baseline>,
    undelivered: Vec<Batch>,
}

impl State {
    fn of(journal: &Journal) -> Self {
        let baselines = journal.epochs().into_iter().map(|epoch| (epoch, journal.baseline(epoch).unwrap().clone()));
        Self { baselines: baselines.collect(), undelivered: journal.undelivered().cloned().collect() }
    }

    /// What a commit means, written down once more and without the journal's code.
    fn commit(&mut self, batch: &Batch) {
        let delta = batch.delta.dense().unwrap();
        let reported = match self.baselines.get(&batch.key.epoch) {
            Some(baseline) => baseline.reported.plus(&delta).unwrap(),
            None => delta,
        };
        let mut billed = self.baselines.get(&batch.key.epoch).map(|before| before.billed.clone()).unwrap_or_default();
        batch.watched.rows.iter().filter(|row| !row.counted.is_zero()).for_each(|row| billed.add(row.id, &row.counted));
        let baseline = Baseline { reported, billed, next_sequence: batch.key.sequence + 1, until: batch.key.end };
        self.baselines.insert(batch.key.epoch, baseline);
        self.undelivered.push(batch.clone());
    }

    fn deliver(&mut self, epoch: Epoch, sequence: u64) {
        self.undelivered.retain(|batch| batch.key.epoch != epoch || batch.key.sequence > sequence);
    }
}

#[test]
fn a_batch_and_its_baseline_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::open(folder.path()).unwrap();
    let mut journal = dir.journal().unwrap();
    let batches = [
        batch(epoch(0), 0, &[(2, 1), (5, 7)]),
        batch(epoch(0), 3, &[(2, 10), (20, 1)]),
        batch(epoch(1), 0, &[(4, u64::MAX)]),
    ];
    for batch in &batches {
        journal.commit(batch.clone()).unwrap();
    }
    journal.delivered(epoch(0), 0).unwrap();
    drop(journal);
    let journal = dir.journal().unwrap();
    assert_eq!(journal.damage(), None);
    assert_eq!(journal.undelivered().collect::<Vec<_>>(), [&batches[1], &batches[2]]);
    let baseline = journal.baseline(epoch(0)).unwrap();
    assert_eq!(baseline.reported, reading(&[(2, 11), (5, 7), (20, 1)]));
    assert_eq!((baseline.next_sequence, baseline.until), (4, batches[1].key.end));
    assert_eq!(journal.epochs(), [epoch(0), epoch(1)]);
}

#[test]
fn what_does_not_follow_is_refused_and_changes_nothing() {
    let disk = memory::Memory::default();
    let mut journal = disk.journal();
    journal.commit(batch(epoch(0), 4, &[(2, 1)])).unwrap();
    let before = (State::of(&journal), disk.bytes());
    let mut refused = |batch: Batch| journal.commit(batch).unwrap_err().to_string();
    let id = epoch(0);
    assert_eq!(refused(batch(id, 4, &[])), format!("sequence 4 of epoch {id} was used: the next one is 5"));
    let other = Batch { delta: Reading::zero(3, 2).sparse(), ..batch(id, 5, &[]) };
    assert!(refused(other).starts_with("a batch of other counters"));
    let other = Batch { delta: Reading::zero(2, 3).sparse(), ..batch(id, 5, &[]) };
    assert!(refused(other).starts_with("a batch of other counters"));
    assert!(refused(batch(id, u64::MAX, &[])).contains("has no sequence left"));
    assert_eq!((State::of(&journal), disk.bytes()), before);
}

#[test]
fn epochs_are_bounded_and_forgotten_ones_make_room() {
    let mut journal = memory::Memory::default().journal();
    let most = history::MAX_EPOCHS as u8;
    for number in 0..most {
        journal.commit(batch(epoch(number), 0, &[])).unwrap();
    }
    let error = journal.commit(batch(epoch(most), 0, &[])).unwrap_err().to_string();
    assert_eq!(
        error,
        "8 epochs have counters that were not closed: stop the agent, and close them with `sensor detach`"
    );
    assert!(!journal.has_room());
    journal.forget(epoch(3)).unwrap();
    assert!(journal.has_room());
    assert_eq!(journal.undelivered().len(), most as usize);
    journal.commit(batch(epoch(most), 0, &[])).unwrap();
}

#[test]
fn a_file_that_grew_is_rewritten_and_says_the_same() {
    let disk = memory::Memory::default();
    let mut journal = disk.journal();
    let mut state = State::default();
    let mut longest = 0;
    for sequence in 0..6000 {
        let batch = batch(epoch(0), sequence, &[(2, sequence)]);
        state.commit(&batch);
        journal.commit(batch).unwrap();
        // The last ones are never delivered.
        journal.delivered(epoch(0), sequence.saturating_sub(3)).unwrap();
        state.deliver(epoch(0), sequence.saturating_sub(3));
        longest = longest.max(disk.bytes().len() as u64);
    }
    assert_eq!(State::of(&journal), state);
    assert_eq!(State::of(&disk.reopened()), state);
    assert!(longest > MIN_REWRITE_LEN / 2 && longest < MIN_REWRITE_LEN + 1000, "{longest}");
}

#[test]
fn a_backlog_alone_causes_no_rewrite() {
    let disk = memory::Memory::default();
    let mut journal = disk.journal();
    for sequence in 0..12_000 {
        journal.commit(batch(epoch(0), sequence, &[(2, sequence)])).unwrap();
    }
    let len = disk.bytes().len() as u64;
    assert!(len > MIN_REWRITE_LEN);
    // One new file, which the first commit made.
    assert_eq!(disk.rewrites(), 1);
    journal.delivered(epoch(0), 11_998).unwrap();
    assert_eq!((disk.rewrites(), journal.undelivered().len()), (2, 1));
    assert!((disk.bytes().len() as u64) < 1000);
}
