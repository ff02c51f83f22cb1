//! Tables good and bad, with the words of every error.

use std::io::Write;

use ::bzip2::write::BzEncoder;
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use super::{lines::Format, *};

/// Reads `content` from a file called `name`; the folder's name is left out of errors.
pub(super) fn read(name: &str, content: &[u8]) -> Result<Table, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let prefix = format!("{}/", folder.path().display());
    read_table(&path).map_err(|error| error.to_string().replace(&prefix, ""))
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = BzEncoder::new(vec![], ::bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn entry(cidr: &str, asn: impl Into<Option<u32>>, name: Option<&str>) -> TableEntry {
    TableEntry { cidr: cidr.parse().unwrap(), asn: asn.into(), name: name.map(Arc::from) }
}

pub(super) fn progress() -> Progress {
    Progress::new(Path::new("t"), Default::default())
}

#[test]
fn lines() {
    let text = b"# head\n\n 10.0.0.0/8  # ten\r\n2001:db8::/32\n192.0.2.1\n10.0.0.0/8";
    let expected = Table {
        prefixes: vec![
            entry("10.0.0.0/8", None, None),
            entry("192.0.2.1/32", None, None),
            entry("2001:db8::/32", None, None),
        ],
        duplicates: 1,
    };
    for name in ["t.txt", "t", "t.list"] {
        assert_eq!(read(name, text).as_ref(), Ok(&expected));
        assert_eq!(read(name, &gzip(text)).as_ref(), Ok(&expected), "gzip by content");
        assert_eq!(read(name, &bzip2(text)).as_ref(), Ok(&expected), "bzip2 by content");
    }
    assert_eq!(read("t.txt.gz", &gzip(text)).as_ref(), Ok(&expected));
    assert_eq!(read("t.txt.bz2", &bzip2(text)), Ok(expected));
}

#[test]
fn fields() {
    let text = "\u{feff}Prefix,ASN,Name\n10.0.0.0/8,AS64500,Example\n\n# x\n192.0.2.0/24,,\n\
                198.51.100.0/24,4294967295,\"A, \"\"B\"\"\"\n203.0.113.0/24\n2001:db8::/32 , 1 , Example\n";
    let table = read("t.csv", text.as_bytes()).unwrap();
    assert_eq!(
        table.prefixes,
        [
            entry("10.0.0.0/8", 64500, Some("Example")),
            entry("192.0.2.0/24", None, None),
            entry("198.51.100.0/24", u32::MAX, Some("A, \"B\"")),
            entry("203.0.113.0/24", None, None),
            entry("2001:db8::/32", 1, Some("Example")),
        ]
    );
    let name = |index: usize| table.prefixes[index].name.as_ref().unwrap();
    assert!(Arc::ptr_eq(name(0), name(4)), "a name is kept once");
    assert_eq!(read("table", b"10.0.0.0/8,1").unwrap().prefixes[0].asn, Some(1), "told by content");
}

#[test]
fn earlier_tables_hold() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a.csv", "b.txt"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], "10.0.0.0/8,1\n10.0.0.0/8,2\n").unwrap();
    std::fs::write(&paths[1], "9.0.0.0/8\n10.0.0.0/8\n").unwrap();
    let table = read_tables(&paths).unwrap();
    assert_eq!(table.prefixes, [entry("9.0.0.0/8", None, None), entry("10.0.0.0/8", 1, None)]);
    assert_eq!(table.duplicates, 2);
}

