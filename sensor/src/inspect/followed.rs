//! A flow that is followed: what it was found to be, and what it said as long as more is to be learned from it.

use std::net::IpAddr;

use sensor_ebpf::class::{Class, Evidence};

use super::{
    Conversation, End, Flow, Listening, Packet, Verdict,
    announced::Endpoint,
    conversation::Heard,
    packet::protocol,
    patience::{MAX_LONG_LOOKS, MAX_LOOKS, patience},
    protocols,
};

/// Both ends took part in a tunnel.
const BOTH_ENDS: u8 = 3;

/// A flow that is followed.
#[derive(Debug)]
pub(super) struct Followed {
    /// Addresses and ports, as its first packet had them.
    pub(super) flow: Flow,
    /// Minute of the last packet.
    pub(super) last: u32,
    /// Whether more of it is wanted.
    pub(super) listening: Listening,
    verdict: Option<Verdict>,
    /// Ends that took part in a tunnel of names: a bit for each.
    tunnel_ends: u8,
    /// Whether an FTP control connection announced it.
    is_transfer: bool,
    /// Ends that said something: a bit for each.
    said: u8,
    /// Whether a socket of BitTorrent's said something.
    is_of_peers: bool,
    /// Packets with a payload that were looked at, and how many they were when the verdict last changed.
    looks: u32,
    settled: u32,
    conversation: Option<Box<Conversation>>,
}

impl Followed {
    /// Of its first packet, which is not heard yet.
    pub(super) fn new(packet: &Packet<'_>, is_transfer: bool, now: u32) -> Self {
        Self {
            flow: packet.flow,
            last: now,
            listening: Listening::Open,
            verdict: is_transfer.then_some(Verdict::payload(Class::Ftp)),
            tunnel_ends: 0,
            is_transfer,
            said: 0,
            is_of_peers: false,
            looks: 0,
            settled: 0,
            conversation: Some(Box::new(Conversation::new(packet))),
        }
    }

    /// Which end sent a packet.
    pub(super) fn sender(&self, packet: &Packet<'_>) -> End {
        if packet.flow == self.flow { End::Client } else { End::Server }
    }

    /// Whether names may be asked for in it.
    pub(super) fn is_dns(&self) -> bool {
        self.is(Class::Dns)
    }

    /// Whether it may announce transfers. What is in a file announces nothing.
    pub(super) fn announces(&self) -> bool {
        self.is(Class::Ftp) && !self.is_transfer
    }

    fn is(&self, class: Class) -> bool {
        self.verdict.is_some_and(|verdict| verdict.class == class)
    }

    /// Judges anew with one more packet.
    pub(super) fn hear(&mut self, packet: &Packet<'_>, from: End) {
        if packet.payload_len > 0 {
            self.looks = self.looks.saturating_add(1);
            self.said |= 1 << from as u8;
        }
        let Some(conversation) = &mut self.conversation else { return };
        if conversation.hear(packet, from) == Heard::Nothing {
            return;
        }
        if let Some(verdict) = protocols::judge(conversation)
            && self.verdict != Some(verdict)
            && self.verdict.is_none_or(|before| verdict.evidence >= before.evidence)
        {
            self.verdict = Some(verdict);
            self.settled = self.looks;
        }
    }

    /// Takes note that it asked for names of a tunnel, of which `ends` did.
    pub(super) fn take_part(&mut self, ends: u8) {
        self.tunnel_ends |= ends;
        self.settle();
    }

    /// The ends that are peers of BitTorrent by what they said, and whom they said it to.
    pub(super) fn peers(&self) -> impl Iterator<Item = (Endpoint, IpAddr)> {
        let conversation = self.conversation.as_deref().filter(|_| self.is(Class::BitTorrent));
        let are_peers = conversation.map_or([false; 2], protocols::are_peers);
        let ends = End::ALL.into_iter().filter(move |end| are_peers[*end as usize]);
        ends.filter_map(move |end| {
            let conversation = conversation?;
            Some(((conversation.address(end), conversation.port(end)), conversation.address(end.other())))
        })
    }

    /// The sockets of TCP that said something.
    pub(super) fn speakers(&self) -> impl Iterator<Item = Endpoint> {
        let ends = [(End::Client, self.flow.source), (End::Server, self.flow.destination)];
        let said = if self.flow.protocol == protocol::TCP { self.said } else { 0 };
        ends.into_iter().filter(move |(end, _)| said >> *end as u8 & 1 == 1).map(|(_, endpoint)| endpoint)
    }

    /// Takes note that one of them is a socket of BitTorrent's.
    pub(super) fn join_peers(&mut self) {
        self.is_of_peers = true;
    }

    /// Listens no more where nothing more is to be learned.
    pub(super) fn settle(&mut self) {
        let is_over = self.conversation.as_ref().is_some_and(|conversation| {
            self.looks >= MAX_LOOKS
                || self.looks - self.settled >= patience(conversation, self.verdict)
                || conversation.is_full()
        });
        if is_over || self.tunnel_ends == BOTH_ENDS {
            self.fall_silent();
        }
        self.listening = match () {
            () if self.tunnel_ends == BOTH_ENDS => Listening::Closed,
            () if (self.is_dns() || self.announces()) && self.looks < MAX_LONG_LOOKS => Listening::Long,
            () if self.conversation.is_some() => Listening::Open,
            () => Listening::Closed,
        };
    }

    /// Ends the conversation; the flow stays what it was found to be.
    pub(super) fn fall_silent(&mut self) {
        self.verdict = self.judged_at_last();
        self.conversation = None;
    }

    /// Whether what was said is held.
    pub(super) fn has_conversation(&self) -> bool {
        self.conversation.is_some()
    }

    /// Memory of what was said.
    pub(super) fn held_bytes(&self) -> usize {
        self.conversation.as_ref().map_or(0, |conversation| size_of::<Conversation>() + conversation.held_bytes())
    }

    /// What it is by now.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        self.tunnel().or_else(|| self.beside_peers(self.verdict))
    }

    /// What it is if nothing more is to come.
    pub(super) fn verdict_at_last(&self) -> Option<Verdict> {
        self.tunnel().or_else(|| self.beside_peers(self.judged_at_last()))
    }

    fn tunnel(&self) -> Option<Verdict> {
        match self.tunnel_ends {
            0 => None,
            BOTH_ENDS => Some(Verdict::confirmed(Class::DnsTunnel)),
            _ => Some(Verdict::payload(Class::DnsTunnel)),
        }
    }

    /// What it is where its bytes say that: those that look like nothing are BitTorrent's at a socket of its.
    fn beside_peers(&self, verdict: Option<Verdict>) -> Option<Verdict> {
        let says_little = verdict.is_none_or(|verdict| {
            verdict.evidence < Evidence::List || matches!(verdict.class, Class::Shadowsocks | Class::Obfs4)
        });
        if self.is_of_peers && says_little { Some(Verdict::list(Class::BitTorrent)) } else { verdict }
    }

    fn judged_at_last(&self) -> Option<Verdict> {
        let last = self.conversation.as_ref().and_then(|conversation| protocols::judge_at_last(conversation));
        match (self.verdict, last) {
            (Some(verdict), Some(last)) if last.evidence > verdict.evidence => Some(last),
            (Some(verdict), _) => Some(verdict),
            (None, last) => last,
        }
    }
}
