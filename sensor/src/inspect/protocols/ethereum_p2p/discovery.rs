//! A packet of Node Discovery, version 4 (devp2p, discv4.md), by its signature's last byte, its type and the members of its list.

/// Bytes of the hash and of the signature before its last byte.
const BEFORE_RECOVERY: usize = 32 + 64;
/// The longest packet.
const MAX_PACKET: usize = 1280;
/// Bytes of a public key, which is what nodes are called by.
const KEY: usize = 64;
/// Bytes of a hash.
const HASH: usize = 32;
/// Nodes that a packet can hold, rounded up.
const MAX_NODES: usize = 24;
/// 2014, before which there were no nodes: expiration is a time.
const EARLIEST: u64 = 1_388_534_400;
/// Some hundred years later.
const LATEST: u64 = u32::MAX as u64;

/// Whether these bytes are a packet.
pub(super) fn is_packet(bytes: &[u8]) -> bool {
    if bytes.len() > MAX_PACKET {
        return false;
    }
    let Some((_, [recovery, kind, body @ ..])) = bytes.split_at_checked(BEFORE_RECOVERY) else { return false };
    let Some((Item::List(body), [])) = item(body) else { return false };
    *recovery <= 1 && is_body(*kind, body).is_some()
}

/// Whether a list has the members that one of this type has; EIP-8 allows more behind them.
fn is_body(kind: u8, body: &[u8]) -> Option<()> {
    match kind {
        // Ping: version, from, to, expiration.
        1 => {
            let (version, rest) = string(body)?;
            let rest = endpoint(endpoint(rest)?)?;
            (version.len() <= 1).then(|| expiration(rest)).flatten()
        }
        // Pong: to, the ping's hash, expiration.
        2 => {
            let (hash, rest) = string(endpoint(body)?)?;
            (hash.len() == HASH).then(|| expiration(rest)).flatten()
        }
        // FindNode: target, expiration.
        3 => {
            let (target, rest) = string(body)?;
            (target.len() == KEY).then(|| expiration(rest)).flatten()
        }
        // Neighbors: nodes, expiration.
        4 => {
            let (nodes, rest) = list(body)?;
            are_nodes(nodes).then(|| expiration(rest)).flatten()
        }
        // ENRRequest: expiration.
        5 => expiration(body),
        // ENRResponse: the request's hash, a record that begins with its signature.
        6 => {
            let (hash, rest) = string(body)?;
            let (record, _) = list(rest)?;
            let (signature, _) = string(record)?;
            (hash.len() == HASH && signature.len() == KEY).then_some(())
        }
        _ => None,
    }
}

fn are_nodes(mut nodes: &[u8]) -> bool {
    for _ in 0..MAX_NODES {
        if nodes.is_empty() {
            return true;
        }
        let Some((node, rest)) = list(nodes) else { return false };
        let key = address(node).and_then(string);
        if !key.is_some_and(|(key, rest)| key.len() == KEY && rest.is_empty()) {
            return false;
        }
        nodes = rest;
    }
    false
}

/// What is behind a list of an address and its ports.
fn endpoint(bytes: &[u8]) -> Option<&[u8]> {
    let (endpoint, rest) = list(bytes)?;
    address(endpoint)?;
    Some(rest)
}

/// What is behind an address, its UDP port and its TCP port.
fn address(bytes: &[u8]) -> Option<&[u8]> {
    let (address, rest) = string(bytes)?;
    let (udp, rest) = string(rest)?;
    let (tcp, rest) = string(rest)?;
    (matches!(address.len(), 0 | 4 | 16) && udp.len() <= 2 && tcp.len() <= 2).then_some(rest)
}

