//! The table against a scan of all rows, and how long a million takes.

use std::{fmt::Write as _, time::Instant};

use proptest::prelude::*;

use super::*;
use crate::cidr::Cidr;

/// One row as it is written, with its file.
type Row = (usize, Cidr, Option<&'static str>, Option<u32>, Option<&'static str>, Option<&'static str>);

/// Few addresses at both ends of the roots and below several levels of the table.
fn address() -> impl Strategy<Value = IpAddr> {
    let v4 = (prop::sample::select(vec![0u32, 0x0a00_0000, 0x0a00_ff00, 0xffff_ff00]), 0u32..256);
    let v6 = (prop::sample::select(vec![0u128, 0x2001_0db8 << 96, 0x2001_0db9 << 96]), 0u128..256);
    prop_oneof![
        v4.prop_map(|(high, low)| IpAddr::from(std::net::Ipv4Addr::from_bits(high | low))),
        v6.prop_map(|(high, low)| IpAddr::from(std::net::Ipv6Addr::from_bits(high | low))),
    ]
}

fn cidr() -> impl Strategy<Value = Cidr> {
    (address(), 0u8..=128).prop_map(|(address, len)| {
        let len = if address.is_ipv4() { len % 33 } else { len };
        Cidr::masked(address, len).unwrap()
    })
}

fn row() -> impl Strategy<Value = Row> {
    (
        0usize..3,
        cidr(),
        prop::option::of(prop::sample::select(vec!["DE", "FR"])),
        prop::option::of(1u32..3),
        prop::option::of(prop::sample::select(vec!["One", "Two, Inc."])),
        prop::option::of(prop::sample::select(vec!["isp", "hosting", "a"])),
    )
}

/// What holds for an address, by looking at every row.
fn scan(address: IpAddr, rows: &[Row], lists: &[Vec<Cidr>; 2]) -> Label {
    let mut seen = vec![];
    let mut covering: Vec<&Row> = vec![];
    for row in rows {
        if row.1.contains_address(address) && !seen.contains(&(row.0, row.1)) {
            seen.push((row.0, row.1));
            covering.push(row);
        }
    }
    covering.sort_by_key(|row| (std::cmp::Reverse(row.1.prefix_len()), row.0));
    let asn = covering.iter().find_map(|row| row.3);
    let named = covering.iter().filter(|row| row.4.is_some() && (row.3.is_none() || row.3 == asn));
    let kind = covering.iter().find_map(|row| row.5).filter(|kind| *kind != "isp");
    let mut names: Vec<Arc<str>> = kind.filter(|kind| *kind != "a").into_iter().map(Arc::from).collect();
    for (name, list) in ["a", "b"].into_iter().zip(lists) {
        if kind == Some(name) || list.iter().any(|cidr| cidr.contains_address(address)) {
            names.push(name.into());
        }
    }
    Label {
        country: covering.iter().find_map(|row| row.2).map(|code| code.as_bytes().try_into().unwrap()),
        asn,
        as_name: named.map(|row| row.4).next().flatten().map(Arc::from),
        lists: names,
    }
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or(String::new(), |value| format!("\"{}\"", value.to_string()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn as_a_scan_of_all_rows(
        rows in prop::collection::vec(row(), 1..40),
        lists in [prop::collection::vec(cidr(), 1..4), prop::collection::vec(cidr(), 1..4)],
        probes in prop::collection::vec(address(), 60),
    ) {
        let mut files = [String::from("prefix\n"), String::from("prefix\n"), String::from("prefix\n")];
        for (file, cidr, country, asn, name, kind) in &rows {
            writeln!(files[*file], "{cidr},{},{},{},{}", text(*country), text(*asn), text(*name), text(*kind)).unwrap();
        }
        let list = |list: &[Cidr]| list.iter().map(|cidr| format!("{cidr}\n")).collect::<String>();
        let (a, b) = (list(&lists[0]), list(&lists[1]));
        let used: Vec<usize> = (0..3).filter(|file| rows.iter().any(|row| row.0 == *file)).collect();
        let names = ["0.csv", "1.csv", "2.csv"];
        let contents: Vec<(&str, &[u8])> = used.iter().map(|file| (names[*file], files[*file].as_bytes())).collect();
        let counterparts = Stage::new(&contents, &[("a", &a), ("b", &b)]).read().unwrap();
        let different: std::collections::HashSet<&Label> = counterparts.labels.iter().collect();
        prop_assert_eq!(different.len(), counterparts.labels.len());
        let answers = Answers::new(&counterparts);
        let ends = rows.iter().map(|row| row.1).chain(lists.iter().flatten().copied()).map(Cidr::address);
        for address in ends.chain(probes) {
            let expected = scan(address, &rows, &lists);
            prop_assert_eq!(answers.of(address), &expected, "{}", address);
            prop_assert_eq!(answers.entry(address) == Entry::NONE && expected != Label::default(), false);
        }
    }

    #[test]
    fn any_lines_are_read_or_refused(lines in prop::collection::vec("[0-9a-fA-Z.:,/#\" ]{0,40}|\\PC{0,10}", 0..5)) {
        let _ = Stage::new(&[("a.csv", lines.join("\n").as_bytes())], &[]).read();
    }
}

/// Prints what it costs; run it by name, with optimisation.
#[test]
#[ignore = "a measurement"]
fn a_million_rows() {
    let mut rows = String::new();
    for number in 0..1_000_000u32 {
        // Neighbours differ, and 50,000 labels are used.
        let address = std::net::Ipv4Addr::from_bits(0x0100_0000 + (number << 8));
        writeln!(rows, "{address}/24,DE,{},AS name {},isp", 1 + number % 50_000, number % 50_000).unwrap();
    }
    let stage = Stage::new(&[("a.csv", rows.as_bytes())], &[]);
    let status = || std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = || status().lines().find(|line| line.starts_with("VmHWM")).unwrap().to_owned();
    let (before, start) = (peak(), Instant::now());
    let counterparts = stage.read().unwrap();
    let took = start.elapsed();
    println!(
        "{took:?}, {} labels, {} prefixes, {} bytes of table",
        counterparts.labels.len(),
        counterparts.prefixes,
        counterparts.trie.bytes()
    );
    println!("before {before}, after {}", peak());
    assert_eq!((counterparts.prefixes, counterparts.labels.len()), (1_000_000, 50_001));
}
