//! A spool on a disk in memory, what its exporters were given, and whether that is the truth.
//!
//! The truth is a row of records: those of the first interval, those of the second, and so on. What a piece holds is read from its lines; how many
//! records it stands behind, and how many are said to be lost, must be its place in that row.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use serde_json::Value;

use super::{
    memory::{Fault, Memory},
    *,
};
use crate::testing::rng::Rng;

/// Where the state is, on a disk that holds nothing else.
pub(super) const STATE_DIR: &str = "/state";
/// Lines of a piece: long intervals have three pieces.
const PIECE_LEN: usize = 500;
/// Bytes of a spool with room for whatever is done to it: nothing is given up.
pub(super) const ROOMY: u64 = 1 << 20;
/// Who reads.
pub(super) const NAMES: [&str; 2] = ["quick", "slow"];

/// Records of an interval.
pub(super) fn records_of(sequence: u64) -> u64 {
    1 + sequence * 5 % 8
}

/// A record, by its interval and its place in it.
type Unit = (u64, u64);

/// What an exporter was given and told.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// For each record the intervals it was told with, and whether it was acknowledged.
    units: HashMap<Unit, (Range<u64>, bool)>,
    /// What it was told as lost, as places in the row.
    lost: Vec<Range<u64>>,
    /// The intervals that the last piece was of, if there is more of them.
    group: Option<Range<u64>>,
    /// Merged intervals of which a part is lost: of these it is known how many records that is, and not which.
    parts: Vec<Range<u64>>,
    /// Where it may begin after a crash.
    cursors: Vec<(Cursor, Option<Range<u64>>)>,
}

/// A spool and its exporters.
pub(super) struct Bench {
    pub(super) disk: Memory,
    pub(super) bounds: Bounds,
    spool: Option<Arc<Spool>>,
    readers: Vec<Reader>,
    told: Vec<Told>,
    /// All intervals before this one are appended.
    next: u64,
    /// Steps of the spool that failed.
    pub(super) refused: u64,
}

/// Place of the first record of an interval.
fn place(sequence: u64) -> u64 {
    (0..sequence).map(records_of).sum()
}

impl Bench {
    pub(super) fn new(max_bytes: u64, fault: Option<(u64, Fault)>) -> Self {
        let disk = Memory::default();
        disk.fail(fault);
        let bounds = Bounds { max_bytes, ..WIDE };
        let told = vec![Told::default(); NAMES.len()];
        let mut bench = Self { disk, bounds, spool: None, readers: vec![], told, next: 0, refused: 0 };
        bench.open();
        bench
    }

    /// Whether it is open, and nothing had to be tried again for that.
    pub(super) fn is_well(&self) -> bool {
        self.spool.is_some() && self.refused == 0
    }

    /// What comes of it on another disk.
    pub(super) fn on(&self, disk: Memory) -> Self {
        let told = self.told.clone();
        Self { disk, bounds: self.bounds, spool: None, readers: vec![], told, next: self.next, refused: 0 }
    }

