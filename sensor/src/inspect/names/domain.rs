//! What a name carries, and what is remembered of a registered domain.

use super::{
    Part,
    message::{Question, kind},
    services,
};
use crate::inspect::FlowId;

/// Minutes within which names always count together; twice as far apart they never do.
const WINDOW: u32 = 60;
/// Different names of types that nobody else uses.
const MIN_RARE: u32 = 3;
/// Different names of types whose answers carry much.
const MIN_LARGE: u32 = 12;
/// Different long names.
const MIN_LONG: u32 = 12;
/// Bytes below the domain that make a name long: no host is called like that.
const LONG: usize = 52;
/// Different names of the sorts that machines of no tunnel ask for, too, but more than once each: the bits of [`Several`] that some 90 names set.
const MIN_ONCE: u32 = 64;
/// The most questions for them: each was asked for once, some again.
const MAX_ASKED: u32 = 120;
/// Bytes of a label that is no word.
const LONG_LABEL: usize = 24;
/// Bytes that no host name has and that make a name large.
const MIN_FOREIGN: usize = 2;
/// Bytes below the domain that can carry something.
const SHORT: usize = 8;
/// Flows that are remembered for a domain until it is judged.
const MAX_PARTS: usize = 256;
/// Second-level labels under which domains are registered where the top level is a country's.
const SECOND_LEVELS: [&[u8]; 12] =
    [b"ac", b"co", b"com", b"edu", b"gob", b"gov", b"gr", b"ltd", b"ne", b"net", b"or", b"org"];
/// Host names of the usual sort.
const PLAIN: [&[u8]; 16] = [
    b"",
    b"www",
    b"mail",
    b"smtp",
    b"imap",
    b"pop",
    b"pop3",
    b"ftp",
    b"ns",
    b"ns1",
    b"ns2",
    b"ns3",
    b"mx",
    b"api",
    b"cdn",
    b"autodiscover",
];

/// A name that was asked for.
#[derive(Debug)]
pub(super) struct Name {
    /// In lower case, each label with its length before it.
    whole: Vec<u8>,
    /// Where the registered domain begins in it.
    domain: usize,
    kind: u16,
    /// What is below the domain, without the lengths.
    below: Vec<u8>,
    longest: usize,
    is_answer: bool,
    is_local: bool,
    is_listed: bool,
    is_signature: bool,
}

impl Name {
    /// Of a question; `None` where there is nothing below the domain that could be looked at.
    pub(super) fn of(question: &Question, is_answer: bool) -> Option<Self> {
        let labels: Vec<&[u8]> = question.labels().collect();
        let is_signature = is_signature(&labels);
        let top = labels.last()?.to_ascii_lowercase();
        let registered = registered(&labels);
        let below: Vec<&[u8]> = labels[..labels.len().saturating_sub(registered)].to_vec();
        let domain = question.name.len() - labels[below.len()..].iter().map(|label| label.len() + 1).sum::<usize>();
        let dotted = labels[below.len()..].join(&b'.').to_ascii_lowercase();
        let is_local = services::is_top(&top) || labels.len() < 2;
        // Names with a purpose of their own (RFC 8552), and addresses, as lists of senders have them.
        let is_listed = services::is_service(&dotted)
            || below.iter().any(|label| label.first() == Some(&b'_'))
            || is_address(&below);
        let longest = below.iter().map(|label| label.len()).max().unwrap_or_default();
        let below = below.concat().to_ascii_lowercase();
        let whole = question.name.to_ascii_lowercase();
        Some(Self { whole, domain, kind: question.kind, below, longest, is_answer, is_local, is_listed, is_signature })
    }

    /// Whether this name alone is a tunnel's.
    pub(super) fn is_signature(&self) -> bool {
        self.is_signature
    }

    /// Whether a host may be called so, or nothing of what is below the domain is asked for.
    pub(super) fn is_plain(&self) -> bool {
        let is_of_zone = [kind::NS, kind::SOA, kind::DS, kind::DNSKEY].contains(&self.kind);
        is_of_zone || PLAIN.contains(&self.below.as_slice())
    }

    pub(super) fn domain(&self) -> &[u8] {
        &self.whole[self.domain..]
    }

    pub(super) fn whole(&self) -> &[u8] {
        &self.whole
    }

    /// Whether it is of a type that nobody else uses.
    pub(super) fn is_rare(&self) -> bool {
        !self.is_local && [kind::NULL, kind::KEY, kind::PRIVATE].contains(&self.kind) && !self.is_plain()
    }

    /// Whether its type is one whose answers carry much.
    fn is_large_kind(&self) -> bool {
        [kind::TXT, kind::CNAME, kind::MX, kind::SRV].contains(&self.kind)
    }