#[test]
fn bad_lines() {
    for (name, content, expected) in [
        (
            "t.txt",
            "10.0.0.0/8\n10.0.0.1/8\n",
            "t.txt:2: \"10.0.0.1/8\" has host bits set; write 10.0.0.0/8 for the whole network",
        ),
        (
            "t.txt",
            "#\nfoo\n",
            "t.txt:2: \"foo\" is not an IPv4 or IPv6 prefix; write a whole address, such as 192.0.2.0/24 or 2001:db8::/32",
        ),
        (
            "t.txt",
            "10.0.0.0/8,1",
            "t.txt:1: the line has commas; one prefix a line is read here, name the file .csv to read prefix,asn[,name]",
        ),
        (
            "t.csv",
            "10.0.0.0/8,x1",
            "t.csv:1: \"x1\" is not an AS number; write one from 0 to 4294967295, or leave the field empty",
        ),
        (
            "t.csv",
            "10.0.0.0/8,4294967296",
            "t.csv:1: \"4294967296\" is not an AS number; write one from 0 to 4294967295, or leave the field empty",
        ),
        (
            "t.csv",
            "10.0.0.0/8,1,a,b",
            "t.csv:1: the line has 4 fields; write prefix,asn[,name], and a name with commas in double quotes",
        ),
        (
            "t.csv",
            "10.0.0.0/8,1,\"a",
            "t.csv:1: a quoted field does not end in front of a comma; write a quote inside quotes twice",
        ),
        (
            "t.csv",
            "10.0.0.0/8,1,\"a\"b",
            "t.csv:1: a quoted field does not end in front of a comma; write a quote inside quotes twice",
        ),
        (
            "t.csv",
            "10.0.0.0/8,1\nprefix,asn",
            "t.csv:2: \"prefix\" is not an IPv4 or IPv6 prefix; write a whole address, such as 192.0.2.0/24 or 2001:db8::/32",
        ),
        ("t.csv", ",1", "t.csv:1: a prefix is missing; write one such as 192.0.2.0/24 or 2001:db8::/32"),
        ("t.txt", "# \0", "t.txt:1: the line is not UTF-8 text; check that this is a table of prefixes"),
    ] {
        assert_eq!(read(name, content.as_bytes()), Err(expected.to_owned()));
    }
    assert_eq!(
        read("t", b"\xff"),
        Err("t:1: the line is not UTF-8 text; check that this is a table of prefixes".to_owned())
    );
}

#[test]
fn lengths() {
    let comment = |len: usize| [b"10.0.0.0/8\n#", "x".repeat(len - 1).as_bytes(), b"\n::/0\n"].concat();
    assert_eq!(read("t", &comment(MAX_LINE_LEN)).unwrap().prefixes.len(), 2);
    let error = "t:2: the line is longer than 4096 bytes; check that this is a table of prefixes";
    assert_eq!(read("t", &comment(MAX_LINE_LEN + 1)), Err(error.to_owned()));
    assert_eq!(read("t", &comment(1 << 20)), Err(error.to_owned()));
    let named = |len: usize| format!("10.0.0.0/8,1,{}", "x".repeat(len)).into_bytes();
    assert!(read("t", &named(MAX_NAME_LEN)).is_ok());
    assert_eq!(read("t", &named(256)), Err("t:1: the name is longer than 255 bytes; shorten it".to_owned()));
}

#[test]
fn too_many() {
    let mut entries = Entries { list: vec![entry("::/0", None, None); MAX_TABLE_PREFIXES - 1], ..Entries::default() };
    assert_eq!(entries.read_line(b"::/0", &mut Format::Lines), Ok(()));
    let error = entries.read_line(b"::/0", &mut Format::Lines).unwrap_err();
    assert_eq!(error.to_string(), "more than 4000000 prefixes; leave out tables or aggregate them");
}

#[test]
fn a_table_without_a_prefix_is_no_wish() {
    let empty =
        |name: &str| Err(format!("{name} has no prefix; fetch or write it again, or take it out of the tables"));
    for content in [&b""[..], b"\n\n", b"# nothing\n", &gzip(b""), &bzip2(b"# nothing")] {
        assert_eq!(read("t.txt", content), empty("t.txt"));
    }
    assert_eq!(read("t.csv", b"prefix,asn\n"), empty("t.csv"));
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a.txt", "b.txt", "c.txt"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], "10.0.0.0/8\n").unwrap();
    std::fs::write(&paths[1], "").unwrap();
    assert!(matches!(read_tables(&paths), Err(TableError::Empty { path }) if path == paths[1]));
    // The same prefixes as before are prefixes.
    std::fs::write(&paths[1], "10.0.0.0/8\n").unwrap();
    assert_eq!(read_tables(&paths[..2]).unwrap().duplicates, 1);
}

