//! The fast way reads every plain frame, nothing else, and finds in it what the general way finds.
#![expect(clippy::unwrap_used, reason = "a property that cannot be stated fails")]

#[path = "support/table.rs"]
mod table;

use std::cell::RefCell;

use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};
use sensor_ebpf::{
    abi::{Counter, Degraded, Direction, MAX_SAMPLE, Matched, Outcome, Unparsed},
    packet::{Ipv4, Ipv6, L3, Lengths, Plain, SliceWindow, Window, network, plain},
};

use self::table::Table;

/// Words that the fast way alone asks for at once: the end of the Ethernet header and an IPv4 header.
const FAST_WORDS: usize = 6;

/// A frame that keeps in mind where its headers claimed that it ends.
struct Asked<'a> {
    frame: &'a Frame,
    /// Whether it shows nothing to the fast way.
    slow: bool,
    claimed: RefCell<Vec<u32>>,
}

impl<'a> Asked<'a> {
    fn new(frame: &'a Frame, slow: bool) -> Self {
        Self { frame, slow, claimed: RefCell::default() }
    }
}

impl Window for Asked<'_> {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.frame.window().read(offset)
    }

    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        if self.slow && N == FAST_WORDS { None } else { self.frame.window().words(offset) }
    }

    fn double_words<const N: usize>(&self, offset: usize) -> Option<[u64; N]> {
        // The fast way has looked at words before.
        self.frame.window().double_words(offset)
    }

    fn lengths(&self, claimed: u32) -> Lengths {
        self.claimed.borrow_mut().push(claimed);
        self.frame.window().lengths(claimed)
    }

    fn segments(&self) -> u32 {
        self.frame.segments
    }

    fn reach(&self) -> u32 {
        self.frame.window().reach()
    }

    fn copy(&self, offset: usize, len: u32, to: &mut [u8; MAX_SAMPLE]) -> bool {
        self.frame.window().copy(offset, len, to)
    }
}

#[derive(Clone, Debug)]
struct Frame {
    captured: Vec<u8>,
    wire_len: u32,
    frame_len: u32,
    segments: u32,
}

impl Frame {
    fn window(&self) -> SliceWindow<'_> {
        SliceWindow::captured(&self.captured, self.wire_len, self.frame_len)
    }

    /// Whether the frame is plain: Ethernet II, right behind it the header of the IP that its type says, whole and without options,
    /// with a length field to be believed.
    fn is_plain(&self) -> bool {
        let bytes = &self.captured;
        let number = |at: usize| u32::from(bytes[at]) << 8 | u32::from(bytes[at + 1]);
        let room = self.wire_len.saturating_sub(14);
        self.segments == 1
            && match bytes.get(12..15) {
                Some([0x08, 0x00, 0x45]) => bytes.len() >= 34 && (20..=room).contains(&number(16)),
                Some([0x86, 0xdd, first]) if first >> 4 == 6 => {
                    bytes.len() >= 54 && number(18) > 0 && 40 + number(18) <= room
                }
                _ => false,
            }
    }
}

/// What a length field says where the truth is `len`.
fn stated() -> impl Strategy<Value = fn(u16, u16) -> u16> {
    let wrong: [fn(u16, u16) -> u16; 5] =
        [|_, _| 0, |len, _| len.wrapping_add(1), |len, _| len.wrapping_sub(1), |_, any| any % 64, |_, any| any];
    prop_oneof![4 => Just((|len, _| len) as fn(u16, u16) -> u16), 3 => prop::sample::select(wrong.to_vec())]
}

