//! pcapng: sections of typed blocks (draft-ietf-opsawg-pcapng).

use std::io;

use pcap_parser::{
    EPB_MAGIC, IDB_MAGIC, ISB_MAGIC, InterfaceDescriptionBlock, OptionCode, PcapNGOption, SHB_MAGIC, SPB_MAGIC,
    parse_enhancedpacketblock_be, parse_enhancedpacketblock_le, parse_interfacedescriptionblock_be,
    parse_interfacedescriptionblock_le, parse_interfacestatisticsblock_be, parse_interfacestatisticsblock_le,
    parse_sectionheaderblock, parse_simplepacketblock_be, parse_simplepacketblock_le,
};

use super::{
    DamageKind, Drops, LinkType, MAX_BLOCK_LEN, MAX_FRAME_LEN, MAX_INTERFACES, Record, Step, Timestamp,
    error::OpenError, time::Clock, window::Window,
};

/// The smallest block in bytes: type, length, length again.
const MIN_BLOCK_LEN: usize = 12;
/// Length of the trailer in bytes: the block length once more.
const TRAILER_LEN: usize = 4;
/// Byte-order magic of a section header as a big-endian section stores it.
const BIG_ENDIAN_MAGIC: [u8; 4] = [0x1a, 0x2b, 0x3c, 0x4d];
/// The same in a little-endian section.
const LITTLE_ENDIAN_MAGIC: [u8; 4] = [0x4d, 0x3c, 0x2b, 0x1a];
/// The only major version there is.
const VERSION_MAJOR: u16 = 1;
/// Block type of the obsolete Packet Block, which `pcap-parser` does not decode.
const PACKET_BLOCK: u32 = 2;
/// What writers set where they do not know a number of an Interface Statistics Block.
const UNKNOWN: u64 = u64::MAX;
/// Where the frame starts in an Enhanced Packet Block, and in the obsolete Packet Block too.
const PACKET_DATA: usize = 28;
/// Where the frame starts in a Simple Packet Block.
const SIMPLE_PACKET_DATA: usize = 12;

/// The section being read.
pub(super) struct Pcapng {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// Interfaces of the sections before.
    interface_base: u32,
    /// Time of the last frame: a Simple Packet Block has none of its own.
    last: Timestamp,
    /// Since somebody asked.
    drops: Drops,
}

struct Interface {
    link_type: LinkType,
    /// Captured bytes at most; 0: no limit.
    snap_len: u32,
    clock: Clock,
    /// Told of it so far.
    drops: Drops,
}

/// A packet block of either kind, before its interface is looked up.
struct Packet {
    interface: u32,
    ticks: u64,
    captured: u32,
    wire_len: u32,
}

/// Whether a file starts like pcapng. The type of a section header reads the same in both byte orders.
pub(super) fn is_magic(head: &[u8]) -> bool {
    head.starts_with(&SHB_MAGIC.to_be_bytes())
}

impl Pcapng {
    /// Checks the first section header, and leaves it to be read.
    pub(super) fn open(window: &mut Window) -> Result<Self, OpenError> {
        let mut pcapng = Self {
            big_endian: false,
            interfaces: vec![],
            interface_base: 0,
            last: Timestamp::EPOCH,
            drops: Drops::default(),
        };
        let block_len = match pcapng.frame_block(window)? {
            Ok((_, block_len)) => block_len,
            Err(DamageKind::Cut) => return Err(OpenError::Cut),
            Err(_) => return Err(OpenError::Malformed),
        };
        pcapng.section(&window.data()[..block_len]).map_err(|_| OpenError::Malformed)?;
        Ok(pcapng)
    }

    /// Reads one block.
    pub(super) fn step(&mut self, window: &mut Window) -> io::Result<Step> {
        if !window.fill_to(1)? {
            return Ok(Step::End);
        }
        let (block_type, block_len) = match self.frame_block(window)? {
            Ok(framed) => framed,
            Err(kind) => return Ok(Step::Damaged(kind)),
        };
        let step = self.block(block_type, &window.data()[..block_len]).unwrap_or_else(Step::Damaged);
        if let Step::Skipped = step {
            window.consume(block_len);
        }
        Ok(step)
    }

