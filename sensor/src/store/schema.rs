//! The tables of a store, and how one of an earlier version becomes one of this.

use anyhow::{Context as _, Result, bail};
use rusqlite::Connection;

/// "Snsr": what `file` and other programs know a store by.
const APPLICATION: i32 = 0x536e_7372;
/// The version of the tables below.
pub(super) const VERSION: i32 = 2;
/// How a store of version 1 becomes one of version 2, and so on. What they make is what [`TABLES`] makes, to the order of columns.
const STEPS: [&str; VERSION as usize - 1] = ["
    ALTER TABLE sources ADD COLUMN method TEXT NOT NULL DEFAULT 'counted';
    ALTER TABLE sources ADD COLUMN sampling INTEGER NOT NULL DEFAULT 1;"];

/// Times are seconds since 1970 where they begin a step, and microseconds where they are moments; days are numbered from 1970-01-01 in the network's zone.
const TABLES: &str = "
-- Words that many rows share.
CREATE TABLE names(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
-- A life of the counters of a sensor, which ran, or replayed captures; or flows, of one packet in so many.
CREATE TABLE sources(
    id INTEGER PRIMARY KEY, sensor TEXT NOT NULL, epoch TEXT NOT NULL, live INTEGER NOT NULL, method TEXT NOT NULL DEFAULT 'counted',
    sampling INTEGER NOT NULL DEFAULT 1, UNIQUE(sensor, epoch)) STRICT;
-- Intervals that are in here, consecutive ones in one row: their sequences, and the time that they cover.
CREATE TABLE spans(
    source INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL,
    blind_ms INTEGER NOT NULL, PRIMARY KEY(source, first)) WITHOUT ROWID, STRICT;
-- What a network exchanged: in all, or by something. A step is 60 or 900 seconds, or 0: a day, with its number for a start.
CREATE TABLE traffic(
    network INTEGER NOT NULL, dimension INTEGER NOT NULL, step INTEGER NOT NULL, start INTEGER NOT NULL, name INTEGER NOT NULL,
    evidence INTEGER NOT NULL, source INTEGER NOT NULL,
    in_packets INTEGER NOT NULL, in_bytes INTEGER NOT NULL, out_packets INTEGER NOT NULL, out_bytes INTEGER NOT NULL,
    PRIMARY KEY(network, dimension, step, start, name, evidence, source)) WITHOUT ROWID, STRICT;
-- Numbers of autonomous systems, of upstreams and far ends.
CREATE TABLE systems(name INTEGER NOT NULL, asn INTEGER NOT NULL, as_name INTEGER, PRIMARY KEY(name)) WITHOUT ROWID, STRICT;
-- What prefixes had that are counted, by day of their network, or of UTC.
CREATE TABLE prefixes(
    day INTEGER NOT NULL, prefix TEXT NOT NULL, network INTEGER NOT NULL, source INTEGER NOT NULL,
    in_packets INTEGER NOT NULL, in_bytes INTEGER NOT NULL, out_packets INTEGER NOT NULL, out_bytes INTEGER NOT NULL,
    PRIMARY KEY(day, prefix, network, source)) WITHOUT ROWID, STRICT;
-- Active addresses of a /24 as a bitmap, first address in the highest bit of the first byte; of IPv6 the /64s, without bits.
CREATE TABLE active(
    network INTEGER NOT NULL, day INTEGER NOT NULL, block TEXT NOT NULL, source INTEGER NOT NULL, bits BLOB NOT NULL,
    PRIMARY KEY(network, day, block, source)) WITHOUT ROWID, STRICT;
-- How flows of a network were heard.
CREATE TABLE heard(
    network INTEGER NOT NULL, day INTEGER NOT NULL, source INTEGER NOT NULL,
    flows INTEGER NOT NULL, one_way_flows INTEGER NOT NULL, asymmetric_flows INTEGER NOT NULL, incomplete INTEGER NOT NULL,
    PRIMARY KEY(network, day, source)) WITHOUT ROWID, STRICT;
CREATE TABLE services(
    network INTEGER NOT NULL, day INTEGER NOT NULL, address TEXT NOT NULL, port INTEGER NOT NULL, protocol INTEGER NOT NULL,
    source INTEGER NOT NULL, class INTEGER NOT NULL, evidence INTEGER NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, answers INTEGER NOT NULL, clients INTEGER NOT NULL,
    PRIMARY KEY(network, day, address, port, protocol, source)) WITHOUT ROWID, STRICT;
CREATE TABLE class_hosts(
    network INTEGER NOT NULL, day INTEGER NOT NULL, class INTEGER NOT NULL, evidence INTEGER NOT NULL, address TEXT NOT NULL,
    source INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, flows INTEGER NOT NULL,
    PRIMARY KEY(network, day, class, evidence, address, source)) WITHOUT ROWID, STRICT;
-- What happened, as its JSON line.
CREATE TABLE events(
    at INTEGER NOT NULL, source INTEGER NOT NULL, sequence INTEGER NOT NULL, place INTEGER NOT NULL, network INTEGER,
    event INTEGER NOT NULL, line TEXT NOT NULL, PRIMARY KEY(at, source, sequence, place)) WITHOUT ROWID, STRICT;
-- Counters of an interface side: seen, matched, each reason.
CREATE TABLE ledger(
    start INTEGER NOT NULL, source INTEGER NOT NULL, interface INTEGER NOT NULL, side INTEGER NOT NULL, counter INTEGER NOT NULL,
    value INTEGER NOT NULL, PRIMARY KEY(start, source, interface, side, counter)) WITHOUT ROWID, STRICT;
";

/// What a connection works by: one writer beside readers, each commit on disk before it is one.
const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;";

/// Makes the tables of an empty store, or sees whether those of another are of this version.
///
/// # Errors
/// It is of a later version, or no store.
pub(super) fn prepare(connection: &Connection) -> Result<()> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        connection.execute_batch(SETTINGS)?;
        let make = format!(
            "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
        );
        return connection.execute_batch(&make).context("cannot make its tables; free disk space");
    }
    let version = version(connection)?;
    connection.execute_batch(SETTINGS)?;
    if version < VERSION { migrate(connection) } else { Ok(()) }
}

