//! Records of each version of nfdump are read for what they say, and what is none is counted by reason.

use std::{io::BufReader, path::Path};

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

/// As nfdump 1.7.1 prints it (Debian 12); 1.6 has the same names and fewer columns.
const CSV_1_7: &str = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt,in,out,sas,das,smk,dmk,dtos,dir,nh,nhb,svln,dvln,ismc,odmc,idmc,osmc,ra,eng,exid,tr
2019-01-01 00:00:00,2019-01-01 00:05:30,330.100,192.0.2.7,198.51.100.9,40000,443,TCP,...A..S.,0,0,12,1140,0,0,3,4,0,64500,0,0,0,0,203.0.113.1,203.0.113.2,0,7,00:00:00:00:00:00,02:00:00:00:01:01,00:00:00:00:00:00,00:00:00:00:00:00,0.0.0.0,17/1,0,2026-11-29 14:56:31.565
2019-01-01 00:00:09,2019-01-01 00:00:09,0.000,2001:db8::1,2001:db8:ffff::2,0,32768,ICMP6,........,0,0,1,104,2,208,0,0,0,0,0,0,0,0,0.0.0.0,0.0.0.0,0,0,00:00:00:00:00:00,00:00:00:00:00:00,00:00:00:00:00:00,00:00:00:00:00:00,0.0.0.0,17/1,0,2026-11-29 14:56:31.564
Summary
flows,bytes,packets,avg_bps,avg_pps,avg_bpp
2,1244,13,334,0,530
";
/// As 1.7.4 and later print it.
const CSV_1_7_4: &str = "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows
2019-01-01 00:00:00.250,00:05:30.100,TCP,192.0.2.7,40000,198.51.100.9,443,12,1140,1
2019-01-01 00:00:09.000,00:00:00.000,ICMP6,2001:db8::1,0,2001:db8:ffff::2,128.0,1,104,1
";
const CSV_FAST: &str = "cnt,af,firstSeen,lastSeen,proto,srcAddr,srcPort,dstAddr,dstPort,srcAS,dstAS,input,output,flags,srcTos,packets,bytes
1,2,1546300800250,1546301130350,6,192.0.2.7,40000,198.51.100.9,443,0,0,0,0,...A..S.,0,12,1140
2,10,1546300809000,1546300809000,58,2001:db8::1,0,2001:db8:ffff::2,32768,0,0,0,0,........,0,1,104
";
const JSON: &str = r#"[
{
	"type" : "FLOW",
	"sampled" : 0,
	"export_sysid" : 0,
	"first" : "2019-01-01T00:00:00.250",
	"last" : "2019-01-01T00:05:30.350",
	"in_packets" : 12,
	"in_bytes" : 1140,
	"proto" : 6,
	"tcp_flags" : "...A..S.",
	"src_port" : 40000,
	"dst_port" : 443,
	"src4_addr" : "192.0.2.7",
	"dst4_addr" : "198.51.100.9",
	"out_dst_mac" : "02:00:00:00:01:01",
	"src_vlan" : 0,
	"dst_vlan" : 7,
	"ip4_next_hop" : "203.0.113.1",
	"bgp4_next_hop" : "203.0.113.2",
	"label" : "a \"brace\" { in a text"
},
{
	"type" : "EVENT",
	"t_event" : "2019-01-01T00:00:00.250"
},
{
	"type" : "FLOW",
	"sampled" : 1,
	"t_first" : "2019-01-01T00:00:09.000",
	"t_last" : "2019-01-01T00:00:09.000",
	"in_packets" : 1,
	"in_bytes" : 104,
	"out_packets" : 2,
	"out_bytes" : 208,
	"proto" : 58,
	"icmp_type" : 128,
	"icmp_code" : 0,
	"src6_addr" : "2001:db8::1",
	"dst6_addr" : "2001:db8:ffff::2"
}
]
"#;
const NEW_YEAR: i64 = 1_546_300_800;
pub(crate) const LATEST: i64 = 2_000_000_000;

