//! The body of every program: what a frame is, whose it is, and where it is booked.

use crate::{
    abi::{Cell, Control, Degraded, Direction, Entry, Matched, Outcome, PrefixId, Unparsed, ledger_row, prefix_row},
    lookup,
    packet::{Ipv4, Ipv6, L3, L4, LengthCheck, Window, link},
    state::{Size, State},
};

/// An IP packet with both its addresses looked up.
struct Packet {
    source: Option<Entry>,
    destination: Option<Entry>,
    length: u32,
    length_check: LengthCheck,
    /// `Some` where a watched packet's ports are not to be had.
    l4: Option<Degraded>,
}

/// Books one frame: the counters of both its prefixes, exactly one outcome in the ledger, and what was degraded.
#[inline(always)]
pub fn account<W: Window, S: State>(window: &W, state: &mut S) -> Outcome {
    let control = state.control();
    let frame_bytes = window.frame_len();
    let (outcome, size) = match read(window, state, control) {
        Ok(packet) => {
            let size = Size { packets: 1, bytes: packet.length, frame_bytes };
            (book(state, control, &packet, size), size)
        }
        Err(reason) => (Outcome::Unparsed(reason), Size { packets: 1, bytes: 0, frame_bytes }),
    };
    // A row of the ledger always exists: the loader sizes the map for every slot it gives out.
    let _ = state.add_ledger(row(state, control, Cell::outcome(outcome)), size);
    outcome
}

/// Both lookups stand next to each other: their loads overlap, and the second costs a fifth of the first.
#[inline(always)]
fn read<W: Window, S: State>(window: &W, state: &S, control: Control) -> Result<Packet, Unparsed> {
    match link(window)? {
        L3::V4(offset) => {
            let header = Ipv4::read(window, window.obscure(offset))?;
            let source = lookup::v4(state, control, header.source);
            let destination = lookup::v4(state, control, header.destination);
            let l4 = if watched(source, destination) { trouble(header.l4(window)) } else { None };
            Ok(Packet { source, destination, length: header.length, length_check: header.length_check, l4 })
        }
        L3::V6(offset) => {
            let header = Ipv6::read(window, window.obscure(offset))?;
            let source = lookup::v6(state, control, header.source);
            let destination = lookup::v6(state, control, header.destination);
            let l4 = if watched(source, destination) { trouble(header.l4(window)) } else { None };
            Ok(Packet { source, destination, length: header.length, length_check: header.length_check, l4 })
        }
    }
}

#[inline(always)]
fn book<S: State>(state: &mut S, control: Control, packet: &Packet, size: Size) -> Outcome {
    let source = packet.source.and_then(Entry::prefix);
    let destination = packet.destination.and_then(Entry::prefix);
    let mut fault = packet.source.is_none() || packet.destination.is_none();
    if let Some(id) = source {
        fault |= count(state, id, Direction::Out, size).is_none();
    }
    if let Some(id) = destination {
        fault |= count(state, id, Direction::In, size).is_none();
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
    match (source, destination) {
        (Some(_), None) => Outcome::Matched(Matched::Source),
        (None, Some(_)) => Outcome::Matched(Matched::Destination),
        (Some(_), Some(_)) => Outcome::Matched(Matched::Both),
        (None, None) => Outcome::Other,
    }
}

#[inline(always)]
fn count<S: State>(state: &mut S, id: PrefixId, direction: Direction, size: Size) -> Option<()> {
    state.add_prefix(prefix_row(state.slice(), state.prefix_capacity(), id, direction), size)
}

#[inline(always)]
fn row<S: State>(state: &S, control: Control, cell: Cell) -> u32 {
    ledger_row(state.ledger_slot(), control.bank(), state.slice(), state.slices(), cell)
}

#[inline(always)]
fn watched(source: Option<Entry>, destination: Option<Entry>) -> bool {
    source.and_then(Entry::network).is_some() || destination.and_then(Entry::network).is_some()
}

#[inline(always)]
fn trouble(l4: Result<L4, Degraded>) -> Option<Degraded> {
    l4.err()
}
