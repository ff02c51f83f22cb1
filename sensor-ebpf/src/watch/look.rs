//! The long way of a packet: its flow begins, is not decided yet, or is to be told of.

use super::{Watched, flows, open, rows};
use crate::{
    abi::{Clock, FlowState, Kind, MAX_SAMPLE, Sample, Shed, Spending, Tag, why},
    packet::{Payload, Window, tcp_flag},
    signature::{self, Opening},
    state::Watching,
};

/// Packets of an undecided flow that are looked at, SYNs included. Whoever looks says before that he has seen enough.
const MAX_LOOKS: u32 = 64;
/// The same of a flow that is listened to for long.
const MAX_LONG_LOOKS: u32 = 1088;
/// Packets of an undecided flow that are counted apart, looked at or not: those of a fast one that come before whoever looks has said what it is.
const MAX_APART: u32 = 1 << 13;

/// Notes what the first bytes of a packet look like.
#[inline(always)]
pub fn guess<W: Window>(window: &W, watched: &mut Watched) {
    if watched.key.get() == 0 {
        return;
    }
    let payload = Payload::read(window, watched.upper(window), watched.packet_end);
    let opening = Opening {
        protocol: watched.protocol as u8,
        source_port: watched.ports.source,
        destination_port: watched.ports.destination,
        payload_len: payload.len,
        head: payload.head(window),
    };
    watched.guess = signature::guess(&opening).map_or(0, |(class, evidence)| Kind::new(class, evidence).get());
}

/// Where in the reasons stands what the packet is billed as.
const KIND: u32 = 8;

/// Follows a packet's flow and bills the packet. Returns the reasons for which the agent is to be told of it, as [`why`]; 0: for none.
#[inline(always)]
pub fn look<W: Window, S: Watching>(window: &W, state: &mut S, watched: &Watched) -> u32 {
    if watched.key.get() == 0 {
        rows::add(state, watched.rows, Kind::UNDECIDED, watched.size);
        return 0;
    }
    let (kind, reasons) = follow(window, state, watched);
    rows::add(state, watched.rows, kind, watched.size);
    reasons
}

/// What a packet is billed as, and why it is to be told of.
#[inline(always)]
fn follow<W: Window, S: Watching>(window: &W, state: &mut S, watched: &Watched) -> (Kind, u32) {
    let key = watched.key;
    let clock = state.clock();
    let mut way = flows::find(state, key);
    let (word, known) = if way.is_there { state.flow_way(way.set, way.way) } else { (0, 0) };
    let (mut tag, mut known) = (Tag::from_word(word), FlowState::from_word(known));
    let mut reasons = 0;
    if !way.is_there || flows::is_over(state, tag, clock) {
        if !way.is_there {
            way = flows::admit(state, key, clock);
            if way.is_taken {
                state.add_shed(Shed::FlowEvicted, watched.size);
            }
        }
        (tag, known) = (Tag::new(key.mark()), FlowState::new(key.mark()).with_label(watched.label));
        reasons = u32::from(why::FRESH);
    } else {
        if !tag.has_heard(watched.end) {
            reasons |= u32::from(why::ANSWERED);
        }
        if flows::is_to_be_told(tag, clock) {
            reasons |= u32::from(why::AGAIN);
        }
    }
    let is_refused = !way.is_there;
    let (set, way) = (way.set, window.forget(way.way));
    reasons = window.forget(reasons);
    if known.mark() != key.mark() {
        known = FlowState::new(key.mark());
    }

    let other = Kind::from_number(watched.guess);
    if !tag.guess().is_seen() && (other.is_seen() || tag.guess().get() == Kind::UNDECIDED.get()) {
        tag = tag.guessed(other);
    }
    if is_refused {
        state.add_shed(Shed::FlowRefused, watched.size);
        return (tag.guess(), 0);
    }
    let payload = Payload::read(window, watched.upper(window), watched.packet_end);
    tag = tag.heard(watched.end);
    if reasons & u32::from(why::FRESH) != 0 {
        // Whoever answers a SYN is not who opened the connection, though its packet be the first that was seen.
        let is_answer = payload.flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::SYN | tcp_flag::ACK;
        tag = tag.opened_by(watched.end ^ u32::from(is_answer));
    }
    if reasons != 0 {
        tag = tag.at(clock.now);
    }
    if tag.word() != word {
        state.set_flow_tag(set, way, tag.word());
    }
    if reasons & u32::from(why::FRESH) != 0 {
        state.set_flow_state(set, way, known.word());
    }
    let is_look = payload.len > 0 || payload.flags & tcp_flag::SYN != 0;
    let mut kind = known.kind();
    if !known.is_closed() {
        let apart = keep_apart(state, watched, is_look, known.is_long(), clock);
        kind = if apart == NOT_APART { tag.guess() } else { Kind::UNDECIDED };
        if apart == LOOKED_AT {
            reasons |= u32::from(why::LOOK);
        }
    }
    if reasons != 0 {
        let two_way = if tag.is_two_way() { u32::from(why::TWO_WAY) } else { 0 };
        let by_opener = if tag.opener() == watched.end { u32::from(why::BY_OPENER) } else { 0 };
        reasons |= two_way | by_opener | kind.get() << KIND;
    }
    (kind, reasons)
}

