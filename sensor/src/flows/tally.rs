//! What was read of archives, and what of it was damaged.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

use super::{Damage, Read};

/// So many damaged records of a thousand are passed over; more than that says that something else is wrong.
const DAMAGED_OF_THOUSAND: u64 = 10;
/// So many are, however few records there are: a file may break off.
const DAMAGED: u64 = 10;

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Flows.
    pub flows: u64,
    /// Of them, those of no counted prefix.
    pub others: u64,
    /// Damaged records by reason.
    pub damaged: BTreeMap<Damage, u64>,
    /// File and line of the first of them.
    pub first_damage: Option<(PathBuf, u64, Damage)>,
}

impl Tally {
    /// Counts a record of a file.
    pub(crate) fn take(&mut self, file: &Path, read: &Read) {
        match read.flow {
            Ok(_) => self.flows += 1,
            Err(damage) => {
                *self.damaged.entry(damage).or_default() += 1;
                self.first_damage.get_or_insert_with(|| (file.to_owned(), read.line, damage));
            }
        }
    }

    /// What was damaged, in words; `None`: nothing.
    pub fn damage(&self) -> Option<String> {
        let (file, line, first) = self.first_damage.as_ref()?;
        let reasons: Vec<String> =
            self.damaged.iter().map(|(damage, number)| format!("{number} {}", damage.name())).collect();
        let number: u64 = self.damaged.values().sum();
        Some(format!(
            "{number} of {} records are damaged ({}), first {}:{line}: {}",
            number + self.flows,
            reasons.join("; "),
            file.display(),
            first.name()
        ))
    }

    /// Whether enough of it can be read.
    ///
    /// # Errors
    /// Too much of it is damaged.
    pub(crate) fn check(&self) -> Result<()> {
        let number: u64 = self.damaged.values().sum();
        let is_much = number > DAMAGED && number * 1000 > (number + self.flows) * DAMAGED_OF_THOUSAND;
        match self.damage() {
            Some(damage) if is_much || self.flows == 0 => {
                bail!("{damage}; nothing was imported: export the files again, and see to --flows and --timezone")
            }
            _ => Ok(()),
        }
    }
}