/// A packet between addresses in the table and beside it.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let v4 =
        prop::sample::select(vec![[192, 0, 2, 1], [198, 51, 7, 7], [203, 0, 113, 1], [100, 64, 0, 1], [9, 9, 9, 9]]);
    let v6 = prop::sample::select(vec![[0x20, 0x01], [0xfd, 0], [0xfe, 0x80]]);
    let protocol = || prop::sample::select(vec![6_u8, 17, 1, 58, 132, 0, 43, 44, 51, 60, 59]);
    let rest = || (stated(), any::<u16>(), prop::collection::vec(any::<u8>(), 0..60));
    let fragment = prop::sample::select(vec![0_u16, 0x4000, 0x2000, 3]);
    let ipv4 = (v4.clone(), v4, protocol(), 5_u8..7, fragment, rest()).prop_map(
        |(source, destination, protocol, words, fragment, (stated, any, payload))| {
            let [high, low] = stated(u16::from(words) * 4 + payload.len() as u16, any).to_be_bytes();
            let [flags, offset] = fragment.to_be_bytes();
            let fixed = [0x40 | words, 0, high, low, 0, 1, flags, offset, 64, protocol, 0, 0];
            let mut header = [&fixed[..], &source, &destination].concat();
            header.resize(usize::from(words) * 4, 1);
            [&[0x08, 0x00][..], &header, &payload].concat()
        },
    );
    let ipv6 = (v6.clone(), v6, protocol(), any::<[u8; 28]>(), rest()).prop_map(
        |(source, destination, next, addresses, (stated, any, payload))| {
            let [high, low] = stated(payload.len() as u16, any).to_be_bytes();
            let header = [0x60 | addresses[0] & 0x0f, 0, 0, 0, high, low, next, 64];
            let (one, other) = addresses.split_at(14);
            [&[0x86, 0xdd][..], &header, &source, one, &destination, other, &payload].concat()
        },
    );
    prop_oneof![ipv4, ipv6]
}

/// Plain frames, and what is left of them behind tags, changed bytes, cuts and captures that say what they like.
fn frames() -> impl Strategy<Value = Frame> {
    let tags = prop_oneof![4 => Just(vec![]), 1 => Just(vec![0x81, 0x00, 0, 5]), 1 => Just(vec![0x88, 0xa8, 0, 5])];
    let changes = prop::collection::vec((12_usize..60, any::<u8>()), 0..3);
    let changes = prop_oneof![2 => Just(vec![]), 1 => changes];
    let cut = prop_oneof![3 => Just(usize::MAX), 1 => 0_usize..80];
    let more = prop_oneof![3 => Just(0_u32), 1 => 0_u32..3000, 1 => any::<u32>()];
    let lengths = (0_usize..20, cut, more, 0_u32..40, any::<u16>());
    let segments = prop_oneof![6 => Just(1_u32), 1 => 2_u32..4];
    let parts = (prop::array::uniform12(any::<u8>()), tags, packets(), changes, lengths, segments);
    parts.prop_map(|(addresses, tags, packet, changes, (padding, cut, more, less, beside), segments)| {
        let mut captured = [&addresses[..], &tags, &packet, &vec![0; padding]].concat();
        let whole = captured.len() as u32;
        for (at, byte) in changes {
            if let Some(changed) = captured.get_mut(at) {
                *changed = byte;
            }
        }
        captured.truncate(cut);
        let wire_len = whole.saturating_add(more).saturating_sub(if beside % 4 == 0 { less } else { 0 });
        Frame { captured, wire_len, frame_len: beside.into(), segments }
    })
}

/// By prefix.
type Prefixes = Vec<(u32, Direction, Counter)>;

/// All that was booked: by outcome and trouble, and by prefix.
fn booked(table: &Table) -> (Vec<Counter>, Prefixes) {
    let matched = Matched::ALL.map(Outcome::Matched);
    let outcomes = matched.into_iter().chain([Outcome::Other]).chain(Unparsed::ALL.map(Outcome::Unparsed));
    let troubles = Degraded::ALL.map(|reason| table.degraded(reason));
    (outcomes.map(|outcome| table.outcome(outcome)).chain(troubles).collect(), table.counted())
}

