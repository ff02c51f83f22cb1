//! The network devices of this namespace, and news of them (rtnetlink(7)).

use std::{pin::Pin, time::Duration};

use anyhow::{Context, Result};
use futures_util::{Stream, StreamExt, TryStreamExt};
use rtnetlink::{
    Handle, MulticastGroup, new_multicast_connection,
    packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage, LinkXdp},
};
use tokio::time::timeout;

/// After this long without news the devices are looked at all the same: the kernel drops news that nobody fetches in time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// News come in bursts: those that follow within this long are answered with one look.
const BURST: Duration = Duration::from_millis(5);

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
}

impl Devices {
    /// Subscribes; needs a tokio runtime.
    pub(super) fn new() -> Result<Self> {
        let (connection, handle, news) = new_multicast_connection(&[MulticastGroup::Link])
            .context("cannot subscribe to news of network devices (rtnetlink)")?;
        tokio::spawn(connection);
        Ok(Self { handle, news: Box::pin(news.map(drop)) })
    }

    /// Waits for news, or until it is time to look again without any.
    pub(super) async fn changed(&mut self) {
        match timeout(LOOK_AGAIN, self.news.next()).await {
            Ok(Some(_)) => while let Ok(Some(_)) = timeout(BURST, self.news.next()).await {},
            // Without a connection there are no news any more: then looking again is all there is.
            Ok(None) => tokio::time::sleep(LOOK_AGAIN).await,
            Err(_) => {}
        }
    }

    /// All devices there are now.
    pub(super) async fn now(&self) -> Result<Vec<Device>> {
        let messages = self.handle.link().get().execute().map_ok(Device::from).try_collect();
        messages.await.context("cannot list the network devices (rtnetlink)")
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
