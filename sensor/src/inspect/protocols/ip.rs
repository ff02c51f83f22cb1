//! Protocols that their number in the IP header names: ESP, AH, GRE, IP in IP, L2TP version 3 (IANA registry of protocol numbers).
//!
//! GRE of version 1 is the enhanced one of PPTP (RFC 2637 section 4.1): it has a key, whose halves are length and call, carries PPP (0x880B) and has
//! neither checksum nor routing. Whatever else has that number is GRE (RFC 2784, RFC 2890).
//!
//! False alarms: none; what is inside is not looked at. Whoever counts by protocol number alone calls PPTP's data GRE.

use sensor_ebpf::class::Class;

use crate::inspect::{Conversation, Verdict, packet::protocol};

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    let class = match conversation.protocol() {
        protocol::ESP | protocol::AH => Class::Ipsec,
        protocol::IPIP | protocol::IPV6 => Class::Ipip,
        protocol::L2TP => Class::L2tp,
        protocol::GRE => {
            let header: &[u8; 4] = conversation.messages().first()?.bytes.first_chunk()?;
            if is_enhanced(*header) { Class::Pptp } else { Class::Gre }
        }
        _ => return None,
    };
    Some(Verdict::payload(class))
}

/// Whether a GRE header is that of PPTP: a key, a sequence number and an acknowledgement perhaps, version 1, PPP.
fn is_enhanced([first, second, upper, lower]: [u8; 4]) -> bool {
    first & !0x10 == 0x20 && second & 0x7F == 1 && [upper, lower] == [0x88, 0x0B]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::End;

    #[test]
    fn protocols_by_number() {
        let of = |protocol, bytes: &[u8]| {
            judge(&Conversation::of(protocol, [0, 0], &[(End::Client, bytes)])).map(|verdict| verdict.class)
        };
        for (protocol, class) in
            [(50, Class::Ipsec), (51, Class::Ipsec), (4, Class::Ipip), (41, Class::Ipip), (115, Class::L2tp)]
        {
            assert_eq!(of(protocol, &[0; 8]), Some(class));
        }
        assert_eq!(of(47, &[0x20, 0, 8, 0]), Some(Class::Gre));
        assert_eq!(of(47, &[0x30, 1, 0x88, 0x0b]), Some(Class::Pptp));
        assert_eq!(of(47, &[0x20, 0x81, 0x88, 0x0b]), Some(Class::Pptp));
        assert_eq!(of(47, &[0x30, 1, 8, 0]), Some(Class::Gre));
        assert_eq!(of(47, &[0xB0, 1, 0x88, 0x0b]), Some(Class::Gre));
        assert_eq!(of(47, &[0x30]), None);
        assert_eq!(of(17, &[0; 8]), None);
    }
}
