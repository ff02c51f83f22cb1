//! Medians over rounds, as a table and as JSON.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde_json::json;

use super::rows::{ROWS, Row};

/// Everything measured, by row.
#[derive(Default)]
pub(crate) struct Report {
    nanos: BTreeMap<&'static str, Vec<f64>>,
    /// Other figures: their name, value and unit.
    figures: Vec<(&'static str, f64, &'static str)>,
}

impl Report {
    /// A round's figure of a row, in nanoseconds a packet.
    pub(crate) fn add(&mut self, name: &'static str, nanos: f64) {
        self.nanos.entry(name).or_default().push(nanos);
    }

    /// Any other figure.
    pub(crate) fn figure(&mut self, name: &'static str, value: f64, unit: &'static str) {
        self.figures.push((name, value, unit));
    }

    fn median(&self, name: &str) -> Option<f64> {
        self.nanos.get(name).map(|nanos| median(nanos))
    }

    fn over_null(&self, row: &Row) -> Option<f64> {
        Some(self.median(row.name)? - self.median(row.driver.null())?)
    }

    /// Writes the table for people.
    pub(crate) fn print(&self) {
        println!("\n{:32} {:>8} {:>8} {:>10} {:>8}", "ns a packet", "median", "least", "over null", "of LPM");
        for row in ROWS {
            let (Some(median), Some(over_null)) = (self.median(row.name), self.over_null(row)) else { continue };
            let least = self.nanos[row.name].iter().copied().fold(f64::INFINITY, f64::min);
            let of_reference = self.of_reference(row).map(|ratio| format!("1/{ratio:.1}")).unwrap_or_default();
            println!("{:32} {median:8.1} {least:8.1} {over_null:10.1} {of_reference:>8}", row.name);
        }
        for (name, value, unit) in &self.figures {
            println!("{name:32} {value:8.2} {unit}");
        }
    }

    /// How many times the kernel's trie costs over null what the row does.
    fn of_reference(&self, row: &Row) -> Option<f64> {
        let name = row.name.replacen("full_", "kernel_lpm_", 1);
        let reference = ROWS.iter().find(|other| other.name == name && other.name != row.name)?;
        Some(self.over_null(reference)? / self.over_null(row)?)
    }

    /// Writes it for programs.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let rows = ROWS.iter().filter_map(|row| {
            let (median, over_null) = (self.median(row.name)?, self.over_null(row)?);
            Some(json!({"name": row.name, "median_ns": round(median), "over_null_ns": round(over_null)}))
        });
        let figures =
            self.figures.iter().map(|(name, value, unit)| json!({"name": name, "value": value, "unit": unit}));
        let report = json!({"rows": rows.collect::<Vec<_>>(), "figures": figures.collect::<Vec<_>>()});
        fs::write(path, format!("{report:#}\n")).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The middle one, of an even number the upper of the two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn round(nanos: f64) -> f64 {
    (nanos * 100.0).round() / 100.0
}
