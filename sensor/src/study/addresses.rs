//! Which addresses of a network are active, and which never were in the other period.

use std::{collections::BTreeMap, net::Ipv4Addr};

use anyhow::Result;
use serde::Serialize;

use super::{Period, Records, is_marked};
use crate::cidr::Cidr;

/// Active addresses: IPv4 ones, and /64s of IPv6.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Addresses {
    /// How many, in the period.
    pub active: u64,
    /// How many, in the other one.
    pub baseline_active: u64,
    /// Those that were not active in the other one.
    pub newly_lit: Vec<String>,
    /// /24s and /64s without an active address in the other one.
    pub newly_lit_prefixes: Vec<String>,
    /// Those that were active in the other one, and are not.
    pub dark_now: u64,
    /// Active ones by day of both periods.
    pub by_day: BTreeMap<String, u64>,
    /// Active ones of each /24 and /64 in the period, as a bitmap in hexadecimal digits; of a /64 nothing.
    pub blocks: BTreeMap<String, String>,
    /// The same of the other one.
    pub baseline_blocks: BTreeMap<String, String>,
    /// There was no room for all.
    pub incomplete: bool,
}

type Blocks = BTreeMap<Cidr, [u8; 32]>;

impl Addresses {
    pub(super) fn of(records: &dyn Records, network: &str, period: &Period, baseline: &Period) -> Result<Self> {
        let mut by_day = BTreeMap::new();
        let mut blocks = |period: &Period| -> Result<Blocks> {
            let mut blocks = Blocks::new();
            let mut days: BTreeMap<i32, Blocks> = BTreeMap::new();
            for row in records.active(network, period.days())? {
                let block: Cidr = row.block.parse()?;
                for bits in [blocks.entry(block), days.entry(row.day).or_default().entry(block)] {
                    bits.or_default().iter_mut().zip(row.bits).for_each(|(bits, more)| *bits |= more);
                }
            }
            by_day.extend(days.iter().map(|(day, blocks)| (Period::date(*day), count(blocks))));
            Ok(blocks)
        };
        let (before, now) = (blocks(baseline)?, blocks(period)?);
        let was = |block: &Cidr| before.get(block).copied();
        let mut newly_lit = Vec::new();
        for (block, bits) in &now {
            let earlier = was(block);
            if !block.is_v4() {
                newly_lit.extend(earlier.is_none().then(|| block.to_string()));
                continue;
            }
            let lit = |index: &u8| is_marked(bits, *index) && !earlier.is_some_and(|bits| is_marked(&bits, *index));
            let first = (block.bits() >> 96) as u32;
            let address = |index: u8| Ipv4Addr::from(first | u32::from(index)).to_string();
            newly_lit.extend((0..=u8::MAX).filter(lit).map(address));
        }
        let dark = before.iter().map(|(block, bits)| match now.get(block) {
            Some(now) if block.is_v4() => {
                bits.iter().zip(now).map(|(bits, now)| u64::from((bits & !now).count_ones())).sum()
            }
            Some(_) => 0,
            None => of_block(block, bits),
        });
        let heard = [records.heard(network, period.days())?, records.heard(network, baseline.days())?];
        Ok(Self {
            active: count(&now),
            baseline_active: count(&before),
            newly_lit,
            newly_lit_prefixes: now.keys().filter(|block| was(block).is_none()).map(Cidr::to_string).collect(),
            dark_now: dark.sum(),
            by_day,
            blocks: digits(&now),
            baseline_blocks: digits(&before),
            incomplete: heard.iter().any(|heard| heard.incomplete),
        })
    }
}

/// Active ones of a block.
fn of_block(block: &Cidr, bits: &[u8; 32]) -> u64 {
    if block.is_v4() { bits.iter().map(|bits| u64::from(bits.count_ones())).sum() } else { 1 }
}

fn count(blocks: &Blocks) -> u64 {
    blocks.iter().map(|(block, bits)| of_block(block, bits)).sum()
}

fn digits(blocks: &Blocks) -> BTreeMap<String, String> {
    let text = |block: &Cidr, bits: &[u8; 32]| {
        if block.is_v4() { bits.iter().map(|byte| format!("{byte:02x}")).collect() } else { String::new() }
    };
    blocks.iter().map(|(block, bits)| (block.to_string(), text(block, bits))).collect()
}
