//! Information elements: those of IANA's registry (RFC 7012) that collectors know, and the sensor's own.
//!
//! All have a fixed length: nfdump takes the lengths of options from their template. The own ones are numbered from 1000 on, so that a collector that
//! overlooks enterprise numbers takes none of them for a registered one.

/// Bytes of names that the configuration gives, with a NUL behind the longest.
pub(super) const NAME_LEN: u16 = 65;
/// Bytes of short names, and of what is said of them.
const LABEL_LEN: u16 = 32;
/// Bytes of longer texts.
const TEXT_LEN: u16 = 128;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Element {
    OctetDeltaCount,
    PacketDeltaCount,
    Layer2OctetDeltaCount,
    SourceIpv4Address,
    SourceIpv4PrefixLength,
    DestinationIpv4Address,
    DestinationIpv4PrefixLength,
    SourceIpv6Address,
    SourceIpv6PrefixLength,
    DestinationIpv6Address,
    DestinationIpv6PrefixLength,
    IngressInterface,
    EgressInterface,
    BgpSourceAsNumber,
    BgpDestinationAsNumber,
    BgpNextAdjacentAsNumber,
    BgpPrevAdjacentAsNumber,
    IpVersion,
    FlowDirection,
    FlowEndReason,
    FlowStartMilliseconds,
    FlowEndMilliseconds,
    ApplicationId,
    ApplicationName,
    ApplicationDescription,
    InterfaceName,
    InterfaceDescription,
    ExportedOctetTotalCount,
    ExportedMessageTotalCount,
    ExportedFlowRecordTotalCount,
    NotSentFlowTotalCount,
    MeteringProcessId,
    ExportingProcessId,
    ObservationDomainId,
    ObservationDomainName,
    SelectorId,
    SelectorAlgorithm,
    SamplingPacketInterval,
    SamplingPacketSpace,
    InformationElementId,
    InformationElementDataType,
    InformationElementDescription,
    InformationElementName,
    InformationElementSemantics,
    PrivateEnterpriseNumber,
    SensorEpoch,
    IntervalSequence,
    FirstIntervalSequence,
    NetworkName,
    UpstreamName,
    ClassEvidence,
    MovedOctetDeltaCount,
    MovedPacketDeltaCount,
    CountryCode,
    CounterpartList,
    SeenPacketDeltaCount,
    SeenFrameOctetDeltaCount,
    MatchedPacketDeltaCount,
    MatchedOctetDeltaCount,
    MatchedBothPacketDeltaCount,
    OtherPacketDeltaCount,
    OtherOctetDeltaCount,
    SeenBeforePacketDeltaCount,
    SeenBeforeOctetDeltaCount,
    UnparsedPacketDeltaCount,
    ShedPacketDeltaCount,
    LostPacketDeltaCount,
}

/// How a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Number of the element.
    pub(super) id: u16,
    /// Bytes.
    pub(super) len: u16,
    /// What collectors are told of an own one; nothing of IANA's.
    pub(super) own: Option<Own>,
}

/// An own element, as RFC 5610 tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Own {
    /// Name.
    pub(super) name: &'static str,
    /// `informationElementDataType` (IANA, RFC 5610, section 3.1).
    pub(super) data_type: u8,
    /// `informationElementSemantics` (IANA, RFC 5610, section 3.6).
    pub(super) semantics: u8,
    /// What it is.
    pub(super) about: &'static str,
}

/// Data types and semantics of RFC 5610 that own elements have.
const OCTET_ARRAY: (u8, u8) = (0, 0);
const IDENTIFIER: (u8, u8) = (4, 4);
const LEVEL: (u8, u8) = (1, 4);
const DELTA: (u8, u8) = (4, 3);
const STRING: (u8, u8) = (13, 0);

