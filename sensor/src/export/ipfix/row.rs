//! Records of the spool as rows of IPFIX. Pure.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::Timestamp;
use sensor_ebpf::class::{Class, Evidence};
use serde::Deserialize;

use super::{
    element::Element,
    message::Value,
    template::{COUNTERPART, LEDGER, NETWORK, PREFIX_V4, PREFIX_V6, Template},
};
use crate::{cidr::Cidr, config::Additive, epoch::Epoch};

/// Classification engine of application ids that a user defines (RFC 6759, section 4.1).
const USER_DEFINED: u64 = 6;
/// The interface that stands for the far side of the border, and the one for the watched side.
pub(super) const EXTERNAL: u64 = 1;
pub(super) const INTERNAL: u64 = 2;
/// `flowEndReason`: the interval is over.
const ACTIVE_TIMEOUT: u64 = 2;

/// A line of the spool, as far as IPFIX tells of it.
#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    record: &'a str,
    epoch: Epoch,
    start: Timestamp,
    end: Timestamp,
    sequence: u64,
    first_sequence: Option<u64>,
    direction: Option<&'a str>,
    #[serde(borrow)]
    prefix: Option<Cow<'a, str>>,
    #[serde(borrow)]
    network: Option<Cow<'a, str>>,
    #[serde(borrow)]
    upstream: Option<Cow<'a, str>>,
    upstream_asn: Option<u32>,
    class: Option<&'a str>,
    evidence: Option<&'a str>,
    country: Option<&'a str>,
    asn: Option<u32>,
    #[serde(borrow, default)]
    list: Vec<Cow<'a, str>>,
    counterpart: Option<&'a str>,
    #[serde(borrow)]
    interface: Option<Cow<'a, str>>,
    #[serde(default)]
    packets: u64,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    frame_bytes: u64,
    #[serde(default)]
    moved_packets: u64,
    #[serde(default)]
    moved_bytes: u64,
    #[serde(default)]
    seen_packets: u64,
    #[serde(default)]
    seen_frame_bytes: u64,
    #[serde(default)]
    matched_packets: u64,
    #[serde(default)]
    matched_bytes: u64,
    #[serde(default)]
    matched_both_packets: u64,
    #[serde(default)]
    other_packets: u64,
    #[serde(default)]
    other_bytes: u64,
    #[serde(default)]
    seen_before_packets: u64,
    #[serde(default)]
    seen_before_bytes: u64,
    #[serde(borrow, default)]
    unparsed: BTreeMap<Cow<'a, str>, u64>,
    #[serde(borrow, default)]
    shed: BTreeMap<Cow<'a, str>, u64>,
    #[serde(borrow, default)]
    lost: BTreeMap<Cow<'a, str>, u64>,
}

/// A line that IPFIX tells.
#[derive(Debug)]
pub(super) struct Row<'a> {
    line: Line<'a>,
    /// What it is told as; a ledger is none that adds up.
    pub(super) kind: Option<Additive>,
    /// How.
    pub(super) template: Template,
    /// Its prefix, in network byte order, and the length of that.
    prefix: ([u8; 16], u8),
    epoch: [u8; 16],
    /// The prefix is on the side of the source.
    is_out: bool,
    lists: String,
}

impl<'a> Row<'a> {
    /// Reads a line; `None`: IPFIX has nothing for its kind.
    ///
    /// # Errors
    /// It is none of the spool's.
    pub(super) fn read(line: &'a [u8]) -> serde_json::Result<Option<Self>> {
        let mut line: Line<'_> = serde_json::from_slice(line)?;
        let mut prefix = ([0; 16], 0);
        let (kind, template) = match line.record {
            "prefix" => {
                let cidr = line.prefix.as_deref().and_then(|text| text.parse::<Cidr>().ok());
                let Some(cidr) = cidr else { return Ok(None) };
                prefix = (cidr.bits().to_be_bytes(), cidr.prefix_len());
                let template = if cidr.is_v4() { PREFIX_V4 } else { PREFIX_V6 };
                (Some(Additive::Prefix), template)
            }
            // Nobody knows of which prefix: of none in particular.
            "unattributed" => (Some(Additive::Prefix), PREFIX_V4),
            "network" => (Some(Additive::Network), NETWORK),
            "counterpart" => (Some(Additive::Counterpart), COUNTERPART),
            "ledger" => (None, LEDGER),
            _ => return Ok(None),
        };
        let is_out = matches!(line.direction, Some("out" | "tx"));
        let lists = std::mem::take(&mut line.list);
        let lists = if lists.is_empty() { line.counterpart.unwrap_or_default().to_owned() } else { lists.join(",") };
        let epoch = line.epoch.to_bytes();
        Ok(Some(Self { line, kind, template, prefix, epoch, is_out, lists }))
    }

