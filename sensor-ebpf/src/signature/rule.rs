//! One rule: what the first bytes, the length and the service of a payload must be for a class.

use super::{HEAD, Opening, service::Service};
use crate::class::Class;

/// Transports, as bits.
const TCP: u8 = 1;
const UDP: u8 = 2;
/// Bits of which, in any byte of words that look like nothing, one is set: text and small numbers have none.
const HIGH_BITS: u32 = 0x8080_8080;

/// A rule. Sixty-four bytes without a pointer, so that the table of them needs no relocation in the object.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Rule {
    /// Bits of the head that are fixed.
    pub(super) mask: [u32; 4],
    /// What they are.
    pub(super) value: [u32; 4],
    /// Least and most bytes of the payload.
    pub(super) least: u32,
    pub(super) most: u32,
    /// Bits of the payload's length that are zero.
    pub(super) even: u32,
    /// A field within the first eight bytes that tells the payload's length: its bits once shifted, none where there is no such field; how far it is
    /// shifted; and the bytes that it does not count.
    pub(super) field_mask: u32,
    pub(super) field_shift: u32,
    pub(super) field_add: u32,
    /// Words that look like a number drawn at random, as bits, the first the lowest.
    pub(super) random: u8,
    /// Transports that carry it.
    pub(super) transports: u8,
    /// The service it is looked for at; [`Service::None`]: anywhere, by the first byte.
    pub(super) service: Service,
    /// What it finds.
    pub(super) class: Class,
}

impl Rule {
    /// Fits nothing, and ends a chain: its number is 0.
    pub(super) const NEVER: Self = Self { least: 1, most: 0, ..Self::of(Class::Unknown, 0) };

    const fn of(class: Class, transports: u8) -> Self {
        Self {
            mask: [0; 4],
            value: [0; 4],
            least: 0,
            most: u32::MAX,
            even: 0,
            field_mask: 0,
            field_shift: 0,
            field_add: 0,
            random: 0,
            transports,
            service: Service::None,
            class,
        }
    }

    /// A rule for segments of TCP.
    pub(super) const fn tcp(class: Class) -> Self {
        Self::of(class, TCP)
    }

    /// A rule for datagrams of UDP.
    pub(super) const fn udp(class: Class) -> Self {
        Self::of(class, UDP)
    }

    /// A rule for both.
    pub(super) const fn any(class: Class) -> Self {
        Self::of(class, TCP | UDP)
    }

    /// The bits of a byte that `mask` has are those of `value`.
    pub(super) const fn bits(mut self, place: usize, mask: u8, value: u8) -> Self {
        assert!(
            place < HEAD && value & !mask == 0,
            "a rule asks for bits that it masks, or for a byte that is not seen"
        );
        let shift = 24 - 8 * (place % 4) as u32;
        self.mask[place / 4] |= (mask as u32) << shift;
        self.value[place / 4] |= (value as u32) << shift;
        if self.least <= place as u32 {
            self.least = place as u32 + 1;
        }
        self
    }

    /// The bytes from a place on are these.
    pub(super) const fn bytes(mut self, place: usize, bytes: &[u8]) -> Self {
        let mut at = 0;
        while at < bytes.len() {
            self = self.bits(place + at, 0xff, bytes[at]);
            at += 1;
        }
        self
    }

    /// The same bits of some bytes from a place on.
    pub(super) const fn each(mut self, place: usize, count: usize, mask: u8, value: u8) -> Self {
        let mut at = 0;
        while at < count {
            self = self.bits(place + at, mask, value);
            at += 1;
        }
        self
    }

    /// The payload has at least and at most so many bytes.
    pub(super) const fn len(mut self, least: u32, most: u32) -> Self {
        assert!(self.least <= least && least <= most, "a rule asks for fewer bytes than it looks at");
        self.least = least;
        self.most = most;
        self
    }

    /// The payload's length is a multiple of a power of two.
    pub(super) const fn multiple(mut self, of: u32) -> Self {
        assert!(of.is_power_of_two(), "a rule asks for a multiple of what is no power of two");
        self.even = of - 1;
        self
    }

    /// The big-endian field of `width` bytes at a place, and `add`, are the payload's length.
    pub(super) const fn length_field(mut self, place: u32, width: u32, add: u32) -> Self {
        assert!(place + width <= 8 && width >= 1 && width <= 4, "a length is looked for in the first eight bytes");
        self.field_shift = 64 - 8 * (place + width);
        self.field_mask = u32::MAX >> (32 - 8 * width);
        self.field_add = add;
        if self.least < place + width {
            self.least = place + width;
        }
        self
    }

    /// The words with these bits, the first the lowest, look like numbers drawn at random: no half of one is zero, and one of their bytes is
    /// above 127. Of eight random bytes that holds in 99.6 %, of four in 93 %.
    pub(super) const fn random(mut self, words: u8) -> Self {
        self.random = words;
        let end = 4 * (8 - words.leading_zeros());
        if self.least < end {
            self.least = end;
        }
        self
    }

    /// Only looked for at this service.
    pub(super) const fn at(mut self, service: Service) -> Self {
        self.service = service;
        self
    }

    /// Whether this transport carries it.
    pub(super) const fn is_for(&self, is_udp: bool) -> bool {
        self.transports & if is_udp { UDP } else { TCP } != 0
    }

    /// Whether the byte at this place, 0 or 1, may be this one.
    pub(super) const fn may_have(&self, place: u32, byte: u8) -> bool {
        let shift = 24 - 8 * place;
        (byte as u32 ^ self.value[0] >> shift) & (self.mask[0] >> shift) & 0xff == 0
    }

    /// Whether it fits; the transport and the service are the caller's.
    #[inline(always)]
    pub(super) fn fits(&self, opening: &Opening) -> bool {
        let [a, b, c, d] = opening.head;
        let len = opening.payload_len;
        let different = (a ^ self.value[0]) & self.mask[0]
            | (b ^ self.value[1]) & self.mask[1]
            | (c ^ self.value[2]) & self.mask[2]
            | (d ^ self.value[3]) & self.mask[3]
            | len & self.even;
        if different != 0 || len < self.least || len > self.most {
            return false;
        }
        let told = ((u64::from(a) << 32 | u64::from(b)) >> (self.field_shift & 63)) as u32 & self.field_mask;
        let is_told = self.field_mask == 0 || told.wrapping_add(self.field_add) == len;
        is_told && (self.random == 0 || self.is_random(opening.head))
    }

    /// Without a branch: what is not asked for is made all ones for one question, all zeros for the other.
    #[inline(always)]
    fn is_random(&self, [a, b, c, d]: [u32; 4]) -> bool {
        let asked = |word: u32| 0_u32.wrapping_sub(u32::from(self.random) >> word & 1);
        // A half that is zero borrows, which sets its highest bit.
        let zeros = |word: u32, asked: u32| (word | !asked).wrapping_sub(0x0001_0001) & !(word | !asked) & 0x8000_8000;
        let zeros = zeros(a, asked(0)) | zeros(b, asked(1)) | zeros(c, asked(2)) | zeros(d, asked(3));
        let seen = a & asked(0) | b & asked(1) | c & asked(2) | d & asked(3);
        zeros == 0 && seen & HIGH_BITS != 0
    }
}
