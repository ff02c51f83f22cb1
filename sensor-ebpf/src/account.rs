//! The body of every program: what a frame is, whose it is, and where it is booked.

use crate::{
    abi::{Cell, Control, Degraded, Direction, Entry, Matched, Outcome, PrefixId, Unparsed, ledger_row, prefix_row},
    lookup,
    packet::{Ipv4, Ipv6, L3, L4, LengthCheck, Plain, Window, network, plain},
    state::{Size, State},
};

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
    /// `Some` where a watched packet's ports are not to be had.
    l4: Option<Degraded>,
}

impl Packet {
    #[inline(always)]
    const fn seen_before(length: u32, length_check: LengthCheck, frame_len: u32) -> Self {
        let (source, destination) = (Entry::NONE, Entry::NONE);
        Self { source, destination, fault: false, length, length_check, frame_len, seen_before: true, l4: None }
    }

    /// With what two lookups found.
    #[inline(always)]
    fn looked_up(
        source: Option<Entry>,
        destination: Option<Entry>,
        (length, length_check, frame_len): (u32, LengthCheck, u32),
    ) -> Self {
        let fault = source.is_none() || destination.is_none();
        // Never a value that is only there sometimes: the compiler computes with it before it asks, which the verifier refuses.
        let (source, destination) = (source.unwrap_or(Entry::NONE), destination.unwrap_or(Entry::NONE));
        Self { source, destination, fault, length, length_check, frame_len, seen_before: false, l4: None }
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
    let (cell, size) = match read(window, state, control) {
        Ok(packet) => {
            let size = Size { packets, bytes: packet.length, frame_bytes: packet.frame_len };
            (book(state, control, &packet, size), size)
        }
        Err(reason) => {
            let size = Size { packets, bytes: 0, frame_bytes: window.lengths(0).frame };
            (Cell::outcome(Outcome::Unparsed(reason)), size)
        }
    };
    // A row of the ledger always exists: the loader sizes the map for every slot it gives out.
    let _ = state.add_ledger(row(state, control, cell), size);
    cell
}

#[inline(always)]
fn read<W: Window, S: State>(window: &W, state: &S, control: Control) -> Result<Packet, Unparsed> {
    match plain(window) {
        Plain::V4(header) => return Ok(v4(window, state, control, &header)),
        Plain::V6(header) => return Ok(v6(window, state, control, &header)),
        Plain::Not => {}
    }
    match network(window)? {
        L3::V4(offset) => Ipv4::read(window, offset).map(|header| v4(window, state, control, &header)),
        L3::V6(offset) => Ipv6::read(window, offset).map(|header| v6(window, state, control, &header)),
    }
}

/// Both lookups stand next to each other: their loads overlap, and the second costs a fifth of the first.
#[inline(always)]
fn v4<W: Window, S: State>(window: &W, state: &S, control: Control, header: &Ipv4) -> Packet {
    if state.seen_before() {
        return Packet::seen_before(header.length, header.length_check, header.frame_len);
    }
    let half = lookup::half(state, control);
    let source = state.entry_v4(half, header.source);
    let destination = state.entry_v4(half, header.destination);
    let packet = Packet::looked_up(source, destination, (header.length, header.length_check, header.frame_len));
    let l4 = if packet.watched() { trouble(header.l4(window)) } else { None };
    Packet { l4, ..packet }
}

#[inline(always)]
fn v6<W: Window, S: State>(window: &W, state: &S, control: Control, header: &Ipv6) -> Packet {
    if state.seen_before() {
        return Packet::seen_before(header.length, header.length_check, header.frame_len);
    }
    let half = lookup::half(state, control);
    let source = state.entry_v6(half, header.source);
    let destination = state.entry_v6(half, header.destination);
    let packet = Packet::looked_up(source, destination, (header.length, header.length_check, header.frame_len));
    let l4 = if packet.watched() { trouble(header.l4(window)) } else { None };
    Packet { l4, ..packet }
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
    for reason in [length, packet.l4, fault.then_some(Degraded::MapFault)].into_iter().flatten() {
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

#[inline(always)]
fn trouble(l4: Result<L4, Degraded>) -> Option<Degraded> {
    l4.err()
}
