//! The first bytes of a flow, both ways, in bounded memory.

use std::net::IpAddr;

use super::{
    packet::{Flow, Packet, protocol},
    protocols::Memo,
};

/// Bytes of each direction of a TCP connection that are put together.
pub(crate) const MAX_STREAM: usize = 8192;
/// Messages that are kept: datagrams, or segments with a payload.
pub(crate) const MAX_MESSAGES: usize = 24;
/// Bytes of a message that are kept, those of a datagram that is one QUIC packet or DNS answer included.
pub(crate) const MAX_MESSAGE: usize = 1500;
/// Segments that came before their turn and are kept.
const MAX_EARLY: usize = 8;

/// Who sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Whoever opened the connection, as far as was seen; else whoever sent the first packet that was.
    Client = 0,
    /// The other.
    Server = 1,
}

impl End {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Client, Self::Server];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What one packet carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sent it.
    pub from: End,
    /// Bytes on the wire.
    pub len: u32,
    /// The first of them.
    pub bytes: Vec<u8>,
}

/// Whether something was learned, that is, whether another verdict may follow than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Something,
    Nothing,
}

/// What was said in a flow so far.
#[derive(Debug)]
pub struct Conversation {
    flow: Flow,
    /// Whether the end that is called client is the flow's destination.
    turned: bool,
    streams: [Stream; 2],
    messages: Vec<Message>,
    memo: Memo,
}

/// One direction of a TCP connection, in order.
#[derive(Debug, Default)]
struct Stream {
    bytes: Vec<u8>,
    /// Sequence number behind `bytes`, once any is known.
    next: Option<u32>,
    /// Whether the bytes are the first of the connection.
    from_start: bool,
    early: Vec<(u32, Vec<u8>)>,
}

impl Conversation {
    pub(super) fn new(packet: &Packet<'_>) -> Self {
        // Whoever answers a SYN is not who opened the connection, though its packet be the first that was seen.
        let turned = packet.tcp.is_some_and(|tcp| tcp.is_syn() && tcp.flags & 16 != 0);
        Self { flow: packet.flow, turned, streams: Default::default(), messages: Vec::new(), memo: Memo::default() }
    }

    /// A conversation of these messages, from port to port; TCP from its first byte.
    #[cfg(test)]
    pub(super) fn of(protocol: u8, ports: [u16; 2], messages: &[(End, &[u8])]) -> Self {
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let flow = Flow { protocol, source: (address(1), ports[0]), destination: (address(2), ports[1]) };
        let packet = Packet { flow, length: 0, tcp: None, payload: &[], payload_len: 0 };
        let mut conversation = Self::new(&packet);
        for (from, bytes) in messages {
            let stream = &mut conversation.streams[*from as usize];
            stream.from_start = true;
            if protocol == protocol::TCP {
                stream.bytes.extend_from_slice(bytes);
            }
            conversation.messages.push(Message { from: *from, len: bytes.len() as u32, bytes: bytes.to_vec() });
        }
        conversation
    }

    /// The same, seen from somewhere in the middle.
    #[cfg(test)]
    pub(super) fn later(mut self) -> Self {
        for stream in &mut self.streams {
            stream.from_start = false;
        }
        self
    }

    /// Protocol number of the upper layer.
    pub fn protocol(&self) -> u8 {
        self.flow.protocol
    }

    /// Whether it is TCP.
    pub fn is_tcp(&self) -> bool {
        self.flow.protocol == protocol::TCP
    }

    /// Whether it is UDP.
    pub fn is_udp(&self) -> bool {
        self.flow.protocol == protocol::UDP
    }

    /// The port of an end; 0 where there are none.
    pub fn port(&self, end: End) -> u16 {
        self.end(end).1
    }

    /// Whether one of the ends has that port.
    pub fn has_port(&self, port: u16) -> bool {
        End::ALL.iter().any(|end| self.port(*end) == port)
    }

    /// The address of an end.
    pub fn address(&self, end: End) -> IpAddr {
        self.end(end).0
    }

    /// What an end said over TCP, in order; empty of other protocols.
    pub fn stream(&self, end: End) -> &[u8] {
        &self.streams[end as usize].bytes
    }

    /// Whether [`Conversation::stream`] begins with the first byte of the connection.
    pub fn from_start(&self, end: End) -> bool {
        self.streams[end as usize].from_start
    }

