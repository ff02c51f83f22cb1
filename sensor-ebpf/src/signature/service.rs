//! Services by their ports: where rules are looked for whose bytes are too few to be believed anywhere, and the guess where no rule fits.
//!
//! Source: the IANA registry of service names and port numbers, and what is named beside a row. A guess by port is wrong for whatever else
//! uses the port, and where an end without a port of its own drew one above 1024. So suspicious classes have one only where IANA gave the
//! port to that protocol and everything behind its first packets looks like nothing (SSH, IPsec, OpenVPN and the like).

use crate::class::Class;

/// Slots of the table: a power of two, several times the ports listed.
const SLOTS: usize = 256;
/// Odd; the product's bits from the 8th spread the ports over the slots without two in one. Found by trial; the build fails where another
/// port makes it wrong.
const MULTIPLIER: u32 = 279;
/// See there.
const SHIFT: u32 = 8;

/// What rules have in common that are looked for at ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Service {
    /// None that has rules.
    None,
    Ftp,
    Ssh,
    Telnet,
    Mail,
    Dns,
    Pop3,
    Ntp,
    Imap,
    Ike,
    IkeNat,
    EncryptedDns,
    Socks,
    OpenVpn,
    L2tp,
    Pptp,
    Rdp,
    Irc,
}

/// How many there are.
pub(super) const SERVICES: usize = Service::Irc as usize + 1;

/// A port and what is expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Host order; 0: an empty slot.
    pub(super) port: u16,
    pub(super) service: Service,
    /// The guess over TCP and over UDP; `Unknown`: none.
    pub(super) classes: [Class; 2],
}

impl Listed {
    const NOTHING: Self = Self { port: 0, service: Service::None, classes: [Class::Unknown; 2] };

    const fn new(port: u16, service: Service, tcp: Class, udp: Class) -> Self {
        Self { port, service, classes: [tcp, udp] }
    }
}

/// What is known of ports.
pub(super) const LISTED: &[Listed] = &{
    use Class::{
        Dns, EncryptedDns, Ftp, Http, Imap, Ipsec, L2tp, Ntp, OpenVpn, Pop3, Pptp, Quic, Rdp, Sip, Smb, Smtp, Ssh,
        Telnet, Tls, Unknown,
    };
    [
        Listed::new(21, Service::Ftp, Ftp, Unknown),
        Listed::new(22, Service::Ssh, Ssh, Unknown),
        Listed::new(23, Service::Telnet, Telnet, Unknown),
        // The one in its place where 23 is closed.
        Listed::new(2323, Service::Telnet, Unknown, Unknown),
        Listed::new(25, Service::Mail, Smtp, Unknown),
        Listed::new(587, Service::Mail, Smtp, Unknown),
        // The one in their place where those are closed.
        Listed::new(2525, Service::Mail, Unknown, Unknown),
        Listed::new(465, Service::None, Smtp, Unknown),
        Listed::new(53, Service::Dns, Dns, Dns),
        Listed::new(80, Service::None, Http, Unknown),
        Listed::new(110, Service::Pop3, Pop3, Unknown),
        Listed::new(995, Service::None, Pop3, Unknown),
        Listed::new(123, Service::Ntp, Unknown, Ntp),
        Listed::new(143, Service::Imap, Imap, Unknown),
        Listed::new(993, Service::None, Imap, Unknown),
        Listed::new(139, Service::None, Smb, Unknown),
        Listed::new(445, Service::None, Smb, Unknown),
        Listed::new(443, Service::None, Tls, Quic),
        Listed::new(500, Service::Ike, Unknown, Ipsec),
        Listed::new(4500, Service::IkeNat, Unknown, Ipsec),
        // RFC 7858, RFC 9250.
        Listed::new(853, Service::EncryptedDns, EncryptedDns, EncryptedDns),
        Listed::new(990, Service::None, Ftp, Unknown),
        Listed::new(1080, Service::Socks, Unknown, Unknown),
        Listed::new(1194, Service::OpenVpn, OpenVpn, OpenVpn),
        Listed::new(1701, Service::L2tp, Unknown, L2tp),
        Listed::new(1723, Service::Pptp, Pptp, Unknown),
        Listed::new(3389, Service::Rdp, Rdp, Rdp),
        Listed::new(5060, Service::None, Sip, Sip),
        Listed::new(5061, Service::None, Sip, Unknown),
        // Ports of IRC by custom (6665 to 6669 by IANA), also used by much else: rules only.
        Listed::new(6660, Service::Irc, Unknown, Unknown),
        Listed::new(6661, Service::Irc, Unknown, Unknown),
        Listed::new(6662, Service::Irc, Unknown, Unknown),
        Listed::new(6663, Service::Irc, Unknown, Unknown),
        Listed::new(6664, Service::Irc, Unknown, Unknown),
        Listed::new(6665, Service::Irc, Unknown, Unknown),
        Listed::new(6666, Service::Irc, Unknown, Unknown),
        Listed::new(6667, Service::Irc, Unknown, Unknown),
        Listed::new(6668, Service::Irc, Unknown, Unknown),
        Listed::new(6669, Service::Irc, Unknown, Unknown),
        Listed::new(7000, Service::Irc, Unknown, Unknown),
    ]
};

static PORTS: [Listed; SLOTS] = {
    let mut slots = [Listed::NOTHING; SLOTS];
    let mut next = 0;
    while next < LISTED.len() {
        let slot = slot(LISTED[next].port);
        assert!(slots[slot].port == 0, "two ports in one slot: choose another MULTIPLIER");
        slots[slot] = LISTED[next];
        next += 1;
    }
    slots
};

#[inline(always)]
const fn slot(port: u16) -> usize {
    ((port as u32).wrapping_mul(MULTIPLIER) >> SHIFT) as usize & (SLOTS - 1)
}

#[inline(always)]
fn listed(port: u16) -> Listed {
    let listed = PORTS[slot(port)];
    if listed.port == port { listed } else { Listed::NOTHING }
}

/// What is known of the ports of a packet: of the lower one where both are listed, so that both directions are told the same.
#[inline(always)]
pub(super) fn of([source, destination]: [u16; 2]) -> Listed {
    let (low, high) = if source < destination { (source, destination) } else { (destination, source) };
    let listed_low = listed(low);
    if listed_low.port != 0 { listed_low } else { listed(high) }
}
