//! Records of networks, as far as their sums go.

use sensor::testing::truth::Sum;
use serde_json::Value;

/// Records of what was seen of watched addresses, which add up to nothing.
pub(crate) const SEEN: [&str; 4] = ["host", "service", "class_host", "event"];

/// What tells records of one network and direction apart.
pub(crate) const ROW: [&str; 3] = ["upstream", "class", "evidence"];

/// What a record takes off what earlier ones said.
pub(crate) fn moves(record: &Value) -> Sum {
    let number = |name| record[name].as_u64().unwrap_or_default();
    Sum { packets: number("moved_packets"), bytes: number("moved_bytes"), frame_bytes: number("moved_frame_bytes") }
}
