//! Names that are asked for, by the domain they are under: a tunnel is known by many names, not by one.

use super::{End, Packet, Verdict};

/// What is known of the domains that names were asked under.
#[derive(Debug, Default)]
pub(super) struct Names {}

impl Names {
    /// Takes a message of the DNS flow at `place`.
    pub(super) fn observe(&mut self, _place: usize, _packet: &Packet<'_>, _from: End) {}

    /// What the DNS flow at `place` is, where it is more than that.
    pub(super) fn verdict(&self, _place: usize) -> Option<Verdict> {
        None
    }
}