    /// Reads a whole block into the window and checks its two lengths; gives its type and length. A section header
    /// switches the byte order here, because its own length is stored in the new one.
    fn frame_block(&mut self, window: &mut Window) -> io::Result<Result<(u32, usize), DamageKind>> {
        if !window.fill_to(MIN_BLOCK_LEN)? {
            return Ok(Err(DamageKind::Cut));
        }
        let head = window.data();
        if is_magic(head) {
            self.big_endian = match &head[8..MIN_BLOCK_LEN] {
                magic if magic == BIG_ENDIAN_MAGIC => true,
                magic if magic == LITTLE_ENDIAN_MAGIC => false,
                _ => return Ok(Err(DamageKind::Section)),
            };
        }
        let (block_type, first) = (self.word(head, 0), self.word(head, 4));
        let block_len = first as usize;
        if block_len < MIN_BLOCK_LEN || first > MAX_BLOCK_LEN || !first.is_multiple_of(4) {
            return Ok(Err(DamageKind::BlockLength(first)));
        }
        if !window.fill_to(block_len)? {
            return Ok(Err(DamageKind::Cut));
        }
        let last = self.word(window.data(), block_len - TRAILER_LEN);
        if first != last {
            return Ok(Err(DamageKind::BlockTrailer { first, last }));
        }
        Ok(Ok((block_type, block_len)))
    }

    /// Decodes a whole block.
    fn block(&mut self, block_type: u32, block: &[u8]) -> Result<Step, DamageKind> {
        match block_type {
            SHB_MAGIC => self.section(block),
            IDB_MAGIC => self.interface(block),
            EPB_MAGIC => self.packet(&self.enhanced_packet(block)?, block.len()),
            SPB_MAGIC => self.simple_packet(block),
            PACKET_BLOCK => self.packet(&self.obsolete_packet(block)?, block.len()),
            ISB_MAGIC => {
                self.statistics(block);
                Ok(Step::Skipped)
            }
            // Names, secrets, comments: nothing that a frame needs.
            _ => Ok(Step::Skipped),
        }
    }

    /// Starts a section: it describes its interfaces anew.
    fn section(&mut self, block: &[u8]) -> Result<Step, DamageKind> {
        let (_, header) = parse_sectionheaderblock(block).map_err(|_| DamageKind::Section)?;
        if header.major_version != VERSION_MAJOR {
            return Err(DamageKind::Section);
        }
        self.interface_base += self.interfaces.len() as u32;
        self.interfaces.clear();
        Ok(Step::Skipped)
    }

    fn interface(&mut self, block: &[u8]) -> Result<Step, DamageKind> {
        if self.interface_base + self.interfaces.len() as u32 >= MAX_INTERFACES {
            return Err(DamageKind::Interfaces);
        }
        let parse =
            if self.big_endian { parse_interfacedescriptionblock_be } else { parse_interfacedescriptionblock_le };
        let (_, description) = parse(block).map_err(|_| DamageKind::Block(IDB_MAGIC))?;
        self.interfaces.push(Interface {
            link_type: LinkType::from(description.linktype.0.cast_unsigned()),
            snap_len: description.snaplen,
            clock: self.clock(&description),
            drops: Drops::default(),
        });
        Ok(Step::Skipped)
    }

    /// Reads `if_tsresol` and `if_tsoffset` from the raw options: `pcap-parser` 0.17 takes every power of two for
    /// invalid and the offset always for little-endian.
    fn clock(&self, description: &InterfaceDescriptionBlock<'_>) -> Clock {
        let (mut resolution, mut offset) = (Clock::DEFAULT_RESOLUTION, 0);
        for option in meant(&description.options) {
            if option.code == OptionCode::IfTsresol
                && let Some(value) = option.value.first()
            {
                resolution = *value;
            } else if option.code == OptionCode::IfTsoffset
                && let Some(value) = option.value.first_chunk()
            {
                offset = if self.big_endian { i64::from_be_bytes(*value) } else { i64::from_le_bytes(*value) };
            }
        }
        Clock::new(resolution, offset)
    }

    /// What was dropped since the last call.
    pub(super) fn take_drops(&mut self) -> Drops {
        std::mem::take(&mut self.drops)
    }

