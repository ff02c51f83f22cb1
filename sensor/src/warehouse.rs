//! The tables of a fleet in ClickHouse (`docs/clickhouse/schema.sql`), asked what a study asks. Raw rows are read with `FINAL`: each record once, however often it
//! was sent.

mod rows;
mod steps;

use std::{collections::BTreeMap, ops::Range};

use anyhow::{Context as _, Result};
use jiff::{Timestamp, tz::TimeZone};
use sensor_ebpf::class::Evidence;
use serde::de::DeserializeOwned;

use self::{
    rows::{
        ActiveRow, ClassHostRow, CounterRow, DaysRow, HeardRow, NameRow, ServiceRow, SpanRow, SystemRow, TrafficRow,
    },
    steps::Steps,
};
use crate::{
    config::ClickHouse,
    export::Questions,
    study::{
        ActiveBlock, ClassHost, DAY, Dimension, Heard, Part, QUARTER, Recorded, Records, SEAM, SILENCE, Service, Span,
        Systems, UNATTRIBUTED_BYTES, UNATTRIBUTED_PACKETS, Volume, class, day, mark,
    },
    summary::{AddressSet, CounterpartRecord},
};

/// What questions are asked with, whatever the user's profile says.
///
/// Rows that come twice are alike, so what an index leaves out takes nothing from those that `FINAL` keeps.
const SETTINGS: &str = "output_format_json_quote_64bit_integers = 0, use_skip_indexes_if_final = 1";

/// The tables of a fleet.
pub struct Warehouse {
    questions: Questions,
    /// What days are told in.
    zone: TimeZone,
}

impl Warehouse {
    /// Asks that server, for a network whose days are in that zone.
    ///
    /// # Errors
    /// A file that says who asks cannot be read.
    pub fn new(config: &ClickHouse, zone: &TimeZone) -> Result<Self> {
        Ok(Self { questions: Questions::new(config)?, zone: zone.clone() })
    }

    fn rows<T: DeserializeOwned>(&self, question: &str) -> Result<Vec<T>> {
        let answer = self.questions.ask(&format!("{question} SETTINGS {SETTINGS} FORMAT JSONEachRow"))?;
        let lines = answer.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let rows: Result<Vec<T>, _> = lines.map(serde_json::from_slice).collect();
        let fix = "its tables are of another version; apply docs/clickhouse/schema.sql and upgrade.sql of this one";
        rows.with_context(|| format!("{}: {fix}", self.questions.server()))
    }

    /// What a network exchanged in a range of steps, by each of them or, where `is_sum`, in all.
    fn parts(
        &self,
        network: &str,
        dimension: Dimension,
        step: i64,
        range: Range<i64>,
        is_sum: bool,
    ) -> Result<Vec<Part>> {
        // Days are made of their quarters of an hour; the first of an interval began before it.
        let (time, steps, place) = if step == DAY {
            let begins = "greatest(fromUnixTimestamp64Milli(step * 1000), start)";
            (self.time(&range)?, Steps(QUARTER), self.day_of(begins))
        } else {
            let time = Timestamp::from_second(range.start)?..Timestamp::from_second(range.end)?;
            (time, Steps(step), "step".to_owned())
        };
        let begins = if is_sum { range.start.to_string() } else { place.clone() };
        let missing = format!("if(counterpart = '', '{}', counterpart)", CounterpartRecord::UNKNOWN);
        let (table, name, evidence_name) = match dimension {
            Dimension::Total => ("network", "''".to_owned(), "''"),
            Dimension::Upstream => ("network", "toString(upstream)".to_owned(), "''"),
            Dimension::Class => ("network", "toString(class)".to_owned(), "evidence"),
            Dimension::Country => ("counterpart", format!("if(country = '', {missing}, country)"), "''"),
            Dimension::System => ("counterpart", format!("if(asn = 0, {missing}, concat('AS', toString(asn)))"), "''"),
            Dimension::List => ("counterpart", "toString(arrayJoin(list))".to_owned(), "''"),
        };
        let [packets, bytes] = if table == "network" { ["net_packets", "net_bytes"] } else { ["packets", "bytes"] };
        let sum = |column: &str, direction: &str| format!("sumIf({}, direction = '{direction}')", steps.part(column));
        let question = format!(
            "SELECT toInt64({begins}) AS begins, toString({name}) AS name, toString({evidence_name}) AS evidence, {} AS in_packets, {} AS in_bytes, \
             {} AS out_packets, {} AS out_bytes FROM {} AND network = {} AND {place} >= {} AND {place} < {} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            sum(packets, "in"),
            sum(bytes, "in"),
            sum(packets, "out"),
            sum(bytes, "out"),
            steps.rows(table, &time),
            quoted(network),
            range.start,
            range.end
        );
        let part = |row: TrafficRow| {
            let TrafficRow { begins, name, in_packets, in_bytes, out_packets, out_bytes, .. } = row;
            let volume = Volume { in_packets, in_bytes, out_packets, out_bytes };
            Part { start: begins, name, evidence: Evidence::named(&row.evidence), volume }
        };
        Ok(self.rows(&question)?.into_iter().map(part).collect())
    }

