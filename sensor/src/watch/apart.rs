//! What undecided flows had, read from where programs count it apart. Counts there only grow as long as an entry stays one flow's; each reading tells what came
//! since the one before.

use std::collections::{BTreeSet, HashMap};

use sensor_ebpf::abi::{Counter, FlowKey, Open, OpenCount, RowKey};

use super::{Memory, row::Billed};

/// An entry as it was when it was last read.
#[derive(Clone, Copy, Debug)]
struct Read {
    key: u64,
    born: u32,
    ends: [OpenCount; 2],
}

/// The readings of all entries.
#[derive(Debug, Default)]
pub(super) struct Apart {
    read: HashMap<(u32, u32), Read>,
    /// Entries that may change once more without being noted again: they were, in this very second.
    again: BTreeSet<(u32, u32)>,
}

impl Apart {
    /// Takes all that is there for told: another agent may have.
    pub(super) fn adopt(&mut self, memory: &(impl Memory + ?Sized)) {
        for slice in 0..memory.slices() {
            for number in 0..memory.open_entries() {
                // What is free becomes another one, which is told from its first packet on.
                if let Some(open) = memory.open(slice, number).filter(|open| open.key != 0) {
                    self.read.insert((slice, number), Read::of(&open));
                }
            }
        }
    }

    /// Tells what flows had since the last reading, at second `now` of the programs' clock.
    pub(super) fn read<M: Memory + ?Sized>(
        &mut self,
        memory: &mut M,
        now: u32,
        mut each: impl FnMut(FlowKey, Billed, Counter),
    ) {
        let mut places = std::mem::take(&mut self.again);
        for slice in 0..memory.slices() {
            memory.changes(slice, &mut |number| {
                places.insert((slice, number));
            });
        }
        for (slice, number) in places {
            let Some(open) = memory.open(slice, number) else { continue };
            if open.noted == now {
                self.again.insert((slice, number));
            }
            let before = self.read.insert((slice, number), Read::of(&open));
            let before = before.filter(|before| (before.key, before.born) == (open.key, open.born));
            for (end, count) in open.ends.iter().enumerate() {
                let before = before.map(|before| before.ends[end]).filter(|before| before.rows == count.rows);
                let more = grown(count, &before.unwrap_or_default());
                if more.is_zero() {
                    continue;
                }
                for key in count.rows.into_iter().filter_map(RowKey::from_word) {
                    if let Some(billed) = Billed::of_key(key, slice, memory) {
                        each(FlowKey::new(open.key), billed, more);
                    }
                }
            }
        }
    }
}

impl Read {
    const fn of(open: &Open) -> Self {
        Self { key: open.key, born: open.born, ends: open.ends }
    }
}

fn grown(now: &OpenCount, before: &OpenCount) -> Counter {
    Counter {
        packets: now.packets.wrapping_sub(before.packets).into(),
        bytes: now.bytes.wrapping_sub(before.bytes).into(),
        frame_bytes: now.frame_bytes.wrapping_sub(before.frame_bytes).into(),
        reserved: 0,
    }
}
