//! What can be wrong with a capture: errors that refuse it, damage that ends it.

use std::{fmt, io};

use thiserror::Error;

use super::{MAX_BLOCK_LEN, MAX_FRAME_LEN, MAX_INTERFACES};

/// Bytes that tell the format of a file.
pub(super) const MAGIC_LEN: usize = 4;

/// Other formats that are often handed over by mistake: first bytes, name, what to do.
const FOREIGN: [(&[u8], &str, &str); 8] = [
    (&[0xa1, 0xb2, 0xcd, 0x34], "modified pcap (Kuznetzov)", "convert it with editcap -F pcap"),
    (&[0x34, 0xcd, 0xb2, 0xa1], "modified pcap (Kuznetzov)", "convert it with editcap -F pcap"),
    (b"snoo", "snoop", "convert it with editcap -F pcap"),
    (b"GMBU", "Microsoft network monitor", "convert it with editcap -F pcap"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd", "decompress it first, or pipe it: zstdcat FILE | sensor replay -"),
    (&[0xfd, b'7', b'z', b'X'], "xz", "decompress it first, or pipe it: xzcat FILE | sensor replay -"),
    (b"BZh", "bzip2", "decompress it first, or pipe it: bzcat FILE | sensor replay -"),
    (b"PK\x03\x04", "zip", "unpack it first, or pipe it: unzip -p FILE | sensor replay -"),
];

/// A source that cannot be read as a capture. Each message is one line and says what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be opened.
    #[error("cannot open {name}; check the path and its permissions")]
    Open {
        /// Path as given.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// Reading failed half way; not a malformed capture.
    #[error("cannot read {name} at byte {offset}; check the disk or the pipe it comes from")]
    Read {
        /// Path as given, or `standard input`.
        name: String,
        /// Uncompressed bytes consumed before.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The path names a directory.
    #[error("{name} is a directory; name the capture files in it")]
    Directory {
        /// Path as given.
        name: String,
    },
    /// There is not one byte in it.
    #[error("{name} is empty; record it again, or check the pipe it comes from")]
    Empty {
        /// Path as given, or `standard input`.
        name: String,
    },
    /// The first bytes belong to no known format.
    #[error("{name} is not a capture (it starts with {magic}); give a pcap or pcapng file, plain or gzip")]
    NotACapture {
        /// Path as given, or `standard input`.
        name: String,
        /// The first bytes in hexadecimal.
        magic: String,
    },
    /// A format that is known but not read.
    #[error("{name} is a {format} file, which is not supported; {fix}")]
    Unsupported {
        /// Path as given, or `standard input`.
        name: String,
        /// Name of the format.
        format: String,
        /// What the user can do.
        fix: &'static str,
    },
    /// The file ends before its header does: there is no frame, and no link type either.
    #[error("{name} ends inside its file header, after {len} bytes; record it again")]
    HeaderCut {
        /// Path as given, or `standard input`.
        name: String,
        /// Uncompressed bytes there are.
        len: usize,
    },
    /// The file header contradicts itself.
    #[error(
        "{name} starts like a capture but its file header is malformed; record it again, or repair it with pcapfix"
    )]
    HeaderMalformed {
        /// Path as given, or `standard input`.
        name: String,
    },
}

/// The error for a source that starts with no magic number of ours.
pub(super) fn refuse(head: &[u8], name: &str) -> CaptureError {
    let name = name.to_owned();
    match FOREIGN.iter().find(|(magic, _, _)| head.starts_with(magic)) {
        Some(&(_, format, fix)) => CaptureError::Unsupported { name, format: format.to_owned(), fix },
        None => CaptureError::NotACapture { name, magic: hex(&head[..head.len().min(MAGIC_LEN)]) },
    }
}

/// Why the header of a capture could not be used.
#[derive(Debug)]
pub(super) enum OpenError {
    /// The source cannot be read.
    Io(io::Error),
    /// It ends before the header does.
    Cut,
    /// The header contradicts itself.
    Malformed,
}

impl From<io::Error> for OpenError {
    fn from(source: io::Error) -> Self {
        Self::Io(source)
    }
}

impl OpenError {
    /// The error for the source called `name`, of which `len` bytes are at hand.
    pub(super) fn named(self, name: &str, len: usize) -> CaptureError {
        let name = name.to_owned();
        match self {
            Self::Io(source) => CaptureError::Read { name, offset: 0, source },
            Self::Cut => CaptureError::HeaderCut { name, len },
            Self::Malformed => CaptureError::HeaderMalformed { name },
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where and why a capture ended early. Everything before was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong.
    pub kind: DamageKind,
    /// Where the record or block in question starts, in bytes of the uncompressed capture.
    pub offset: u64,
    /// Frames delivered before.
    pub frames: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, offset, frames } = self;
        let plural = if *frames == 1 { "" } else { "s" };
        write!(f, "{kind} at byte {offset}, after {frames} frame{plural}; what follows is not read")
    }
}

/// The ways a capture can be damaged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DamageKind {
    /// The file ends inside a record or block.
    #[error("the capture is cut inside a record")]
    Cut,
    /// The gzip stream ends early.
    #[error("the gzip stream is cut")]
    GzipCut,
    /// The gzip stream is corrupt, or followed by something else.
    #[error("the gzip stream is malformed")]
    GzipMalformed,
    /// A frame claims more captured bytes than any tool writes.
    #[error("a frame claims {0} captured bytes (at most {MAX_FRAME_LEN} are accepted)")]
    FrameLength(u32),
    /// A block length below 12, above the bound or no multiple of 4.
    #[error("a block claims {0} bytes (accepted: multiples of 4 up to {MAX_BLOCK_LEN})")]
    BlockLength(u32),
    /// The length behind a block is not the one before it.
    #[error("a block of {first} bytes ends with the length {last}")]
    BlockTrailer {
        /// Length in the block's header.
        first: u32,
        /// Length in its trailer.
        last: u32,
    },
    /// The fields of a block do not fit into it.
    #[error("a block of type {0:#x} is malformed")]
    Block(u32),
    /// A section of an unknown major version, or without a byte-order magic.
    #[error("a section header is malformed or of an unknown version")]
    Section,
    /// A frame of an interface that its section does not describe.
    #[error("a frame names interface {0}, which its section does not describe")]
    Interface(u32),
    /// More interfaces than accepted.
    #[error("more than {MAX_INTERFACES} interfaces")]
    Interfaces,
}
