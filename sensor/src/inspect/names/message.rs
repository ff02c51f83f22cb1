//! A message of the DNS (RFC 1035 section 4): its header and questions, read without trusting any count or pointer.

/// Bytes of a header.
const HEADER: usize = 12;
/// The longest name on the wire.
const MAX_NAME: usize = 255;
/// Pointers that are followed in one name.
const MAX_JUMPS: usize = 16;
/// Records that are walked through.
const MAX_RECORDS: usize = 512;

/// Types of records that say something here (IANA registry).
pub(in crate::inspect) mod kind {
    /// Name server.
    pub(in crate::inspect) const NS: u16 = 2;
    /// Canonical name.
    pub(in crate::inspect) const CNAME: u16 = 5;
    /// Start of authority.
    pub(in crate::inspect) const SOA: u16 = 6;
    /// Anything.
    pub(in crate::inspect) const NULL: u16 = 10;
    /// Mail exchange.
    pub(in crate::inspect) const MX: u16 = 15;
    /// Text.
    pub(in crate::inspect) const TXT: u16 = 16;
    /// A key, which nobody asks for any more.
    pub(in crate::inspect) const KEY: u16 = 25;
    /// Service.
    pub(in crate::inspect) const SRV: u16 = 33;
    /// Delegation signer.
    pub(in crate::inspect) const DS: u16 = 43;
    /// DNSSEC key.
    pub(in crate::inspect) const DNSKEY: u16 = 48;
    /// The private type that iodine asks for first.
    pub(in crate::inspect) const PRIVATE: u16 = 65399;
}

/// The header and the first question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::inspect) struct Dns {
    /// Its id.
    pub(in crate::inspect) id: u16,
    /// Whether it is an answer.
    pub(in crate::inspect) is_answer: bool,
    /// Its flags.
    pub(in crate::inspect) flags: u16,
    /// Questions, answers, authorities and additional records that it says to have.
    pub(in crate::inspect) counts: [u16; 4],
    /// The first question, where there is one and it is whole.
    pub(in crate::inspect) question: Option<Question>,
    /// Bytes up to where the first question ends.
    end: usize,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::inspect) struct Question {
    /// The name: each label with its length before it, without the root.
    pub(in crate::inspect) name: Vec<u8>,
    /// The type that is asked for.
    pub(in crate::inspect) kind: u16,
    /// Its class.
    pub(in crate::inspect) class: u16,
}

impl Question {
    /// The labels, first one first.
    pub(in crate::inspect) fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.name.as_slice();
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first()?;
            let (label, behind) = behind.split_at_checked(usize::from(*length))?;
            rest = behind;
            Some(label)
        })
    }
}

impl Dns {
    /// Reads header and first question; `None` where the header is none.
    pub(in crate::inspect) fn read(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let word = |place: usize| u16::from_be_bytes([header[place], header[place + 1]]);
        let flags = word(2);
        let counts = [word(4), word(6), word(8), word(10)];
        // QUERY, IQUERY, STATUS, NOTIFY, UPDATE, DSO.
        let opcode = flags >> 11 & 15;
        if opcode == 3 || opcode > 6 {
            return None;
        }
        let asked = (counts[0] > 0).then(|| question(bytes, HEADER)).flatten();
        let end = asked.as_ref().map_or(HEADER, |(_, end)| *end);
        let question = asked.map(|(question, _)| question);
        Some(Self { id: word(0), is_answer: flags & 0x8000 != 0, flags, counts, question, end })
    }

    /// What the first record of an answer holds, where it is whole.
    pub(in crate::inspect) fn first_data<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (_, behind) = (self.is_answer && self.counts[1] > 0).then(|| name(bytes, self.end)).flatten()?;
        let length = u16::from_be_bytes(*bytes.get(behind + 8..)?.first_chunk()?);
        bytes.get(behind + 10..)?.get(..usize::from(length))
    }

    /// Whether the records that the header counts are all there and nothing is behind them.
    pub(in crate::inspect) fn is_whole(&self, bytes: &[u8]) -> bool {
        let records = self.counts[1..].iter().map(|count| usize::from(*count)).sum::<usize>();
        if self.counts[0] > 1 || usize::from(self.counts[0]) != self.question.iter().count() || records > MAX_RECORDS {
            return false;
        }
        let mut place = self.end;
        for _ in 0..records {
            let Some((_, behind)) = name(bytes, place) else { return false };
            let Some(length) = bytes.get(behind + 8..).and_then(|rest| rest.first_chunk::<2>()) else { return false };
            place = behind + 10 + usize::from(u16::from_be_bytes(*length));
        }
        place == bytes.len()
    }
}

fn question(bytes: &[u8], place: usize) -> Option<(Question, usize)> {
    let (name, end) = name(bytes, place)?;
    let rest: &[u8; 4] = bytes.get(end..)?.first_chunk()?;
    let kind = u16::from_be_bytes([rest[0], rest[1]]);
    Some((Question { name, kind, class: u16::from_be_bytes([rest[2], rest[3]]) }, end + 4))
}

/// The name at a place, and where what is behind it begins.
fn name(bytes: &[u8], place: usize) -> Option<(Vec<u8>, usize)> {
    let mut name = Vec::new();
    let mut place = place;
    let mut end = None;
    let mut jumps = 0;
    loop {
        let length = *bytes.get(place)?;
        match length {
            0 => return Some((name, end.unwrap_or(place + 1))),
            1..=63 => {
                let label = bytes.get(place..place + 1 + usize::from(length))?;
                if name.len() + label.len() >= MAX_NAME {
                    return None;
                }
                name.extend_from_slice(label);
                place += label.len();
            }
            192.. => {
                let target = usize::from(length & 63) << 8 | usize::from(*bytes.get(place + 1)?);
                end = end.or(Some(place + 2));
                jumps += 1;
                // Only what is before can be meant.
                if target >= place || jumps > MAX_JUMPS {
                    return None;
                }
                place = target;
            }
            _ => return None,
        }
    }
}
