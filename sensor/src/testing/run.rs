//! Programs run over and over on one frame (`BPF_PROG_TEST_RUN`), and what that costs.

use std::{os::fd::BorrowedFd, time::Duration};

use anyhow::{Context, Result};

use super::sys;

/// Runs a program `repeat` times on a frame; returns its last verdict and the processor time of all runs together.
///
/// # Errors
/// The kernel does not run it.
pub fn repeat(program: BorrowedFd<'_>, frame: &[u8], repeat: u32) -> Result<(u32, Duration)> {
    let begin = cpu_time()?;
    let verdict = sys::test_run(program, frame, repeat, None).context("the kernel does not run the program")?;
    Ok((verdict, cpu_time()?.saturating_sub(begin)))
}

/// Runs a program on `count` live frames, `batch` at a time, which then go where it sends them.
///
/// # Errors
/// The kernel does not run it: live frames need Linux 5.18.
pub fn live(program: BorrowedFd<'_>, frame: &[u8], count: u32, batch: u32) -> Result<()> {
    sys::test_run(program, frame, count, Some(batch)).context("the kernel makes no live frames (Linux 5.18)").map(drop)
}

/// Processor time of this thread so far.
///
/// # Errors
/// The kernel does not say.
pub fn cpu_time() -> Result<Duration> {
    sys::thread_cpu_time().context("cannot read the processor time of this thread")
}

/// Keeps this thread on one CPU.
///
/// # Errors
/// There is no such CPU, or it is not for this process.
pub fn pin_to_cpu(cpu: usize) -> Result<()> {
    sys::pin_to_cpu(cpu).with_context(|| format!("cannot stay on CPU {cpu}"))
}

/// Writes values into a map of flat values from index `first` on; the map has `entries` of them.
///
/// # Errors
/// They do not fit, or the map cannot be mapped into memory.
pub fn write_map<T: bytemuck::Pod>(map: BorrowedFd<'_>, entries: u32, first: usize, values: &[T]) -> Result<()> {
    let (len, offset) = (entries as usize * size_of::<T>(), first * size_of::<T>());
    sys::write_map(map, len, offset, bytemuck::cast_slice(values)).context("cannot write into the map")
}