pub(crate) fn reading(format: Format) -> Reading {
    Reading { format, zone: TimeZone::UTC, latest: LATEST }
}

fn read_by(reading: &Reading, text: &[u8]) -> Result<Vec<Read>> {
    let mut all = vec![];
    // Pieces that are shorter than a record.
    let mut reader = BufReader::with_capacity(61, text);
    reading.records(&mut reader, &mut |read| {
        all.push(read);
        Ok(())
    })?;
    Ok(all)
}

fn flows(format: Format, text: &str) -> Vec<Flow> {
    read_by(&reading(format), text.as_bytes()).unwrap().into_iter().map(|read| read.flow.unwrap()).collect()
}

/// Lines and what is wrong there; 0 of a thousand: nothing.
fn damage(format: Format, text: &[u8]) -> Vec<(u64, Option<Damage>)> {
    let all = read_by(&reading(format), text).unwrap();
    all.into_iter().map(|read| (read.line, read.flow.err())).collect()
}

#[test]
fn each_version_says_the_same_of_the_same_flows() {
    let full = flows(Format::NfdumpCsv, CSV_1_7);
    assert_eq!(full.len(), 2);
    let tcp = &full[0];
    assert_eq!((tcp.first, tcp.last), (NEW_YEAR, NEW_YEAR + 330));
    assert_eq!((tcp.source, tcp.destination), ("192.0.2.7".parse().unwrap(), "198.51.100.9".parse().unwrap()));
    assert_eq!((tcp.ports, tcp.protocol), ([40_000, 443], 6));
    assert_eq!((tcp.counts, tcp.back), (Counts { packets: 12, bytes: 1140 }, Counts::default()));
    assert_eq!((tcp.macs, tcp.vlans), ([None, Some([2, 0, 0, 0, 1, 1])], [None, Some(7)]));
    assert_eq!(tcp.next_hops, ["203.0.113.1", "203.0.113.2"].map(|hop| Some(hop.parse().unwrap())));
    let icmp = &full[1];
    assert_eq!((icmp.ports, icmp.protocol, icmp.next_hops), ([0, 0], 58, [None, None]));
    assert_eq!(icmp.back, Counts { packets: 2, bytes: 208 });
    let json = flows(Format::NfdumpJson, JSON);
    assert_eq!(json, [tcp.clone(), Flow { is_scaled: true, ..icmp.clone() }]);
    // What shorter formats do not have, nobody says.
    let short = |flow: &Flow| Flow {
        back: Counts::default(),
        macs: [None; 2],
        vlans: [None; 2],
        next_hops: [None; 2],
        ..flow.clone()
    };
    for text in [CSV_1_7_4, CSV_FAST] {
        assert_eq!(flows(Format::NfdumpCsv, text), [short(tcp), short(icmp)]);
    }
}

