//! IPFIX (RFC 7011).

use anyhow::{Result, bail};
use jiff::Timestamp;

use crate::{config::Ipfix, spool::Piece};

/// What delivers there.
pub(super) struct Sink {
    config: Ipfix,
}

impl Sink {
    pub(super) fn new(config: &Ipfix) -> Self {
        Self { config: config.clone() }
    }

    /// Delivers a piece.
    pub(super) async fn send(&mut self, piece: &Piece) -> Result<()> {
        bail!("not there yet: {:?} {}", self.config, piece.records())
    }

    /// Reads certificates and passwords again, with the next connection.
    pub(super) fn renew(&mut self) {}

    /// When the first certificate expires.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        None
    }
}
