//! What a study asks of a store.

use std::{collections::BTreeMap, net::IpAddr, ops::Range};

use anyhow::Result;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sensor_ebpf::class::{Class, Evidence};

use super::{
    Archive,
    spans::{Run, Spans},
};
use crate::study::{
    ActiveBlock, ClassHost, DAY, Detail, Dimension, Heard, MINUTE, Method, Part, QUARTER, Recorded, Records, Service,
    Span, Systems, Volume, class,
};

/// Intervals of a source.
pub(super) fn spans_of(connection: &Connection, source: i64) -> rusqlite::Result<Spans> {
    let mut find =
        connection.prepare_cached("SELECT first, last, start, end, blind_ms FROM spans WHERE source = ?1")?;
    let run = |row: &Row<'_>| {
        let [first, last, blind_ms] = [row.get::<_, i64>(0)?, row.get(1)?, row.get(4)?].map(i64::cast_unsigned);
        Ok((first, Run { last, start: row.get(2)?, end: row.get(3)?, blind_ms }))
    };
    Ok(Spans(find.query_map([source], run)?.collect::<rusqlite::Result<_>>()?))
}

/// Another source of a sensor with intervals of that time, its epoch, and whether that was one of a running sensor.
pub(super) fn overlapping(
    connection: &Connection,
    source: i64,
    sensor: &str,
    (start, end): (i64, i64),
) -> rusqlite::Result<Option<(i64, String, bool)>> {
    let mut find = connection.prepare_cached(
        "SELECT sources.id, epoch, live FROM sources JOIN spans ON spans.source = sources.id
         WHERE sources.id <> ?1 AND sensor = ?2 AND start < ?4 AND end > ?3 LIMIT 1",
    )?;
    find.query_row(params![source, sensor, start, end], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
}

/// A time that another source measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) id: i64,
    pub(super) sensor: String,
    pub(super) epoch: String,
    pub(super) is_live: bool,
    pub(super) method: Method,
    /// Microseconds since 1970.
    pub(super) start: i64,
    pub(super) end: i64,
}

/// Times of all sources but one that overlap another time.
pub(super) fn others(
    connection: &Connection,
    (sensor, epoch): (&str, &str),
    (start, end): (i64, i64),
) -> rusqlite::Result<Vec<Other>> {
    let mut find = connection.prepare_cached(
        "SELECT sources.id, sensor, epoch, live, method, sampling, start, end FROM sources JOIN spans ON spans.source = sources.id
         WHERE NOT (sensor = ?1 AND epoch = ?2) AND start < ?4 AND end > ?3 ORDER BY start",
    )?;
    let other = |row: &Row<'_>| {
        let method = method(row, 4)?;
        let [id, start, end] = [row.get(0)?, row.get(6)?, row.get(7)?];
        Ok(Other { id, sensor: row.get(1)?, epoch: row.get(2)?, is_live: row.get(3)?, method, start, end })
    };
    find.query_map(params![sensor, epoch, start, end], other)?.collect()
}

/// What number of evidence is in a row.
fn evidence(number: i64) -> Option<Evidence> {
    Evidence::ALL.get(usize::try_from(number - 1).ok()?).copied()
}

/// What a column and the next one hold; what no version wrote is taken to be counted.
fn method(row: &Row<'_>, place: usize) -> rusqlite::Result<Method> {
    Ok(Method::named(&row.get::<_, String>(place)?, row.get(place + 1)?).unwrap_or(Method::Counted))
}

/// What four columns from this one on hold.
fn volume(row: &Row<'_>, place: usize) -> rusqlite::Result<Volume> {
    Ok(Volume {
        in_packets: row.get(place)?,
        in_bytes: row.get(place + 1)?,
        out_packets: row.get(place + 2)?,
        out_bytes: row.get(place + 3)?,
    })
}

fn moment(row: &Row<'_>, place: usize) -> rusqlite::Result<Timestamp> {
    Ok(Timestamp::from_microsecond(row.get(place)?).unwrap_or_default())
}

fn address(row: &Row<'_>, place: usize) -> rusqlite::Result<IpAddr> {
    let text: String = row.get(place)?;
    text.parse()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(place, rusqlite::types::Type::Text, Box::new(error)))
}

impl Archive {
    /// All rows of a question.
    pub(super) fn all<T>(
        &self,
        question: &str,
        parameters: impl rusqlite::Params,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let ask = || {
            let mut question = self.connection.prepare_cached(question)?;
            question.query_map(parameters, row)?.collect::<rusqlite::Result<Vec<T>>>()
        };
        ask().map_err(|error| self.damaged(error))
    }
}

impl Archive {
    /// Events of a time, as their JSON lines, in order.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn events(&self, time: Range<Timestamp>) -> Result<Vec<String>> {
        let question = "SELECT line FROM events WHERE at >= ?1 AND at < ?2 ORDER BY at";
        self.all(question, params![time.start.as_microsecond(), time.end.as_microsecond()], |row| row.get(0))
    }

    /// Sensors that there are records of, by how these came to be: the first and the last moment of each.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn sensors(&self) -> Result<Vec<(String, Method, Timestamp, Timestamp)>> {
        let question =
            "SELECT sensor, method, sampling, min(start), max(end) FROM spans JOIN sources ON sources.id = spans.source
            GROUP BY sensor, method, sampling ORDER BY sensor, min(start)";
        self.all(question, [], |row| Ok((row.get(0)?, method(row, 1)?, moment(row, 3)?, moment(row, 4)?)))
    }
}

