//! A collector of IPFIX that keeps prefixes by their key.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex},
};

use jiff::Timestamp;
use sensor::{
    cidr::Cidr,
    testing::{
        ipfix::{Record, Session},
        truth::Sum,
    },
};

use crate::{
    check::{Key, Seen},
    server::{Came, Connection, Manner},
};

/// The first observation domain of the configuration, that of prefixes.
pub(crate) const DOMAIN: u32 = 5;
/// A connection is reset within so many bytes, a few intervals.
const RESET_WITHIN: usize = 100_000;
/// Information elements (IANA, and docs/ipfix.md).
const OCTETS: u16 = 1;
const PACKETS: u16 = 2;
const FRAME_OCTETS: u16 = 352;
const IP_VERSION: u16 = 60;
const DIRECTION: u16 = 61;
const END: u16 = 153;
const NOT_SENT: u16 = 166;
const EPOCH: u16 = 1000;
const SEQUENCE: u16 = 1001;
/// Source and destination, each address and length.
const V4: [[u16; 2]; 2] = [[8, 9], [12, 13]];
const V6: [[u16; 2]; 2] = [[27, 29], [28, 30]];

/// What a collector was sent.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) prefixes: BTreeMap<Key, Sum>,
    /// Records whose key was there already.
    pub(crate) repeated: usize,
    /// Records that were in sockets when they died.
    pub(crate) unread: BTreeSet<Key>,
    pub(crate) sessions: usize,
    /// The highest figure of records that the sensor could not send.
    pub(crate) not_sent: u64,
    pub(crate) seen: Seen,
    /// What must not be.
    pub(crate) wrong: Vec<String>,
}

/// Serves a connection as the collector behaves.
pub(crate) fn serve(mut connection: Connection, book: &Arc<Mutex<Book>>) {
    book.lock().unwrap().sessions += 1;
    let (mut session, mut bytes) = (Session::default(), vec![]);
    let (mut left, mut has_answered) = (None, false);
    while let Some(manner) = connection.manner() {
        left = left.filter(|_| manner == Manner::Reset);
        if manner == Manner::Gone {
            let unread = connection.die(false);
            return book.lock().unwrap().lose(&mut session, bytes, &unread);
        }
        if manner == Manner::Garbage && !has_answered {
            has_answered = connection.stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").is_ok();
        }
        if manner == Manner::Reset {
            left = left.or_else(|| Some(connection.rng.between(1, RESET_WITHIN)));
        }
        match connection.read(left.unwrap_or(usize::MAX), &mut bytes) {
            Came::Bytes(len) => left = left.map(|left| left - len),
            Came::Nothing => {}
            Came::End => return,
        }
        let records = session.stream(&mut bytes);
        let mut kept = book.lock().unwrap();
        kept.keep(records, session.gaps + session.unknown_sets);
        if left == Some(0) {
            return kept.lose(&mut session, bytes, &connection.die(true));
        }
    }
}

impl Book {
    /// Takes records; `strange` are sequence numbers and sets that do not fit.
    pub(crate) fn keep(&mut self, records: Result<Vec<Record>, String>, strange: u32) {
        match records {
            Err(error) => self.wrong.push(error),
            Ok(_) if strange > 0 => {
                self.wrong.push("a gap in sequence numbers, or a set without a template".to_owned())
            }
            Ok(records) => records.iter().for_each(|record| self.record(record)),
        }
    }

    fn record(&mut self, record: &Record) {
        if record.is_options {
            self.not_sent = self.not_sent.max(record.number(NOT_SENT));
            return;
        }
        let (key, number) = (key(record), |element| record.number(element));
        let sum = Sum { packets: number(PACKETS), bytes: number(OCTETS), frame_bytes: number(FRAME_OCTETS) };
        self.seen.note(&key, Timestamp::from_millisecond(number(END) as i64).unwrap());
        match self.prefixes.insert(key.clone(), sum) {
            None => {}
            Some(earlier) if earlier == sum => self.repeated += 1,
            Some(earlier) => self.wrong.push(format!("{key:?}: {earlier:?}, and {sum:?}")),
        }
    }

    /// Keeps what a collector had not read, or not looked at, when it died.
    fn lose(&mut self, session: &mut Session, mut bytes: Vec<u8>, unread: &[u8]) {
        bytes.extend_from_slice(unread);
        match session.stream(&mut bytes) {
            Ok(records) => self.unread.extend(records.iter().filter(|record| !record.is_options).map(key)),
            Err(error) => self.wrong.push(error),
        }
    }
}

fn key(record: &Record) -> Key {
    let is_out = record.number(DIRECTION) == 1;
    let is_v4 = record.number(IP_VERSION) == 4;
    let [address, len] = if is_v4 { V4 } else { V6 }[usize::from(!is_out)];
    let (bytes, len) = (record.bytes(address).unwrap(), record.number(len));
    let address = match is_v4 {
        true => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).unwrap()).to_string(),
        false => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).unwrap()).to_string(),
    };
    let prefix: Cidr = format!("{address}/{len}").parse().unwrap();
    let epoch = record.bytes(EPOCH).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    let direction = if is_out { "out" } else { "in" };
    Key { epoch, sequence: record.number(SEQUENCE), prefix: prefix.to_string(), direction: direction.to_owned() }
}