    /// What a field of its template holds; `domain` is the observation domain.
    pub(super) fn value(&self, element: Element, domain: u32) -> Value<'_> {
        let Self { line, is_out, .. } = self;
        let is_out = *is_out;
        let number = |wanted: bool, number: u64| Value::Number(if wanted { number } else { 0 });
        match element {
            Element::FlowStartMilliseconds => milliseconds(line.start),
            Element::FlowEndMilliseconds => milliseconds(line.end),
            Element::SourceIpv4Address | Element::SourceIpv6Address => self.address(is_out),
            Element::DestinationIpv4Address | Element::DestinationIpv6Address => self.address(!is_out),
            Element::SourceIpv4PrefixLength | Element::SourceIpv6PrefixLength => number(is_out, self.prefix.1.into()),
            Element::DestinationIpv4PrefixLength | Element::DestinationIpv6PrefixLength => {
                number(!is_out, self.prefix.1.into())
            }
            Element::IpVersion => Value::Number(if self.template == PREFIX_V6 { 6 } else { 4 }),
            Element::FlowDirection => Value::Number(is_out.into()),
            Element::FlowEndReason => Value::Number(ACTIVE_TIMEOUT),
            Element::IngressInterface => Value::Number(if is_out { INTERNAL } else { EXTERNAL }),
            Element::EgressInterface => Value::Number(if is_out { EXTERNAL } else { INTERNAL }),
            Element::BgpNextAdjacentAsNumber => number(is_out, line.upstream_asn.unwrap_or_default().into()),
            Element::BgpPrevAdjacentAsNumber => number(!is_out, line.upstream_asn.unwrap_or_default().into()),
            Element::BgpDestinationAsNumber => number(is_out, line.asn.unwrap_or_default().into()),
            Element::BgpSourceAsNumber => number(!is_out, line.asn.unwrap_or_default().into()),
            Element::ApplicationId => Value::Number(application(line.class.unwrap_or_default())),
            Element::OctetDeltaCount => Value::Number(line.bytes),
            Element::PacketDeltaCount => Value::Number(line.packets),
            Element::Layer2OctetDeltaCount => Value::Number(line.frame_bytes),
            Element::NetworkName => text(&line.network),
            Element::UpstreamName => text(&line.upstream),
            Element::ClassEvidence => Value::Number(evidence(line.evidence)),
            Element::MovedOctetDeltaCount => Value::Number(line.moved_bytes),
            Element::MovedPacketDeltaCount => Value::Number(line.moved_packets),
            Element::CountryCode => Value::Text(line.country.unwrap_or_default()),
            Element::CounterpartList => Value::Text(&self.lists),
            Element::SensorEpoch => Value::Bytes(&self.epoch),
            Element::IntervalSequence => Value::Number(line.sequence),
            Element::FirstIntervalSequence => Value::Number(line.first_sequence.unwrap_or(line.sequence)),
            Element::ObservationDomainId => Value::Number(domain.into()),
            Element::InterfaceName => text(&line.interface),
            Element::SeenPacketDeltaCount => Value::Number(line.seen_packets),
            Element::SeenFrameOctetDeltaCount => Value::Number(line.seen_frame_bytes),
            Element::MatchedPacketDeltaCount => Value::Number(line.matched_packets),
            Element::MatchedOctetDeltaCount => Value::Number(line.matched_bytes),
            Element::MatchedBothPacketDeltaCount => Value::Number(line.matched_both_packets),
            Element::OtherPacketDeltaCount => Value::Number(line.other_packets),
            Element::OtherOctetDeltaCount => Value::Number(line.other_bytes),
            Element::SeenBeforePacketDeltaCount => Value::Number(line.seen_before_packets),
            Element::SeenBeforeOctetDeltaCount => Value::Number(line.seen_before_bytes),
            Element::UnparsedPacketDeltaCount => Value::Number(line.unparsed.values().sum()),
            Element::ShedPacketDeltaCount => Value::Number(line.shed.values().sum()),
            Element::LostPacketDeltaCount => Value::Number(line.lost.values().sum()),
            // Of options that are about the exporter itself.
            Element::ApplicationName
            | Element::ApplicationDescription
            | Element::InterfaceDescription
            | Element::ExportedOctetTotalCount
            | Element::ExportedMessageTotalCount
            | Element::ExportedFlowRecordTotalCount
            | Element::NotSentFlowTotalCount
            | Element::MeteringProcessId
            | Element::ExportingProcessId
            | Element::ObservationDomainName
            | Element::SelectorId
            | Element::SelectorAlgorithm
            | Element::SamplingPacketInterval
            | Element::SamplingPacketSpace
            | Element::InformationElementId
            | Element::InformationElementDataType
            | Element::InformationElementDescription
            | Element::InformationElementName
            | Element::InformationElementSemantics
            | Element::PrivateEnterpriseNumber => Value::Number(0),
        }
    }

    /// The address of the prefix where it is on this side, else none.
    fn address(&self, is_there: bool) -> Value<'_> {
        Value::Bytes(if is_there { &self.prefix.0 } else { &[] })
    }
}

/// The application id of a class: an engine and a number, as [`template::APPLICATION`](super::template::APPLICATION) tells.
pub(super) fn application(class: &str) -> u64 {
    USER_DEFINED << 24 | Class::named(class).unwrap_or(Class::Unknown) as u64
}

fn evidence(name: Option<&str>) -> u64 {
    name.and_then(Evidence::named).map_or(0, |evidence| evidence as u64 + 1)
}

fn milliseconds(at: Timestamp) -> Value<'static> {
    Value::Number(at.as_millisecond().try_into().unwrap_or_default())
}

fn text<'a>(text: &'a Option<Cow<'_, str>>) -> Value<'a> {
    Value::Text(text.as_deref().unwrap_or_default())
}
