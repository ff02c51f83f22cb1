//! Dumps made byte by byte, whole, damaged and hostile.

use proptest::prelude::*;

use super::*;
use crate::table_file::{
    MAX_TABLE_PREFIXES, Table, read_tables,
    tests::{bzip2, entry, gzip, progress, read},
};

/// A dump under construction.
#[derive(Clone, Default)]
struct Dump(Vec<u8>);

impl Dump {
    /// With the table of peers: one, as in every TABLE_DUMP_V2 file.
    fn new() -> Self {
        let mut body = b"\x0a\0\0\x01\0\x04test\0\x01".to_vec();
        // An IPv4 peer with four bytes of AS number: its identifier, address, AS.
        body.extend(*b"\x02\x0a\0\0\x02\x0a\0\0\x02\0\0\xfb\xf4");
        Self::default().record(TABLE_DUMP_V2, 1, &body)
    }

    fn record(mut self, kind: u16, subtype: u16, body: &[u8]) -> Self {
        self.0.extend(0x6500_0000_u32.to_be_bytes());
        self.0.extend(kind.to_be_bytes());
        self.0.extend(subtype.to_be_bytes());
        self.0.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        self.0.extend(body);
        self
    }

    /// A TABLE_DUMP_V2 record of a prefix with the same route given several times.
    fn rib(self, subtype: u16, len: u8, prefix: &[u8], routes: u16, attributes: &[u8]) -> Self {
        let mut body = vec![0, 0, 0, 1, len];
        body.extend(prefix);
        body.extend(routes.to_be_bytes());
        for path in 0..u32::from(routes) {
            body.extend([0, 0, 0x65, 0, 0, 0]);
            if [RIB_IPV4_UNICAST_ADDPATH, RIB_IPV6_UNICAST_ADDPATH].contains(&subtype) {
                body.extend(path.to_be_bytes());
            }
            body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
            body.extend(attributes);
        }
        self.record(TABLE_DUMP_V2, subtype, &body)
    }
}

/// Attributes of a route: ORIGIN, AS_PATH of one sequence, NEXT_HOP.
fn path(asns: &[u32]) -> Vec<u8> {
    let path: Vec<u8> = asns.iter().flat_map(|asn| asn.to_be_bytes()).collect();
    let mut bytes = vec![0x40, 1, 1, 0, 0x40, 2, u8::try_from(path.len()).unwrap() + 2, 2];
    bytes.push(u8::try_from(asns.len()).unwrap());
    bytes.extend(path);
    bytes.extend([0x40, 3, 4, 192, 0, 2, 1]);
    bytes
}

/// Both families with and without path identifiers, and what is left out.
fn dump() -> Dump {
    let attributes = path(&[64500, 64501, 4_200_000_001]);
    Dump::new()
        .rib(RIB_IPV4_UNICAST, 24, &[192, 0, 2], 2, &attributes)
        .rib(RIB_IPV4_UNICAST, 0, &[], 1, &path(&[64500]))
        .rib(3, 8, &[10], 1, &attributes)
        .rib(RIB_IPV4_UNICAST, 20, &[198, 51, 0x6f], 1, &attributes)
        .rib(RIB_IPV4_UNICAST_ADDPATH, 25, &[203, 0, 113, 0xff], 3, &attributes)
        .rib(RIB_IPV6_UNICAST, 32, &[0x20, 1, 0x0d, 0xb8], 1, &attributes)
        .rib(RIB_IPV6_UNICAST_ADDPATH, 33, &[0x20, 1, 0x0d, 0xb8, 0xff], 1, &attributes)
        .rib(5, 8, &[0xff], 1, &attributes)
        .record(TABLE_DUMP_V2, 6, &[0; 20])
}

fn table() -> Table {
    let asn = 4_200_000_001;
    let prefixes = vec![
        entry("0.0.0.0/0", 64500, None),
        entry("192.0.2.0/24", asn, None),
        entry("198.51.96.0/20", asn, None),
        entry("203.0.113.128/25", asn, None),
        entry("2001:db8::/32", asn, None),
        entry("2001:db8:8000::/33", asn, None),
    ];
    Table { prefixes, duplicates: 0 }
}

