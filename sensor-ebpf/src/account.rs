//! The body of every program: what a frame is, whose it is, and where it is booked.

use crate::{
    abi::{
        Cell, Control, Degraded, Direction, Entry, Matched, NetworkId, Outcome, PrefixId, Unparsed, ledger_row,
        prefix_row,
    },
    lookup,
    packet::{Behind, Ipv4, Ipv6, L3, LengthCheck, Plain, Window, network, plain},
    state::{Size, State},
    watch::{Seen, left},
};

/// What stands before an IPv4 address in an IPv6 one that means it (RFC 4291 section 2.5.5.2), in the trailing 64 bits.
pub(crate) const V4_MAPPED: u64 = 0xffff << 32;

/// An IP packet with both its addresses looked up; not where it was billed before.
struct Packet {
    source: Entry,
    destination: Entry,
    /// An index of the table pointed outside its map.
    fault: bool,
    length: u32,
    length_check: LengthCheck,
    /// Bytes of the whole frame.
    frame_len: u32,
    seen_before: bool,
    addresses: [[u64; 2]; 2],
    behind: Behind,
}

impl Packet {
    #[inline(always)]
    const fn seen_before(length: u32, length_check: LengthCheck, frame_len: u32) -> Self {
        let (source, destination) = (Entry::NONE, Entry::NONE);
        let (addresses, behind) = ([[0; 2]; 2], Behind::NOTHING);
        Self {
            source,
            destination,
            fault: false,
            length,
            length_check,
            frame_len,
            seen_before: true,
            addresses,
            behind,
        }
    }

    /// With what two lookups found.
    #[inline(always)]
    fn looked_up(
        [source, destination]: [Entry; 2],
        (length, length_check, frame_len): (u32, LengthCheck, u32),
        addresses: [[u64; 2]; 2],
        behind: Behind,
    ) -> Self {
        let is_fault = |entry: Entry| entry.word() == Entry::FAULT.word();
        let fault = is_fault(source) || is_fault(destination);
        let known = |entry: Entry| if is_fault(entry) { Entry::NONE } else { entry };
        let (source, destination) = (known(source), known(destination));
        Self { source, destination, fault, length, length_check, frame_len, seen_before: false, addresses, behind }
    }

    #[inline(always)]
    fn watched(&self) -> bool {
        self.source.network().is_some() || self.destination.network().is_some()
    }
}

/// Books one frame: the counters of both its prefixes, exactly one outcome in the ledger, and what was degraded. Returns the cell of
/// the outcome rather than the outcome, whose payload is not always there: a register that the verifier finds unset.
#[inline(always)]
pub fn account<W: Window, S: State>(window: &W, state: &mut S) -> Cell {
    let control = state.control();
    let packets = window.segments();
    let packet = match read(window, state, control) {
        Ok(packet) => packet,
        Err(reason) => {
            let size = Size { packets, bytes: 0, frame_bytes: window.lengths(0).frame };
            return enter(state, control, Cell::outcome(Outcome::Unparsed(reason)), size);
        }
    };
    let size = Size { packets, bytes: packet.length, frame_bytes: packet.frame_len };
    // Flows first: while theirs is waited for, which is rarely in a cache, all others are added to.
    let mut left = left::NOTHING;
    if packet.watched() {
        let networks = [packet.source, packet.destination].map(network_of);
        left = state.bill(window, Seen { addresses: packet.addresses, networks, behind: packet.behind, size });
    }
    let cell = book(state, control, &packet, size);
    let cell = enter(state, control, cell, size);
    if left != left::NOTHING {
        state.follow(window, left);
    }
    cell
}

/// Adds to the row of an outcome, which always exists: the loader sizes the map for every slot it gives out.
#[inline(always)]
fn enter<S: State>(state: &mut S, control: Control, cell: Cell, size: Size) -> Cell {
    let _ = state.add_ledger(row(state, control, cell), size);
    cell
}

