//! Every series of the page: its name, what it means, and where its number is. `docs/metrics.md` lists them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    health::{Health, Table},
    text::{Format, Kind, Page},
    totals::{NetworkTotal, OTHER, Side, SideKey, Total, Totals},
};
use crate::export::{Failure, Progress, Status};

/// What is on the page beside sums.
pub(super) struct Facts<'a> {
    /// SHA-256 of the programs.
    pub(super) object: &'a str,
    pub(super) since: Timestamp,
    pub(super) health: &'a Health,
    pub(super) spool_bytes: Option<u64>,
    pub(super) exporters: Vec<(&'a Status, Progress)>,
}

/// The whole page.
pub(super) fn page(format: Format, totals: &Totals, facts: &Facts<'_>) -> String {
    let mut page = Page::new(format);
    networks(&mut page, totals);
    prefixes(&mut page, totals);
    sides(&mut page, totals);
    events(&mut page, totals);
    health(&mut page, totals, facts);
    exporters(&mut page, &facts.exporters);
    process(&mut page, facts);
    page.finish()
}

fn networks(page: &mut Page, totals: &Totals) {
    /// Name, meaning, and where the number is.
    type Series = (&'static str, &'static str, fn(&NetworkTotal) -> u64);
    let all: [Series; 5] = [
        ("edge_network_bytes", "L3 bytes of a watched network; less edge_network_moved_bytes_total: net", |it| {
            it.bytes
        }),
        ("edge_network_packets", "Packets of a watched network; less edge_network_moved_packets_total: net", |it| {
            it.packets
        }),
        ("edge_network_frame_bytes", "Frame bytes of a watched network", |it| it.frame_bytes),
        (
            "edge_network_moved_bytes",
            "L3 bytes counted in edge_network_bytes_total before that turned out to be of another class",
            |it| it.moved_bytes,
        ),
        (
            "edge_network_moved_packets",
            "Packets counted in edge_network_packets_total before that turned out to be of another class",
            |it| it.moved_packets,
        ),
    ];
    for (name, help, number) in all {
        let mut family = page.family(Kind::Counter, name, help);
        for (labels, total) in totals.networks.iter() {
            let [network, direction, upstream, class, kind, evidence] = match labels {
                Some(it) => [&*it.network, it.direction, &*it.upstream, it.class, it.family, it.evidence],
                None => [OTHER; 6],
            };
            let labels = [
                ("network", network),
                ("direction", direction),
                ("upstream", upstream),
                ("class", class),
                ("family", kind),
                ("evidence", evidence),
            ];
            family.sample(&labels, number(total));
        }
    }
}

/// What packets and bytes are taken from.
const TOTAL: [fn(&Total) -> u64; 2] = [|total| total.packets, |total| total.bytes];

fn prefixes(page: &mut Page, totals: &Totals) {
    let names = [
        ("edge_prefix_packets", "Packets of a prefix, its more-specifics in the table excluded"),
        ("edge_prefix_bytes", "L3 bytes of a prefix, its more-specifics in the table excluded"),
    ];
    for ((name, help), number) in names.into_iter().zip(TOTAL) {
        let mut family = page.family(Kind::Counter, name, help);
        for (key, total) in totals.prefixes.iter().flat_map(|prefixes| prefixes.iter()) {
            let (prefix, direction) = match key {
                Some((prefix, direction)) => (prefix.to_string(), *direction),
                None => (OTHER.to_owned(), OTHER),
            };
            family.sample(&[("prefix", &prefix), ("direction", direction)], number(total));
        }
    }
    let names = [
        ("edge_unattributed_packets", "Packets of prefixes whose names are lost"),
        ("edge_unattributed_bytes", "L3 bytes of prefixes whose names are lost"),
    ];
    for ((name, help), number) in names.into_iter().zip(TOTAL) {
        let mut family = page.family(Kind::Counter, name, help);
        for (direction, total) in &totals.unattributed {
            family.sample(&[("direction", direction)], number(total));
        }
    }
}