#[test]
fn objects_may_stand_one_a_line_and_exports_behind_each_other() {
    let object = |bytes: u64| {
        format!(
            "{{\"type\":\"FLOW\",\"first\":\"2019-01-01T00:00:00\",\"last\":\"2019-01-01T00:00:00\",\"proto\":17,\"src4_addr\":\"192.0.2.1\",\
             \"dst4_addr\":\"198.51.100.1\",\"in_packets\":1,\"in_bytes\":{bytes}}}"
        )
    };
    let bytes = |flows: &[Flow]| flows.iter().map(|flow| flow.counts.bytes).collect::<Vec<_>>();
    let lines = format!("{}\n{}\n", object(100), object(200));
    assert_eq!(bytes(&flows(Format::NfdumpJson, &lines)), [100, 200]);
    let arrays = format!("[\n{}\n]\n[\nNo matching flows\n]\n[{},{}]", object(1000), object(100), object(200));
    assert_eq!(bytes(&flows(Format::NfdumpJson, &arrays)), [1000, 100, 200]);
    let tables = [CSV_1_7, CSV_1_7_4, CSV_1_7].concat();
    assert_eq!(bytes(&flows(Format::NfdumpCsv, &tables)), [1140, 104, 1140, 104, 1140, 104]);
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    let error = |format, text: &str| format!("{:#}", read_by(&reading(format), text.as_bytes()).unwrap_err());
    assert!(error(Format::NfdumpJson, CSV_1_7).contains("line 1 is none of nfdump -o json"));
    assert!(error(Format::NfdumpJson, "hello").contains("is none of nfdump -o json"));
    assert!(error(Format::NfdumpCsv, JSON).contains("line 1 is no header of nfdump -o csv; export without -q"));
    assert!(error(Format::NfdumpCsv, "No matching flows\n").contains("it has no header"));
    let without = CSV_1_7_4.replace("bytes", "octets");
    assert!(error(Format::NfdumpCsv, &without).contains("no column for Bytes; export with nfdump -o csv"));
    let without = CSV_1_7_4.replace("duration", "length");
    assert!(error(Format::NfdumpCsv, &without).contains("no column for Last"));
    // An export of nothing.
    for (format, text) in
        [(Format::NfdumpCsv, ""), (Format::NfdumpJson, ""), (Format::NfdumpJson, "[\nNo matching flows\n]\n")]
    {
        assert_eq!(read_by(&reading(format), text.as_bytes()).unwrap().len(), 0);
    }
}

#[test]
fn damage_is_told_by_line_and_reason() {
    let header = CSV_1_7_4.lines().next().unwrap();
    let line = CSV_1_7_4.lines().nth(1).unwrap();
    let with = |from: &str, to: &str| line.replace(from, to);
    let damaged = [
        (with("2019-01-01", "1970-01-01"), Damage::Time),
        (with("2019-01-01", "2999-01-01"), Damage::Time),
        (with("2019-01-01", "2019-13-01"), Damage::Time),
        (with("00:05:30.100", "-5"), Damage::Duration),
        (with("00:05:30.100", "9999999999999999999"), Damage::Duration),
        (with("00:05:30.100", "32d 00:00:00"), Damage::Duration),
        (with("192.0.2.7", "192.0.2.777"), Damage::Address),
        (with("192.0.2.7", "::ffff:192.0.2.7"), Damage::Address),
        (with("40000", "70000"), Damage::Number),
        (with("TCP", "999"), Damage::Number),
        (with("443,12", "443,-12"), Damage::Number),
        (with("443,12", "443,NaN"), Damage::Number),
        (with("443,12", "443,1e3"), Damage::Number),
        (with("443,12", "443,99999999999999999999"), Damage::Number),
        (with("443,12,1140", "443,9999999999999999,99999999999999999"), Damage::Number),
        (with("443,12,1140", "443,12,18446744073709551615"), Damage::Size),
        // As a version of nfdump's lines of JSON have it: packets in the place of bytes.
        (with("443,12,1140", "443,12,12"), Damage::Size),
        (with("443,12,1140", "443,0,40"), Damage::Size),
        (with(",443", ""), Damage::Syntax),
        (format!("{line},1"), Damage::Syntax),
        ("\u{0}\u{1}".to_owned(), Damage::Syntax),
        ("x".repeat(MAX_RECORD + 100), Damage::TooLong),
    ];
    for (bad, expected) in damaged {
        let text = format!("{header}\n{bad}\n{line}\n");
        assert_eq!(damage(Format::NfdumpCsv, text.as_bytes()), [(2, Some(expected)), (3, None)], "{bad:.200}");
    }
    assert_eq!(damage(Format::NfdumpCsv, format!("{header}\n{line}").as_bytes()), [(2, Some(Damage::Cut))]);
    let mut bytes = format!("{header}\n").into_bytes();
    bytes.extend(b"\xff\xfe\n");
    assert_eq!(damage(Format::NfdumpCsv, &bytes), [(2, Some(Damage::Syntax))]);
}