/// The version of the tables of a store, of which [`prepare`] makes [`VERSION`].
///
/// # Errors
/// They are of a later version, or of no store.
pub(super) fn version(connection: &Connection) -> Result<i32> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    if application != APPLICATION {
        bail!("this is a database of something else; name another folder");
    }
    if !(1..=VERSION).contains(&version) {
        bail!(
            "it is of version {version}, and this sensor has version {VERSION}; use the sensor that wrote it, or another folder"
        );
    }
    Ok(version)
}

/// Makes a store of this version of an earlier one: all of it, or nothing where it is stopped.
fn migrate(connection: &Connection) -> Result<()> {
    let migrate = || -> rusqlite::Result<()> {
        // Not by a read that is made a write: of two programs one would be refused, instead of waiting.
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let done = usize::try_from(version - 1).unwrap_or_default();
        for step in STEPS.get(done..).unwrap_or_default() {
            connection.execute_batch(step)?;
        }
        connection.execute_batch(&format!("PRAGMA user_version = {VERSION}; COMMIT"))
    };
    migrate().inspect_err(|_| _ = connection.execute_batch("ROLLBACK")).with_context(|| {
        format!("cannot be made a store of version {VERSION}; free disk space, and see that it may be written to")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables of version 1, as far as they became others.
    const FIRST: &str = "
        CREATE TABLE sources(
            id INTEGER PRIMARY KEY, sensor TEXT NOT NULL, epoch TEXT NOT NULL, live INTEGER NOT NULL, UNIQUE(sensor, epoch)) STRICT;
        INSERT INTO sources VALUES (1, 'edge', 'e1', 1), (2, 'old', 'e2', 0);
        PRAGMA application_id = 1399747442; PRAGMA user_version = 1;";

    fn columns(connection: &Connection) -> Vec<(String, String, String)> {
        let mut question = connection
            .prepare("SELECT name, type, coalesce(dflt_value, '') FROM pragma_table_info('sources')")
            .unwrap();
        let rows = question.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    }

    #[test]
    fn a_store_of_the_first_version_becomes_one_of_this() {
        let (old, new) = (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
        old.execute_batch(FIRST).unwrap();
        prepare(&old).unwrap();
        prepare(&new).unwrap();
        assert_eq!(columns(&old), columns(&new));
        let question = "SELECT group_concat(sensor || ' ' || method || ' ' || sampling, ', ') FROM sources";
        let sources: String = old.query_row(question, [], |row| row.get(0)).unwrap();
        assert_eq!(sources, "edge counted 1, old counted 1");
        // Once is enough.
        prepare(&old).unwrap();
        let version: i32 = old.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, VERSION);
    }

    #[test]
    fn what_stops_half_way_is_what_it_was() {
        let old = Connection::open_in_memory().unwrap();
        old.execute_batch(FIRST).unwrap();
        // The second column is there already: no sensor made that.
        old.execute_batch("ALTER TABLE sources ADD COLUMN sampling INTEGER").unwrap();
        assert!(format!("{:#}", prepare(&old).unwrap_err()).contains("cannot be made a store of version"));
        assert_eq!(columns(&old).len(), 5);
        let version: i32 = old.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, 1);
    }
}