fn expiration(bytes: &[u8]) -> Option<()> {
    let (time, _) = string(bytes)?;
    (time.len() <= 8 && (EARLIEST..=LATEST).contains(&big_endian(time))).then_some(())
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// A value in RLP (Ethereum Yellow Paper, appendix B).
enum Item<'a> {
    String(&'a [u8]),
    List(&'a [u8]),
}

fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match item(bytes)? {
        (Item::String(content), rest) => Some((content, rest)),
        (Item::List(_), _) => None,
    }
}

fn list(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match item(bytes)? {
        (Item::List(content), rest) => Some((content, rest)),
        (Item::String(_), _) => None,
    }
}

/// The first value, and what is behind it.
fn item(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (first, behind) = bytes.split_first()?;
    let (is_list, offset) = match first {
        ..0x80 => return bytes.split_at_checked(1).map(|(byte, rest)| (Item::String(byte), rest)),
        0x80..0xc0 => (false, first - 0x80),
        0xc0.. => (true, first - 0xc0),
    };
    let (len, behind) = match offset {
        ..=55 => (usize::from(offset), behind),
        // A length of one or two bytes: packets are not longer.
        56 | 57 => {
            let (len, rest) = behind.split_at_checked(usize::from(offset - 55))?;
            (big_endian(len) as usize, rest)
        }
        _ => return None,
    };
    let (content, rest) = behind.split_at_checked(len)?;
    Some((if is_list { Item::List(content) } else { Item::String(content) }, rest))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn encoded(is_list: bool, content: &[u8]) -> Vec<u8> {
        let base = if is_list { 0xc0 } else { 0x80 };
        let mut bytes = match content.len() {
            1 if !is_list && content[0] < 0x80 => Vec::new(),
            len @ ..=55 => vec![base + len as u8],
            len @ 56..=255 => vec![base + 56, len as u8],
            len => vec![base + 57, (len >> 8) as u8, len as u8],
        };
        bytes.extend_from_slice(content);
        bytes
    }

    fn packet(kind: u8, members: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![0xb7; BEFORE_RECOVERY];
        bytes.extend_from_slice(&[1, kind]);
        bytes.extend_from_slice(&encoded(true, &members.concat()));
        bytes
    }

    fn address(key: Option<&[u8]>) -> Vec<u8> {
        let members = [&[192, 0, 2, 1][..], &[0x76, 0x5f], &[0x76, 0x5f]].map(|part| encoded(false, part)).concat();
        let key = key.map(|key| encoded(false, key)).unwrap_or_default();
        encoded(true, &[members, key].concat())
    }

    fn time() -> Vec<u8> {
        encoded(false, &1_700_000_000_u32.to_be_bytes())
    }

    pub(in super::super) fn ping_and_pong() -> [Vec<u8>; 2] {
        let ping = packet(1, &[vec![4], address(None), address(None), time()]);
        [ping, packet(2, &[address(None), encoded(false, &[7; HASH]), time()])]
    }

    #[test]
    fn packets_of_each_type() {
        let [ping, pong] = ping_and_pong();
        let find = packet(3, &[encoded(false, &[9; KEY]), time()]);
        let nodes = encoded(true, &vec![address(Some(&[5; KEY])); 12].concat());
        let neighbors = packet(4, &[nodes, time()]);
        let record = encoded(true, &[encoded(false, &[3; KEY]), vec![1]].concat());
        let answer = packet(6, &[encoded(false, &[7; HASH]), record]);
        // What EIP-868 adds to a ping.
        let longer = packet(1, &[vec![4], address(None), address(None), time(), vec![9]]);
        for packet in [ping, pong, find, neighbors, packet(5, &[time()]), answer, longer] {
            assert!(is_packet(&packet));
            for cut in 0..packet.len() {
                assert!(!is_packet(&packet[..cut]));
            }
            let other = |place: usize, byte| {
                let mut other = packet.clone();
                other[place] = byte;
                is_packet(&other)
            };
            assert!(!other(BEFORE_RECOVERY, 27) && !other(BEFORE_RECOVERY + 1, 7) && !other(BEFORE_RECOVERY + 2, 0xbf));
            assert!(!is_packet(&[packet.as_slice(), &[0]].concat()));
        }
    }

    #[test]
    fn members_that_are_not_those_of_the_type() {
        let early = encoded(false, &1_000_000_000_u32.to_be_bytes());
        assert!(!is_packet(&packet(5, &[early])));
        assert!(!is_packet(&packet(3, &[encoded(false, &[9; 63]), time()])));
        assert!(!is_packet(&packet(4, &[encoded(true, &[0x80; 9]), time()])));
        assert!(!is_packet(&packet(1, &[vec![4], address(None), time()])));
    }

    #[test]
    fn any_bytes() {
        proptest::proptest!(|(kind in 0_u8..8, body: Vec<u8>)| {
            let mut bytes = vec![0; BEFORE_RECOVERY];
            bytes.extend_from_slice(&[0, kind]);
            bytes.extend_from_slice(&body);
            is_packet(&bytes);
            is_body(kind, &body);
            are_nodes(&body);
        });
    }
}