/// The first entry of a dump.
fn first(dump: &Dump) -> TableEntry {
    read("t", &dump.0).unwrap().prefixes.remove(0)
}

/// The words about a record.
fn problem(dump: &Dump) -> String {
    read("t", &dump.0).unwrap_err()
}

#[test]
fn whole_dumps_by_content() {
    let bytes = dump().0;
    let (front, behind) = bytes.split_at(77);
    for name in ["t", "rib.20261121.0000.bz2", "bview.gz", "t.txt", "t.csv"] {
        assert_eq!(read(name, &bytes), Ok(table()), "plain {name}");
        assert_eq!(read(name, &gzip(&bytes)), Ok(table()), "gzip {name}");
        assert_eq!(read(name, &bzip2(&bytes)), Ok(table()), "bzip2 {name}");
    }
    assert_eq!(read("t", &[gzip(front), gzip(b""), gzip(behind)].concat()), Ok(table()));
    assert_eq!(read("t", &[bzip2(front), bzip2(b""), bzip2(behind)].concat()), Ok(table()));
}

#[test]
fn origins() {
    let origin = |attributes: &[u8]| {
        let entry = first(&Dump::new().rib(RIB_IPV4_UNICAST, 8, &[10], 1, attributes));
        assert_eq!(entry.cidr.to_string(), "10.0.0.0/8");
        entry.asn
    };
    assert_eq!(origin(&path(&[1, 2, 3])), Some(3));
    assert_eq!(origin(&[0x50, 2, 0, 6, 2, 1, 0, 0, 0, 7]), Some(7), "a length of two bytes");
    assert_eq!(origin(&[0x40, 2, 12, 2, 1, 0, 0, 0, 7, 1, 1, 0, 0, 0, 8]), Some(8), "a set of one");
    assert_eq!(origin(&[0x40, 2, 16, 2, 1, 0, 0, 0, 7, 1, 2, 0, 0, 0, 8, 0, 0, 0, 9]), None, "a set");
    assert_eq!(origin(&[0x40, 2, 0]), None, "the collector's own");
    assert_eq!(origin(&[]), None, "no path");
    assert_eq!(origin(&[0x40, 2, 6, 2, 2, 0, 0, 0, 7]), None, "a path that is cut");
    assert_eq!(origin(&[0x40, 2, 7, 2, 1, 0, 0, 0, 7]), None, "an attribute that is cut");
    assert_eq!(origin(&[0x40, 1, 9, 0]), None, "another attribute that is cut");
    assert_eq!(first(&Dump::new().rib(RIB_IPV4_UNICAST, 8, &[10], 0, &[])).asn, None, "no route");
}

#[test]
fn old_dumps_have_a_record_for_each_route() {
    let route = |prefix: [u8; 4], len: u8, origin: u16| {
        let mut body = prefix.to_vec();
        body.extend([len, 1, 0x65, 0, 0, 0, 10, 0, 0, 2, 0xfb, 0xf4, 0, 9, 0x40, 2, 6, 2, 2, 0xfb, 0xf4]);
        body.extend(origin.to_be_bytes());
        body
    };
    let record = |routes: &[Vec<u8>]| [vec![0; 4], routes.concat()].concat();
    let mut v6 = vec![0, 0, 0, 1, 0x20, 1, 0x0d, 0xb8, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 1, 0x65, 0, 0, 0];
    v6.extend([[0; 16].as_slice(), &[0xfb, 0xf4, 0, 0]].concat());
    let dump = Dump::default()
        .record(TABLE_DUMP, AFI_IPV4, &record(&[route([10, 1, 2, 3], 8, 1)]))
        .record(TABLE_DUMP, AFI_IPV4, &record(&[route([10, 0, 0, 0], 8, 2)]))
        .record(TABLE_DUMP, AFI_IPV4, &record(&[route([11, 0, 0, 0], 8, 23456), route([12, 0, 0, 0], 8, 3)]))
        .record(TABLE_DUMP, 3, &[])
        .record(TABLE_DUMP, AFI_IPV6, &v6);
    let prefixes = vec![
        entry("10.0.0.0/8", 1, None),
        entry("11.0.0.0/8", None, None),
        entry("12.0.0.0/8", 3, None),
        entry("2001:db8::/32", None, None),
    ];
    assert_eq!(read("t", &dump.0), Ok(Table { prefixes, duplicates: 0 }));
    let cut = Dump::default().record(TABLE_DUMP, AFI_IPV4, &record(&[route([10, 0, 0, 0], 8, 2)])[..30]);
    assert_eq!(problem(&cut), "t: MRT record 1 at byte 0 has a malformed route; the file is damaged, fetch it again");
    let empty = Dump::default().record(TABLE_DUMP, AFI_IPV4, &[0; 4]);
    assert_eq!(
        problem(&empty),
        "t: MRT record 1 at byte 0 has a malformed prefix; the file is damaged, fetch it again"
    );
}

