//! How much is remembered of watched traffic, and how much of it is looked into.

use super::ValueError;

/// Watched flows whose class is remembered, unless the configuration says otherwise.
pub const DEFAULT_FLOWS: u32 = 1 << 18;
/// Fewest such flows.
pub const MIN_FLOWS: u32 = 1 << 10;
/// Most such flows.
pub const MAX_FLOWS: u32 = 1 << 24;
/// Watched IPv4 addresses that have a bit of their own, unless the configuration says otherwise.
pub const DEFAULT_ACTIVITY_ADDRESSES: u32 = 1 << 24;
/// Fewest such addresses.
pub const MIN_ACTIVITY_ADDRESSES: u32 = 1 << 8;
/// Most such addresses.
pub const MAX_ACTIVITY_ADDRESSES: u32 = 1 << 30;
/// Samples of payload a second, unless the configuration says otherwise.
pub const DEFAULT_SAMPLES_PER_SECOND: u32 = 20_000;
/// Most samples of payload a second.
pub const MAX_SAMPLES_PER_SECOND: u32 = 1_000_000;

/// Rows in which each CPU counts far ends, unless the configuration says otherwise.
pub const DEFAULT_COUNTERPARTS: u32 = 1 << 16;
/// Fewest such rows.
pub const MIN_COUNTERPART_ROWS: u32 = 1 << 10;
/// Most such rows.
pub const MAX_COUNTERPART_ROWS: u32 = 1 << 20;

/// Bounds on what is kept of watched traffic beside its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most watched flows whose class is remembered: a power of two, [`MIN_FLOWS`] to [`MAX_FLOWS`].
    pub flows: u32,
    /// Watched addresses up to which each has a bit of its own; beyond, a bounded table holds the active ones.
    pub max_activity_addresses: u32,
    /// Budget of payload samples for user space; 0: none, and every class is the kernel's guess.
    pub samples_per_second: u32,
    /// Rows of each CPU slice that count far ends, by network, direction and what is known of them: a power of two, [`MIN_COUNTERPART_ROWS`] to
    /// [`MAX_COUNTERPART_ROWS`]. What finds none is counted as `other`.
    pub max_counterparts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: DEFAULT_FLOWS,
            max_activity_addresses: DEFAULT_ACTIVITY_ADDRESSES,
            samples_per_second: DEFAULT_SAMPLES_PER_SECOND,
            max_counterparts: DEFAULT_COUNTERPARTS,
        }
    }
}

/// A number within its bounds, both included; `what` names it in the message.
pub(super) fn bounded(what: &str, number: u64, least: u32, most: u32) -> Result<u32, ValueError> {
    let range = u64::from(least)..=u64::from(most);
    let fits = range.contains(&number).then(|| u32::try_from(number).ok()).flatten();
    fits.ok_or_else(|| ValueError::new(format!("{what} cannot be {number}; write a number from {least} to {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_part_of_the_range() {
        assert_eq!((bounded("n", 2, 2, 9), bounded("n", 9, 2, 9)), (Ok(2), Ok(9)));
        for number in [1, 10, 1 << 32 | 5, u64::MAX] {
            let message = format!("n cannot be {number}; write a number from 2 to 9");
            assert_eq!(bounded("n", number, 2, 9).unwrap_err().to_string(), message);
        }
        // Rounding a permitted number up stays permitted.
        assert!(
            [MIN_FLOWS, MAX_FLOWS, MIN_COUNTERPART_ROWS, MAX_COUNTERPART_ROWS]
                .iter()
                .all(|bound| bound.is_power_of_two())
        );
    }
}
