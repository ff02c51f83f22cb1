//! The two engines of a replay. Both compile the same body; their results are equal.

use std::{collections::BTreeMap, mem, net::IpAddr};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use sensor_ebpf::{
    abi::{Clock, FlowKey, FlowState, Neighbour, Open, Row, Sample, Spending},
    packet::SliceWindow,
};

use super::frame::LinkFrame;
use crate::{
    bpf::{self, Buffers, Hook, Kernel, LabelPlan, MIN_FRAME_LEN, REPLAY_FLOWS, TestRun},
    collect::{Meter, Reading},
    native::Native,
    prefix::{PrefixSet, Trie},
    watch::{Memory, Rows},
};

/// Which engine counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineKind {
    /// The program in the kernel, run by `BPF_PROG_TEST_RUN`; needs root.
    Kernel,
    /// The same code in this process; needs nothing.
    Native,
}

/// An engine at work.
pub enum Engine {
    /// The program in the kernel.
    Kernel(Box<KernelEngine>),
    /// The library twin.
    Native(Box<Native>),
}

/// The kernel's program, and the twin for the frames that the kernel does not take.
pub struct KernelEngine {
    kernel: Kernel,
    test_run: TestRun,
    twin: Native,
    fallbacks: BTreeMap<String, u64>,
}

impl Engine {
    /// Makes an engine that counts for `set`, and far ends by these labels, if there are any.
    ///
    /// # Errors
    /// Missing rights, or a kernel that refuses the program.
    pub fn new(kind: EngineKind, set: &PrefixSet, labels: Option<LabelPlan<'_>>) -> Result<Self> {
        let trie = set.trie()?;
        if kind == EngineKind::Native {
            return Ok(Self::Native(Box::new(native(trie, set, labels))));
        }
        // What is bounded is so for each CPU: to be the same again, a replay runs on one.
        bpf::stay_on_cpu().context("cannot keep the replay on one CPU")?;
        let mut kernel = Kernel::load_for_replay(set, &trie, labels)?;
        let instance = kernel.instance(0)?;
        let test_run = match TestRun::prepare(instance, Hook::Inline, Buffers::Several) {
            Ok(test_run) => test_run,
            Err(error) => {
                tracing::warn!("{error:#}; frames beyond one buffer are left to the native twin");
                TestRun::prepare(instance, Hook::Inline, Buffers::One)?
            }
        };
        let twin = native(trie, set, labels);
        Ok(Self::Kernel(Box::new(KernelEngine { kernel, test_run, twin, fallbacks: BTreeMap::new() })))
    }

    /// Counts one frame.
    ///
    /// # Errors
    /// The kernel does not take it.
    pub fn count(&mut self, frame: LinkFrame<'_>) -> Result<()> {
        match self {
            Self::Kernel(engine) => engine.count(frame),
            Self::Native(native) => {
                count_natively(native, frame);
                Ok(())
            }
        }
    }

    /// Whether an address lies in a watched network.
    pub fn is_watched(&self, address: IpAddr) -> bool {
        match self {
            Self::Kernel(engine) => engine.twin.is_watched(address),
            Self::Native(native) => native.is_watched(address),
        }
    }

    /// Frames that the twin counted for the kernel since the last call, by reason.
    pub fn take_fallbacks(&mut self) -> BTreeMap<String, u64> {
        match self {
            Self::Kernel(engine) => mem::take(&mut engine.fallbacks),
            Self::Native(_) => BTreeMap::new(),
        }
    }
}

impl KernelEngine {
    fn count(&mut self, frame: LinkFrame<'_>) -> Result<()> {
        let len = frame.captured.len();
        if (MIN_FRAME_LEN..=self.test_run.max_frame_len()).contains(&len) {
            let instance = self.kernel.instance(0)?;
            self.test_run.run_captured(instance, frame.captured, frame.wire_len, frame.frame_len)?;
            return Ok(());
        }
        let reason = if len < MIN_FRAME_LEN { "frame_too_short" } else { "frame_too_long" };
        *self.fallbacks.entry(reason.to_owned()).or_default() += 1;
        count_natively(&mut self.twin, frame);
        Ok(())
    }
}