    /// Whether it carries something up and its answer something down, or something up that no host name has.
    fn is_large(&self) -> bool {
        let is_large = self.is_large_kind() || self.foreign() >= MIN_FOREIGN;
        is_large && self.below.len() >= SHORT && self.carries()
    }

    /// Whether it may be of a tunnel that waits: short names of large types, labels that are no words.
    fn is_suspect(&self) -> bool {
        let is_poll = self.is_large_kind() && self.below.len() >= SHORT && !self.is_local && !self.is_listed;
        is_poll || self.longest >= LONG_LABEL && self.carries()
    }

    /// Whether it carries much up.
    fn is_long(&self) -> bool {
        self.below.len() >= LONG && self.carries()
    }

    /// Bytes below the domain that no host name has.
    fn foreign(&self) -> usize {
        self.below.iter().filter(|byte| !byte.is_ascii_alphanumeric() && !b"-_".contains(byte)).count()
    }

    /// Whether what is below the domain looks like data: bytes that no host name has, digits among the letters, or letters that nobody can say.
    fn carries(&self) -> bool {
        if self.is_local || self.is_listed {
            return false;
        }
        let count = |is: fn(&u8) -> bool| self.below.iter().filter(|byte| is(byte)).count();
        let digits = count(u8::is_ascii_digit);
        let letters = count(u8::is_ascii_lowercase);
        let vowels = count(|byte| b"aeiou".contains(byte));
        self.foreign() > 0 || letters > 0 && digits * 8 >= self.below.len() || letters >= SHORT && vowels * 4 < letters
    }
}

/// How many labels the registered domain has.
fn registered(labels: &[&[u8]]) -> usize {
    let [.., second, top] = labels else { return labels.len() };
    let is_second = |label: &[u8]| SECOND_LEVELS.iter().any(|name| label.eq_ignore_ascii_case(name));
    if top.len() == 2 && is_second(second) { 3 } else { 2 }
}

/// Whether labels are an IPv4 address, turned round or not, in labels or with hyphens, or an IPv6 address in nibbles.
fn is_address(below: &[&[u8]]) -> bool {
    let mut numbers = below.iter().flat_map(|label| label.split(|byte| !byte.is_ascii_digit()));
    let numbers = numbers.by_ref().filter(|number| !number.is_empty()).take(8).collect::<Vec<_>>();
    let are_bytes = |numbers: &[&[u8]]| numbers.iter().all(|number| number.len() <= 3);
    let separated = below.iter().flat_map(|label| label.split(|byte| *byte == b'-'));
    let whole = separated.filter(|part| part.iter().all(u8::is_ascii_digit) && !part.is_empty()).count();
    whole >= 3 && numbers.len() >= 4 && are_bytes(&numbers[..4])
        || below.iter().filter(|label| label.len() == 1).count() >= 16
}

/// Whether one name is enough: dnscat2 without a domain of its own, and the commands of dns2tcp.
fn is_signature(labels: &[&[u8]]) -> bool {
    let is_hex = |label: &&[u8]| label.len().is_multiple_of(2) && label.iter().all(u8::is_ascii_hexdigit);
    let is_dnscat = match labels {
        // A packet has at least its id, type and session id.
        [b"dnscat", data @ ..] => data.concat().len() >= 10 && data.iter().all(is_hex),
        _ => false,
    };
    let is_command = |label: &&[u8]| [&b"=auth"[..], b"=connect", b"=resource"].contains(label);
    is_dnscat || labels.iter().any(is_command)
}

/// Different things, as few bits: enough to tell a dozen from two.
#[derive(Clone, Copy, Debug, Default)]
struct Several(u128);

impl Several {
    fn add(&mut self, print: u64) {
        self.0 |= 1 << (print & 127);
    }

    fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// How many different things set so many bits (linear counting; Whang, 1990); nothing where all are set.
    fn estimate(self) -> Option<f64> {
        let (bits, zeros) = (f64::from(u128::BITS), f64::from(self.0.count_zeros()));
        (zeros > 0.0).then(|| bits * (bits / zeros).ln())
    }
}

/// Names of a sort: different ones, and how often any of them was named.
#[derive(Clone, Copy, Debug, Default)]
struct Sort {
    different: Several,
    times: u32,
}

impl Sort {
    fn add(&mut self, print: u64) {
        self.different.add(print);
        self.times = self.times.saturating_add(1);
    }

    fn and(self, other: Self) -> Self {
        Self { different: Several(self.different.0 | other.different.0), times: self.times.saturating_add(other.times) }
    }

    /// Whether half of all different names or more are of this sort; where there are too many to tell them apart, half of all times.
    fn prevails(self, all: Self) -> bool {
        match (self.different.estimate(), all.different.estimate()) {
            (Some(different), Some(all)) => 2.0 * different >= all,
            _ => self.times >= all.times / 2,
        }
    }
}

