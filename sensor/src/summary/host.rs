//! Which watched addresses are active, as records.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::names;
use crate::cidr::Cidr;

/// Bits of a prefix that an address set has one bitmap for.
const BLOCK_LEN: u8 = 24;
/// Hexadecimal digits of a bitmap.
const DIGITS: usize = 64;

/// The watched addresses of one network that sent something in flows heard both ways, and how much of the network is only heard one way.
///
/// Of an interval in which the network was heard at all. Where `asymmetric_flows` are many, addresses and services are
/// unknown, not absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// Name of the watched network.
    #[serde(with = "names::network")]
    pub network: Arc<str>,
    /// IPv4 addresses active in the interval.
    pub active: AddressSet,
    /// How many these are.
    pub active_addresses: u64,
    /// /64s with an active IPv6 address in the interval, ascending.
    #[serde(with = "names::prefixes")]
    pub active_prefixes: Vec<Cidr>,
    /// IPv4 addresses of these that never were active before.
    pub newly_lit: AddressSet,
    /// /24s and /64s that never had an active address before, ascending.
    #[serde(with = "names::prefixes")]
    pub newly_lit_prefixes: Vec<Cidr>,
    /// Whether that is so because the sensor is still learning what there is.
    pub initial: bool,
    /// Whether there were active addresses for which there was no room.
    pub incomplete: bool,
    /// Flows seen in the interval; beyond some thousand an estimate, with a standard error of 3 %.
    pub flows: u64,
    /// Flows of these that were heard in one direction alone: scans that nobody answers, and asymmetric routing.
    pub one_way_flows: u64,
    /// Flows of these with a TCP segment that acknowledges what was not heard, so that the other direction runs elsewhere.
    pub asymmetric_flows: u64,
}

impl HostRecord {
    /// Adds what an earlier interval had of the same network.
    pub(crate) fn add(&mut self, earlier: &Self) {
        self.active.extend(&earlier.active);
        self.active_addresses = self.active.len();
        self.newly_lit.extend(&earlier.newly_lit);
        for (to, from) in [
            (&mut self.active_prefixes, &earlier.active_prefixes),
            (&mut self.newly_lit_prefixes, &earlier.newly_lit_prefixes),
        ] {
            to.extend(from);
            to.sort_unstable();
            to.dedup();
        }
        self.initial |= earlier.initial;
        self.incomplete |= earlier.incomplete;
        self.flows += earlier.flows;
        self.one_way_flows += earlier.one_way_flows;
        self.asymmetric_flows += earlier.asymmetric_flows;
    }

    /// Share of the flows that were heard in one direction alone, 0 to 1.
    pub fn one_way_share(&self) -> f64 {
        if self.flows == 0 { 0.0 } else { self.one_way_flows as f64 / self.flows as f64 }
    }
}

/// IPv4 addresses, a bitmap for each /24 that has any.
///
/// In records an object: the /24 as text, and 64 hexadecimal digits; read as one number, its highest bit is the address that ends in .0,
/// its lowest the one that ends in .255.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressSet {
    /// By the upper 24 bits.
    blocks: BTreeMap<u32, Bits>,
}

/// A bit for each address of a /24; the highest of the first word is .0.
pub(crate) type Bits = [u64; 4];

impl AddressSet {
    /// Adds an address.
    pub fn insert(&mut self, address: Ipv4Addr) {
        let (block, (word, bit)) = place(address);
        self.blocks.entry(block).or_default()[word] |= bit;
    }

    /// Adds the addresses of a /24, given by its upper 24 bits.
    pub(crate) fn insert_block(&mut self, block: u32, bits: &Bits) {
        if bits.iter().any(|word| *word != 0) {
            let words = self.blocks.entry(block).or_default();
            words.iter_mut().zip(bits).for_each(|(word, more)| *word |= more);
        }
    }

    /// Adds those of another set.
    pub(crate) fn extend(&mut self, other: &Self) {
        other.blocks.iter().for_each(|(block, bits)| self.insert_block(*block, bits));
    }

    /// How many addresses there are.
    pub fn len(&self) -> u64 {
        self.blocks.values().flatten().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// All addresses, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.blocks.iter().flat_map(|(block, bits)| {
            let is_set = |host: &u32| bits[*host as usize / 64] & 1 << (63 - host % 64) != 0;
            (0..1 << (32 - BLOCK_LEN)).filter(is_set).map(move |host| Ipv4Addr::from(block << 8 | host))
        })
    }
}

