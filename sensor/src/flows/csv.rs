//! `nfdump -o csv`: columns by the names in the header.

use std::io::{self, BufRead};

use anyhow::{Result, bail};

use super::{
    MAX_RECORD, Read, Reading,
    field::{Field, Fields},
    record::{Damage, Flow},
};

/// What comes behind the flows, up to the header of another export.
const SUMMARY: &str = "Summary";
/// What there is instead of flows where a filter found none.
pub(super) const NO_FLOWS: &str = "No matching flows";

/// Which field each column holds.
struct Header(Vec<Option<Field>>);

impl Header {
    /// Of a line with names; `None`: it has flows, or something else.
    fn of(line: &str) -> Option<Self> {
        let columns: Vec<Option<Field>> = line.split(',').map(|name| Field::named(name.trim())).collect();
        let is_header = columns.contains(&Some(Field::Source)) && columns.contains(&Some(Field::Destination));
        is_header.then_some(Self(columns))
    }

    /// The first field that no flow can do without.
    fn missing(&self) -> Option<Field> {
        let lacks = |field: &Field| !self.0.contains(&Some(*field));
        let end = [Field::Last, Field::Duration];
        Field::NEEDED.into_iter().find(lacks).or_else(|| end.iter().all(lacks).then_some(Field::Last))
    }

    fn fields<'a>(&self, line: &'a str) -> Result<Fields<'a>, Damage> {
        let (mut fields, mut cells) = (Fields::default(), line.split(','));
        for column in &self.0 {
            let cell = cells.next().ok_or(Damage::Syntax)?;
            if let Some(field) = column {
                fields.put(*field, cell);
            }
        }
        if cells.next().is_some() { Err(Damage::Syntax) } else { Ok(fields) }
    }
}

pub(super) fn records(
    reading: &Reading,
    from: &mut dyn BufRead,
    each: &mut dyn FnMut(Read) -> Result<()>,
) -> Result<()> {
    let (mut bytes, mut line, mut header) = (Vec::new(), 0_u64, None);
    let (mut is_over, mut has_header) = (false, false);
    loop {
        bytes.clear();
        if io::Read::take(&mut *from, MAX_RECORD as u64).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        line += 1;
        let is_whole = bytes.ends_with(b"\n");
        if !is_whole && bytes.len() == MAX_RECORD {
            skip_line(from)?;
            each(Read { line, flow: Err(Damage::TooLong) })?;
            continue;
        }
        let Ok(text) = std::str::from_utf8(&bytes).map(str::trim_end) else {
            each(Read { line, flow: Err(Damage::Syntax) })?;
            continue;
        };
        if let Some(found) = Header::of(text) {
            if let Some(field) = found.missing() {
                bail!(
                    "line {line}: the header has no column for {:?}; export with nfdump -o csv, or with that column ({})",
                    field,
                    field.names().join(", ")
                );
            }
            (header, is_over, has_header) = (Some(found), false, true);
            continue;
        }
        match text {
            "" | NO_FLOWS => continue,
            SUMMARY => is_over = true,
            _ => {}
        }
        if is_over {
            continue;
        }
        let Some(header) = &header else {
            bail!("line {line} is no header of nfdump -o csv; export without -q, which leaves it out");
        };
        let flow = match header.fields(text) {
            Ok(fields) => Flow::of(&fields, reading),
            Err(damage) => Err(damage),
        };
        // What breaks off in its last column may look like a smaller number.
        let flow = if is_whole { flow } else { Err(Damage::Cut) };
        if let Some(flow) = flow.transpose() {
            each(Read { line, flow })?;
        }
    }
    if line > 0 && !has_header {
        bail!("it has no header of nfdump -o csv; export it again");
    }
    Ok(())
}

/// Passes over the rest of a line in pieces.
fn skip_line(from: &mut dyn BufRead) -> Result<()> {
    loop {
        let piece = from.fill_buf()?;
        if piece.is_empty() {
            return Ok(());
        }
        match piece.iter().position(|byte| *byte == b'\n') {
            Some(place) => {
                from.consume(place + 1);
                return Ok(());
            }
            None => {
                let len = piece.len();
                from.consume(len);
            }
        }
    }
}
