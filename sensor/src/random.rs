//! Numbers that nobody can foresee, and the same ones again where a replay must be repeatable.

use std::{fs::File, io::Read};

use anyhow::{Context as _, Result};
use sensor_ebpf::abi::{HASH_WORDS, HashKeys};

/// Where the kernel gives out random bytes (random(4)).
const RANDOM: &str = "/dev/urandom";
/// What the keys of a replay are made of: any number.
const REPLAY_SEED: u64 = 0x7365_6e73_6f72;

/// Fills bytes at random.
///
/// # Errors
/// The kernel's random numbers cannot be read.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<()> {
    File::open(RANDOM).and_then(|mut file| file.read_exact(bytes)).with_context(|| format!("cannot read {RANDOM}"))
}

/// Keys that flows are numbered by, drawn.
///
/// # Errors
/// As [`fill`].
pub(crate) fn draw_keys() -> Result<HashKeys> {
    let mut keys = HashKeys::default();
    fill(bytemuck::cast_slice_mut(&mut keys))?;
    Ok(keys)
}

/// Chance that is the same each time: for figures that must come out the same of the same records.
pub(crate) struct Shuffle(u64);

impl Shuffle {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below another one, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = step(self.0);
        ((u128::from(self.0) * end as u128) >> 64) as usize
    }

    /// Another order of the same, each as likely (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for end in (2..=values.len()).rev() {
            values.swap(end - 1, self.below(end));
        }
    }
}

/// Keys that are the same each time: of replays.
pub fn replay_keys() -> HashKeys {
    let mut word = REPLAY_SEED;
    let mut next = || {
        word = step(word);
        word
    };
    std::array::from_fn(|_| std::array::from_fn::<_, { HASH_WORDS + 1 }, _>(|_| next()))
}

/// The step of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
pub(crate) const fn step(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_are_drawn_or_the_same() {
        assert_eq!(replay_keys(), replay_keys());
        let (one, two) = (draw_keys().unwrap(), draw_keys().unwrap());
        let all = [one, two, replay_keys()];
        let words: BTreeSet<u64> = all.iter().flatten().flatten().copied().collect();
        assert_eq!(words.len(), 3 * 2 * (HASH_WORDS + 1));
    }
}
