//! What is remembered of watched flows: a set-associative table, one cache line a set. State only: nothing in it is ever billed, and an
//! entry may be lost at any time.

use crate::class::{Class, Evidence};

/// Flows of a set.
pub const WAYS: usize = 4;
/// Number of the label that says nothing of the far end, see [`FlowState::label`].
pub const NO_LABEL: u32 = 0;
/// Labels of far ends: below this.
pub const MAX_LABELS: u32 = 1 << FlowState::LABEL_BITS;
/// Number of the label that no table gives: of what was counted without one.
pub const OTHER_LABEL: u32 = MAX_LABELS - 1;

/// A set. Each word is stored whole, by programs or by the agent; a pair of words may be of two flows for a moment, and then their marks differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C, align(64))]
pub struct FlowSet {
    /// [`Tag`]s, which programs write; 0: a free way.
    pub tags: [u64; WAYS],
    /// [`FlowState`]s: programs write one when a flow begins, the agent when it knows more.
    pub states: [u64; WAYS],
}

/// The number of a flow, the same for both directions: 64 bits of a keyed hash. Its upper half says the set, its lower half is the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct FlowKey(u64);

impl FlowKey {
    /// The key of that number.
    #[inline(always)]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[inline(always)]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// By what a way of the set is known to be this flow's.
    #[inline(always)]
    pub const fn mark(self) -> u32 {
        self.0 as u32
    }

    /// The place in a table of so many places, a power of two.
    #[inline(always)]
    pub const fn place(self, places: u32) -> u32 {
        (self.0 >> 32) as u32 & places.wrapping_sub(1)
    }
}

/// The mark of a flow, when it was last told of, who was heard in it and what its packets look like.
///
/// Bits 32..64 mark, 16..32 the lower half of [`Clock::now`](super::Clock), 8..14 class and 6..8 evidence of the guess, 2 the end that opened it, 0..2 ends that
/// were heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tag(u64);

/// The end of a flow that sent a packet: 0 where it is the lower one of both, by address and port.
pub type End = u32;

impl Tag {
    const MARK: u32 = 32;
    const STAMP: u32 = 16;
    const EVIDENCE: u32 = 6;
    const GUESS: u64 = 0x3fc0;
    const HEARD: u64 = 3;
    const OPENER: u32 = 2;

    /// Of a flow in which nobody was heard yet.
    #[inline(always)]
    pub const fn new(mark: u32) -> Self {
        Self((mark as u64) << Self::MARK)
    }

    /// As stored.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// Read back.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// By what it is known.
    #[inline(always)]
    pub const fn mark(self) -> u32 {
        (self.0 >> Self::MARK) as u32
    }

    /// Seconds since the flow was last told of, less than 65,536.
    #[inline(always)]
    pub const fn age(self, now: u32) -> u32 {
        (now.wrapping_sub((self.0 >> Self::STAMP) as u32)) & 0xffff
    }

    /// Told of now.
    #[inline(always)]
    #[must_use]
    pub const fn at(self, now: u32) -> Self {
        Self(self.0 & !(0xffff << Self::STAMP) | (now as u64 & 0xffff) << Self::STAMP)
    }

    /// Whether that end was heard.
    #[inline(always)]
    pub const fn has_heard(self, end: End) -> bool {
        self.0 >> end & 1 != 0
    }

    /// Whether both ends were.
    #[inline(always)]
    pub const fn is_two_way(self) -> bool {
        self.0 & Self::HEARD == Self::HEARD
    }

    /// That end was heard.
    #[inline(always)]
    #[must_use]
    pub const fn heard(self, end: End) -> Self {
        Self(self.0 | 1 << (end & 1))
    }

    /// The end that opened it, as far as was seen.
    #[inline(always)]
    pub const fn opener(self) -> End {
        (self.0 >> Self::OPENER & 1) as End
    }

    /// That end opened it.
    #[inline(always)]
    #[must_use]
    pub const fn opened_by(self, end: End) -> Self {
        Self(self.0 & !(1 << Self::OPENER) | (end as u64 & 1) << Self::OPENER)
    }

