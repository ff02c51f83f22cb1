//! How much, by way of whom, when, as what, and with whom.

use std::collections::BTreeSet;

use super::{Cell, SHARES, Section, Table, blank, growth, number, rate, seconds, share, shares, shares_now, unknown};
use crate::{
    report::{text, words},
    study::{Counterpart, Share, Study, Suspicious},
};

pub(super) fn volume(study: &Study) -> Section {
    let volume = &study.volume;
    let (now, before) = (&study.coverage, &study.baseline_coverage);
    let interval = volume.growth_rate_interval.map_or_else(unknown, |interval| {
        format!("{} to {}", text::growth(interval.low), text::growth(interval.high)).into()
    });
    let of_plain = |now: i64, before: i64| growth((before > 0).then(|| (now as f64 / before as f64 - 1.0) * 100.0));
    let per_second = |bytes: i64, seconds: f64| {
        let rate = (seconds > 0.0).then(|| bytes as f64 / seconds);
        rate.map_or_else(unknown, |rate| Cell {
            text: if rate < 1000.0 { format!("{rate:.3}") } else { text::exact(rate.round() as i128) },
            value: Some(rate),
        })
    };
    let rows = vec![
        vec![
            "Bytes".into(),
            number(volume.bytes),
            number(volume.baseline_bytes),
            of_plain(volume.bytes, volume.baseline_bytes),
        ],
        vec![
            "Packets".into(),
            number(volume.packets),
            number(volume.baseline_packets),
            of_plain(volume.packets, volume.baseline_packets),
        ],
        vec!["Measured time".into(), seconds(now.measured_seconds), seconds(before.measured_seconds), blank()],
        vec![
            "Bytes per measured second".into(),
            per_second(volume.bytes, now.measured_seconds),
            per_second(volume.baseline_bytes, before.measured_seconds),
            growth(volume.growth_rate_percent),
        ],
        vec!["95 % confidence interval of that growth".into(), blank(), blank(), interval],
        vec!["Bytes to the network".into(), number(volume.in_bytes), blank(), blank()],
        vec!["Bytes from the network".into(), number(volume.out_bytes), blank(), blank()],
        vec!["Peak over five minutes".into(), rate(volume.peak_bits_per_second), blank(), blank()],
        vec!["95th percentile of five minutes".into(), rate(volume.percentile_95_bits_per_second), blank(), blank()],
    ];
    let notes = missing(study, &[("volume.peak", "Peak and percentile")]);
    Section {
        id: "volume",
        title: "Traffic volume",
        notes,
        tables: vec![Table {
            id: "volume",
            caption: "Volume in both directions".to_owned(),
            head: vec!["Figure", "Period", "Baseline", "Growth"],
            rows,
            brief: true,
        }],
    }
}

pub(super) fn upstreams(study: &Study) -> Section {
    let row = |upstream: &crate::study::Upstream| {
        let asn = upstream.asn.map_or_else(blank, |asn| Cell { text: format!("AS{asn}"), value: Some(asn.into()) });
        let of = Share {
            bytes: upstream.bytes,
            share: upstream.share,
            baseline_bytes: upstream.baseline_bytes.unwrap_or_default(),
            baseline_share: upstream.baseline_share.unwrap_or_default(),
        };
        let cells = shares_now(&of, upstream.baseline_bytes.is_some());
        [vec![text::whole_name(&upstream.name).into(), asn], cells].concat()
    };
    let shift = |shift: &crate::study::Shift| {
        let name = |name: &str| text::whole_name(name).into();
        vec![shift.date.clone().into(), name(&shift.from), name(&shift.to), share(shift.share)]
    };
    let mut tables = vec![Table {
        id: "upstreams",
        caption: "Traffic by upstream".to_owned(),
        head: [vec!["Upstream", "AS"], SHARES.to_vec()].concat(),
        rows: study.upstreams.iter().map(row).collect(),
        brief: true,
    }];
    if !study.upstream_shifts.is_empty() {
        tables.push(Table {
            id: "shifts",
            caption: "Days from which on traffic took another way".to_owned(),
            head: vec!["First day", "From", "To", "Share of all bytes"],
            rows: study.upstream_shifts.iter().map(shift).collect(),
            brief: true,
        });
    }
    let figures = [("upstreams", "Upstreams of the period"), ("baseline_upstreams", "Upstreams of the baseline")];
    Section { id: "upstreams", title: "Upstreams", notes: missing(study, &figures), tables }
}

