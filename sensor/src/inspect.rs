//! What flows are: conversations kept in bounded memory, and judges that look at their first bytes. Pure: no clock, no map, no task.
//!
//! Made for a life without end. A flow is listened to for as long as a packet more may say more of it ([`Listening`]), is forgotten when it was
//! idle, and its place goes to another; a [`FlowId`] never means another flow than the one it was given for.

mod announced;
mod conversation;
mod followed;
mod names;
mod packet;
mod patience;
mod peers;
mod protocols;
mod slots;

use std::collections::BTreeSet;

use sensor_ebpf::class::{Class, Evidence};

pub(crate) use self::packet::protocol;
use self::{
    announced::Announced,
    followed::Followed,
    names::{Names, Part},
    peers::Peers,
    slots::Slots,
};
pub use self::{
    conversation::{Conversation, End, Message},
    packet::{Flow, Packet, Tcp},
    slots::FlowId,
};

/// Minutes without a packet after which a flow has ended.
pub const IDLE: u32 = 3;
/// Places of flows that one call of [`Inspector::expire`] looks at.
const SWEPT: usize = 1 << 16;

/// What an inspector may remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Flows that are followed at a time; packets of others are counted as overflow. A flow takes some 200 bytes besides what it said.
    pub flows: usize,
    /// Bytes that conversations hold together. Beyond that the oldest end: their flows stay what they were found to be.
    pub held_bytes: usize,
    /// What names are hashed with: nobody who does not know it can choose two that are taken for one.
    pub seed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { flows: 1 << 20, held_bytes: 256 << 20, seed: 0 }
    }
}

/// What a flow was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its class.
    pub class: Class,
    /// How sure that is.
    pub evidence: Evidence,
}

impl Verdict {
    /// Header or bytes of one direction say so.
    pub const fn payload(class: Class) -> Self {
        Self { class, evidence: Evidence::Payload }
    }

    /// Bytes of both directions agree.
    pub const fn confirmed(class: Class) -> Self {
        Self { class, evidence: Evidence::Confirmed }
    }

    /// Its ends are on a list.
    pub const fn list(class: Class) -> Self {
        Self { class, evidence: Evidence::List }
    }

    /// A guess by port.
    pub const fn port(class: Class) -> Self {
        Self { class, evidence: Evidence::Port }
    }
}

/// Whether more packets of a flow are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// Yes, to the usual number of looks.
    Open,
    /// Yes, and beyond it: DNS whose names are watched, FTP that announces its transfers.
    Long,
    /// No: no packet more changes the verdict.
    Closed,
}

/// What came of a look at a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The packet's flow.
    pub id: FlowId,
    /// What it is by now; `None`: nothing that is known.
    pub verdict: Option<Verdict>,
    /// Whether more of it is wanted.
    pub listening: Listening,
    /// Whether the verdict is another than before this packet.
    pub changed: bool,
}

/// A flow that is followed no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Means nothing to the inspector any more.
    pub id: FlowId,
    /// Its addresses and ports, as its first packet had them.
    pub flow: Flow,
    /// What it was, with what is only said when nothing more comes.
    pub verdict: Option<Verdict>,
}

/// Follows flows and says what they are.
#[derive(Debug)]
pub struct Inspector {
    limits: Limits,
    slots: Slots,
    names: Names,
    announced: Announced,
    peers: Peers,
    /// Flows whose conversations are held; the first is the oldest.
    held: BTreeSet<FlowId>,
    held_bytes: usize,
    /// Flows whose verdict changed without a packet of theirs.
    changed: BTreeSet<FlowId>,
    /// When names last dropped the flows that had ended.
    swept: u32,
    overflow: u64,
    given_up: u64,
}

