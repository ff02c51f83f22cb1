//! The rules, by what they find: one file for each kind of traffic, one list for each protocol.
//!
//! The documentation of a list says where its bytes come from and what else has them. Where two fit, the one before has it: within a service, within
//! a first byte, by this order.

mod mail;
mod naming;
mod p2p;
mod remote;
mod talk;
mod vpn;
mod web;

use super::rule::Rule;

/// All lists, the more particular before the others.
pub(super) const GROUPS: &[&[Rule]] = &[
    vpn::WIREGUARD,
    vpn::OPENVPN,
    vpn::IPSEC,
    vpn::L2TP,
    vpn::PPTP,
    vpn::SOCKS,
    remote::SSH,
    remote::TELNET,
    remote::RDP,
    remote::SMB,
    talk::SIP,
    talk::IRC,
    mail::SMTP,
    mail::FTP,
    mail::POP3,
    mail::IMAP,
    p2p::STRATUM,
    p2p::BITTORRENT,
    p2p::MONERO,
    p2p::BITCOIN,
    naming::DNS_TUNNEL,
    naming::DNS,
    naming::ENCRYPTED_DNS,
    naming::NTP,
    web::HTTP_PROXY,
    web::HTTP,
    web::TLS,
    web::QUIC,
];
