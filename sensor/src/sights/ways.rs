//! How many of a network's flows are heard in one direction alone.

use std::collections::BTreeMap;

use sensor_ebpf::abi::Direction;

use super::Sighting;

/// Flows that are kept of each network and interval. Beyond that every second one, then every fourth and so on: at least half as many, so
/// that the standard error of a share is at most 1.6 %, of the number of flows 3.1 %.
const MAX_KEPT: usize = 2048;

/// TCP flags (RFC 9293, 3.1).
pub(super) const SYN: u8 = 0x02;
/// See [`SYN`].
pub(super) const RST: u8 = 0x04;
/// See [`SYN`].
pub(super) const ACK: u8 = 0x10;

/// What was heard of a flow: toward the watched end, from it, and a segment that acknowledges something.
const HEARD_IN: u8 = 1;
const HEARD_OUT: u8 = 2;
const HEARD_BOTH: u8 = HEARD_IN | HEARD_OUT;
const ACKNOWLEDGED: u8 = 4;

/// Flows by the ways they were heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OneWay {
    /// Flows.
    pub flows: u64,
    /// Flows that were heard in one direction alone.
    pub one_way: u64,
    /// Of these: those with a TCP segment that acknowledges something, without SYN or RST. Scans and answers to forged senders have none; the other
    /// direction runs elsewhere.
    pub asymmetric: u64,
}

/// A sample of the flows of an interval (Wegman's adaptive sampling; Flajolet 1990), all of them while they are few.
#[derive(Debug, Default)]
pub(super) struct Ways {
    kept: BTreeMap<u64, u8>,
    /// Zeros at the end of the numbers that are kept.
    level: u32,
}

impl Ways {
    /// Takes a packet of the flow of that number.
    pub(super) fn hear(&mut self, flow: u64, sighting: &Sighting) {
        if flow.trailing_zeros() < self.level {
            return;
        }
        let way = match (sighting.two_way, sighting.direction) {
            (true, _) => HEARD_BOTH,
            (false, Direction::In) => HEARD_IN,
            (false, Direction::Out) => HEARD_OUT,
        };
        let is_answer = sighting.tcp_flags.is_some_and(|flags| flags & (ACK | SYN | RST) == ACK);
        *self.kept.entry(flow).or_default() |= way | if is_answer { ACKNOWLEDGED } else { 0 };
        while self.kept.len() > MAX_KEPT {
            self.level += 1;
            self.kept.retain(|flow, _| flow.trailing_zeros() >= self.level);
        }
    }

    /// What that makes.
    pub(super) fn count(&self) -> OneWay {
        let count = |is: fn(u8) -> bool| {
            let kept = self.kept.values().filter(|heard| is(**heard)).count() as u64;
            kept.saturating_mul(1_u64.checked_shl(self.level).unwrap_or(u64::MAX))
        };
        OneWay {
            flows: count(|_| true),
            one_way: count(|heard| heard & HEARD_BOTH != HEARD_BOTH),
            asymmetric: count(|heard| heard & HEARD_BOTH != HEARD_BOTH && heard & ACKNOWLEDGED != 0),
        }
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }
}
