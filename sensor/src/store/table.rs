//! Tables by their columns: what goes out of a store, and into another one, with words in the place of numbers.

use anyhow::{Context as _, Result, bail};
use rusqlite::{
    Connection, OptionalExtension as _, Transaction, params, params_from_iter,
    types::{Value, ValueRef},
};
use serde_json::{Map, Value as Json};

use super::write::Names;
use crate::study::Method;

/// What is in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    /// A number or a text.
    Plain(&'static str),
    /// The number of a name, perhaps none.
    Name(&'static str),
    /// Bytes, as hexadecimal digits.
    Bytes(&'static str),
}

/// A table, less the number of the source that all but one have.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    has_source: bool,
    columns: &'static [Column],
}

use Column::{Bytes, Name, Plain};

const VOLUME: [Column; 4] = [Plain("in_packets"), Plain("in_bytes"), Plain("out_packets"), Plain("out_bytes")];

/// All tables with records.
pub(super) const TABLES: [Table; 10] = [
    Table {
        name: "spans",
        has_source: true,
        columns: &[Plain("first"), Plain("last"), Plain("start"), Plain("end"), Plain("blind_ms")],
    },
    Table {
        name: "traffic",
        has_source: true,
        columns: &[
            Name("network"),
            Plain("dimension"),
            Plain("step"),
            Plain("start"),
            Name("name"),
            Plain("evidence"),
            VOLUME[0],
            VOLUME[1],
            VOLUME[2],
            VOLUME[3],
        ],
    },
    Table { name: "systems", has_source: false, columns: &[Name("name"), Plain("asn"), Name("as_name")] },
    Table {
        name: "prefixes",
        has_source: true,
        columns: &[Plain("day"), Plain("prefix"), Name("network"), VOLUME[0], VOLUME[1], VOLUME[2], VOLUME[3]],
    },
    Table {
        name: "active",
        has_source: true,
        columns: &[Name("network"), Plain("day"), Plain("block"), Bytes("bits")],
    },
    Table {
        name: "heard",
        has_source: true,
        columns: &[
            Name("network"),
            Plain("day"),
            Plain("flows"),
            Plain("one_way_flows"),
            Plain("asymmetric_flows"),
            Plain("incomplete"),
        ],
    },
    Table {
        name: "services",
        has_source: true,
        columns: &[
            Name("network"),
            Plain("day"),
            Plain("address"),
            Plain("port"),
            Plain("protocol"),
            Name("class"),
            Plain("evidence"),
            Plain("first"),
            Plain("last"),
            Plain("answers"),
            Plain("clients"),
        ],
    },
    Table {
        name: "class_hosts",
        has_source: true,
        columns: &[
            Name("network"),
            Plain("day"),
            Name("class"),
            Plain("evidence"),
            Plain("address"),
            Plain("first"),
            Plain("last"),
            Plain("flows"),
        ],
    },
    Table {
        name: "events",
        has_source: true,
        columns: &[Plain("at"), Plain("sequence"), Plain("place"), Name("network"), Name("event"), Plain("line")],
    },
    Table {
        name: "ledger",
        has_source: true,
        columns: &[Plain("start"), Name("interface"), Name("side"), Name("counter"), Plain("value")],
    },
];

impl Column {
    const fn name(self) -> &'static str {
        match self {
            Plain(name) | Name(name) | Bytes(name) => name,
        }
    }
}

