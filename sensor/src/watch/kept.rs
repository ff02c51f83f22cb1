//! What stays known over a restart: what lives at watched addresses, and which neighbours were announced.

use serde::{Deserialize, Serialize};

use super::{Limits, Watch};
use crate::{
    sights::{Sights, SnapshotError},
    upstream::{KnownNeighbours, Upstreams},
};

/// Number of this format; what [`Sights`] writes has one of its own.
const VERSION: u8 = 1;

/// What is written, by postcard.
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u8,
    sights: Vec<u8>,
    neighbours: KnownNeighbours,
}

impl Watch {
    /// What is known, as bytes, of the end of an interval. Flows are not in it.
    pub fn keep(&self) -> Vec<u8> {
        let kept = Kept { version: VERSION, sights: self.sights.snapshot(), neighbours: self.upstreams.known() };
        // Into memory, of numbers and texts: there is nothing that could fail.
        postcard::to_stdvec(&kept).unwrap_or_default()
    }

    /// Goes on with what was kept, under limits that may be others; networks, lists and upstreams are to be configured.
    ///
    /// # Errors
    /// The bytes are damaged, or another version's. Nothing of them can be used then.
    pub fn restore(limits: &Limits, bytes: &[u8]) -> Result<Self, SnapshotError> {
        let kept: Kept = postcard::from_bytes(bytes).map_err(|_| SnapshotError::Damaged)?;
        if kept.version != VERSION {
            return Err(SnapshotError::Version(kept.version.into()));
        }
        let sights = Sights::restore(limits.sights, limits.learn, &kept.sights)?;
        Ok(Self::with(limits, sights, Upstreams::with_known(kept.neighbours)))
    }
}
