//! For tests of judges: bytes that mean nothing, and messages that are cut and damaged.

use crate::inspect::{Conversation, End, Verdict, packet::protocol};

/// Xorshift (Marsaglia, 2003).
#[derive(Clone, Debug)]
pub(super) struct Noise(pub(super) u64);

impl Noise {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 11) as usize % bound
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 24) as u8).collect()
    }
}

/// Asserts that a judge finds nothing in random bytes, between ports of its own, too.
pub(super) fn finds_nothing(judge: impl Fn(&Conversation) -> Option<Verdict>, port: u16) {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for round in 0..4000 {
        let protocol = if round % 2 == 0 { protocol::TCP } else { protocol::UDP };
        let said: Vec<(End, Vec<u8>)> = (0..1 + noise.below(6))
            .map(|_| {
                let count = noise.below(700);
                (End::ALL[noise.below(2)], noise.bytes(count))
            })
            .collect();
        let said: Vec<(End, &[u8])> = said.iter().map(|(from, bytes)| (*from, bytes.as_slice())).collect();
        let conversation = Conversation::of(protocol, [40_000, port], &said);
        assert_eq!(judge(&conversation), None, "round {round}");
    }
}

/// Asserts that a judge stands messages that are cut anywhere, or have a wrong byte.
pub(super) fn stands_damage(
    judge: impl Fn(&Conversation) -> Option<Verdict>,
    protocol: u8,
    port: u16,
    said: &[(End, &[u8])],
) {
    let mut noise = Noise(0x1234_5678_9abc_def1);
    for place in 0..said.len() {
        for cut in 0..said[place].1.len() {
            let mut damaged = said.to_vec();
            damaged[place].1 = &said[place].1[..cut];
            judge(&Conversation::of(protocol, [40_000, port], &damaged));
            let mut wrong = said[place].1.to_vec();
            wrong[cut] = noise.next() as u8;
            damaged[place].1 = &wrong;
            judge(&Conversation::of(protocol, [40_000, port], &damaged));
        }
    }
}
