//! Files about the other end, good and bad, and what becomes known of addresses: the same as a scan of all rows finds.

mod mmdb;
mod scan;

use std::net::IpAddr;

use sensor_ebpf::{abi::Entry, lookup};
use tempfile::TempDir;

use self::mmdb::{Value, map, text};
use super::*;
use crate::native::Native;

/// Files of these names and contents, and lists of these.
struct Stage {
    folder: TempDir,
    counterparts: Vec<config::Counterpart>,
    lists: Vec<config::List>,
}

impl Stage {
    fn new(files: &[(&str, &[u8])], lists: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, content: &[u8]| {
            let file = folder.path().join(name);
            std::fs::write(&file, content).unwrap();
            file
        };
        let geo = |(name, content): &(&str, &[u8])| config::Counterpart {
            kind: CounterpartKind::Geo,
            file: put(name, content),
        };
        let list = |(name, content): &(&str, &str)| config::List {
            name: name.parse().unwrap(),
            class: None,
            file: put(&format!("{name}.list"), content.as_bytes()),
        };
        let (counterparts, lists) = (files.iter().map(geo).collect(), lists.iter().map(list).collect());
        Self { folder, counterparts, lists }
    }

    fn read(&self) -> Result<Counterparts, String> {
        let lists = Lists::read(&self.lists).unwrap();
        let prefix = format!("{}/", self.folder.path().display());
        Counterparts::read(&self.counterparts, &lists).map_err(|error| error.to_string().replace(&prefix, ""))
    }
}

/// Answers by the lookup that the kernel program does.
struct Answers {
    labels: Vec<Label>,
    native: Native,
}

impl Answers {
    fn new(counterparts: &Counterparts) -> Self {
        Self {
            labels: counterparts.labels.clone(),
            native: Native::new(counterparts.trie.clone(), counterparts.trie.highest_id),
        }
    }

    fn entry(&self, address: IpAddr) -> Entry {
        match address {
            IpAddr::V4(address) => lookup::v4(&self.native, 0, address.to_bits()).unwrap(),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                lookup::v6(&self.native, 0, [(bits >> 64) as u64, bits as u64]).unwrap()
            }
        }
    }

    fn of(&self, address: IpAddr) -> &Label {
        &self.labels[self.entry(address).prefix().map_or(0, |id| id.get() as usize - 1)]
    }

    /// What is known of an address as text: country, AS number, AS name, lists.
    fn text(&self, address: &str) -> String {
        let Label { country, asn, as_name, lists } = self.of(address.parse().unwrap());
        let country = country.map_or("-".to_owned(), |code| String::from_utf8(code.to_vec()).unwrap());
        let asn = asn.map_or("-".to_owned(), |asn| asn.to_string());
        format!("{country} {asn} {} [{}]", as_name.as_deref().unwrap_or("-"), lists.join("|"))
    }
}

const GEO: &[u8] = b"prefix,country,asn,as_name,kind
198.51.100.0/24,DE,64500,\"Example, Inc.\",isp
198.51.100.0/25,,,,hosting
198.51.100.64/26,fr,AS64501
203.0.113.0/24,,,Nameless,university
2001:db8::/32,NL,64502,Six,ISP
";

#[test]
fn attribute_by_attribute_the_longest_prefix_holds() {
    let lists =
        [("relays", "198.51.100.65,9001\n203.0.113.0/24\n192.0.2.1,80\n"), ("pools", "198.51.100.65\n2001:db8::1\n")];
    let stage = Stage::new(&[("geo.csv", GEO)], &lists);
    let counterparts = stage.read().unwrap();
    assert_eq!(counterparts.labels[0], Label::default());
    assert_eq!((counterparts.other, counterparts.folded), (None, 0));
    assert_eq!(counterparts.provenance[0].entries, 5);
    let answers = Answers::new(&counterparts);
    for (address, expected) in [
        ("198.51.100.200", "DE 64500 Example, Inc. []"),
        ("198.51.100.1", "DE 64500 Example, Inc. [hosting]"),
        // The name is that of another system.
        ("198.51.100.66", "FR 64501 - [hosting]"),
        ("198.51.100.65", "FR 64501 - [hosting|relays|pools]"),
        ("203.0.113.9", "- - Nameless [university|relays]"),
        ("192.0.2.1", "- - - [relays]"),
        ("2001:db8::2", "NL 64502 Six []"),
        ("2001:db8::1", "NL 64502 Six [pools]"),
        ("::ffff:198.51.100.1", "- - - []"),
    ] {
        assert_eq!(answers.text(address), expected, "{address}");
    }
    assert_eq!(answers.entry("192.0.2.2".parse().unwrap()), Entry::NONE);
}

