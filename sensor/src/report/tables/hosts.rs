//! Addresses and services.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use super::{Cell, Section, Table, blank, number};
use crate::{
    report::{plot::block, text, words},
    study::Study,
};

pub(super) fn addresses(study: &Study) -> Section {
    let mut section = Section { id: "addresses", title: "Address space", notes: vec![], tables: vec![] };
    let Some(addresses) = &study.addresses else {
        section.tables.push(missing("addresses", "Active addresses", study));
        return section;
    };
    let names: BTreeSet<&String> = addresses.blocks.keys().chain(addresses.baseline_blocks.keys()).collect();
    let row = |name: &String| {
        let counts = block::counts(addresses, name);
        vec![
            name.clone().into(),
            number(counts.now),
            number(counts.before),
            number(counts.lit),
            number(counts.dark),
            if addresses.newly_lit_prefixes.contains(name) { "yes".into() } else { "no".into() },
        ]
    };
    section.notes.push(
        "Active is an address that sent at least one packet in a flow heard in both directions; of IPv6 a whole /64 \
         counts as one."
            .to_owned(),
    );
    section.tables.push(Table {
        id: "addresses",
        caption: "Active addresses by block".to_owned(),
        head: vec!["Block", "Active", "Active before", "Newly lit", "Gone dark", "Whole block newly lit"],
        rows: names.into_iter().map(row).collect(),
        brief: true,
    });
    let mut lit: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for address in &addresses.newly_lit {
        lit.entry(block_of(address)).or_default().push(address);
    }
    if !lit.is_empty() {
        let row =
            |(block, lit): (String, Vec<&str>)| vec![block.into(), number(lit.len() as i128), lit.join(", ").into()];
        section.tables.push(Table {
            id: "newly-lit",
            caption: "Newly lit addresses: active now, and not in the baseline".to_owned(),
            head: vec!["Block", "Number", "Addresses"],
            rows: lit.into_iter().map(row).collect(),
            brief: false,
        });
    }
    section
}

/// The /24 of an IPv4 address; of IPv6 the /64 that stands for its addresses.
fn block_of(address: &str) -> String {
    let v4: Option<Ipv4Addr> = address.parse().ok();
    v4.map_or_else(|| address.to_owned(), |v4| format!("{}/24", Ipv4Addr::from(u32::from(v4) & !0xff)))
}

pub(super) fn services(study: &Study) -> Section {
    let mut section = Section { id: "services", title: "Services", notes: vec![], tables: vec![] };
    let Some(services) = &study.services else {
        section.tables.push(missing("services", "Services", study));
        return section;
    };
    let row = |service: &crate::study::ServiceFact| -> Vec<Cell> {
        vec![
            service.address.to_string().into(),
            Cell { text: service.port.to_string(), value: Some(service.port.into()) },
            service.protocol.into(),
            service.class.into(),
            service.evidence.map_or_else(blank, Cell::from),
            if service.new { "new".into() } else { "known".into() },
            text::moment(&service.first_seen).into(),
            text::moment(&service.last_seen).into(),
            number(service.days.len() as i128),
        ]
    };
    let note = "A service answered a connection (SYN with SYN-ACK) or a datagram from outside.";
    section.notes.push(note.to_owned());
    section.tables.push(Table {
        id: "services",
        caption: "Services that answered in the period".to_owned(),
        head: vec![
            "Address",
            "Port",
            "Protocol",
            "Class",
            "Evidence",
            "In the baseline",
            "First answer",
            "Last answer",
            "Days with answers",
        ],
        rows: services.iter().map(row).collect(),
        brief: true,
    });
    section
}

fn missing(id: &'static str, caption: &str, study: &Study) -> Table {
    let why = study.insufficient_data.get(id).map_or("not measured", String::as_str);
    Table {
        id,
        caption: caption.to_owned(),
        head: vec!["Figure", "Value"],
        rows: vec![vec![caption.into(), format!("{}: {}", words::INSUFFICIENT, text::whole_name(why)).into()]],
        brief: true,
    }
}
