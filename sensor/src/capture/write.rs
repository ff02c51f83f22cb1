//! Writing of captures: what tests and demonstrations need to make the files that the reader is shown.
//!
//! Both writers go to any [`Write`]; for gzip give them a `flate2::write::GzEncoder`, and buffer a file yourself.

use std::io::{self, Write};

use super::{Drops, LinkType, MAX_FRAME_LEN, Timestamp, time::Clock};

/// Snap length stated in file headers: everything the reader accepts.
const SNAP_LEN: u32 = MAX_FRAME_LEN;
/// Block types of pcapng (draft-ietf-opsawg-pcapng, section 10.1).
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
/// Options of an interface description.
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;
/// Options of interface statistics.
const ISB_IFDROP: u16 = 5;
const ISB_OSDROP: u16 = 7;
const END_OF_OPTIONS: u16 = 0;

/// Byte order of the headers in a capture file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant byte first, as nearly all files have it.
    #[default]
    Little,
    /// Most significant byte first.
    Big,
}

impl ByteOrder {
    /// The bytes of a 16-bit field.
    #[must_use]
    pub const fn u16(self, value: u16) -> [u8; 2] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    /// The bytes of a 32-bit field.
    #[must_use]
    pub const fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    /// The bytes of a 64-bit field.
    #[must_use]
    pub const fn i64(self, value: i64) -> [u8; 8] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }
}

/// Unit of the time stamps in classic pcap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Magic `a1b2c3d4`.
    Micros,
    /// Magic `a1b23c4d`.
    #[default]
    Nanos,
}

/// Writes classic pcap.
#[derive(Debug)]
pub struct PcapWriter<W> {
    out: W,
    order: ByteOrder,
    precision: Precision,
}

impl<W: Write> PcapWriter<W> {
    /// Starts a little-endian file with nanoseconds.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W, link_type: LinkType) -> io::Result<Self> {
        Self::with(out, link_type, ByteOrder::default(), Precision::default())
    }

    /// Starts a file of the given byte order and precision.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn with(mut out: W, link_type: LinkType, order: ByteOrder, precision: Precision) -> io::Result<Self> {
        let magic = match precision {
            Precision::Micros => 0xa1b2_c3d4,
            Precision::Nanos => 0xa1b2_3c4d,
        };
        out.write_all(&order.u32(magic))?;
        out.write_all(&order.u16(2))?;
        out.write_all(&order.u16(4))?;
        for field in [0, 0, SNAP_LEN, link_type.number()] {
            out.write_all(&order.u32(field))?;
        }
        Ok(Self { out, order, precision })
    }

    /// Writes one frame of `wire_len` bytes on the wire, of which `data` was captured. The format holds the years 1970
    /// to 2106.
    ///
    /// # Errors
    /// Those of `out`; a frame or time too large for the format.
    pub fn write_frame(&mut self, at: Timestamp, wire_len: u32, data: &[u8]) -> io::Result<()> {
        let (seconds, nanos) = at.to_parts();
        let seconds = u32::try_from(seconds).map_err(|_| too_large("time stamp"))?;
        let fraction = match self.precision {
            Precision::Micros => nanos / 1_000,
            Precision::Nanos => nanos,
        };
        for field in [seconds, fraction, frame_len(data)?, wire_len] {
            self.out.write_all(&self.order.u32(field))?;
        }
        self.out.write_all(data)
    }

    /// Gives the output back.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// An interface of a pcapng section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceOptions {
    /// What its frames start with.
    pub link_type: LinkType,
    /// Captured bytes at most; 0: no limit.
    pub snap_len: u32,
    /// Option `if_tsresol`: the negative power of 10, or with the top bit of 2, that is the unit of its time stamps.
    pub resolution: u8,
    /// Option `if_tsoffset`: seconds to add to its time stamps.
    pub offset: i64,
}

impl InterfaceOptions {
    /// An interface that counts nanoseconds.
    #[must_use]
    pub const fn new(link_type: LinkType) -> Self {
        Self { link_type, snap_len: 0, resolution: 9, offset: 0 }
    }
}

/// Writes pcapng.
#[derive(Debug)]
pub struct PcapngWriter<W> {
    out: W,
    order: ByteOrder,
    clocks: Vec<Clock>,
}

