//! Who handed a packet over, or gets it: found in the table of its slice, or put there.

use crate::{
    abi::{MAX_NEIGHBOURS, NEIGHBOUR_PROBES, Neighbour, Shed},
    packet::{Window, is_vlan},
    state::{Size, Watching},
};

/// Words of an Ethernet header that hold both addresses (IEEE 802.3): destination, then source.
const ADDRESS_WORDS: usize = 3;
/// Where the type stands behind them, and behind that what a tag says.
const TYPE_OFFSET: usize = 12;
/// Bits of the tag control information that are the VLAN's number (IEEE 802.1Q).
const VLAN_MASK: u16 = 0x0fff;

/// Numbers of the neighbours of what the source sends and of what the destination gets: from 1, 0 where there is none or no room.
///
/// What is received comes from the neighbour, what is sent goes there. At a tap packets pass by: those of a watched source go out to the neighbour, those to a
/// watched destination come in from it.
#[inline(always)]
pub(super) fn of<W: Window, S: Watching>(window: &W, state: &mut S, size: Size) -> [u32; 2] {
    let Some([a, b, c]) = window.words::<ADDRESS_WORDS>(0) else { return [0; 2] };
    let destination = u64::from(a) << 16 | u64::from(b) >> 16;
    let source = u64::from(b & 0xffff) << 32 | u64::from(c);
    let vlan = vlan(window);
    if state.is_tap() {
        return [number(state, destination, vlan, size), number(state, source, vlan, size)];
    }
    let neighbour = number(state, if state.sends() { destination } else { source }, vlan, size);
    [neighbour; 2]
}

/// The outermost VLAN, 0xffff where there is none: not an Option, whose value is not always there.
#[inline(always)]
fn vlan<W: Window>(window: &W) -> u16 {
    if let Some(tag) = window.tag() {
        return tag & VLAN_MASK;
    }
    let Some([t0, t1, c0, c1]) = window.read::<4>(TYPE_OFFSET) else { return u16::MAX };
    if is_vlan(u16::from_be_bytes([t0, t1])) { u16::from_be_bytes([c0, c1]) & VLAN_MASK } else { u16::MAX }
}

#[inline(always)]
fn number<S: Watching>(state: &mut S, mac: u64, vlan: u16, size: Size) -> u32 {
    let vlan = if vlan == u16::MAX { None } else { Some(vlan) };
    let neighbour = Neighbour::new(mac, vlan, state.interface());
    let first = neighbour.place();
    if state.neighbour(first) == Some(neighbour) {
        return first + 1;
    }
    state.find_neighbour(neighbour, size)
}

/// The number of a neighbour that is new, or not in its first place.
#[inline(always)]
pub fn find_neighbour<S: Watching>(state: &mut S, neighbour: Neighbour, size: Size) -> u32 {
    for probe in 0..NEIGHBOUR_PROBES {
        let place = (neighbour.place() + probe) & (MAX_NEIGHBOURS - 1);
        match state.neighbour(place) {
            Some(found) if found == neighbour => return place + 1,
            Some(found) if found.interface == 0 && state.claim_neighbour(place, neighbour) => return place + 1,
            _ => {}
        }
    }
    state.add_shed(Shed::NeighbourRefused, size);
    0
}
