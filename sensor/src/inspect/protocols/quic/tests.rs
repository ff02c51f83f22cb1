//! Packets of all versions, and what is none.

use super::{
    initial::tests::{ID, initial},
    *,
};
use crate::inspect::{
    Flow, Packet,
    packet::protocol::{TCP, UDP},
    protocols::{
        encrypted_dns,
        testing::{finds_nothing, stands_damage},
        tls::tests::client_hello,
    },
};

fn of(said: &[(End, &[u8])]) -> Option<Evidence> {
    judge(&Conversation::of(UDP, [40_000, 8443], said)).map(|verdict| verdict.evidence)
}

/// A packet with a long header of the handshake.
fn long(version: u32, destination: &[u8], source: &[u8]) -> Vec<u8> {
    let ids = [&[destination.len() as u8][..], destination, &[source.len() as u8], source].concat();
    [&[0xe0][..], &version.to_be_bytes(), &ids, &[0x40, 40], &[0xa5; 40]].concat()
}

#[test]
fn both_ends_agree() {
    let ours = initial(1, 0, &[1, 2, 3, 4, 5], &[1]);
    assert_eq!(of(&[(End::Client, &ours)]), Some(Evidence::Payload));
    let theirs = long(1, &[1, 2, 3, 4, 5], &[9; 8]);
    assert_eq!(of(&[(End::Client, &ours), (End::Server, &theirs)]), Some(Evidence::Confirmed));
    assert_eq!(of(&[(End::Server, &ours), (End::Client, &theirs)]), Some(Evidence::Confirmed));
    let other = long(1, &[5, 5, 5, 5, 5], &[9; 8]);
    assert_eq!(of(&[(End::Client, &ours), (End::Server, &other)]), Some(Evidence::Payload));
    let short = [&[0x41, 1, 2, 3, 4, 5][..], &[0xa5; 30]].concat();
    assert_eq!(of(&[(End::Client, &ours), (End::Server, &short)]), Some(Evidence::Confirmed));
}

/// What was found is found anew as soon as there is more to find.
#[test]
fn a_hello_that_comes_in_pieces() {
    let hello = client_hello("dns.google", &[], &[]);
    let cut = hello.len() - 10;
    let (first, second) = hello.split_at(cut);
    let piece = |offset: usize, bytes: &[u8]| {
        let length = bytes.len() as u16 | 0x4000;
        let frame = [&[6][..], &(offset as u16 | 0x4000).to_be_bytes(), &length.to_be_bytes(), bytes].concat();
        initial(1, 0, &[1, 2, 3, 4, 5], &frame)
    };
    let address = |last| std::net::IpAddr::from([192, 0, 2, last]);
    let flow = Flow { protocol: UDP, source: (address(1), 40_000), destination: (address(2), 8443) };
    let empty = Packet { flow, length: 0, tcp: None, payload: &[], payload_len: 1200 };
    let mut conversation = Conversation::new(&empty);
    let mut complete = |payload: &[u8]| {
        conversation.hear(&Packet { payload, ..empty }, End::Client);
        let complete = super::hello(&conversation).map(|hello| hello.complete);
        // Asked again, the same.
        assert_eq!(super::hello(&conversation).map(|hello| hello.complete), complete);
        assert_eq!(encrypted_dns::judge(&conversation).is_some(), complete == Some(true));
        complete
    };
    assert_eq!(complete(&[0x41; 40]), None);
    assert_eq!(complete(&piece(0, first)), Some(false));
    assert_eq!(complete(&[0x41; 40]), Some(false));
    assert_eq!(complete(&piece(cut, second)), Some(true));
    assert_eq!(complete(&piece(0, &[7; 90])), Some(true));
}

