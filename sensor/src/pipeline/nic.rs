//! The second witness: what the kernel itself counted on each interface, and what it could not take.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use rtnetlink::{
    packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        link::{LinkAttribute, LinkMessage, Stats64},
    },
    sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE},
};
use sensor_ebpf::abi::Side;

use crate::summary::{Lost, NicCount};

/// Many times what the kernel says of one interface.
const MAX_ANSWER_LEN: usize = 64 << 10;
/// The kernel answers a question before `send` returns, so nothing is ever waited for.
const AT_ONCE: i32 = libc::MSG_DONTWAIT;

/// The interfaces' own counters, each as it was last read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Witness(BTreeMap<String, Stats64>);

impl Witness {
    /// Reads these interfaces of the network namespace of this very thread; those that are not there are left out.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub(super) fn of<'a>(interfaces: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut witness = Self::default();
        witness.read_all(interfaces)?;
        Ok(witness)
    }

    /// Reads one interface, and leaves the others as they are.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub(super) fn read(&mut self, interface: &str) -> Result<()> {
        self.read_all([interface])
    }

    fn read_all<'a>(&mut self, interfaces: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let mut socket = Socket::new(NETLINK_ROUTE).context("cannot open a netlink socket")?;
        for interface in interfaces {
            let counters = ask(&mut socket, interface);
            let counters = counters.with_context(|| format!("cannot read the counters of {interface} (rtnetlink)"))?;
            self.0.extend(counters.map(|counters| (interface.to_owned(), counters)));
        }
        Ok(())
    }

    /// What an interface received or sent since `earlier`; `None` where it was not there at both, or its counters began anew.
    pub(super) fn since(&self, earlier: &Self, interface: &str, side: Side) -> Option<NicCount> {
        let (then, now) = (earlier.0.get(interface)?, self.0.get(interface)?);
        let count = |of: &Stats64| match side {
            Side::Rx => (of.rx_packets, of.rx_bytes),
            Side::Tx => (of.tx_packets, of.tx_bytes),
        };
        let ((packets_then, bytes_then), (packets, bytes)) = (count(then), count(now));
        Some(NicCount { packets: packets.checked_sub(packets_then)?, bytes: bytes.checked_sub(bytes_then)? })
    }

    /// What came to an interface since `earlier` and never to a program; nothing where that is not known. What is sent passes the
    /// program first.
    pub(super) fn lost_since(&self, earlier: &Self, interface: &str, side: Side) -> BTreeMap<Lost, u64> {
        let Some((then, now)) = earlier.0.get(interface).zip(self.0.get(interface)) else { return BTreeMap::new() };
        let lost = Lost::LIVE.into_iter().filter(|_| side == Side::Rx);
        let growth = lost.filter_map(|reason| Some((reason, lost_to(now, reason).checked_sub(lost_to(then, reason))?)));
        growth.filter(|(_, packets)| *packets > 0).collect()
    }
}

/// How many packets an interface lost for that reason since it is there.
fn lost_to(of: &Stats64, reason: Lost) -> u64 {
    match reason {
        Lost::Missed => of.rx_missed_errors,
        Lost::Overflow => of.rx_over_errors.max(of.rx_fifo_errors),
        Lost::Damaged => of.rx_crc_errors.saturating_add(of.rx_frame_errors).saturating_add(of.rx_length_errors),
        Lost::IfDrop | Lost::OsDrop => 0,
    }
}

/// `None`: there is no such interface.
fn ask(socket: &mut Socket, interface: &str) -> Result<Option<Stats64>> {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::IfName(interface.to_owned()));
    let mut question = NetlinkMessage::from(RouteNetlinkMessage::GetLink(link));
    question.header.flags = NLM_F_REQUEST;
    question.finalize();
    let mut bytes = vec![0; question.buffer_len()];
    question.serialize(&mut bytes);
    socket.send_to(&bytes, &SocketAddr::new(0, 0), AT_ONCE)?;
    let mut answer = Vec::with_capacity(MAX_ANSWER_LEN);
    socket.recv(&mut answer, AT_ONCE)?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).context("its answer cannot be read")?;
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
            Ok(link.attributes.into_iter().find_map(|attribute| {
                if let LinkAttribute::Stats64(counters) = attribute { Some(counters) } else { None }
            }))
        }
        NetlinkPayload::Error(error) if error.raw_code() == -libc::ENODEV => Ok(None),
        NetlinkPayload::Error(error) => Err(error.to_io().into()),
        NetlinkPayload::InnerMessage(_)
        | NetlinkPayload::Done(_)
        | NetlinkPayload::Noop
        | NetlinkPayload::Overrun(_)
        | _ => bail!("it answers something else"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(rx: u64) -> Stats64 {
        let mut counters = Stats64::default();
        (counters.rx_packets, counters.rx_bytes) = (rx, 60 * rx);
        (counters.tx_packets, counters.tx_bytes) = (10 * rx, 600 * rx);
        counters
    }

    fn witness(counters: Stats64) -> Witness {
        Witness(BTreeMap::from([("a".to_owned(), counters)]))
    }

    #[test]
    fn growth_needs_both_readings() {
        let of = |rx| witness(counters(rx));
        let count = |packets| NicCount { packets, bytes: packets * 60 };
        assert_eq!(of(5).since(&of(3), "a", Side::Rx), Some(count(2)));
        assert_eq!(of(5).since(&of(3), "a", Side::Tx), Some(count(20)));
        assert_eq!(of(5).since(&Witness::default(), "a", Side::Rx), None);
        assert_eq!(Witness::default().since(&of(3), "a", Side::Rx), None);
        assert_eq!(of(3).since(&of(5), "a", Side::Rx), None);
    }

    #[test]
    fn what_never_came_is_told_by_reason() {
        let (then, mut now) = (counters(3), counters(3));
        now.rx_missed_errors = 4;
        // One driver counts them in both.
        (now.rx_over_errors, now.rx_fifo_errors) = (7, 5);
        (now.rx_crc_errors, now.rx_frame_errors, now.rx_length_errors) = (1, 20, 300);
        // What the stack drops was seen before.
        (now.rx_dropped, now.rx_nohandler, now.tx_dropped) = (1000, 1000, 1000);
        let lost = |side| witness(now).lost_since(&witness(then), "a", side);
        let by_reason = [(Lost::Missed, 4), (Lost::Overflow, 7), (Lost::Damaged, 321)];
        assert_eq!(lost(Side::Rx), BTreeMap::from(by_reason));
        assert_eq!(lost(Side::Tx), BTreeMap::new());
        assert_eq!(witness(now).lost_since(&witness(now), "a", Side::Rx), BTreeMap::new());
        assert_eq!(witness(then).lost_since(&witness(now), "a", Side::Rx), BTreeMap::new(), "they began anew");
        assert_eq!(witness(now).lost_since(&Witness::default(), "a", Side::Rx), BTreeMap::new());
    }

    #[test]
    fn this_machine_has_a_loopback_and_not_everything() {
        let mut witness = Witness::default();
        witness.read("lo").unwrap();
        witness.read("none-such").unwrap();
        assert_eq!(witness.0.keys().collect::<Vec<_>>(), ["lo"]);
        let later = Witness::of(["none-such", "lo"]).unwrap();
        assert!(later.since(&witness, "lo", Side::Tx).is_some());
    }
}
