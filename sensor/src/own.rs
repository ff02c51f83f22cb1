//! The sensor's own conversations with its collectors. Exporters say with whom they are about to speak, whoever watches traffic asks: a sensor whose
//! records cross an interface that it watches must not find news in what it sends of its news.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{PoisonError, RwLock},
};

use crate::inspect::Flow;

/// Most conversations that are known. Of more, the one forgotten is that which was announced longest ago.
const MAX_CONVERSATIONS: usize = 1024;

/// Protocol, the sensor's address, the collector's address and port.
type Conversation = (u8, IpAddr, (IpAddr, u16));

/// With whom this sensor speaks, for several threads.
#[derive(Debug, Default)]
pub struct OwnTraffic(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Each with the number of its last announcement.
    conversations: HashMap<Conversation, u64>,
    announcements: u64,
}

impl OwnTraffic {
    /// Says that there will be packets of `protocol` between an address of the sensor and a collector.
    pub fn announce(&self, protocol: u8, near: IpAddr, far: SocketAddr) {
        // It is whole whoever dies.
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.announcements += 1;
        let number = known.announcements;
        let conversation = (protocol, near.to_canonical(), (far.ip().to_canonical(), far.port()));
        known.conversations.insert(conversation, number);
        if known.conversations.len() > MAX_CONVERSATIONS {
            let oldest = known.conversations.iter().min_by_key(|(_, number)| **number).map(|(oldest, _)| *oldest);
            oldest.map(|oldest| known.conversations.remove(&oldest));
        }
    }

    /// Whether a flow is one of these conversations, whatever port the sensor has in it.
    pub fn has(&self, flow: &Flow) -> bool {
        let Flow { protocol, source, destination } = *flow;
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let is_known = |near: IpAddr, far| known.conversations.contains_key(&(protocol, near, far));
        is_known(source.0, destination) || is_known(destination.0, source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::protocol::{TCP, UDP};

    fn flow(protocol: u8, source: &str, destination: &str) -> Flow {
        let end = |text: &str| text.parse::<SocketAddr>().map(|end| (end.ip(), end.port())).unwrap();
        Flow { protocol, source: end(source), destination: end(destination) }
    }

    #[test]
    fn both_directions_of_any_port_of_the_sensor_and_nothing_else() {
        let own = OwnTraffic::default();
        assert!(!own.has(&flow(UDP, "192.0.2.1:1000", "198.51.100.1:4739")));
        own.announce(UDP, "192.0.2.1".parse().unwrap(), "198.51.100.1:4739".parse().unwrap());
        own.announce(TCP, "::ffff:192.0.2.1".parse().unwrap(), "[2001:db8::1]:9092".parse().unwrap());
        assert!(own.has(&flow(UDP, "192.0.2.1:1000", "198.51.100.1:4739")));
        assert!(own.has(&flow(UDP, "198.51.100.1:4739", "192.0.2.1:2000")));
        assert!(own.has(&flow(TCP, "192.0.2.1:2000", "[2001:db8::1]:9092")), "addresses in their shortest form");
        for (protocol, source, destination) in [
            (TCP, "192.0.2.1:1000", "198.51.100.1:4739"),
            (UDP, "192.0.2.2:1000", "198.51.100.1:4739"),
            (UDP, "192.0.2.1:1000", "198.51.100.1:4740"),
            (UDP, "192.0.2.1:4739", "198.51.100.1:1000"),
            (UDP, "192.0.2.1:1000", "198.51.100.2:4739"),
        ] {
            assert!(!own.has(&flow(protocol, source, destination)), "{protocol} {source} {destination}");
        }
    }

    #[test]
    fn the_oldest_goes_and_what_is_announced_again_stays() {
        let own = OwnTraffic::default();
        let near: IpAddr = "192.0.2.1".parse().unwrap();
        let far = |port: u16| SocketAddr::new("198.51.100.1".parse().unwrap(), port);
        own.announce(UDP, near, far(1));
        for port in 2..=1025 {
            own.announce(UDP, near, far(1));
            own.announce(UDP, near, far(port));
        }
        let has = |port: u16| own.has(&flow(UDP, "192.0.2.1:9", &far(port).to_string()));
        assert!(has(1) && !has(2) && has(3) && has(1025));
    }
}