impl<W: Write> PcapngWriter<W> {
    /// Starts a file with a section of the given byte order.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W, order: ByteOrder) -> io::Result<Self> {
        let mut writer = Self { out, order, clocks: vec![] };
        writer.start_section(order)?;
        Ok(writer)
    }

    /// Starts a further section; interfaces are numbered from 0 again.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn start_section(&mut self, order: ByteOrder) -> io::Result<()> {
        self.order = order;
        self.clocks.clear();
        let mut body = order.u32(0x1a2b_3c4d).to_vec();
        body.extend(order.u16(1));
        body.extend(order.u16(0));
        body.extend(order.i64(-1));
        self.write_block(SECTION_HEADER, &body)
    }

    /// Describes an interface and gives its number in the section.
    ///
    /// # Errors
    /// Those of `out`; a link type above 65,535.
    pub fn add_interface(&mut self, options: InterfaceOptions) -> io::Result<u32> {
        let order = self.order;
        let link_type = u16::try_from(options.link_type.number()).map_err(|_| too_large("link type"))?;
        let mut body = order.u16(link_type).to_vec();
        body.extend(order.u16(0));
        body.extend(order.u32(options.snap_len));
        self.push_option(&mut body, IF_TSRESOL, &[options.resolution]);
        if options.offset != 0 {
            self.push_option(&mut body, IF_TSOFFSET, &order.i64(options.offset));
        }
        self.push_option(&mut body, END_OF_OPTIONS, &[]);
        self.write_block(INTERFACE_DESCRIPTION, &body)?;
        self.clocks.push(Clock::new(options.resolution, options.offset));
        Ok(self.clocks.len() as u32 - 1)
    }

    /// Writes one frame as an Enhanced Packet Block.
    ///
    /// # Errors
    /// Those of `out`; an interface that was not added, a frame too large.
    pub fn write_frame(&mut self, interface: u32, at: Timestamp, wire_len: u32, data: &[u8]) -> io::Result<()> {
        let clock = self.clocks.get(interface as usize).ok_or_else(|| too_large("interface number"))?;
        let ticks = clock.ticks(at);
        let mut body = Vec::with_capacity(data.len() + 24);
        for field in [interface, (ticks >> 32) as u32, ticks as u32, frame_len(data)?, wire_len] {
            body.extend(self.order.u32(field));
        }
        body.extend(data);
        self.write_block(ENHANCED_PACKET, &body)
    }

    /// Writes one frame of interface 0 as a Simple Packet Block, without a time. How much of it counts as captured
    /// follows from the snap length of the interface: `data` must be that long.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_simple(&mut self, wire_len: u32, data: &[u8]) -> io::Result<()> {
        let mut body = self.order.u32(wire_len).to_vec();
        body.extend(data);
        self.write_block(SIMPLE_PACKET, &body)
    }

    /// Writes what was dropped at an interface since the capture began.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_drops(&mut self, interface: u32, drops: Drops) -> io::Result<()> {
        // The interface, and a time in two words that nobody asks for.
        let mut body = [interface, 0, 0].map(|field| self.order.u32(field)).concat();
        for (option, packets) in [(ISB_IFDROP, drops.interface), (ISB_OSDROP, drops.system)] {
            self.push_option(&mut body, option, &self.order.i64(packets.cast_signed()));
        }
        self.push_option(&mut body, END_OF_OPTIONS, &[]);
        self.write_block(INTERFACE_STATISTICS, &body)
    }

    /// Writes a block of any type; the body is padded to a multiple of 4 bytes.
    ///
    /// # Errors
    /// Those of `out`; a body of 4 GiB.
    pub fn write_block(&mut self, block_type: u32, body: &[u8]) -> io::Result<()> {
        let padded = body.len().next_multiple_of(4);
        let block_len = u32::try_from(padded + 12).map_err(|_| too_large("block"))?;
        self.out.write_all(&self.order.u32(block_type))?;
        self.out.write_all(&self.order.u32(block_len))?;
        self.out.write_all(body)?;
        self.out.write_all(&[0; 3][..padded - body.len()])?;
        self.out.write_all(&self.order.u32(block_len))
    }

    /// Gives the output back.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn push_option(&self, body: &mut Vec<u8>, code: u16, value: &[u8]) {
        body.extend(self.order.u16(code));
        body.extend(self.order.u16(value.len() as u16));
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
}

fn frame_len(data: &[u8]) -> io::Result<u32> {
    u32::try_from(data.len()).map_err(|_| too_large("frame"))
}

fn too_large(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what} does not fit into the capture format"))
}
