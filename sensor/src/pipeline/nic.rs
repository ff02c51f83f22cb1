//! The second witness: what the kernel itself counted on each interface.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};

use sensor_ebpf::abi::Side;

use crate::summary::NicCount;

/// Of the network namespace of this very thread.
const PATH: &str = "/proc/thread-self/net/dev";

/// The interfaces' own counters, each as it was last read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Witness(BTreeMap<String, [NicCount; Side::COUNT as usize]>);

impl Witness {
    /// Reads all interfaces.
    pub(super) fn of_all() -> Result<Self> {
        let text = fs::read_to_string(PATH).with_context(|| format!("cannot read {PATH}"))?;
        Ok(Self(parse(&text)))
    }

    /// Reads one interface, and leaves the others as they are.
    pub(super) fn read(&mut self, interface: &str) -> Result<()> {
        let Self(mut now) = Self::of_all()?;
        if let Some(count) = now.remove(interface) {
            self.0.insert(interface.to_owned(), count);
        }
        Ok(())
    }

    /// What an interface received or sent since `earlier`; `None` where it was not there at both, or its counters began anew.
    pub(super) fn since(&self, earlier: &Self, interface: &str, side: Side) -> Option<NicCount> {
        let count = |witness: &Self| Some(witness.0.get(interface)?[side as usize]);
        let (then, now) = (count(earlier)?, count(self)?);
        Some(NicCount { packets: now.packets.checked_sub(then.packets)?, bytes: now.bytes.checked_sub(then.bytes)? })
    }
}

/// Lines `name: rx_bytes rx_packets ... tx_bytes tx_packets ...` below two lines of heading, eight fields each way (proc_pid_net(5)).
fn parse(text: &str) -> BTreeMap<String, [NicCount; Side::COUNT as usize]> {
    const FIELDS: usize = 8;
    text.lines()
        .filter_map(|line| {
            let (name, fields) = line.split_once(':')?;
            let fields: Vec<u64> = fields.split_whitespace().map_while(|field| field.parse().ok()).collect();
            let count = |first: usize| Some(NicCount { bytes: *fields.get(first)?, packets: *fields.get(first + 1)? });
            Some((name.trim().to_owned(), [count(0)?, count(FIELDS)?]))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_kernel() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
                    face |bytes    packets errs drop fifo frame compressed multicast|bytes\n    \
                    lo:   10820     124    0    0    0     0          0         0    10820     124    0    0    0     0       0          0\n\
                    veth0:12345678 9000 0 0 0 0 0 0 140 2 0 0 0 0 0 0\n";
        let counts = parse(text);
        let count = |packets, bytes| NicCount { packets, bytes };
        assert_eq!(counts["lo"], [count(124, 10_820); 2]);
        assert_eq!(counts["veth0"], [count(9000, 12_345_678), count(2, 140)]);
        assert_eq!(counts.len(), 2);
    }

    #[test]
    fn growth_needs_both_readings() {
        let count = |packets| NicCount { packets, bytes: packets * 60 };
        let witness = |rx| Witness(BTreeMap::from([("a".to_owned(), [count(rx), count(10 * rx)])]));
        assert_eq!(witness(5).since(&witness(3), "a", Side::Rx), Some(count(2)));
        assert_eq!(witness(5).since(&witness(3), "a", Side::Tx), Some(count(20)));
        assert_eq!(witness(5).since(&Witness::default(), "a", Side::Rx), None);
        assert_eq!(Witness::default().since(&witness(3), "a", Side::Rx), None);
        assert_eq!(witness(3).since(&witness(5), "a", Side::Rx), None);
    }

    #[test]
    fn this_machine_has_a_loopback() {
        let mut witness = Witness::default();
        witness.read("lo").unwrap();
        assert_eq!(witness.0.keys().collect::<Vec<_>>(), ["lo"]);
        assert!(Witness::of_all().unwrap().since(&witness, "lo", Side::Tx).is_some());
    }
}
