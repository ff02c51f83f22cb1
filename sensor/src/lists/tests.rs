//! Lists good and bad, and what is found on them.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;

/// Lists of these classes and contents, named a, b, c...
fn lists(contents: &[(Option<Class>, &str)]) -> Result<Lists, String> {
    let folder = tempfile::tempdir().unwrap();
    let configured: Vec<config::List> = ('a'..)
        .zip(contents)
        .map(|(name, (class, content))| {
            let file = folder.path().join(format!("{name}.csv"));
            std::fs::write(&file, content).unwrap();
            config::List { name: name.to_string().parse().unwrap(), class: *class, file }
        })
        .collect();
    let prefix = format!("{}/", folder.path().display());
    Lists::read(&configured).map_err(|error| error.to_string().replace(&prefix, ""))
}

#[track_caller]
fn found(lists: &Lists, endpoint: &str) -> Option<(Class, String)> {
    let (address, port) = endpoint.rsplit_once(' ').unwrap();
    lists.find(address.parse().unwrap(), port.parse().unwrap()).map(|(class, name)| (class, name.to_owned()))
}

#[test]
fn the_most_particular_entry_holds() {
    let tor = "ip,port\n192.0.2.1,9001\n192.0.2.1,443,guard\n198.51.100.0/24,,\"a, network\"\n2001:db8::1,9001\n";
    let pools =
        "# pools\n192.0.2.1\n192.0.2.1,9001\n198.51.100.7,3333,pool.example # best\n198.51.0.0/16,9999\n::/0,1\n";
    let lists = lists(&[(Some(Class::Tor), tor), (Some(Class::Stratum), pools), (None, "203.0.113.0/24\n")]).unwrap();
    let (tor, pools) = (Some((Class::Tor, "a".to_owned())), Some((Class::Stratum, "b".to_owned())));
    for (endpoint, expected) in [
        // On both with its port: the first list holds. A port is more than none.
        ("192.0.2.1 9001", &tor),
        ("192.0.2.1 443", &tor),
        ("192.0.2.1 80", &pools),
        ("192.0.2.2 9001", &None),
        // The longest prefix holds; one that does not know the port is none.
        ("198.51.100.7 3333", &pools),
        ("198.51.100.7 3334", &tor),
        ("198.51.100.8 9999", &tor),
        ("198.51.101.8 9999", &pools),
        ("198.51.101.8 9998", &None),
        ("2001:db8::1 9001", &tor),
        ("2001:db8::1 1", &pools),
        ("2001:db8::1 2", &None),
        // Without a class there is nothing to say about what is spoken.
        ("203.0.113.1 80", &None),
    ] {
        assert_eq!(&found(&lists, endpoint), expected, "{endpoint}");
    }
    let names: Vec<Arc<str>> = lists.names().collect();
    let on = |text: &str| {
        let cidr: Cidr = text.parse().unwrap();
        lists
            .addresses()
            .iter()
            .filter(|(prefix, _)| *prefix == cidr)
            .map(|(_, list)| &*names[usize::from(*list)])
            .collect::<String>()
    };
    assert_eq!((on("192.0.2.1").as_str(), on("203.0.113.0/24").as_str(), on("10.0.0.0/8").as_str()), ("ab", "c", ""));
}

#[test]
fn where_they_come_from() {
    let text = "ip,port\n192.0.2.1,1\n192.0.2.1,2\n192.0.2.1,2\n";
    let lists = lists(&[(None, text), (Some(Class::Tor), "192.0.2.1")]).unwrap();
    let provenance: Vec<_> = lists.provenance().map(|(name, from)| (name, from.entries, from.sha256)).collect();
    let hash = |text: &str| Sha256::digest(text).into();
    assert_eq!(provenance, [("a", 3, hash(text)), ("b", 1, hash("192.0.2.1"))]);
}

