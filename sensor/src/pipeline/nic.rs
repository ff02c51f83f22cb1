//! The second witness: what the kernel itself counted on each interface.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};

use crate::summary::NicCount;

/// Of the network namespace of this very thread.
const PATH: &str = "/proc/thread-self/net/dev";

/// The interfaces' own counters, each as it was last read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Witness(BTreeMap<String, NicCount>);

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

    /// What an interface received since `earlier`; `None` where it was not there at both, or its counters began anew.
    pub(super) fn since(&self, earlier: &Self, interface: &str) -> Option<NicCount> {
        let (then, now) = (earlier.0.get(interface)?, self.0.get(interface)?);
        Some(NicCount { packets: now.packets.checked_sub(then.packets)?, bytes: now.bytes.checked_sub(then.bytes)? })
    }
}

/// Lines `name: rx_bytes rx_packets ...` below two lines of heading (proc_pid_net(5)).
fn parse(text: &str) -> BTreeMap<String, NicCount> {
    text.lines()
        .filter_map(|line| {
            let (name, fields) = line.split_once(':')?;
            let mut fields = fields.split_whitespace().map(str::parse);
            let bytes = fields.next()?.ok()?;
            let packets = fields.next()?.ok()?;
            Some((name.trim().to_owned(), NicCount { packets, bytes }))
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
                    veth0:12345678 9000 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n";
        let counts = parse(text);
        assert_eq!(counts["lo"], NicCount { packets: 124, bytes: 10_820 });
        assert_eq!(counts["veth0"], NicCount { packets: 9000, bytes: 12_345_678 });
        assert_eq!(counts.len(), 2);
    }

    #[test]
    fn growth_needs_both_readings() {
        let witness = |packets| Witness(BTreeMap::from([("a".to_owned(), NicCount { packets, bytes: packets * 60 })]));
        assert_eq!(witness(5).since(&witness(3), "a"), Some(NicCount { packets: 2, bytes: 120 }));
        assert_eq!(witness(5).since(&Witness::default(), "a"), None);
        assert_eq!(Witness::default().since(&witness(3), "a"), None);
        assert_eq!(witness(3).since(&witness(5), "a"), None);
    }

    #[test]
    fn this_machine_has_a_loopback() {
        let mut witness = Witness::default();
        witness.read("lo").unwrap();
        assert_eq!(witness.0.keys().collect::<Vec<_>>(), ["lo"]);
        assert!(Witness::of_all().unwrap().since(&witness, "lo").is_some());
    }
}
