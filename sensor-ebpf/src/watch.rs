//! What is done with the packets of watched networks beyond counting their prefixes: whose neighbour's they are, which flow they belong to, and which rows
//! they are billed in.
//!
//! A packet of a flow that is decided takes one cache line of the table of flows and adds to its rows. Whatever else may have to be done (a flow
//! begins, is not decided yet, is to be told of) is in [`look()`].

mod flows;
mod labels;
mod look;
mod neighbours;
mod open;
mod rows;

pub use self::{
    labels::{LABEL_ROOTS, find_label, label},
    look::{guess, look, tell},
    neighbours::find_neighbour,
    rows::add_elsewhere,
};
use crate::{
    abi::{Cell, Degraded, End, FlowKey},
    account::V4_MAPPED,
    hash,
    packet::{Behind, L4, Ports, Upper, Window},
    state::{Size, Watching},
};

/// What is known of a packet once its addresses were looked up.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Source and destination address, as in [`Watched`].
    pub addresses: [[u64; 2]; 2],
    /// Numbers of their networks; 0: not watched.
    pub networks: [u32; 2],
    /// What its IP header says of the upper layer.
    pub behind: Behind,
    /// What it counts.
    pub size: Size,
}

/// A packet of a watched network: in memory and without gaps, so that a program may hand it to functions of its own.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Watched {
    /// Source and destination address, as leading and trailing 64 bits; of IPv4 as an IPv4-mapped address of IPv6.
    addresses: [[u64; 2]; 2],
    /// Number of its flow; 0: it has none, because its upper layer is not to be had.
    key: FlowKey,
    /// Numbers of the networks of source and destination; 0: not watched.
    networks: [u32; 2],
    /// Keys of the rows of source and destination while nobody knows what it is; 0: not watched.
    rows: [u32; 2],
    /// What it counts.
    size: Size,
    /// Where the packet ends, counted from the link header.
    packet_end: u32,
    /// Where the upper layer begins; at first, what is behind the IP header.
    offset: u32,
    /// Its protocol number, likewise, and bits of what the packet is.
    protocol: u32,
    ports: Ports,
    /// Who sent it.
    end: End,
    /// What its first bytes look like, as a [`Kind`](crate::abi::Kind).
    guess: u32,
    /// What its far end is, as [`FlowState::about_label`](crate::abi::FlowState::about_label).
    label: u32,
}

const _: () = assert!(size_of::<Watched>() == 96);

impl Watched {
    /// Bits of [`Watched::protocol`] above the number.
    const HAS_EXTENSIONS: u32 = 1 << 8;
    const IS_LATER_FRAGMENT: u32 = 1 << 9;

    /// No packet.
    pub const NONE: Self = Self {
        addresses: [[0; 2]; 2],
        key: FlowKey::new(0),
        networks: [0; 2],
        rows: [0; 2],
        size: Size { packets: 0, bytes: 0, frame_bytes: 0 },
        packet_end: 0,
        offset: 0,
        protocol: 0,
        ports: Ports::NONE,
        end: 0,
        guess: 0,
        label: 0,
    };

    /// Takes the place of the packet before; the rest of that is left until it is found out.
    #[inline(always)]
    pub fn begin(&mut self, Seen { addresses, networks, behind, size }: Seen) {
        let Behind { protocol, has_extensions, is_later_fragment, offset, end } = behind;
        self.addresses = addresses;
        self.networks = networks;
        self.size = size;
        self.packet_end = end;
        self.offset = offset as u32;
        self.protocol = u32::from(protocol)
            | if has_extensions { Self::HAS_EXTENSIONS } else { 0 }
            | if is_later_fragment { Self::IS_LATER_FRAGMENT } else { 0 };
    }

    /// Whether its addresses are of IPv4; so are those of an IPv6 header both of which say that they mean one.
    #[inline(always)]
    fn is_v4(&self) -> bool {
        if self.protocol & Self::HAS_EXTENSIONS == 0 {
            return true;
        }
        let [source, destination] = self.addresses;
        source[0] | destination[0] == 0 && source[1] >> 32 == V4_MAPPED >> 32 && destination[1] >> 32 == V4_MAPPED >> 32
    }