    /// The days of a time in the zone, as the server finds them.
    fn day_of(&self, column: &str) -> String {
        format!("toInt32(toDate({column}, {}))", quoted(self.zone.iana_name().unwrap_or("UTC")))
    }

    /// The times that begin on these days.
    fn time<T: Into<i64> + Copy>(&self, days: &Range<T>) -> Result<Range<Timestamp>> {
        let begin = |number: T| -> Result<Timestamp> {
            let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(number.into())?)?;
            Ok(date.to_zoned(self.zone.clone())?.timestamp())
        };
        Ok(begin(days.start)?..begin(days.end)?)
    }
}

/// A text in a statement.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Rows that begin in a time.
fn within(time: &Range<Timestamp>) -> String {
    let text = |at: Timestamp| format!("fromUnixTimestamp64Milli({})", at.as_millisecond());
    format!("start >= {} AND start < {}", text(time.start), text(time.end))
}

impl Records for Warehouse {
    fn networks(&self) -> Result<Vec<String>> {
        let rows: Vec<NameRow> = self.rows("SELECT DISTINCT network AS name FROM network ORDER BY name")?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    }

    fn days(&self, network: &str) -> Result<Option<(i32, i32)>> {
        let question = format!(
            "SELECT toUnixTimestamp(min(start)) AS first, intDiv(max({}), 1000) AS last, count() AS rows FROM network WHERE network = {}",
            steps::last(),
            quoted(network)
        );
        let rows: Vec<DaysRow> = self.rows(&question)?;
        let number = |second: i64| day(Timestamp::from_second(second).unwrap_or_default(), &self.zone);
        Ok(rows.first().filter(|row| row.rows > 0).map(|row| (number(row.first), number(row.last))))
    }

    fn traffic(&self, network: &str, dimension: Dimension, step: i64, range: Range<i64>) -> Result<Vec<Part>> {
        self.parts(network, dimension, step, range, false)
    }

    fn sums(&self, network: &str, dimension: Dimension, step: i64, range: Range<i64>) -> Result<Vec<Part>> {
        self.parts(network, dimension, step, range, true)
    }