#[test]
fn bad_lists() {
    for (content, expected) in [
        ("", "a.csv has no entry; fetch or write it again, or take its [[list]] out of the configuration"),
        ("ip,port\n", "a.csv has no entry; fetch or write it again, or take its [[list]] out of the configuration"),
        (
            "192.0.2.1\nip\n",
            "a.csv:2: \"ip\" is not an IPv4 or IPv6 prefix; write a whole address, such as 192.0.2.0/24 or 2001:db8::/32",
        ),
        (
            "192.0.2.1,0",
            "a.csv:1: \"0\" is not a port; write one from 1 to 65535, or leave the field empty for every port",
        ),
        (
            "192.0.2.1,65536",
            "a.csv:1: \"65536\" is not a port; write one from 1 to 65535, or leave the field empty for every port",
        ),
        (
            "192.0.2.1,+80",
            "a.csv:1: \"+80\" is not a port; write one from 1 to 65535, or leave the field empty for every port",
        ),
        (
            "192.0.2.1,pool",
            "a.csv:1: \"pool\" is not a port; write one from 1 to 65535, or leave the field empty for every port",
        ),
        (
            "192.0.2.1,1,a,b",
            "a.csv:1: the line has 4 fields; write address[,port][,name], and a name with commas in double quotes",
        ),
        ("192.0.2.1/24", "a.csv:1: \"192.0.2.1/24\" has host bits set; write 192.0.2.0/24 for the whole network"),
        (",80", "a.csv:1: a prefix is missing; write one such as 192.0.2.0/24 or 2001:db8::/32"),
        (
            "192.0.2.1,1,\"a",
            "a.csv:1: a quoted field does not end in front of a comma; write a quote inside quotes twice",
        ),
    ] {
        assert_eq!(lists(&[(Some(Class::Tor), content)]).unwrap_err(), expected, "{content}");
    }
}

#[test]
fn a_list_without_end_is_refused() {
    let mut text = String::new();
    for number in 0..=MAX_ENDPOINTS as u32 {
        text.push_str(&std::net::Ipv4Addr::from_bits(number).to_string());
        text.push('\n');
    }
    let error = lists(&[(None, &text)]).unwrap_err();
    assert!(error.starts_with("a.csv:2000001: all lists together have more than 2000000 entries; "), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(lines in prop::collection::vec("[0-9a-f.:,/#\" ]{0,30}|\\PC{0,10}", 0..4)) {
        let _ = lists(&[(Some(Class::Tor), &lines.join("\n"))]);
    }

    #[test]
    fn as_a_scan_of_all_entries(
        entries in prop::collection::vec((0u8..3, 0u32..64, 26u8..=32, prop::option::of(1u16..4)), 1..40),
        probes in prop::collection::vec((0u32..64, 1u16..4), 20),
    ) {
        let classes = [Some(Class::Tor), Some(Class::Stratum), None];
        let address = |number: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(0xc000_0200 | number));
        let entries: Vec<(u8, Cidr, Option<u16>)> = entries
            .into_iter()
            .chain((0..3).map(|list| (list, 63, 32, Some(9))))
            .map(|(list, number, len, port)| (list, Cidr::masked(address(number), len).unwrap(), port))
            .collect();
        let content = |list: u8| -> String {
            let line = |(_, cidr, port): &(u8, Cidr, Option<u16>)| format!("{cidr},{}\n", port.map_or(String::new(), |port| port.to_string()));
            entries.iter().filter(|entry| entry.0 == list).map(line).collect()
        };
        let contents = [0, 1, 2].map(content);
        let lists = lists(&[(classes[0], &contents[0]), (classes[1], &contents[1]), (classes[2], &contents[2])]).unwrap();
        let used: BTreeSet<&(u8, Cidr, Option<u16>)> = entries.iter().filter(|entry| entry.0 < 2).collect();
        for (number, port) in probes {
            let address = address(number);
            let fits = used.iter().filter(|(_, cidr, on)| cidr.contains_address(address) && on.is_none_or(|on| on == port));
            let best = fits.max_by_key(|(list, cidr, on)| (cidr.prefix_len(), on.is_some(), std::cmp::Reverse(*list)));
            let expected = best.map(|(list, ..)| classes[usize::from(*list)].unwrap());
            prop_assert_eq!(lists.find(address, port).map(|(class, _)| class), expected);
        }
    }
}
