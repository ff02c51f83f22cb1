//! What an exporter says of itself. Pure.

use sensor_ebpf::class::Class;

use super::{
    element::{Element, Own},
    message::{Packer, Stream, Value},
    row::{EXTERNAL, INTERNAL, application},
    template::{
        APPLICATION, COUNTERPART, DOMAIN, INTERFACE, NETWORK, OPTIONS, PREFIX_V4, PREFIX_V6, RELIABILITY, SAMPLING,
        TYPES, Template,
    },
};
use crate::config::Additive;

/// Systematic count-based sampling (IANA, RFC 5477).
const COUNT_BASED: u64 = 1;
/// The one metering and exporting process of a sensor, and its selector.
const PROCESS: u64 = 1;
const SELECTOR: u64 = 1;

/// What a domain is about.
pub(super) struct About<'a> {
    /// Records that add up in it.
    pub(super) kind: Additive,
    /// Name of the sensor.
    pub(super) sensor: &'a str,
    /// Private enterprise number.
    pub(super) enterprise: u32,
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
pub(super) fn options(about: &About<'_>, to: &mut Packer<'_>) {
    let &About { kind, sensor, enterprise, lost } = about;
    let &Stream { domain, messages, octets, flows, .. } = to.stream();
    let id = Value::Number(domain.into());
    to.values(&DOMAIN, [id, Value::Text(sensor)]);
    for (number, name, description) in
        [(EXTERNAL, "external", "far side of the border"), (INTERNAL, "internal", "watched side of the border")]
    {
        to.values(&INTERFACE, [Value::Number(number), Value::Text(name), Value::Text(description)]);
    }
    to.values(&SAMPLING, [PROCESS, SELECTOR, COUNT_BASED, 1, 0].map(Value::Number));
    to.values(&RELIABILITY, [domain.into(), PROCESS, messages, flows, octets, lost].map(Value::Number));
    for (number, own) in Element::OWN.iter().filter_map(|element| Some((element.field().id, element.field().own?))) {
        let Own { name, data_type, semantics, about } = own;
        let numbers = [enterprise.into(), number.into(), data_type.into(), semantics.into()].map(Value::Number);
        to.values(&TYPES, numbers.into_iter().chain([name, about].map(Value::Text)));
    }
    if kind == Additive::Network {
        for class in Class::ALL {
            let number = Value::Number(application(class.name()));
            to.values(&APPLICATION, [number, Value::Text(class.name()), Value::Text(class.family().name())]);
        }
    }
}
