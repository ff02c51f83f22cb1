//! The interfaces of this network namespace and how they stand on each other, as rtnetlink tells it.

use anyhow::{Context, Result};
use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage, LinkXdp};

/// What is known of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) mtu: u32,
    /// Its `ARPHRD_*`.
    pub(super) layer: LinkLayerType,
    /// The XDP programs attached.
    pub(super) programs: Vec<Attached>,
    /// The bridge, bond or switch it is a port of.
    pub(super) master: Option<u32>,
    /// The interface it stands on, as a VLAN does.
    pub(super) parent: Option<u32>,
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attached {
    pub(super) id: u32,
    /// How `ip link set` calls the place it runs in.
    pub(super) place: &'static str,
}

/// All interfaces. The kernel is asked anew: `/sys` shows the network namespace it was mounted in, which need not be this one.
pub(super) fn read() -> Result<Vec<Link>> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().context("cannot open a netlink socket")?;
        tokio::spawn(connection);
        let messages = handle.link().get().execute().map_ok(|message| Link::of(&message));
        messages.try_collect().await.context("the kernel does not list its interfaces")
    })
}

/// Whether each packet of one of two interfaces passes the other, too: the one is a port of the other, or stands on it, in any
/// number of steps.
pub(super) fn stacked(links: &[Link], one: u32, other: u32) -> bool {
    is_above(links, one, other) || is_above(links, other, one)
}

fn is_above(links: &[Link], lower: u32, upper: u32) -> bool {
    let mut reached = vec![lower];
    let mut next = 0;
    while let Some(&lower) = reached.get(next) {
        next += 1;
        for link in links {
            let steps_up = link.parent == Some(lower)
                || links.iter().any(|port| port.index == lower && port.master == Some(link.index));
            if steps_up && !reached.contains(&link.index) {
                reached.push(link.index);
            }
        }
    }
    lower != upper && reached.contains(&upper)
}

impl Link {
    fn of(message: &LinkMessage) -> Self {
        let mut link = Self { index: message.header.index, layer: message.header.link_layer_type, ..Self::default() };
        let mut pair = false;
        for attribute in &message.attributes {
            #[expect(clippy::wildcard_enum_match_arm, reason = "a hundred attributes, and more with each version")]
            match attribute {
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::Controller(index) => link.master = Some(*index),
                LinkAttribute::Link(index) => link.parent = Some(*index),
                // What it stands on, or its other end, is in another namespace: the index means nothing here.
                LinkAttribute::LinkNetNsId(_) => pair = true,
                LinkAttribute::LinkInfo(info) => {
                    pair |= info.iter().any(|info| matches!(info, LinkInfo::Kind(InfoKind::Veth | InfoKind::Netkit)));
                }
                LinkAttribute::Xdp(xdp) => link.programs.extend(xdp.iter().filter_map(program)),
                _ => {}
            }
        }
        // The other end of a pair is no parent. Some interfaces name themselves.
        link.parent = link.parent.filter(|index| !pair && *index != link.index && *index != 0);
        link
    }
}

fn program(xdp: &LinkXdp) -> Option<Attached> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "what else there is repeats these, or names no program")]
    match xdp {
        LinkXdp::DrvProgId(id) => Some(Attached { id: *id, place: "xdpdrv" }),
        LinkXdp::SkbProgId(id) => Some(Attached { id: *id, place: "xdpgeneric" }),
        LinkXdp::HwProgId(id) => Some(Attached { id: *id, place: "xdpoffload" }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, master: Option<u32>, parent: Option<u32>) -> Link {
        Link { index, master, parent, ..Link::default() }
    }

    #[test]
    fn what_stands_on_what() {
        // Two ports of a bond, a VLAN on it that is a port of a bridge, and a second port of that.
        let links = [
            link(2, Some(4), None),
            link(3, Some(4), None),
            link(4, None, None),
            link(5, Some(6), Some(4)),
            link(6, None, None),
            link(7, Some(6), None),
        ];
        for (one, other) in [(2, 4), (2, 5), (2, 6), (3, 6), (4, 5), (4, 6), (7, 6)] {
            assert!(stacked(&links, one, other) && stacked(&links, other, one), "{one} and {other}");
        }
        // Beside each other, forwarding between them or not.
        for (one, other) in [(2, 3), (5, 7), (2, 7), (4, 7), (2, 9), (2, 2)] {
            assert!(!stacked(&links, one, other) && !stacked(&links, other, one), "{one} and {other}");
        }
        // No kernel allows it, and nobody waits for ever.
        let circle = [link(1, Some(2), None), link(2, Some(1), None)];
        assert!(stacked(&circle, 1, 2) && !stacked(&circle, 1, 3));
    }

    #[test]
    fn attributes() {
        let message = |attributes| {
            let mut message = LinkMessage::default();
            (message.header.index, message.attributes) = (7, attributes);
            Link::of(&message)
        };
        let kind = |kind| LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]);
        assert_eq!(message(vec![LinkAttribute::Link(3), kind(InfoKind::Vlan)]).parent, Some(3));
        assert_eq!(message(vec![LinkAttribute::Link(3), kind(InfoKind::Veth)]).parent, None);
        assert_eq!(message(vec![LinkAttribute::Link(3), LinkAttribute::LinkNetNsId(0)]).parent, None);
        assert_eq!(message(vec![LinkAttribute::Link(7)]).parent, None);
        assert_eq!(message(vec![LinkAttribute::Controller(9)]).master, Some(9));
        let programs = vec![LinkXdp::SkbProgId(5), LinkXdp::ProgId(5), LinkXdp::HwProgId(4)];
        let attached = [Attached { id: 5, place: "xdpgeneric" }, Attached { id: 4, place: "xdpoffload" }];
        assert_eq!(message(vec![LinkAttribute::Xdp(programs)]).programs, attached);
    }

    #[test]
    fn this_machine_has_a_loopback() {
        let links = read().unwrap();
        let loopback = links.iter().find(|link| link.layer == LinkLayerType::Loopback).unwrap();
        assert_eq!((loopback.index, loopback.parent, loopback.master), (1, None, None));
        assert!(loopback.mtu > 0);
    }
}