#[test]
fn several_files_are_one() {
    let by_country = b"10.0.0.0/8,US\n10.1.0.0/16,CA\n";
    let by_system = b"10.0.0.0/8,MX,1,One\n10.1.2.0/24,,2,Two\n10.1.2.0/24,,3,Three\n10.1.2.128/25,,1\n";
    let answers = Answers::new(&Stage::new(&[("a.csv", by_country), ("b.csv", by_system)], &[]).read().unwrap());
    assert_eq!(answers.text("10.9.0.0"), "US 1 One []");
    assert_eq!(answers.text("10.1.0.1"), "CA 1 One []");
    // The first line of a file about a prefix holds.
    assert_eq!(answers.text("10.1.2.1"), "CA 2 Two []");
    assert_eq!(answers.text("10.1.2.200"), "CA 1 One []");
}

#[test]
fn what_says_nothing_new_is_left_out() {
    let rows = b"10.0.0.0/8,US\n10.1.0.0/16,US\n10.2.0.0/16,CA\n10.3.0.0/16,CA\n11.0.0.0/8,,,,isp\n12.0.0.0/9,DE\n12.128.0.0/9,DE\n12.0.0.0/8,FR\n";
    let counterparts = Stage::new(&[("a.csv", rows)], &[]).read().unwrap();
    // 10.0.0.0/8, 10.2.0.0/15 and 12.0.0.0/8.
    assert_eq!((counterparts.prefixes, counterparts.labels.len()), (3, 4));
    let answers = Answers::new(&counterparts);
    for (address, expected) in [("10.1.0.0", "US"), ("10.3.9.9", "CA"), ("11.0.0.0", "-"), ("12.200.0.0", "DE")] {
        assert_eq!(answers.text(address), format!("{expected} - - []"));
    }
    // Ordinary inside what is not has to be said.
    let rows = b"10.0.0.0/8,,,,hosting\n10.1.0.0/16,,,,isp\n";
    let answers = Answers::new(&Stage::new(&[("a.csv", rows)], &[]).read().unwrap());
    assert_eq!((answers.text("10.0.0.1").as_str(), answers.text("10.1.0.1").as_str()), ("- - - [hosting]", "- - - []"));
}

#[test]
fn of_too_many_labels_the_rarest_are_others() {
    let rows = b"10.0.0.0/24,,1\n10.0.1.0/24,,2\n10.0.3.0/24,,2\n10.0.5.0/24,,3\n10.0.7.0/24,,4\n10.0.9.0/24,,4\n";
    let stage = Stage::new(&[("a.csv", rows)], &[]);
    let build = |most| {
        let mut facts = Facts::default();
        rows::read(&stage.counterparts[0].file, 0, &mut facts).unwrap();
        Counterparts::build(facts, &Lists::default(), most).unwrap()
    };
    let asns = |counterparts: &Counterparts| {
        let answers = Answers::new(counterparts);
        [0, 1, 3, 5, 7, 9, 11].map(|third| answers.of(IpAddr::from([10, 0, third, 9])).asn)
    };
    let all = build(5);
    assert_eq!((all.labels.len(), all.other, all.folded), (5, None, 0));
    assert_eq!(asns(&all), [Some(1), Some(2), Some(2), Some(3), Some(4), Some(4), None]);
    let some = build(4);
    assert_eq!((some.labels.len(), some.other, some.folded), (4, Some(3), 2));
    assert_eq!(asns(&some), [None, Some(2), Some(2), None, Some(4), Some(4), None]);
    let other = |third| Answers::new(&some).entry(IpAddr::from([10, 0, third, 9])).prefix().map(|id| id.get() - 1);
    assert_eq!((other(0), other(5), other(11)), (some.other, some.other, None));
    let none = build(2);
    assert_eq!((none.labels.len(), none.other, none.folded), (2, Some(1), 4));
    assert_eq!(asns(&none), [None; 7]);
}

