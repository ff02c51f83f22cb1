//! What says something about the other end, and what a report makes of it: files, and the values beside them.

use std::{path::PathBuf, str::FromStr, time::Duration};

use jiff::SignedDuration;
use sensor_ebpf::class::{Class, Family};

use super::{Name, ValueError, nearest::nearest, values::in_days};
use crate::cidr::quote;

/// Most `[[counterpart]]` sections.
pub const MAX_COUNTERPARTS: usize = 16;
/// Most `[[list]]` sections.
pub const MAX_LISTS: usize = 64;
/// Longest time that firsts are taken for what was there before.
pub const MAX_LEARN: Duration = Duration::from_secs(366 * 24 * 3600);
/// The same unless the configuration says otherwise.
pub const DEFAULT_LEARN: Learn = Learn(Duration::from_secs(14 * 24 * 3600));
/// Families of the classes that are hidden unless the configuration says otherwise.
const HIDDEN_FAMILIES: [Family; 3] = [Family::Vpn, Family::Anonymity, Family::Tunnel];

/// What a file says about the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CounterpartKind {
    /// Country, AS number and name by prefix: lines of `prefix,country,asn,as_name,kind`, or a MaxMind database.
    #[default]
    Geo,
}

/// A file of what the other end is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterpart {
    /// What the file says.
    pub kind: CounterpartKind,
    /// Where it is; a relative name was resolved against the folder of the configuration.
    pub file: PathBuf,
}

/// A list of known endpoints: `address[,port][,name]` a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its name in records and reports.
    pub name: Name,
    /// What speaking with them is; `None`: the list only says what the other end is, as one of hosting networks does. Never
    /// [`Class::Unknown`].
    pub class: Option<Class>,
    /// Where it is; a relative name was resolved against the folder of the configuration.
    pub file: PathBuf,
}

/// What a report goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Classes whose share is told as hidden, each once.
    pub hidden_classes: Vec<Class>,
    /// How much coverage it takes before a first is news.
    pub learn: Learn,
}

impl Default for Report {
    fn default() -> Self {
        let hidden = |class: &Class| HIDDEN_FAMILIES.contains(&class.family());
        Self { hidden_classes: Class::ALL.iter().copied().filter(hidden).collect(), learn: DEFAULT_LEARN }
    }
}

/// Coverage before which a first is recorded as there from the beginning, and not announced: up to [`MAX_LEARN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Learn(Duration);

impl Learn {
    /// Its length.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Learn {
    type Err = ValueError;

    /// Reads a duration such as `14d`, of days of 24 hours.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let quoted = quote(text);
        let Some(duration) = in_days(text) else {
            return Err(ValueError::new(format!(
                "{quoted} is not a duration in days or hours; write a number and a unit, such as \"14d\""
            )));
        };
        Ok(Self(in_range(duration).ok_or_else(|| {
            ValueError::new(format!("the time to learn {quoted} is out of range; write one from \"0s\" to \"366d\""))
        })?))
    }
}

fn in_range(duration: SignedDuration) -> Option<Duration> {
    Duration::try_from(duration).ok().filter(|duration| *duration <= MAX_LEARN)
}

/// A class by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClassName(pub(super) Class);

impl FromStr for ClassName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Some(class) = Class::named(text) {
            return Ok(Self(class));
        }
        let quoted = quote(text);
        let fix = match nearest(text, Class::ALL.iter().map(|class| class.name())) {
            Some(near) => format!("did you mean {near:?}?"),
            None => {
                format!("write one of {}", Class::ALL.iter().map(|class| class.name()).collect::<Vec<_>>().join(", "))
            }
        };
        Err(ValueError::new(format!("unknown class {quoted}; {fix}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_learn() {
        let learn = |text: &str| text.parse::<Learn>().map(|learn| learn.duration().as_secs());
        let day = 24 * 3600;
        for (text, seconds) in
            [("14d", 14 * day), ("0s", 0), ("2w", 14 * day), ("36h", 36 * 3600), ("1d 12h", 36 * 3600)]
        {
            assert_eq!(learn(text), Ok(seconds), "{text}");
        }
        assert_eq!(learn("366d"), Ok(MAX_LEARN.as_secs()));
        assert_eq!(DEFAULT_LEARN, "14d".parse().unwrap());
        for text in ["367d", "-1d", "366d 1s"] {
            assert!(learn(text).unwrap_err().to_string().contains("from \"0s\" to \"366d\""), "{text}");
        }
        for text in ["", "14", "1 month", "1y", "soon"] {
            assert!(learn(text).unwrap_err().to_string().contains("is not a duration in days or hours"), "{text}");
        }
    }

    #[test]
    fn classes_by_name() {
        for class in Class::ALL {
            assert_eq!(class.name().parse(), Ok(ClassName(*class)));
        }
        let error = |text: &str| text.parse::<ClassName>().unwrap_err().to_string();
        assert_eq!(error("open_vpn"), "unknown class \"open_vpn\"; did you mean \"openvpn\"?");
        assert!(error("Tor").ends_with("did you mean \"tor\"?"));
        assert!(error("carrier pigeon").contains("; write one of unknown, dns_tunnel, tor, "));
    }

    #[test]
    fn what_is_hidden_unless_said_otherwise() {
        let hidden = Report::default().hidden_classes;
        for class in [Class::OpenVpn, Class::WireGuard, Class::Ipsec, Class::Tor, Class::DnsTunnel, Class::Gre] {
            assert!(hidden.contains(&class), "{class:?}");
        }
        for class in [Class::Unknown, Class::Tls, Class::Ssh, Class::Stratum, Class::EncryptedDns] {
            assert!(!hidden.contains(&class), "{class:?}");
        }
    }
}