/// It is not counted apart: nobody looks at its packets, or there is no room.
const NOT_APART: u32 = 0;
/// It is.
const APART: u32 = 1;
/// And is itself to be looked at.
const LOOKED_AT: u32 = 2;

/// Counts a packet of an undecided flow apart, for as long as somebody looks at its packets, or is about to say what it is.
#[inline(always)]
fn keep_apart<S: Watching>(state: &mut S, watched: &Watched, is_look: bool, is_long: bool, clock: Clock) -> u32 {
    let network = network_of(watched);
    if !state.may_spend(0, Spending::Looks) || !state.may_spend(network, Spending::Looks) {
        if is_look {
            state.add_shed(Shed::LookBudget, watched.size);
        }
        return NOT_APART;
    }
    let entry = open::entry(state, watched.key, watched.end, watched.rows, clock.now);
    if !entry.is_there || entry.is_taken {
        state.add_shed(Shed::OpenLost, watched.size);
    }
    if !entry.is_there || entry.packets >= MAX_APART {
        return NOT_APART;
    }
    let is_look = is_look && entry.looks < if is_long { MAX_LONG_LOOKS } else { MAX_LOOKS };
    open::add(state, entry, watched.end, watched.rows, watched.size, is_look, clock.now);
    if is_look { LOOKED_AT } else { APART }
}

/// Makes a record of a packet for these reasons, within the budget.
#[inline(always)]
pub fn tell<W: Window, S: Watching>(window: &W, state: &mut S, watched: &Watched, reasons: u32) {
    let payload = Payload::read(window, watched.upper(window), watched.packet_end);
    let network = network_of(watched);
    let is_look = reasons & u32::from(why::LOOK) != 0;
    let spending = if is_look { Spending::Looks } else { Spending::Sightings };
    if !state.may_spend(0, spending) || !state.may_spend(network, spending) {
        state.add_shed(if is_look { Shed::LookBudget } else { Shed::SightingBudget }, watched.size);
        return;
    }
    state.spend(0, spending);
    state.spend(network, spending);
    let left = window.reach().saturating_sub(payload.offset as u32);
    let captured = if is_look { payload.len.min(left).min(MAX_SAMPLE as u32) } else { 0 };
    let sample = Sample {
        key: watched.key.get(),
        addresses: watched.addresses.map(|[leading, trailing]| [leading.to_be(), trailing.to_be()]),
        length: watched.size.bytes,
        payload_len: payload.len,
        captured,
        sequence: payload.sequence,
        ports: [watched.ports.source, watched.ports.destination],
        networks: watched.networks.map(|network| network as u16),
        protocol: watched.protocol as u8,
        flags: payload.flags as u8,
        why: reasons as u8 | if payload.is_tcp() { why::TCP } else { 0 },
        end: watched.end as u8,
        kind: reasons >> KIND,
    };
    if !state.sample(window, sample, payload.offset) {
        state.add_shed(Shed::RingFull, watched.size);
    }
}

/// The network whose budget a packet takes from: that of its source where both are watched.
#[inline(always)]
fn network_of(watched: &Watched) -> u32 {
    if watched.networks[0] != 0 { watched.networks[0] } else { watched.networks[1] }
}
