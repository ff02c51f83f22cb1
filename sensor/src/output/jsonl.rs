//! One JSON object a line: `record` names its kind, the key comes with each.

use std::io::{self, Write};

use serde::Serialize;

use crate::summary::{Key, Summary};

#[derive(Serialize)]
struct Line<'a, T> {
    record: &'static str,
    #[serde(flatten)]
    key: &'a Key,
    #[serde(flatten)]
    body: &'a T,
}

pub(super) fn write(summary: &Summary, to: &mut dyn Write) -> io::Result<()> {
    lines(to, &summary.key, "network", &summary.networks)?;
    lines(to, &summary.key, "prefix", &summary.prefixes)?;
    lines(to, &summary.key, "unattributed", &summary.unattributed)?;
    lines(to, &summary.key, "ledger", &summary.ledger)
}

fn lines<T: Serialize>(to: &mut dyn Write, key: &Key, record: &'static str, bodies: &[T]) -> io::Result<()> {
    for body in bodies {
        serde_json::to_writer(&mut *to, &Line { record, key, body })?;
        to.write_all(b"\n")?;
    }
    Ok(())
}