    /// What its packets look like.
    #[inline(always)]
    pub const fn guess(self) -> Kind {
        Kind(((self.0 & Self::GUESS) >> Self::EVIDENCE) as u32)
    }

    /// The same with another guess.
    #[inline(always)]
    #[must_use]
    pub const fn guessed(self, kind: Kind) -> Self {
        Self(self.0 & !Self::GUESS | (kind.0 as u64) << Self::EVIDENCE & Self::GUESS)
    }
}

/// Class and evidence as one number: class x 4 + evidence. 0: not decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(u32);

impl Kind {
    /// Nobody knows yet.
    pub const UNDECIDED: Self = Self(0);
    /// All numbers are below this.
    pub const COUNT: u32 = 1 << 8;

    /// Of a class that is known.
    #[inline(always)]
    pub const fn new(class: Class, evidence: Evidence) -> Self {
        Self(class as u32 * 4 + evidence as u32)
    }

    /// The number, below [`Kind::COUNT`].
    #[inline(always)]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Read back.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        Self(number & (Self::COUNT - 1))
    }

    /// Class and evidence; `None`: undecided, or a number that this version does not know.
    pub fn verdict(self) -> Option<(Class, Evidence)> {
        let class = *Class::ALL.get(self.0 as usize / 4)?;
        (class as u8 != Class::Unknown as u8).then_some((class, Evidence::ALL[self.0 as usize % 4]))
    }

    /// Whether the bytes say so, and not a port or a list alone.
    #[inline(always)]
    pub const fn is_seen(self) -> bool {
        self.0 != 0 && self.0 & 3 >= Evidence::Payload as u32
    }
}

const _: () = assert!(Class::ALL.len() <= 64);

/// What is known of a flow.
///
/// Bits 32..64 the mark, 15..32 the label of the far end, 9..15 class, 7..9 evidence, 4..7 which table of labels that label is of, 3 there is one, 2 which
/// end is the far one, 1 listened to for long, 0 closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowState(u64);

impl FlowState {
    const MARK: u32 = 32;
    const LABEL: u32 = 15;
    /// Bits of a label.
    pub const LABEL_BITS: u32 = 17;
    const KIND: u32 = 7;
    const LABELS: u32 = 4;
    const LABELLED: u32 = 3;
    const FAR: u32 = 2;
    /// All bits of the label and of what it is of.
    const ABOUT_LABEL: u64 = (MAX_LABELS as u64 - 1) << Self::LABEL | 0b11111 << Self::FAR;
    const LONG: u64 = 1 << 1;
    const CLOSED: u64 = 1;

    /// Of a flow of which nothing is known.
    #[inline(always)]
    pub const fn new(mark: u32) -> Self {
        Self((mark as u64) << Self::MARK)
    }

    /// As stored.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// Read back.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// By what it is known whose it is.
    #[inline(always)]
    pub const fn mark(self) -> u32 {
        (self.0 >> Self::MARK) as u32
    }

    /// The label of the far end, where [`has_label`](Self::has_label) says that there is one.
    #[inline(always)]
    pub const fn label(self) -> u32 {
        (self.0 >> Self::LABEL) as u32 & (MAX_LABELS - 1)
    }

    /// Whether it has a label of that end, from the table of that generation, of which three bits are kept.
    #[inline(always)]
    pub const fn has_label(self, far: End, generation: u32) -> bool {
        let wanted = Self(0).labelled(far, (0, generation)).0 & (0b11111 << Self::FAR);
        self.0 & (0b11111 << Self::FAR) == wanted
    }

    /// With another label: that of end `far`, in the table of that generation.
    #[inline(always)]
    #[must_use]
    pub const fn labelled(self, far: End, (label, generation): (u32, u32)) -> Self {
        let label = (label & (MAX_LABELS - 1)) as u64;
        let of = (generation as u64 & 7) << Self::LABELS | (far as u64 & 1) << Self::FAR;
        Self(self.0 & !Self::ABOUT_LABEL | label << Self::LABEL | of | 1 << Self::LABELLED)
    }

    /// All that it says of the label, in 32 bits; 0: there is none.
    #[inline(always)]
    pub const fn about_label(self) -> u32 {
        (self.0 & Self::ABOUT_LABEL) as u32
    }

