//! What a flow is, of what its bytes say and of the lists that its ends are on.

use sensor_ebpf::{
    abi::Kind,
    class::{Class, Evidence},
};

use crate::inspect::Verdict;

/// Of what the sensor sends to its collectors: it knows them by itself.
pub(super) const OWN: Verdict = Verdict { class: Class::SensorExport, evidence: Evidence::List };

/// Of both together. A list says more than a guess by port, and than bytes that only show what carries the rest: to a listed relay, TLS is what Tor looks
/// like. Bytes that show something of their own say more than a list.
pub(super) fn joined(found: Option<Verdict>, listed: Option<Class>) -> Option<Verdict> {
    let by_list = listed.map(|class| Verdict { class, evidence: Evidence::List });
    match (found, by_list) {
        (found, None) => found,
        (None, by_list) => by_list,
        (Some(found), Some(by_list)) if found.class == by_list.class => {
            Some(Verdict { evidence: found.evidence.max(by_list.evidence), ..found })
        }
        (Some(found), Some(by_list)) if found.evidence < Evidence::List || is_carrier(found.class) => Some(by_list),
        (found, Some(_)) => found,
    }
}

/// Whether anything may be inside, or the bytes look like nothing.
const fn is_carrier(class: Class) -> bool {
    matches!(class, Class::Tls | Class::Quic | Class::Http | Class::Shadowsocks | Class::Obfs4)
}

/// What programs bill it as.
pub(super) fn kind(verdict: Option<Verdict>) -> Kind {
    let known = verdict.filter(|verdict| verdict.class != Class::Unknown);
    known.map_or(Kind::UNDECIDED, |Verdict { class, evidence }| Kind::new(class, evidence))
}

/// What a program billed.
pub(super) fn of_kind(kind: Kind) -> Option<Verdict> {
    kind.verdict().map(|(class, evidence)| Verdict { class, evidence })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_between_ports_and_bytes() {
        let verdict = |class, evidence| Some(Verdict { class, evidence });
        let tor = verdict(Class::Tor, Evidence::List);
        assert_eq!(joined(None, None), None);
        assert_eq!(joined(None, Some(Class::Tor)), tor);
        assert_eq!(joined(verdict(Class::Ssh, Evidence::Port), Some(Class::Tor)), tor);
        assert_eq!(joined(verdict(Class::Tls, Evidence::Confirmed), Some(Class::Tor)), tor);
        for evidence in [Evidence::Payload, Evidence::Confirmed] {
            assert_eq!(joined(verdict(Class::Ssh, evidence), Some(Class::Tor)), verdict(Class::Ssh, evidence));
            assert_eq!(joined(verdict(Class::Tor, evidence), Some(Class::Tor)), verdict(Class::Tor, evidence));
        }
        assert_eq!(joined(verdict(Class::Tor, Evidence::Port), Some(Class::Tor)), tor);
    }

    #[test]
    fn kinds_and_verdicts_are_the_same() {
        for class in Class::ALL.iter().copied() {
            for evidence in Evidence::ALL {
                let verdict = Verdict { class, evidence };
                let expected = (class != Class::Unknown).then_some(verdict);
                assert_eq!(of_kind(kind(Some(verdict))), expected);
            }
        }
        assert_eq!(of_kind(kind(None)), None);
    }
}