#[test]
fn every_plain_frame_is_read_the_fast_way_and_as_by_the_general_way() {
    let counts = RefCell::new([0_u32; 3]);
    let config = Config { cases: 40_000, rng_seed: RngSeed::Fixed(11), failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&frames(), |frame| {
        let (fast, general) = (Asked::new(&frame, false), Asked::new(&frame, true));
        prop_assert!(
            matches!(plain(&general), Plain::Not),
            "the general way must be the only one that sees this frame"
        );
        general.claimed.borrow_mut().clear();
        let class = match plain(&fast) {
            Plain::V4(header) => {
                prop_assert_eq!(network(&general), Ok(L3::V4(14)));
                prop_assert_eq!(Ok(header), Ipv4::read(&general, 14));
                prop_assert_eq!(
                    header.behind().l4(&fast),
                    Ipv4::read(&frame.window(), 14).unwrap().behind().l4(&general)
                );
                0
            }
            Plain::V6(header) => {
                prop_assert_eq!(network(&general), Ok(L3::V6(14)));
                prop_assert_eq!(Ok(header), Ipv6::read(&general, 14));
                prop_assert_eq!(
                    header.behind().l4(&fast),
                    Ipv6::read(&frame.window(), 14).unwrap().behind().l4(&general)
                );
                1
            }
            Plain::Not => 2,
        };
        counts.borrow_mut()[class] += 1;
        prop_assert_eq!(class < 2, frame.is_plain(), "whether the frame is plain");
        if class < 2 {
            prop_assert_eq!(&fast.claimed, &general.claimed, "where its headers say that it ends");
        }
        let (mut one, mut other) = (Table::new(), Table::new());
        let outcome = other.book(&Asked::new(&frame, true));
        let fast = if frame.segments == 1 {
            one.account(&frame.captured, frame.wire_len, frame.frame_len)
        } else {
            one.book(&Asked::new(&frame, false))
        };
        prop_assert_eq!((fast, booked(&one)), (outcome, booked(&other)));
        Ok(())
    });
    result.unwrap();
    let [v4, v6, not] = counts.into_inner();
    println!("{v4} plain frames of IPv4, {v6} of IPv6, {not} others");
    assert!(v4 > 3_000 && v6 > 3_000 && not > 10_000, "the generator makes too little of something: {v4} {v6} {not}");
}

/// The ends of what is plain, one by one: a generator may miss a byte.
#[test]
fn a_frame_is_plain_up_to_the_last_byte_of_its_header_and_of_its_claim() {
    let v4 = |total: u8| {
        let header = [0x08, 0x00, 0x45, 0, 0, total, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2];
        [&[2; 12][..], &header, &[0; 26]].concat()
    };
    let v6 = |payload: u8| [&[2; 12][..], &[0x86, 0xdd, 0x60, 0, 0, 0, 0, payload, 17, 64], &[1; 32], &[0; 6]].concat();
    let answers = |bytes: &[u8], wire: u32| !matches!(plain(&SliceWindow::captured(bytes, wire, wire)), Plain::Not);
    for (total, wire, expected) in [
        (46, 60, true),
        (47, 60, false),
        (46, 59, false),
        (20, 60, true),
        (19, 60, false),
        (0, 60, false),
        (20, 34, true),
    ] {
        assert_eq!(answers(&v4(total), wire), expected, "IPv4, {total} of {wire}");
    }
    for (payload, wire, expected) in [(6, 60, true), (7, 60, false), (6, 59, false), (1, 60, true), (0, 60, false)] {
        assert_eq!(answers(&v6(payload), wire), expected, "IPv6, {payload} of {wire}");
    }
    for len in 0..60 {
        assert_eq!(answers(&v4(46)[..len], 60), len >= 34, "IPv4, cut at {len}");
        assert_eq!(answers(&v6(6)[..len], 60), len >= 54, "IPv6, cut at {len}");
    }
}
