//! The single values of a configuration: each is checked where it is read from text, in a file or on the command line.

use std::{fmt, str::FromStr, time::Duration};

use jiff::{SignedDuration, Span, SpanRelativeTo};
use thiserror::Error;

use crate::cidr::quote;

/// Shortest interval: below, the snapshot itself becomes the load.
pub const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Longest interval, and what every interval must divide.
pub const MAX_INTERVAL: Duration = Duration::from_secs(3600);
/// Interval unless the configuration says otherwise.
pub const DEFAULT_INTERVAL: Interval = Interval(10);
/// Longest sensor name in bytes: the longest host name of Linux.
pub const MAX_SENSOR_ID_LEN: usize = 64;
/// Longest name of a network in bytes.
pub const MAX_NAME_LEN: usize = 64;
/// Longest interface name in bytes: the kernel's `IFNAMSIZ` less the zero behind it.
pub const MAX_INTERFACE_NAME_LEN: usize = 15;

/// A value that cannot be: one line that says why and what to write.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ValueError(String);

impl ValueError {
    pub(super) const fn new(message: String) -> Self {
        Self(message)
    }
}

/// Export period: whole seconds that divide an hour, so that intervals begin at the same times every hour and day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(u32);

impl Interval {
    /// Length in seconds, from 1 to 3600.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// Length.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl Default for Interval {
    fn default() -> Self {
        DEFAULT_INTERVAL
    }
}

impl FromStr for Interval {
    type Err = ValueError;

    /// Reads a duration such as `10s`, `1m` or `1m 30s`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let quoted = quote(text);
        let duration: SignedDuration = text.parse().map_err(|_| {
            ValueError(format!("{quoted} is not a duration; write a number and a unit, such as \"10s\""))
        })?;
        let duration = Duration::try_from(duration).unwrap_or_default();
        if !(MIN_INTERVAL..=MAX_INTERVAL).contains(&duration) {
            return Err(ValueError(format!("the interval {quoted} is out of range; write one from \"1s\" to \"1h\"")));
        }
        let hour = MAX_INTERVAL.as_secs();
        let seconds = duration.as_secs();
        if duration.subsec_nanos() != 0 || !hour.is_multiple_of(seconds) {
            let divides = |length: &u64| hour.is_multiple_of(*length);
            let below = (1..=seconds).rev().find(divides).unwrap_or(1);
            let above = (seconds + 1..=hour).find(divides).unwrap_or(hour);
            return Err(ValueError(format!(
                "the interval {quoted} does not divide an hour, so intervals would drift against wall time; write \
                 \"{below}s\" or \"{above}s\""
            )));
        }
        // At most an hour.
        Ok(Self(seconds as u32))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

/// A duration such as `14d`, of days of 24 hours; `None`: it is none.
pub(super) fn in_days(text: &str) -> Option<SignedDuration> {
    let span: Span = text.parse().ok()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
}

/// A checked name: the type, what it is called in messages, and the check.
macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                match $check(text) {
                    Some(reason) => Err(ValueError(format!("{} {reason}", quote(text)))),
                    None => Ok(Self(text.to_owned())),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_name! {
    /// Name of a network interface as the kernel accepts it: 1 to 15 bytes, no white space, no `/` or `:`.
    InterfaceName, refuse_interface_name
}
checked_name! {
    /// Name of a sensor: 1 to 64 ASCII letters, digits, `.`, `-` and `_`, no `.` first, as in a host name. It is the name
    /// of this instance, and so of one folder: never empty, hidden, `..` or a path.
    SensorId, refuse_sensor_id
}
checked_name! {
    /// Name of a network: 1 to 64 bytes of printable text, no white space at its ends.
    Name, refuse_name
}

/// Why a text is no interface name; the rules of the kernel's `dev_valid_name`.
fn refuse_interface_name(text: &str) -> Option<&'static str> {
    let reserved = matches!(text, "." | "..") || text.chars().any(|c| c == '/' || c == ':' || c.is_whitespace());
    if text.is_empty() || text.len() > MAX_INTERFACE_NAME_LEN {
        Some("is not an interface name, which has 1 to 15 bytes; take one that `ip link` shows")
    } else if reserved || text.contains('\0') {
        Some("is not an interface name, which has no white space, / or :; take one that `ip link` shows")
    } else {
        None
    }
}

fn refuse_sensor_id(text: &str) -> Option<&'static str> {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    let fits = (1..=MAX_SENSOR_ID_LEN).contains(&text.len());
    (!plain || !fits || text.starts_with('.'))
        .then_some("is not a sensor id; write 1 to 64 letters, digits, dots, hyphens and underscores, no dot first")
}