/// Whether a flow is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    New,
    /// It was, or need not be.
    Known,
    /// There was no room.
    Not,
}

/// What was asked for under a domain in some minutes.
#[derive(Debug, Default)]
struct Asked {
    all: Sort,
    rare: Sort,
    large: Sort,
    long: Sort,
    suspect: Sort,
    /// Questions for these, and answers.
    times: [u32; 2],
    /// Flows that asked for a name that is not plain, and the end that did.
    parts: Vec<Part>,
}

/// What is remembered of a registered domain.
#[derive(Debug, Default)]
pub(super) struct Domain {
    now: Asked,
    before: Asked,
    /// The minute from which on it is now.
    since: u32,
    /// Whether suspect names were asked for again before they were enough.
    is_asked_again: bool,
}

impl Domain {
    /// Forgets what was asked for too long before that minute; how many flows were.
    pub(super) fn forget_before(&mut self, now: u32) -> usize {
        // A clock that was set back keeps nothing for longer.
        self.since = self.since.min(now);
        let parts = self.parts();
        match (now - self.since) / WINDOW {
            0 => return 0,
            1 => {
                self.before = std::mem::take(&mut self.now);
                self.since += WINDOW;
            }
            _ => {
                (self.before, self.now) = Default::default();
                self.since = now;
            }
        }
        parts - self.parts()
    }

    /// Takes a name.
    pub(super) fn count(&mut self, name: &Name, print: u64) {
        let asked = &mut self.now;
        asked.all.add(print);
        for (is, several) in
            [(name.is_rare(), &mut asked.rare), (name.is_large(), &mut asked.large), (name.is_long(), &mut asked.long)]
        {
            if is {
                several.add(print);
            }
        }
        if name.is_suspect() {
            asked.suspect.add(print);
            let times = &mut asked.times[usize::from(name.is_answer)];
            *times = times.saturating_add(1);
        }
    }

    /// Remembers the flow of a name where there is room.
    pub(super) fn keep(&mut self, name: &Name, part: Part, has_room: bool) -> Kept {
        // Most often it is the flow that was the last one.
        if name.is_plain() || name.is_local || self.now.parts.iter().rev().take(8).any(|other| *other == part) {
            return Kept::Known;
        }
        if !has_room || self.parts() >= MAX_PARTS {
            return Kept::Not;
        }
        self.now.parts.push(part);
        Kept::New
    }

    /// Whether the telling names are enough, or the suspect ones are many and each was asked for once: hosts of the same sort are asked for again, and for
    /// each of their addresses.
    pub(super) fn is_tunnel(&mut self) -> bool {
        let mut times = self.now.times.iter().zip(self.before.times).map(|(now, before)| now.saturating_add(before));
        self.is_asked_again |= times.any(|times| times > MAX_ASKED);
        self.has_telling() || !self.is_asked_again && self.has_suspect()
    }

    /// Whether what is a tunnel goes on as one.
    pub(super) fn is_still_tunnel(&self) -> bool {
        self.has_telling() || self.has_suspect()
    }

    fn has_telling(&self) -> bool {
        let [rare, large, long] =
            [|it: &Asked| it.rare, |it: &Asked| it.large, |it: &Asked| it.long].map(|of| self.of(of));
        rare.different.count() >= MIN_RARE
            || large.different.count() >= MIN_LARGE && large.prevails(self.of(|asked| asked.all))
            || long.different.count() >= MIN_LONG
    }

    fn has_suspect(&self) -> bool {
        let suspect = self.of(|asked| asked.suspect);
        suspect.different.count() >= MIN_ONCE && suspect.prevails(self.of(|asked| asked.all))
    }

    /// What is remembered of a sort.
    fn of(&self, sort: fn(&Asked) -> Sort) -> Sort {
        sort(&self.now).and(sort(&self.before))
    }

    /// How many flows are remembered.
    pub(super) fn parts(&self) -> usize {
        self.now.parts.len() + self.before.parts.len()
    }

    /// The flows that are remembered, which are not any more.
    pub(super) fn take_parts(&mut self) -> Vec<Part> {
        let mut parts = std::mem::take(&mut self.before.parts);
        parts.append(&mut self.now.parts);
        parts
    }

    /// Flows that are remembered.
    #[cfg(test)]
    pub(super) fn flows(&self) -> impl Iterator<Item = FlowId> {
        self.before.parts.iter().chain(&self.now.parts).map(|(id, _)| *id)
    }

    /// Forgets the flows that have ended.
    pub(super) fn retain(&mut self, is_alive: impl Fn(FlowId) -> bool) {
        for asked in [&mut self.now, &mut self.before] {
            asked.parts.retain(|(id, _)| is_alive(*id));
        }
    }
}
