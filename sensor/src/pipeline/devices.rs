//! The network devices of this namespace, and news of them (rtnetlink(7)).

use std::{
    collections::BTreeMap,
    pin::Pin,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use futures_util::{Stream, StreamExt};
use rtnetlink::{
    Handle, MulticastGroup, new_multicast_connection,
    packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage, LinkXdp},
    },
};
use tokio::time::{timeout, timeout_at};

use crate::upstream::{NeighbourTable, list_neighbours};

/// After this long without news the devices are looked at all the same: the kernel drops news that nobody fetches in time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// News come in bursts: those that follow within this long are answered with one look.
const BURST: Duration = Duration::from_millis(5);
/// News that never end do not put off the look for longer than this.
const LONGEST_BURST: Duration = Duration::from_millis(50);
/// The kernel answers at once; an answer that got lost must not stop the agent.
const PATIENCE: Duration = Duration::from_secs(2);
/// A list that devices came into or left while it was being read may lack others, and is read again so many times.
const READINGS: usize = 5;

/// What the sensor wants to know of a network device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) index: u32,
    pub(super) name: String,
    /// Numbers of the XDP programs attached to it.
    pub(super) programs: Vec<u32>,
    /// Index of the bridge, bond or team it is a port of.
    pub(super) controller: Option<u32>,
    /// Index of the device that it is a VLAN of, or stacked on in another way that hands it whole packets.
    pub(super) stacked_on: Option<u32>,
}

/// A subscription to news of devices.
pub(super) struct Devices {
    handle: Handle,
    news: Pin<Box<dyn Stream<Item = ()> + Send>>,
    /// When the first of the news came that no look has answered yet.
    first: Option<Instant>,
    /// When they were last looked at.
    looked: Instant,
}

impl Devices {
    /// Subscribes; needs a tokio runtime.
    pub(super) fn new() -> Result<Self> {
        let (connection, handle, news) = new_multicast_connection(&[MulticastGroup::Link])
            .context("cannot subscribe to news of network devices (rtnetlink)")?;
        tokio::spawn(connection);
        Ok(Self { handle, news: Box::pin(news.map(drop)), first: None, looked: Instant::now() })
    }

    /// Waits for news, or until it is time to look again without any. May be given up: news that came meanwhile are not forgotten.
    pub(super) async fn changed(&mut self) {
        if self.first.is_none() {
            let due = (self.looked + LOOK_AGAIN).into();
            match timeout_at(due, self.news.next()).await {
                Ok(Some(())) => self.first = Some(Instant::now()),
                // Without a connection there are no news any more: then looking again is all there is.
                Ok(None) => tokio::time::sleep_until(due).await,
                Err(_) => {}
            }
        }
        while self.first.is_some_and(|first| first.elapsed() < LONGEST_BURST)
            && matches!(timeout(BURST, self.news.next()).await, Ok(Some(())))
        {}
    }

    /// When the first of the news came that the next look answers; now, without any.
    pub(super) fn since(&mut self) -> Instant {
        self.looked = Instant::now();
        self.first.take().unwrap_or_else(Instant::now)
    }

    /// All devices there are now. A connection that fails is made anew once.
    ///
    /// # Errors
    /// The kernel does not answer, or devices come and go too fast to be listed.
    pub(super) async fn now(&mut self) -> Result<Vec<Device>> {
        match self.list().await {
            Ok(devices) => Ok(devices),
            Err(error) => {
                tracing::debug!("{error:#}; subscribing anew");
                *self = Self::new()?;
                self.list().await
            }
        }
    }

    /// Which addresses the neighbours answer for on the interfaces with these indices, each by all its places.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub(super) async fn neighbours(&mut self, places: &BTreeMap<u32, Vec<u32>>) -> Result<NeighbourTable> {
        list_neighbours(&self.handle, places).await
    }

    async fn list(&mut self) -> Result<Vec<Device>> {
        for _ in 0..READINGS {
            let reading = timeout(PATIENCE, self.read())
                .await
                .context("the kernel does not list the network devices (rtnetlink)")?;
            if let Some(devices) = reading? {
                return Ok(devices);
            }
        }
        bail!("network devices come and go too fast to be listed (rtnetlink)")
    }

    /// One reading of the list; `None` where the kernel says that it changed meanwhile.
    async fn read(&mut self) -> Result<Option<Vec<Device>>> {
        const WHAT: &str = "cannot list the network devices (rtnetlink)";
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetLink(LinkMessage::default()));
        request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let mut answers = self.handle.request(request).context(WHAT)?;
        let (mut devices, mut whole) = (Vec::new(), true);
        while let Some(answer) = answers.next().await {
            whole &= answer.header.flags & NLM_F_DUMP_INTR == 0;
            #[expect(clippy::wildcard_enum_match_arm, reason = "a list of links is links, and perhaps an error")]
            match answer.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => devices.push(Device::from(link)),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()).context(WHAT),
                _ => {}
            }
        }
        // Even an empty namespace has its loopback: without any answer the connection is gone.
        if devices.is_empty() {
            bail!(WHAT);
        }
        Ok(whole.then_some(devices))
    }
}

impl From<LinkMessage> for Device {
    fn from(message: LinkMessage) -> Self {
        let mut device = Self { index: message.header.index, ..Self::default() };
        let (mut lower, mut elsewhere, mut hands_over) = (None, false, false);
        for attribute in message.attributes {
            #[expect(clippy::wildcard_enum_match_arm, reason = "of some sixty attributes these are of interest")]
            match attribute {
                LinkAttribute::IfName(name) => device.name = name,
                LinkAttribute::Controller(index) => device.controller = Some(index),
                LinkAttribute::Link(index) => lower = Some(index),
                LinkAttribute::LinkNetNsId(_) => elsewhere = true,
                LinkAttribute::LinkInfo(info) => hands_over = info.iter().any(is_stacked),
                LinkAttribute::Xdp(xdp) => device.programs = xdp.iter().filter_map(program).collect(),
                _ => {}
            }
        }
        // Of a veth `Link` is the other end, of a tunnel the device its packets leave by: neither hands over what it received.
        device.stacked_on = lower.filter(|_| hands_over && !elsewhere);
        device
    }
}

fn is_stacked(info: &LinkInfo) -> bool {
    matches!(info, LinkInfo::Kind(InfoKind::Vlan | InfoKind::MacVlan | InfoKind::MacVtap | InfoKind::IpVlan))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "numbers of programs, wherever they are attached")]
fn program(xdp: &LinkXdp) -> Option<u32> {
    match xdp {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id) => Some(*id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{future::ready, thread};

    use futures_util::stream::{once, pending};

    use super::*;

    #[test]
    fn news_are_not_forgotten_where_the_wait_for_more_is_given_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut devices = Devices::new().unwrap();
            devices.news = Box::pin(once(ready(())).chain(pending()));
            // As a tick does it, in the middle of a burst.
            let _ = timeout(Duration::ZERO, devices.changed()).await;
            let given_up = Instant::now();
            thread::sleep(BURST);
            assert!(devices.since() <= given_up);
            // Answered: what follows is from then on.
            assert!(devices.since() > given_up);
        });
    }
}