/// That figures cannot be said, and why.
fn missing(study: &Study, figures: &[(&'static str, &str)]) -> Vec<String> {
    let note = |(figure, what): &(&'static str, &str)| {
        let why = study.insufficient_data.get(figure)?;
        Some(format!("{what} cannot be said ({}: {why}).", words::INSUFFICIENT))
    };
    figures.iter().filter_map(note).collect()
}

pub(super) fn week(study: &Study) -> Section {
    let profile = &study.profile;
    let kinds = [
        ("Monday to Friday, 08:00 to 18:00", profile.office_hours_share, profile.baseline_office_hours_share),
        ("Saturday and Sunday", profile.weekend_share, profile.baseline_weekend_share),
    ];
    let row = |(what, now, before): (&str, Option<f64>, Option<f64>)| vec![what.into(), share(now), share(before)];
    let hours = |id, period: &str, hours: &[i64]| {
        let cell = |day: usize, hour: usize| number(hours.get(day * 24 + hour).copied().unwrap_or_default());
        let row = |hour: usize| {
            let name = Cell { text: format!("{hour:02}:00"), value: Some(hour as f64) };
            std::iter::once(name).chain((0..7).map(|day| cell(day, hour))).collect()
        };
        Table {
            id,
            caption: format!("Bytes by hour of the week, {period}, {}", text::name(&profile.timezone)),
            head: vec!["Hour", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
            rows: (0..24).map(row).collect(),
            brief: false,
        }
    };
    let periods = [("hours", "period", &profile.hours), ("baseline-hours", "baseline", &profile.baseline_hours)];
    let known = periods.into_iter().filter(|(_, _, of_it)| !of_it.is_empty());
    let hours = known.map(|(id, period, of_it)| hours(id, period, of_it));
    let missing = ["profile", "baseline_profile"].into_iter().filter_map(|figure| study.insufficient_data.get(figure));
    Section {
        id: "week",
        title: "The week",
        notes: missing
            .map(|why| format!("Its hours cannot be told in full ({}: {why}).", words::INSUFFICIENT))
            .collect(),
        tables: [Table {
            id: "week",
            caption: "Shares of hours".to_owned(),
            head: vec!["Hours", "Share", "Share before"],
            rows: kinds.into_iter().map(row).collect(),
            brief: true,
        }]
        .into_iter()
        .chain(hours)
        .collect(),
    }
}

pub(super) fn hidden(study: &Study) -> Section {
    let row = |class: &crate::study::ClassShare| {
        let of = Share {
            bytes: class.bytes,
            share: class.share,
            baseline_bytes: class.baseline_bytes,
            baseline_share: class.baseline_share,
        };
        let hides = if study.hidden_classes.contains(&class.class) { "yes" } else { "no" };
        let evidence = |(sure, bytes): (&&str, &i64)| format!("{sure} {}", text::bytes(*bytes));
        let evidence: Vec<String> = class.evidence.iter().map(evidence).collect();
        let names = vec![class.class.into(), class.family.into(), hides.into()];
        [names, shares(&of), vec![evidence.join(", ").into()]].concat()
    };
    Section {
        id: "hidden",
        title: "Hidden traffic and other classes",
        notes: missing(
            study,
            &[("hidden_share", "The hidden share"), ("baseline_hidden_share", "The hidden share before")],
        ),
        tables: vec![Table {
            id: "hidden",
            caption: "Traffic by class".to_owned(),
            head: [vec!["Class", "Family", "Hidden"], SHARES.to_vec(), vec!["Evidence in the period"]].concat(),
            rows: study.classes.iter().map(row).collect(),
            brief: true,
        }],
    }
}

pub(super) fn suspicious(id: &'static str, title: &'static str, found: Option<&Suspicious>) -> Section {
    let Some(found) = found else {
        return Section {
            id,
            title,
            notes: vec![format!("{title} traffic: {}.", words::INSUFFICIENT)],
            tables: vec![],
        };
    };
    let addresses: Vec<String> = found.addresses.iter().map(ToString::to_string).collect();
    let known = |text: Option<String>| text.map_or_else(blank, Cell::from);
    let step = found.step.as_ref().map(|step| {
        let ratio = step.ratio.map_or_else(|| "from nothing".to_owned(), text::times);
        format!("{} ({ratio})", step.date)
    });
    let rows = vec![
        vec!["Bytes".into(), number(found.bytes)],
        vec!["Bytes before".into(), found.baseline_bytes.map_or_else(unknown, number)],
        vec!["Growth".into(), if found.baseline_bytes == Some(0) { blank() } else { growth(found.growth_percent) }],
        vec!["Step within the period".into(), known(step)],
        vec!["First seen".into(), known(found.first_seen.as_deref().map(text::moment))],
        vec!["Number of addresses".into(), number(addresses.len() as i128)],
        vec!["Addresses".into(), known((!addresses.is_empty()).then(|| addresses.join(", ")))],
    ];
    let caption = format!("{title} traffic");
    Section {
        id,
        title,
        notes: vec![],
        tables: vec![Table { id, caption, head: vec!["Figure", "Value"], rows, brief: true }],
    }
}

pub(super) fn counterparts(id: &'static str, title: &'static str, what: &'static str, rows: &[Counterpart]) -> Section {
    let named = rows.iter().any(|row| row.as_name.is_some());
    let row = |row: &Counterpart| {
        let of = Share {
            bytes: row.bytes,
            share: row.share,
            baseline_bytes: row.baseline_bytes,
            baseline_share: row.baseline_share,
        };
        let called = row.as_name.as_deref().map_or_else(blank, |name| text::whole_name(name).into());
        let names = [Some(text::whole_name(&row.name).into()), named.then_some(called)];
        [names.into_iter().flatten().collect(), shares(&of)].concat()
    };
    Section {
        id,
        title,
        notes: vec![],
        tables: vec![Table {
            id,
            caption: format!("Traffic by {} of the far end", what.to_lowercase()),
            head: [vec![what], if named { vec!["Name"] } else { vec![] }, SHARES.to_vec()].concat(),
            rows: rows.iter().map(row).collect(),
            brief: true,
        }],
    }
}

pub(super) fn days(study: &Study) -> Section {
    let volume = &study.volume.by_day;
    let lit = study.addresses.as_ref().map(|addresses| &addresses.by_day);
    let dates: BTreeSet<&String> = volume
        .keys()
        .chain(study.hidden_by_day.keys())
        .chain(study.mining.iter().flat_map(|found| found.by_day.keys()))
        .chain(study.p2p.iter().flat_map(|found| found.by_day.keys()))
        .chain(lit.into_iter().flat_map(|days| days.keys()))
        .collect();
    let bytes = |days: &std::collections::BTreeMap<String, i64>, date: &String| {
        days.get(date).map_or_else(blank, |bytes| number(*bytes))
    };
    let of = |found: &Option<Suspicious>, date: &String| {
        found.as_ref().map_or_else(blank, |found| bytes(&found.by_day, date))
    };
    let row = |date: &String| {
        vec![
            date.clone().into(),
            bytes(volume, date),
            lit.and_then(|days| days.get(date)).map_or_else(blank, |active| number(*active)),
            study.hidden_by_day.get(date).map_or_else(blank, |hidden| share(*hidden)),
            of(&study.mining, date),
            of(&study.p2p, date),
        ]
    };
    Section {
        id: "days",
        title: "Day by day",
        notes: vec!["A day that is not in the table has no record: it was not measured, or had no traffic.".to_owned()],
        tables: vec![Table {
            id: "days",
            caption: "Days of both periods".to_owned(),
            head: vec!["Day", "Bytes", "Active addresses", "Hidden share", "Mining bytes", "Peer-to-peer bytes"],
            rows: dates.into_iter().map(row).collect(),
            brief: false,
        }],
    }
}
