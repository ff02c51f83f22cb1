//! Addresses and services.

use std::collections::BTreeMap;

use sensor_ebpf::class::{Class, Family};

use super::{Sentence, is_without_baseline, without_baseline};
use crate::{
    report::text,
    study::{ServiceFact, Study},
};

/// Reason of a figure that is missing without one.
const NOT_SEEN: &str = "it was not measured";

/// Active addresses, and those that were dark.
pub(super) fn addresses(study: &Study) -> Sentence {
    let Some(addresses) = &study.addresses else {
        let why = study.insufficient_data.get("addresses").map_or(NOT_SEEN, String::as_str);
        return Sentence::missing("addresses", "Which addresses are active", why);
    };
    if is_without_baseline(study) {
        let number = text::count(addresses.active as usize, "address", "addresses");
        let text = format!("{number} had two-way traffic. {}", without_baseline("Which of them are new"));
        return Sentence::new("addresses", text::exact(addresses.active), text);
    }
    let least = if addresses.incomplete { "at least " } else { "" };
    let prefixes = match addresses.newly_lit_prefixes.len() {
        0 => "all of them in blocks (/24, /64) that had active addresses before".to_owned(),
        1 => format!("and {} was dark as a whole before", addresses.newly_lit_prefixes[0]),
        some => format!("and {some} whole blocks (/24, /64) were dark before"),
    };
    let lit = match addresses.newly_lit.len() {
        0 => "None of them is newly lit".to_owned(),
        some => format!("{} newly lit, {prefixes}", text::count(some, "of them is", "of them are")),
    };
    let dark = match addresses.dark_now {
        0 => "none went dark".to_owned(),
        some => format!("{} that answered before went dark", text::exact(some)),
    };
    let room = if addresses.incomplete { " The sensor had no room to keep all of them." } else { "" };
    let text = format!(
        "{least}{} had two-way traffic, {least}{} before. {lit}; {dark}.{room}",
        text::count(addresses.active as usize, "address", "addresses"),
        text::exact(addresses.baseline_active),
    );
    let mut letters = text.chars();
    let text = letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect());
    Sentence::new("addresses", format!("{} newly lit", text::exact(addresses.newly_lit.len() as i128)), text)
}

/// Services that answered, the new ones by what they are.
pub(super) fn services(study: &Study) -> Sentence {
    let Some(services) = &study.services else {
        let why = study.insufficient_data.get("services").map_or(NOT_SEEN, String::as_str);
        return Sentence::missing("services", "Which services answered", why);
    };
    let all = text::count(services.len(), "service", "services");
    let new: Vec<&ServiceFact> = services.iter().filter(|service| service.new).collect();
    let figure = format!("{} new", text::exact(new.len() as i128));
    if services.is_empty() {
        return Sentence::new("services", figure, "No service of the network answered anyone outside.");
    }
    if is_without_baseline(study) {
        let text = format!("{all} answered from outside. {}", without_baseline("Which of them are new"));
        return Sentence::new("services", text::exact(services.len() as i128), text);
    }
    if new.is_empty() {
        return Sentence::new(
            "services",
            figure,
            format!("{all} answered from outside; none is new since the baseline."),
        );
    }
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for service in &new {
        *kinds.entry(kind(service.class)).or_default() += 1;
    }
    let mut kinds: Vec<(&str, usize)> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    let kinds: Vec<String> = kinds.iter().map(|(kind, number)| format!("{number} × {kind}")).collect();
    let first = new.iter().min_by_key(|service| &service.first_seen);
    let first = first.map_or_else(String::new, |service| {
        let (at, day) = (text::socket(service.address, service.port), text::day(&service.first_seen));
        format!(" The first of them, {at}/{} ({}), answered on {day}.", service.protocol, kind(service.class))
    });
    let are = if new.len() == 1 { "is" } else { "are" };
    let text = format!(
        "{all} answered from outside; {} {are} new since the baseline: {}.{first}",
        new.len(),
        text::list(&kinds)
    );
    Sentence::new("services", figure, text)
}

/// What a class of services is in words.
fn kind(class: &str) -> &str {
    let Some(known) = Class::named(class) else { return "unknown" };
    match (known, known.family()) {
        (Class::Dns | Class::EncryptedDns, _) => "DNS",
        (Class::Ntp, _) => "time (NTP)",
        (Class::Ftp, _) => "FTP",
        (Class::Ssh, _) => "SSH",
        (Class::Unknown, _) => "of an unknown kind",
        (_, Family::Mail) => "mail",
        (_, Family::Web) => "web",
        (_, Family::Vpn) => "VPN",
        (_, Family::Mining) => "mining",
        (_, Family::P2p) => "peer-to-peer",
        (_, family) => family.name(),
    }
}
