//! Anything that can happen to a journal, in any order, against a model that knows no file.

use super::{
    memory::{Memory, Step},
    *,
};

/// What happens.
#[derive(Clone, Debug)]
enum Event {
    Commit { epoch: u8, cells: Vec<(usize, u64)>, bulky: bool, fault: Option<Step> },
    Delivered { epoch: u8, back: u64, fails: bool },
    Forget { epoch: u8 },
    Rewrite { fault: Option<Step> },
    Killed,
    PowerLoss,
}

fn event() -> impl Strategy<Value = Event> {
    let cells = proptest::collection::vec((0..6 + 2 * Cell::COUNT as usize, any::<u64>()), 0..4);
    let step = prop_oneof![
        (0..200_usize).prop_map(Step::Append),
        Just(Step::Sync),
        Just(Step::WriteNew),
        Just(Step::Rename),
        Just(Step::SyncFolder),
    ];
    let fault = || prop_oneof![3 => Just(None), 1 => step.clone().prop_map(Some)];
    prop_oneof![
        6 => (0..3_u8, cells, proptest::bool::weighted(0.3), fault())
            .prop_map(|(epoch, cells, bulky, fault)| Event::Commit { epoch, cells, bulky, fault }),
        4 => (0..3_u8, 0..3_u64, proptest::bool::weighted(0.2))
            .prop_map(|(epoch, back, fails)| Event::Delivered { epoch, back, fails }),
        1 => (0..3_u8).prop_map(|epoch| Event::Forget { epoch }),
        1 => fault().prop_map(|fault| Event::Rewrite { fault }),
        1 => Just(Event::Killed),
        1 => Just(Event::PowerLoss),
    ]
}

/// A journal, and what it must say.
struct Bench {
    disk: Memory,
    journal: Journal,
    model: State,
    /// What was surely synced last.
    synced: State,
    /// What a failed step may have left in the file, until a new one was written.
    perhaps: Vec<State>,
    rewrites: usize,
}

impl Bench {
    fn new() -> Self {
        let disk = Memory::default();
        let (model, synced) = Default::default();
        Self { journal: disk.journal(), disk, model, synced, perhaps: Vec::new(), rewrites: 0 }
    }

    fn apply(&mut self, event: Event) {
        self.disk.fail(&[]);
        match event {
            Event::Commit { epoch: number, cells, bulky, fault } => {
                self.disk.fail(fault.as_slice());
                let next = self.journal.baseline(epoch(number)).map_or(0, |baseline| baseline.next_sequence);
                let mut batch = batch(epoch(number), next, &cells);
                if bulky {
                    batch.labels[0].interface = "x".repeat(300_000);
                }
                let mut after = self.model.clone();
                after.commit(&batch);
                match self.journal.commit(batch) {
                    Ok(()) => (self.synced, self.model) = (after.clone(), after),
                    Err(_) => self.perhaps.extend([self.model.clone(), after]),
                }
            }
            Event::Delivered { epoch: number, back, fails } => {
                let epoch = epoch(number);
                let next = self.journal.baseline(epoch).map_or(0, |baseline| baseline.next_sequence);
                let sequence = next.saturating_sub(back);
                self.disk.fail(if fails { &[Step::Append(3)] } else { &[] });
                if self.journal.delivered(epoch, sequence).is_ok() {
                    self.model.deliver(epoch, sequence);
                }
            }
            Event::Forget { epoch: number } => {
                self.journal.forget(epoch(number)).unwrap();
                self.model.baselines.remove(&epoch(number));
            }
            Event::Rewrite { fault } => {
                self.disk.fail(fault.as_slice());
                if self.journal.replace(&[]).is_err() {
                    self.perhaps.push(self.model.clone());
                }
            }
            Event::Killed => {
                let found = State::of(&self.disk.reopened());
                let known = if self.journal.rewrite { &self.perhaps[..] } else { &[] };
                let none_yet = self.disk.bytes().is_empty() && found == State::default();
                assert!(found == self.model && !self.journal.rewrite || known.contains(&found) || none_yet);
                self.restart(self.disk.bytes());
            }
            Event::PowerLoss => {
                let durable = self.disk.durable();
                let found = State::of(&Memory::of(&durable).journal());
                assert!(found == self.synced || self.perhaps.contains(&found));
                self.restart(durable);
            }
        }
        if self.disk.rewrites() > self.rewrites && !self.journal.rewrite {
            self.synced = self.model.clone();
        }
        self.rewrites = self.disk.rewrites();
        if !self.journal.rewrite {
            self.perhaps.clear();
        }
        assert_eq!(State::of(&self.journal), self.model);
    }

    fn restart(&mut self, bytes: Vec<u8>) {
        self.disk = if bytes.is_empty() { Memory::default() } else { Memory::of(&bytes) };
        self.journal = self.disk.journal();
        self.rewrites = 0;
        self.model = State::of(&self.journal);
        self.synced = self.model.clone();
        self.perhaps.clear();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_journal_says_what_was_committed(events in proptest::collection::vec(event(), 1..60)) {
        let mut bench = Bench::new();
        for event in events {
            bench.apply(event);
        }
    }
}
