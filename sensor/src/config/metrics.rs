//! `[metrics]`: where a page for Prometheus and the health of the sensor can be asked for.

use std::{net::SocketAddr, str::FromStr};

use super::ValueError;
use crate::cidr::quote;

/// Where to listen, and what to show there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Address and TCP port; there is no default, for whoever may read the page is the operator's choice.
    pub listen: SocketAddr,
    /// Whether each prefix has series of its own, beside those of networks.
    pub prefixes: bool,
}

/// `listen`: an IP address and a TCP port that a scraper can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listen(pub(super) SocketAddr);

impl FromStr for Listen {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let address = text.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
        address.map(Self).ok_or_else(|| {
            let quoted = quote(text);
            ValueError::new(format!(
                "{quoted} is no address to listen on; write an IP address and a port, such as \"127.0.0.1:9477\" or \"[::1]:9477\""
            ))
        })
    }
}
