//! What stands for Kafka in a sensor that was built without it. No configuration gets here: its check refuses such an exporter.

use anyhow::{Result, bail};
use jiff::Timestamp;

use crate::{
    config::{Host, Kafka},
    spool::Piece,
};

/// Delivers nothing.
pub(in crate::export) struct Sink;

impl Sink {
    pub(in crate::export) fn new(_: &Kafka) -> Self {
        Self
    }

    /// Says why not.
    pub(in crate::export) async fn send(&mut self, _: &Piece) -> Result<()> {
        bail!("this sensor was built without Kafka; build with --features kafka, or remove the exporter")
    }

    /// There is nothing to read again.
    pub(in crate::export) fn renew(&mut self) {}

    /// There are none.
    pub(in crate::export) fn brokers(&self) -> Vec<Host> {
        vec![]
    }

    /// There are no certificates.
    pub(in crate::export) fn expires(&self) -> Option<Timestamp> {
        None
    }
}