    fn active(&self, network: &str, days: Range<i32>) -> Result<Vec<ActiveBlock>> {
        let time = self.time(&days)?;
        let day = self.day_of("start");
        let question = format!(
            "SELECT day, block, groupUniqArray(bits) AS bits FROM (
                SELECT {day} AS day, pair.1 AS block, pair.2 AS bits FROM host FINAL
                ARRAY JOIN arrayZip(mapKeys(active), mapValues(active)) AS pair WHERE network = {network} AND {within}
                UNION ALL
                SELECT {day} AS day, block, '' AS bits FROM host FINAL ARRAY JOIN active_prefixes AS block
                WHERE network = {network} AND {within})
             GROUP BY day, block ORDER BY day, block",
            network = quoted(network),
            within = within(&time)
        );
        let block = |row: ActiveRow| -> Result<ActiveBlock> {
            let mut bits = [0; 32];
            for digits in row.bits.iter().filter(|digits| !digits.is_empty()) {
                let set: AddressSet = serde_json::from_value(serde_json::json!({ row.block.as_str(): digits }))?;
                for address in set.iter() {
                    mark(&mut bits, address.octets()[3]);
                }
            }
            Ok(ActiveBlock { day: row.day, block: row.block, bits })
        };
        self.rows(&question)?.into_iter().map(block).collect()
    }

    fn heard(&self, network: &str, days: Range<i32>) -> Result<Heard> {
        let question = format!(
            "SELECT sum(host.flows) AS flows, sum(host.one_way_flows) AS one_way_flows, \
             sum(host.asymmetric_flows) AS asymmetric_flows, toUInt8(max(host.incomplete)) AS incomplete FROM host FINAL WHERE network = {} AND {}",
            quoted(network),
            within(&self.time(&days)?)
        );
        let heard = |row: HeardRow| Heard {
            flows: row.flows,
            one_way_flows: row.one_way_flows,
            asymmetric_flows: row.asymmetric_flows,
            incomplete: row.incomplete > 0,
        };
        Ok(self.rows(&question)?.into_iter().next().map(heard).unwrap_or_default())
    }

    fn services(&self, network: &str, days: Range<i32>) -> Result<Vec<Service>> {
        let time = self.time(&days)?;
        // The day of its last answer: the interval may have begun on the one before.
        let on = within(&time).replace("start", "service.last");
        let question = format!(
            "SELECT address, port, protocol, toString(argMaxIf(service.class, tuple(service.last, sequence), service.class <> 'unknown')) AS class, \
             toString(argMaxIf(service.evidence, tuple(service.last, sequence), service.class <> 'unknown')) AS evidence, \
             toUnixTimestamp64Milli(min(service.first)) AS first, toUnixTimestamp64Milli(max(service.last)) AS last, \
             arraySort(groupUniqArray({})) AS days FROM service FINAL WHERE network = {} AND {on} \
             GROUP BY address, port, protocol ORDER BY address, port, protocol",
            self.day_of("service.last"),
            quoted(network)
        );
        let service = |row: ServiceRow| Service {
            address: row.address,
            port: row.port,
            protocol: row.protocol,
            class: class(&row.class),
            evidence: Evidence::named(&row.evidence),
            first: row.first,
            last: row.last,
            days: row.days,
        };
        Ok(self.rows(&question)?.into_iter().map(service).collect())
    }

    fn class_hosts(&self, network: &str, days: Range<i32>) -> Result<Vec<ClassHost>> {
        let time = self.time(&days)?;
        let on = within(&time).replace("start", "class_host.last");
        let question = format!(
            "SELECT toString(class_host.class) AS class, toString(class_host.evidence) AS evidence, address, toUnixTimestamp64Milli(min(class_host.first)) AS first, \
             toUnixTimestamp64Milli(max(class_host.last)) AS last FROM class_host FINAL WHERE network = {} AND {on} AND flows > 0 \
             GROUP BY class, evidence, address ORDER BY class, address, evidence",
            quoted(network)
        );
        let host = |row: ClassHostRow| ClassHost {
            class: class(&row.class),
            evidence: Evidence::named(&row.evidence),
            address: row.address,
            first: row.first,
            last: row.last,
        };
        Ok(self.rows(&question)?.into_iter().map(host).collect())
    }

    fn spans(&self, time: Range<Timestamp>) -> Result<Vec<Span>> {
        let (live, replayed) = (SEAM.as_millis(), SILENCE.as_millis());
        // As the store has them: what is known as a sum alone is a span of its own, and so is blind time.
        let question = format!(
            "SELECT sensor, toUnixTimestamp64Milli(min(one.begins)) AS begins, toUnixTimestamp64Milli(max(one.ends)) AS ends, sum(one.blind) AS blind, \
             sum(one.coarse) AS coarse, epoch, count() AS intervals, max(one.is_live) AS live FROM (
                SELECT *, sum(is_new) OVER (PARTITION BY sensor, epoch ORDER BY begins ROWS UNBOUNDED PRECEDING) AS island FROM (
                    SELECT *, toUnixTimestamp64Milli(begins) - toUnixTimestamp64Milli(lagInFrame(ends, 1, begins) OVER earlier)
                        > if(is_live, {live}, {replayed}) OR coarse > 0 OR lagInFrame(coarse, 1, coarse) OVER earlier > 0
                        OR (blind > 0) <> (lagInFrame(blind, 1, blind) OVER earlier > 0) AS is_new
                    FROM (SELECT sensor, epoch, sequence, min(start) AS begins, max(end) AS ends, max(coalesce(blind_ms, 0)) AS blind,
                        max(isNotNull(attached)) AS is_live,
                        toUnixTimestamp64Milli(ends) - toUnixTimestamp64Milli(begins) AS length,
                        if(is_live AND length > {QUARTER} * 1000, length, 0) AS coarse
                        FROM ledger FINAL WHERE start < fromUnixTimestamp64Milli({}) AND end > fromUnixTimestamp64Milli({})
                        GROUP BY sensor, epoch, sequence)
                    WINDOW earlier AS (PARTITION BY sensor, epoch ORDER BY begins ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))) AS one
             GROUP BY sensor, epoch, island ORDER BY begins",
            time.end.as_millisecond(),
            time.start.as_millisecond()
        );
        let span = |row: SpanRow| {
            let SpanRow {
                sensor,
                begins: start,
                ends: end,
                blind: blind_ms,
                coarse: coarse_ms,
                epoch,
                intervals,
                live,
            } = row;
            let capture = (live == 0).then_some(Recorded { epoch, intervals });
            Span { sensor, start, end, blind_ms, coarse_ms, capture }
        };
        Ok(self.rows(&question)?.into_iter().map(span).collect())
    }

    fn ledger(&self, time: Range<Timestamp>) -> Result<BTreeMap<String, u64>> {
        let columns =
            ["seen_packets", "seen_frame_bytes", "matched_packets", "matched_bytes", "other_packets", "other_bytes"];
        let pairs = columns.map(|column| format!("('{column}', {column})")).join(", ");
        let reasons = ["unparsed", "degraded", "shed", "lost"]
            .map(|group| {
                format!("arrayMap((k, v) -> (concat('{group}.', k), v), mapKeys({group}), mapValues({group}))")
            })
            .join(", ");
        let nameless = format!("[('{UNATTRIBUTED_PACKETS}', packets), ('{UNATTRIBUTED_BYTES}', bytes)]");
        // Of other events that is nothing.
        let losses = "[(concat('loss.', toString(what)), count)]".to_owned();
        let steps = Steps(QUARTER);
        let within = format!("step >= {} AND step < {}", time.start.as_second(), time.end.as_second());
        let of_each =
            [("ledger", format!("arrayConcat([{pairs}], {reasons})")), ("unattributed", nameless), ("event", losses)]
                .map(|(table, pairs)| {
                    format!(
                        "SELECT arrayJoin({pairs}) AS pair, {} AS part FROM {} AND {within}",
                        steps.part("pair.2"),
                        steps.rows(table, &time)
                    )
                });
        let question = format!(
            "SELECT pair.1 AS counter, toUInt64(sum(part)) AS value FROM ({}) GROUP BY counter HAVING value > 0",
            of_each.join(" UNION ALL ")
        );
        let rows: Vec<CounterRow> = self.rows(&question)?;
        Ok(rows.into_iter().map(|row| (row.counter, row.value)).collect())
    }

    fn systems(&self) -> Result<Systems> {
        let question = "SELECT toString(n.upstream) AS name, max(n.upstream_asn) AS asn, '' AS as_name FROM network AS n WHERE n.upstream_asn > 0 GROUP BY name
            UNION ALL SELECT concat('AS', toString(t.asn)) AS name, max(t.asn) AS asn, argMax(t.as_name, t.start) AS as_name FROM counterpart AS t
            WHERE t.asn > 0 GROUP BY name";
        let rows: Vec<SystemRow> = self.rows(&format!("SELECT * FROM ({question})"))?;
        let named = |row: SystemRow| (row.name, (row.asn, Some(row.as_name).filter(|name| !name.is_empty())));
        Ok(rows.into_iter().map(named).collect())
    }
}