#[inline(always)]
fn read<W: Window, S: State>(window: &W, state: &S, control: Control) -> Result<Packet, Unparsed> {
    match plain(window) {
        Plain::V4(header) => return Ok(v4(state, control, &header)),
        Plain::V6(header) => return Ok(v6(state, control, &header)),
        Plain::Not => {}
    }
    match network(window)? {
        L3::V4(offset) => Ipv4::read(window, offset).map(|header| v4(state, control, &header)),
        L3::V6(offset) => Ipv6::read(window, offset).map(|header| v6(state, control, &header)),
    }
}

/// Both lookups stand next to each other: their loads overlap, and the second costs a fifth of the first. What they find is never a value that is only there
/// sometimes: the compiler computes with it before it asks, which the verifier refuses.
#[inline(always)]
fn v4<S: State>(state: &S, control: Control, header: &Ipv4) -> Packet {
    if state.seen_before() {
        return Packet::seen_before(header.length, header.length_check, header.frame_len);
    }
    let half = lookup::half(state, control);
    let source = state.entry_v4(half, header.source).unwrap_or(Entry::FAULT);
    let destination = state.entry_v4(half, header.destination).unwrap_or(Entry::FAULT);
    let addresses = [header.source, header.destination].map(|address| [0, V4_MAPPED | u64::from(address)]);
    let lengths = (header.length, header.length_check, header.frame_len);
    Packet::looked_up([source, destination], lengths, addresses, header.behind())
}

#[inline(always)]
fn v6<S: State>(state: &S, control: Control, header: &Ipv6) -> Packet {
    if state.seen_before() {
        return Packet::seen_before(header.length, header.length_check, header.frame_len);
    }
    let half = lookup::half(state, control);
    let source = state.entry_v6(half, header.source).unwrap_or(Entry::FAULT);
    let destination = state.entry_v6(half, header.destination).unwrap_or(Entry::FAULT);
    let lengths = (header.length, header.length_check, header.frame_len);
    Packet::looked_up([source, destination], lengths, [header.source, header.destination], header.behind())
}

#[inline(always)]
fn network_of(entry: Entry) -> u32 {
    entry.network().map_or(0, NetworkId::get)
}

#[inline(always)]
fn book<S: State>(state: &mut S, control: Control, packet: &Packet, size: Size) -> Cell {
    let source = packet.source.prefix();
    let destination = packet.destination.prefix();
    let mut fault = packet.fault;
    // What adds nothing leaves what waits to the next that does.
    if state.bills() && (source.is_some() || destination.is_some()) {
        let slice = state.slice() * state.prefix_capacity() * Direction::COUNT;
        let row = |id: Option<PrefixId>, direction| id.map_or(0, |id| slice + prefix_row(0, 0, id, direction));
        let rows = [row(source, Direction::Out), row(destination, Direction::In)];
        fault |= state.add_prefixes(rows, size).is_none();
    }
    let length = match packet.length_check {
        LengthCheck::Plausible => None,
        LengthCheck::Zero => Some(Degraded::IpLengthZero),
        LengthCheck::OverFrame => Some(Degraded::IpLengthOverFrame),
        LengthCheck::UnderHeader => Some(Degraded::IpLengthUnderHeader),
    };
    for reason in [length, fault.then_some(Degraded::MapFault)].into_iter().flatten() {
        let _ = state.add_ledger(row(state, control, Cell::degraded(reason)), size);
    }
    if packet.seen_before {
        return Cell::outcome(Outcome::SeenBefore);
    }
    Cell::outcome(match (source, destination) {
        (Some(_), None) => Outcome::Matched(Matched::Source),
        (None, Some(_)) => Outcome::Matched(Matched::Destination),
        (Some(_), Some(_)) => Outcome::Matched(Matched::Both),
        (None, None) => Outcome::Other,
    })
}

#[inline(always)]
fn row<S: State>(state: &S, control: Control, cell: Cell) -> u32 {
    ledger_row(state.ledger_slot(), control.bank(), state.slice(), state.slices(), cell)
}
