//! With whom an exporter is about to speak, said before it does: its first packet may cross an interface that is watched.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{
    net::{UdpSocket, lookup_host},
    time::timeout,
};

use crate::{
    config::{Host, Target, Transport},
    inspect::protocol::{TCP, UDP},
    own::OwnTraffic,
};

/// How long a name may take. That it is unknown is told by who connects.
const RESOLVE: Duration = Duration::from_secs(2);
/// Names are looked up this often while all goes well: connections that were idle are made anew, perhaps to another address.
const AGAIN: Duration = Duration::from_secs(60);

/// The ends of an exporter's connections.
#[derive(Debug)]
pub(super) struct Ends {
    own: Arc<OwnTraffic>,
    protocol: u8,
    hosts: Vec<Host>,
    announced: Option<Instant>,
}

impl Ends {
    pub(super) fn new(target: &Target, own: &Arc<OwnTraffic>) -> Self {
        let (protocol, hosts) = match target {
            Target::Jsonl(_) => (TCP, vec![]),
            Target::Ipfix(ipfix) => {
                let is_udp = matches!(ipfix.transport, Transport::Udp { .. });
                (if is_udp { UDP } else { TCP }, vec![ipfix.host.clone()])
            }
            Target::Kafka(kafka) => (TCP, kafka.brokers.clone()),
            Target::ClickHouse(clickhouse) => (TCP, vec![clickhouse.host.clone()]),
        };
        Self { own: Arc::clone(own), protocol, hosts, announced: None }
    }

    /// A connection will be made anew.
    pub(super) const fn forget(&mut self) {
        self.announced = None;
    }

    /// Connections to these, too.
    pub(super) fn add(&mut self, hosts: impl IntoIterator<Item = Host>) {
        for host in hosts {
            if !self.hosts.contains(&host) {
                self.hosts.push(host);
                self.forget();
            }
        }
    }

    /// Announces all of them, where that is due.
    pub(super) async fn announce(&mut self) {
        if self.announced.is_some_and(|announced| announced.elapsed() < AGAIN) {
            return;
        }
        self.announced = Some(Instant::now());
        join_all(self.hosts.iter().map(|host| self.announce_host(host))).await;
    }

    async fn announce_host(&self, host: &Host) {
        let Ok(Ok(found)) = timeout(RESOLVE, lookup_host((host.name.as_str(), host.port))).await else { return };
        for far in found {
            // Where there is no way to it, nothing is sent.
            if let Ok(near) = near(far).await {
                self.own.announce(self.protocol, near, far);
            }
        }
    }
}

/// The address that this host has towards another one. Nothing is sent.
async fn near(far: SocketAddr) -> io::Result<IpAddr> {
    let any = if far.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(far).await?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Kafka, inspect::Flow};

    #[tokio::test]
    async fn before_a_word_is_said_both_ends_are_known() {
        let own = Arc::new(OwnTraffic::default());
        let host = |name: &str, port| Host { name: name.to_owned(), port };
        let kafka = Kafka { brokers: vec![host("127.0.0.1", 9092)], topic: "t".into(), tls: None, login: None };
        let mut ends = Ends::new(&Target::Kafka(kafka), &own);
        let has = |protocol, port| {
            let address: IpAddr = "127.0.0.1".parse().unwrap();
            own.has(&Flow { protocol, source: (address, 50_000), destination: (address, port) })
        };
        ends.announce().await;
        assert!(has(TCP, 9092) && !has(UDP, 9092) && !has(TCP, 9093));
        // One that a cluster tells of, and one that there is not.
        ends.add([host("localhost", 9093), host("not.invalid", 9094), host("127.0.0.1", 9092)]);
        ends.announce().await;
        assert!(has(TCP, 9093) && !has(TCP, 9094));
        assert_eq!(ends.hosts.len(), 3);
    }
}
