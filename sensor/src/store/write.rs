//! Rows and intervals on their way into the file.

use std::collections::HashMap;

use rusqlite::{Connection, Transaction, params};
use sensor_ebpf::class::Evidence;

use super::{
    rows::{Rows, evidence_number},
    spans::Spans,
};
use crate::study::Volume;

/// Words by their numbers, as far as a commit needs them.
pub(super) struct Names<'a> {
    transaction: &'a Transaction<'a>,
    known: HashMap<String, i64>,
}

impl<'a> Names<'a> {
    pub(super) fn new(transaction: &'a Transaction<'a>) -> Self {
        Self { transaction, known: HashMap::new() }
    }

    pub(super) fn number(&mut self, name: &str) -> rusqlite::Result<i64> {
        if let Some(number) = self.known.get(name) {
            return Ok(*number);
        }
        self.transaction.prepare_cached("INSERT OR IGNORE INTO names(name) VALUES (?1)")?.execute([name])?;
        let mut find = self.transaction.prepare_cached("SELECT id FROM names WHERE name = ?1")?;
        let number = find.query_row([name], |row| row.get(0))?;
        self.known.insert(name.to_owned(), number);
        Ok(number)
    }
}

/// Adds rows of a source.
pub(super) fn rows(transaction: &Transaction<'_>, source: i64, rows: &Rows) -> rusqlite::Result<()> {
    let mut names = Names::new(transaction);
    let mut add = transaction.prepare_cached(
        "INSERT INTO traffic VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO UPDATE SET
         in_packets = in_packets + excluded.in_packets, in_bytes = in_bytes + excluded.in_bytes,
         out_packets = out_packets + excluded.out_packets, out_bytes = out_bytes + excluded.out_bytes",
    )?;
    for ((network, dimension, step, start, name, evidence), volume) in &rows.traffic {
        let (network, name) = (names.number(network)?, names.number(name)?);
        let Volume { in_packets, in_bytes, out_packets, out_bytes } = volume;
        let place = params![network, *dimension as u8, step, start, name, evidence, source];
        let counts = params![in_packets, in_bytes, out_packets, out_bytes];
        add.execute(&*[place, counts].concat())?;
    }
    let mut add = transaction.prepare_cached(
        "INSERT INTO prefixes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET
         in_packets = in_packets + excluded.in_packets, in_bytes = in_bytes + excluded.in_bytes,
         out_packets = out_packets + excluded.out_packets, out_bytes = out_bytes + excluded.out_bytes",
    )?;
    for ((day, prefix, network), volume) in &rows.prefixes {
        // Numbers of names begin with 1.
        let network = network.as_ref().map_or(Ok(0), |network| names.number(network))?;
        let Volume { in_packets, in_bytes, out_packets, out_bytes } = volume;
        add.execute(params![day, prefix, network, source, in_packets, in_bytes, out_packets, out_bytes])?;
    }
    for (name, (asn, as_name)) in &rows.systems {
        let name = names.number(name)?;
        let as_name = as_name.as_ref().map(|as_name| names.number(as_name)).transpose()?;
        let mut add = transaction.prepare_cached("INSERT OR REPLACE INTO systems VALUES (?1, ?2, ?3)")?;
        add.execute(params![name, asn, as_name])?;
    }
    sights(&mut names, source, rows)?;
    let mut add = transaction.prepare_cached(
        "INSERT INTO ledger VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET value = value + excluded.value",
    )?;
    for ((start, interface, side, counter), value) in &rows.ledger {
        let [interface, side, counter] = [names.number(interface)?, names.number(side)?, names.number(counter)?];
        add.execute(params![start, source, interface, side, counter, value.cast_signed()])?;
    }
    Ok(())
}

