//! Templates (RFC 7011, section 3.4): which fields the records of a kind have, in which order.

use super::element::Element;

/// Set ID of template sets.
pub(super) const TEMPLATE_SET: u16 = 2;
/// Set ID of options template sets.
pub(super) const OPTIONS_TEMPLATE_SET: u16 = 3;
/// What an element number is marked with that an enterprise number follows.
const ENTERPRISE_BIT: u16 = 1 << 15;

/// A template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// Template ID, from 256 on, and set ID of its records.
    pub(super) id: u16,
    /// Scope fields, of options.
    pub(super) scope: u16,
    /// Fields in their order, those of the scope first.
    pub(super) elements: &'static [Element],
}

/// Traffic of an IPv4 prefix: the prefix is the source of what goes out and the destination of what comes in, the other side is nothing.
pub(super) const PREFIX_V4: Template = Template {
    id: 256,
    scope: 0,
    elements: &[
        Element::FlowStartMilliseconds,
        Element::FlowEndMilliseconds,
        Element::SourceIpv4Address,
        Element::DestinationIpv4Address,
        Element::SourceIpv4PrefixLength,
        Element::DestinationIpv4PrefixLength,
        Element::IpVersion,
        Element::FlowDirection,
        Element::FlowEndReason,
        Element::IngressInterface,
        Element::EgressInterface,
        Element::OctetDeltaCount,
        Element::PacketDeltaCount,
        Element::Layer2OctetDeltaCount,
        Element::SensorEpoch,
        Element::IntervalSequence,
        Element::FirstIntervalSequence,
    ],
};

/// The same of an IPv6 prefix.
pub(super) const PREFIX_V6: Template = Template {
    id: 257,
    scope: 0,
    elements: &[
        Element::FlowStartMilliseconds,
        Element::FlowEndMilliseconds,
        Element::SourceIpv6Address,
        Element::DestinationIpv6Address,
        Element::SourceIpv6PrefixLength,
        Element::DestinationIpv6PrefixLength,
        Element::IpVersion,
        Element::FlowDirection,
        Element::FlowEndReason,
        Element::IngressInterface,
        Element::EgressInterface,
        Element::OctetDeltaCount,
        Element::PacketDeltaCount,
        Element::Layer2OctetDeltaCount,
        Element::SensorEpoch,
        Element::IntervalSequence,
        Element::FirstIntervalSequence,
    ],
};

/// Traffic of a watched network by upstream and class, of both versions of IP: `ipVersion` says 4, since pmacct passes over records that say none.
pub(super) const NETWORK: Template = Template {
    id: 258,
    scope: 0,
    elements: &[
        Element::FlowStartMilliseconds,
        Element::FlowEndMilliseconds,
        Element::FlowDirection,
        Element::FlowEndReason,
        Element::IngressInterface,
        Element::EgressInterface,
        Element::IpVersion,
        Element::BgpNextAdjacentAsNumber,
        Element::BgpPrevAdjacentAsNumber,
        Element::ApplicationId,
        Element::OctetDeltaCount,
        Element::PacketDeltaCount,
        Element::Layer2OctetDeltaCount,
        Element::NetworkName,
        Element::UpstreamName,
        Element::ClassEvidence,
        Element::MovedOctetDeltaCount,
        Element::MovedPacketDeltaCount,
        Element::SensorEpoch,
        Element::IntervalSequence,
        Element::FirstIntervalSequence,
    ],
};

/// Traffic of a watched network by what its far end belongs to, likewise.
pub(super) const COUNTERPART: Template = Template {
    id: 259,
    scope: 0,
    elements: &[
        Element::FlowStartMilliseconds,
        Element::FlowEndMilliseconds,
        Element::FlowDirection,
        Element::FlowEndReason,
        Element::IngressInterface,
        Element::EgressInterface,
        Element::IpVersion,
        Element::BgpSourceAsNumber,
        Element::BgpDestinationAsNumber,
        Element::OctetDeltaCount,
        Element::PacketDeltaCount,
        Element::Layer2OctetDeltaCount,
        Element::NetworkName,
        Element::CountryCode,
        Element::CounterpartList,
        Element::SensorEpoch,
        Element::IntervalSequence,
        Element::FirstIntervalSequence,
    ],
};

