//! Messages (RFC 7011, section 3): headers, sets and sequence numbers. Pure.

use super::{element::Element, template::Template};

/// Version of IPFIX.
const VERSION: u16 = 10;
/// Bytes of a message header.
const HEADER_LEN: usize = 16;
/// Bytes of a set header.
const SET_HEADER_LEN: usize = 4;

/// What a field is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// In network byte order, its low bytes.
    Number(u64),
    /// As they are, up to the length of the field, then zeros; a zero always ends them where they are text.
    Bytes(&'a [u8]),
    /// Text.
    Text(&'a str),
}

/// One observation domain in a transport session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    /// Observation domain ID.
    pub(super) domain: u32,
    /// Data records that were sent, modulo 2^32.
    pub(super) sequence: u32,
    /// Messages that were sent.
    pub(super) messages: u64,
    /// Their bytes.
    pub(super) octets: u64,
    /// Data records in them that are no options.
    pub(super) flows: u64,
}

/// Fills messages of one stream.
pub(super) struct Packer<'a> {
    stream: &'a mut Stream,
    /// Most bytes of a message.
    limit: usize,
    /// Private enterprise number.
    enterprise: u32,
    /// Export time, in seconds since the Unix epoch.
    at: u32,
    done: Vec<Vec<u8>>,
    message: Vec<u8>,
    /// Set ID and place of the set that is being filled.
    set: Option<(u16, usize)>,
    /// Data records in the message.
    records: u32,
}

impl Stream {
    /// At the begin of a session.
    pub(super) fn new(domain: u32) -> Self {
        Self { domain, sequence: 0, messages: 0, octets: 0, flows: 0 }
    }
}

impl<'a> Packer<'a> {
    pub(super) fn new(stream: &'a mut Stream, limit: usize, enterprise: u32, at: u32) -> Self {
        Self { stream, limit, enterprise, at, done: vec![], message: vec![], set: None, records: 0 }
    }

    /// Adds a template.
    pub(super) fn template(&mut self, template: &Template) {
        let record = template.encode(self.enterprise);
        self.add(template.set(), &record);
    }

    /// Adds a record whose fields are filled by `value`.
    pub(super) fn record<'v>(&mut self, template: &Template, value: impl Fn(Element) -> Value<'v>) {
        self.values(template, template.elements.iter().map(|element| value(*element)));
    }

    /// Adds a record of values in the order of its template; what is missing of them is nothing.
    pub(super) fn values<'v>(&mut self, template: &Template, values: impl IntoIterator<Item = Value<'v>>) {
        let mut record = Vec::with_capacity(256);
        let mut values = values.into_iter();
        for element in template.elements {
            encode(values.next().unwrap_or(Value::Number(0)), element.field().len.into(), &mut record);
        }
        self.add(template.id, &record);
        self.records += 1;
        self.stream.flows += u64::from(template.scope == 0);
    }

    /// How many messages are full.
    pub(super) fn closed(&self) -> usize {
        self.done.len()
    }

    /// What was sent with the messages that are full.
    pub(super) fn stream(&self) -> &Stream {
        self.stream
    }

    /// The messages.
    pub(super) fn finish(mut self) -> Vec<Vec<u8>> {
        self.close();
        self.done
    }

    fn add(&mut self, set: u16, record: &[u8]) {
        let opens = self.set.is_none_or(|(open, _)| open != set);
        let more = record.len() + if opens { SET_HEADER_LEN } else { 0 };
        if !self.message.is_empty() && self.message.len() + more > self.limit {
            self.close();
        }
        if self.message.is_empty() {
            self.message.extend([0; HEADER_LEN]);
        }
        if self.set.is_none_or(|(open, _)| open != set) {
            self.close_set();
            self.set = Some((set, self.message.len()));
            self.message.extend([0; SET_HEADER_LEN]);
        }
        self.message.extend_from_slice(record);
    }

    fn close_set(&mut self) {
        if let Some((set, at)) = self.set.take() {
            let len = (self.message.len() - at) as u16;
            put(&mut self.message, at, &set.to_be_bytes());
            put(&mut self.message, at + 2, &len.to_be_bytes());
        }
    }

    /// Lets a message be full; another one begins.
    pub(super) fn close(&mut self) {
        if self.message.is_empty() {
            return;
        }
        self.close_set();
        let len = self.message.len() as u16;
        let stream = &mut *self.stream;
        let header = [
            &VERSION.to_be_bytes()[..],
            &len.to_be_bytes(),
            &self.at.to_be_bytes(),
            &stream.sequence.to_be_bytes(),
            &stream.domain.to_be_bytes(),
        ];
        put(&mut self.message, 0, &header.concat());
        stream.sequence = stream.sequence.wrapping_add(std::mem::take(&mut self.records));
        stream.messages += 1;
        stream.octets += u64::from(len);
        self.done.push(std::mem::take(&mut self.message));
    }
}

fn put(message: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = message.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

fn encode(value: Value<'_>, len: usize, to: &mut Vec<u8>) {
    let end = to.len() + len;
    match value {
        Value::Number(number) => {
            let bytes = number.to_be_bytes();
            to.extend_from_slice(bytes.get(bytes.len().saturating_sub(len)..).unwrap_or(&bytes));
        }
        Value::Bytes(bytes) => to.extend_from_slice(bytes.get(..len).unwrap_or(bytes)),
        Value::Text(text) => {
            // Not within a letter.
            let whole = (0..len).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
            to.extend_from_slice(text.get(..whole).unwrap_or(text).as_bytes());
        }
    }
    to.resize(end, 0);
}