    /// With what another state says of the label.
    #[inline(always)]
    #[must_use]
    pub const fn with_label(self, about_label: u32) -> Self {
        Self(self.0 & !Self::ABOUT_LABEL | about_label as u64 & Self::ABOUT_LABEL)
    }

    /// What its packets are billed as, once it is closed.
    #[inline(always)]
    pub const fn kind(self) -> Kind {
        Kind::from_number((self.0 >> Self::KIND) as u32)
    }

    /// Whether its packets are not looked at any more, and billed as what is known of it.
    #[inline(always)]
    pub const fn is_closed(self) -> bool {
        self.0 & Self::CLOSED != 0
    }

    /// Whether many of its packets are looked at.
    #[inline(always)]
    pub const fn is_long(self) -> bool {
        self.0 & Self::LONG != 0
    }

    /// Nobody listens any more.
    #[must_use]
    pub const fn closed_as(self, kind: Kind) -> Self {
        let cleared = self.0 & !((Kind::COUNT as u64 - 1) << Self::KIND);
        Self(cleared | (kind.0 as u64) << Self::KIND | Self::CLOSED)
    }

    /// It is listened to for long.
    #[must_use]
    pub const fn for_long(self) -> Self {
        Self(self.0 | Self::LONG)
    }
}

const _: () = assert!(core::mem::size_of::<FlowSet>() == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_tag_do_not_meet() {
        let kind = Kind::new(Class::Sip, Evidence::Confirmed);
        let tag = Tag::new(u32::MAX).at(0x1_fffe).guessed(kind).heard(1);
        assert_eq!((tag.mark(), tag.age(0x2_0000), tag.guess()), (u32::MAX, 2, kind));
        assert!(tag.has_heard(1) && !tag.has_heard(0) && !tag.is_two_way() && tag.heard(0).is_two_way());
        assert_eq!((tag.opener(), tag.opened_by(1).opener(), tag.opened_by(1).opened_by(0)), (0, 1, tag));
        let other = tag.at(7).guessed(Kind::UNDECIDED);
        assert_eq!((other.age(6), other.guess(), other.mark()), (0xffff, Kind::UNDECIDED, u32::MAX));
        assert!(other.has_heard(1));
        assert_eq!(Tag::from_word(tag.word()), tag);
    }

    #[test]
    fn parts_of_a_state_do_not_meet() {
        let kind = Kind::new(Class::Sip, Evidence::Confirmed);
        let state = FlowState::new(1 << 31).labelled(1, (MAX_LABELS - 1, 5));
        assert_eq!((state.mark(), state.label(), state.kind()), (1 << 31, MAX_LABELS - 1, Kind::UNDECIDED));
        assert!(state.has_label(1, 5) && state.has_label(1, 13));
        assert!(!state.has_label(0, 5) && !state.has_label(1, 4) && !FlowState::new(7).has_label(0, 0));
        assert!(!state.is_closed() && !state.is_long());
        let closed = state.for_long().closed_as(kind).labelled(0, (1, 8));
        assert_eq!((closed.label(), closed.has_label(0, 0), closed.kind()), (1, true, kind));
        assert!(closed.is_closed() && closed.is_long());
        assert_eq!(FlowState::new(3).with_label(closed.about_label()), FlowState::new(3).labelled(0, (1, 0)));
        assert_eq!(FlowState::new(3).for_long().closed_as(kind).about_label(), 0);
        assert_eq!(closed.closed_as(Kind::UNDECIDED).kind(), Kind::UNDECIDED);
        assert_eq!(FlowState::from_word(closed.word()), closed);
    }

    #[test]
    fn every_verdict_has_a_number_of_its_own() {
        for class in Class::ALL.iter().copied() {
            for evidence in Evidence::ALL {
                let kind = Kind::new(class, evidence);
                let expected = (class != Class::Unknown).then_some((class, evidence));
                assert_eq!(Kind::from_number(kind.get()).verdict(), expected);
                assert_eq!(kind.is_seen(), kind.get() != 0 && evidence >= Evidence::Payload);
            }
        }
        assert_eq!(Kind::from_number(Kind::COUNT - 1).verdict(), None);
    }
}
