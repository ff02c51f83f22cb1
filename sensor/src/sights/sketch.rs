//! How many different addresses were seen, in half a kilobyte at most.

/// Registers.
const REGISTERS: usize = 256;
/// Largest rank: the bits of a number that do not choose the register, and one.
const MAX_RANK: u8 = 57;

/// HyperLogLog with 256 registers, those that are not empty alone: standard error 1.04 / 16 = 6.5 %. Flajolet, Fusy, Gandouet, Meunier 2007; for few
/// addresses linear counting over the registers, which is exact but for collisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sketch {
    /// Register and rank, ascending.
    registers: Vec<(u8, u8)>,
}

impl Sketch {
    /// Adds an address by its number.
    pub(super) fn add(&mut self, number: u64) {
        let register = number as u8;
        let rank = ((number >> 8).trailing_zeros() as u8).min(MAX_RANK - 1) + 1;
        match self.registers.binary_search_by_key(&register, |(register, _)| *register) {
            Ok(place) => self.registers[place].1 = self.registers[place].1.max(rank),
            Err(place) => self.registers.insert(place, (register, rank)),
        }
    }

    /// How many different ones there were, about.
    pub(super) fn estimate(&self) -> u64 {
        let all = REGISTERS as f64;
        let empty = all - self.registers.len() as f64;
        let sum: f64 = self.registers.iter().map(|(_, rank)| 2_f64.powi(-i32::from(*rank))).sum();
        let raw = 0.7213 / (1.0 + 1.079 / all) * all * all / (sum + empty);
        let few = raw <= 2.5 * all && empty > 0.0;
        (if few { all * (all / empty).ln() } else { raw }).round() as u64
    }

    /// For a snapshot.
    pub(super) fn registers(&self) -> &[(u8, u8)] {
        &self.registers
    }

    /// From a snapshot; `None` where these cannot be registers.
    pub(super) fn from_registers(registers: Vec<(u8, u8)>) -> Option<Self> {
        let is_ascending = registers.is_sorted_by(|(a, _), (b, _)| a < b);
        let is_possible = registers.iter().all(|(_, rank)| (1..=MAX_RANK).contains(rank));
        (is_ascending && is_possible).then_some(Self { registers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sights::seed::Seed;

    #[test]
    fn estimates_are_as_good_as_said() {
        for count in [0_u32, 1, 2, 10, 100, 1000, 10_000, 100_000] {
            let errors = (1..=20).map(|seed| {
                let mut sketch = Sketch::default();
                for _ in 0..2 {
                    (0..count).for_each(|address| {
                        sketch.add(Seed(seed).address(std::net::Ipv4Addr::from(address).into()));
                    });
                }
                assert!(sketch.registers.len() <= REGISTERS);
                (sketch.estimate() as f64 - f64::from(count)) / f64::from(count.max(1))
            });
            let errors: Vec<f64> = errors.collect();
            let standard = (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt();
            assert!(standard < 0.09, "{count}: {standard}");
            assert!(count > 2 || standard < 1e-9, "{count}: {standard}");
        }
    }

    #[test]
    fn only_what_can_be_registers_comes_back() {
        let mut sketch = Sketch::default();
        (0..300).for_each(|number| sketch.add(number << 40 | number));
        sketch.add(0);
        assert_eq!(Sketch::from_registers(sketch.registers().to_vec()), Some(sketch));
        for bad in [vec![(1, 1), (1, 1)], vec![(2, 1), (1, 1)], vec![(0, 0)], vec![(0, 58)]] {
            assert_eq!(Sketch::from_registers(bad), None);
        }
    }
}
