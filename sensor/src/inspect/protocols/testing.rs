//! What tests of judges have in common: conversations in a line, bytes that mean nothing, messages that are cut and damaged.

use super::Judge;
use crate::{
    inspect::{Conversation, End, Verdict, packet::protocol},
    testing::rng::Rng,
};

/// Bytes without a pattern, the same for the same seed.
pub(in crate::inspect) fn noise(seed: u64, len: usize) -> Vec<u8> {
    bytes(&mut Rng::new(seed), len)
}

/// The next bytes of a stream.
pub(super) fn bytes(rng: &mut Rng, count: usize) -> Vec<u8> {
    (0..count).map(|_| rng.next_u64() as u8).collect()
}

/// A conversation over TCP.
pub(super) fn tcp(ports: [u16; 2], messages: &[(End, &[u8])]) -> Conversation {
    Conversation::of(protocol::TCP, ports, messages)
}

/// A conversation over UDP.
pub(super) fn udp(ports: [u16; 2], messages: &[(End, &[u8])]) -> Conversation {
    Conversation::of(protocol::UDP, ports, messages)
}

/// What a judge says of lines that the server and then the client send, from and to ports that mean nothing.
pub(super) fn of_lines(judge: Judge, server: &str, client: &str) -> Option<Verdict> {
    let said = [(End::Server, server.as_bytes()), (End::Client, client.as_bytes())];
    let said: Vec<_> = said.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
    judge(&tcp([40_000, 50_000], &said))
}

/// Random bytes are nothing at any port that means nothing, and neither they nor the beginnings of what is known make a judge panic.
pub(super) fn bears_anything(judge: Judge, ports: [u16; 2], known: &[&[u8]]) {
    let mut rng = Rng::new(13);
    let mut random = move || rng.next_u64();
    for round in 0..4_000 {
        let bytes: Vec<u8> = (0..random() % 160).map(|_| random() as u8).collect();
        let other: Vec<u8> = (0..random() % 160).map(|_| random() as u8).collect();
        let said = [(End::Client, &bytes[..]), (End::Server, &other[..])];
        let said = if round % 2 == 0 { &said[..] } else { &said[..1] };
        assert_eq!(judge(&tcp([40_000, 50_000], said)), None, "{bytes:?} {other:?}");
        assert_eq!(judge(&udp([40_000, 50_000], said)), None, "{bytes:?} {other:?}");
        judge(&tcp(ports, said));
        judge(&udp(ports, said));
        // What is known, with a byte that is not.
        for bytes in known {
            let mut bytes = bytes.to_vec();
            let place = random() as usize % bytes.len();
            bytes[place] = random() as u8;
            bytes.truncate(random() as usize % bytes.len() + 1);
            judge(&tcp(ports, &[(End::Client, &bytes), (End::Server, &bytes)]));
            judge(&udp(ports, &[(End::Client, &bytes), (End::Server, &bytes)]));
        }
    }
    for bytes in known {
        for end in 0..=bytes.len() {
            judge(&tcp(ports, &[(End::Client, &bytes[..end]), (End::Server, &bytes[end..])]));
            judge(&udp(ports, &[(End::Client, &bytes[..end]), (End::Server, &bytes[end..])]));
        }
    }
}

/// Asserts that a judge neither panics on these messages nor on what is left of them when they are cut anywhere, nor takes noise for its own.
pub(super) fn assert_robust(judge: Judge, protocol: u8, ports: [u16; 2], messages: &[(End, &[u8])]) {
    for cut in 0..messages.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or_default() {
        let cut: Vec<_> = messages.iter().map(|(from, bytes)| (*from, &bytes[..cut.min(bytes.len())])).collect();
        let _ = judge(&Conversation::of(protocol, ports, &cut));
    }
    for seed in 0..300 {
        // Every byte of the messages is spoilt once in a while.
        let spoilt: Vec<_> = messages
            .iter()
            .map(|(from, bytes)| {
                let noise = noise(seed, bytes.len());
                let mix = |(byte, noise): (&u8, &u8)| if noise % 16 == 0 { *noise } else { *byte };
                (*from, bytes.iter().zip(&noise).map(mix).collect::<Vec<_>>())
            })
            .collect();
        let spoilt: Vec<_> = spoilt.iter().map(|(from, bytes)| (*from, bytes.as_slice())).collect();
        let _ = judge(&Conversation::of(protocol, ports, &spoilt));

        let noises: Vec<_> =
            (0..8).map(|nth| noise(seed * 8 + nth + 1, (seed * 7 + nth * 31) as usize % 1500)).collect();
        let ends = [End::Client, End::Server];
        let noises: Vec<_> = noises.iter().enumerate().map(|(nth, bytes)| (ends[nth % 2], bytes.as_slice())).collect();
        assert_eq!(judge(&Conversation::of(protocol, ports, &noises)), None, "seed {seed}");
    }
}

/// Asserts that a judge finds nothing in random bytes, between ports of its own, too.
pub(super) fn finds_nothing(judge: impl Fn(&Conversation) -> Option<Verdict>, port: u16) {
    let mut rng = Rng::new(14);
    for round in 0..4000 {
        let protocol = if round % 2 == 0 { protocol::TCP } else { protocol::UDP };
        let said: Vec<(End, Vec<u8>)> = (0..1 + rng.below(6))
            .map(|_| {
                let count = rng.below(700);
                (End::ALL[rng.below(2)], bytes(&mut rng, count))
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
    let mut rng = Rng::new(15);
    for place in 0..said.len() {
        for cut in 0..said[place].1.len() {
            let mut damaged = said.to_vec();
            damaged[place].1 = &said[place].1[..cut];
            judge(&Conversation::of(protocol, [40_000, port], &damaged));
            let mut wrong = said[place].1.to_vec();
            wrong[cut] = rng.next_u64() as u8;
            damaged[place].1 = &wrong;
            judge(&Conversation::of(protocol, [40_000, port], &damaged));
        }
    }
}
