//! Sockets at which a peer of BitTorrent was heard: a client takes all its peers at one port of TCP, those that speak in clear text and those that are encrypted
//! from their first byte. What it says there to one more of them is BitTorrent, too, though it be random bytes or the middle of a file.
//!
//! Evidence: `list`, as nothing in the flow says so; the list is what was heard within the hour. Only bytes that are BitTorrent by themselves get a socket onto
//! it, said by the socket itself and to two addresses, so that no port of one connection is taken for it, and nobody else's requests put it there.
//!
//! Source: BEP 3 (a peer tells trackers its one port), Message Stream Encryption (who takes a connection tells it from a handshake by its first bytes).
//!
//! False alarms: another service at the port that a translator had lent a client within the hour. Not seen: clients that are heard at no socket in clear text; what is
//! said to a socket that answers nothing.

use std::{collections::HashMap, net::IpAddr};

use super::announced::Endpoint;

/// Sockets of one of the two generations; when one is full, the elder is forgotten.
const MAX_SOCKETS: usize = 1 << 13;
/// Minutes for which a socket stays one after a peer was last heard at it.
const STAYS: u32 = 60;

/// Sockets at which peers were heard.
#[derive(Debug, Default)]
pub(super) struct Peers {
    sockets: HashMap<Endpoint, Heard>,
    elder: HashMap<Endpoint, Heard>,
}

/// What was heard at a socket.
#[derive(Clone, Copy, Debug)]
struct Heard {
    /// To whom it spoke first.
    to: IpAddr,
    /// Whether it spoke to another one, too.
    is_shared: bool,
    /// The minute in which it was heard last.
    at: u32,
}

impl Heard {
    /// Both ways: packets of two interfaces may come out of order, and a clock that is set back makes nothing last.
    fn is_recent(&self, now: u32) -> bool {
        now.abs_diff(self.at) <= STAYS
    }
}

impl Peers {
    /// Takes note that a peer of BitTorrent spoke from a socket to an address.
    pub(super) fn hear(&mut self, socket: Endpoint, to: IpAddr, now: u32) {
        if self.sockets.len() >= MAX_SOCKETS && !self.sockets.contains_key(&socket) {
            self.elder = std::mem::take(&mut self.sockets);
        }
        let before = self.sockets.get(&socket).copied().or_else(|| self.elder.remove(&socket));
        let first = Heard { to, is_shared: false, at: now };
        let heard = before.filter(|heard| heard.is_recent(now)).unwrap_or(first);
        self.sockets.insert(socket, Heard { is_shared: heard.is_shared || heard.to != to, at: now, ..heard });
    }

    /// Whether a peer speaks there to more than one.
    pub(super) fn is_known(&self, socket: Endpoint, now: u32) -> bool {
        let heard = self.sockets.get(&socket).or_else(|| self.elder.get(&socket));
        heard.is_some_and(|heard| heard.is_shared && heard.is_recent(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn a_socket_is_known_by_two_addresses_for_an_hour() {
        let mut peers = Peers::default();
        let socket = (address(1), 6881);
        peers.hear(socket, address(2), 10);
        peers.hear(socket, address(2), 11);
        assert!(!peers.is_known(socket, 11));
        peers.hear(socket, address(3), 12);
        assert!(peers.is_known(socket, 12 + STAYS) && !peers.is_known(socket, 13 + STAYS));
        assert!(!peers.is_known((address(1), 6882), 12) && !peers.is_known((address(2), 6881), 12));
        // Whoever has the port a day later is somebody else until it is heard again, by two.
        peers.hear(socket, address(4), 2000);
        assert!(!peers.is_known(socket, 2000));
        peers.hear(socket, address(3), 2000);
        assert!(peers.is_known(socket, 2000));
    }

    #[test]
    fn sockets_fill_no_memory() {
        let mut peers = Peers::default();
        let kept = (address(1), 6881);
        for number in 0..200_000_u32 {
            peers.hear((address(number), 9), address(2), 0);
            // One that is heard is kept whatever else comes.
            peers.hear(kept, address(number % 2), 0);
            assert!(peers.sockets.len() <= MAX_SOCKETS && peers.elder.len() <= MAX_SOCKETS);
        }
        assert!(peers.is_known(kept, 0));
    }
}
