//! `[events]`: from which difference to its own history on what a network does is news.

/// Quarters of an hour are compared with those of the same hour of the week in so many weeks before, unless the configuration says otherwise.
pub const DEFAULT_EVENT_WEEKS: u32 = 8;
/// Fewest such weeks.
pub const MIN_EVENT_WEEKS: u32 = 3;
/// Most such weeks.
pub const MAX_EVENT_WEEKS: u32 = 26;
/// Largest percentage, and most deviations.
pub const MAX_EVENT_NUMBER: u32 = 100_000;
/// Longest time without counting that is no news, in seconds.
pub const MAX_BLIND: u32 = 86_400;
/// Highest rate below which no difference is news, in bytes per second.
pub const MAX_LEAST_RATE: u32 = u32::MAX;

/// What is told as an event of what a store has of the weeks before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// Weeks that a quarter of an hour is compared with; half of them, and two at least, must be there.
    pub weeks: u32,
    /// From so many percent of what is usual on, traffic is a surge: more than 100.
    pub surge_percent: u32,
    /// Down from so many percent of what is usual, it is a collapse: less than 100.
    pub collapse_percent: u32,
    /// From so many points of share on that upstreams won or lost, traffic has shifted.
    pub shift_percent: u32,
    /// How many times the usual deviation from what is usual it must be, whatever the percentage.
    pub deviations: u32,
    /// A difference of fewer bytes per second is none.
    pub least_rate: u32,
    /// From so many seconds on without counting, the sensor was blind.
    pub blind_seconds: u32,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            weeks: DEFAULT_EVENT_WEEKS,
            surge_percent: 300,
            collapse_percent: 33,
            shift_percent: 20,
            deviations: 5,
            least_rate: 12_500,
            blind_seconds: 60,
        }
    }
}