/// Which sensor an observation domain is of.
pub(super) const DOMAIN: Template =
    Template { id: 264, scope: 1, elements: &[Element::ObservationDomainId, Element::ObservationDomainName] };

/// What the two interfaces stand for: the side of the border that a packet came from or went to.
pub(super) const INTERFACE: Template = Template {
    id: 265,
    scope: 1,
    elements: &[Element::IngressInterface, Element::InterfaceName, Element::InterfaceDescription],
};

/// That every packet is counted (RFC 5477: systematic count-based sampling, 1 in 1).
pub(super) const SAMPLING: Template = Template {
    id: 266,
    scope: 1,
    elements: &[
        Element::ExportingProcessId,
        Element::SelectorId,
        Element::SelectorAlgorithm,
        Element::SamplingPacketInterval,
        Element::SamplingPacketSpace,
    ],
};

/// What application ids are (RFC 6759, section 5): the class, and its family.
pub(super) const APPLICATION: Template = Template {
    id: 267,
    scope: 1,
    elements: &[Element::ApplicationId, Element::ApplicationName, Element::ApplicationDescription],
};

/// How much was sent, and how much was not (RFC 7011, section 4.3).
pub(super) const RELIABILITY: Template = Template {
    id: 268,
    scope: 2,
    elements: &[
        Element::ObservationDomainId,
        Element::MeteringProcessId,
        Element::ExportedMessageTotalCount,
        Element::ExportedFlowRecordTotalCount,
        Element::ExportedOctetTotalCount,
        Element::NotSentFlowTotalCount,
    ],
};

/// What own elements are (RFC 5610, section 3.9).
pub(super) const TYPES: Template = Template {
    id: 269,
    scope: 2,
    elements: &[
        Element::PrivateEnterpriseNumber,
        Element::InformationElementId,
        Element::InformationElementDataType,
        Element::InformationElementSemantics,
        Element::InformationElementName,
        Element::InformationElementDescription,
    ],
};

/// Every frame of an interface side by what became of it.
pub(super) const LEDGER: Template = Template {
    id: 270,
    scope: 3,
    elements: &[
        Element::ObservationDomainId,
        Element::InterfaceName,
        Element::FlowDirection,
        Element::FlowStartMilliseconds,
        Element::FlowEndMilliseconds,
        Element::SeenPacketDeltaCount,
        Element::SeenFrameOctetDeltaCount,
        Element::MatchedPacketDeltaCount,
        Element::MatchedOctetDeltaCount,
        Element::MatchedBothPacketDeltaCount,
        Element::OtherPacketDeltaCount,
        Element::OtherOctetDeltaCount,
        Element::SeenBeforePacketDeltaCount,
        Element::SeenBeforeOctetDeltaCount,
        Element::UnparsedPacketDeltaCount,
        Element::ShedPacketDeltaCount,
        Element::LostPacketDeltaCount,
        Element::SensorEpoch,
        Element::IntervalSequence,
        Element::FirstIntervalSequence,
    ],
};

/// Templates of options.
pub(super) const OPTIONS: [Template; 7] = [DOMAIN, INTERFACE, SAMPLING, APPLICATION, RELIABILITY, TYPES, LEDGER];

impl Template {
    /// The set that it is told in.
    pub(super) const fn set(&self) -> u16 {
        if self.scope > 0 { OPTIONS_TEMPLATE_SET } else { TEMPLATE_SET }
    }

    /// Its record: fields in network byte order.
    pub(super) fn encode(&self, enterprise: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let count = self.elements.len() as u16;
        bytes.extend([self.id, count].map(u16::to_be_bytes).concat());
        if self.scope > 0 {
            bytes.extend(self.scope.to_be_bytes());
        }
        for field in self.elements.iter().map(|element| element.field()) {
            let mark = if field.own.is_some() { ENTERPRISE_BIT } else { 0 };
            bytes.extend([field.id | mark, field.len].map(u16::to_be_bytes).concat());
            if field.own.is_some() {
                bytes.extend(enterprise.to_be_bytes());
            }
        }
        bytes
    }
}
