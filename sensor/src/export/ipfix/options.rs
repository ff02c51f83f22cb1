//! What an exporter says of itself. Pure.

use sensor_ebpf::class::Class;

use super::{
    element::{Element, Own},
    message::{Packer, Value},
    row::{EXTERNAL, INTERNAL, application},
    template::{
        APPLICATION, COUNTERPART, DOMAIN, INTERFACE, NETWORK, OPTIONS, PREFIX_V4, PREFIX_V6, RELIABILITY, SAMPLING,
        TYPES, Template,
    },
};
use crate::config::Additive;

/// Systematic count-based sampling (IANA, RFC 5477).
const COUNT_BASED: u64 = 1;

/// What a domain is about.
pub(super) struct About<'a> {
    /// Observation domain.
    pub(super) domain: u32,
    /// Records that add up in it.
    pub(super) kind: Additive,
    /// Name of the sensor.
    pub(super) sensor: &'a str,
    /// Private enterprise number.
    pub(super) enterprise: u32,
}

/// What was sent of a domain, and what could not be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) messages: u64,
    pub(super) octets: u64,
    pub(super) flows: u64,
    /// Records that were lost before they could be sent.
    pub(super) lost: u64,
}

/// Adds all templates of a domain.
pub(super) fn templates(kind: Additive, to: &mut Packer<'_>) {
    let data: &[Template] = match kind {
        Additive::Prefix => &[PREFIX_V4, PREFIX_V6],
        Additive::Network => &[NETWORK],
        Additive::Counterpart => &[COUNTERPART],
    };
    for template in data.iter().chain(&OPTIONS) {
        to.template(template);
    }
}

/// Adds the options of a domain.
pub(super) fn options(about: &About<'_>, sent: Sent, to: &mut Packer<'_>) {
    let &About { domain, kind, sensor, enterprise } = about;
    to.record(&DOMAIN, |element| match element {
        Element::ObservationDomainName => Value::Text(sensor),
        _ => Value::Number(domain.into()),
    });
    for (number, name, description) in
        [(EXTERNAL, "external", "far side of the border"), (INTERNAL, "internal", "watched side of the border")]
    {
        to.record(&INTERFACE, |element| match element {
            Element::InterfaceName => Value::Text(name),
            Element::InterfaceDescription => Value::Text(description),
            _ => Value::Number(number),
        });
    }
    to.record(&SAMPLING, |element| match element {
        Element::SelectorAlgorithm => Value::Number(COUNT_BASED),
        Element::SamplingPacketSpace => Value::Number(0),
        _ => Value::Number(1),
    });
    to.record(&RELIABILITY, |element| {
        Value::Number(match element {
            Element::ObservationDomainId => domain.into(),
            Element::ExportedMessageTotalCount => sent.messages,
            Element::ExportedFlowRecordTotalCount => sent.flows,
            Element::ExportedOctetTotalCount => sent.octets,
            Element::NotSentFlowTotalCount => sent.lost,
            _ => 1,
        })
    });
    for (id, own) in Element::OWN.iter().filter_map(|element| Some((element.field().id, element.field().own?))) {
        let Own { name, data_type, semantics, about } = own;
        to.record(&TYPES, |element| match element {
            Element::PrivateEnterpriseNumber => Value::Number(enterprise.into()),
            Element::InformationElementId => Value::Number(id.into()),
            Element::InformationElementDataType => Value::Number(data_type.into()),
            Element::InformationElementSemantics => Value::Number(semantics.into()),
            Element::InformationElementName => Value::Text(name),
            _ => Value::Text(about),
        });
    }
    if kind == Additive::Network {
        for class in Class::ALL {
            to.record(&APPLICATION, |element| match element {
                Element::ApplicationName => Value::Text(class.name()),
                Element::ApplicationDescription => Value::Text(class.family().name()),
                _ => Value::Number(application(class.name())),
            });
        }
    }
}