#[test]
fn negotiation_and_retry() {
    let ours = initial(1, 0, &[1, 2, 3], &[1]);
    let ids = [&[3, 1, 2, 3, 8][..], &ID].concat();
    let negotiation = [&[0x80, 0, 0, 0, 0][..], &ids, &[0, 0, 0, 1, 0x1a, 0x2a, 0x3a, 0x4a]].concat();
    assert_eq!(of(&[(End::Server, &negotiation)]), Some(Evidence::Payload));
    assert_eq!(of(&[(End::Client, &ours), (End::Server, &negotiation)]), Some(Evidence::Confirmed));
    let unknown = [&[0x80, 0, 0, 0, 0][..], &ids, &[9, 9, 9, 9]].concat();
    assert_eq!(of(&[(End::Server, &unknown)]), None);
    let retry = [&[0xf0, 0, 0, 0, 1][..], &[3, 1, 2, 3, 4, 6, 6, 6, 6], &[7; 40]].concat();
    assert_eq!(of(&[(End::Client, &ours), (End::Server, &retry)]), Some(Evidence::Confirmed));
}

#[test]
fn googles_versions() {
    let hello = [&[0x0d][..], &ID, b"Q043", &[1], &[0xa5; 100]].concat();
    assert_eq!(of(&[(End::Client, &hello)]), Some(Evidence::Payload));
    let repeats = [&[0x08][..], &ID, &[1], &[0x5a; 40]].concat();
    assert_eq!(of(&[(End::Client, &hello), (End::Server, &repeats)]), Some(Evidence::Confirmed));
    let refuses = [&[0x00, 1][..], &[0x5a; 12], &[0x80, 1], b"REJ\0", &[0x5a; 40]].concat();
    assert_eq!(of(&[(End::Client, &hello), (End::Server, &refuses)]), Some(Evidence::Confirmed));
    assert_eq!(of(&[(End::Client, &hello), (End::Server, &[0x5a; 40])]), Some(Evidence::Payload));
    let alone =
        [&[0x00, 1][..], &[0x5a; 12], &[0x80, 1], b"REJ\0", &[7, 0, 0, 0], b"STK\0", &[56, 0, 0, 0], &[0x5a; 40]]
            .concat();
    assert_eq!(of(&[(End::Server, &alone)]), Some(Evidence::Payload));
    assert_eq!(of(&[(End::Server, &refuses)]), None);
    let q046 = [&[0xc3][..], b"Q046", &[0x50], &ID, &[0, 0, 0, 1], &[0xa5; 60]].concat();
    let answer = [&[0xc3][..], b"Q046", &[0x05], &ID, &[0, 0, 0, 1], &[0xa5; 60]].concat();
    assert_eq!(of(&[(End::Client, &q046)]), Some(Evidence::Payload));
    assert_eq!(of(&[(End::Client, &q046), (End::Server, &answer)]), Some(Evidence::Confirmed));
}

#[test]
fn what_is_not_quic() {
    // A length beyond the datagram, an unknown version, no fixed bit, TCP.
    let mut wrong = long(1, &[1; 8], &[2; 8]);
    wrong.truncate(30);
    assert_eq!(of(&[(End::Client, &wrong)]), None);
    assert_eq!(of(&[(End::Client, &long(0x0102_0304, &[1; 8], &[2; 8]))]), None);
    let mut unfixed = long(1, &[1; 8], &[2; 8]);
    unfixed[0] = 0xa0;
    assert_eq!(of(&[(End::Client, &unfixed)]), None);
    let packet = long(1, &[1; 8], &[2; 8]);
    assert_eq!(judge(&Conversation::of(TCP, [1, 443], &[(End::Client, &packet)])), None);
    // A query of the DNS, a time request, DTLS.
    assert_eq!(of(&[(End::Client, &[0xc0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1])]), None);
    assert_eq!(of(&[(End::Client, &[0xe3, 0, 6, 0xec, 0, 0, 0, 0, 0, 0, 0, 0])]), None);
    assert_eq!(of(&[(End::Client, &[22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 90, 1])]), None);
}

#[test]
fn noise_is_not_quic() {
    finds_nothing(judge, 443);
    let ours = initial(1, 0, &[1, 2, 3, 4, 5], &[1]);
    let theirs = long(1, &[1, 2, 3, 4, 5], &[9; 8]);
    stands_damage(judge, UDP, 443, &[(End::Client, &ours), (End::Server, &theirs)]);
    let google = [&[0x0d][..], &ID, b"Q043", &[1], &[0xa5; 100]].concat();
    stands_damage(judge, UDP, 443, &[(End::Client, &google), (End::Server, &theirs)]);
}
