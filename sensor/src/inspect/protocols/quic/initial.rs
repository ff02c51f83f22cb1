//! The protection of a client's first packets (RFC 9001, section 5; RFC 9369, section 3.3): its keys follow from what is in the open, so that who
//! reads along can open them. That they open proves that they are QUIC.

use ring::{aead, hkdf};

use super::{
    super::{reader::Reader, tls::hello::ClientHello},
    packet::{DRAFT, Kind, Long, MVFST, V2, Version},
};

/// Datagrams of a client that are looked at, packets in each, and packets that are opened in all.
const MAX_DATAGRAMS: usize = 12;
const MAX_COALESCED: usize = 4;
const MAX_OPENED: usize = 8;
/// Frames of a packet, and pieces of a hello.
const MAX_FRAMES: usize = 2048;
const MAX_PIECES: usize = 128;
/// Bytes of a sample, and where it begins behind the start of the packet number (RFC 9001, section 5.4.2).
const SAMPLE: usize = 16;
const SAMPLE_AT: usize = 4;

/// Salts: RFC 9001, section 5.2; RFC 9369, section 3.3.1; drafts 29, 23 and 21 of draft-ietf-quic-tls, section 5.2; Chromium, `crypto_utils.cc`.
const SALT_1: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f,
    0x0a,
];
const SALT_2: [u8; 20] = [
    0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e,
    0xd9,
];
const SALT_29: [u8; 20] = [
    0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8,
    0x99,
];
const SALT_23: [u8; 20] = [
    0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7, 0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5,
    0x02,
];
const SALT_21: [u8; 20] = [
    0x7f, 0xbc, 0xdb, 0x0e, 0x7c, 0x66, 0xbb, 0xe9, 0x19, 0x3a, 0x96, 0xcd, 0x21, 0x51, 0x9e, 0xbd, 0x7a, 0x02, 0x64,
    0x4a,
];
const SALT_T050: [u8; 20] = [
    0x7f, 0xf5, 0x79, 0xe5, 0xac, 0xd0, 0x72, 0x91, 0x55, 0x80, 0x30, 0x4c, 0x43, 0xa2, 0x36, 0x7c, 0x60, 0x48, 0x83,
    0x10,
];
const SALT_T051: [u8; 20] = [
    0x7a, 0x4e, 0xde, 0xf4, 0xe7, 0xcc, 0xee, 0x5f, 0xa4, 0x50, 0x6c, 0x19, 0x12, 0x4f, 0xc8, 0xcc, 0xda, 0x6e, 0x03,
    0x3d,
];

fn salt(version: Version) -> Option<&'static [u8; 20]> {
    let Version::Ietf(number) = version else { return None };
    const T050: u32 = u32::from_be_bytes(*b"T050");
    const T051: u32 = u32::from_be_bytes(*b"T051");
    let draft = match number {
        1 => return Some(&SALT_1),
        V2 => return Some(&SALT_2),
        T050 => return Some(&SALT_T050),
        T051 => return Some(&SALT_T051),
        // mvfst names the drafts that it follows otherwise.
        number if number == MVFST | 1 => 22,
        number if number & !0xf == MVFST => 27,
        number => number.checked_sub(DRAFT)?,
    };
    match draft {
        21..=22 => Some(&SALT_21),
        23..=28 => Some(&SALT_23),
        29..=32 => Some(&SALT_29),
        33..=34 => Some(&SALT_1),
        _ => None,
    }
}

/// What opens a client's first packets.
struct Keys {
    key: aead::LessSafeKey,
    iv: [u8; aead::NONCE_LEN],
    header: aead::quic::HeaderProtectionKey,
}

/// So many bytes are wanted.
struct Wanted(usize);

impl hkdf::KeyType for Wanted {
    fn len(&self) -> usize {
        self.0
    }
}

/// `HKDF-Expand-Label` (RFC 8446, section 7.1).
fn expand<const N: usize>(secret: &hkdf::Prk, label: &str) -> Option<[u8; N]> {
    const PREFIX: &str = "tls13 ";
    let lengths = [0, u8::try_from(N).ok()?, u8::try_from(PREFIX.len() + label.len()).ok()?];
    let mut bytes = [0; N];
    let info = [&lengths[..], PREFIX.as_bytes(), label.as_bytes(), &[0]];
    secret.expand(&info, Wanted(N)).ok()?.fill(&mut bytes).ok()?;
    Some(bytes)
}