#[test]
fn files_cut_at_every_byte() {
    let whole = dump().0;
    // Where records start.
    let mut starts = vec![0];
    while let Some(bytes) = whole.get(starts[starts.len() - 1]..).filter(|bytes| !bytes.is_empty()) {
        starts.push(starts[starts.len() - 1] + HEADER_LEN + usize::from(bytes[11]));
    }
    for len in 6..whole.len() {
        match starts.iter().position(|start| *start == len) {
            // Nothing tells that there was more, but for a file with no prefix at all.
            Some(1) => {
                let error = "t is an MRT file without an IPv4 or IPv6 unicast prefix; give a RIB dump";
                assert_eq!(read("t", &whole[..len]), Err(error.to_owned()));
            }
            Some(_) => assert!(read("t", &whole[..len]).is_ok(), "{len}"),
            None => {
                let record = starts.iter().rposition(|start| *start < len).unwrap();
                let error = format!(
                    "cannot read t in MRT record {} at byte {}; the file is cut or damaged, fetch it again",
                    record + 1,
                    starts[record]
                );
                assert_eq!(read("t", &whole[..len]), Err(error));
            }
        }
    }
    for zipped in [gzip(&whole), bzip2(&whole)] {
        for len in 1..zipped.len() {
            let error = read("t", &zipped[..len]).unwrap_err();
            assert!(error.starts_with("cannot read t ") || error.starts_with("t:1: "), "{len}: {error}");
        }
        let mut trailing = zipped.clone();
        trailing.extend(b"not compressed");
        assert!(read("t", &trailing).unwrap_err().starts_with("cannot read t in MRT record 11 at byte "));
    }
    // The compressed stream ends exactly between two records: `bgpkit-parser` takes that for the end.
    let zipped = gzip(&whole);
    let error = read("t", &zipped[..zipped.len() - 8]).unwrap_err();
    assert!(error.starts_with(&format!("cannot read t in MRT record 11 at byte {};", whole.len())), "{error}");
}

#[test]
fn damaged_and_other_records() {
    let at = Dump::new().0.len();
    let damaged = "the file is damaged, fetch it again";
    let expect = |dump: Dump, words: String| {
        assert_eq!(problem(&dump), format!("t: MRT record 2 at byte {at} {words}"));
    };
    for (subtype, len) in [(RIB_IPV4_UNICAST, 33), (RIB_IPV6_UNICAST, 129), (RIB_IPV4_UNICAST_ADDPATH, 255)] {
        expect(Dump::new().rib(subtype, len, &[0; 32], 1, &[]), format!("has a malformed prefix; {damaged}"));
    }
    for len in 0..15 {
        let body = &[0, 0, 0, 1, 24, 192, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0][..len];
        let part = if len < 8 { "prefix" } else { "route" };
        expect(Dump::new().record(TABLE_DUMP_V2, RIB_IPV4_UNICAST, body), format!("has a malformed {part}; {damaged}"));
    }
    let mut longer = Dump::new().rib(RIB_IPV4_UNICAST, 8, &[10], 1, &[0; 4]);
    let attributes = longer.0.len() - 5;
    longer.0[attributes] = 5;
    expect(longer, format!("has a malformed route; {damaged}"));
    for kind in [BGP4MP, BGP4MP_ET] {
        let words = "is a BGP message: this is an updates file; give a RIB dump".to_owned();
        expect(Dump::new().record(kind, 4, &[0; 40]), words.clone());
        assert_eq!(problem(&Dump::default().record(kind, 4, &[0; 40])), format!("t: MRT record 1 at byte 0 {words}"));
    }
    // Of no meaning; known but from elsewhere; zeros, as in a file that was never filled.
    for kind in [0xfefe, 11, 32, 0] {
        expect(Dump::new().record(kind, 0, &[0; 40]), format!("is not part of a RIB dump; {damaged}"));
    }
    let mut zeros = dump();
    zeros.0.extend([0; 4096]);
    assert!(problem(&zeros).contains("is not part of a RIB dump"));
}

