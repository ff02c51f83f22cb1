//! The examples of RFC 9001 and RFC 9369.

use super::*;
use crate::inspect::protocols::tls::tests::client_hello;

/// The id of the examples in RFC 9001 and RFC 9369, appendix A.
pub(in super::super) const ID: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|place| u8::from_str_radix(&text[2 * place..2 * place + 2], 16).unwrap()).collect()
}

fn frame(offset: u16, bytes: &[u8]) -> Vec<u8> {
    let varint = |number: u16| (0x4000 | number).to_be_bytes();
    [&[6][..], &varint(offset), &varint(u16::try_from(bytes.len()).unwrap()), bytes].concat()
}

/// A client's first packet with these frames, padded as it must be.
pub(in super::super) fn initial(version: u32, kind: u8, source: &[u8], frames: &[u8]) -> Vec<u8> {
    let keys = Keys::new(Version::Ietf(version), &ID).unwrap();
    seal(&keys, version, kind, source, frames)
}

fn seal(keys: &Keys, version: u32, kind: u8, source: &[u8], frames: &[u8]) -> Vec<u8> {
    let mut payload = frames.to_vec();
    payload.resize(1100, 0);
    let length = (0x4000 | (payload.len() as u16 + 16 + 2)).to_be_bytes();
    let number = [0, 2];
    let mut header = [
        &[0xc1 | kind << 4][..],
        &version.to_be_bytes(),
        &[8],
        &ID,
        &[source.len() as u8],
        source,
        &[0],
        &length,
        &number,
    ]
    .concat();
    let mut nonce = keys.iv;
    nonce[11] ^= 2;
    let nonce = aead::Nonce::assume_unique_for_key(nonce);
    keys.key.seal_in_place_append_tag(nonce, aead::Aad::from(&header), &mut payload).unwrap();
    // The sample begins four bytes behind the start of a number that has two.
    let mask = keys.header.new_mask(&payload[2..18]).unwrap();
    let at = header.len() - 2;
    header[0] ^= mask[0] & 15;
    header[at] ^= mask[1];
    header[at + 1] ^= mask[2];
    [header, payload].concat()
}

fn name(hello: &ClientHello) -> &[u8] {
    hello.server_name.as_deref().unwrap()
}

#[test]
fn keys_are_those_of_the_examples() {
    let examples = [
        // RFC 9001, appendix A.1; RFC 9369, appendix A.1.
        (1, 0, "1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2"),
        (V2, 1, "8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9"),
    ];
    for (version, kind, key, iv, header) in examples {
        let keys = Keys {
            key: aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_128_GCM, &hex(key)).unwrap()),
            iv: hex(iv).try_into().unwrap(),
            header: aead::quic::HeaderProtectionKey::new(&aead::quic::AES_128, &hex(header)).unwrap(),
        };
        let packet = seal(&keys, version, kind, &[], &frame(0, &client_hello("quic.example", &["h3"], &[])));
        let found = hello([packet.as_slice()].into_iter()).unwrap().unwrap();
        assert_eq!(name(&found), b"quic.example");
    }
}

#[test]
fn a_hello_in_pieces_and_out_of_order() {
    let whole = client_hello("quic.example", &["h3"], &[]);
    let (first, second) = whole.split_at(80);
    let (second, third) = second.split_at(30);
    // An acknowledgement and a ping stand between.
    let one = initial(1, 0, &[1, 2], &[frame(110, third), vec![2, 5, 0, 0, 0, 1], frame(0, first)].concat());
    let two = initial(1, 0, &[1, 2], &frame(80, second));
    let found = hello([one.as_slice(), &two].into_iter()).unwrap().unwrap();
    assert_eq!((name(&found), found.complete), (&b"quic.example"[..], true));
    // Without the middle there is a hello, not a name.
    assert_eq!(hello([one.as_slice()].into_iter()).unwrap().unwrap().server_name, None);
    // Both in one datagram.
    let both = [one, two].concat();
    assert!(hello([both.as_slice()].into_iter()).unwrap().unwrap().complete);
}

#[test]
fn what_does_not_open() {
    let mut packet = initial(1, 0, &[], &frame(0, &client_hello("quic.example", &[], &[])));
    assert!(hello([packet.as_slice()].into_iter()).is_some());
    assert!(hello([&packet[..600]].into_iter()).is_none());
    packet[700] ^= 1;
    assert!(hello([packet.as_slice()].into_iter()).is_none());
    // Drafts have salts of their own.
    for version in [0xff00_001d, 0xff00_001b, 0xff00_0016, 0xff00_0022, MVFST | 2, u32::from_be_bytes(*b"T051")] {
        let packet = initial(version, 0, &[], &frame(0, &client_hello("quic.example", &[], &[])));
        assert!(hello([packet.as_slice()].into_iter()).is_some(), "{version:08x}");
    }
}
