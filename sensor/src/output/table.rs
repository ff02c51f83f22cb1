//! Tables for people.

mod ledger;
mod watched;

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    io::{self, Write},
};

use comfy_table::{CellAlignment, Table, presets};
use sensor_ebpf::abi::Direction;

use crate::summary::{Count, FlowRecord, PrefixRecord, Summary};

/// Rows shown of what there may be many of; the JSON lines have them all.
const MAX_ROWS: usize = 30;

/// What was counted of something in a direction, and a remark.
type Row = (String, Direction, String, Count);

pub(super) fn write(summary: &Summary, to: &mut dyn Write) -> io::Result<()> {
    let seconds = summary.interval().length().as_secs_f64();
    writeln!(to, "{} to {} ({seconds:.3} s)", summary.key.start, summary.key.end)?;
    watched::write(summary, seconds, to)?;
    if !summary.prefixes.is_empty() {
        let rows = largest(&summary.prefixes).into_iter().map(|row| {
            (row.prefix.to_string(), row.direction, row.network.as_deref().unwrap_or_default().to_owned(), row.count)
        });
        writeln!(to, "{}", traffic(["prefix", "direction", "network"], rows, seconds))?;
        if summary.prefixes.len() > MAX_ROWS {
            writeln!(to, "and {} more rows: --format jsonl has all", summary.prefixes.len() - MAX_ROWS)?;
        }
    }
    if !summary.unattributed.is_empty() {
        let rows =
            summary.unattributed.iter().map(|row| (String::from("lost"), row.direction, String::new(), row.count));
        writeln!(to, "{}", traffic(["names", "direction", ""], rows, seconds))?;
    }
    if !summary.flows.is_empty() {
        writeln!(to, "{}", classes(&summary.flows))?;
    }
    summary.ledger.iter().try_for_each(|ledger| writeln!(to, "{}\n", ledger::line(ledger)))
}

/// The prefixes to show, that with the most bytes first, and of equal ones that which comes first.
fn largest(prefixes: &[PrefixRecord]) -> Vec<&PrefixRecord> {
    let mut ranked: Vec<(Reverse<u64>, usize)> =
        prefixes.iter().enumerate().map(|(place, row)| (Reverse(row.count.bytes), place)).collect();
    // A full table is not sorted for the sake of a few rows.
    if ranked.len() > MAX_ROWS {
        ranked.select_nth_unstable(MAX_ROWS - 1);
        ranked.truncate(MAX_ROWS);
    }
    ranked.sort_unstable();
    ranked.iter().map(|(_, place)| &prefixes[*place]).collect()
}

fn traffic(head: [&str; 3], rows: impl Iterator<Item = Row>, seconds: f64) -> Table {
    let rows = rows.map(|(name, direction, remark, Count { packets, bytes, frame_bytes })| {
        [
            name,
            direction.name().to_owned(),
            remark,
            packets.to_string(),
            bytes.to_string(),
            frame_bytes.to_string(),
            rate(bytes, seconds),
        ]
    });
    plain([head[0], head[1], head[2], "packets", "bytes", "frame bytes", "bit/s"], 3, rows)
}

/// Rows of text; from column `numbers` on of numbers.
fn plain<const N: usize>(head: [&str; N], numbers: usize, rows: impl Iterator<Item = [String; N]>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(head);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// What flows were found to be, that with the most bytes first; the flows themselves are in the JSON lines.
fn classes(flows: &[FlowRecord]) -> Table {
    let mut sums: BTreeMap<_, [u64; 3]> = BTreeMap::new();
    for flow in flows {
        let sum = sums.entry((flow.class, flow.evidence.unwrap_or_default(), flow.family)).or_default();
        let more = [1, flow.packets + flow.reverse_packets, flow.bytes + flow.reverse_bytes];
        sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }
    let mut rows: Vec<_> = sums.into_iter().collect();
    rows.sort_by_key(|(_, [_, _, bytes])| Reverse(*bytes));
    let rows = rows.into_iter().map(|((class, evidence, family), sums)| {
        let [flows, packets, bytes] = sums.map(|sum| sum.to_string());
        [class.to_owned(), evidence.to_owned(), family.to_owned(), flows, packets, bytes]
    });
    plain(["class", "evidence", "family", "flows", "packets", "bytes"], 3, rows)
}

/// Bits per second with a decimal unit.
fn rate(bytes: u64, seconds: f64) -> String {
    if seconds <= 0.0 {
        return String::from("-");
    }
    let mut rate = bytes as f64 * 8.0 / seconds;
    for unit in ["", " k", " M", " G"] {
        if rate < 1000.0 {
            return format!("{rate:.1}{unit}");
        }
        rate /= 1000.0;
    }
    format!("{rate:.1} T")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_prefixes_are_shown_and_of_equal_ones_the_first() {
        let record = |place: usize, bytes: u64| PrefixRecord {
            prefix: format!("10.0.{}.0/24", place % 256).parse().unwrap(),
            direction: Direction::In,
            network: None,
            count: Count { packets: place as u64, bytes, frame_bytes: 0 },
        };
        for len in [0, 1, MAX_ROWS, MAX_ROWS + 1, 500] {
            let records: Vec<_> = (0..len).map(|place| record(place, (place * 7 % 20) as u64)).collect();
            let mut sorted: Vec<_> = records.iter().collect();
            sorted.sort_by_key(|row| Reverse(row.count.bytes));
            sorted.truncate(MAX_ROWS);
            assert_eq!(largest(&records), sorted);
        }
    }

    #[test]
    fn rates_keep_four_digits() {
        assert_eq!(rate(0, 1.0), "0.0");
        assert_eq!(rate(125, 1.0), "1.0 k");
        assert_eq!(rate(125_000_000_000_000, 1.0), "1000.0 T");
        assert_eq!(rate(1, 0.0), "-");
    }
}
