//! What flows of a replay carried, whatever was looked at of them, and what they were found to be.

use std::collections::HashMap;

use crate::{
    inspect::{Flow, Packet, Verdict},
    summary::FlowRecord,
};

/// Flows that are counted; packets of others are counted as overflow.
const MAX_FLOWS: usize = 1 << 20;

/// A flow, and what was counted of it.
#[derive(Debug)]
struct Entry {
    /// Its addresses and ports, as its first packet had them.
    flow: Flow,
    verdict: Option<Verdict>,
    /// Packets by who sent them, that one first, and their L3 bytes.
    packets: [u64; 2],
    bytes: [u64; 2],
}

/// Counts of all flows, in the order of their first packets.
#[derive(Debug, Default)]
pub(super) struct FlowBook {
    places: HashMap<Flow, usize>,
    entries: Vec<Entry>,
    overflow: u64,
}

impl FlowBook {
    /// Counts a packet.
    pub(super) fn count(&mut self, packet: &Packet<'_>) {
        let key = packet.flow.key();
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None if self.entries.len() >= MAX_FLOWS => {
                self.overflow += 1;
                return;
            }
            None => {
                self.places.insert(key, self.entries.len());
                self.entries.push(Entry { flow: packet.flow, verdict: None, packets: [0; 2], bytes: [0; 2] });
                self.entries.len() - 1
            }
        };
        let entry = &mut self.entries[place];
        let from = usize::from(packet.flow != entry.flow);
        entry.packets[from] += 1;
        entry.bytes[from] += u64::from(packet.length);
    }

    /// Says what a flow was found to be; of several verdicts, as on a connection whose ports are used again, the surest stands, and of those the last.
    pub(super) fn decide(&mut self, flow: Flow, verdict: Verdict) {
        let Some(place) = self.places.get(&flow.key()) else { return };
        let entry = &mut self.entries[*place];
        if entry.verdict.is_none_or(|before| verdict.evidence >= before.evidence) {
            entry.verdict = Some(verdict);
        }
    }

    /// Packets that are in no record.
    pub(super) fn overflow(&self) -> u64 {
        self.overflow
    }

    /// A record for each flow.
    pub(super) fn records(self) -> impl Iterator<Item = FlowRecord> {
        self.entries.into_iter().map(|entry| FlowRecord::new(entry.flow, entry.verdict, entry.packets, entry.bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use sensor_ebpf::class::Class;

    use super::*;

    fn packet(flow: Flow, length: u32) -> Packet<'static> {
        Packet { flow, length, tcp: None, payload: &[], payload_len: 0 }
    }

    fn flow(source: u8, destination: u8) -> Flow {
        let end = |last| (IpAddr::from([192, 0, 2, last]), u16::from(last));
        Flow { protocol: 17, source: end(source), destination: end(destination) }
    }

    #[test]
    fn both_directions_are_one_record_in_the_order_of_first_packets() {
        let mut book = FlowBook::default();
        for (source, destination, length) in [(9, 1, 30), (1, 9, 500), (9, 1, 40), (1, 2, 60)] {
            book.count(&packet(flow(source, destination), length));
        }
        let records: Vec<FlowRecord> = book.records().collect();
        let figures = |record: &FlowRecord| {
            (record.src_port, record.packets, record.bytes, record.reverse_packets, record.reverse_bytes)
        };
        assert_eq!(records.iter().map(figures).collect::<Vec<_>>(), [(9, 2, 70, 1, 500), (1, 1, 60, 0, 0)]);
    }

    #[test]
    fn the_surest_verdict_stands_and_of_those_the_last() {
        let mut book = FlowBook::default();
        book.count(&packet(flow(1, 2), 28));
        for verdict in [Verdict::payload(Class::Http), Verdict::confirmed(Class::Tls), Verdict::confirmed(Class::Tor)] {
            book.decide(flow(2, 1), verdict);
        }
        book.decide(flow(1, 2), Verdict::payload(Class::Dns));
        book.decide(flow(1, 3), Verdict::payload(Class::Dns));
        let records: Vec<_> = book.records().map(|record| (record.class, record.evidence)).collect();
        assert_eq!(records, [("tor", Some("confirmed"))]);
    }
}
