//! Packets as they are on the wire, for each class, and what looks like them and is something else.

use sensor_ebpf::{
    class::{Class, Evidence},
    signature::{Opening, guess},
};

const TCP: u8 = 6;
const UDP: u8 = 17;
/// Bytes of a key or a ciphertext.
const DRAWN: [u8; 12] = [0xd1, 0x7f, 0x0e, 0x93, 0x4a, 0xbc, 0x55, 0x28, 0xe6, 0x1d, 0x80, 0x37];

/// What a packet to `port` is guessed to be that begins so and is as long.
fn to(protocol: u8, port: u16, payload: &[u8], payload_len: u32) -> Option<(Class, Evidence)> {
    let head = Opening::head_of(payload);
    let opening = Opening { protocol, source_port: 50_001, destination_port: port, payload_len, head };
    let back = Opening { source_port: port, destination_port: 50_001, ..opening };
    assert_eq!(guess(&opening), guess(&back), "a direction has no say");
    guess(&opening)
}

/// The same of a payload that is all there.
fn whole(protocol: u8, port: u16, payload: &[u8]) -> Option<(Class, Evidence)> {
    to(protocol, port, payload, payload.len() as u32)
}

fn bytes(class: Class) -> Option<(Class, Evidence)> {
    Some((class, Evidence::Payload))
}

fn drawn(before: &[u8]) -> Vec<u8> {
    [before, &DRAWN].concat()
}

#[test]
fn protocols_by_number() {
    let of = |protocol| to(protocol, 0, &[], 0);
    for (protocol, class) in
        [(4, Class::Ipip), (41, Class::Ipip), (47, Class::Gre), (50, Class::Ipsec), (51, Class::Ipsec)]
    {
        assert_eq!(of(protocol), bytes(class));
    }
    assert_eq!(of(115), bytes(Class::L2tp));
    for protocol in [0, 1, 2, 33, 58, 89, 132] {
        assert_eq!(of(protocol), None);
    }
}

