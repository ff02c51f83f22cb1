//! What an interval says of watched networks: totals, upstreams, classes, what lives there, and what is new.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    io::{self, Write},
};

use comfy_table::Table;
use sensor_ebpf::{
    abi::Direction,
    class::{Class, Evidence},
};

use super::{MAX_ROWS, Row, plain, traffic};
use crate::{
    summary::{
        ClassHostRecord, Count, CounterpartRecord, Event, EventRecord, HostRecord, NetworkRecord, ServiceRecord,
        Summary, Turn, Unusual,
    },
    upstream::mac_text,
};

pub(super) fn write(summary: &Summary, seconds: f64, to: &mut dyn Write) -> io::Result<()> {
    let networks = &summary.networks;
    if !networks.is_empty() {
        let totals = sums(networks, |_| String::new());
        writeln!(to, "{}", traffic(["network", "direction", ""], rows(totals), seconds))?;
    }
    if networks.iter().any(|row| row.upstream.is_some()) {
        let upstreams = sums(networks, |row| row.upstream.as_deref().unwrap_or("-").to_owned());
        writeln!(to, "{}", traffic(["network", "direction", "upstream"], rows(upstreams), seconds))?;
    }
    if networks.iter().any(|row| row.class != Class::Unknown) {
        let classes = sums(networks, |row| called(row.class, row.evidence));
        writeln!(to, "{}", traffic(["network", "direction", "class"], rows(classes), seconds))?;
    }
    if !summary.counterparts.is_empty() {
        let countries = countries(&summary.counterparts);
        let all = countries.len();
        writeln!(to, "{}", traffic(["network", "direction", "with"], rows(countries).take(MAX_ROWS), seconds))?;
        more(all, to)?;
    }
    summary.hosts.iter().try_for_each(|host| writeln!(to, "{}", line(host)))?;
    if !summary.services.is_empty() {
        writeln!(to, "{}", services(&summary.services))?;
        more(summary.services.len(), to)?;
    }
    if !summary.class_hosts.is_empty() {
        writeln!(to, "{}", class_hosts(&summary.class_hosts))?;
        more(summary.class_hosts.len(), to)?;
    }
    summary.events.iter().take(MAX_ROWS).try_for_each(|event| writeln!(to, "{}", event_line(event)))?;
    more(summary.events.len(), to)
}

fn more(rows: usize, to: &mut dyn Write) -> io::Result<()> {
    match rows.checked_sub(MAX_ROWS) {
        None | Some(0) => Ok(()),
        Some(rows) => writeln!(to, "and {rows} more: --format jsonl has all"),
    }
}

type Sums = BTreeMap<(String, Direction, String), [i128; 3]>;

/// Records added up by network, direction and what `of` says; what moved to another class is taken off.
fn sums(records: &[NetworkRecord], of: impl Fn(&NetworkRecord) -> String) -> Sums {
    let mut sums = Sums::new();
    for record in records {
        let key = (record.network.to_string(), record.direction, of(record));
        let (count, moved) = (&record.count, &record.moved);
        let cells = [
            (count.packets, moved.moved_packets),
            (count.bytes, moved.moved_bytes),
            (count.frame_bytes, moved.moved_frame_bytes),
        ];
        let sum = sums.entry(key).or_default();
        sum.iter_mut().zip(cells).for_each(|(sum, (more, less))| *sum += i128::from(more) - i128::from(less));
    }
    sums
}

/// Counterparts added up by country; systems and lists are in the JSON lines.
fn countries(records: &[CounterpartRecord]) -> Sums {
    let mut sums = Sums::new();
    for CounterpartRecord { network, direction, country, counterpart, count, .. } in records {
        let country = country.map(|letters| letters.map(char::from).iter().collect::<String>());
        let with = country.unwrap_or_else(|| counterpart.unwrap_or("no country").to_owned());
        let sum = sums.entry((network.to_string(), *direction, with)).or_default();
        let more = [count.packets, count.bytes, count.frame_bytes];
        sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += i128::from(more));
    }
    sums
}

/// Rows for people, of each network and direction that with the most bytes first. What an interval takes off earlier ones is in the JSON lines alone.
fn rows(sums: Sums) -> impl Iterator<Item = Row> {
    let mut sums: Vec<_> = sums.into_iter().filter(|(_, sum)| sum.iter().any(|cell| *cell > 0)).collect();
    sums.sort_by(|((network, direction, _), one), ((other, way, _), another)| {
        (network, direction, Reverse(one[1])).cmp(&(other, way, Reverse(another[1])))
    });
    sums.into_iter().map(|((network, direction, what), cells)| {
        let [packets, bytes, frame_bytes] = cells.map(|cell| u64::try_from(cell).unwrap_or_default());
        (network, direction, what, Count { packets, bytes, frame_bytes })
    })
}

/// A class, and where it is less than sure on what ground.
fn called(class: Class, evidence: Option<Evidence>) -> String {
    match evidence {
        None | Some(Evidence::Confirmed) => class.name().to_owned(),
        Some(evidence) => format!("{} ({})", class.name(), evidence.name()),
    }
}

fn line(host: &HostRecord) -> String {
    let mut line = format!("{}: {} addresses active", host.network, host.active_addresses);
    if !host.active_prefixes.is_empty() {
        line += &format!(", {} /64", host.active_prefixes.len());
    }
    let (lit, prefixes) = (host.newly_lit.len(), host.newly_lit_prefixes.len());
    if lit > 0 || prefixes > 0 {
        line += &format!("; newly lit: {lit} addresses, {prefixes} prefixes");
        line += if host.initial { " (still learning)" } else { "" };
    }
    line += &format!("; {} flows, {:.0} % of them heard one way alone", host.flows, 100.0 * host.one_way_share());
    if host.incomplete {
        line += "; NOT ALL: [sensor] max_activity_addresses is too small";
    }
    line
}