#[test]
fn an_object_that_was_cut_takes_no_other_with_it() {
    let [first, second] = [JSON.find("{\n").unwrap(), JSON.find("\"in_bytes\"").unwrap()];
    // In a name, in a text, and between fields.
    for cut in [second + 4, JSON.find("TCP").unwrap_or(JSON.find("...A").unwrap()), second - 2] {
        let text = format!("[\n{}\n{}", &JSON[first..cut], &JSON[2..]);
        let read = damage(Format::NfdumpJson, text.as_bytes());
        assert_eq!(read.len(), 3, "{cut}");
        assert!(matches!(read[0], (2, Some(Damage::Cut | Damage::Syntax))), "{:?}", read[0]);
        assert_eq!([read[1].1, read[2].1], [None, None]);
        // And at the end of the file.
        assert_eq!(damage(Format::NfdumpJson, &JSON.as_bytes()[..cut]), [(2, Some(Damage::Cut))]);
    }
    for (text, expected) in [
        ("[{}]", Damage::Missing),
        ("[{\"first\":{}}]", Damage::Cut),
        ("[{\"first\":[[[[1]]]]}]", Damage::Missing),
        ("[{\"first\":true}]", Damage::Missing),
        ("[{\"first\":-1}]", Damage::Time),
        ("[{\"first\":1e300}]", Damage::Time),
        ("[{first}]", Damage::Syntax),
        ("[{\"a\":1} garbage ]", Damage::Missing),
    ] {
        assert_eq!(damage(Format::NfdumpJson, text.as_bytes())[0].1, Some(expected), "{text}");
    }
    assert_eq!(damage(Format::NfdumpJson, b"[{\"a\":1} garbage ]")[1], (1, Some(Damage::Syntax)));
    let long = format!("[{{\"a\":\"{}\"}},\n{{}}]", "x".repeat(2 * MAX_RECORD));
    assert_eq!(damage(Format::NfdumpJson, long.as_bytes()), [(1, Some(Damage::TooLong)), (2, Some(Damage::Missing))]);
    // Without an end, in bounded memory.
    let endless = format!("[{{\"a\":\"{}", "x".repeat(4 * MAX_RECORD));
    assert_eq!(damage(Format::NfdumpJson, endless.as_bytes()), [(1, Some(Damage::Cut))]);
}

#[test]
fn some_damage_is_passed_over_and_much_is_not() {
    let tally = |good: usize, bad: usize| {
        let mut tally = Tally::default();
        let flow = flows(Format::NfdumpCsv, CSV_1_7_4).remove(0);
        for line in 1..=good + bad {
            let flow = if line <= good { Ok(flow.clone()) } else { Err(Damage::Number) };
            tally.take(Path::new("a.csv"), &Read { line: line as u64, flow });
        }
        tally.check().map_err(|error| error.to_string())
    };
    assert_eq!(tally(0, 0), Ok(()));
    assert_eq!(tally(1, 10), Ok(()));
    assert_eq!(tally(2000, 20), Ok(()));
    let much = tally(500, 11).unwrap_err();
    assert!(
        much.starts_with(
            "11 of 511 records are damaged (11 no number, or too large a one), first a.csv:501: no number"
        ),
        "{much}"
    );
    assert!(tally(0, 1).unwrap_err().contains("nothing was imported: export the files again"));
}

/// Bytes of which the most are those that formats have a meaning for.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"",
        "\\",
        "\n",
        ":",
        "first",
        "te",
        "2019-01-01 00:00:00",
        "99999999999999999999",
        "-1",
        "sa,da",
    ];
    let lines: Vec<String> = CSV_1_7.lines().chain(CSV_FAST.lines()).chain(JSON.lines()).map(str::to_owned).collect();
    let piece = prop_oneof![
        prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        prop::sample::select(lines).prop_map(|line| format!("{line}\n").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_are_more_than_damage(bytes in hostile()) {
        for format in [Format::NfdumpCsv, Format::NfdumpJson] {
            if let Ok(all) = read_by(&reading(format), &bytes) {
                for flow in all.into_iter().filter_map(|read| read.flow.ok()) {
                    prop_assert!(flow.first <= flow.last && flow.last <= LATEST);
                }
            }
        }
    }
}
