//! Which upstream a neighbour is: named by the configuration, or learned under its own address.
//!
//! Pure: a neighbour is what the program saw of it, and the kernel's neighbour table is handed in. `neighbours` reads that table.

mod names;
mod neighbours;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub(crate) use self::{names::KnownNeighbours, neighbours::list_neighbours};
pub use self::{
    names::{MAX_LEARNED, UpstreamEvent, UpstreamName, Upstreams},
    neighbours::{MAX_NEIGHBOURS, NeighbourTable, read_neighbours},
};

/// A MAC address as people write it.
pub(crate) fn mac_text([a, b, c, d, e, f]: [u8; 6]) -> String {
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// A neighbour as the program knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its interface, by its place in the configuration.
    pub interface: u32,
    /// Its MAC address: the source of what it sends, the destination of what it gets.
    pub mac: [u8; 6],
    /// The VLAN its frames are tagged with.
    pub vlan: Option<u16>,
}
