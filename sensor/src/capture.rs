//! Reading of packet captures: classic pcap and pcapng, plain or gzip, from a file or standard input.
//!
//! [`Capture`] hands out one [`Frame`] at a time, borrowed from the read buffer, so a frame is copied once (from the
//! kernel) or twice (gzip) and memory stays bounded whatever the file claims about itself. The reader delivers frames of
//! every link type; which of them make sense is for the caller to say.
//!
//! A file that is no capture is an error. A capture that breaks off or turns malformed half way is not: everything before
//! that place is delivered, then [`Capture::next`] ends and [`Capture::damage`] says what is wrong and where.
//!
//! The bodies of blocks are decoded by `pcap-parser`; its streaming readers are not used, because they need a first read
//! of at least one whole header (pipes and gzip give less), have no bound on a block's length and report a malformed block
//! and one that is not yet read alike. Framing, bounds and offsets are decided in this module.

mod classic;
#[cfg(test)]
mod corpus;
mod error;
mod link;
mod pcapng;
#[cfg(test)]
mod tests;
mod time;
mod window;
pub mod write;

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    ops::Range,
    path::Path,
};

use self::{error::OpenError, window::Window};
pub use self::{
    error::{CaptureError, Damage, DamageKind},
    link::LinkType,
    time::Timestamp,
};

/// Longest frame accepted, in captured bytes: tcpdump's `MAXIMUM_SNAPLEN`. A longer one is damage, not a frame.
pub const MAX_FRAME_LEN: u32 = 262_144;
/// Longest pcapng block accepted, in bytes with its header and trailer; the bound of Wireshark. Also the largest buffer
/// the reader ever allocates.
pub const MAX_BLOCK_LEN: u32 = 16 << 20;
/// Most interfaces accepted in one capture file, all sections together.
pub const MAX_INTERFACES: u32 = 65_536;

/// One captured frame, borrowed from the reader until the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// When the frame was captured. A pcapng simple packet block carries no time: it takes that of the frame before it
    /// (the epoch where there is none).
    pub timestamp: Timestamp,
    /// Index of the interface, counted through all sections of the file from 0; always 0 in classic pcap.
    pub interface: u32,
    /// What the first byte of `data` is.
    pub link_type: LinkType,
    /// Length on the wire in bytes, as the file states it; link header included.
    pub wire_len: u32,
    /// The captured bytes: at most [`MAX_FRAME_LEN`], and at most `wire_len` unless the file is odd.
    pub data: &'a [u8],
}

/// Packets that were dropped when a capture was made, as it says itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// By the interface, for want of room (`isb_ifdrop`).
    pub interface: u64,
    /// By the operating system (`isb_osdrop`).
    pub system: u64,
}

/// A capture being read, front to back.
pub struct Capture {
    window: Window,
    format: Format,
    name: String,
    size: Option<u64>,
    /// Bytes of the window that belong to the frame handed out last.
    lent: usize,
    frames: u64,
    state: State,
}

enum Format {
    Classic(classic::Classic),
    Pcapng(pcapng::Pcapng),
}

enum State {
    Reading,
    Ended,
    Damaged(Damage),
}

/// A frame without the borrow: where its bytes stand in the window.
struct Record {
    timestamp: Timestamp,
    interface: u32,
    link_type: LinkType,
    wire_len: u32,
    /// Bytes of the frame, relative to the start of the window.
    data: Range<usize>,
    /// Bytes from the start of the window to the end of the record.
    record_len: usize,
}

/// What one look at the window gave.
enum Step {
    Frame(Record),
    /// A block without a frame, already consumed.
    Skipped,
    /// The file ends where a record may end.
    End,
    Damaged(DamageKind),
}

