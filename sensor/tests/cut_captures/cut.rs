//! One capture cut at many places, each read to its end as a replay does.

use std::{
    io::{self, Read},
    sync::Arc,
};

use sensor::{
    capture::{Capture, DamageKind},
    collect::Meter,
    prefix::SetBuilder,
    replay::{Engine, EngineKind, Framer},
};
use sensor_ebpf::abi::Side;

use crate::walk::Shape;

/// The first bytes of something, as a file that was cut there.
struct Cut {
    bytes: Arc<[u8]>,
    at: usize,
    end: usize,
}

impl Read for Cut {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(self.end - self.at);
        buffer[..len].copy_from_slice(&self.bytes[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

/// What reading a cut capture gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Frames delivered, and counted; bytes on the wire counted.
    pub(crate) frames: u64,
    pub(crate) counted: u64,
    pub(crate) bytes: u64,
    pub(crate) damage: Option<(DamageKind, u64)>,
}

/// An engine that goes on counting, and how much was read with it.
pub(crate) struct Reader {
    engine: Engine,
    framer: Framer,
    seen: (u64, u64),
    /// Where the capture in work is being cut, for the report of a panic.
    pub(crate) cut: usize,
    pub(crate) cuts: u64,
    pub(crate) frames: u64,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let mut builder = SetBuilder::default();
        builder.watch("everything", ["0.0.0.0/0", "::/0"].map(|text| text.parse().unwrap())).unwrap();
        let engine = Engine::new(EngineKind::Native, &builder.build().unwrap(), None).unwrap();
        Self { engine, framer: Framer::default(), seen: (0, 0), cut: 0, cuts: 0, frames: 0 }
    }

    /// Reads and counts the first `len` bytes of a capture, plain or gzip; the message of the error where it is none.
    pub(crate) fn read(&mut self, bytes: &Arc<[u8]>, len: usize) -> Result<Outcome, String> {
        self.cut = len;
        self.cuts += 1;
        let cut = Cut { bytes: Arc::clone(bytes), at: 0, end: len };
        let mut capture = Capture::from_reader(cut, "cut").map_err(|error| error.to_string())?;
        let mut frames = 0;
        while let Some(frame) = capture.next().unwrap() {
            self.engine.count(self.framer.ethernet(&frame)).unwrap();
            frames += 1;
        }
        self.frames += frames;
        assert_eq!(capture.frames(), frames);
        let damage = capture.damage().map(|damage| {
            assert_eq!(damage.frames, frames, "{damage}");
            (damage.kind.clone(), damage.offset)
        });
        let seen = self.engine.read().unwrap().ledger[Side::Rx as usize].seen();
        let (counted, bytes) = (seen.packets - self.seen.0, seen.frame_bytes - self.seen.1);
        self.seen = (seen.packets, seen.frame_bytes);
        Ok(Outcome { frames, counted, bytes, damage })
    }

    /// Cuts a plain capture: what is left must be what the lengths in it say, and damage be where the cut one starts. `damaged` is
    /// where the capture is damaged by itself.
    pub(crate) fn check(&mut self, bytes: &Arc<[u8]>, shape: &Shape, damaged: Option<usize>, len: usize) {
        let outcome = self.read(bytes, len);
        if len < shape.header {
            refused(&outcome, len);
            return;
        }
        let (frames, wire, end) = shape.cut(len);
        // Behind the place where the capture is damaged anyway, the cut may be what is noticed first, or not.
        let kind = match &outcome {
            Ok(Outcome { damage: Some((kind, _)), .. }) if damaged == Some(end) => kind.clone(),
            _ => DamageKind::Cut,
        };
        let damage = (len > end).then_some((kind, end as u64));
        let expected = Outcome { frames, counted: frames, bytes: wire, damage };
        assert_eq!(outcome, Ok(expected), "cut after {len} bytes");
    }

    /// The same for gzip; `plain` is how many bytes of the capture with that shape can be had from what is left, and whether the
    /// stream ends there as it should.
    pub(crate) fn check_gzip(&mut self, bytes: &Arc<[u8]>, shape: &Shape, (plain, whole): (usize, bool), len: usize) {
        let outcome = self.read(bytes, len);
        if plain < shape.header {
            refused(&outcome, len);
            return;
        }
        let (frames, wire, end) = shape.cut(plain);
        let kind = if whole { DamageKind::Cut } else { DamageKind::GzipCut };
        let damage = (!whole || plain > end).then_some((kind, end as u64));
        let expected = Outcome { frames, counted: frames, bytes: wire, damage };
        assert_eq!(outcome, Ok(expected), "gzip cut after {len} bytes, {plain} of the capture");
    }
}

/// A capture without its header is none: one line says so.
fn refused(outcome: &Result<Outcome, String>, len: usize) {
    let Err(message) = outcome else { panic!("{len} bytes are no capture: {outcome:?}") };
    assert!(!message.is_empty() && !message.contains('\n'), "{message}");
}
