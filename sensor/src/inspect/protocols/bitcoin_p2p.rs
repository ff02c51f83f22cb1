//! Nodes of Bitcoin and of what came out of it.
//!
//! Source: Bitcoin developer reference, P2P network, message header: the network's four bytes, a command of twelve padded with zeros, the length and,
//! but for the first messages of nodes before 2012, the first four bytes of the payload's double SHA-256. A network that is not listed is known by a
//! `version` whose checksum is right. Confirmed: both ends have messages of the same network.
//!
//! False alarms: none known. Not seen: BIP 324 (version 2 of the transport), which is random bytes from the first on; a connection whose beginning was
//! not captured and of which no segment begins with a message.

use sensor_ebpf::class::Class;
use sha2::{Digest as _, Sha256};

use crate::inspect::{Conversation, End, Verdict};

/// Bytes that the messages of a network begin with (`pchMessageStart` in its chainparams.cpp).
const NETWORKS: &[[u8; 4]] = &[
    // Bitcoin: main, testnet 3, testnet 4, signet, regtest.
    [0xf9, 0xbe, 0xb4, 0xd9],
    [0x0b, 0x11, 0x09, 0x07],
    [0x1c, 0x16, 0x3f, 0x28],
    [0x0a, 0x03, 0xcf, 0x40],
    [0xfa, 0xbf, 0xb5, 0xda],
    // Bitcoin Cash and its testnet, Bitcoin Gold, Namecoin.
    [0xe3, 0xe1, 0xf3, 0xe8],
    [0xf4, 0xe5, 0xf3, 0xf4],
    [0xe1, 0x47, 0x6d, 0x44],
    [0xf9, 0xbe, 0xb4, 0xfe],
    // Litecoin and its testnet, Dogecoin and its testnet, Dash and its testnet.
    [0xfb, 0xc0, 0xb6, 0xdb],
    [0xfd, 0xd2, 0xc8, 0xf1],
    [0xc0, 0xc0, 0xc0, 0xc0],
    [0xfc, 0xc1, 0xb7, 0xdc],
    [0xbf, 0x0c, 0x6b, 0xbd],
    [0xce, 0xe2, 0xca, 0xff],
    // Zcash and its testnet, DigiByte, Peercoin, Ravencoin.
    [0x24, 0xe9, 0x27, 0x64],
    [0xfa, 0x1a, 0xf9, 0xbf],
    [0xfa, 0xc3, 0xb6, 0xda],
    [0xe6, 0xe8, 0xe9, 0xe5],
    [0x52, 0x41, 0x56, 0x4e],
];

/// Bytes of a header without and with its checksum.
const OLD_HEADER: usize = 20;
const HEADER: usize = 24;
/// The longest payload that any of them takes (`MAX_SIZE` in serialize.h).
const MAX_PAYLOAD: u32 = 0x0200_0000;
/// The shortest payload of a `version`.
const MIN_VERSION: u32 = 46;
/// The longest that is checked: the name of the software has up to 256 bytes.
const MAX_VERSION: u32 = 1024;

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_tcp() {
        return None;
    }
    match End::ALL.map(|end| network(conversation, end)) {
        [Some(client), Some(server)] if client == server => Some(Verdict::confirmed(Class::BitcoinP2p)),
        [None, None] => None,
        _ => Some(Verdict::payload(Class::BitcoinP2p)),
    }
}

/// The network whose messages an end sends.
fn network(conversation: &Conversation, end: End) -> Option<[u8; 4]> {
    let stream = conversation.stream(end);
    let mut starts =
        std::iter::once(stream).chain(conversation.messages_of(end).map(|message| message.bytes.as_slice()));
    starts.find_map(known_network).or_else(|| other_network(stream))
}

fn known_network(bytes: &[u8]) -> Option<[u8; 4]> {
    let header: &[u8; OLD_HEADER] = bytes.first_chunk()?;
    let (magic, rest) = header.split_first_chunk::<4>()?;
    let (command, length) = rest.split_first_chunk::<12>()?;
    let length = u32::from_le_bytes(length.try_into().ok()?);
    (NETWORKS.contains(magic) && is_command(command) && length <= MAX_PAYLOAD).then_some(*magic)
}