impl Element {
    /// The own ones.
    pub(super) const OWN: [Self; 22] = [
        Self::SensorEpoch,
        Self::IntervalSequence,
        Self::FirstIntervalSequence,
        Self::NetworkName,
        Self::UpstreamName,
        Self::ClassEvidence,
        Self::MovedOctetDeltaCount,
        Self::MovedPacketDeltaCount,
        Self::CountryCode,
        Self::CounterpartList,
        Self::SeenPacketDeltaCount,
        Self::SeenFrameOctetDeltaCount,
        Self::MatchedPacketDeltaCount,
        Self::MatchedOctetDeltaCount,
        Self::MatchedBothPacketDeltaCount,
        Self::OtherPacketDeltaCount,
        Self::OtherOctetDeltaCount,
        Self::SeenBeforePacketDeltaCount,
        Self::SeenBeforeOctetDeltaCount,
        Self::UnparsedPacketDeltaCount,
        Self::ShedPacketDeltaCount,
        Self::LostPacketDeltaCount,
    ];

    /// How it is written.
    pub(super) const fn field(self) -> Field {
        match self {
            Self::OctetDeltaCount => iana(1, 8),
            Self::PacketDeltaCount => iana(2, 8),
            Self::Layer2OctetDeltaCount => iana(352, 8),
            Self::SourceIpv4Address => iana(8, 4),
            Self::SourceIpv4PrefixLength => iana(9, 1),
            Self::DestinationIpv4Address => iana(12, 4),
            Self::DestinationIpv4PrefixLength => iana(13, 1),
            Self::SourceIpv6Address => iana(27, 16),
            Self::SourceIpv6PrefixLength => iana(29, 1),
            Self::DestinationIpv6Address => iana(28, 16),
            Self::DestinationIpv6PrefixLength => iana(30, 1),
            Self::IngressInterface => iana(10, 4),
            Self::EgressInterface => iana(14, 4),
            Self::BgpSourceAsNumber => iana(16, 4),
            Self::BgpDestinationAsNumber => iana(17, 4),
            Self::BgpNextAdjacentAsNumber => iana(128, 4),
            Self::BgpPrevAdjacentAsNumber => iana(129, 4),
            Self::IpVersion => iana(60, 1),
            Self::FlowDirection => iana(61, 1),
            Self::FlowEndReason => iana(136, 1),
            Self::FlowStartMilliseconds => iana(152, 8),
            Self::FlowEndMilliseconds => iana(153, 8),
            Self::ApplicationId => iana(95, 4),
            Self::ApplicationName => iana(96, LABEL_LEN),
            Self::ApplicationDescription => iana(94, LABEL_LEN),
            Self::InterfaceName => iana(82, NAME_LEN),
            Self::InterfaceDescription => iana(83, NAME_LEN),
            Self::ExportedOctetTotalCount => iana(40, 8),
            Self::ExportedMessageTotalCount => iana(41, 8),
            Self::ExportedFlowRecordTotalCount => iana(42, 8),
            Self::NotSentFlowTotalCount => iana(166, 8),
            Self::MeteringProcessId => iana(143, 4),
            Self::ExportingProcessId => iana(144, 4),
            Self::ObservationDomainId => iana(149, 4),
            Self::ObservationDomainName => iana(300, NAME_LEN),
            Self::SelectorId => iana(302, 8),
            Self::SelectorAlgorithm => iana(304, 2),
            Self::SamplingPacketInterval => iana(305, 4),
            Self::SamplingPacketSpace => iana(306, 4),
            Self::InformationElementId => iana(303, 2),
            Self::InformationElementDataType => iana(339, 1),
            Self::InformationElementDescription => iana(340, TEXT_LEN),
            Self::InformationElementName => iana(341, NAME_LEN),
            Self::InformationElementSemantics => iana(344, 1),
            Self::PrivateEnterpriseNumber => iana(346, 4),
            Self::SensorEpoch => own(1000, 16, OCTET_ARRAY, "sensorEpoch", "life of the counters that a record is of"),
            Self::IntervalSequence => {
                own(1001, 8, IDENTIFIER, "intervalSequence", "number of the interval in its epoch")
            }
            Self::FirstIntervalSequence => {
                own(1002, 8, IDENTIFIER, "firstIntervalSequence", "first interval that was added up in this record")
            }
            Self::NetworkName => own(1003, NAME_LEN, STRING, "networkName", "watched network"),
            Self::UpstreamName => own(1004, NAME_LEN, STRING, "upstreamName", "neighbour on the way"),
            Self::ClassEvidence => own(
                1005,
                1,
                LEVEL,
                "classEvidence",
                "how sure the class is: 0 nothing, 1 port, 2 list, 3 payload, 4 confirmed",
            ),
            Self::MovedOctetDeltaCount => {
                own(1006, 8, DELTA, "movedOctetDeltaCount", "octets told before that turned out to be of another class")
            }
            Self::MovedPacketDeltaCount => own(
                1007,
                8,
                DELTA,
                "movedPacketDeltaCount",
                "packets told before that turned out to be of another class",
            ),
            Self::CountryCode => own(1008, 3, STRING, "countryCode", "country of the far end, ISO 3166-1 alpha-2"),
            Self::CounterpartList => {
                own(1009, TEXT_LEN, STRING, "counterpartList", "lists that the far end is on, or unknown, or other")
            }
            Self::SeenPacketDeltaCount => own(1010, 8, DELTA, "seenPacketDeltaCount", "frames that the hook saw"),
            Self::SeenFrameOctetDeltaCount => {
                own(1011, 8, DELTA, "seenFrameOctetDeltaCount", "their octets, link header included")
            }
            Self::MatchedPacketDeltaCount => {
                own(1012, 8, DELTA, "matchedPacketDeltaCount", "packets with an address in the table")
            }
            Self::MatchedOctetDeltaCount => own(1013, 8, DELTA, "matchedOctetDeltaCount", "their octets"),
            Self::MatchedBothPacketDeltaCount => own(
                1014,
                8,
                DELTA,
                "matchedBothPacketDeltaCount",
                "those with both addresses in it: in two records each",
            ),
            Self::OtherPacketDeltaCount => {
                own(1015, 8, DELTA, "otherPacketDeltaCount", "packets with no address in the table")
            }
            Self::OtherOctetDeltaCount => own(1016, 8, DELTA, "otherOctetDeltaCount", "their octets"),
            Self::SeenBeforePacketDeltaCount => {
                own(1017, 8, DELTA, "seenBeforePacketDeltaCount", "packets that another interface billed")
            }
            Self::SeenBeforeOctetDeltaCount => own(1018, 8, DELTA, "seenBeforeOctetDeltaCount", "their octets"),
            Self::UnparsedPacketDeltaCount => {
                own(1019, 8, DELTA, "unparsedPacketDeltaCount", "frames without a countable IP header")
            }
            Self::ShedPacketDeltaCount => {
                own(1020, 8, DELTA, "shedPacketDeltaCount", "watched packets that were counted and not looked into")
            }
            Self::LostPacketDeltaCount => {
                own(1021, 8, DELTA, "lostPacketDeltaCount", "packets that never came to the sensor")
            }
        }
    }
}

const fn iana(id: u16, len: u16) -> Field {
    Field { id, len, own: None }
}

const fn own(id: u16, len: u16, kind: (u8, u8), name: &'static str, about: &'static str) -> Field {
    let (data_type, semantics) = kind;
    Field { id, len, own: Some(Own { name, data_type, semantics, about }) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn own_elements_are_told_apart_and_fit() {
        let mut ids = BTreeSet::new();
        for element in Element::OWN {
            let Field { id, own, .. } = element.field();
            let own = own.unwrap();
            assert!(id >= 1000 && ids.insert(id), "{element:?}");
            assert!(own.name.len() < usize::from(NAME_LEN) && own.about.len() < usize::from(TEXT_LEN), "{element:?}");
        }
    }
}