impl Capture {
    /// Opens a capture file, or standard input when `path` is `-`.
    ///
    /// # Errors
    /// The file cannot be read, is a directory, empty, not a capture or of a format that is not supported.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        if path == Path::new("-") {
            return Self::from_reader(io::stdin(), "standard input");
        }
        let name = path.display().to_string();
        let open_error = |source| CaptureError::Open { name: name.clone(), source };
        let file = File::open(path).map_err(open_error)?;
        let metadata = file.metadata().map_err(open_error)?;
        if metadata.is_dir() {
            return Err(CaptureError::Directory { name });
        }
        let mut capture = Self::from_reader(file, &name)?;
        // A pipe or device states the length 0: no size to show progress against.
        capture.size = metadata.is_file().then_some(metadata.len());
        Ok(capture)
    }

    /// Reads a capture from any source of bytes; `name` stands for it in error messages.
    ///
    /// # Errors
    /// As [`Capture::open`].
    pub fn from_reader(reader: impl Read + Send + 'static, name: &str) -> Result<Self, CaptureError> {
        let mut window = Window::open(Box::new(reader), name)?;
        let format = Format::detect(&mut window, name)?;
        Ok(Self { window, format, name: name.to_owned(), size: None, lent: 0, frames: 0, state: State::Reading })
    }

    /// Reads the next frame; `None` at the end of the capture or where it is damaged (see [`Capture::damage`]).
    ///
    /// # Errors
    /// The source cannot be read any further (an I/O error, not a malformed capture).
    #[expect(clippy::should_implement_trait, reason = "a lending iterator: the frame borrows from the reader")]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        self.window.consume(std::mem::take(&mut self.lent));
        while let State::Reading = self.state {
            let step = match &mut self.format {
                Format::Classic(classic) => classic.step(&mut self.window),
                Format::Pcapng(pcapng) => pcapng.step(&mut self.window),
            };
            let step = step.map_err(|source| CaptureError::Read {
                name: self.name.clone(),
                offset: self.window.offset(),
                source,
            })?;
            match step {
                Step::Skipped => {}
                Step::Frame(record) => {
                    self.lent = record.record_len;
                    self.frames += 1;
                    return Ok(Some(Frame {
                        timestamp: record.timestamp,
                        interface: record.interface,
                        link_type: record.link_type,
                        wire_len: record.wire_len,
                        data: &self.window.data()[record.data],
                    }));
                }
                Step::End => {
                    // A gzip stream may break exactly between two records: still a cut capture.
                    self.state = match self.window.broken() {
                        Some(kind) => State::Damaged(self.damage_here(kind)),
                        None => State::Ended,
                    };
                }
                Step::Damaged(kind) => {
                    let kind = self.window.broken().filter(|_| kind == DamageKind::Cut).unwrap_or(kind);
                    self.state = State::Damaged(self.damage_here(kind));
                }
            }
        }
        Ok(None)
    }

    /// What ended the reading early, once [`Capture::next`] returned `None`.
    #[must_use]
    pub fn damage(&self) -> Option<&Damage> {
        match &self.state {
            State::Damaged(damage) => Some(damage),
            State::Reading | State::Ended => None,
        }
    }

    /// What the capture said up to here that was dropped when it was made, since the last call. Classic pcap cannot say it, and most
    /// programs write it at the end.
    pub fn take_drops(&mut self) -> Drops {
        match &mut self.format {
            Format::Classic(_) => Drops::default(),
            Format::Pcapng(pcapng) => pcapng.take_drops(),
        }
    }

    /// Bytes taken from the source so far: compressed ones where it is gzip, read-ahead included. For a progress bar
    /// against [`Capture::size`].
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.window.bytes_read()
    }

    /// Size of the source in bytes when it is a regular file.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The link type of all frames, where the file states one at its start: classic pcap does, pcapng has one for each interface.
    #[must_use]
    pub fn link_type(&self) -> Option<LinkType> {
        match &self.format {
            Format::Classic(classic) => Some(classic.link_type()),
            Format::Pcapng(_) => None,
        }
    }

    /// Frames delivered so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    fn damage_here(&self, kind: DamageKind) -> Damage {
        Damage { kind, offset: self.window.offset(), frames: self.frames }
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, frames, .. } = self;
        f.debug_struct("Capture").field("name", name).field("frames", frames).finish_non_exhaustive()
    }
}

impl Format {
    /// Reads the file header (classic) or checks the first section header (pcapng).
    fn detect(window: &mut Window, name: &str) -> Result<Self, CaptureError> {
        let whole = window.fill_to(error::MAGIC_LEN).map_err(|source| OpenError::Io(source).named(name, 0))?;
        if window.data().is_empty() && window.broken().is_none() {
            return Err(CaptureError::Empty { name: name.to_owned() });
        }
        let format = if classic::is_magic(window.data()) {
            classic::Classic::open(window).map(Self::Classic)
        } else if pcapng::is_magic(window.data()) {
            pcapng::Pcapng::open(window).map(Self::Pcapng)
        } else if !whole && window.broken().is_some() {
            Err(OpenError::Cut)
        } else {
            return Err(error::refuse(window.data(), name));
        };
        format.map_err(|error| error.named(name, window.data().len()))
    }
}