#[test]
fn wireguard() {
    for (kind, len) in [(1, 148), (2, 92), (3, 64)] {
        assert_eq!(to(UDP, 443, &drawn(&[kind, 0, 0, 0]), len), bytes(Class::WireGuard));
        for other in [len - 1, len + 1] {
            assert_ne!(to(UDP, 443, &drawn(&[kind, 0, 0, 0]), other), bytes(Class::WireGuard));
        }
        assert_eq!(to(UDP, 9999, &drawn(&[kind, 0, 1, 0]), len), None, "reserved");
        assert_eq!(to(TCP, 9999, &drawn(&[kind, 0, 0, 0]), len), None);
        // A message of a game, little endian: small numbers; and one of text.
        assert_eq!(to(UDP, 9999, &[kind, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0], len), None);
        assert_eq!(to(UDP, 9999, &[&[kind, 0, 0, 0][..], b"hello, world"].concat(), len), None);
    }
    let data = [4, 0, 0, 0, 0x91, 0x5e, 0x22, 0xd0, 7, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(to(UDP, 51_820, &data, 32), bytes(Class::WireGuard));
    assert_eq!(to(UDP, 51_820, &data, 1440), bytes(Class::WireGuard));
    assert_eq!(to(UDP, 51_820, &data, 1441), None);
    assert_eq!(to(UDP, 51_820, &data, 16), None);
}

#[test]
fn openvpn() {
    let session = [0xd4, 0x1c, 0x93, 0x0a, 0x66, 0xf2, 0x31, 0x8b];
    let after = |head: &[u8], rest: &[u8]| [head, &session[..], rest].concat();
    assert_eq!(whole(UDP, 443, &after(&[0x38], &[0; 5])), bytes(Class::OpenVpn));
    assert_eq!(whole(TCP, 443, &after(&[0, 14, 0x38], &[0; 5])), bytes(Class::OpenVpn));
    assert_eq!(to(UDP, 8080, &after(&[0x40], &[1, 0, 0, 0, 0, 9]), 26), bytes(Class::OpenVpn));
    // With tls-crypt: the first packet, at some time of 2024.
    assert_eq!(to(UDP, 8080, &after(&[0x38], &[0, 0, 0, 1, 0x66, 0x12]), 54), bytes(Class::OpenVpn));
    assert_eq!(to(UDP, 8080, &after(&[0x38], &[0x0f, 0, 0, 1, 0x66, 0x12]), 60), bytes(Class::OpenVpn));
    assert_eq!(to(UDP, 8080, &after(&[0x38], &[0, 0, 0, 1, 0xe6, 0x12]), 54), None);
    assert_eq!(to(UDP, 8080, &after(&[0x50], &[0, 0, 0, 1, 0x66, 0x12]), 400), bytes(Class::OpenVpn));
    assert_eq!(to(TCP, 443, &after(&[0, 54, 0x38], &[0, 0, 0, 1, 0x66]), 56), bytes(Class::OpenVpn));
    // With tls-auth: over UDP its port has to say so.
    assert_eq!(to(UDP, 1194, &drawn(&[0x38, 0x91, 0x02, 0xc4]), 42), bytes(Class::OpenVpn));
    assert_eq!(to(UDP, 8080, &drawn(&[0x38, 0x91, 0x02, 0xc4]), 42), None);
    assert_eq!(to(TCP, 443, &drawn(&[0, 42, 0x38, 0x91]), 44), bytes(Class::OpenVpn));
    assert_eq!(to(TCP, 8080, &drawn(&[0, 42, 0x38, 0x91]), 45), None);
    // A query of 42 bytes whose number begins like an opcode.
    let query = [0, 42, 0x38, 0x91, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, b'w'];
    assert_eq!(to(TCP, 53, &query, 44), bytes(Class::Dns));
    assert_eq!(to(TCP, 8080, &query, 44), None);
    assert_eq!(to(UDP, 1194, &drawn(&[0x48, 0, 0, 3]), 1300), bytes(Class::OpenVpn));
    // A short header of QUIC.
    assert_eq!(to(UDP, 443, &drawn(&[0x48, 0x91, 0x02, 0xc4]), 1200), Some((Class::Quic, Evidence::Port)));
}

#[test]
fn ipsec_and_l2tp_and_pptp() {
    let initiator = [0x71, 0xb2, 0x03, 0xcc, 0x19, 0x5e, 0xa0, 0x44];
    let first = [&initiator[..], &[0; 8]].concat();
    assert_eq!(to(UDP, 500, &first, 250), bytes(Class::Ipsec));
    assert_eq!(to(UDP, 500, &drawn(&initiator), 250), Some((Class::Ipsec, Evidence::Port)));
    assert_eq!(to(UDP, 501, &first, 250), None);
    assert_eq!(to(UDP, 4500, &[&[0; 4][..], &initiator, &[0; 4]].concat(), 300), bytes(Class::Ipsec));
    assert_eq!(whole(UDP, 4500, &[0xff]), bytes(Class::Ipsec));
    assert_eq!(whole(TCP, 4500, b"IKETCP"), bytes(Class::Ipsec));

    let control = [0xc8, 2, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 8, 0, 0];
    assert_eq!(to(UDP, 1701, &control, 20), bytes(Class::L2tp));
    assert_eq!(to(UDP, 1701, &control, 21), Some((Class::L2tp, Evidence::Port)));
    assert_eq!(to(UDP, 1702, &control, 20), None);
    assert_eq!(to(UDP, 1701, &[0x40, 2, 0, 90, 0, 7, 0, 9], 90), bytes(Class::L2tp));
    assert_eq!(to(UDP, 1701, &[0, 2, 0, 7, 0, 9, 0xff, 3, 0, 0x21], 90), bytes(Class::L2tp));

    let start = [0, 156, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0, 1, 0, 0, 0];
    assert_eq!(to(TCP, 1723, &start, 156), bytes(Class::Pptp));
    let mut other = start;
    other[7] = 0x4e;
    assert_eq!(to(TCP, 1723, &other, 156), Some((Class::Pptp, Evidence::Port)));
}

#[test]
fn socks() {
    assert_eq!(whole(TCP, 9000, &[5, 1, 0, 1, 192, 0, 2, 9, 0, 80]), bytes(Class::Socks));
    assert_eq!(whole(TCP, 9000, b"\x05\x01\x00\x03\x0bexample.com\x01\xbb"), bytes(Class::Socks));
    assert_eq!(to(TCP, 9000, b"\x05\x01\x00\x03\x0bexample.com\x01\xbb", 19), None);
    assert_eq!(whole(TCP, 1080, &[5, 1, 0]), bytes(Class::Socks));
    assert_eq!(whole(TCP, 9000, &[5, 1, 0]), None);
    assert_eq!(whole(TCP, 1080, &[4, 1, 0, 80, 192, 0, 2, 9, 0]), bytes(Class::Socks));
    assert_eq!(whole(TCP, 1080, &[0, 0x5a, 0, 80, 192, 0, 2, 9]), bytes(Class::Socks));
    // An error of OpenFlow 1.3, and DCE/RPC.
    assert_eq!(whole(TCP, 6653, &[4, 1, 0, 12, 0, 0, 0, 5, 0, 1, 0, 1]), None);
    assert_eq!(to(TCP, 9000, &[5, 0, 0, 3, 0x10, 0, 0, 0, 72, 0, 0, 0, 1, 0, 0, 0], 72), None);
}

#[test]
fn remote_work_and_files() {
    for identification in [&b"SSH-2.0-OpenSSH_9.6\r\n"[..], b"SSH-1.99-Cisco-1.25\n"] {
        assert_eq!(whole(TCP, 2222, identification), bytes(Class::Ssh));
    }
    assert_eq!(whole(TCP, 2222, b"SSH-agent forwarding"), None);
    assert_eq!(to(TCP, 22, &drawn(&[0, 0, 4, 0xfc, 7, 20]), 0x500), bytes(Class::Ssh));
    assert_eq!(to(TCP, 22, &drawn(&[0, 0, 4, 0xfc, 7, 21]), 0x500), Some((Class::Ssh, Evidence::Port)));

    assert_eq!(whole(TCP, 4000, &[255, 253, 24, 255, 253, 32, 255, 253, 35]), bytes(Class::Telnet));
    assert_eq!(whole(TCP, 23, &[255, 251, 1]), bytes(Class::Telnet));
    assert_eq!(whole(TCP, 4000, &[255, 251, 1]), None);
    // Frames of MPEG audio at 128 kbit/s, a picture, and nothing but ones.
    for other in [[255, 251, 0x90, 0x64, 0, 0, 0, 0], [255, 0xd8, 255, 0xe0, 0, 16, b'J', b'F'], [255; 8]] {
        assert_eq!(whole(TCP, 4000, &other), None);
    }

    let cookie = [&[3, 0, 0, 43, 38, 0xe0, 0, 0, 0, 0, 0][..], b"Cookie: mstshash=somebody\r\n"].concat();
    assert_eq!(to(TCP, 4000, &cookie, 43), bytes(Class::Rdp));
    assert_eq!(to(TCP, 4000, &cookie, 44), None);
    let request = [3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0];
    assert_eq!(whole(TCP, 4000, &request), bytes(Class::Rdp));
    let confirm = [3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0x1f, 8, 0, 2, 0, 0, 0];
    assert_eq!(whole(TCP, 4000, &confirm), bytes(Class::Rdp));
    // S7: the same X.224 with its own parameters.
    let s7 = [3, 0, 0, 22, 17, 0xe0, 0, 0, 0, 1, 0, 0xc0, 1, 10, 0xc1, 2, 1, 0, 0xc2, 2, 1, 2];
    assert_eq!(whole(TCP, 102, &s7), None);

    for version in [0xff, 0xfe, 0xfd, 0xfc] {
        assert_eq!(to(TCP, 4000, &[0, 0, 0, 90, version, b'S', b'M', b'B'], 94), bytes(Class::Smb));
    }
    assert_eq!(to(TCP, 4000, &[0, 0, 0, 90, 0xf0, b'S', b'M', b'B'], 94), None);
    assert_eq!(to(TCP, 445, &[9; 16], 94), Some((Class::Smb, Evidence::Port)));
}

#[test]
fn mail_and_files() {
    for (port, text, class) in [
        (9000, &b"EHLO mail.example\r\n"[..], Class::Smtp),
        (25, b"HELO mail.example\r\n", Class::Smtp),
        (587, b"220 mail.example ESMTP\r\n", Class::Smtp),
        (25, b"250-mail.example\r\n", Class::Smtp),
        (21, b"220 ready\r\n", Class::Ftp),
        (21, b"USER somebody\r\n", Class::Ftp),
        (110, b"+OK ready\r\n", Class::Pop3),
        (110, b"-ERR no\r\n", Class::Pop3),
        (143, b"* OK ready\r\n", Class::Imap),
        (143, b"* PREAUTH\r\n", Class::Imap),
        (9000, b"* OK [CAPABILITY IMAP4rev1]\r\n", Class::Imap),
    ] {
        assert_eq!(whole(TCP, port, text), bytes(class), "{port}");
    }
    // Redis, a line of a number, and a greeting of somebody else.
    for text in [&b"+OK\r\n"[..], b"220 volts are on", b"* OK here we are", b"USER somebody\r\n"] {
        assert_eq!(whole(TCP, 6379, text), None);
    }
    assert_eq!(whole(TCP, 25, b"!!!!"), Some((Class::Smtp, Evidence::Port)));
    assert_eq!(whole(TCP, 2525, b"!!!!"), None);
}

#[test]
fn equals_and_miners() {
    assert_eq!(whole(TCP, 80, b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0"), bytes(Class::BitTorrent));
    let block = [0, 0, 0x40, 9, 7, 0, 0, 1, 0x17, 0, 0, 0x40, 0, 0xaa, 0xbb, 0xcc];
    assert_eq!(to(TCP, 9000, &block, 1448), bytes(Class::BitTorrent));
    let request = [0, 0, 0, 13, 6, 0, 0, 1, 0x17, 0, 0, 0x80, 0, 0, 0, 0x40, 0];
    assert_eq!(whole(TCP, 9000, &request), bytes(Class::BitTorrent));
    let extended = [&[0, 0, 0, 38, 20, 0][..], b"d1:md11:ut_metadatai2ee1:v8:what 1.0"].concat();
    assert_eq!(whole(TCP, 9000, &extended), bytes(Class::BitTorrent));
    for query in [&b"d1:ad2:id20:abcdefghij"[..], b"d1:rd2:id20:abcdefghij"] {
        assert_eq!(whole(UDP, 9000, query), bytes(Class::BitTorrent));
        assert_eq!(whole(TCP, 9000, query), None);
    }
    let connect = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 0xab, 0xcd, 0xef, 1];
    assert_eq!(whole(UDP, 9000, &connect), bytes(Class::BitTorrent));
    let syn = [0x41, 0, 0x9d, 0x02, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 1, 0, 0];
    assert_eq!(whole(UDP, 9000, &syn), bytes(Class::BitTorrent));
    let mut state = syn;
    (state[0], state[11]) = (0x21, 9);
    assert_eq!(whole(UDP, 9000, &state), None);
    assert_eq!(whole(TCP, 80, b"GET /announce?info_hash=x"), bytes(Class::BitTorrent));
    assert_eq!(whole(TCP, 80, b"GET /announcements HTTP/1.1\r\n"), bytes(Class::Http));

    let version = [&[0xf9, 0xbe, 0xb4, 0xd9][..], b"version\0\0\0\0\0", &[102, 0, 0, 0, 1, 2, 3, 4]].concat();
    assert_eq!(whole(TCP, 9000, &version), bytes(Class::BitcoinP2p));
    assert_eq!(whole(TCP, 9000, &drawn(&[0xf9, 0xbe, 0xb4, 0xd9])), None);
    let levin = [1, 0x21, 1, 1, 1, 1, 1, 1, 0xe2, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(to(TCP, 9000, &levin, 259), bytes(Class::MoneroP2p));
    assert_eq!(to(TCP, 9000, &[1; 16], 259), None);

    assert_eq!(whole(TCP, 9000, b"{\"method\":\"mining.subscribe\"}"), bytes(Class::Stratum));
    // A database that tells of a change (RFC 7047), a language server, a wallet.
    for other in [
        &b"{\"id\":null,\"method\":\"update\"}"[..],
        b"{\"id\":1,\"method\":\"eth_call\"}",
        b"{\"method\":\"initialize\"}",
        b"{\"method\": \"monitor\"}",
        b"{\"jsonrpc\":\"2.0\"}",
    ] {
        assert_eq!(whole(TCP, 9000, other), None);
    }
}

#[test]
fn names_and_time() {
    let query = [0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 3, b'w', b'w', b'w'];
    assert_eq!(to(UDP, 53, &query, 33), bytes(Class::Dns));
    assert_eq!(to(UDP, 9000, &query, 33), None);
    assert_eq!(to(UDP, 5353, &query, 33), None);
    let mut answer = query;
    (answer[2], answer[3], answer[7]) = (0x85, 0x80, 4);
    assert_eq!(to(UDP, 53, &answer, 99), bytes(Class::Dns));
    let mut update = query;
    for operation in [0x08, 0x10, 0x24, 0x40] {
        update[2] = operation;
        assert_eq!(to(UDP, 53, &update, 33), Some((Class::Dns, Evidence::Port)), "{operation:x}");
    }
    assert_eq!(whole(UDP, 53, &[0x10, 0xd1, 0x9e, 0x20, 1, 2, 3]), bytes(Class::DnsTunnel));
    assert_eq!(whole(UDP, 54, &[0x10, 0xd1, 0x9e, 0x20, 1, 2, 3]), None);

    for (first, len) in [(0x23, 48), (0x1b, 48), (0x24, 68), (0x17, 8), (0x16, 12)] {
        assert_eq!(to(UDP, 123, &[first, 2, 6, 0xec], len), bytes(Class::Ntp), "{first:x}");
    }
    assert_eq!(to(UDP, 123, &[0x23, 2, 6, 0xec], 47), Some((Class::Ntp, Evidence::Port)));
    assert_eq!(to(UDP, 124, &[0x23, 2, 6, 0xec], 48), None);
}

#[test]
fn the_web() {
    for text in [
        &b"GET /index.html HTTP/1.1\r\n"[..],
        b"POST /form HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
    ] {
        assert_eq!(whole(TCP, 9000, text), bytes(Class::Http));
    }
    assert_eq!(whole(TCP, 9000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), bytes(Class::Http));
    for text in [&b"OPTIONS rtsp://192.0.2.1/ RTSP/1.0\r\n"[..], b"GETAWAY", b"HTTP/1.1", b"RTSP/1.0 200 OK\r\n"] {
        assert_eq!(whole(TCP, 9000, text), None);
    }
    assert_eq!(whole(TCP, 9000, b"HTTP/1.1 407 Proxy Authentication Required\r\n"), bytes(Class::HttpProxy));
    assert_eq!(whole(TCP, 9000, b"HTTP/1.0 200 Connection established\r\n"), bytes(Class::HttpProxy));
    // Whether whom it was sent to is a proxy is not known yet.
    assert_eq!(whole(TCP, 9000, b"CONNECT example.com:443 HTTP/1.1\r\n"), None);

    let hello = [22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    assert_eq!(to(TCP, 9000, &hello, 517), bytes(Class::Tls));
    assert_eq!(to(TCP, 853, &hello, 517), bytes(Class::EncryptedDns));
    assert_eq!(to(TCP, 993, &hello, 517), bytes(Class::Tls));
    assert_eq!(to(TCP, 993, &DRAWN, 517), Some((Class::Imap, Evidence::Port)));
    assert_eq!(to(TCP, 9000, &[23, 3, 5, 0, 9], 517), None);
    assert_eq!(to(TCP, 443, &DRAWN, 1448), Some((Class::Tls, Evidence::Port)));

    for version in [[0, 0, 0, 1], [0x6b, 0x33, 0x43, 0xcf], [0xff, 0, 0, 29], *b"Q050"] {
        let initial = [&[0xc3][..], &version, &[8], &DRAWN].concat();
        assert_eq!(to(UDP, 9000, &initial, 1200), bytes(Class::Quic));
        assert_eq!(to(UDP, 9000, &initial, 20), None);
    }
    assert_eq!(to(UDP, 9000, &drawn(&[0xc3, 0, 0, 0, 2, 8]), 1200), None);
    let google = [&[0x0d][..], &DRAWN[..8], b"Q043\x01"].concat();
    assert_eq!(to(UDP, 443, &google, 1350), bytes(Class::Quic));
}

#[test]
fn calls_and_chat() {
    for protocol in [TCP, UDP] {
        for text in [
            &b"INVITE sip:somebody@example.com SIP/2.0\r\n"[..],
            b"SIP/2.0 100 Trying\r\n",
            b"OPTIONS sip:a@b SIP/2.0\r\n",
        ] {
            assert_eq!(whole(protocol, 9000, text), bytes(Class::Sip));
        }
    }
    // SSDP.
    assert_eq!(whole(UDP, 1900, b"NOTIFY * HTTP/1.1\r\n"), None);
    for text in
        [&b"NOTICE AUTH :*** Looking up\r\n"[..], b"CAP LS 302\r\n", b"JOIN #room\r\n", b"PRIVMSG #room :hello\r\n"]
    {
        assert_eq!(whole(TCP, 9000, text), bytes(Class::Irc));
    }
    for text in [&b"NICK somebody\r\n"[..], b"USER a b c :d\r\n", b"PASS secret\r\n", b":irc.example 001 somebody\r\n"]
    {
        assert_eq!(whole(TCP, 6667, text), bytes(Class::Irc));
        assert_eq!(whole(TCP, 9000, text), None);
    }
    assert_eq!(whole(TCP, 6667, &drawn(b":irc")), None);
    assert_eq!(whole(TCP, 110, b"CAPA\r\n"), Some((Class::Pop3, Evidence::Port)));
}

#[test]
fn nothing_said_is_nothing_known() {
    for protocol in [TCP, UDP] {
        for port in [22, 53, 80, 443, 1194, 9000] {
            assert_eq!(whole(protocol, port, &[]), None);
        }
        for len in 1..40 {
            assert_eq!(whole(protocol, 9000, &vec![0; len]), None, "{len} zeros");
            assert_eq!(whole(protocol, 9000, &vec![0xff; len]), None, "{len} times 255");
            assert_eq!(whole(protocol, 9000, &vec![b'a'; len]), None, "{len} letters");
        }
    }
}

/// What begins like noise is called something suspicious by its bytes at most once in a million.
#[test]
fn noise_is_not_suspicious() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut found = 0;
    for _ in 0..4_000_000 {
        let [a, b, c] = [next(), next(), next()];
        let head = [(a >> 32) as u32, a as u32, (b >> 32) as u32, b as u32];
        let (protocol, payload_len) = (if c & 1 == 0 { TCP } else { UDP }, (c >> 8) as u32 % 1460 + 1);
        let opening = Opening { protocol, source_port: 50_001, destination_port: 9000, payload_len, head };
        let ordinary = [Class::Tls, Class::Quic];
        found += u32::from(guess(&opening).is_some_and(|(class, _)| !ordinary.contains(&class)));
    }
    assert!(found <= 4, "{found}");
}
