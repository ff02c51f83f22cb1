//! The tables of a fleet in ClickHouse (`docs/clickhouse/schema.sql`), asked what a study asks. Raw rows are read with `FINAL`: each record once, however often it
//! was sent.

use std::{collections::BTreeMap, net::IpAddr, ops::Range};

use anyhow::{Context as _, Result};
use jiff::{Timestamp, tz::TimeZone};
use sensor_ebpf::class::Evidence;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};

use crate::{
    config::ClickHouse,
    export::Questions,
    study::{
        ActiveBlock, ClassHost, DAY, Dimension, Heard, Part, QUARTER, Records, SEAM, SILENCE, Service, Span, Systems,
        Volume, class, day, mark,
    },
    summary::{AddressSet, CounterpartRecord},
};

/// What questions are asked with, whatever the user's profile says.
const SETTINGS: &str = "output_format_json_quote_64bit_integers = 0";

/// The tables of a fleet.
pub struct Warehouse {
    questions: Questions,
    /// What days are told in.
    zone: TimeZone,
}

/// A row of traffic.
#[derive(Deserialize)]
struct TrafficRow {
    begins: i64,
    name: String,
    evidence: String,
    in_packets: i64,
    in_bytes: i64,
    out_packets: i64,
    out_bytes: i64,
}

#[derive(Deserialize)]
struct ActiveRow {
    day: i32,
    block: String,
    bits: Vec<String>,
}

#[derive(Deserialize)]
struct ServiceRow {
    address: IpAddr,
    port: u16,
    protocol: u8,
    class: String,
    evidence: String,
    #[serde(deserialize_with = "moment")]
    first: Timestamp,
    #[serde(deserialize_with = "moment")]
    last: Timestamp,
    days: Vec<i32>,
}

#[derive(Deserialize)]
struct ClassHostRow {
    class: String,
    evidence: String,
    address: IpAddr,
    #[serde(deserialize_with = "moment")]
    first: Timestamp,
    #[serde(deserialize_with = "moment")]
    last: Timestamp,
}

#[derive(Deserialize)]
struct SpanRow {
    sensor: String,
    #[serde(deserialize_with = "moment")]
    begins: Timestamp,
    #[serde(deserialize_with = "moment")]
    ends: Timestamp,
    blind: u64,
    coarse: u64,
}

#[derive(Deserialize)]
struct HeardRow {
    flows: u64,
    one_way_flows: u64,
    asymmetric_flows: u64,
    incomplete: u8,
}

#[derive(Deserialize)]
struct CounterRow {
    counter: String,
    value: u64,
}

#[derive(Deserialize)]
struct SystemRow {
    name: String,
    asn: u32,
    as_name: String,
}

#[derive(Deserialize)]
struct NameRow {
    name: String,
}

