//! The frame of the benchmark, and the streams of addresses that are written into it.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE, helpers::bpf_get_smp_processor_id, macros::map, maps::Array, programs::XdpContext,
};

/// Where the addresses stand in an Ethernet frame without tags.
const ADDRESSES_V4: usize = 26;
const ADDRESSES_V6: usize = 22;
const ETHERTYPE: usize = 12;
const HEADER: usize = 14;
/// Bytes that a driver writes to, at least: an IPv6 header behind an Ethernet header.
const FRAME_LEN: usize = 54;

/// CPUs with a cursor of their own.
const MAX_CPUS: u32 = 64;

/// Key: place in the stream. Value: source (upper half) and destination address, each in network byte order.
#[map]
static STREAM_V4: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Key: place in the stream. Value: source and destination address in network byte order; where the first word is zero, the second is
/// an element of the IPv4 stream.
#[map]
static STREAM_V6: Array<[u64; 4]> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Key: CPU. Value: where it is in the streams; a cache line each.
#[map]
static CURSORS: Array<Cursor> = Array::with_max_entries(MAX_CPUS, BPF_F_MMAPABLE);

/// What a CPU takes from the streams: elements `first` to `first + mask`, again and again.
#[repr(C, align(64))]
struct Cursor {
    at: u64,
    first: u64,
    /// Elements less one; they are a power of two.
    mask: u64,
}

#[inline(always)]
pub(super) fn write_v4(ctx: &XdpContext) {
    if let Some(addresses) = next(&STREAM_V4) {
        write(ctx, ADDRESSES_V4, *addresses);
    }
}

#[inline(always)]
pub(super) fn write_v6(ctx: &XdpContext) {
    if let Some(addresses) = next(&STREAM_V6) {
        write_words(ctx, addresses);
    }
}

#[inline(always)]
pub(super) fn write_mix(ctx: &XdpContext) {
    const ETHERTYPE_V4: u16 = 0x0800_u16.to_be();
    const ETHERTYPE_V6: u16 = 0x86dd_u16.to_be();
    // Version and length of a packet as long as the frame; then time to live and UDP.
    const HEADER_V4: [u32; 3] = [0x4500_0028_u32.to_be(), 0, 0x4011_0000_u32.to_be()];
    const HEADER_V6: [u32; 2] = [0x6000_0000_u32.to_be(), 0x0000_1140_u32.to_be()];
    let Some(addresses) = next(&STREAM_V6) else { return };
    if addresses[0] == 0 {
        write(ctx, ETHERTYPE, ETHERTYPE_V4);
        write(ctx, HEADER, HEADER_V4);
        write(ctx, ADDRESSES_V4, addresses[1]);
    } else {
        write(ctx, ETHERTYPE, ETHERTYPE_V6);
        write(ctx, HEADER, HEADER_V6);
        write_words(ctx, addresses);
    }
}

/// The next element for this CPU.
#[inline(always)]
fn next<T>(stream: &Array<T>) -> Option<&T> {
    // SAFETY: the helper takes nothing and cannot fail.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let cursor = CURSORS.get_ptr_mut(cpu & (MAX_CPUS - 1))?;
    // SAFETY: the pointer is into a live map value, which only this CPU writes to while programs run.
    let Cursor { at, first, mask } = unsafe { cursor.read() };
    // SAFETY: as above.
    unsafe { (*cursor).at = at + 1 };
    stream.get((first + (at & mask)) as u32)
}

/// Word by word: what is larger would be copied by a function.
#[inline(always)]
fn write_words(ctx: &XdpContext, [a, b, c, d]: &[u64; 4]) {
    write(ctx, ADDRESSES_V6, *a);
    write(ctx, ADDRESSES_V6 + 8, *b);
    write(ctx, ADDRESSES_V6 + 16, *c);
    write(ctx, ADDRESSES_V6 + 24, *d);
}

#[inline(always)]
fn write<T>(ctx: &XdpContext, offset: usize, value: T) {
    if ctx.data() + FRAME_LEN > ctx.data_end() {
        return;
    }
    // SAFETY: what is written ends within the bytes just checked to be there; an unaligned write needs no alignment.
    unsafe { ((ctx.data() + offset) as *mut T).write_unaligned(value) };
}