    /// The first packets with a payload, in the order in which they came.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Those of one end.
    pub fn messages_of(&self, end: End) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(move |message| message.from == end)
    }

    /// Whether both ends have said something.
    pub fn is_two_way(&self) -> bool {
        End::ALL.iter().all(|end| self.messages_of(*end).next().is_some())
    }

    /// Whether nothing more is kept, whatever comes.
    pub(super) fn is_full(&self) -> bool {
        self.messages.len() >= MAX_MESSAGES
            && (!self.is_tcp() || self.streams.iter().all(|stream| stream.bytes.len() >= MAX_STREAM))
    }

    /// What judges found in it and keep.
    pub(in crate::inspect) fn memo(&self) -> &Memo {
        &self.memo
    }

    /// Bytes that are kept of what was said.
    pub(super) fn held_bytes(&self) -> usize {
        let streams = self.streams.iter().map(Stream::held_bytes).sum::<usize>();
        let messages = self.messages.iter().map(|message| size_of::<Message>() + message.bytes.capacity());
        streams + messages.sum::<usize>() + self.memo.held_bytes()
    }

    fn end(&self, end: End) -> (IpAddr, u16) {
        if (end == End::Client) == self.turned { self.flow.destination } else { self.flow.source }
    }

    /// Takes a packet that the flow's first sender (`End::Client`) or the other one sent.
    pub(super) fn hear(&mut self, packet: &Packet<'_>, from: End) -> Heard {
        let from = if self.turned { from.other() } else { from };
        let mut heard = Heard::Nothing;
        if let Some(tcp) = packet.tcp {
            let stream = &mut self.streams[from as usize];
            let before = stream.bytes.len();
            let mut first = tcp.sequence;
            let begins = tcp.is_syn() && stream.open(first);
            if begins {
                self.memo.forget();
            }
            if tcp.is_syn() {
                // A SYN is a byte of its own; data may follow at once (RFC 7413).
                first = first.wrapping_add(1);
            }
            if packet.payload_len > 0 {
                stream.take(first, packet.payload);
            }
            if packet.payload_len > 0 && (begins || stream.bytes.len() != before) {
                heard = Heard::Something;
            }
        }
        if packet.payload_len > 0 && self.messages.len() < MAX_MESSAGES {
            let bytes = &packet.payload[..packet.payload.len().min(MAX_MESSAGE)];
            self.messages.push(Message { from, len: packet.payload_len, bytes: bytes.to_vec() });
            heard = Heard::Something;
        }
        if heard == Heard::Something {
            self.memo.learn(self.is_udp().then_some(packet.payload));
        }
        heard
    }
}

impl Stream {
    fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.early.iter().map(|(_, bytes)| bytes.capacity()).sum::<usize>()
    }

    /// A SYN with this sequence number; whether the stream begins with it.
    fn open(&mut self, sequence: u32) -> bool {
        let first = sequence.wrapping_add(1);
        let begins = self.bytes.is_empty() || self.next != Some(first);
        if begins {
            *self = Self { next: Some(first), from_start: true, ..Self::default() };
        }
        begins
    }

    /// Bytes from this sequence number on.
    fn take(&mut self, sequence: u32, bytes: &[u8]) {
        let next = *self.next.get_or_insert(sequence);
        if !self.append(next, sequence, bytes) {
            if self.early.len() < MAX_EARLY && self.bytes.len() < MAX_STREAM {
                self.early.push((sequence, bytes[..bytes.len().min(MAX_MESSAGE)].to_vec()));
            }
            return;
        }
        // Whatever waited for these bytes.
        while let Some(next) = self.next {
            let Some(place) =
                self.early.iter().position(|(sequence, _)| sequence.wrapping_sub(next).cast_signed() <= 0)
            else {
                break;
            };
            let (sequence, bytes) = self.early.swap_remove(place);
            self.append(next, sequence, &bytes);
        }
    }

    /// Appends what of these bytes is new; false where something is missing before them.
    fn append(&mut self, next: u32, sequence: u32, bytes: &[u8]) -> bool {
        let ahead = sequence.wrapping_sub(next).cast_signed();
        if ahead > 0 {
            return false;
        }
        let known = ahead.unsigned_abs() as usize;
        if let Some(new) = bytes.get(known..).filter(|new| !new.is_empty()) {
            let room = MAX_STREAM - self.bytes.len();
            self.bytes.extend_from_slice(&new[..new.len().min(room)]);
            self.next = Some(next.wrapping_add(new.len() as u32));
        }
        true
    }
}

#[cfg(test)]
mod tests;
