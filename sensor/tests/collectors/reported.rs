//! What collectors of IPFIX report, each in its own words, as sums of one kind.

use std::{collections::BTreeMap, net::IpAddr};

use serde_json::Value;

use crate::history::{Sums, add};

/// The sensor's own elements that these tests ask for: number, name, type and length.
pub(crate) const OWN: [(u16, &str, &str, u16); 8] = [
    (1001, "intervalSequence", "unsigned64", 8),
    (1003, "networkName", "string", 65),
    (1004, "upstreamName", "string", 65),
    (1005, "classEvidence", "unsigned8", 1),
    (1006, "movedOctetDeltaCount", "unsigned64", 8),
    (1007, "movedPacketDeltaCount", "unsigned64", 8),
    (1008, "countryCode", "string", 3),
    (1009, "counterpartList", "string", 128),
];
/// Their enterprise number.
pub(crate) const ENTERPRISE: u32 = 32_473;

/// A record as a collector shows it: fields by the names of IPFIX, and its observation domain.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) domain: u64,
    pub(crate) fields: BTreeMap<String, String>,
}

impl Row {
    fn text(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// What it says, or a dash.
    fn name(&self, name: &str) -> &str {
        Some(self.text(name)).filter(|text| !text.is_empty()).unwrap_or("-")
    }

    fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap()
    }
}

/// What records of the domains of prefixes (1), networks (2) and counterparts (3) add up to, as what is printed does
/// ([`said`](crate::history::said)). Classes are named by what options say of their ids.
pub(crate) fn sums(rows: &[Row]) -> Sums {
    let named = rows.iter().filter(|row| row.fields.contains_key("applicationName"));
    let classes: BTreeMap<&str, &str> =
        named.map(|row| (row.text("applicationId"), row.text("applicationName"))).collect();
    let mut sums = Sums::new();
    for row in rows.iter().filter(|row| row.fields.contains_key("octetDeltaCount")) {
        let is_out = row.number("flowDirection") == 1;
        let (direction, end) = if is_out { ("out", "source") } else { ("in", "destination") };
        let (packets, bytes) = (row.number("packetDeltaCount"), row.number("octetDeltaCount"));
        match row.domain {
            1 => {
                let version = if row.fields.contains_key(&format!("{end}IPv6Address")) { "IPv6" } else { "IPv4" };
                let [address, length] =
                    ["Address", "PrefixLength"].map(|part| row.text(&format!("{end}{version}{part}")));
                // Some write all digits of an address.
                let address: IpAddr = address.parse().unwrap();
                add(&mut sums, format!("prefix {address}/{length} {direction}"), packets, bytes);
            }
            2 => {
                let evidence = ["-", "port", "list", "payload", "confirmed"][row.number("classEvidence") as usize];
                let [network, upstream] = ["networkName", "upstreamName"].map(|field| row.name(field));
                let about =
                    format!("{network} {direction} {upstream} {} {evidence}", classes[row.text("applicationId")]);
                let [packets_moved, moved] =
                    ["movedPacketDeltaCount", "movedOctetDeltaCount"].map(|name| row.number(name));
                add(&mut sums, format!("network {about}"), packets, bytes);
                add(&mut sums, format!("moved {about}"), packets_moved, moved);
            }
            3 => {
                let asn = row.number(if is_out { "bgpDestinationAsNumber" } else { "bgpSourceAsNumber" });
                let [network, country, list] =
                    ["networkName", "countryCode", "counterpartList"].map(|field| row.name(field));
                add(&mut sums, format!("counterpart {network} {direction} {country} {asn} {list}"), packets, bytes);
            }
            other => panic!("domain {other}"),
        }
    }
    sums
}

/// A value of JSON without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What `ipfixDump` writes: headers of messages, and of each record a line for each field.
pub(crate) fn of_fixbuf(text: &str) -> Vec<Row> {
    let (mut domain, mut rows) = (0, Vec::<Row>::new());
    for line in text.lines() {
        if let Some((_, number)) = line.split_once("observation domain id: ") {
            domain = number.trim().parse().unwrap();
        } else if line.starts_with("--- ") {
            rows.push(Row { domain, ..Row::default() });
        } else if let (Some((field, value)), Some(row)) = (line.split_once(" : "), rows.last_mut()) {
            let Some((_, name)) = field.rsplit_once(' ') else { continue };
            // Texts say how long they are.
            let value = match value.strip_prefix("(len: ") {
                Some(rest) => rest.split_once(") ").map_or("", |(_, text)| text),
                None => value,
            };
            row.fields.insert(name.to_owned(), value.trim_end().to_owned());
        }
    }
    rows
}

