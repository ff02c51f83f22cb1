//! With whom a network speaks, by what is known of the far ends.

use anyhow::Result;
use serde::Serialize;

use super::{
    Dimension, Records, Share, Systems,
    parts::{self, Whole},
};

/// Far ends of which the same is known, in both periods.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Counterpart {
    /// Country, system (`AS64500`), or list.
    pub name: String,
    /// What a system is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_name: Option<String>,
    /// Bytes in the period.
    pub bytes: i64,
    /// Their share of all.
    pub share: f64,
    /// Bytes in the other one.
    pub baseline_bytes: i64,
    /// Their share of all there.
    pub baseline_share: f64,
}

/// With whom.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Counterparts {
    /// By country.
    pub country: Vec<Counterpart>,
    /// By autonomous system.
    pub asn: Vec<Counterpart>,
    /// By list; one far end may be on several, most are on none.
    pub list: Vec<Counterpart>,
}

impl Counterparts {
    pub(super) fn of(records: &dyn Records, network: &str, wholes: [Whole<'_>; 2], systems: &Systems) -> Result<Self> {
        let row = |(name, share): (String, Share)| Counterpart {
            as_name: systems.get(&name).and_then(|(_, name)| name.clone()),
            name,
            bytes: share.bytes,
            share: share.share,
            baseline_bytes: share.baseline_bytes,
            baseline_share: share.baseline_share,
        };
        let rows = |dimension| -> Result<Vec<Counterpart>> {
            Ok(parts::shares(records, network, dimension, wholes)?.into_iter().map(row).collect())
        };
        Ok(Self { country: rows(Dimension::Country)?, asn: rows(Dimension::System)?, list: rows(Dimension::List)? })
    }
}
