//! The dispatch against a scan over all rules, and each rule against its own bytes.

use std::vec::Vec;

use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed},
};

use super::{
    rule::Rule,
    service::{LISTED, Service},
    table::RULES,
    *,
};

/// A port that is not listed, and one of a client.
const UNLISTED: u16 = 47_808;
const CLIENT: u16 = 50_001;

fn rules() -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(|rule| rule.class != Class::Unknown)
}

fn is_udp(rule: &Rule) -> bool {
    !rule.is_for(false)
}

fn bytes(words: [u32; 4]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// The same as [`guess`], written as what it means: byte by byte, rule by rule, port by port.
fn scan(opening: &Opening) -> Option<(Class, Evidence)> {
    let is_udp = match opening.protocol {
        6 => false,
        17 => true,
        50 | 51 => return Some((Class::Ipsec, Evidence::Payload)),
        4 | 41 => return Some((Class::Ipip, Evidence::Payload)),
        47 => return Some((Class::Gre, Evidence::Payload)),
        115 => return Some((Class::L2tp, Evidence::Payload)),
        _ => return None,
    };
    if opening.payload_len == 0 {
        return None;
    }
    let ports = [opening.source_port.min(opening.destination_port), opening.source_port.max(opening.destination_port)];
    let listed = ports.iter().find_map(|port| LISTED.iter().find(|listed| listed.port == *port));
    let service = listed.map_or(Service::None, |listed| listed.service);
    let find =
        |service| rules().find(|rule| rule.service == service && rule.is_for(is_udp) && scan_fits(rule, opening));
    let rule = if service == Service::None { None } else { find(service) };
    if let Some(rule) = rule.or_else(|| find(Service::None)) {
        return Some((rule.class, Evidence::Payload));
    }
    let class = listed.map_or(Class::Unknown, |listed| listed.classes[usize::from(is_udp)]);
    (class != Class::Unknown).then_some((class, Evidence::Port))
}

fn scan_fits(rule: &Rule, opening: &Opening) -> bool {
    let [head, mask, value] = [opening.head, rule.mask, rule.value].map(bytes);
    let len = opening.payload_len;
    let is_length = (rule.least..=rule.most).contains(&len) && len.is_multiple_of(rule.even + 1);
    let is_told = rule.field_mask == 0 || {
        let width = (rule.field_mask.count_ones() / 8) as usize;
        let end = 8 - (rule.field_shift / 8) as usize;
        let told = head[end - width..end].iter().fold(0_u64, |told, byte| told << 8 | u64::from(*byte));
        told + u64::from(rule.field_add) == u64::from(len)
    };
    let drawn: Vec<&[u8]> =
        head.chunks(4).enumerate().filter(|(word, _)| rule.random >> word & 1 == 1).map(|(_, bytes)| bytes).collect();
    let is_random = drawn.iter().all(|word| word.chunks(2).all(|half| half != [0, 0]))
        && (drawn.is_empty() || drawn.concat().iter().any(|byte| *byte > 127));
    (0..HEAD).all(|place| head[place] & mask[place] == value[place]) && is_length && is_told && is_random
}

/// A packet that a rule is for: its bits, something else in the others, the least length or the one that is told.
fn golden(rule: &Rule, other: [u32; 4]) -> Opening {
    let mut head = rule.value;
    for ((word, mask), other) in head.iter_mut().zip(rule.mask).zip(other) {
        *word |= other & !mask;
    }
    let mut payload_len = rule.least.next_multiple_of(rule.even + 1);
    if rule.field_mask != 0 {
        let field = u64::from(rule.field_mask) << rule.field_shift;
        let mut double = u64::from(head[0]) << 32 | u64::from(head[1]);
        // Where bits of the length are fixed, they say how long it is.
        let fixed = u64::from(rule.mask[0]) << 32 | u64::from(rule.mask[1]);
        let wanted = u64::from(payload_len.max(300.min(rule.most)) - rule.field_add) << rule.field_shift;
        double = double & !(field & !fixed) | wanted & field & !fixed;
        payload_len = ((double >> rule.field_shift) as u32 & rule.field_mask) + rule.field_add;
        head = [(double >> 32) as u32, double as u32, head[2], head[3]];
    }
    let port = LISTED.iter().find(|listed| rule.service != Service::None && listed.service == rule.service);
    let protocol = if is_udp(rule) { 17 } else { 6 };
    let destination_port = port.map_or(UNLISTED, |listed| listed.port);
    Opening { protocol, source_port: CLIENT, destination_port, payload_len, head }
}

/// Random enough for rules that want it, and beginning with no other rule's bytes.
const FILLER: [u32; 4] = [0x9d81_a5c3; 4];

#[test]
fn each_rule_finds_its_own_packet() {
    for (number, rule) in rules().enumerate() {
        let opening = golden(rule, FILLER);
        assert!(rule.fits(&opening), "rule {number}: {rule:x?} {opening:x?}");
        assert_eq!(guess(&opening), Some((rule.class, Evidence::Payload)), "rule {number}: {opening:x?}");
        let back = Opening { source_port: opening.destination_port, destination_port: opening.source_port, ..opening };
        assert_eq!(guess(&back), guess(&opening), "both directions of rule {number}");
        if rule.service != Service::None {
            let elsewhere = Opening { destination_port: UNLISTED, ..opening };
            assert_eq!(guess(&elsewhere), scan(&elsewhere));
            let is_same = rules().any(|other| other.service == Service::None && other.class == rule.class);
            assert!(is_same || guess(&elsewhere).is_none_or(|found| found.0 != rule.class), "rule {number} elsewhere");
        }
    }
}

#[test]
fn each_fixed_bit_and_length_counts() {
    for (number, rule) in rules().enumerate() {
        let opening = golden(rule, FILLER);
        for bit in 0..128 {
            let mut head = opening.head;
            let flipped = 1 << (31 - bit % 32);
            head[bit / 32] ^= flipped;
            let is_fixed = rule.mask[bit / 32] & flipped != 0;
            let is_told = bit < 64 && u64::from(rule.field_mask) << rule.field_shift >> (63 - bit) & 1 == 1;
            let fits = rule.fits(&Opening { head, ..opening });
            assert_eq!(fits, !is_fixed && !is_told, "rule {number}: bit {bit} of {opening:x?}");
        }
        let lengths = [rule.least.checked_sub(1), rule.most.checked_add(1)];
        for payload_len in lengths.into_iter().flatten().chain((rule.even > 0).then_some(opening.payload_len + 1)) {
            assert!(!rule.fits(&Opening { payload_len, ..opening }), "rule {number}: {payload_len} bytes");
        }
        // Zeros stand where a payload has no bytes: no rule takes them for its own.
        let seen = bytes(rule.mask).iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        assert!(rule.least as usize >= seen, "rule {number} looks at bytes that need not be there");
    }
}

#[test]
fn zeros_are_not_random() {
    for rule in rules().filter(|rule| rule.random != 0) {
        let empty = golden(rule, [0; 4]);
        assert!(!rule.fits(&empty), "{rule:x?}");
        assert!(!rule.fits(&golden(rule, [0x4142_4344; 4])), "text: {rule:x?}");
        for word in (0..4).filter(|word| rule.random >> word & 1 == 1) {
            let mut halved = FILLER;
            for half in [0xffff, 0xffff_0000] {
                halved[word] = FILLER[word] & half;
                // A fixed byte may stand in the half that is to be zero.
                let is_free = rule.value[word] & !half == 0;
                assert!(!is_free || !rule.fits(&golden(rule, halved)), "half a word of zeros: {rule:x?}");
            }
        }
    }
}

/// What a suspicious class is believed by, in bits: what is fixed, an exact length (of some thousand), a field that tells the length.
#[test]
fn suspicious_rules_are_particular() {
    const ENOUGH: u32 = 30;
    const ENOUGH_AT_A_SERVICE: u32 = 11;
    let ordinary = [Class::Rdp, Class::Sip, Class::Http, Class::Tls, Class::Quic, Class::Dns, Class::Ntp];
    let also = [Class::Smtp, Class::Ftp, Class::Imap, Class::Pop3, Class::Smb, Class::EncryptedDns];
    for (number, rule) in
        rules().enumerate().filter(|(_, rule)| !ordinary.contains(&rule.class) && !also.contains(&rule.class))
    {
        let fixed: u32 = rule.mask.iter().map(|word| word.count_ones()).sum();
        let length = if rule.least == rule.most { 10 } else { rule.even.count_ones() };
        let bits = fixed + length + rule.field_mask.count_ones() + 2 * rule.random.count_ones();
        let enough = if rule.service == Service::None { ENOUGH } else { ENOUGH_AT_A_SERVICE };
        assert!(bits >= enough, "rule {number}, {:?}: {bits} bits", rule.class);
    }
}

#[test]
fn every_port_is_what_is_listed() {
    for port in 0..=u16::MAX {
        let listed = LISTED.iter().find(|listed| listed.port == port);
        let found = service::of([port, UNLISTED]);
        assert_eq!(
            listed.map(|listed| (listed.service, listed.classes)),
            (found.port != 0).then_some((found.service, found.classes))
        );
    }
    // Of two the lower, in both directions.
    for (one, other) in [(53, 500), (1194, 443), (6667, 23)] {
        assert_eq!(service::of([one, other]), service::of([other, one]));
        assert_eq!(service::of([one, other]).port, one.min(other));
    }
}

/// Packets near to a rule, and noise.
fn openings() -> impl Strategy<Value = Opening> {
    let ports = prop_oneof![
        2 => (0..LISTED.len()).prop_map(|at| LISTED[at].port),
        1 => any::<u16>(),
        1 => Just(CLIENT),
    ];
    let near = (
        1..=rules().count(),
        any::<[u32; 4]>(),
        prop::option::weighted(0.3, 0..128_usize),
        prop::option::weighted(0.2, ports.clone()),
        any::<u16>(),
    );
    let near = near.prop_map(|(number, other, flipped, port, source_port)| {
        let mut opening = golden(&RULES[number], other);
        if let Some(bit) = flipped {
            opening.head[bit / 32] ^= 1 << (bit % 32);
        }
        opening.destination_port = port.unwrap_or(opening.destination_port);
        Opening { source_port, ..opening }
    });
    let lens = prop_oneof![0..80_u32, Just(148), 0..1500_u32, any::<u32>()];
    let protocols = prop_oneof![3 => Just(6), 3 => Just(17), 1 => any::<u8>()];
    let noise = (protocols, ports.clone(), ports, lens.clone(), any::<[u32; 4]>()).prop_map(
        |(protocol, source_port, destination_port, payload_len, head)| Opening {
            protocol,
            source_port,
            destination_port,
            payload_len,
            head,
        },
    );
    let other_len = (near.clone(), lens).prop_map(|(opening, payload_len)| Opening { payload_len, ..opening });
    prop_oneof![6 => near, 2 => other_len, 2 => noise]
}

proptest! {
    #![proptest_config(Config { cases: 60_000, rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_dispatch_misses_nothing(opening in openings()) {
        prop_assert_eq!(guess(&opening), scan(&opening));
    }
}
