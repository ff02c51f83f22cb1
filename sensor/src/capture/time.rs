//! Capture time: nanoseconds since the Unix epoch, whatever unit the file counts in.

/// Nanoseconds in a second.
const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// Decimal places of a nanosecond.
const NANOS_EXPONENT: u32 = 9;

/// A moment in UTC: nanoseconds since 1970-01-01T00:00:00Z, negative before it.
///
/// Covers the years 1678 to 2262; what a file claims beyond that is held at the nearer end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// From nanoseconds since the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From whole seconds and nanoseconds since the epoch; the latter may exceed a second.
    #[must_use]
    pub const fn from_parts(seconds: i64, nanos: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(nanos))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch (rounded down) and the nanoseconds left.
    #[must_use]
    pub const fn to_parts(self) -> (i64, u32) {
        // The remainder of a division by 10^9 is below 2^32.
        (self.0.div_euclid(NANOS_PER_SECOND), self.0.rem_euclid(NANOS_PER_SECOND) as u32)
    }
}

/// How an interface of a pcapng file counts time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    unit: Unit,
    /// Seconds to add (option `if_tsoffset`).
    offset: i64,
}

#[derive(Clone, Copy, Debug)]
enum Unit {
    /// Ticks are this many nanoseconds long.
    Nanos(u64),
    /// This many ticks make a nanosecond; `None`: more than 128 bits can hold.
    PerNano(Option<u128>),
    /// 2^n ticks make a second.
    PowerOfTwo(u32),
}

impl Clock {
    /// Microseconds: what holds where no option `if_tsresol` is given.
    pub(super) const DEFAULT_RESOLUTION: u8 = 6;

    /// From the values of the options `if_tsresol` and `if_tsoffset` (pcapng, section 4.2).
    pub(super) fn new(resolution: u8, offset: i64) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        let unit = if resolution & 0x80 != 0 {
            Unit::PowerOfTwo(exponent)
        } else if exponent <= NANOS_EXPONENT {
            Unit::Nanos(10u64.pow(NANOS_EXPONENT - exponent))
        } else {
            Unit::PerNano(10u128.checked_pow(exponent - NANOS_EXPONENT))
        };
        Self { unit, offset }
    }

    /// The moment of a count of ticks; parts of a nanosecond are cut off.
    pub(super) fn at(self, ticks: u64) -> Timestamp {
        let nanos = match self.unit {
            Unit::Nanos(length) => u128::from(ticks) * u128::from(length),
            Unit::PerNano(Some(ticks_per_nano)) => u128::from(ticks) / ticks_per_nano,
            Unit::PerNano(None) => 0,
            Unit::PowerOfTwo(exponent) => (u128::from(ticks) * NANOS_PER_SECOND as u128) >> exponent,
        };
        let offset = i128::from(self.offset) * i128::from(NANOS_PER_SECOND);
        // Below 2^94, so the conversion holds.
        let nanos = i128::try_from(nanos).unwrap_or(i128::MAX).saturating_add(offset);
        Timestamp(nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }

    /// The ticks of a moment, the inverse of [`Clock::at`]; 0 for what lies before the clock's zero.
    pub(super) fn ticks(self, at: Timestamp) -> u64 {
        let nanos = i128::from(at.0) - i128::from(self.offset) * i128::from(NANOS_PER_SECOND);
        let nanos = u128::try_from(nanos).unwrap_or(0);
        let ticks = match self.unit {
            Unit::Nanos(length) => nanos / u128::from(length),
            Unit::PerNano(ticks_per_nano) => nanos.saturating_mul(ticks_per_nano.unwrap_or(0)),
            Unit::PowerOfTwo(exponent) => {
                let scale = 1u128.checked_shl(exponent).unwrap_or(0);
                // Rounded up, so that the moment read back is not a nanosecond early.
                nanos.saturating_mul(scale).div_ceil(NANOS_PER_SECOND as u128)
            }
        };
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn resolutions() {
        for (resolution, ticks, nanos) in [
            (0, 7, 7_000_000_000),
            (3, 7, 7_000_000),
            (6, 7, 7_000),
            (9, 7, 7),
            (12, 7_999, 7),
            (127, u64::MAX, 0),
            (0x80, 7, 7_000_000_000),
            (0x80 | 10, 1536, 1_500_000_000),
            (0x80 | 32, 3 << 31, 1_500_000_000),
            (255, u64::MAX, 0),
        ] {
            assert_eq!(Clock::new(resolution, 0).at(ticks).as_nanos(), nanos, "if_tsresol {resolution}");
        }
    }

    #[test]
    fn extremes_are_held_at_the_end() {
        assert_eq!(Clock::new(0, i64::MAX).at(u64::MAX).as_nanos(), i64::MAX);
        assert_eq!(Clock::new(0, i64::MIN).at(0).as_nanos(), i64::MIN);
        assert_eq!(Clock::new(6, -3600).at(0).as_nanos(), -3_600_000_000_000);
        assert_eq!(Timestamp::from_nanos(-1).to_parts(), (-1, 999_999_999));
    }

    proptest! {
        #[test]
        fn any_clock_is_total(resolution: u8, offset: i64, ticks: u64, nanos: i64) {
            let clock = Clock::new(resolution, offset);
            clock.at(ticks);
            clock.ticks(Timestamp::from_nanos(nanos));
        }

        #[test]
        fn fine_clocks_keep_nanoseconds(nanos in 0..i64::MAX, offset in -100i64..100) {
            let offset = offset.min(nanos / NANOS_PER_SECOND);
            let at = Timestamp::from_nanos(nanos);
            let clock = Clock::new(9, offset);
            prop_assert_eq!(clock.at(clock.ticks(at)), at);
            let clock = Clock::new(0x80 | 30, offset);
            prop_assert_eq!(clock.at(clock.ticks(at)), at);
        }
    }
}