/// A network by the checksum of its `version`.
fn other_network(stream: &[u8]) -> Option<[u8; 4]> {
    let (header, payload) = stream.split_first_chunk::<HEADER>()?;
    let (magic, rest) = header.split_first_chunk::<4>()?;
    let (command, rest) = rest.split_first_chunk::<12>()?;
    let (length, checksum) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    if command != b"version\0\0\0\0\0" || !(MIN_VERSION..=MAX_VERSION).contains(&length) {
        return None;
    }
    let payload = payload.get(..length as usize)?;
    Sha256::digest(Sha256::digest(payload)).starts_with(checksum).then_some(*magic)
}

/// Letters and digits, then zeros.
fn is_command(command: &[u8; 12]) -> bool {
    let len = command.iter().position(|byte| *byte == 0).unwrap_or(command.len());
    let (name, zeros) = command.split_at(len);
    len >= 2
        && name.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_')
        && zeros.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::packet::protocol;

    const MAIN: [u8; 4] = [0xf9, 0xbe, 0xb4, 0xd9];
    const UNLISTED: [u8; 4] = [1, 2, 3, 4];

    fn message(network: [u8; 4], command: &str, payload: &[u8]) -> Vec<u8> {
        let mut bytes = network.to_vec();
        bytes.extend_from_slice(command.as_bytes());
        bytes.resize(16, 0);
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&Sha256::digest(Sha256::digest(payload))[..4]);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn of(messages: &[(End, &[u8])]) -> Option<Verdict> {
        judge(&Conversation::of(protocol::TCP, [40_000, 8333], messages))
    }

    #[test]
    fn one_end_and_both() {
        let version = message(MAIN, "version", &[0; 85]);
        let verack = message(MAIN, "verack", &[]);
        for end in End::ALL {
            assert_eq!(of(&[(end, &version)]), Some(Verdict::payload(Class::BitcoinP2p)));
        }
        let confirmed = Some(Verdict::confirmed(Class::BitcoinP2p));
        assert_eq!(of(&[(End::Client, &version), (End::Server, &version), (End::Server, &verack)]), confirmed);
        // From the middle on.
        let inv = message(MAIN, "inv", &[1; 37]);
        assert_eq!(of(&[(End::Client, &[0x55; 40]), (End::Client, &inv)]), Some(Verdict::payload(Class::BitcoinP2p)));
        let other = message(NETWORKS[1], "version", &[0; 85]);
        assert_eq!(of(&[(End::Client, &version), (End::Server, &other)]), Some(Verdict::payload(Class::BitcoinP2p)));
    }

    #[test]
    fn a_network_that_is_not_listed() {
        let version = message(UNLISTED, "version", &[7; 102]);
        assert_eq!(of(&[(End::Client, &version)]), Some(Verdict::payload(Class::BitcoinP2p)));
        assert_eq!(
            of(&[(End::Client, &version), (End::Server, &version)]),
            Some(Verdict::confirmed(Class::BitcoinP2p))
        );
        let mut wrong = version.clone();
        wrong[30] ^= 1;
        assert_eq!(of(&[(End::Client, &wrong)]), None);
        assert_eq!(of(&[(End::Client, &version[..60])]), None);
        assert_eq!(of(&[(End::Client, &message(UNLISTED, "verack", &[]))]), None);
    }

    #[test]
    fn look_alikes() {
        let version = message(MAIN, "version", &[0; 85]);
        let mut no_command = version.clone();
        no_command[4..16].fill(0);
        let mut in_the_middle = version.clone();
        in_the_middle[14] = b'a';
        let mut too_long = version.clone();
        too_long[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
        for bytes in [&no_command, &in_the_middle, &too_long, &version[..19].to_vec()] {
            assert_eq!(of(&[(End::Client, bytes)]), None);
        }
        assert_eq!(judge(&Conversation::of(protocol::UDP, [1, 8333], &[(End::Client, &version)])), None);
    }

    #[test]
    fn any_bytes() {
        proptest::proptest!(|(bytes: Vec<u8>)| assert_eq!(of(&[(End::Client, &bytes), (End::Server, &bytes)]), None));
        let version = message(UNLISTED, "version", &[7; 102]);
        for cut in 0..version.len() {
            assert_eq!(of(&[(End::Client, &version[..cut])]), None);
        }
    }
}