impl Default for Inspector {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Inspector {
    /// An inspector that knows of no flow.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            slots: Slots::new(limits.flows),
            names: Names::new(limits.seed),
            announced: Announced::default(),
            peers: Peers::default(),
            held: BTreeSet::new(),
            held_bytes: 0,
            changed: BTreeSet::new(),
            swept: 0,
            overflow: 0,
            given_up: 0,
        }
    }

    /// Takes the next packet at `now`, in minutes of any clock that moves with the packets. `None`: as many flows are followed as may be, and this
    /// is none of them, which is counted.
    pub fn look(&mut self, packet: &Packet<'_>, now: u32) -> Option<Look> {
        let id = self.slots.find(packet.flow).or_else(|| self.open(packet, now));
        let Some((id, followed)) = id.and_then(|id| Some((id, self.slots.get_mut(id)?))) else {
            self.overflow += 1;
            return None;
        };
        followed.last = now;
        let before = followed.verdict();
        if followed.listening == Listening::Closed {
            return Some(Look { id, verdict: before, listening: Listening::Closed, changed: false });
        }
        let from = followed.sender(packet);
        let held = followed.held_bytes();
        followed.hear(packet, from);
        let parts = if followed.is_dns() { self.names.observe(id, packet, from, now) } else { Vec::new() };
        if followed.announces() {
            self.announced.observe(packet, now);
        }
        for (socket, to) in followed.peers() {
            self.peers.hear(socket, to, now);
        }
        if followed.speakers().any(|socket| self.peers.is_known(socket, now)) {
            followed.join_peers();
        }
        followed.settle();
        let has_conversation = followed.has_conversation();
        self.held_bytes = self.held_bytes + followed.held_bytes() - held;
        if !has_conversation {
            self.held.remove(&id);
        }
        self.take_part(&parts);
        self.give_up();
        let followed = self.slots.get(id)?;
        let verdict = followed.verdict();
        // What was not told yet is told now.
        let changed = self.changed.remove(&id) || verdict != before;
        Some(Look { id, verdict, listening: followed.listening, changed })
    }

    /// Other flows than those that were looked at whose verdict changed since the last call, in the order of their first packets: they asked for names
    /// under a domain that is a tunnel, or their conversations ended for want of memory.
    pub fn changed(&mut self) -> impl Iterator<Item = (FlowId, Verdict)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().filter_map(|id| Some((id, self.verdict(id)?)))
    }

    /// What a flow is by now; `None`, too, where it has ended.
    pub fn verdict(&self, id: FlowId) -> Option<Verdict> {
        self.slots.get(id)?.verdict()
    }

    /// Whether more of a flow is wanted; nothing of one that has ended.
    pub fn listening(&self, id: FlowId) -> Listening {
        self.slots.get(id).map_or(Listening::Closed, |followed| followed.listening)
    }

    /// Addresses and ports of a flow, as its first packet had them; `None` where it has ended.
    pub fn flow(&self, id: FlowId) -> Option<Flow> {
        Some(self.slots.get(id)?.flow)
    }

    /// Flows that are followed.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no flow is followed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends flows of which nothing came for [`IDLE`] minutes, in the order of their first packets. A call looks at some of the places only and the next
    /// one at those that follow, so that its work is bounded.
    pub fn expire(&mut self, now: u32) -> Vec<Ended> {
        self.announced.expire(now);
        let idle = self.slots.sweep(SWEPT, |followed| {
            // A clock that was set back keeps no flow for longer.
            followed.last = followed.last.min(now);
            now - followed.last >= IDLE
        });
        let ended = idle.into_iter().filter_map(|id| self.end(id)).collect();
        if self.swept != now {
            self.swept = now;
            self.names.retain(|id| self.slots.get(id).is_some());
        }
        ended
    }

    /// Ends all flows, in the order of their first packets.
    pub fn finish(&mut self) -> Vec<Ended> {
        self.slots.ids().into_iter().filter_map(|id| self.end(id)).collect()
    }

    /// Flows that were no longer listened to, for want of memory, before it was clear what they are.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Packets of flows beyond those that are followed.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// Domains that names were asked under and that were forgotten before they were judged, and flows that were not kept for one.
    pub fn forgotten_names(&self) -> u64 {
        self.names.overflow()
    }

    /// Follows a flow from this packet on, where there is room.
    fn open(&mut self, packet: &Packet<'_>, now: u32) -> Option<FlowId> {
        let ends = [packet.flow.destination, packet.flow.source];
        let is_transfer = packet.tcp.is_some() && self.announced.is_announced(ends, now);
        let followed = Followed::new(packet, is_transfer, now);
        let held = followed.held_bytes();
        let id = self.slots.insert(followed)?;
        self.held.insert(id);
        self.held_bytes += held;
        Some(id)
    }

    /// Tells flows that they took part in a tunnel.
    fn take_part(&mut self, parts: &[Part]) {
        for (id, ends) in parts {
            let Some(followed) = self.slots.get_mut(*id) else { continue };
            let (before, held) = (followed.verdict(), followed.held_bytes());
            followed.take_part(*ends);
            self.held_bytes = self.held_bytes + followed.held_bytes() - held;
            if !followed.has_conversation() {
                self.held.remove(id);
            }
            if followed.verdict() != before {
                self.changed.insert(*id);
            }
        }
    }

    /// Ends the oldest conversations until what is held is within its limit.
    fn give_up(&mut self) {
        while self.held_bytes > self.limits.held_bytes {
            let Some(oldest) = self.held.pop_first() else { break };
            let Some(followed) = self.slots.get_mut(oldest) else { continue };
            self.held_bytes -= followed.held_bytes();
            let before = followed.verdict();
            self.given_up += u64::from(before.is_none());
            followed.fall_silent();
            if followed.verdict() != before {
                self.changed.insert(oldest);
            }
        }
    }

    fn end(&mut self, id: FlowId) -> Option<Ended> {
        let mut followed = self.slots.remove(id)?;
        self.held_bytes -= followed.held_bytes();
        // Its socket may have shown itself after its last packet.
        if followed.speakers().any(|socket| self.peers.is_known(socket, followed.last)) {
            followed.join_peers();
        }
        self.held.remove(&id);
        self.changed.remove(&id);
        Some(Ended { id, flow: followed.flow, verdict: followed.verdict_at_last() })
    }
}

#[cfg(test)]
mod tests;