/// The maps of the kernel, and behind them, as one slice more, what the twin remembers: it judges its frames by itself.
impl Rows for Engine {
    fn slices(&self) -> u32 {
        match self {
            Self::Kernel(engine) => engine.kernel.shared_maps().slices() + engine.twin.slices(),
            Self::Native(native) => native.slices(),
        }
    }

    fn rows(&self, slice: u32, each: &mut dyn FnMut(&Row)) {
        let (memory, slice) = self.at(slice);
        memory.rows(slice, each);
    }

    fn counterparts(&self, slice: u32, each: &mut dyn FnMut(&Row)) {
        let (memory, slice) = self.at(slice);
        memory.counterparts(slice, each);
    }

    fn neighbour(&self, slice: u32, number: u32) -> Option<Neighbour> {
        let (memory, slice) = self.at(slice);
        memory.neighbour(slice, number)
    }
}

impl Memory for Engine {
    fn set_clock(&mut self, clock: Clock) {
        self.each(|memory| memory.set_clock(clock));
    }

    fn allow(&mut self, network: u32, spending: Spending, more: u64, most: u64) {
        self.each(|memory| memory.allow(network, spending, more, most));
    }

    fn samples(&mut self, most: usize, each: &mut dyn FnMut(&Sample, &[u8]) -> Result<()>) -> Result<usize> {
        match self {
            Self::Kernel(engine) => Ok(engine.kernel.maps().samples(most, each)? + engine.twin.samples(most, each)?),
            Self::Native(native) => native.samples(most, each),
        }
    }

    fn know(&mut self, key: FlowKey, change: &dyn Fn(FlowState) -> FlowState) -> bool {
        let mut is_known = false;
        self.each(|memory| is_known |= memory.know(key, change));
        is_known
    }

    fn changes(&mut self, slice: u32, each: &mut dyn FnMut(u32)) {
        let (memory, slice) = self.at_mut(slice);
        memory.changes(slice, each);
    }

    fn open_entries(&self) -> u32 {
        self.at(0).0.open_entries()
    }

    fn open(&self, slice: u32, number: u32) -> Option<Open> {
        let (memory, slice) = self.at(slice);
        memory.open(slice, number)
    }
}

impl Engine {
    /// Does something with each memory there is.
    fn each(&mut self, mut each: impl FnMut(&mut dyn Memory)) {
        match self {
            Self::Kernel(engine) => {
                each(engine.kernel.maps());
                each(&mut engine.twin);
            }
            Self::Native(native) => each(&mut **native),
        }
    }

    /// Whose a slice is, and which of its own.
    fn at(&self, slice: u32) -> (&dyn Memory, u32) {
        match self {
            Self::Kernel(engine) => {
                let maps = engine.kernel.shared_maps();
                match slice.checked_sub(maps.slices()) {
                    Some(slice) => (&engine.twin, slice),
                    None => (maps, slice),
                }
            }
            Self::Native(native) => (&**native, slice),
        }
    }

    fn at_mut(&mut self, slice: u32) -> (&mut dyn Memory, u32) {
        match self {
            Self::Kernel(engine) => match slice.checked_sub(engine.kernel.shared_maps().slices()) {
                Some(slice) => (&mut engine.twin, slice),
                None => (engine.kernel.maps(), slice),
            },
            Self::Native(native) => (&mut **native, slice),
        }
    }
}

impl Meter for Engine {
    fn read(&mut self) -> Result<Reading> {
        match self {
            Self::Kernel(engine) => engine.kernel.read()?.plus(&engine.twin.read()?),
            Self::Native(native) => native.read(),
        }
    }
}

/// A twin of the program that a replay loads.
fn native(trie: Trie, set: &PrefixSet, labels: Option<LabelPlan<'_>>) -> Native {
    let native = Native::watching(trie, set, REPLAY_FLOWS).at_a_tap();
    match labels {
        Some(LabelPlan { trie, rows }) => native.labelling(trie.clone(), rows),
        None => native,
    }
}

fn count_natively(native: &mut Native, frame: LinkFrame<'_>) {
    native.count(&SliceWindow::captured(frame.captured, frame.wire_len, frame.frame_len));
}