fn refuse_name(text: &str) -> Option<&'static str> {
    let fits = (1..=MAX_NAME_LEN).contains(&text.len());
    (!fits || text.trim() != text || text.chars().any(char::is_control))
        .then_some("is not a name; write 1 to 64 bytes of printable text without white space at its ends")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn interval(text: &str) -> Result<u32, String> {
        text.parse().map(Interval::seconds).map_err(|error| error.to_string())
    }

    #[test]
    fn intervals() {
        for (text, seconds) in [("1s", 1), ("10s", 10), ("1m", 60), ("1m 30s", 90), ("1m30s", 90), ("2000ms", 2)] {
            assert_eq!(interval(text), Ok(seconds));
        }
        assert_eq!(interval("1h"), Ok(3600));
        let drift = "does not divide an hour, so intervals would drift against wall time; write";
        assert_eq!(interval("7s"), Err(format!("the interval \"7s\" {drift} \"6s\" or \"8s\"")));
        assert_eq!(interval("1500ms"), Err(format!("the interval \"1500ms\" {drift} \"1s\" or \"2s\"")));
        assert_eq!(interval("50m"), Err(format!("the interval \"50m\" {drift} \"1800s\" or \"3600s\"")));
        for text in ["500ms", "0s", "-10s", "2h", "61m"] {
            let error = format!("the interval \"{text}\" is out of range; write one from \"1s\" to \"1h\"");
            assert_eq!(interval(text), Err(error));
        }
        for text in ["", "10", "s", "ten seconds", "1 fortnight"] {
            let error = format!("\"{text}\" is not a duration; write a number and a unit, such as \"10s\"");
            assert_eq!(interval(text), Err(error));
        }
        assert_eq!(Interval::default().to_string(), "10s");
    }

    #[test]
    fn names() {
        let interface = |text: &str| text.parse::<InterfaceName>().is_ok();
        for name in ["eth0", "enp1s0f0np0", "wg-äö", "a.100", "x@y"] {
            assert!(interface(name), "{name}");
        }
        for name in ["", ".", "..", "a b", "a/b", "a:1", "abcdefghijklmnop", "a\tb", "a\u{0}"] {
            assert!(!interface(name), "{name}");
        }
        assert!("edge-1.example_x".parse::<SensorId>().is_ok());
        for id in ["", ".", "..", ".x", "a b", "ä", "a/b", "a\u{0}", "a\n"] {
            assert!(id.parse::<SensorId>().is_err(), "{id}");
        }
        assert!("Universität Zürich".parse::<Name>().is_ok());
        for name in ["", " a", "a\n", "a\u{7}b"] {
            assert!(name.parse::<Name>().is_err(), "{name:?}");
        }
        assert_eq!(
            "a/b".parse::<InterfaceName>().unwrap_err().to_string(),
            "\"a/b\" is not an interface name, which has no white space, / or :; take one that `ip link` shows"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<Interval>();
            let _ = text.parse::<InterfaceName>();
            let _ = text.parse::<Name>();
        }

        #[test]
        fn a_sensor_id_is_the_name_of_one_folder(text in prop_oneof![".{0,70}", "[a-z0-9./_ -]{0,6}"]) {
            if let Ok(id) = text.parse::<SensorId>() {
                let mut parts = std::path::Path::new(id.as_str()).components();
                prop_assert_eq!(parts.next(), Some(std::path::Component::Normal(id.as_str().as_ref())));
                prop_assert_eq!(parts.next(), None);
            }
        }

        #[test]
        fn intervals_round_trip(seconds in 1u32..=3600) {
            if let Ok(interval) = format!("{seconds}s").parse::<Interval>() {
                prop_assert_eq!(interval.seconds(), seconds);
                prop_assert_eq!(interval.to_string().parse(), Ok(interval));
            }
        }
    }
}