impl Keys {
    /// Those of a client that chose this id for its server.
    fn new(version: Version, id: &[u8]) -> Option<Self> {
        let initial = hkdf::Salt::new(hkdf::HKDF_SHA256, salt(version)?).extract(id);
        let client: [u8; 32] = expand(&initial, "client in")?;
        let client = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &client);
        let labels = if version == Version::Ietf(V2) {
            ["quicv2 key", "quicv2 iv", "quicv2 hp"]
        } else {
            ["quic key", "quic iv", "quic hp"]
        };
        let key: [u8; 16] = expand(&client, labels[0])?;
        let header: [u8; 16] = expand(&client, labels[2])?;
        Some(Self {
            key: aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_128_GCM, &key).ok()?),
            iv: expand(&client, labels[1])?,
            header: aead::quic::HeaderProtectionKey::new(&aead::quic::AES_128, &header).ok()?,
        })
    }

    /// The frames of a packet, whose number begins at `at` and is, with its payload, `length` bytes long.
    fn open(&self, bytes: &[u8], at: usize, length: usize) -> Option<Vec<u8>> {
        let packet = bytes.get(..at.checked_add(length)?)?;
        let sample = packet.get(at + SAMPLE_AT..at + SAMPLE_AT + SAMPLE)?;
        let mask = self.header.new_mask(sample).ok()?;
        let mut header = packet.get(..at + SAMPLE_AT)?.to_vec();
        header[0] ^= mask[0] & 0x0f;
        let count = usize::from(header[0] & 3) + 1;
        header.truncate(at + count);
        let mut nonce = self.iv;
        for ((byte, mask), place) in header[at..].iter_mut().zip(&mask[1..]).zip(aead::NONCE_LEN - count..) {
            *byte ^= mask;
            nonce[place] ^= *byte;
        }
        let mut payload = packet.get(at + count..)?.to_vec();
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let plain = self.key.open_in_place(nonce, aead::Aad::from(&header), &mut payload).ok()?.len();
        payload.truncate(plain);
        Some(payload)
    }
}

/// What opens of a client's datagrams. Outer `None`: nothing does; inner: the hello is not among it.
pub(super) fn hello<'a>(datagrams: impl Iterator<Item = &'a [u8]>) -> Option<Option<ClientHello>> {
    let mut first = None;
    let mut pieces: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut opened = 0;
    let mut tried = 0;
    for datagram in datagrams.take(MAX_DATAGRAMS) {
        let mut rest = datagram;
        for _ in 0..MAX_COALESCED {
            let Some(packet) = Long::read(rest) else { break };
            let Some((at, length)) = packet.protected() else { break };
            if packet.kind() == Some(Kind::Initial) && tried < MAX_OPENED {
                tried += 1;
                // A later one may say the id that the server chose, and is still protected as the first was; after a retry all is new.
                let first = *first.get_or_insert(packet.destination);
                let ids = [packet.destination, first];
                let ids = if ids[0] == ids[1] { &ids[..1] } else { &ids[..] };
                let frames = ids.iter().find_map(|id| Keys::new(packet.version, id)?.open(packet.bytes, at, length));
                if let Some(frames) = frames {
                    opened += 1;
                    collect(&frames, &mut pieces);
                    // Nothing more is to be learned once all of it is there.
                    let whole = ClientHello::read(&assemble(&mut pieces)).filter(|hello| hello.complete);
                    if whole.is_some() {
                        return Some(whole);
                    }
                }
            }
            let Some(next) = at.checked_add(length).and_then(|end| rest.get(end..)) else { break };
            rest = next;
        }
    }
    (opened > 0).then(|| ClientHello::read(&assemble(&mut pieces)))
}

/// Takes the pieces of a hello out of the frames of a packet (RFC 9000, section 19).
fn collect(frames: &[u8], pieces: &mut Vec<(usize, Vec<u8>)>) -> Option<()> {
    let mut reader = Reader(frames);
    for _ in 0..MAX_FRAMES {
        match reader.varint()? {
            // Padding, ping.
            0 | 1 => {}
            // Acknowledgements.
            kind @ (2 | 3) => {
                reader.varint()?;
                reader.varint()?;
                let ranges = reader.varint()?;
                let numbers = ranges.min(MAX_FRAMES) * 2 + if kind == 3 { 4 } else { 1 };
                for _ in 0..numbers {
                    reader.varint()?;
                }
            }
            // A piece of the handshake.
            6 => {
                let offset = reader.varint()?;
                let length = reader.varint()?;
                let bytes = reader.take(length)?;
                if pieces.len() < MAX_PIECES {
                    pieces.push((offset, bytes.to_vec()));
                }
            }
            _ => return None,
        }
    }
    None
}

/// What can be put together from the start.
fn assemble(pieces: &mut [(usize, Vec<u8>)]) -> Vec<u8> {
    pieces.sort_by_key(|(offset, _)| *offset);
    let mut whole = Vec::new();
    for (offset, bytes) in pieces {
        let Some(known) = whole.len().checked_sub(*offset) else { break };
        whole.extend_from_slice(bytes.get(known..).unwrap_or_default());
    }
    whole
}

#[cfg(test)]
pub(super) mod tests;
