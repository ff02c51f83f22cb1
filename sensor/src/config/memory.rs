//! How much kernel memory a sensor may take.

use std::{fmt, str::FromStr};

use super::ValueError;
use crate::cidr::quote;

/// Bytes of a mebibyte.
const MIB: u64 = 1 << 20;
/// Suffixes and their bytes (IEC 80000-13).
const UNITS: [(&str, u64); 2] = [("GiB", 1 << 30), ("MiB", MIB)];
/// Least bound: some prefixes on a machine with a few CPUs take 2 MiB.
pub const MIN_MEMORY: Memory = Memory(16 * MIB);
/// Largest bound: beyond, maps would have more entries than the kernel can number.
pub const MAX_MEMORY: Memory = Memory(64 << 30);
/// Bound unless the configuration says otherwise: twice what a full table of both families takes on 8 CPUs.
pub const DEFAULT_MEMORY: Memory = Memory(2 << 30);

/// An amount of memory or of a disk, in whole mebibytes: first of all, the most that all maps of one sensor take in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Memory(u64);

impl Memory {
    /// Of whole mebibytes.
    #[must_use]
    pub(super) const fn mebibytes(number: u64) -> Self {
        Self(number * MIB)
    }

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl Default for Memory {
    fn default() -> Self {
        DEFAULT_MEMORY
    }
}

impl FromStr for Memory {
    type Err = ValueError;

    /// Reads a whole number of `MiB` or `GiB`, such as `512MiB`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        amount(text, "memory", MIN_MEMORY, MAX_MEMORY)
    }
}

/// Reads an amount of something, of memory or on a disk, within bounds.
pub(super) fn amount(text: &str, what: &str, least: Memory, most: Memory) -> Result<Memory, ValueError> {
    let quoted = quote(text);
    let number = UNITS.iter().find_map(|(suffix, bytes)| Some((text.strip_suffix(suffix)?.trim_end(), *bytes)));
    let Some((digits, unit)) = number.filter(|(digits, _)| is_number(digits)) else {
        return Err(ValueError::new(format!(
            "{quoted} is no amount of {what}; write a whole number of MiB or GiB, such as \"{DEFAULT_MEMORY}\""
        )));
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).unwrap_or(u64::MAX);
    if !(least.0..=most.0).contains(&bytes) {
        return Err(ValueError::new(format!(
            "the {what} {quoted} is out of range; write an amount from \"{least}\" to \"{most}\""
        )));
    }
    Ok(Memory(bytes))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, bytes)| self.0.is_multiple_of(*bytes));
        let (suffix, bytes) = unit.copied().unwrap_or(("MiB", MIB));
        write!(f, "{}{suffix}", self.0 / bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_memory() {
        let memory = |text: &str| text.parse::<Memory>().map(Memory::bytes).map_err(|error| error.to_string());
        for (text, bytes) in [("16MiB", 16 << 20), ("2GiB", 2 << 30), ("1536 MiB", 1536 << 20), ("64GiB", 64 << 30)] {
            assert_eq!(memory(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "2", "2GB", "2G", "2.5GiB", "-1GiB", "+1GiB", "2 GiB ", "2gib", "GiB2"] {
            let write = "write a whole number of MiB or GiB, such as \"2GiB\"";
            assert_eq!(memory(text), Err(format!("\"{text}\" is no amount of memory; {write}")));
        }
        for text in ["15MiB", "0GiB", "65GiB", "65537MiB", "99999999999999999999999GiB", "18446744073709551615GiB"] {
            let write = "write an amount from \"16MiB\" to \"64GiB\"";
            assert_eq!(memory(text), Err(format!("the memory \"{text}\" is out of range; {write}")));
        }
        for text in ["16MiB", "1025MiB", "3GiB"] {
            assert_eq!(text.parse::<Memory>().unwrap().to_string(), text);
        }
        assert_eq!(Memory::default().to_string(), "2GiB");
    }
}
