//! The table of flows: a cache line for each set, found by the key of a flow; lossy by design.

use crate::{
    abi::{Clock, End, FlowKey, FlowState, Kind, Tag, WAYS},
    state::Watching,
};

/// Seconds after which a flow that was heard both ways, and that nobody has decided, makes room like one that was not: by then it is, or nobody will.
const UNDECIDED_REST: u32 = 8;

/// The place of a flow. Plain numbers: a value that is only there sometimes the verifier finds unset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) set: u32,
    pub(super) way: u32,
    /// Whether there is one.
    pub(super) is_there: bool,
    /// Whether another flow has it that is not over.
    pub(super) is_taken: bool,
}

/// What is known of a flow; nothing of one that is not to be found, nor where there is none.
#[inline(always)]
pub(super) fn known<S: Watching>(state: &S, key: FlowKey) -> (Tag, FlowState) {
    let set = key.place(state.flow_sets());
    let (tag, known) = state.flow_chosen(set, |tags| place_of(ways_of(tags, key.mark())));
    let tag = Tag::from_word(tag);
    if tag.mark() == key.mark() { (tag, FlowState::from_word(known)) } else { (Tag::from_word(0), FlowState::new(0)) }
}

/// Whether a packet of a flow is to be counted, and nothing else.
#[inline(always)]
pub(super) fn is_decided<S: Watching>(state: &S, key: FlowKey, end: End, tag: Tag, known: FlowState) -> bool {
    // What has no flow has no number either.
    let is_its = known.mark() == key.mark() && key.get() != 0;
    is_its && known.is_closed() && tag.has_heard(end) && !is_to_be_told(tag, state.clock())
}

/// Where a flow is, perhaps over.
#[inline(always)]
pub(super) fn find<S: Watching>(state: &S, key: FlowKey) -> Way {
    let set = key.place(state.flow_sets());
    let ways = state.flow_tags(set).map_or(0, |tags| ways_of(tags, key.mark()));
    Way { set, way: place_of(ways), is_there: ways != 0, is_taken: false }
}

/// Whether a flow is to be told of once more: for the first time since the agent began to ask anew.
#[inline(always)]
pub(super) fn is_to_be_told(tag: Tag, clock: Clock) -> bool {
    tag.age(clock.now) > clock.now.wrapping_sub(clock.since) & 0xffff
}

/// Whether nothing came of a flow for so long that what comes is another one.
#[inline(always)]
pub(super) fn is_over<S: Watching>(state: &S, tag: Tag, clock: Clock) -> bool {
    state.idle() != 0 && tag.age(clock.now) >= state.idle()
}

/// The way that a new flow may have; none where all are taken by flows that are worth more.
///
/// A new flow is worth as much as one that was heard one way: a flood of forged senders drives out its own. What was heard both ways is kept for as long as
/// it takes to decide it, and what is decided until it is over.
#[inline(always)]
pub(super) fn admit<S: Watching>(state: &S, key: FlowKey, clock: Clock) -> Way {
    let set = key.place(state.flow_sets());
    let (mut best, mut worth) = (0, KEPT);
    for step in 0..WAYS as u32 {
        // From another way on for each flow: those of one second are as good as each other.
        let way = (key.mark().wrapping_add(step)) & (WAYS as u32 - 1);
        let (tag, known) = state.flow_way(set, way);
        let other = worth_of(state, Tag::from_word(tag), FlowState::from_word(known), clock);
        if other < worth {
            (best, worth) = (way, other);
        }
    }
    Way { set, way: best, is_there: worth < KEPT, is_taken: worth > FREE }
}

/// What a way is worth whose flow is over, or that has none.
const FREE: u32 = 0;
/// More than a new flow is.
const KEPT: u32 = u32::MAX;

/// What a way is worth as it is; less is given away first, and of equal ones the longest silent.
#[inline(always)]
fn worth_of<S: Watching>(state: &S, tag: Tag, known: FlowState, clock: Clock) -> u32 {
    if tag.word() == 0 || is_over(state, tag, clock) {
        return FREE;
    }
    let age = tag.age(clock.now);
    let is_decided = known.is_closed() && known.mark() == tag.mark() && known.kind().get() != Kind::UNDECIDED.get();
    if is_decided || tag.is_two_way() && age < UNDECIDED_REST { KEPT } else { 0x1_0000 - age }
}

/// The ways that have this mark, as bits. Without branches: which way a flow has is what no processor foresees.
#[inline(always)]
fn ways_of([a, b, c, d]: [u64; WAYS], mark: u32) -> u32 {
    let is = |tag: u64| (((tag >> 32) ^ mark as u64).wrapping_sub(1) >> 63) as u32;
    is(a) | is(b) << 1 | is(c) << 2 | is(d) << 3
}

/// The place of the one bit that is set; of several, which are of one flow that came twice at a time, some place.
#[inline(always)]
const fn place_of(ways: u32) -> u32 {
    (ways >> 1).wrapping_sub(ways >> 3) & (WAYS as u32 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_in_its_way() {
        let tags = [1, 2, 3, u64::from(u32::MAX)].map(|mark| mark << 32 | 0xffff_ffff);
        for (way, mark) in [1, 2, 3, u32::MAX].into_iter().enumerate() {
            assert_eq!(place_of(ways_of(tags, mark)), way as u32);
        }
        assert_eq!(ways_of(tags, 4), 0);
        for ways in 1..16 {
            assert!(place_of(ways) < WAYS as u32);
        }
    }
}
