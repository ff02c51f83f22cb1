//! The two engines of a replay. Both compile the same body; their results are equal.

use std::{collections::BTreeMap, mem, net::IpAddr};

use anyhow::Result;
use clap::ValueEnum;
use sensor_ebpf::packet::SliceWindow;

use super::frame::LinkFrame;
use crate::{
    bpf::{Buffers, Hook, Kernel, MIN_FRAME_LEN, REPLAY_FLOWS, TestRun},
    collect::{Meter, Reading},
    native::Native,
    prefix::PrefixSet,
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
    Native(Native),
}

/// The kernel's program, and the twin for the frames that the kernel does not take.
pub struct KernelEngine {
    kernel: Kernel,
    test_run: TestRun,
    twin: Native,
    fallbacks: BTreeMap<String, u64>,
}

impl Engine {
    /// Makes an engine that counts for `set`.
    ///
    /// # Errors
    /// Missing rights, or a kernel that refuses the program.
    pub fn new(kind: EngineKind, set: &PrefixSet) -> Result<Self> {
        let trie = set.trie()?;
        if kind == EngineKind::Native {
            return Ok(Self::Native(Native::watching(trie, set, REPLAY_FLOWS).at_a_tap()));
        }
        let mut kernel = Kernel::load_for_replay(set, &trie)?;
        let instance = kernel.instance(0)?;
        let test_run = match TestRun::prepare(instance, Hook::Inline, Buffers::Several) {
            Ok(test_run) => test_run,
            Err(error) => {
                tracing::warn!("{error:#}; frames beyond one buffer are left to the native twin");
                TestRun::prepare(instance, Hook::Inline, Buffers::One)?
            }
        };
        let twin = Native::watching(trie, set, REPLAY_FLOWS).at_a_tap();
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

impl Meter for Engine {
    fn read(&mut self) -> Result<Reading> {
        match self {
            Self::Kernel(engine) => engine.kernel.read()?.plus(&engine.twin.read()?),
            Self::Native(native) => native.read(),
        }
    }
}

fn count_natively(native: &mut Native, frame: LinkFrame<'_>) {
    native.count(&SliceWindow::captured(frame.captured, frame.wire_len, frame.frame_len));
}