impl FromIterator<Ipv4Addr> for AddressSet {
    fn from_iter<I: IntoIterator<Item = Ipv4Addr>>(addresses: I) -> Self {
        let mut set = Self::default();
        addresses.into_iter().for_each(|address| set.insert(address));
        set
    }
}

/// The upper 24 bits of an address, and where its bit is: word and mask.
pub(crate) fn place(address: Ipv4Addr) -> (u32, (usize, u64)) {
    let bits = address.to_bits();
    (bits >> 8, (bits as usize >> 6 & 3, 1 << (63 - (bits & 63))))
}

/// The /24 of these upper 24 bits.
pub(crate) fn block_prefix(block: u32) -> Option<Cidr> {
    Cidr::masked(Ipv4Addr::from(block << 8).into(), BLOCK_LEN).ok()
}

impl Serialize for AddressSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.blocks.iter().map(|(block, [a, b, c, d])| {
            (format!("{}/{BLOCK_LEN}", Ipv4Addr::from(block << 8)), format!("{a:016x}{b:016x}{c:016x}{d:016x}"))
        }))
    }
}

impl<'de> Deserialize<'de> for AddressSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut set = Self::default();
        for (prefix, digits) in BTreeMap::<String, String>::deserialize(deserializer)? {
            let prefix: Cidr = names::parsed(&prefix)?;
            if !prefix.is_v4() || prefix.prefix_len() != BLOCK_LEN {
                return Err(D::Error::custom(format_args!("addresses of {prefix}, which is no /24")));
            }
            let bits =
                read_bits(&digits).ok_or_else(|| D::Error::custom("addresses of a /24 take 64 hexadecimal digits"))?;
            // The upper 24 bits of the upper 32 of an IPv4 prefix.
            set.insert_block((prefix.bits() >> 104) as u32, &bits);
        }
        Ok(set)
    }
}

fn read_bits(digits: &str) -> Option<Bits> {
    if digits.len() != DIGITS || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bits = Bits::default();
    for (word, digits) in bits.iter_mut().zip(digits.as_bytes().chunks(DIGITS / 4)) {
        *word = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_highest_bit_is_the_first_address() {
        let set: AddressSet =
            ["10.0.1.0", "10.0.1.255", "10.0.0.4"].iter().map(|text| text.parse::<Ipv4Addr>().unwrap()).collect();
        let zeros = "0".repeat(62);
        let expected = format!(r#"{{"10.0.0.0/24":"08{zeros}","10.0.1.0/24":"8{zeros}1"}}"#);
        assert_eq!(serde_json::to_string(&set).unwrap(), expected);
        assert_eq!(set.len(), 3);
    }

    #[test]
    fn what_is_no_bitmap_is_refused() {
        let good = "0".repeat(64);
        for (prefix, digits) in [
            ("10.0.0.0/25", good.clone()),
            ("2001:db8::/24", good.clone()),
            ("10.0.0.1/24", good.clone()),
            ("10.0.0.0/24", good[1..].to_owned()),
            ("10.0.0.0/24", format!("+{}", &good[1..])),
            ("10.0.0.0/24", "é".repeat(32)),
        ] {
            let text = serde_json::to_string(&BTreeMap::from([(prefix, digits)])).unwrap();
            assert!(serde_json::from_str::<AddressSet>(&text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn addresses_come_back(addresses in proptest::collection::btree_set(0_u32..2000, 0..40), base: u32) {
            let addresses: std::collections::BTreeSet<_> =
                addresses.into_iter().map(|address| Ipv4Addr::from(base.saturating_add(address))).collect();
            let set: AddressSet = addresses.iter().copied().collect();
            prop_assert!(set.iter().eq(addresses.iter().copied()));
            prop_assert_eq!(set.len(), addresses.len() as u64);
            let text = serde_json::to_string(&set).unwrap();
            prop_assert_eq!(&serde_json::from_str::<AddressSet>(&text).unwrap(), &set);
            let bytes = postcard::to_stdvec(&set).unwrap();
            prop_assert_eq!(&postcard::from_bytes::<AddressSet>(&bytes).unwrap(), &set);
        }
    }
}
