//! The same as text: findings, then short tables.

use super::{
    tables::{self, Table},
    text, words,
};
use crate::study::Study;

/// A table of a ticket has so many rows.
const MOST_ROWS: usize = 15;
/// What CommonMark or a ticket would take for more than a letter.
const SPECIAL: &str = "\\`*_[]<>#|~&@!";

pub(super) fn markdown(study: &Study) -> String {
    let mut text = format!(
        "# Network study: {}\n\nPeriod {} to {}, baseline {} to {}, days in {}.\n\n## Findings\n\n",
        escaped(&text::name(&study.network)),
        study.period.first(),
        study.period.last(),
        study.baseline.first(),
        study.baseline.last(),
        escaped(&text::name(&study.profile.timezone)),
    );
    for sentence in words::sentences(study) {
        text += &format!("- **{}** {}\n", escaped(&sentence.figure), escaped(&sentence.text));
    }
    for section in tables::sections(study) {
        let tables: Vec<&Table> = section.tables.iter().filter(|table| table.brief).collect();
        if tables.is_empty() {
            continue;
        }
        text += &format!("\n## {}\n", section.title);
        if !section.notes.is_empty() {
            text.push('\n');
        }
        for note in &section.notes {
            text += &format!("- {}\n", escaped(note));
        }
        for table in tables {
            text += &self::table(table);
        }
    }
    let version = study.provenance.sensor_version;
    text + &format!("\nMade by sensor {version}. Bytes are those of IP packets, in both directions.\n")
}

fn table(table: &Table) -> String {
    let line = |cells: &mut dyn Iterator<Item = String>| format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
    let is_number =
        |column: usize| table.rows.iter().any(|row| row.get(column).is_some_and(|cell| cell.value.is_some()));
    let mut text = format!("\n{}:\n\n", escaped(&table.caption));
    text += &line(&mut table.head.iter().map(|name| escaped(name)));
    text += &line(&mut (0..table.head.len()).map(|column| if is_number(column) { "---:" } else { "---" }.to_owned()));
    for row in table.rows.iter().take(MOST_ROWS) {
        text += &line(&mut row.iter().map(|cell| escaped(&cell.text)));
    }
    if table.rows.is_empty() {
        text += "\nNone.\n";
    }
    if let Some(more) = table.rows.len().checked_sub(MOST_ROWS).filter(|more| *more > 0) {
        let more = text::count(more, "more row is", "more rows are");
        text += &format!("\n{more} in the page (`--format html`) and in `--format json`.\n");
    }
    text
}

/// Text that is nothing but text.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            // Not all readers of tickets take a backslash before these.
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            _ if SPECIAL.contains(letter) => escaped.extend(['\\', letter]),
            _ => escaped.push(letter),
        }
    }
    escaped
}