#[test]
fn all_names_together_have_a_bound() {
    let mut entries = Entries { names_len: MAX_NAMES_LEN - 3, ..Entries::default() };
    let mut csv = Format::Csv { first: false };
    assert_eq!(entries.read_line(b"::/0,1,abc", &mut csv), Ok(()));
    assert_eq!(entries.read_line(b"::/0,1,abc", &mut csv), Ok(()));
    let error = entries.read_line(b"::/0,1,d", &mut csv).unwrap_err();
    assert_eq!(error.to_string(), "the names take more than 64 MiB; leave out the column of names");
}

#[test]
fn a_table_without_end_is_refused() {
    let endless = std::io::BufReader::new(std::io::repeat(b'\n'));
    let error = lines::read(Path::new("t"), endless, &mut Entries::default(), &mut progress()).unwrap_err();
    let expected = "t:16000001: a table has at most 16000000 lines; check that this is a table of prefixes";
    assert_eq!(error.to_string(), expected);
}

/// Overlaps, default routes, host routes, special addresses: each is a prefix of its own, as it is written.
#[test]
fn nothing_that_is_a_prefix_is_left_out() {
    let text = "0.0.0.0/0\n10.0.0.0/8\n10.0.0.0/9\n10.0.0.1\n10.0.0.1/32\n127.0.0.0/8\n224.0.0.0/4\n255.255.255.255\n\
                ::/0\n::1\n::ffff:0:0/96\n::ffff:10.0.0.0/104\nfe80::/10\nff00::/8\n";
    let table = read("t.txt", text.as_bytes()).unwrap();
    let texts: Vec<String> = table.prefixes.iter().map(|entry| entry.cidr.to_string()).collect();
    let expected = [
        "0.0.0.0/0",
        "10.0.0.0/8",
        "10.0.0.0/9",
        "10.0.0.1/32",
        "127.0.0.0/8",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::/0",
        "::1/128",
        "::ffff:0.0.0.0/96",
        "::ffff:10.0.0.0/104",
        "fe80::/10",
        "ff00::/8",
    ];
    assert_eq!((texts, table.duplicates), (expected.map(str::to_owned).to_vec(), 1));
}

#[test]
fn files_that_are_no_tables() {
    let compressed = |compression: &str| {
        Err(format!("t is compressed with {compression}, which is not supported; decompress it or use gzip or bzip2"))
    };
    assert_eq!(read("t", b"\xfd7zXZ\0"), compressed("xz"));
    assert_eq!(read("t", &gzip(b"\x28\xb5\x2f\xfd")), compressed("zstd"));
    assert_eq!(read("t", &gzip(&bzip2(b"::/0"))), compressed("bzip2 twice"));
    assert_eq!(read("t", &bzip2(&gzip(b"::/0"))), compressed("gzip twice"));
    assert_eq!(read("t", b"BZh91AY"), Err("cannot read t behind line 0; fetch or write the file again".to_owned()));
    let gz = gzip(b"10.0.0.0/8\n10.0.1.0/24\n");
    assert!(read("t", &gz[..gz.len() - 4]).unwrap_err().starts_with("cannot read t behind line 2; "));
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(read_table(folder.path()), Err(TableError::Directory { .. })));
    assert!(matches!(read_table(&folder.path().join("none")), Err(TableError::Open { .. })));
}

proptest! {
    #[test]
    fn any_line_is_read_or_refused(line: Vec<u8>, csv: bool) {
        let mut format = if csv { Format::Csv { first: true } } else { Format::Unknown };
        let _ = Entries::default().read_line(&line, &mut format);
    }

    #[test]
    fn near_lines_are_read_or_refused(line in "[0-9a:./,\"# A]{0,30}") {
        for mut format in [Format::Csv { first: false }, Format::Lines] {
            let _ = Entries::default().read_line(line.as_bytes(), &mut format);
        }
    }

    #[test]
    fn quoted_names_round_trip(name in "[a-z\", ]{0,20}") {
        let line = format!("::/0,1,\"{}\"", name.replace('"', "\"\""));
        let mut entries = Entries::default();
        entries.read_line(line.as_bytes(), &mut Format::Csv { first: false }).unwrap();
        prop_assert_eq!(entries.list[0].name.as_deref().unwrap_or_default(), name.trim());
    }
}