/// What `tshark -T json --no-duplicate-keys` writes. Own elements it only numbers: they stand in the order of the template.
pub(crate) fn of_tshark(text: &str) -> Vec<Row> {
    const NAMES: [(&str, &str); 21] = [
        ("srcaddr", "sourceIPv4Address"),
        ("dstaddr", "destinationIPv4Address"),
        ("srcmask", "sourceIPv4PrefixLength"),
        ("dstmask", "destinationIPv4PrefixLength"),
        ("srcaddrv6", "sourceIPv6Address"),
        ("dstaddrv6", "destinationIPv6Address"),
        ("srcmaskv6", "sourceIPv6PrefixLength"),
        ("dstmaskv6", "destinationIPv6PrefixLength"),
        ("direction", "flowDirection"),
        ("octets", "octetDeltaCount"),
        ("packets", "packetDeltaCount"),
        ("srcas", "bgpSourceAsNumber"),
        ("dstas", "bgpDestinationAsNumber"),
        ("appl_id.selector_id", "applicationId"),
        ("appl_name", "applicationName"),
        ("appl_desc", "applicationDescription"),
        ("peer_srcas", "bgpPrevAdjacentAsNumber"),
        ("peer_dstas", "bgpNextAdjacentAsNumber"),
        ("inputint", "ingressInterface"),
        ("outputint", "egressInterface"),
        ("ip_version", "ipVersion"),
    ];
    let packets: Vec<Value> = serde_json::from_str(text).unwrap();
    let mut rows = vec![];
    for packet in &packets {
        let message = &packet["_source"]["layers"]["cflow"];
        let domain = message["cflow.od_id"].as_str().unwrap().parse().unwrap();
        let sets = message.as_object().unwrap().values().filter_map(Value::as_object);
        for (set, flow) in
            sets.flat_map(|set| set.iter().map(move |flow| (set, flow.1))).filter(|(_, flow)| flow.is_object())
        {
            let mut row = Row { domain, ..Row::default() };
            for (short, name) in NAMES {
                if let Some(value) = flow.get(format!("cflow.{short}")) {
                    row.fields.insert(name.to_owned(), plain(value));
                }
            }
            let own: &[u16] = match set["cflow.flowset_id"].as_str().unwrap() {
                "258" => &[1003, 1004, 1005, 1006, 1007],
                "259" => &[1003, 1008, 1009],
                _ => &[],
            };
            let values = flow["cflow.enterprise_private_entry"].as_array().into_iter().flatten();
            for (number, value) in own.iter().zip(values) {
                let (_, name, kind, _) = OWN.iter().find(|(own, ..)| own == number).unwrap();
                let bytes = value.as_str().unwrap().split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap());
                let text = match *kind {
                    "string" => String::from_utf8(bytes.take_while(|byte| *byte != 0).collect()).unwrap(),
                    _ => bytes.fold(0_u64, |number, byte| number << 8 | u64::from(byte)).to_string(),
                };
                row.fields.insert((*name).to_owned(), text);
            }
            rows.push(row);
        }
    }
    rows
}

/// What `nfacctd` prints as JSON; it has own names for elements, and those that its configuration gives them.
pub(crate) fn of_pmacct(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        let mut row = Row { domain: record["export_proto_sysid"].as_u64().unwrap(), ..Row::default() };
        let version = if record["ip_src"].as_str().unwrap().contains(':') { "IPv6" } else { "IPv4" };
        let named = [
            ("ip_src", format!("source{version}Address")),
            ("ip_dst", format!("destination{version}Address")),
            ("mask_src", format!("source{version}PrefixLength")),
            ("mask_dst", format!("destination{version}PrefixLength")),
        ];
        let more = [
            ("as_src", "bgpSourceAsNumber"),
            ("as_dst", "bgpDestinationAsNumber"),
            ("packets", "packetDeltaCount"),
            ("bytes", "octetDeltaCount"),
            ("flowdirection", "flowDirection"),
            ("applicationid", "applicationId"),
        ];
        let own = OWN.map(|(_, name, ..)| (name.to_lowercase(), name.to_owned()));
        let all = named.into_iter().chain(more.map(|(short, name)| (short, name.to_owned())));
        let all = all.map(|(short, name)| (short.to_owned(), name)).chain(own);
        row.fields.extend(all.map(|(short, name)| (name, plain(&record[short]))));
        row
    };
    text.lines().map(row).collect()
}

/// Lines that `ipfix_tls.py` prints: the domain, and fields by their names.
pub(crate) fn of_python<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<Row> {
    let row = |line: &str| {
        let (domain, fields): (u64, BTreeMap<String, Value>) = serde_json::from_str(line).unwrap();
        let fields = fields.into_iter().map(|(name, value)| (name, plain(&value))).collect();
        Row { domain, fields }
    };
    lines.into_iter().map(row).collect()
}
