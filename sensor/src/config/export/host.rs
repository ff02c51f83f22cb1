//! Collectors in the network: where they listen, and how both ends know each other.

use std::{
    fmt::{self, Display},
    net::Ipv6Addr,
    path::PathBuf,
    str::FromStr,
};

use crate::{cidr::quote, config::ValueError};

/// Longest host name (RFC 1035, section 2.3.4).
const MAX_HOST_LEN: usize = 253;
/// Lowest port.
const LEAST_PORT: u16 = 1;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// A name, or an address without brackets.
    pub name: String,
    /// The port.
    pub port: u16,
}

/// How the ends of a TLS connection know each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates (PEM) that vouch for collectors; `None`: those that the system trusts.
    pub ca: Option<PathBuf>,
    /// What the sensor shows of itself; `None`: nothing.
    pub identity: Option<Identity>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Certificates (PEM), the own one first.
    pub cert: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
}

/// A user, and the file that holds the password: no secret stands in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub username: String,
    /// Its first line is the password.
    pub password_file: PathBuf,
}

impl Host {
    /// Reads `name`, `name:port`, `192.0.2.1:port` or `[2001:db8::1]:port`.
    fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                (address, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
            }
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let port = port.map_or(Some(default_port), |port| port.parse().ok().filter(|port| *port >= LEAST_PORT))?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_name =
            !name.is_empty() && name.len() <= MAX_HOST_LEN && (text.starts_with('[') || name.bytes().all(fits));
        is_name.then(|| Self { name: name.to_owned(), port })
    }
}

impl Display for Host {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, port } = self;
        if name.contains(':') { write!(to, "[{name}]:{port}") } else { write!(to, "{name}:{port}") }
    }
}

/// `endpoint` of a collector in the network: a scheme, and one host or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Url {
    /// Which of the schemes it is.
    pub(in crate::config) scheme: usize,
    pub(in crate::config) hosts: Vec<Host>,
}

impl Url {
    /// Reads `scheme://host:port`, or with commas between more hosts; of each scheme the port that goes without saying.
    pub(in crate::config) fn parse(text: &str, schemes: &[(&str, u16)], most: usize) -> Result<Self, ValueError> {
        let parse = || {
            let (scheme, hosts) = text.split_once("://")?;
            let at = schemes.iter().position(|(name, _)| *name == scheme)?;
            let (_, port) = schemes.get(at)?;
            let hosts: Option<Vec<Host>> = hosts.split(',').map(|host| Host::parse(host, *port)).collect();
            hosts.filter(|hosts| hosts.len() <= most).map(|hosts| Self { scheme: at, hosts })
        };
        parse().ok_or_else(|| {
            let forms: Vec<String> = schemes.iter().map(|(name, port)| format!("\"{name}://host:{port}\"")).collect();
            ValueError::new(format!("{} is no endpoint; write {}", quote(text), forms.join(" or ")))
        })
    }
}

/// Longest name of a user.
const MAX_USERNAME_LEN: usize = 128;

/// Name of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Username(pub(in crate::config) String);

impl FromStr for Username {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let fits =
            !text.is_empty() && text.len() <= MAX_USERNAME_LEN && !text.contains(|letter: char| letter.is_control());
        if !fits {
            return Err(ValueError::new(format!(
                "{} is no user name; write 1 to {MAX_USERNAME_LEN} letters",
                quote(text)
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let host = |text: &str| Host::parse(text, 7).map(|host| host.to_string());
        for (text, expected) in [
            ("a", "a:7"),
            ("collector.example:4740", "collector.example:4740"),
            ("192.0.2.1", "192.0.2.1:7"),
            ("[2001:db8::1]", "[2001:db8::1]:7"),
            ("[2001:db8::1]:9", "[2001:db8::1]:9"),
        ] {
            assert_eq!(host(text).as_deref(), Some(expected));
        }
        for text in
            ["", ":1", "a:", "a:0", "a:65536", "a:b", "2001:db8::1", "[::1", "[x]:1", "[::1]9", "a b", "a/b", "u@h"]
        {
            assert_eq!(host(text), None, "{text}");
        }
    }

    #[test]
    fn endpoints() {
        let url = |text: &str| Url::parse(text, &[("udp", 1), ("tls", 2)], 2);
        let parsed = url("tls://a,b:3").unwrap();
        assert_eq!((parsed.scheme, parsed.hosts.len(), parsed.hosts[0].port, parsed.hosts[1].port), (1, 2, 2, 3));
        for text in ["", "tls", "tls:a", "tls://", "tcp://a", "tls://a,", "tls://a,b,c", "udp://a/x"] {
            let message = url(text).unwrap_err().to_string();
            assert!(message.ends_with("is no endpoint; write \"udp://host:1\" or \"tls://host:2\""), "{message}");
        }
    }
}