    /// What its IP header says of what is behind it.
    #[inline(always)]
    fn behind<W: Window>(&self, window: &W) -> Behind {
        Behind {
            protocol: self.protocol as u8,
            has_extensions: self.protocol & Self::HAS_EXTENSIONS != 0,
            is_later_fragment: self.protocol & Self::IS_LATER_FRAGMENT != 0,
            offset: window.obscure(self.offset as usize),
            end: self.packet_end,
        }
    }

    /// The upper layer, once it was found.
    #[inline(always)]
    fn upper<W: Window>(&self, window: &W) -> Upper {
        Upper { protocol: self.protocol as u8, offset: window.obscure(self.offset as usize) }
    }

    /// Finds the upper layer, and with it the flow.
    #[inline(always)]
    fn find<W: Window, S: Watching>(&mut self, window: &W, state: &S) -> Result<(), Degraded> {
        (self.key, self.end) = (FlowKey::new(0), 0);
        let L4 { upper, ports } = self.behind(window).l4(window)?;
        self.ports = ports.unwrap_or(Ports::NONE);
        self.offset = upper.offset as u32;
        self.protocol = self.protocol & Self::HAS_EXTENSIONS | window.forget(upper.protocol.into());
        let Some(keys) = state.hash_keys() else { return Ok(()) };
        let [source, destination] = self.addresses;
        let Ports { source: from, destination: to } = self.ports;
        (self.key, self.end) = if self.is_v4() {
            hash::v4(keys, (source[1] as u32, from), (destination[1] as u32, to), upper.protocol)
        } else {
            hash::v6(keys, (source, from), (destination, to), upper.protocol)
        };
        self.end = window.forget(self.end);
        Ok(())
    }
}

/// What is left to be done with a packet.
pub mod left {
    /// Nothing.
    pub const NOTHING: u32 = 0;
    /// It is not billed yet: [`look()`](super::look()).
    pub const LOOK: u32 = 1;
    /// Nor is it known what it looks like: [`guess()`](super::guess()), and then that.
    pub const GUESS: u32 = 2;
}

/// Does what [`bill()`] has left. In steps, none within another: a program has little memory for what a function and those that called it remember.
#[inline(always)]
pub fn follow<W: Window, S: Watching>(window: &W, state: &mut S, watched: &mut Watched, left: u32) {
    if state.counterpart_rows() != 0 {
        label(state, watched);
    }
    if left == left::GUESS {
        guess(window, watched);
    }
    let reasons = look(window, state, watched);
    if reasons != 0 {
        tell(window, state, watched, reasons);
    }
}

/// Finds the flow of a packet, and bills it where that is decided; else [`left::LOOK`].
#[inline(always)]
pub fn bill<W: Window, S: Watching>(window: &W, state: &mut S, watched: &mut Watched) -> u32 {
    let size = watched.size;
    if let Err(reason) = watched.find(window, state) {
        state.add_cell(Cell::degraded(reason), size);
    }
    if !state.bills() {
        return left::NOTHING;
    }
    // First what is rarely in a cache.
    let (tag, known) = flows::known(state, watched.key);
    let is_decided = flows::is_decided(state, watched.key, watched.end, tag, known);
    if !is_decided {
        open::expect(state, watched.key);
    }
    let neighbours = neighbours::of(window, state, size);
    let rows = rows::undecided(watched.networks, neighbours);
    if is_decided && (state.counterpart_rows() == 0 || labels::add_known(state, watched, known)) {
        rows::add(state, rows, known.kind(), size);
        return left::NOTHING;
    }
    watched.rows = rows;
    (watched.guess, watched.label) = (0, 0);
    if is_decided {
        // All that is not known of it is its label.
        return left::LOOK;
    }
    if tag.guess().is_seen() { left::LOOK } else { left::GUESS }
}
