//! Protocols that their number in the IP header names: ESP, AH, GRE, IP in IP, L2TP version 3 (IANA registry of protocol numbers).
//!
//! PPTP's data are GRE too, of version 1 (RFC 2637 section 4.1), and are called that: `pptp` is the control connection, which names the tunnel. False
//! alarms: none; what is inside is not looked at.

use sensor_ebpf::class::Class;

use crate::inspect::{Conversation, Verdict, packet::protocol};

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    let class = match conversation.protocol() {
        protocol::ESP | protocol::AH => Class::Ipsec,
        protocol::IPIP | protocol::IPV6 => Class::Ipip,
        protocol::L2TP => Class::L2tp,
        protocol::GRE => Class::Gre,
        _ => return None,
    };
    Some(Verdict::payload(class))
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
        for (protocol, class) in [
            (50, Class::Ipsec),
            (51, Class::Ipsec),
            (4, Class::Ipip),
            (41, Class::Ipip),
            (115, Class::L2tp),
            (47, Class::Gre),
        ] {
            assert_eq!(of(protocol, &[0; 8]), Some(class));
        }
        assert_eq!(of(17, &[0; 8]), None);
    }
}
