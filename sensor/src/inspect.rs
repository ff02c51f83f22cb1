//! What flows are: conversations kept in bounded memory, and judges that look at their first bytes. Pure: no clock, no map, no task.

mod announced;
mod conversation;
mod names;
mod packet;
mod protocols;

use std::collections::{HashMap, VecDeque};

use sensor_ebpf::class::{Class, Evidence};

use self::{announced::Announced, conversation::Heard, names::Names};
pub use self::{
    conversation::{Conversation, End, Message},
    packet::{Flow, Packet, Tcp},
};

/// Flows that are followed; what comes beyond them is counted as `overflow`.
const MAX_FLOWS: usize = 1 << 20;
/// Packets with a payload of a flow that are looked at before it stays what it was found to be.
const MAX_LOOKS: u32 = 48;

/// Bytes that conversations hold together. Beyond that the oldest end: their flows stay what they were found to be.
const MAX_HELD: usize = 256 << 20;

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

    /// A guess by port.
    pub const fn port(class: Class) -> Self {
        Self { class, evidence: Evidence::Port }
    }
}

/// A flow, and what it was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its addresses and ports, as its first packet had them.
    pub flow: Flow,
    /// What it is; `None`: nothing that is known.
    pub verdict: Option<Verdict>,
    /// Packets, by [`End`] that sent them.
    pub packets: [u64; 2],
    /// L3 bytes, likewise.
    pub bytes: [u64; 2],
}

/// A flow that is followed.
#[derive(Debug)]
struct Followed {
    found: Found,
    /// Whether an FTP control connection announced it.
    is_transfer: bool,
    looks: u32,
    /// What was said, as long as something more is to be learned from it.
    conversation: Option<Box<Conversation>>,
}

/// Follows flows and says what they are.
#[derive(Debug, Default)]
pub struct Inspector {
    places: HashMap<Flow, usize>,
    flows: Vec<Followed>,
    names: Names,
    announced: Announced,
    /// Flows whose conversations are held, oldest first; some are over by now.
    held: VecDeque<usize>,
    held_bytes: usize,
    overflow: u64,
    given_up: u64,
}

impl Inspector {
    /// Takes the next packet.
    pub fn look(&mut self, packet: &Packet<'_>) {
        let key = packet.flow.key();
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None if self.flows.len() >= MAX_FLOWS => {
                self.overflow += 1;
                return;
            }
            None => {
                self.places.insert(key, self.flows.len());
                let ends = [packet.flow.destination, packet.flow.source];
                let is_transfer = packet.tcp.is_some() && self.announced.is_announced(ends);
                self.flows.push(Followed::new(packet, is_transfer));
                self.held.push_back(self.flows.len() - 1);
                self.held_bytes += self.flows.last().map_or(0, Followed::held_bytes);
                self.flows.len() - 1
            }
        };
        let followed = &mut self.flows[place];
        let from = followed.count(packet);
        let before = followed.held_bytes();
        followed.hear(packet, from);
        self.held_bytes = self.held_bytes + followed.held_bytes() - before;
        if followed.is(Class::Dns) {
            self.names.observe(place, packet, from);
        }
        // What is in a file announces nothing.
        if followed.is(Class::Ftp) && !followed.is_transfer {
            self.announced.observe(packet);
        }
        while self.held_bytes > MAX_HELD {
            let Some(oldest) = self.held.pop_front() else { break };
            let followed = &mut self.flows[oldest];
            self.held_bytes -= followed.held_bytes();
            self.given_up += u64::from(followed.conversation.is_some() && followed.found.verdict.is_none());
            followed.end();
        }
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

    /// All flows in the order of their first packets, with everything that is known of them now.
    pub fn flows(&self) -> impl Iterator<Item = Found> {
        self.flows.iter().enumerate().map(|(place, followed)| {
            let mut found = followed.found;
            found.verdict = self.names.verdict(place).or_else(|| followed.verdict_at_last());
            found
        })
    }
}

impl Followed {
    fn new(packet: &Packet<'_>, is_transfer: bool) -> Self {
        let verdict = is_transfer.then_some(Verdict::payload(Class::Ftp));
        let found = Found { flow: packet.flow, verdict, packets: [0; 2], bytes: [0; 2] };
        let conversation = Some(Box::new(Conversation::new(packet)));
        Self { found, is_transfer, looks: 0, conversation }
    }

    fn is(&self, class: Class) -> bool {
        self.found.verdict.is_some_and(|verdict| verdict.class == class)
    }

    /// Which end sent a packet, after counting it.
    fn count(&mut self, packet: &Packet<'_>) -> End {
        let from = if packet.flow == self.found.flow { End::Client } else { End::Server };
        self.found.packets[from as usize] += 1;
        self.found.bytes[from as usize] += u64::from(packet.length);
        from
    }

    /// Judges anew with one more packet.
    fn hear(&mut self, packet: &Packet<'_>, from: End) {
        let Some(conversation) = &mut self.conversation else { return };
        if conversation.hear(packet, from) == Heard::Nothing {
            return;
        }
        self.looks += 1;
        if let Some(verdict) = protocols::judge(conversation)
            && self.found.verdict.is_none_or(|before| verdict.evidence >= before.evidence)
        {
            self.found.verdict = Some(verdict);
        }
        if self.looks >= MAX_LOOKS {
            self.end();
        }
    }

    /// Listens no more.
    fn end(&mut self) {
        self.found.verdict = self.verdict_at_last();
        self.conversation = None;
    }

    /// Memory of what was said.
    fn held_bytes(&self) -> usize {
        self.conversation.as_ref().map_or(0, |conversation| size_of::<Conversation>() + conversation.held_bytes())
    }

    /// The verdict if nothing more were to come.
    fn verdict_at_last(&self) -> Option<Verdict> {
        let verdict = self.found.verdict;
        let last = self.conversation.as_ref().and_then(|conversation| protocols::judge_at_last(conversation));
        match (verdict, last) {
            (Some(verdict), Some(last)) if last.evidence > verdict.evidence => Some(last),
            (Some(verdict), _) => Some(verdict),
            (None, last) => last,
        }
    }
}

#[cfg(test)]
mod tests;