fn sides(page: &mut Page, totals: &Totals) {
    /// Name, meaning, and where the number is, if there is one.
    type Series = (&'static str, &'static str, fn(&Side) -> Option<u64>);
    /// Name, meaning, and where the numbers are, by reason.
    type Reasons = (&'static str, &'static str, fn(&Side) -> &BTreeMap<&'static str, u64>);
    let all: [Series; 10] = [
        ("edge_seen_packets", "Frames that passed; matched, other, seen before and unparsed add up to it", |it| {
            Some(it.seen.packets)
        }),
        ("edge_seen_frame_bytes", "Their frame bytes", |it| Some(it.seen.bytes)),
        ("edge_matched_packets", "Packets with an address in the table", |it| Some(it.matched.packets)),
        ("edge_matched_bytes", "Their L3 bytes", |it| Some(it.matched.bytes)),
        ("edge_other_packets", "IP packets with no address in the table", |it| Some(it.other.packets)),
        ("edge_other_bytes", "Their L3 bytes", |it| Some(it.other.bytes)),
        ("edge_seen_before_packets", "Packets that were billed at another interface before", |it| {
            Some(it.seen_before.packets)
        }),
        ("edge_seen_before_bytes", "Their L3 bytes", |it| Some(it.seen_before.bytes)),
        ("edge_nic_packets", "Packets by the counters of the interface itself", |it| it.nic.map(|nic| nic.packets)),
        ("edge_nic_bytes", "Bytes by the counters of the interface itself", |it| it.nic.map(|nic| nic.bytes)),
    ];
    for (name, help, number) in all {
        let mut family = page.family(Kind::Counter, name, help);
        for (key, side) in &totals.sides {
            if let Some(number) = number(side) {
                family.sample(&side_labels(key), number);
            }
        }
    }
    let all: [Reasons; 4] = [
        ("edge_unparsed_packets", "Frames without a countable IP header", |it| &it.unparsed),
        ("edge_degraded_packets", "Packets counted with a reservation", |it| &it.degraded),
        ("edge_shed_packets", "Watched packets counted and not looked into, told of or kept apart", |it| &it.shed),
        ("edge_nic_lost_packets", "Packets that the interface gave up before the sensor could see them", |it| &it.lost),
    ];
    for (name, help, reasons) in all {
        let mut family = page.family(Kind::Counter, name, help);
        for (key, side) in &totals.sides {
            let [interface, direction] = side_labels(key);
            for (reason, packets) in reasons(side) {
                family.sample(&[interface, direction, ("reason", reason)], packets);
            }
        }
    }
    let help = "For how long no program was attached: nothing seen then means nothing known";
    let mut family = page.family(Kind::Counter, "edge_interface_blind_seconds", help);
    for (key, side) in &totals.sides {
        family.sample(&side_labels(key), millis(i128::from(side.blind_ms)));
    }
    let help = "Whether a program was attached at the end of the last interval";
    let mut family = page.family(Kind::Gauge, "edge_interface_attached", help);
    for (key, is_attached) in &totals.attached {
        family.sample(&side_labels(key), u8::from(*is_attached));
    }
}

fn side_labels((interface, direction): &SideKey) -> [(&'static str, &str); 2] {
    [("interface", interface), ("direction", direction)]
}

fn events(page: &mut Page, totals: &Totals) {
    let mut family = page.family(Kind::Counter, "edge_events", "Events that records told of");
    for (event, count) in &totals.events {
        family.sample(&[("event", event)], count);
    }
    let help = "What was not remembered, told or delivered, by the events loss";
    let mut family = page.family(Kind::Counter, "edge_loss", help);
    for (what, count) in totals.losses.iter() {
        family.sample(&[("what", what.map_or(OTHER, |what| what))], count);
    }
    let help = "Records for which there was no room: they are in the series labelled other";
    let mut family = page.family(Kind::Counter, "edge_metrics_overflow", help);
    family.sample(&[("series", "networks")], totals.networks.overflow);
    if let Some(prefixes) = &totals.prefixes {
        family.sample(&[("series", "prefixes")], prefixes.overflow);
    }
    family.sample(&[("series", "losses")], totals.losses.overflow);
}

fn health(page: &mut Page, totals: &Totals, facts: &Facts<'_>) {
    let help = "Intervals whose records were written out";
    page.family(Kind::Counter, "edge_intervals", help).sample(&[], totals.intervals);
    if let Some(last) = &facts.health.last {
        let help = "How late after its end the last interval was committed";
        let lag = i128::try_from(last.lag.as_millis()).unwrap_or(i128::MAX);
        page.family(Kind::Gauge, "edge_tick_lag_seconds", help).sample(&[], millis(lag));
        let help = "End of the last interval that was committed";
        page.family(Kind::Gauge, "edge_last_interval_end_timestamp_seconds", help).sample(&[], moment(last.end));
    }
    if let Some(Table { prefixes, networks, generation }) = facts.health.table {
        page.family(Kind::Gauge, "edge_table_prefixes", "Prefixes in the table in force").sample(&[], prefixes);
        page.family(Kind::Gauge, "edge_table_networks", "Watched networks").sample(&[], networks);
        let help = "How many tables the maps have had";
        page.family(Kind::Gauge, "edge_table_generation", help).sample(&[], generation);
    }
}

fn exporters(page: &mut Page, exporters: &[(&Status, Progress)]) {
    /// Kind, name, meaning, and what is said of an exporter, if anything.
    type Series = (Kind, &'static str, &'static str, fn(&Progress) -> Option<String>);
    let all: [Series; 6] = [
        (Kind::Gauge, "edge_export_up", "Whether the last attempt to deliver succeeded, or none was made", |it| {
            Some(u8::from(!it.is_down).to_string())
        }),
        (Kind::Gauge, "edge_export_waiting_pieces", "Pieces of the spool that wait for the exporter", |it| {
            Some(it.waiting.to_string())
        }),
        (Kind::Counter, "edge_export_records", "Records that were delivered", |it| Some(it.records.to_string())),
        (
            Kind::Counter,
            "edge_export_lost_records",
            "Records that could not be delivered any more, ever: kept over restarts",
            |it| Some(it.lost.to_string()),
        ),
        (
            Kind::Gauge,
            "edge_export_last_ack_timestamp_seconds",
            "When the collector last answered for something",
            |it| it.acknowledged.map(moment),
        ),
        (
            Kind::Gauge,
            "edge_cert_expiry_timestamp_seconds",
            "When the first of the certificates of the exporter expires",
            |it| it.expires.map(moment),
        ),
    ];
    for (kind, name, help, number) in all {
        let mut family = page.family(kind, name, help);
        for (status, progress) in exporters {
            if let Some(number) = number(progress) {
                family.sample(&exporter_labels(status), number);
            }
        }
    }
    let mut family = page.family(Kind::Counter, "edge_export_failures", "Attempts to deliver that failed");
    for (status, progress) in exporters {
        let [exporter, kind] = exporter_labels(status);
        for failure in Failure::ALL {
            let count = progress.failures.get(&failure).copied().unwrap_or_default();
            family.sample(&[exporter, kind, ("reason", failure.name())], count);
        }
    }
}

fn exporter_labels(status: &Status) -> [(&'static str, &str); 2] {
    [("exporter", &status.name), ("type", status.kind)]
}

fn process(page: &mut Page, facts: &Facts<'_>) {
    if let Some(bytes) = facts.spool_bytes {
        page.family(Kind::Gauge, "edge_spool_bytes", "Size of the spool on disk").sample(&[], bytes);
    }
    let help = "Version of the sensor, and SHA-256 of its programs";
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("object", facts.object)];
    page.family(Kind::Info, "edge_build", help).sample(&labels, 1);
    let help = "When this process began, and with it all counters";
    page.family(Kind::Gauge, "process_start_time_seconds", help).sample(&[], moment(facts.since));
}

/// Milliseconds as seconds.
fn millis(millis: i128) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// Seconds since the Unix epoch; nothing on a page is of before.
fn moment(moment: Timestamp) -> String {
    millis(i128::from(moment.as_millisecond().max(0)))
}