    /// Does something until it succeeds, healing the disk in between; `None`: the disk is dead.
    fn insist<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T>) -> Option<T> {
        loop {
            match work(self) {
                Ok(done) => return Some(done),
                Err(_) if self.disk.is_dead() => return None,
                Err(error) => {
                    assert!(self.disk.failures() > 0, "nothing failed, and yet: {error:#}");
                    self.refused += 1;
                    assert!(self.refused < 50, "healed, and yet: {error:#}");
                    self.disk.fail(None);
                }
            }
        }
    }

    /// Opens the spool; who read from another one goes on where that was on disk.
    pub(super) fn open(&mut self) {
        self.readers.clear();
        self.spool = None;
        let open = |bench: &mut Self| {
            let path = Path::new(STATE_DIR);
            let disk = Arc::new(bench.disk.clone());
            Spool::open_on(disk, path, bench.bounds, PIECE_LEN, &NAMES).map(|(spool, _)| spool)
        };
        let Some(spool) = self.insist(open) else { return };
        for (name, told) in NAMES.iter().zip(&mut self.told) {
            let reader = spool.reader(name).unwrap();
            told.resume(reader.cursor());
            self.readers.push(reader);
        }
        self.spool = Some(spool);
    }

    /// Appends the next interval. One that was refused is tried again, as long as it takes.
    pub(super) fn append(&mut self) {
        let Some(spool) = self.spool.clone() else { return };
        let summary = summary(self.next, records_of(self.next));
        let append = |bench: &mut Self| {
            let appended = spool.append(&summary);
            if appended.is_err() && !bench.disk.is_dead() {
                // Whoever is killed now and tries again has it once.
                bench.on(bench.disk.killed()).finish();
                bench.on(bench.disk.unplugged(&mut Rng::new(bench.disk.steps()))).finish();
            }
            appended
        };
        if self.insist(append).is_some() {
            self.next += 1;
        }
    }

    /// Whether the next interval is taken; it is not tried again.
    pub(super) fn try_append(&mut self) -> bool {
        let appended = self.spool.as_ref().unwrap().append(&summary(self.next, records_of(self.next))).is_ok();
        self.next += u64::from(appended);
        appended
    }

    pub(super) fn merge(&self) {
        if let Some(spool) = &self.spool {
            spool.merge();
        }
    }

    /// Hands a piece to an exporter, who may acknowledge it; whether there was one.
    pub(super) fn deliver(&mut self, index: usize, is_acknowledged: bool) -> bool {
        if self.spool.is_none() {
            return false;
        }
        let peek = |bench: &mut Self| bench.readers[index].peek();
        let Some(Some(piece)) = self.insist(peek) else { return false };
        let (reader, told) = (&mut self.readers[index], &mut self.told[index]);
        told.check(&piece, reader, is_acknowledged);
        if is_acknowledged {
            reader.acknowledge(&piece);
        }
        told.cursors.push((reader.cursor(), told.group.clone()));
        true
    }

    /// Puts on disk how far an exporter is.
    pub(super) fn save(&mut self, index: usize) {
        let Some(reader) = self.readers.get_mut(index) else { return };
        let mut failures = self.disk.failures();
        reader.save();
        while self.disk.failures() > failures && !self.disk.is_dead() {
            // As whoever exports does, sooner or later.
            failures = self.disk.failures();
            self.disk.fail(None);
            reader.save();
        }
        if self.disk.failures() == failures {
            let told = &mut self.told[index];
            told.cursors = vec![(reader.cursor(), told.group.clone())];
        }
    }

    /// Opens it on a disk that is well, and reads all there is: whatever was appended was given to each exporter, or told as lost.
    pub(super) fn finish(mut self) -> Vec<Told> {
        self.disk.fail(None);
        self.open();
        // What a crash interrupted is appended again, and one more shows what is missing at the end.
        (0..2).for_each(|_| self.append());
        for index in 0..NAMES.len() {
            while self.deliver(index, true) {}
            self.told[index].is_all(self.next, self.readers[index].cursor());
            assert!(self.bounds.max_bytes < ROOMY || self.told[index].lost() == 0, "lost although there is room");
        }
        self.told
    }
}

impl Told {
    /// Goes on where a cursor is.
    fn resume(&mut self, cursor: Cursor) {
        let found =
            self.cursors.iter().rfind(|(had, _)| Cursor { handed: 0, ..*had } == Cursor { handed: 0, ..cursor });
        if let Some((_, group)) = found {
            self.group.clone_from(group);
        } else {
            assert!(self.cursors.is_empty() && cursor.lost == Lost::default(), "{cursor:?} was never");
            self.group = None;
        }
        // What was told behind it is told again, or found.
        self.lost.retain(|lost| lost.end <= cursor.total);
        self.cursors.push((cursor, self.group.clone()));
    }

