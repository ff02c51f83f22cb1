//! Fields of a record by the names that versions of nfdump have for them.

use std::borrow::Cow;

/// A field that is read; all others are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Field {
    First,
    Last,
    Duration,
    Source,
    Destination,
    SourcePort,
    DestinationPort,
    Protocol,
    Packets,
    Bytes,
    BackPackets,
    BackBytes,
    SourceMac,
    DestinationMac,
    SourceVlan,
    DestinationVlan,
    NextHop,
    BgpNextHop,
    NextSystem,
    PreviousSystem,
    Kind,
    Sampled,
}

/// How many there are.
const FIELDS: usize = Field::Sampled as usize + 1;

use Field as F;

/// Names in the order of nfdump 1.6 and 1.7 as CSV, of 1.7.4 and later as CSV, and of all as JSON.
const NAMES: [(Field, &[&str]); FIELDS] = [
    (F::First, &["ts", "firstSeen", "first", "t_first"]),
    (F::Last, &["te", "lastSeen", "last", "t_last"]),
    (F::Duration, &["td", "duration"]),
    (F::Source, &["sa", "srcAddr", "src4_addr", "src6_addr"]),
    (F::Destination, &["da", "dstAddr", "dst4_addr", "dst6_addr"]),
    (F::SourcePort, &["sp", "srcPort", "src_port"]),
    (F::DestinationPort, &["dp", "dstPort", "dst_port"]),
    (F::Protocol, &["pr", "proto"]),
    (F::Packets, &["ipkt", "packets", "inPackets", "in_packets"]),
    (F::Bytes, &["ibyt", "bytes", "inBytes", "in_bytes"]),
    (F::BackPackets, &["opkt", "outPackets", "out_packets"]),
    (F::BackBytes, &["obyt", "outBytes", "out_bytes"]),
    (F::SourceMac, &["ismc", "inSrcMac", "in_src_mac"]),
    (F::DestinationMac, &["odmc", "outDstMac", "out_dst_mac"]),
    (F::SourceVlan, &["svln", "srcVlan", "src_vlan"]),
    (F::DestinationVlan, &["dvln", "dstVlan", "dst_vlan"]),
    (F::NextHop, &["nh", "nextIP", "ip4_next_hop", "ip6_next_hop"]),
    (F::BgpNextHop, &["nhb", "bgpNextIP", "bgp4_next_hop", "bgp6_next_hop"]),
    (F::NextSystem, &["nextAS", "next_as"]),
    (F::PreviousSystem, &["prevAS", "prev_as"]),
    (F::Kind, &["type"]),
    (F::Sampled, &["sampled"]),
];

impl Field {
    /// The field of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, names)| names.contains(&name)).map(|(field, _)| *field)
    }

    /// What each record must have; of an end either the last moment or the duration.
    pub(super) const NEEDED: [Self; 6] = [F::First, F::Source, F::Destination, F::Protocol, F::Packets, F::Bytes];

    /// Its names, the oldest first.
    pub(super) fn names(self) -> &'static [&'static str] {
        NAMES.iter().find(|(field, _)| *field == self).map_or(&[], |(_, names)| names)
    }
}

/// The fields of a record, as they are written.
#[derive(Debug, Default)]
pub(super) struct Fields<'a>([Option<Cow<'a, str>>; FIELDS]);

impl<'a> Fields<'a> {
    /// Of a record that gives a field twice, the first holds.
    pub(super) fn put(&mut self, field: Field, text: impl Into<Cow<'a, str>>) {
        self.0[field as usize].get_or_insert_with(|| text.into());
    }

    pub(super) fn get(&self, field: Field) -> Option<&str> {
        self.0[field as usize].as_deref().map(str::trim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_has_its_place_and_no_name_means_two() {
        let mut all: Vec<&str> = NAMES.iter().flat_map(|(_, names)| *names).copied().collect();
        for (place, (field, names)) in NAMES.iter().enumerate() {
            assert_eq!(*field as usize, place);
            assert!(names.iter().all(|name| Field::named(name) == Some(*field)));
        }
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(Field::named("flows"), None);
    }
}
