//! One JSON object a line: `record` names its kind, the key comes with each.

use std::io::{self, Write};

use serde::Serialize;

use crate::summary::{Key, Summary};

/// Bytes that are handed on at a time.
const CHUNK: usize = 1 << 16;

/// What all lines of a kind begin with.
#[derive(Serialize)]
struct Head<'a> {
    record: &'static str,
    #[serde(flatten)]
    key: &'a Key,
}

pub(super) fn write(summary: &Summary, to: &mut dyn Write) -> io::Result<()> {
    let mut lines = Lines { key: &summary.key, bytes: Vec::with_capacity(2 * CHUNK), to };
    lines.write("network", &summary.networks)?;
    lines.write("counterpart", &summary.counterparts)?;
    lines.write("prefix", &summary.prefixes)?;
    lines.write("unattributed", &summary.unattributed)?;
    lines.write("host", &summary.hosts)?;
    lines.write("service", &summary.services)?;
    lines.write("class_host", &summary.class_hosts)?;
    lines.write("event", &summary.events)?;
    lines.write("flow", &summary.flows)?;
    lines.write("ledger", &summary.ledger)?;
    lines.hand_on()
}

struct Lines<'a> {
    key: &'a Key,
    bytes: Vec<u8>,
    to: &'a mut dyn Write,
}

impl Lines<'_> {
    /// Writes records that have at least one field.
    fn write<T: Serialize>(&mut self, record: &'static str, bodies: &[T]) -> io::Result<()> {
        // The same for a million lines: written once, up to its brace.
        let mut head = serde_json::to_vec(&Head { record, key: self.key })?;
        head.pop();
        for body in bodies {
            self.bytes.extend_from_slice(&head);
            let brace = self.bytes.len();
            serde_json::to_writer(&mut self.bytes, body)?;
            self.bytes[brace] = b',';
            self.bytes.push(b'\n');
            if self.bytes.len() >= CHUNK {
                self.hand_on()?;
            }
        }
        Ok(())
    }

    fn hand_on(&mut self) -> io::Result<()> {
        self.to.write_all(&self.bytes)?;
        self.bytes.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sensor_ebpf::abi::Direction;

    use super::*;
    use crate::{
        epoch::Epoch,
        summary::{Count, LedgerRecord, PrefixRecord},
    };

    #[test]
    fn a_line_is_key_and_record_in_one_object() {
        let key = Key {
            sensor: "edge \"1\"".to_owned(),
            epoch: Epoch::from_bytes([7; 16]).unwrap(),
            start: "2026-01-01T00:00:00Z".parse().unwrap(),
            end: "2026-01-01T00:00:10Z".parse().unwrap(),
            sequence: 3,
        };
        let count = Count { packets: 1, bytes: 20, frame_bytes: 34 };
        let prefix = |prefix: &str, network: Option<&str>| PrefixRecord {
            prefix: prefix.parse().unwrap(),
            direction: Direction::Out,
            network: network.map(Into::into),
            count,
        };
        // More than is handed on at a time.
        let many = 1000;
        let prefixes = (0..many).flat_map(|_| [prefix("192.0.2.0/24", None), prefix("2001:db8::/32", Some("{\"}"))]);
        let ledger = LedgerRecord { unparsed: BTreeMap::from([("not_ip", 2)]), ..LedgerRecord::default() };
        let summary = Summary { prefixes: prefixes.collect(), ledger: vec![ledger], ..Summary::empty(key) };
        let mut written = Vec::new();
        write(&summary, &mut written).unwrap();
        let lines: Vec<&str> = std::str::from_utf8(&written).unwrap().lines().collect();
        assert_eq!(lines.len(), 2 * many + 1);
        let key = r#""sensor":"edge \"1\"","epoch":"07070707070707070707070707070707","start":"2026-01-01T00:00:00Z","end":"2026-01-01T00:00:10Z","sequence":3"#;
        let count = r#""packets":1,"bytes":20,"frame_bytes":34"#;
        let four = format!(r#"{{"record":"prefix",{key},"prefix":"192.0.2.0/24","direction":"out",{count}}}"#);
        let six = format!(
            r#"{{"record":"prefix",{key},"prefix":"2001:db8::/32","direction":"out","network":"{{\"}}",{count}}}"#
        );
        assert!(lines.chunks(2).take(many).all(|pair| pair == [four.as_str(), six.as_str()]));
        let ledger = lines[lines.len() - 1];
        assert!(ledger.starts_with(&format!(r#"{{"record":"ledger",{key},"interface":"","#)), "{ledger}");
        assert!(ledger.contains(r#""unparsed":{"not_ip":2}"#) && ledger.ends_with('}'), "{ledger}");
    }
}
