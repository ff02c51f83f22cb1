//! Writes small MaxMind databases (MaxMind DB File Format Specification 2.0), with records of 24 bits.

use std::net::IpAddr;

use crate::cidr::Cidr;

/// What stands before the metadata.
const MARK: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// A value of a record.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Number(u32),
    Map(Vec<(String, Value)>),
}

pub(super) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(super) fn map(entries: &[(&str, Value)]) -> Value {
    Value::Map(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

impl Value {
    /// Control byte, size and bytes; everything here is shorter than 285.
    fn write(&self, out: &mut Vec<u8>) {
        let head = |kind: u8, len: usize, out: &mut Vec<u8>| match len {
            0..29 => out.push(kind << 5 | len as u8),
            _ => out.extend([kind << 5 | 29, (len - 29) as u8]),
        };
        match self {
            Self::Text(text) => {
                head(2, text.len(), out);
                out.extend(text.as_bytes());
            }
            Self::Number(number) => {
                head(6, 4, out);
                out.extend(number.to_be_bytes());
            }
            Self::Map(entries) => {
                head(7, entries.len(), out);
                for (key, value) in entries {
                    Self::Text(key.clone()).write(out);
                    value.write(out);
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

/// An IPv6 database of these networks, none inside another; IPv4 ones lie below ::/96.
pub(super) fn database(networks: &[(&str, Value)]) -> Vec<u8> {
    let mut nodes = vec![[Record::Nothing; 2]];
    let mut data = vec![];
    for (network, value) in networks {
        let cidr: Cidr = network.parse().unwrap();
        let (bits, len) = match cidr.address() {
            IpAddr::V4(address) => (u128::from(address.to_bits()), usize::from(cidr.prefix_len()) + 96),
            IpAddr::V6(address) => (address.to_bits(), usize::from(cidr.prefix_len())),
        };
        let mut node = 0;
        for depth in 0..len {
            let side = (bits >> (127 - depth) & 1) as usize;
            if depth + 1 == len {
                nodes[node][side] = Record::Data(data.len());
            } else if let Record::Node(next) = nodes[node][side] {
                node = next;
            } else {
                nodes.push([Record::Nothing; 2]);
                let next = nodes.len() - 1;
                nodes[node][side] = Record::Node(next);
                node = next;
            }
        }
        value.write(&mut data);
    }
    let mut out = vec![];
    for record in nodes.iter().flatten() {
        let number = match record {
            Record::Nothing => nodes.len(),
            Record::Node(index) => *index,
            Record::Data(offset) => nodes.len() + 16 + offset,
        };
        out.extend(&(number as u32).to_be_bytes()[1..]);
    }
    out.extend([0; 16]);
    out.extend(data);
    out.extend(MARK);
    let number = |number: usize| Value::Number(number as u32);
    // The reader wants each number in the type that the specification gives it.
    let metadata = [("node_count", number(nodes.len())), ("database_type", text("Test"))];
    let mut body = vec![7 << 5 | 9];
    for (key, value) in metadata {
        text(key).write(&mut body);
        value.write(&mut body);
    }
    for (key, short) in [
        ("record_size", 24u16),
        ("ip_version", 6),
        ("binary_format_major_version", 2),
        ("binary_format_minor_version", 0),
    ] {
        text(key).write(&mut body);
        body.push(5 << 5 | 2);
        body.extend(short.to_be_bytes());
    }
    text("build_epoch").write(&mut body);
    // An extended type, 64 bits unsigned: 2 behind 7.
    body.extend([8, 2, 0, 0, 0, 0, 0, 0, 0, 1]);
    text("languages").write(&mut body);
    // An empty array: 4 behind 7.
    body.extend([0, 4]);
    text("description").write(&mut body);
    Value::Map(vec![]).write(&mut body);
    out.extend(body);
    out
}
