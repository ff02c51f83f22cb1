//! One line of a list: `address[,port][,name]`.

use thiserror::Error;

use super::MAX_ENDPOINTS;
use crate::cidr::{Cidr, CidrError, quote};

/// What the first column may be called in a heading.
const HEADINGS: [&str; 7] = ["ip", "address", "ip_address", "host", "prefix", "network", "cidr"];

/// What is wrong with a line of a list, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EndpointProblem {
    /// The address cannot be read.
    #[error(transparent)]
    Address(#[from] CidrError),
    /// The second field is no port.
    #[error("{0} is not a port; write one from 1 to 65535, or leave the field empty for every port")]
    Port(String),
    /// More than three fields.
    #[error("the line has {0} fields; write address[,port][,name], and a name with commas in double quotes")]
    Fields(usize),
    /// More entries than accepted.
    #[error(
        "all lists together have more than {MAX_ENDPOINTS} entries; leave out lists, or join addresses to prefixes"
    )]
    TooMany,
}

/// What a line names. Its name is for people alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) cidr: Cidr,
    /// `None`: every port.
    pub(super) port: Option<u16>,
}

impl Endpoint {
    pub(super) fn read(fields: &[&str]) -> Result<Self, EndpointProblem> {
        let (address, port) = match *fields {
            [address] => (address, ""),
            [address, port] | [address, port, _] => (address, port),
            _ => return Err(EndpointProblem::Fields(fields.len())),
        };
        // A text may have its comment on the line; neither address nor port has that sign.
        let address = address.split_once('#').map_or(address, |(address, _)| address.trim_end());
        Ok(Self { cidr: address.parse()?, port: read_port(port)? })
    }
}

fn read_port(text: &str) -> Result<Option<u16>, EndpointProblem> {
    if text.is_empty() {
        return Ok(None);
    }
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| plain && *port != 0);
    port.map(Some).ok_or_else(|| EndpointProblem::Port(quote(text)))
}

/// Whether a first line names its columns.
pub(super) fn is_heading(fields: &[&str]) -> bool {
    fields.first().is_some_and(|field| HEADINGS.iter().any(|heading| field.eq_ignore_ascii_case(heading)))
}
