//! The second witness: what the kernel itself counted on each interface.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};

use crate::summary::NicCount;

/// Of the network namespace of this very thread.
const PATH: &str = "/proc/thread-self/net/dev";

/// Packets and bytes received so far, by interface.
pub(super) fn received() -> Result<BTreeMap<String, NicCount>> {
    let text = fs::read_to_string(PATH).with_context(|| format!("cannot read {PATH}"))?;
    Ok(parse(&text))
}

/// What came between two readings; `None` where the interface was not there at both, or its counters began anew.
pub(super) fn growth(then: Option<&NicCount>, now: Option<&NicCount>) -> Option<NicCount> {
    let (then, now) = (then?, now?);
    Some(NicCount { packets: now.packets.checked_sub(then.packets)?, bytes: now.bytes.checked_sub(then.bytes)? })
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
        let count = |packets| NicCount { packets, bytes: packets * 60 };
        assert_eq!(growth(Some(&count(3)), Some(&count(5))), Some(count(2)));
        assert_eq!(growth(None, Some(&count(5))), None);
        assert_eq!(growth(Some(&count(5)), Some(&count(3))), None);
    }

    #[test]
    fn this_machine_has_a_loopback() {
        assert!(received().unwrap().contains_key("lo"));
    }
}
