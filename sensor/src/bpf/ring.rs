//! Waiting for samples.

use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result};
use tokio::io::{Interest, unix::AsyncFd};

use super::SharedMaps;

/// Becomes ready when programs tell of something.
#[derive(Debug)]
pub struct SampleRing(AsyncFd<OwnedFd>);

impl SampleRing {
    /// Of these maps; needs a tokio runtime.
    ///
    /// # Errors
    /// There is no descriptor left, or the runtime cannot wait for this one.
    pub fn of(maps: &SharedMaps) -> Result<Self> {
        let ring = maps.ring().try_clone_to_owned().context("cannot hold the ring of samples")?;
        // SAFETY: the descriptor is owned, nobody else knows it, and it lives as long as what waits for it.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
        Ok(Self(ring.context("cannot wait for samples")?))
    }

    /// Waits until there are samples that were not there when it was last asked. May be given up and called again.
    pub async fn ready(&self) {
        match self.0.readable().await {
            // Before they are read: a sample that comes meanwhile makes it ready again.
            Ok(mut ready) => ready.clear_ready(),
            // The runtime ends.
            Err(_) => std::future::pending().await,
        }
    }
}