impl Table {
    /// The names of what [`rows`](Self::rows) has.
    pub(super) fn fields(&self) -> Vec<&'static str> {
        let source: &[&str] = if self.has_source { &["sensor", "epoch", "live", "method", "sampling"] } else { &[] };
        source.iter().copied().chain(self.columns.iter().map(|column| column.name())).collect()
    }

    /// Hands over all rows, words in the place of their numbers.
    pub(super) fn rows(&self, connection: &Connection, each: &mut dyn FnMut(Vec<Json>) -> Result<()>) -> Result<()> {
        let column = |column: &Column| match column {
            Name(name) => format!("(SELECT names.name FROM names WHERE names.id = t.{name})"),
            Plain(name) | Bytes(name) => format!("t.{name}"),
        };
        let columns: Vec<String> = self.columns.iter().map(column).collect();
        let (source, join) = if self.has_source {
            ("sensor, epoch, live, method, sampling, ", " JOIN sources ON sources.id = t.source")
        } else {
            ("", "")
        };
        let question = format!("SELECT {source}{} FROM {} AS t{join}", columns.join(", "), self.name);
        let mut question = connection.prepare(&question)?;
        let count = question.column_count();
        let mut rows = question.query([])?;
        while let Some(row) = rows.next()? {
            let value = |place| row.get_ref(place).map_err(Into::into).and_then(json);
            each((0..count).map(value).collect::<Result<_>>()?)?;
        }
        Ok(())
    }

    /// Puts a row of another store into this one, in the place of the same one.
    pub(super) fn put(
        &self,
        transaction: &Transaction<'_>,
        names: &mut Names<'_>,
        row: &Map<String, Json>,
    ) -> Result<()> {
        let field = |name: &str| row.get(name).with_context(|| format!("a row of {} has no {name:?}", self.name));
        let mut values: Vec<Value> = Vec::new();
        for column in self.columns {
            let json = field(column.name())?;
            values.push(match (column, json) {
                (_, Json::Null) if self.name == "prefixes" => Value::Integer(0),
                (_, Json::Null) => Value::Null,
                (Name(_), Json::String(name)) => Value::Integer(names.number(name)?),
                (Plain(_), Json::Number(number)) => Value::Integer(number.as_i64().context("a number is too large")?),
                (Plain(_), Json::String(text)) => Value::Text(text.clone()),
                (Bytes(_), Json::String(digits)) => Value::Blob(bytes(digits)?),
                (column, other) => bail!("a row of {} has {other} for {:?}", self.name, column.name()),
            });
        }
        let mut columns: Vec<&str> = self.columns.iter().map(|column| column.name()).collect();
        if self.has_source {
            let text = |name: &str| field(name)?.as_str().with_context(|| format!("{name} is no text"));
            let (sensor, epoch) = (text("sensor")?, text("epoch")?);
            let is_live = field("live")?.as_i64().context("live is no number")? != 0;
            let method = method(row).context("method or sampling is none")?;
            values.push(Value::Integer(source(transaction, sensor, epoch, is_live, method)?));
            columns.push("source");
        }
        let places = vec!["?"; columns.len()].join(", ");
        let put = format!("INSERT OR REPLACE INTO {}({}) VALUES ({places})", self.name, columns.join(", "));
        transaction.prepare_cached(&put)?.execute(params_from_iter(values))?;
        Ok(())
    }
}

/// The number of a source; a new one where it is not known.
pub(super) fn source(
    connection: &Connection,
    sensor: &str,
    epoch: &str,
    is_live: bool,
    method: Method,
) -> rusqlite::Result<i64> {
    let find = || {
        let mut find = connection.prepare_cached("SELECT id FROM sources WHERE sensor = ?1 AND epoch = ?2")?;
        find.query_row([sensor, epoch], |row| row.get(0)).optional()
    };
    if let Some(id) = find()? {
        return Ok(id);
    }
    let add = "INSERT INTO sources(sensor, epoch, live, method, sampling) VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.execute(add, params![sensor, epoch, is_live, method.name(), method.sampling()])?;
    Ok(connection.last_insert_rowid())
}

/// How the source of a row knows what it tells. What the first version exported does not say so: it counted.
fn method(row: &Map<String, Json>) -> Option<Method> {
    let Some(name) = row.get("method") else { return Some(Method::Counted) };
    Method::named(name.as_str()?, u32::try_from(row.get("sampling")?.as_u64()?).ok()?)
}

fn json(value: ValueRef<'_>) -> Result<Json> {
    Ok(match value {
        ValueRef::Null => Json::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
    })
}

fn bytes(digits: &str) -> Result<Vec<u8>> {
    let byte = |place: usize| u8::from_str_radix(digits.get(place..place + 2).unwrap_or_default(), 16);
    (0..digits.len()).step_by(2).map(byte).collect::<Result<_, _>>().context("bytes are no hexadecimal digits")
}