fn services(services: &[ServiceRecord]) -> Table {
    let mut shown: Vec<&ServiceRecord> = services.iter().collect();
    shown.sort_by_key(|service| Reverse((service.new, service.answers)));
    let rows = shown.into_iter().take(MAX_ROWS).map(|service| {
        [
            service.network.to_string(),
            service.address.to_string(),
            format!("{}/{}", service.port, protocol(service.protocol)),
            called(service.class, service.evidence),
            if service.new { "new" } else { "" }.to_owned(),
            service.answers.to_string(),
            service.clients.to_string(),
        ]
    });
    plain(["network", "service at", "port", "class", "", "answers", "clients"], 5, rows)
}

fn class_hosts(hosts: &[ClassHostRecord]) -> Table {
    let mut shown: Vec<&ClassHostRecord> = hosts.iter().collect();
    shown.sort_by_key(|host| (Reverse(host.evidence), Reverse(host.flows)));
    let rows = shown.into_iter().take(MAX_ROWS).map(|host| {
        [
            host.network.to_string(),
            host.address.to_string(),
            called(host.class, Some(host.evidence)),
            host.family.name().to_owned(),
            host.flows.to_string(),
        ]
    });
    plain(["network", "address", "speaks", "family", "flows"], 4, rows)
}

fn protocol(number: u8) -> String {
    match number {
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        132 => "sctp".to_owned(),
        number => number.to_string(),
    }
}

fn event_line(record: &EventRecord) -> String {
    let what = match &record.event {
        Event::NewlyLit { address } => format!("{address} is active for the first time"),
        Event::NewlyLitPrefix { prefix } => format!("{prefix} has an active address for the first time"),
        Event::ServiceBorn { address, port, protocol: number, class, evidence } => {
            format!(
                "{address} answers at {port}/{} for the first time: {}",
                protocol(*number),
                called(*class, *evidence)
            )
        }
        Event::ClassSeen { class, evidence, address } => {
            format!("{address} speaks {}, which the network never did", called(*class, Some(*evidence)))
        }
        Event::UpstreamNew { upstream, mac, vlan } => {
            let vlan = vlan.map(|vlan| format!(" in VLAN {vlan}")).unwrap_or_default();
            format!("traffic with {}{vlan}, which no [[upstream]] names; it is called {upstream}", mac_text(*mac))
        }
        Event::UpstreamMacChanged { address, before, now } => {
            format!("{} answers for {address}, which was {}", mac_text(*now), mac_text(*before))
        }
        Event::Loss { what, count } => format!("LOST: {count} {what}"),
        Event::Surge(unusual) => unusually("far more", unusual),
        Event::Collapse(unusual) => unusually("far less", unusual),
        Event::UpstreamShift { state: Turn::Began, from, to, share, .. } => {
            format!("{:.0} % of its traffic shifted to {to}, most of it from {from}", 100.0 * share.value())
        }
        Event::UpstreamShift { state: Turn::Over, from, to, .. } => {
            format!("its traffic is shared among upstreams as usual again, after a shift from {from} to {to}")
        }
        Event::SensorBlind { state: Turn::Began, since, .. } => format!("BLIND since {since}: nothing is counted"),
        Event::SensorBlind { state: Turn::Over, since, seconds } => {
            format!("BLIND since {since} for {seconds} s, which is over")
        }
    };
    let network = record.network.as_deref().map(|network| format!(" {network}:")).unwrap_or_default();
    format!("{}{network} {what}", record.at)
}

fn unusually(how: &str, unusual: &Unusual) -> String {
    let Unusual { direction, state, bytes_per_second, usual_bytes_per_second: usual, .. } = unusual;
    let is_over = if *state == Turn::Over { ", which is over" } else { "" };
    let direction = direction.name();
    format!("{how} traffic {direction} than usual{is_over}: {bytes_per_second} B/s, usual at this hour are {usual} B/s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::Moved;

    fn record(direction: Direction, upstream: Option<&str>, class: Class, bytes: u64, moved: u64) -> NetworkRecord {
        NetworkRecord {
            network: "a".into(),
            direction,
            upstream: upstream.map(Into::into),
            upstream_asn: None,
            class,
            family: class.family().name(),
            evidence: (class != Class::Unknown).then_some(Evidence::Payload),
            count: Count { packets: 1, bytes, frame_bytes: bytes },
            moved: Moved { moved_packets: 0, moved_bytes: moved, moved_frame_bytes: moved },
        }
    }

    #[test]
    fn what_moved_is_taken_off_and_the_most_comes_first() {
        let records = [
            record(Direction::In, Some("one"), Class::Unknown, 10, 0),
            record(Direction::In, Some("two"), Class::Unknown, 0, 5),
            record(Direction::In, Some("two"), Class::Tls, 25, 0),
            record(Direction::Out, None, Class::Tls, 7, 0),
        ];
        let found = |sums: Sums| -> Vec<_> {
            rows(sums).map(|(_, direction, what, count)| (direction, what, count.bytes)).collect()
        };
        let none = String::new();
        assert_eq!(
            found(sums(&records, |_| String::new())),
            [(Direction::In, none.clone(), 30), (Direction::Out, none, 7)]
        );
        let classes = found(sums(&records, |row| called(row.class, row.evidence)));
        let named = |direction, class: &str, bytes| (direction, class.to_owned(), bytes);
        assert_eq!(
            classes,
            [
                named(Direction::In, "tls (payload)", 25),
                named(Direction::In, "unknown", 5),
                named(Direction::Out, "tls (payload)", 7)
            ]
        );
    }
}
