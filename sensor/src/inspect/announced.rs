//! Connections that another one announces: FTP names the port of each transfer on its control connection (RFC 959 section 4.1.2, RFC
//! 2428), and nothing in the transfer itself says what it is.
//!
//! False alarms: somebody else's connection to an announced port before the transfer; servers choose ports nobody else is told of. Not
//! seen: transfers whose control connection is encrypted or was not seen.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr},
};

use super::Packet;

/// Announcements that are remembered; the oldest is forgotten for another.
const MAX_ANNOUNCED: usize = 4096;
/// Minutes for which a transfer is waited for; servers do for one to five.
const WAIT: u32 = 5;
/// Lines of a packet that are read.
const MAX_LINES: usize = 16;

/// Where a connection was announced.
pub(super) type Endpoint = (IpAddr, u16);

/// Announced endpoints.
#[derive(Debug, Default)]
pub(super) struct Announced {
    /// With the minute of the last announcement.
    endpoints: HashMap<Endpoint, u32>,
    order: VecDeque<Endpoint>,
}

impl Announced {
    /// Takes a packet of an FTP control connection at that minute.
    pub(super) fn observe(&mut self, packet: &Packet<'_>, now: u32) {
        for line in packet.payload.split(|byte| *byte == b'\n').take(MAX_LINES) {
            let Ok(line) = std::str::from_utf8(line.trim_ascii_end()) else { continue };
            let (sender, _) = packet.flow.source;
            let Some((address, port)) = announcement(line) else { continue };
            // A server behind a translator announces the address it has there.
            self.remember((sender, port), now);
            self.remember((address.unwrap_or(sender), port), now);
        }
    }

    /// Whether a connection to one of these was announced and is still waited for.
    pub(super) fn is_announced(&self, endpoints: [Endpoint; 2], now: u32) -> bool {
        let is_awaited = |at: &u32| now.saturating_sub(*at) <= WAIT;
        !self.endpoints.is_empty()
            && endpoints.iter().any(|endpoint| self.endpoints.get(endpoint).is_some_and(is_awaited))
    }

    /// Forgets announcements that nobody waits for any more.
    pub(super) fn expire(&mut self, now: u32) {
        while let Some(oldest) = self.order.front() {
            if self.is_announced([*oldest; 2], now) {
                break;
            }
            self.endpoints.remove(oldest);
            self.order.pop_front();
        }
    }

    fn remember(&mut self, endpoint: Endpoint, now: u32) {
        if self.endpoints.insert(endpoint, now).is_some() {
            return;
        }
        self.order.push_back(endpoint);
        if self.order.len() > MAX_ANNOUNCED
            && let Some(oldest) = self.order.pop_front()
        {
            self.endpoints.remove(&oldest);
        }
    }
}

/// The address and port that a line announces; no address where it is the sender's.
fn announcement(line: &str) -> Option<(Option<IpAddr>, u16)> {
    let command = line.get(..4)?.to_ascii_uppercase();
    let rest = line.get(4..)?;
    match command.as_str() {
        "PORT" => commas(rest),
        "EPRT" => bars(rest),
        "227 " => commas(rest.split_once('(').map_or(rest, |(_, inside)| inside)),
        "229 " => bars(rest.split_once('(')?.1),
        _ => None,
    }
}

/// `h1,h2,h3,h4,p1,p2`, with anything but digits around.
fn commas(text: &str) -> Option<(Option<IpAddr>, u16)> {
    let text = text.trim_matches(|letter: char| !letter.is_ascii_digit());
    let mut numbers = [0_u8; 6];
    let mut fields = text.split(',');
    for number in &mut numbers {
        *number = fields.next()?.trim().parse().ok()?;
    }
    let [a, b, c, d, high, low] = numbers;
    fields.next().is_none().then(|| (Some(Ipv4Addr::new(a, b, c, d).into()), u16::from_be_bytes([high, low])))
}

/// `|1|192.0.2.1|1025|`, or `|||1025|` for the sender's own address.
fn bars(text: &str) -> Option<(Option<IpAddr>, u16)> {
    let text = text.trim_start();
    let mut fields = text.split(text.chars().next()?).skip(1);
    let (_family, address, port) = (fields.next()?, fields.next()?, fields.next()?);
    let address = if address.is_empty() { None } else { Some(address.parse().ok()?) };
    Some((address, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Flow;

    #[test]
    fn ports_in_all_four_ways() {
        let v4 = |last, port| Some((Some(IpAddr::from([192, 0, 2, last])), port));
        assert_eq!(announcement("PORT 192,0,2,7,4,1"), v4(7, 1025));
        assert_eq!(announcement("port 192,0,2,7,4,1"), v4(7, 1025));
        assert_eq!(announcement("227 Entering Passive Mode (192,0,2,7,255,255)."), v4(7, 65535));
        assert_eq!(announcement("227 =192,0,2,7,255,255"), v4(7, 65535));
        assert_eq!(announcement("EPRT |1|192.0.2.7|1025|"), v4(7, 1025));
        assert_eq!(announcement("EPRT |2|2001:db8::7|1025|"), Some((Some("2001:db8::7".parse().unwrap()), 1025)));
        assert_eq!(announcement("229 Entering Extended Passive Mode (|||6446|)"), Some((None, 6446)));
        for line in [
            "",
            "POR",
            "PORT",
            "PORT 1,2,3,4,5",
            "PORT 1,2,3,4,5,6,7",
            "PORT 256,0,0,1,1,1",
            "227 (a)",
            "229 (|||65536|)",
        ] {
            assert_eq!(announcement(line), None, "{line:?}");
        }
        assert_eq!(announcement("229 (é|||1|)"), None);
    }

    #[test]
    fn announcements_fill_no_memory() {
        let mut announced = Announced::default();
        let flow = |last: [u8; 4]| Flow {
            protocol: 6,
            source: (IpAddr::from(last), 21),
            destination: (IpAddr::from([192, 0, 2, 1]), 40_000),
        };
        for number in 0..20_000_u32 {
            let line = format!("229 Entering (|||{}|)\r\nPORT 10,0,0,{},9,9\r\n", number % 60_000, number % 250);
            let payload = line.as_bytes();
            let packet = Packet {
                flow: flow(number.to_be_bytes()),
                length: 0,
                tcp: None,
                payload,
                payload_len: payload.len() as u32,
            };
            announced.observe(&packet, 0);
            assert!(announced.order.len() <= MAX_ANNOUNCED && announced.endpoints.len() == announced.order.len());
            let last = (flow(number.to_be_bytes()).source.0, (number % 60_000) as u16);
            assert!(announced.is_announced([last, last], 0));
        }
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut announced = Announced::default();
        let at = |port| (IpAddr::from([192, 0, 2, 7]), port);
        announced.remember(at(1), 10);
        announced.remember(at(2), 11);
        announced.remember(at(1), 12);
        let awaited = |announced: &Announced, now| [1, 2].map(|port| announced.is_announced([at(port); 2], now));
        assert_eq!(awaited(&announced, 11 + WAIT), [true, true]);
        assert_eq!(awaited(&announced, 12 + WAIT), [true, false]);
        announced.expire(12 + WAIT);
        assert_eq!(announced.order.len(), 2);
        announced.expire(13 + WAIT);
        assert_eq!((announced.order.len(), announced.endpoints.len()), (0, 0));
    }
}