#[derive(Deserialize)]
struct DaysRow {
    first: i64,
    last: i64,
    rows: u64,
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
        let fix = "its tables are of another version; apply docs/clickhouse/schema.sql of this one";
        rows.with_context(|| format!("{}: {fix}", self.questions.server()))
    }

    /// What a network exchanged in a range of steps, which `begins` tells of each row.
    fn parts(
        &self,
        network: &str,
        dimension: Dimension,
        step: i64,
        range: Range<i64>,
        begins: &str,
    ) -> Result<Vec<Part>> {
        let time = if step == DAY {
            self.time(&range)?
        } else {
            Timestamp::from_second(range.start)?..Timestamp::from_second(range.end)?
        };
        let missing = format!("if(counterpart = '', '{}', counterpart)", CounterpartRecord::UNKNOWN);
        let (table, name, evidence_name) = match dimension {
            Dimension::Total => ("network", "''".to_owned(), "''"),
            Dimension::Upstream => ("network", "toString(upstream)".to_owned(), "''"),
            Dimension::Class => ("network", "toString(class)".to_owned(), "evidence"),
            Dimension::Country => ("counterpart", format!("if(country = '', {missing}, country)"), "''"),
            Dimension::System => ("counterpart", format!("if(asn = 0, {missing}, concat('AS', toString(asn)))"), "''"),
            Dimension::List => ("counterpart", "toString(arrayJoin(list))".to_owned(), "''"),
        };
        let [packets, bytes] =
            if table == "network" { ["net_packets", "net_bytes"] } else { ["toInt64(packets)", "toInt64(bytes)"] };
        let sum = |column: &str, direction: &str| format!("sumIf({column}, direction = '{direction}')");
        let question = format!(
            "SELECT toInt64({begins}) AS begins, toString({name}) AS name, toString({evidence_name}) AS evidence, {} AS in_packets, {} AS in_bytes, \
             {} AS out_packets, {} AS out_bytes FROM {table} FINAL WHERE network = {} AND {} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            sum(packets, "in"),
            sum(bytes, "in"),
            sum(packets, "out"),
            sum(bytes, "out"),
            quoted(network),
            within(&time)
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

/// Milliseconds since 1970.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Timestamp::from_millisecond(i64::deserialize(deserializer)?).map_err(D::Error::custom)
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
            "SELECT toUnixTimestamp(min(start)) AS first, toUnixTimestamp(max(start)) AS last, count() AS rows FROM network WHERE network = {}",
            quoted(network)
        );
        let rows: Vec<DaysRow> = self.rows(&question)?;
        let number = |second: i64| day(Timestamp::from_second(second).unwrap_or_default(), &self.zone);
        Ok(rows.first().filter(|row| row.rows > 0).map(|row| (number(row.first), number(row.last))))
    }

    fn traffic(&self, network: &str, dimension: Dimension, step: i64, range: Range<i64>) -> Result<Vec<Part>> {
        let begins =
            if step == DAY { self.day_of("start") } else { format!("intDiv(toUnixTimestamp(start), {step}) * {step}") };
        self.parts(network, dimension, step, range, &begins)
    }

    fn sums(&self, network: &str, dimension: Dimension, step: i64, range: Range<i64>) -> Result<Vec<Part>> {
        let begins = range.start.to_string();
        self.parts(network, dimension, step, range, &begins)
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
        let question = format!(
            "SELECT sensor, toUnixTimestamp64Milli(min(one.begins)) AS begins, toUnixTimestamp64Milli(max(one.ends)) AS ends, sum(one.blind) AS blind, \
             sum(one.coarse) AS coarse FROM (
                SELECT *, sum(is_new) OVER (PARTITION BY sensor, epoch ORDER BY begins ROWS UNBOUNDED PRECEDING) AS island FROM (
                    SELECT *, toUnixTimestamp64Milli(begins) - toUnixTimestamp64Milli(lagInFrame(ends, 1, begins)
                        OVER (PARTITION BY sensor, epoch ORDER BY begins ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
                        > if(is_live, {live}, {replayed}) AS is_new
                    FROM (SELECT sensor, epoch, sequence, min(start) AS begins, max(end) AS ends, max(coalesce(blind_ms, 0)) AS blind,
                        max(isNotNull(attached)) AS is_live,
                        toUnixTimestamp64Milli(ends) - toUnixTimestamp64Milli(begins) AS length,
                        if(is_live AND length > {QUARTER} * 1000, length, 0) AS coarse
                        FROM ledger FINAL WHERE start < fromUnixTimestamp64Milli({}) AND end > fromUnixTimestamp64Milli({})
                        GROUP BY sensor, epoch, sequence))) AS one
             GROUP BY sensor, epoch, island ORDER BY begins",
            time.end.as_millisecond(),
            time.start.as_millisecond()
        );
        let span = |row: SpanRow| {
            let SpanRow { sensor, begins: start, ends: end, blind: blind_ms, coarse: coarse_ms } = row;
            Span { sensor, start, end, blind_ms, coarse_ms }
        };
        Ok(self.rows(&question)?.into_iter().map(span).collect())
    }

    fn ledger(&self, time: Range<Timestamp>) -> Result<BTreeMap<String, u64>> {
        let columns =
            ["seen_packets", "seen_frame_bytes", "matched_packets", "matched_bytes", "other_packets", "other_bytes"];
        let pairs = columns.map(|column| format!("('{column}', {column})")).join(", ");
        let reasons = ["unparsed", "degraded", "shed"]
            .map(|group| {
                format!("arrayMap((k, v) -> (concat('{group}.', k), v), mapKeys({group}), mapValues({group}))")
            })
            .join(", ");
        let question = format!(
            "SELECT pair.1 AS counter, sum(pair.2) AS value FROM ledger FINAL ARRAY JOIN arrayConcat([{pairs}], {reasons}) AS pair \
             WHERE {} GROUP BY counter HAVING value > 0",
            within(&time)
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