impl Records for Archive {
    fn networks(&self) -> Result<Vec<String>> {
        let question =
            "SELECT name FROM names WHERE EXISTS (SELECT 1 FROM traffic WHERE network = names.id) ORDER BY name";
        self.all(question, [], |row| row.get(0))
    }

    fn days(&self, network: &str) -> Result<Option<(i32, i32)>> {
        let question = "SELECT min(start), max(start) FROM traffic
            WHERE network = (SELECT id FROM names WHERE name = ?1) AND dimension = ?2 AND step = ?3";
        let days = self.all(question, params![network, Dimension::Total as u8, DAY], |row| {
            Ok(row.get::<_, Option<i32>>(0)?.zip(row.get::<_, Option<i32>>(1)?))
        })?;
        Ok(days.into_iter().next().flatten())
    }

    fn traffic(&self, network: &str, dimension: Dimension, step: i64, range: Range<i64>) -> Result<Vec<Part>> {
        let question = "SELECT start, names.name, evidence, sum(in_packets), sum(in_bytes), sum(out_packets), sum(out_bytes)
            FROM traffic JOIN names ON names.id = traffic.name
            WHERE network = (SELECT id FROM names WHERE name = ?1) AND dimension = ?2 AND step = ?3 AND start >= ?4 AND start < ?5
            GROUP BY start, traffic.name, evidence ORDER BY start, names.name, evidence";
        self.all(question, params![network, dimension as u8, step, range.start, range.end], |row| {
            Ok(Part { start: row.get(0)?, name: row.get(1)?, evidence: evidence(row.get(2)?), volume: volume(row, 3)? })
        })
    }

    fn sums(&self, network: &str, dimension: Dimension, step: i64, range: Range<i64>) -> Result<Vec<Part>> {
        // Added up here: SQLite would sort the rows first, of which a year has a million and more.
        let question = "SELECT name, evidence, in_packets, in_bytes, out_packets, out_bytes FROM traffic
            WHERE network = (SELECT id FROM names WHERE name = ?1) AND dimension = ?2 AND step = ?3 AND start >= ?4 AND start < ?5";
        let mut sums: BTreeMap<(i64, i64), Volume> = BTreeMap::new();
        self.all(question, params![network, dimension as u8, step, range.start, range.end], |row| {
            *sums.entry((row.get(0)?, row.get(1)?)).or_default() += volume(row, 2)?;
            Ok(())
        })?;
        let part = |((number, evidence), volume)| -> Result<Part> {
            let names = self.all("SELECT name FROM names WHERE id = ?1", [number], |row| row.get(0))?;
            let name = names.into_iter().next().unwrap_or_default();
            Ok(Part { start: range.start, name, evidence: self::evidence(evidence), volume })
        };
        let mut parts = sums.into_iter().map(part).collect::<Result<Vec<Part>>>()?;
        parts.sort_by(|a, b| (&a.name, a.evidence).cmp(&(&b.name, b.evidence)));
        Ok(parts)
    }

    fn since(&self, network: &str, detail: Detail) -> Result<Option<i64>> {
        let number = "(SELECT id FROM names WHERE name = ?1)";
        let total = Dimension::Total as u8;
        let steps = |step: i64| {
            format!("SELECT min(start) FROM traffic WHERE network = {number} AND dimension = {total} AND step = {step}")
        };
        let question = match detail {
            Detail::Minutes => steps(MINUTE),
            Detail::Quarters => steps(QUARTER),
            Detail::Sights => format!("SELECT min(day) FROM heard WHERE network = {number}"),
            Detail::Ledger => "SELECT min(start) FROM ledger WHERE ?1 IS NOT NULL".to_owned(),
        };
        Ok(self.all(&question, [network], |row| row.get(0))?.into_iter().next().flatten())
    }

    fn methods(&self, network: &str, range: Range<i64>) -> Result<BTreeMap<Method, Volume>> {
        let question = "SELECT method, sampling, sum(in_packets), sum(in_bytes), sum(out_packets), sum(out_bytes)
            FROM traffic JOIN sources ON sources.id = source
            WHERE network = (SELECT id FROM names WHERE name = ?1) AND dimension = ?2 AND step = ?3 AND start >= ?4 AND start < ?5
            GROUP BY method, sampling";
        let parameters = params![network, Dimension::Total as u8, DAY, range.start, range.end];
        let rows = self.all(question, parameters, |row| Ok((method(row, 0)?, volume(row, 2)?)))?;
        Ok(rows.into_iter().collect())
    }

