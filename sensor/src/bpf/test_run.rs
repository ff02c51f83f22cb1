//! Frames through the loaded program without a network: `BPF_PROG_TEST_RUN`.

use anyhow::{Context, Result};
use aya::programs::{TestRun as _, TestRunOptions};

use super::{Buffers, Hook, Instance};

/// Fewest bytes the kernel takes: an Ethernet header (`ETH_HLEN`).
pub const MIN_FRAME_LEN: usize = 14;
/// Most bytes handed to a program for several buffers: what fits one buffer and `MAX_SKB_FRAGS` pages of 4 KiB.
pub const MAX_FRAME_LEN: usize = 65_536;
/// Most bytes handed to a program for one buffer: a page of 4 KiB, less headroom, metadata and what stands behind the frame.
const MAX_ONE_BUFFER_LEN: usize = 3_072;

/// `struct xdp_md` as the kernel takes it: offsets into the data, which begins with the metadata.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct XdpMd {
    data: u32,
    data_end: u32,
    data_meta: u32,
    ingress_ifindex: u32,
    rx_queue_index: u32,
    egress_ifindex: u32,
}

/// Lengths before the frame, in host byte order: what the wire held, what is counted.
const METADATA_LEN: u32 = 8;

/// A program to be run on frames, and the memory it takes to hand them over.
pub struct TestRun {
    hook: Hook,
    buffers: Buffers,
    buffer: Vec<u8>,
}

impl TestRun {
    /// Loads the program of that kind.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn prepare(instance: &mut Instance, hook: Hook, buffers: Buffers) -> Result<Self> {
        instance.program(hook, buffers)?;
        Ok(Self { hook, buffers, buffer: Vec::new() })
    }

    /// Longest frame the program can be run on, in captured bytes.
    pub fn max_frame_len(&self) -> usize {
        match self.buffers {
            Buffers::Several => MAX_FRAME_LEN,
            Buffers::One => MAX_ONE_BUFFER_LEN,
        }
    }

    /// Runs the program on a frame and returns its verdict.
    ///
    /// # Errors
    /// The kernel does not take the frame.
    pub fn run(&self, instance: &mut Instance, frame: &[u8]) -> Result<u32> {
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
        let program = instance.program(self.hook, self.buffers)?;
        let result = program.test_run(options).with_context(|| refused(frame.len()))?;
        Ok(result.return_value)
    }

    /// Runs the program of a replay on the captured bytes of a frame of `wire_len` bytes, to be counted as `frame_len`.
    ///
    /// # Errors
    /// The kernel does not take the frame.
    pub fn run_captured(
        &mut self,
        instance: &mut Instance,
        captured: &[u8],
        wire_len: u32,
        frame_len: u32,
    ) -> Result<u32> {
        self.buffer.clear();
        self.buffer.extend(wire_len.to_ne_bytes());
        self.buffer.extend(frame_len.to_ne_bytes());
        self.buffer.extend(captured);
        let context = XdpMd {
            data: METADATA_LEN,
            data_end: self.buffer.len() as u32,
            data_meta: 0,
            ingress_ifindex: 0,
            rx_queue_index: 0,
            egress_ifindex: 0,
        };
        let options = TestRunOptions {
            data_in: Some(&self.buffer),
            ctx_in: Some(bytemuck::bytes_of(&context)),
            ..TestRunOptions::new()
        };
        let program = instance.program(self.hook, self.buffers)?;
        let result = program.test_run(options).with_context(|| refused(captured.len()))?;
        Ok(result.return_value)
    }
}

fn refused(len: usize) -> String {
    format!("the kernel does not run the program on a frame of {len} bytes")
}
