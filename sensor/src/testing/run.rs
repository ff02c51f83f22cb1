//! Programs run over and over on one frame (`BPF_PROG_TEST_RUN`), and what that costs.

use std::{os::fd::BorrowedFd, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{clock, sys};
use crate::bpf::array::MappedArray;

/// Runs a program `repeat` times on a frame; returns its last verdict and the processor time of all runs together.
///
/// # Errors
/// The kernel does not run it.
pub fn repeat(program: BorrowedFd<'_>, frame: &[u8], repeat: u32) -> Result<(u32, Duration)> {
    let begin = clock::thread_time()?;
    let verdict = sys::test_run(program, frame, repeat, None).context("the kernel does not run the program")?;
    Ok((verdict, clock::thread_time()?.saturating_sub(begin)))
}

/// Runs a program on `count` live frames, `batch` at a time, which then go where it sends them.
///
/// # Errors
/// The kernel does not run it: live frames need Linux 5.18.
pub fn live(program: BorrowedFd<'_>, frame: &[u8], count: u32, batch: u32) -> Result<()> {
    sys::test_run(program, frame, count, Some(batch)).context("the kernel makes no live frames (Linux 5.18)").map(drop)
}

/// Writes values into a map of flat values from index `first` on; the map has `entries` of them.
///
/// # Errors
/// They do not fit, or the map cannot be mapped into memory.
pub fn write_map<T: bytemuck::Pod>(map: BorrowedFd<'_>, entries: u32, first: usize, values: &[T]) -> Result<()> {
    let array = MappedArray::<T>::new(map, entries as usize).context("cannot map it into memory")?;
    ensure!(array.store(first, values), "{} values from {first} on do not fit into {entries}", values.len());
    Ok(())
}
