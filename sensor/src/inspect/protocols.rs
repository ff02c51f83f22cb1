//! One file for each protocol, and the order in which they are asked.

mod bitcoin_p2p;
mod bittorrent;
mod bytes;
mod dns;
mod encrypted;
mod encrypted_dns;
mod ethereum_p2p;
mod ftp;
mod http;
mod http_proxy;
mod icmp_tunnel;
mod imap;
mod ip;
mod ipsec;
mod irc;
mod l2tp;
mod memo;
mod monero_p2p;
mod ntp;
mod openvpn;
mod pop3;
mod ports;
mod pptp;
mod quic;
mod rdp;
mod reader;
mod sip;
mod smb;
mod smtp;
mod socks;
mod ssh;
mod stratum;
mod telnet;
#[cfg(test)]
pub(super) mod testing;
mod text;
mod tls;
mod tor;
mod wireguard;

use sensor_ebpf::class::{Class, Evidence};

pub(super) use self::memo::Memo;
use super::{Conversation, Verdict};

/// Says what a conversation is, where it knows.
type Judge = fn(&Conversation) -> Option<Verdict>;

/// Those who know after a few bytes. Where two are equally sure, the one before has it: the more particular comes first.
const JUDGES: &[Judge] = &[
    wireguard::judge,
    openvpn::judge,
    ipsec::judge,
    l2tp::judge,
    pptp::judge,
    socks::judge,
    icmp_tunnel::judge,
    ip::judge,
    ssh::judge,
    irc::judge,
    telnet::judge,
    rdp::judge,
    smb::judge,
    sip::judge,
    smtp::judge,
    ftp::judge,
    imap::judge,
    pop3::judge,
    stratum::judge,
    bitcoin_p2p::judge,
    monero_p2p::judge,
    ethereum_p2p::judge,
    bittorrent::judge,
    tor::judge,
    encrypted_dns::judge,
    tls::judge,
    quic::judge,
    http_proxy::judge,
    http::judge,
    dns::judge,
    ntp::judge,
];

/// Those who only say something once nobody else does and nothing more comes: what is left over, and ports.
const AT_LAST: &[Judge] = &[tls::judge_upgraded, ports::judge, encrypted::judge];

/// What a conversation is by now.
pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    best(JUDGES, conversation)
}

/// What it is if nothing more comes.
pub(super) fn judge_at_last(conversation: &Conversation) -> Option<Verdict> {
    best(AT_LAST, conversation)
}

/// What is to be expected of the inside of a conversation that is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    /// Nothing more: its heads are there.
    Known,
    /// The rest of its heads.
    Cut,
    /// Something that has a name of its own.
    MayCome,
}

/// What may still be in a conversation of such a class.
pub(super) fn inside(conversation: &Conversation, class: Class) -> Inside {
    if class == Class::Tls {
        tor::inside(conversation)
    } else if class == Class::Http {
        http::inside(conversation)
    } else if class == Class::Quic {
        if quic::hello(conversation).is_some_and(|hello| hello.complete) { Inside::Known } else { Inside::Cut }
    } else if class == Class::Dns {
        // It may go on without the format of the DNS, or with a certificate of DNSCrypt; it is listened to for its names anyway.
        Inside::MayCome
    } else {
        Inside::Known
    }
}

/// Which ends of a conversation of BitTorrent are peers that take others at one socket, by what they say themselves.
pub(super) fn are_peers(conversation: &Conversation) -> [bool; 2] {
    bittorrent::are_peers(conversation)
}

/// Whether the number of its protocol says what a conversation is, whatever it holds.
pub(super) fn is_by_number(conversation: &Conversation) -> bool {
    ip::judge(conversation).is_some()
}

fn best(judges: &[Judge], conversation: &Conversation) -> Option<Verdict> {
    let verdicts = judges.iter().filter_map(|judge| judge(conversation));
    // The first of the surest; and nothing is confirmed by one end.
    verdicts
        .map(|verdict| bounded(verdict, conversation))
        .reduce(|best, other| if other.evidence > best.evidence { other } else { best })
}

fn bounded(verdict: Verdict, conversation: &Conversation) -> Verdict {
    let most = if conversation.is_two_way() { Evidence::Confirmed } else { Evidence::Payload };
    Verdict { evidence: verdict.evidence.min(most), ..verdict }
}
