//! How much is remembered, and what is lost beyond that.

/// IPv4 addresses that bitmaps have room for: 65,536 of /24, some 10 MB.
const ACTIVITY_ADDRESSES: usize = 1 << 24;
/// Further IPv4 addresses, one by one.
const MORE_ACTIVITY_ADDRESSES: usize = 1 << 16;
/// IPv6 /64s.
const ACTIVITY_PREFIXES_V6: usize = 1 << 18;
/// Services; with half a kilobyte of sketch each 45 MB at most.
const SERVICES: usize = 1 << 16;
/// Services of one address. A real host has a few dozen; what answers on every port is a tar pit or a filter in front of many.
const SERVICES_OF_ADDRESS: usize = 256;
/// Pairs of a watched address and a suspicious class with its evidence.
const CLASS_HOSTS: usize = 1 << 16;
/// Flows heard both ways of which it is remembered what they count as.
const FLOWS: usize = 1 << 17;
/// Events of one interval.
const EVENTS: usize = 1 << 10;

/// How much is remembered. Zero is allowed, and remembers nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `max_activity_addresses`: IPv4 addresses kept in bitmaps, in whole /24s.
    pub activity_addresses: usize,
    /// IPv4 addresses beyond these.
    pub more_activity_addresses: usize,
    /// IPv6 /64s.
    pub activity_prefixes_v6: usize,
    /// Services.
    pub services: usize,
    /// Services of one address.
    pub services_of_address: usize,
    /// Pairs of a watched address and a suspicious class with its evidence.
    pub class_hosts: usize,
    /// Flows of which it is remembered what they count as; at least two.
    pub flows: usize,
    /// Events of one interval.
    pub events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            activity_addresses: ACTIVITY_ADDRESSES,
            more_activity_addresses: MORE_ACTIVITY_ADDRESSES,
            activity_prefixes_v6: ACTIVITY_PREFIXES_V6,
            services: SERVICES,
            services_of_address: SERVICES_OF_ADDRESS,
            class_hosts: CLASS_HOSTS,
            flows: FLOWS,
            events: EVENTS,
        }
    }
}

/// What was not remembered, since the start. What was refused counts each time it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Sightings of networks that have no name.
    pub unnamed: u64,
    /// Active addresses and /64s without room.
    pub addresses: u64,
    /// Answers of services without room.
    pub services: u64,
    /// Answers of services on addresses that have too many.
    pub crowded_services: u64,
    /// Flows of suspicious classes on addresses without room.
    pub class_hosts: u64,
    /// Flows whose class says nothing of their service, which has too many classes.
    pub votes: u64,
    /// Events beyond those of their interval.
    pub events: u64,
    /// Addresses, services and pairs that were silent for long and made room: they are news when they come back.
    pub forgotten: u64,
    /// Flows that made room for others, over or not: one that goes on counts again.
    pub forgotten_flows: u64,
}
