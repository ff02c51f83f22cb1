//! Where a packet is kept while it is followed.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use sensor_ebpf::watch::Watched;

/// A packet on its way: not on the stack, which has no room for it.
#[map]
static WATCHED: PerCpuArray<Watched> = PerCpuArray::with_max_entries(1, 0);

/// Where this CPU keeps the packet that it is at.
#[inline(always)]
pub(in crate::kernel::maps) fn place<'a>() -> Option<&'a mut Watched> {
    // SAFETY: the pointer is to this CPU's own map value, which nothing else uses while the program runs.
    WATCHED.get_ptr_mut(0).map(|watched| unsafe { &mut *watched })
}