/// What was seen at watched addresses.
fn sights(names: &mut Names<'_>, source: i64, rows: &Rows) -> rusqlite::Result<()> {
    let transaction = names.transaction;
    let mut find = transaction
        .prepare_cached("SELECT bits FROM active WHERE network = ?1 AND day = ?2 AND block = ?3 AND source = ?4")?;
    let mut add = transaction.prepare_cached("INSERT OR REPLACE INTO active VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for ((network, day, block), bits) in &rows.active {
        let network = names.number(network)?;
        let mut bits = *bits;
        let mut before = find.query(params![network, day, block, source])?;
        if let Some(row) = before.next()? {
            let before: [u8; 32] = row.get(0)?;
            bits.iter_mut().zip(before).for_each(|(bits, before)| *bits |= before);
        }
        add.execute(params![network, day, block, source, bits])?;
    }
    let mut add = transaction.prepare_cached(
        "INSERT INTO heard VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET flows = flows + excluded.flows,
         one_way_flows = one_way_flows + excluded.one_way_flows, asymmetric_flows = asymmetric_flows + excluded.asymmetric_flows,
         incomplete = max(incomplete, excluded.incomplete)",
    )?;
    for ((network, day), heard) in &rows.heard {
        let counts = [heard.flows, heard.one_way_flows, heard.asymmetric_flows].map(u64::cast_signed);
        let network = names.number(network)?;
        add.execute(params![network, day, source, counts[0], counts[1], counts[2], heard.incomplete])?;
    }
    let mut add = transaction.prepare_cached(
        "INSERT INTO services VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO UPDATE SET
         class = excluded.class, evidence = excluded.evidence, first = min(first, excluded.first),
         last = max(last, excluded.last), answers = max(answers, excluded.answers), clients = max(clients, excluded.clients)",
    )?;
    for ((network, day, address, port, protocol), record) in &rows.services {
        let (network, class) = (names.number(network)?, names.number(record.class.name())?);
        let (first, last) = (record.first.as_microsecond(), record.last.as_microsecond());
        let (answers, clients) = (record.answers.cast_signed(), record.clients.cast_signed());
        let (address, evidence) = (address.to_string(), evidence_number(record.evidence));
        let place = params![network, day, address, port, protocol, source];
        add.execute(&*[place, params![class, evidence, first, last, answers, clients]].concat())?;
    }
    let mut add = transaction.prepare_cached(
        "INSERT INTO class_hosts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE SET
         first = min(first, excluded.first), last = max(last, excluded.last), flows = excluded.flows",
    )?;
    for ((network, day, class, evidence, address), record) in &rows.class_hosts {
        let (network, class) = (names.number(network)?, names.number(class.name())?);
        let (first, last) = (record.first.as_microsecond(), record.last.as_microsecond());
        let (address, flows) = (address.to_string(), record.flows.cast_signed());
        add.execute(params![network, day, class, evidence, address, source, first, last, flows])?;
    }
    let mut add = transaction.prepare_cached("INSERT OR IGNORE INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for (sequence, place, record) in &rows.events {
        let network = record.network.as_ref().map(|network| names.number(network)).transpose()?;
        let event = names.number(record.event.name())?;
        let line =
            serde_json::to_string(record).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let (sequence, place) = (sequence.cast_signed(), *place as i64);
        add.execute(params![record.at.as_microsecond(), source, sequence, place, network, event, line])?;
    }
    Ok(())
}

/// Notes which intervals of a source are there.
pub(super) fn spans(transaction: &Transaction<'_>, source: i64, spans: &Spans) -> rusqlite::Result<()> {
    let mut add = transaction.prepare_cached("INSERT OR REPLACE INTO spans VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (first, run) in &spans.0 {
        let [first, last, blind] = [*first, run.last, run.blind_ms].map(u64::cast_signed);
        add.execute(params![source, first, last, run.start, run.end, blind])?;
    }
    Ok(())
}

/// Removes all of a source.
pub(super) fn remove(connection: &Connection, source: i64) -> anyhow::Result<()> {
    const TABLES: [&str; 9] =
        ["traffic", "prefixes", "active", "heard", "services", "class_hosts", "events", "ledger", "spans"];
    let transaction = connection.unchecked_transaction()?;
    for table in TABLES {
        transaction.execute(&format!("DELETE FROM {table} WHERE source = ?1"), [source])?;
    }
    transaction.execute("DELETE FROM sources WHERE id = ?1", [source])?;
    Ok(transaction.commit()?)
}

const _: () = assert!(Evidence::ALL.len() == 4, "numbers of evidence are in stores");
