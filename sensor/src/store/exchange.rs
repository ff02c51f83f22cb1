//! What goes from one store to another: all rows as JSON lines, or the rows of a table as CSV.

use std::io::{self, BufRead, Write};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value as Json};

use super::{
    Archive, Store,
    table::{TABLES, Table},
    unwritable,
    write::Names,
};

/// Rows that go into one commit.
const ROWS: usize = 100_000;
/// Longest line that is read.
const MAX_LINE: usize = 1 << 20;

/// The names of the tables.
fn tables() -> Vec<&'static str> {
    TABLES.iter().map(|table| table.name).collect()
}

impl Archive {
    /// Writes all rows, one JSON object a line, which [`Store::import`] reads.
    ///
    /// # Errors
    /// They cannot be read or written.
    pub fn export(&self, to: &mut dyn Write) -> Result<()> {
        for table in &TABLES {
            let fields = table.fields();
            let exported = table.rows(&self.connection, &mut |row| {
                let mut object = Map::new();
                object.insert("table".to_owned(), table.name.into());
                object.extend(fields.iter().map(|field| (*field).to_owned()).zip(row));
                // What went wrong is of the output: it may be a pipe that nobody reads any more.
                serde_json::to_writer(&mut *to, &object).map_err(io::Error::from)?;
                Ok(to.write_all(b"\n")?)
            });
            exported.map_err(|error| self.placed(error))?;
        }
        Ok(to.flush()?)
    }

    /// Writes the rows of a table as CSV (RFC 4180), its columns first.
    ///
    /// # Errors
    /// There is no such table; or as [`export`](Self::export).
    pub fn export_csv(&self, name: &str, to: &mut dyn Write) -> Result<()> {
        let table = TABLES.iter().find(|table| table.name == name);
        let table = table.with_context(|| format!("{name:?} is no table; name one of {}", tables().join(", ")))?;
        to.write_all(table.fields().join(",").as_bytes())?;
        to.write_all(b"\r\n")?;
        let exported = table.rows(&self.connection, &mut |row| {
            let cells: Vec<String> = row.iter().map(cell).collect();
            to.write_all(cells.join(",").as_bytes())?;
            Ok(to.write_all(b"\r\n")?)
        });
        exported.map_err(|error| self.placed(error))?;
        Ok(to.flush()?)
    }
}

impl Store {
    /// Reads what another store exported; how many rows that were. What is read again changes nothing.
    ///
    /// # Errors
    /// A line is none of an export, which its number tells; what came before it is in the store.
    pub fn import(&mut self, from: &mut dyn BufRead) -> Result<u64> {
        let (mut line, mut number) = (Vec::new(), 0_u64);
        loop {
            let transaction = self.connection.transaction().map_err(|error| unwritable(&self.path, error))?;
            let mut names = Names::new(&transaction);
            let mut has_more = true;
            for _ in 0..ROWS {
                line.clear();
                let read = io::Read::take(&mut *from, MAX_LINE as u64)
                    .read_until(b'\n', &mut line)
                    .context("cannot be read; name a file of `sensor store export`")?;
                has_more = read > 0;
                if !has_more {
                    break;
                }
                number += 1;
                let put = || -> Result<()> {
                    if !line.ends_with(b"\n") {
                        bail!("it has no end");
                    }
                    let row: Map<String, Json> = serde_json::from_slice(&line)?;
                    table(&row)?.put(&transaction, &mut names, &row)
                };
                let mut put = put;
                put().map_err(|error| {
                    // A line is not to blame for what the disk does.
                    if error.is::<rusqlite::Error>() {
                        return unwritable(&self.path, error);
                    }
                    error.context(format!("line {number} is none of `sensor store export`; export it again"))
                })?;
            }
            drop(names);
            transaction.commit().map_err(|error| unwritable(&self.path, error))?;
            if !has_more {
                // Which intervals there are may have changed.
                self.source = None;
                return Ok(number);
            }
        }
    }
}

fn table(row: &Map<String, Json>) -> Result<&'static Table> {
    let name = row.get("table").and_then(Json::as_str).unwrap_or_default();
    TABLES.iter().find(|table| table.name == name).with_context(|| format!("{name:?} is no table of this version"))
}

/// A cell of CSV.
fn cell(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) if text.contains([',', '"', '\r', '\n']) => format!("\"{}\"", text.replace('"', "\"\"")),
        Json::String(text) => text.clone(),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => value.to_string(),
    }
}
