//! Work on other machines, and their files.

use super::super::{rule::Rule, service::Service};
use crate::class::Class::{Rdp, Smb, Ssh, Telnet};

/// The identification of SSH (RFC 4253 section 4.2), also of versions 1 and 1.99. At port 22 the offer of methods (section 7.1), whole: a length, 4 to
/// 7 or 8 to 11 bytes of padding, message 20.
///
/// False alarms: none known.
pub(super) const SSH: &[Rule] = &[
    Rule::tcp(Ssh).bytes(0, b"SSH-").bits(4, 0xfc, b'0').bytes(5, b".").bits(6, 0xf0, b'0'),
    Rule::tcp(Ssh).bytes(0, &[0, 0]).bits(4, 0xfc, 4).bytes(5, &[20]).length_field(0, 4, 4).at(Service::Ssh),
    Rule::tcp(Ssh).bytes(0, &[0, 0]).bits(4, 0xfc, 8).bytes(5, &[20]).length_field(0, 4, 4).at(Service::Ssh),
];

/// A negotiation of Telnet (RFC 854): IAC, a command from 248 on, an option below 64 (IANA registry of Telnet options); two of them, or one at its port,
/// or two commands there of which one has no option.
///
/// False alarms: what negotiates as Telnet does (TN3270, MUDs, serial consoles by RFC 2217); samples of sound whose bytes are 255 in turns.
pub(super) const TELNET: &[Rule] = &[
    Rule::tcp(Telnet)
        .bytes(0, &[255])
        .bits(1, 0xf8, 248)
        .bits(2, 0xc0, 0)
        .bytes(3, &[255])
        .bits(4, 0xf8, 248)
        .bits(5, 0xc0, 0),
    Rule::tcp(Telnet).bytes(0, &[255]).bits(1, 0xf8, 248).bits(2, 0xc0, 0).at(Service::Telnet),
    Rule::tcp(Telnet).bytes(0, &[255]).bits(1, 0xf0, 240).bytes(2, &[255]).at(Service::Telnet),
];

/// Connection request and confirm of RDP ([MS-RDPBCGR] 2.2.1.1 and 2.2.1.2): a TPKT (RFC 1006) that is as long as the segment, X.224, and its cookie or
/// its negotiation. Over UDP at its port the first packet ([MS-RDPEUDP] 2.2.2.1), which is filled up to the MTU.
///
/// False alarms: none known; S7 and H.323 have other parameters. Not seen: requests without any.
pub(super) const RDP: &[Rule] = &[
    tpkt(0xe0).bytes(6, &[0, 0]).bytes(11, b"Cooki"),
    tpkt(0xe0).bytes(6, &[0, 0]).bytes(11, &[1]).bytes(13, &[8, 0]),
    tpkt(0xd0).bits(11, 0xfe, 2).bytes(13, &[8, 0]).len(19, 19),
    Rule::udp(Rdp).bytes(0, &[0xff; 4]).bytes(7, &[1]).len(1132, 1232).at(Service::Rdp),
];

const fn tpkt(code: u8) -> Rule {
    Rule::tcp(Rdp).bytes(0, &[3, 0]).length_field(2, 2, 0).bytes(5, &[code]).bytes(10, &[0])
}

/// A message of SMB behind the header of a NetBIOS session (RFC 1002 section 4.3.1) of less than 64 KiB: version 1 ([MS-CIFS] 2.2.3.1), 2 and 3
/// ([MS-SMB2] 2.2.1, 2.2.41, 2.2.42). And the request of a session: its length, and the length and first letters of a name.
///
/// False alarms: none known.
pub(super) const SMB: &[Rule] = &[
    Rule::tcp(Smb).bytes(0, &[0, 0]).bits(4, 0xfc, 0xfc).bytes(5, b"SMB"),
    Rule::tcp(Smb).bytes(0, &[0x81, 0, 0, 68, 32]).each(5, 8, 0xe0, 0x40).len(72, 72),
];