#[test]
fn hostile_lengths() {
    for length in [MAX_RECORD_LEN + 1, u32::MAX] {
        let mut dump = Dump::new();
        let at = dump.0.len();
        dump = dump.record(TABLE_DUMP_V2, RIB_IPV4_UNICAST, &[0; 40]);
        dump.0[at + 8..at + HEADER_LEN].copy_from_slice(&length.to_be_bytes());
        assert_eq!(
            problem(&dump),
            format!(
                "t: MRT record 2 at byte {at} claims {length} bytes, more than 16777216; the file is damaged, fetch it again"
            )
        );
        dump.0[at + 8..at + HEADER_LEN].copy_from_slice(&MAX_RECORD_LEN.to_be_bytes());
        assert!(problem(&dump).starts_with("cannot read t in MRT record 2 "));
    }
}

#[test]
fn too_many() {
    let mut entries = Entries { list: vec![entry("::/0", None, None); MAX_TABLE_PREFIXES - 6], ..Entries::default() };
    let bytes = dump().0;
    super::read(Path::new("t"), bytes.as_slice(), &mut entries, &mut progress()).unwrap();
    let error = super::read(Path::new("t"), bytes.as_slice(), &mut entries, &mut progress()).unwrap_err();
    let words = "makes more than 4000000 prefixes; leave out tables or aggregate them";
    assert!(error.to_string().ends_with(words), "{error}");
}

#[test]
fn prefixes_of_dumps_and_lists_are_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a.csv", "rib.bz2", "b.txt"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], "192.0.2.0/24,1,Example\n").unwrap();
    std::fs::write(&paths[1], bzip2(&dump().0)).unwrap();
    std::fs::write(&paths[2], "2001:db8::/32\n10.0.0.0/8\n").unwrap();
    let mut expected = table();
    expected.duplicates = 2;
    expected.prefixes[1] = entry("192.0.2.0/24", 1, Some("Example"));
    expected.prefixes.insert(1, entry("10.0.0.0/8", None, None));
    assert_eq!(read_tables(&paths).unwrap(), expected);
}

#[test]
fn not_taken_for_dumps() {
    let mut old = dump().0;
    old[..4].copy_from_slice(&(OLDEST - 1).to_be_bytes());
    assert!(read("t", &old).unwrap_err().contains("not UTF-8 text"), "older than MRT");
    assert!(!starts(b"10.0.0.0/8\n") && !starts(b"") && !starts(&dump().0[..5]));
}

proptest! {
    #[test]
    fn any_record_is_read_or_refused(kind in 12..18_u16, subtype in 0..14_u16, body: Vec<u8>, rest: Vec<u8>) {
        let mut dump = Dump::default().record(kind, subtype, &body);
        dump.0.extend(rest);
        let _ = super::read(Path::new("t"), dump.0.as_slice(), &mut Entries::default(), &mut progress());
    }

    #[test]
    fn any_damage_is_read_or_refused(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let whole = dump().0;
        let mut bytes = whole.clone();
        damage.iter().for_each(|(index, value)| bytes[index.index(whole.len())] = *value);
        let _ = super::read(Path::new("t"), bytes.as_slice(), &mut Entries::default(), &mut progress());
        for mut zipped in [gzip(&whole), bzip2(&whole)] {
            damage.iter().for_each(|(index, value)| { let at = index.index(zipped.len()); zipped[at] = *value; });
            let _ = read("t", &zipped);
        }
    }

    #[test]
    fn any_attributes_leave_the_prefix(attributes in prop::collection::vec(any::<u8>(), 0..64)) {
        let entry = first(&Dump::new().rib(RIB_IPV6_UNICAST, 8, &[0x20], 1, &attributes));
        prop_assert_eq!(entry.cidr.to_string(), "2000::/8");
    }
}
