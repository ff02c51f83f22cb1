//! How records spell what has a name; they are read back, from a journal, by the same spelling.

use std::{fmt::Display, str::FromStr, sync::Arc};

use sensor_ebpf::{
    abi::Direction,
    class::{Class, Evidence, Family},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::cidr::Cidr;

/// `#[serde(with)]` of a class.
pub(super) mod class {
    use super::*;

    pub(in crate::summary) fn serialize<S: Serializer>(class: &Class, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(class.name())
    }

    pub(in crate::summary) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Class, D::Error> {
        named(deserializer, "class", Class::ALL.iter().copied(), Class::name)
    }
}

/// `#[serde(with)]` of a family.
pub(super) mod family {
    use super::*;

    pub(in crate::summary) fn serialize<S: Serializer>(family: &Family, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(family.name())
    }

    pub(in crate::summary) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Family, D::Error> {
        named(deserializer, "family", Class::ALL.iter().map(|class| class.family()), Family::name)
    }
}

/// `#[serde(with)]` of an evidence.
pub(super) mod evidence {
    use super::*;

    pub(in crate::summary) fn serialize<S: Serializer>(evidence: &Evidence, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(evidence.name())
    }

    pub(in crate::summary) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Evidence, D::Error> {
        named(deserializer, "evidence", Evidence::ALL.into_iter(), Evidence::name)
    }
}

/// `#[serde(with)]` of an evidence that may be none.
pub(super) mod some_evidence {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Named(#[serde(with = "super::evidence")] Evidence);

    pub(in crate::summary) fn serialize<S: Serializer>(evidence: &Option<Evidence>, to: S) -> Result<S::Ok, S::Error> {
        evidence.map(Named).serialize(to)
    }

    pub(in crate::summary) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Evidence>, D::Error> {
        Ok(Option::<Named>::deserialize(from)?.map(|named| named.0))
    }
}

/// `#[serde(with)]` of a direction.
pub(super) mod direction {
    use super::*;

    pub(in crate::summary) fn serialize<S: Serializer>(direction: &Direction, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(direction.name())
    }

    pub(in crate::summary) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Direction, D::Error> {
        named(deserializer, "direction", Direction::ALL.into_iter(), Direction::name)
    }
}

/// `#[serde(with)]` of the name of a network.
pub(super) mod network {
    use super::*;

    pub(in crate::summary) fn serialize<S: Serializer>(name: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(name)
    }

    pub(in crate::summary) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(deserializer).map(Into::into)
    }
}

/// `#[serde(with)]` of the name of a network that may be none.
pub(super) mod some_network {
    use super::*;

    pub(in crate::summary) fn serialize<S: Serializer>(name: &Option<Arc<str>>, to: S) -> Result<S::Ok, S::Error> {
        name.as_deref().serialize(to)
    }

    pub(in crate::summary) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Arc<str>>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(Into::into))
    }
}

/// `#[serde(with)]` of a prefix.
pub(super) mod prefix {
    use super::*;

    pub(in crate::summary) fn serialize<S: Serializer>(prefix: &Cidr, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(prefix)
    }

    pub(in crate::summary) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cidr, D::Error> {
        parsed(&String::deserialize(deserializer)?)
    }
}

/// `#[serde(with)]` of prefixes.
pub(super) mod prefixes {
    use super::*;

    pub(in crate::summary) fn serialize<S: Serializer>(prefixes: &[Cidr], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(prefixes.iter().map(ToString::to_string))
    }

    pub(in crate::summary) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Cidr>, D::Error> {
        Vec::<String>::deserialize(from)?.iter().map(|text| parsed(text)).collect()
    }
}

/// A value from its text.
pub(super) fn parsed<T: FromStr<Err: Display>, E: Error>(text: &str) -> Result<T, E> {
    text.parse().map_err(E::custom)
}

fn named<'de, D: Deserializer<'de>, T: Copy>(
    deserializer: D,
    what: &str,
    mut all: impl Iterator<Item = T>,
    name: impl Fn(T) -> &'static str,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    all.find(|value| name(*value) == text)
        .ok_or_else(|| D::Error::custom(format_args!("{} is no {what} of this version", crate::cidr::quote(&text))))
}
