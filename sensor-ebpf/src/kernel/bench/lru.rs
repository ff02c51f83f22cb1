//! What an entry of a kernel hash for the flow of each packet costs: what programs do that keep flows there.

use aya_ebpf::{bindings::BPF_ANY, macros::map, maps::LruHashMap};
use sensor_ebpf::packet::Window;

/// As many as the sensor remembers in the benchmark.
const FLOWS: u32 = 1 << 20;
/// Where both addresses of IPv4 stand behind an Ethernet header, and where the ports do.
const ADDRESSES: usize = 26;
const PORTS: usize = 34;

/// Key: addresses, ports, protocol. Value: packets and bytes.
#[map]
static FLOW: LruHashMap<[u64; 2], [u64; 4]> = LruHashMap::with_max_entries(FLOWS, 0);

/// Counts a packet in its flow.
#[inline(always)]
pub(super) fn count<W: Window>(window: &W) {
    let (Some([source, destination]), Some([ports])) = (window.words::<2>(ADDRESSES), window.words::<1>(PORTS)) else {
        return;
    };
    let key = [u64::from(source) << 32 | u64::from(destination), u64::from(ports) << 32 | 17];
    match FLOW.get_ptr_mut(&key) {
        // SAFETY: the pointer is to a live map value; the counts may lose what another CPU adds, which no benchmark needs.
        Some(value) => unsafe {
            (*value)[0] += 1;
            (*value)[1] += 60;
        },
        None => drop(FLOW.insert(&key, &[1, 60, 0, 0], BPF_ANY.into())),
    }
}