#[test]
fn bad_rows() {
    let long = format!("10.0.0.0/8,,,{}", "x".repeat(256));
    for (content, expected) in [
        ("", "a.csv has no row; fetch or write it again, or take its [[counterpart]] out of the configuration"),
        (
            "network,country\n",
            "a.csv has no row; fetch or write it again, or take its [[counterpart]] out of the configuration",
        ),
        (
            "10.0.0.0/8,US\n10.0.0.1/8,US",
            "a.csv:2: \"10.0.0.1/8\" has host bits set; write 10.0.0.0/8 for the whole network",
        ),
        (
            "10.0.0.0/8,USA",
            "a.csv:1: \"USA\" is not a country; write the two letters of ISO 3166-1, such as \"DE\", or leave the field empty",
        ),
        (
            "10.0.0.0/8,\u{e4}",
            "a.csv:1: \"\u{e4}\" is not a country; write the two letters of ISO 3166-1, such as \"DE\", or leave the field empty",
        ),
        (
            "10.0.0.0/8,,Foo",
            "a.csv:1: \"Foo\" is not an AS number; write one from 0 to 4294967295, or leave the field empty",
        ),
        (
            "10.0.0.0/8,US,1,Foo, Inc.,isp",
            "a.csv:1: the line has 6 fields; write prefix,country,asn,as_name,kind, and a name with commas in double quotes",
        ),
        (&long, "a.csv:1: a name has more than 255 bytes or is no printable text; shorten it or leave the field empty"),
        (
            "10.0.0.0/8,,,a\u{7}b",
            "a.csv:1: a name has more than 255 bytes or is no printable text; shorten it or leave the field empty",
        ),
    ] {
        assert_eq!(Stage::new(&[("a.csv", content.as_bytes())], &[]).read().unwrap_err(), expected, "{content:?}");
    }
    // What tables write for nobody.
    let answers = Answers::new(&Stage::new(&[("a.csv", b"10.0.0.0/8,US,0,-\n")], &[]).read().unwrap());
    assert_eq!(answers.text("10.0.0.1"), "US - - []");
}

#[test]
fn databases_of_several_vendors() {
    let country = |code| map(&[("iso_code", text(code)), ("geoname_id", Value::Number(1))]);
    let geolite = mmdb::database(&[
        ("198.51.100.0/24", map(&[("continent", map(&[("code", text("EU"))])), ("country", country("DE"))])),
        ("2001:db8::/32", map(&[("country", country("NL")), ("registered_country", country("BE"))])),
    ]);
    let asn = mmdb::database(&[(
        "198.51.100.0/25",
        map(&[("autonomous_system_number", Value::Number(64500)), ("autonomous_system_organization", text("Example"))]),
    )]);
    let ipinfo = mmdb::database(&[(
        "203.0.113.0/24",
        map(&[
            ("country", text("Mexico")),
            ("country_code", text("MX")),
            ("asn", text("AS64501")),
            ("as_name", text("Uno")),
            ("type", text("hosting")),
        ]),
    )]);
    let stage = Stage::new(&[("country.mmdb", &geolite), ("asn.MMDB", &asn), ("ipinfo.mmdb", &ipinfo)], &[]);
    let counterparts = stage.read().unwrap();
    assert_eq!(counterparts.provenance.iter().map(|from| from.entries).collect::<Vec<_>>(), [2, 1, 1]);
    let answers = Answers::new(&counterparts);
    for (address, expected) in [
        ("198.51.100.1", "DE 64500 Example []"),
        ("198.51.100.129", "DE - - []"),
        ("203.0.113.1", "MX 64501 Uno [hosting]"),
        ("2001:db8::1", "NL - - []"),
        ("192.0.2.1", "- - - []"),
    ] {
        assert_eq!(answers.text(address), expected, "{address}");
    }
}

#[test]
fn damaged_databases_are_refused_or_read() {
    let whole = mmdb::database(&[
        ("198.51.100.0/24", map(&[("country", text("DE"))])),
        ("10.0.0.0/8", map(&[("asn", text("AS1"))])),
    ]);
    let read = |content: &[u8]| Stage::new(&[("a.mmdb", content)], &[]).read();
    assert!(read(&whole).is_ok());
    assert_eq!(read(b"").unwrap_err(), "a.mmdb is no MaxMind database, or damaged; fetch it again");
    for len in 0..whole.len() {
        let _ = read(&whole[..len]);
    }
    for at in 0..whole.len() {
        for value in [0, 0xff, whole[at] ^ 0x10] {
            let mut damaged = whole.clone();
            damaged[at] = value;
            let _ = read(&damaged);
        }
    }
}