    /// Looks at a piece, which is the next of what is to be delivered.
    fn check(&mut self, piece: &Piece, reader: &Reader, is_acknowledged: bool) {
        let lost = reader.lost_before(piece).records;
        let begin = reader.cursor().total;
        let text = String::from_utf8(piece.lines().unwrap()).unwrap();
        let mut units = vec![];
        let mut intervals = None;
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let number = |name: &str| record[name].as_u64();
            let last = number("sequence").unwrap();
            let range = number("first_sequence").unwrap_or(last)..last + 1;
            assert_eq!(*intervals.get_or_insert(range.clone()), range, "records of several intervals in one piece");
            let prefix: Vec<u64> =
                record["prefix"].as_str().unwrap().split(['.', '/']).map(|part| part.parse().unwrap()).collect();
            let index = prefix[1] << 8 | prefix[2];
            let of_it: Vec<Unit> =
                range.filter(|sequence| records_of(*sequence) > index).map(|sequence| (sequence, index)).collect();
            let truth = |sequence: u64| {
                let summary = summary(sequence, index + 1);
                summary.prefixes[index as usize].count
            };
            let sum = |of: fn(Count) -> u64| of_it.iter().map(|(sequence, _)| of(truth(*sequence))).sum::<u64>();
            assert_eq!(number("packets"), Some(sum(|count| count.packets)), "{line}");
            assert_eq!(number("bytes"), Some(sum(|count| count.bytes)), "{line}");
            units.extend(of_it);
        }
        let intervals = intervals.unwrap();
        for unit in &units {
            let (known, acknowledged) = self.units.entry(*unit).or_insert((intervals.clone(), false));
            assert_eq!(*known, intervals, "{unit:?} was told with other intervals before");
            *acknowledged |= is_acknowledged;
        }
        let end = piece.header.total;
        let (first, last) = (units[0], units[units.len() - 1]);
        let is_last = piece.header.flags & piece::flag::LAST != 0;
        if intervals.end - intervals.start == 1 {
            assert_eq!(begin + lost, place(first.0) + first.1, "{intervals:?}");
            assert_eq!(end, place(last.0) + last.1 + 1, "{intervals:?}");
            assert_eq!(is_last, last.1 + 1 == records_of(last.0));
        } else {
            if self.group.as_ref() == Some(&intervals) {
                assert_eq!(lost, 0, "in the middle of {intervals:?}");
            } else {
                assert_eq!(begin + lost, place(intervals.start), "{intervals:?}");
            }
            if is_last {
                assert_eq!(end, place(intervals.end), "{intervals:?}");
                let all = intervals.clone().flat_map(|at| (0..records_of(at)).map(move |index| (at, index)));
                all.for_each(|unit| assert!(self.units.contains_key(&unit), "{unit:?} of {intervals:?} is missing"));
            }
        }
        if is_acknowledged {
            let unfinished = self.group.take();
            self.group = Some(intervals).filter(|range| !is_last && range.end - range.start > 1);
            if lost > 0 {
                self.lost.push(begin..begin + lost);
                self.parts.extend(unfinished);
            }
        }
    }

    /// Whether all before an interval was acknowledged or told as lost, and how much that was is known.
    fn is_all(&self, next: u64, cursor: Cursor) {
        assert_eq!(cursor.total, place(next));
        assert_eq!(cursor.lost.records, self.lost.iter().map(|lost| lost.end - lost.start).sum::<u64>());
        for sequence in (0..next).filter(|sequence| !self.is_part(*sequence)) {
            for index in 0..records_of(sequence) {
                let at = place(sequence) + index;
                let told = self.lost.iter().filter(|lost| lost.contains(&at)).count();
                let is_there = self.units.get(&(sequence, index)).is_some_and(|(_, acknowledged)| *acknowledged);
                assert!(
                    told == 1 || told == 0 && is_there,
                    "{sequence}, {index}: lost {told} times, there: {is_there}"
                );
            }
        }
    }

    fn is_part(&self, sequence: u64) -> bool {
        self.parts.iter().any(|range| range.contains(&sequence))
    }

    /// Records that were told as lost although they were acknowledged.
    pub(super) fn lost_in_vain(&self) -> usize {
        let there: BTreeMap<u64, bool> = self
            .units
            .iter()
            .filter(|((sequence, _), _)| !self.is_part(*sequence))
            .map(|((sequence, index), (_, acknowledged))| (place(*sequence) + index, *acknowledged))
            .collect();
        self.lost.iter().flat_map(|lost| there.range(lost.clone())).filter(|(_, acknowledged)| **acknowledged).count()
    }

    /// Records told as lost.
    pub(super) fn lost(&self) -> u64 {
        self.lost.iter().map(|lost| lost.end - lost.start).sum()
    }

    /// Whether anything came as a part of longer intervals.
    pub(super) fn has_merged(&self) -> bool {
        self.units.values().any(|(range, _)| range.end - range.start > 1)
    }
}
