//! Networks of equals, and miners.

use super::super::rule::Rule;
use crate::class::Class::{BitTorrent, BitcoinP2p, MoneroP2p, Stratum};

/// A request of a miner whose object begins with its method (Stratum mining protocol), in two ways of writing.
///
/// False alarms: none known. Not seen: what begins with `id` or `jsonrpc`, as all JSON-RPC does (`{"id":null,"method"` is OVSDB's, RFC 7047, too).
pub(super) const STRATUM: &[Rule] =
    &[Rule::tcp(Stratum).bytes(0, b"{\"method\":\"minin"), Rule::tcp(Stratum).bytes(0, b"{\"method\": \"mini")];

/// BitTorrent over TCP: the handshake (BEP 3), the head of a block of 16 KiB and the request for one, both from a place that is a multiple of that;
/// a dictionary of an extension in a segment of its own (BEP 10); requests to trackers over HTTP. Over UDP: queries and answers of the DHT (BEP 5), the request to connect to a tracker (BEP 15), the search in the local
/// network (BEP 14), the first packet of uTP, which has no time to compare with (BEP 29; with the extension of older versions, too).
///
/// False alarms: whoever speaks uTP for something else.
pub(super) const BITTORRENT: &[Rule] = &[
    Rule::tcp(BitTorrent).bytes(0, b"\x13BitTorrent prot"),
    Rule::tcp(BitTorrent).bytes(0, &[0, 0, 0x40, 9, 7, 0]).bytes(9, &[0]).bits(11, 0x3f, 0).bytes(12, &[0]),
    Rule::tcp(BitTorrent)
        .bytes(0, &[0, 0, 0, 13, 6, 0])
        .bytes(9, &[0])
        .bits(11, 0x3f, 0)
        .bytes(12, &[0, 0, 0, 0x40])
        .len(17, u32::MAX),
    Rule::tcp(BitTorrent).bytes(0, &[0, 0]).bytes(4, &[20]).bytes(6, b"d").each(7, 2, 0xf0, b'0').length_field(0, 4, 4),
    Rule::tcp(BitTorrent).bytes(0, b"GET /announce?in"),
    Rule::tcp(BitTorrent).bytes(0, b"GET /scrape?info"),
    Rule::udp(BitTorrent).bytes(0, b"d1:ad2:id20:"),
    Rule::udp(BitTorrent).bytes(0, b"d1:rd2:id20:"),
    Rule::udp(BitTorrent).bytes(0, &[0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0]).len(16, 16),
    Rule::udp(BitTorrent).bytes(0, b"BT-SEARCH * HTTP"),
    Rule::udp(BitTorrent).bytes(0, &[0x41, 0]).bytes(8, &[0; 4]).len(20, 20),
    Rule::udp(BitTorrent).bytes(0, &[0x41, 2]).bytes(8, &[0; 4]).len(30, 30),
];

/// A message of Monero and other CryptoNote coins: the signature of Levin (`levin_base.h` of Monero), and a length below 2^32.
///
/// False alarms: none known.
pub(super) const MONERO: &[Rule] =
    &[Rule::tcp(MoneroP2p).bytes(0, &[1, 0x21, 1, 1, 1, 1, 1, 1]).bytes(12, &[0; 4]).len(33, u32::MAX)];

/// A message: the network's bytes, a command of three lower-case letters and more, padded with a zero.
const fn message(magic: [u8; 4]) -> Rule {
    Rule::tcp(BitcoinP2p).bytes(0, &magic).each(4, 3, 0xe0, 0x60).bytes(15, &[0]).len(20, u32::MAX)
}

/// Messages of Bitcoin and its relatives (Bitcoin developer reference, P2P network, message headers; the networks' bytes from each chainparams.cpp).
///
/// False alarms: none known.
pub(super) const BITCOIN: &[Rule] = &[
    // Bitcoin: main, testnet 3, testnet 4, signet, regtest.
    message([0xf9, 0xbe, 0xb4, 0xd9]),
    message([0x0b, 0x11, 0x09, 0x07]),
    message([0x1c, 0x16, 0x3f, 0x28]),
    message([0x0a, 0x03, 0xcf, 0x40]),
    message([0xfa, 0xbf, 0xb5, 0xda]),
    // Bitcoin Cash, Bitcoin Gold, Namecoin.
    message([0xe3, 0xe1, 0xf3, 0xe8]),
    message([0xe1, 0x47, 0x6d, 0x44]),
    message([0xf9, 0xbe, 0xb4, 0xfe]),
    // Litecoin, Dogecoin, Dash.
    message([0xfb, 0xc0, 0xb6, 0xdb]),
    message([0xc0, 0xc0, 0xc0, 0xc0]),
    message([0xbf, 0x0c, 0x6b, 0xbd]),
    // Zcash, DigiByte, Peercoin, Ravencoin.
    message([0x24, 0xe9, 0x27, 0x64]),
    message([0xfa, 0xc3, 0xb6, 0xda]),
    message([0xe6, 0xe8, 0xe9, 0xe5]),
    message([0x52, 0x41, 0x56, 0x4e]),
];
