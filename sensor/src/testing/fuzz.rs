//! What the fuzzers do with their bytes; a test does the same with the committed seeds.
//!
//! An error is a defect of the sensor, as a panic is: input that is refused is none.

use std::{cell::RefCell, path::Path};

use anyhow::{Context as _, Result, ensure};
use sensor_ebpf::{
    abi::{Cell, Outcome},
    packet::SliceWindow,
};

use crate::{capture::Capture, collect::Meter as _, config::Config, native::Native, prefix::SetBuilder};

/// What the inputs are called in messages.
const NAME: &str = "fuzz";

thread_local! {
    /// Watching everything; made once, because its table is large.
    static NATIVE: RefCell<Option<Native>> = const { RefCell::new(None) };
}

/// A frame: two bytes that say how much longer it was on the wire than what follows them.
///
/// # Errors
/// It was not counted exactly once, or as more bytes than the wire held.
pub fn frame(bytes: &[u8]) -> Result<()> {
    let Some((more, frame)) = bytes.split_first_chunk::<2>() else { return Ok(()) };
    let wire_len = frame.len() as u32 + u32::from(u16::from_be_bytes(*more));
    NATIVE.with_borrow_mut(|native| {
        let native = match native {
            Some(native) => native,
            None => native.insert(watching_everything()?),
        };
        let before = native.read()?;
        let outcome = native.count(&SliceWindow::captured(frame, wire_len, wire_len));
        let counted = native.read()?.since(&before)?;
        let seen = counted.ledger().first().context("no ledger")?.seen();
        ensure!(outcome != Cell::outcome(Outcome::Other), "everything is watched");
        ensure!((seen.packets, seen.frame_bytes) == (1, wire_len.into()), "{seen:?} of one frame of {wire_len} bytes");
        ensure!(seen.bytes <= wire_len.into(), "{seen:?} in a frame of {wire_len} bytes");
        Ok(())
    })
}

/// A capture file: read to its end, every frame within its bounds.
///
/// # Errors
/// A frame is longer than the file.
pub fn capture(bytes: &[u8]) -> Result<()> {
    let Ok(mut capture) = Capture::from_reader(std::io::Cursor::new(bytes.to_vec()), NAME) else { return Ok(()) };
    while let Ok(Some(frame)) = capture.next() {
        ensure!(frame.data.len() <= crate::capture::MAX_FRAME_LEN as usize, "a frame of {} bytes", frame.data.len());
    }
    Ok(())
}

/// A configuration file: read or refused.
///
/// # Errors
/// It was refused without a message.
pub fn config(bytes: &[u8]) -> Result<()> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(()) };
    match Config::parse(text, Path::new(NAME)) {
        Ok(config) => ensure!(!config.interfaces.is_empty(), "a configuration without interface"),
        Err(error) => ensure!(!error.to_string().is_empty(), "no message"),
    }
    Ok(())
}

/// A folder of the spool, as `spool::fuzz` reads one from bytes: opened, read, appended to, and what was appended is delivered.
///
/// # Errors
/// It is not.
pub fn spool(bytes: &[u8]) -> Result<()> {
    crate::spool::fuzz::run(bytes)
}

fn watching_everything() -> Result<Native> {
    let mut builder = SetBuilder::default();
    builder.watch(NAME, ["0.0.0.0/0".parse()?, "::/0".parse()?])?;
    let set = builder.build()?;
    Ok(Native::new(set.trie()?, set.len()))
}
