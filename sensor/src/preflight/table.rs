//! What the prefixes of a configuration are, and the memory that counting them takes.

use super::findings::{Finding, Severity};
use crate::{
    bpf::{Layout, TooLarge},
    cidr::Cidr,
    config::Memory,
    counterpart::Counterparts,
    prefix::{PrefixSet, Trie},
};

/// Bytes of a mebibyte.
const MIB: u64 = 1 << 20;
/// What the agent takes before it knows a prefix.
const AGENT_BYTES: u64 = 24 * MIB;
/// What it takes for each: its meaning in this configuration and, during a reload, the next; what was reported of both directions.
const AGENT_BYTES_PER_PREFIX: u64 = 2 * 28 + 2 * 24;

/// Prefixes that the registries of RFC 6890 keep for special purposes, as of 2025, less those that are globally reachable.
const SPECIAL_PURPOSE: [&str; 25] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "::ffff:0:0/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
];

/// The prefixes by family, and those that no packet of the Internet should bear.
pub(super) fn prefixes(set: &PrefixSet) -> Vec<Finding> {
    let v4 = set.live_v4();
    let all = set.len() as usize;
    let watched = set.watched();
    let counts = format!("{all} prefixes, {v4} IPv4 and {} IPv6, {watched} of them watched networks' own", all - v4);
    let mut findings = vec![(Severity::Good, counts)];
    let special: Vec<Cidr> = SPECIAL_PURPOSE.iter().filter_map(|text| text.parse().ok()).collect();
    let is_special = |cidr: &Cidr| special.iter().any(|special| special.contains(*cidr));
    let mut found = set.live().map(|(_, meaning)| meaning.cidr).filter(is_special);
    if let Some(first) = found.next() {
        let count = 1 + found.count();
        let what = "prefixes are of special purpose (RFC 6890) and counted as any other";
        findings.push((Severity::Good, format!("{count} {what}, the first is {first}")));
    }
    findings
}

/// What is known of far ends.
pub(super) fn counterparts(counterparts: &Counterparts) -> Finding {
    let Counterparts { labels, folded, prefixes, .. } = counterparts;
    let known = format!("far ends are told apart by {prefixes} prefixes in {} ways", labels.len() - 1);
    match folded {
        0 => (Severity::Good, known),
        _ => (Severity::Warning, format!("{known}; {folded} more are told as `other`: leave out files, or lists")),
    }
}

/// What the maps take and have room for, and what the agent takes.
pub(super) fn memory(
    set: &PrefixSet,
    trie: &Trie,
    layout: &Result<Layout, TooLarge>,
    cpus: u32,
    bound: Memory,
) -> Vec<Finding> {
    let layout = match layout {
        Ok(layout) => layout,
        Err(error) => return vec![(Severity::Missing, error.to_string())],
    };
    let ids = layout.prefix_capacity() - 1;
    let room = format!("room for {ids} prefixes, {} of them for reloads", ids - set.highest_id());
    let maps = format!("{}, at most {bound} is allowed", layout.footprint());
    let agent = AGENT_BYTES + u64::from(ids) * AGENT_BYTES_PER_PREFIX + trie.bytes() as u64;
    let agent = format!("some {} MiB of memory for the agent", agent.div_ceil(MIB));
    let mut findings = vec![(Severity::Good, room), (Severity::Good, maps), (Severity::Good, agent)];
    let slices = layout.slices();
    if slices < cpus {
        let why = "CPUs that share one wait for each other now and then, and flows are told by their first bytes alone";
        let text = format!("slices of counters: {slices} for {cpus} CPUs: {why}; raise memory in [sensor]");
        findings.push((Severity::Warning, text));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bpf::{InterfaceKind, Plan, Room, Wanted},
        config::DEFAULT_MEMORY,
        prefix::SetBuilder,
    };

    fn set(cidrs: &[&str]) -> PrefixSet {
        let mut builder = SetBuilder::default();
        builder.account_all(cidrs.iter().map(|cidr| cidr.parse().unwrap()));
        builder.build().unwrap()
    }

    #[test]
    fn special_purpose_prefixes_are_counted_and_told() {
        let texts = |cidrs: &[&str]| prefixes(&set(cidrs)).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts(&["8.8.8.0/24", "::/0"]), ["2 prefixes, 1 IPv4 and 1 IPv6, 0 of them watched networks' own"]);
        let found = texts(&["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "9.0.0.0/8", "::ffff:192.0.2.0/120"]);
        let expected = "3 prefixes are of special purpose (RFC 6890) and counted as any other, the first is 10.0.0.0/8";
        assert_eq!(found[1], expected);
        for text in SPECIAL_PURPOSE {
            assert_eq!(prefixes(&set(&[text])).len(), 2, "{text}");
        }
    }

    #[test]
    fn memory_is_told_beforehand() {
        let set = set(&["192.0.2.0/24", "2001:db8::/32"]);
        let trie = set.trie().unwrap();
        let findings = |cpus: u32, bytes: u64| {
            let plan = Plan {
                set: &set,
                trie: &trie,
                interfaces: &[InterfaceKind::default()],
                flows: 1 << 12,
                labels: None,
                memory: DEFAULT_MEMORY,
            };
            let layout = Layout::new(&Wanted { memory: bytes, ..plan.wanted(cpus, Room::ForReloads) });
            memory(&set, &trie, &layout, cpus, "16MiB".parse().unwrap())
        };
        let texts: Vec<String> = findings(2, 16 << 20).into_iter().map(|(_, text)| text).collect();
        let expected = [
            "room for 1026 prefixes, 1024 of them for reloads",
            "3 MiB of kernel memory (tables 2, counters 1, ledgers 1, watched flows 2), at most 16MiB is allowed",
            "some 25 MiB of memory for the agent",
        ];
        assert_eq!(texts, expected);
        let (severity, shared) = findings(64, 16 << 20).pop().unwrap();
        assert_eq!(severity, Severity::Warning);
        assert!(shared.starts_with("slices of counters: 32 for 64 CPUs"), "{shared}");
        let refused = findings(64, 1 << 20);
        assert_eq!(refused.len(), 1);
        assert!(refused[0].0 == Severity::Missing && refused[0].1.contains("raise memory"), "{refused:?}");
    }
}