    /// What an interface dropped since the capture began, as often as somebody wrote it down. Nothing of a frame depends on it: what
    /// cannot be understood is passed over.
    fn statistics(&mut self, block: &[u8]) {
        let parse = if self.big_endian { parse_interfacestatisticsblock_be } else { parse_interfacestatisticsblock_le };
        let Ok((_, statistics)) = parse(block) else { return };
        let Some(interface) = self.interfaces.get_mut(statistics.if_id as usize) else { return };
        for option in meant(&statistics.options) {
            let Some(value) = option.value.first_chunk() else { continue };
            let value = if self.big_endian { u64::from_be_bytes(*value) } else { u64::from_le_bytes(*value) };
            let (told, sum) = match option.code {
                OptionCode::IsbIfDrop => (&mut interface.drops.interface, &mut self.drops.interface),
                OptionCode::IsbOsDrop => (&mut interface.drops.system, &mut self.drops.system),
                _ => continue,
            };
            if value != UNKNOWN {
                *sum = sum.saturating_add(value.saturating_sub(*told));
                *told = value.max(*told);
            }
        }
    }

    fn enhanced_packet(&self, block: &[u8]) -> Result<Packet, DamageKind> {
        let parse = if self.big_endian { parse_enhancedpacketblock_be } else { parse_enhancedpacketblock_le };
        let (_, packet) = parse(block).map_err(|_| DamageKind::Block(EPB_MAGIC))?;
        Ok(Packet {
            interface: packet.if_id,
            ticks: u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low),
            captured: packet.caplen,
            wire_len: packet.origlen,
        })
    }

    /// The predecessor of the Enhanced Packet Block: the same but for a drop counter in half of the interface word.
    fn obsolete_packet(&self, block: &[u8]) -> Result<Packet, DamageKind> {
        if block.len() < PACKET_DATA + TRAILER_LEN {
            return Err(DamageKind::Block(PACKET_BLOCK));
        }
        let interface = self.word(block, 8);
        Ok(Packet {
            interface: if self.big_endian { interface >> 16 } else { interface & 0xffff },
            ticks: u64::from(self.word(block, 12)) << 32 | u64::from(self.word(block, 16)),
            captured: self.word(block, 20),
            wire_len: self.word(block, 24),
        })
    }

    fn packet(&mut self, packet: &Packet, block_len: usize) -> Result<Step, DamageKind> {
        let &Packet { interface, ticks, captured, wire_len } = packet;
        let described = self.interfaces.get(interface as usize).ok_or(DamageKind::Interface(interface))?;
        self.last = described.clock.at(ticks);
        self.record(interface, PACKET_DATA, captured, wire_len, block_len)
    }

    /// A frame of interface 0 without a time; how much of it was captured follows from the interface.
    fn simple_packet(&self, block: &[u8]) -> Result<Step, DamageKind> {
        let parse = if self.big_endian { parse_simplepacketblock_be } else { parse_simplepacketblock_le };
        let (_, packet) = parse(block).map_err(|_| DamageKind::Block(SPB_MAGIC))?;
        let snap_len = self.interfaces.first().ok_or(DamageKind::Interface(0))?.snap_len;
        let captured = if snap_len == 0 { packet.origlen } else { packet.origlen.min(snap_len) };
        self.record(0, SIMPLE_PACKET_DATA, captured, packet.origlen, block.len())
    }

    fn record(
        &self,
        interface: u32,
        start: usize,
        captured: u32,
        wire_len: u32,
        block_len: usize,
    ) -> Result<Step, DamageKind> {
        if captured > MAX_FRAME_LEN {
            return Err(DamageKind::FrameLength(captured));
        }
        let described = self.interfaces.get(interface as usize).ok_or(DamageKind::Interface(interface))?;
        let data = start..start + captured as usize;
        if data.end + TRAILER_LEN > block_len {
            return Err(DamageKind::Block(if start == PACKET_DATA { EPB_MAGIC } else { SPB_MAGIC }));
        }
        Ok(Step::Frame(Record {
            timestamp: self.last,
            interface: self.interface_base + interface,
            link_type: described.link_type,
            wire_len,
            data,
            record_len: block_len,
        }))
    }

    /// The word at `offset`, in the byte order of the section; 0 beyond the end.
    fn word(&self, bytes: &[u8], offset: usize) -> u32 {
        match bytes.get(offset..).and_then(<[u8]>::first_chunk) {
            Some(word) if self.big_endian => u32::from_be_bytes(*word),
            Some(word) => u32::from_le_bytes(*word),
            None => 0,
        }
    }
}

/// Options up to the mark of their end.
fn meant<'a, 'b>(options: &'a [PcapNGOption<'b>]) -> impl Iterator<Item = &'a PcapNGOption<'b>> {
    options.iter().take_while(|option| option.code != OptionCode::EndOfOpt)
}