    fn active(&self, network: &str, days: Range<i32>) -> Result<Vec<ActiveBlock>> {
        let question = "SELECT day, block, bits FROM active
            WHERE network = (SELECT id FROM names WHERE name = ?1) AND day >= ?2 AND day < ?3";
        self.all(question, params![network, days.start, days.end], |row| {
            Ok(ActiveBlock { day: row.get(0)?, block: row.get(1)?, bits: row.get(2)? })
        })
    }

    fn heard(&self, network: &str, days: Range<i32>) -> Result<Heard> {
        let question =
            "SELECT coalesce(sum(flows), 0), coalesce(sum(one_way_flows), 0), coalesce(sum(asymmetric_flows), 0),
            coalesce(max(incomplete), 0) FROM heard
            WHERE network = (SELECT id FROM names WHERE name = ?1) AND day >= ?2 AND day < ?3";
        let heard = self.all(question, params![network, days.start, days.end], |row| {
            let [flows, one_way_flows, asymmetric_flows] =
                [row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?].map(i64::cast_unsigned);
            Ok(Heard { flows, one_way_flows, asymmetric_flows, incomplete: row.get(3)? })
        })?;
        Ok(heard.into_iter().next().unwrap_or_default())
    }

    fn services(&self, network: &str, days: Range<i32>) -> Result<Vec<Service>> {
        let question = "SELECT address, port, protocol, names.name, evidence, first, last, day
            FROM services JOIN names ON names.id = class
            WHERE network = (SELECT id FROM names WHERE name = ?1) AND day >= ?2 AND day < ?3
            ORDER BY address, port, protocol, day, last";
        let rows = self.all(question, params![network, days.start, days.end], |row| {
            Ok(Service {
                address: address(row, 0)?,
                port: row.get(1)?,
                protocol: row.get(2)?,
                class: class(&row.get::<_, String>(3)?),
                evidence: evidence(row.get(4)?),
                first: moment(row, 5)?,
                last: moment(row, 6)?,
                days: vec![row.get(7)?],
            })
        })?;
        let mut services: Vec<Service> = Vec::new();
        for row in rows {
            let is_same = |other: &&mut Service| {
                (other.address, other.port, other.protocol) == (row.address, row.port, row.protocol)
            };
            match services.last_mut().filter(is_same) {
                Some(service) => {
                    service.first = service.first.min(row.first);
                    service.last = service.last.max(row.last);
                    if row.class != Class::Unknown {
                        (service.class, service.evidence) = (row.class, row.evidence);
                    }
                    service.days.extend(row.days);
                    service.days.dedup();
                }
                None => services.push(row),
            }
        }
        Ok(services)
    }

    fn class_hosts(&self, network: &str, days: Range<i32>) -> Result<Vec<ClassHost>> {
        let question = "SELECT names.name, evidence, address, min(first), max(last) FROM class_hosts JOIN names ON names.id = class
            WHERE network = (SELECT id FROM names WHERE name = ?1) AND day >= ?2 AND day < ?3 AND flows > 0
            GROUP BY names.name, evidence, address ORDER BY names.name, address, evidence";
        self.all(question, params![network, days.start, days.end], |row| {
            Ok(ClassHost {
                class: class(&row.get::<_, String>(0)?),
                evidence: evidence(row.get(1)?),
                address: address(row, 2)?,
                first: moment(row, 3)?,
                last: moment(row, 4)?,
            })
        })
    }

    fn spans(&self, time: Range<Timestamp>) -> Result<Vec<Span>> {
        let question =
            "SELECT sensor, start, end, blind_ms, first, last, epoch, live OR method <> 'counted' FROM spans JOIN sources ON sources.id = spans.source
            WHERE start < ?2 AND end > ?1 ORDER BY start";
        self.all(question, params![time.start.as_microsecond(), time.end.as_microsecond()], |row| {
            let [blind_ms, first, last] = [row.get::<_, i64>(3)?, row.get(4)?, row.get(5)?].map(i64::cast_unsigned);
            let run = Run { last, start: row.get(1)?, end: row.get(2)?, blind_ms };
            let coarse_ms = run.as_sum(first).cast_unsigned() / 1000;
            let recorded = Recorded { epoch: row.get(6)?, intervals: (last - first).saturating_add(1) };
            let capture = (!row.get::<_, bool>(7)?).then_some(recorded);
            Ok(Span { sensor: row.get(0)?, start: moment(row, 1)?, end: moment(row, 2)?, blind_ms, coarse_ms, capture })
        })
    }

    fn ledger(&self, time: Range<Timestamp>) -> Result<BTreeMap<String, u64>> {
        let question = "SELECT names.name, sum(value) FROM ledger JOIN names ON names.id = counter
            WHERE start >= ?1 AND start < ?2 GROUP BY names.name";
        let rows = self.all(question, params![time.start.as_second(), time.end.as_second()], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
        })?;
        Ok(rows.into_iter().collect())
    }

    fn systems(&self) -> Result<Systems> {
        let question = "SELECT names.name, asn, other.name FROM systems JOIN names ON names.id = systems.name
            LEFT JOIN names AS other ON other.id = as_name";
        let rows = self.all(question, [], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
        Ok(rows.into_iter().collect())
    }
}
