//! Entry points and the one place that knows verdicts.

#[cfg(feature = "bench")]
mod bench;
mod look;
mod maps;
mod window;

use aya_ebpf::{
    EbpfContext,
    bindings::{
        TC_ACT_UNSPEC,
        xdp_action::{XDP_DROP, XDP_PASS},
    },
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use aya_log_ebpf::debug;
use sensor_ebpf::{
    abi::{Cell, Outcome, Unparsed},
    account::account,
    packet::Window,
};

use self::{
    look::Look,
    maps::Maps,
    window::{FrameWindow, OneBuffer, SeveralBuffers, SocketBuffer, received_on},
};

/// A sensor in the path of a router never touches a packet.
const INLINE: u32 = XDP_PASS;
/// Packets from a tap or SPAN port end here: the stack need not look at them.
const MIRROR: u32 = XDP_DROP;
/// Leaves the decision to the programs behind this one.
const EGRESS: i32 = TC_ACT_UNSPEC;

/// Counts what an inline interface receives, frames of several buffers too (Linux 5.18).
#[xdp(frags)]
fn sensor_inline_frags(ctx: XdpContext) -> u32 {
    let memory = SeveralBuffers(ctx.ctx);
    count(&ctx, &FrameWindow::of_several_buffers(memory), Maps::rx(memory));
    INLINE
}

/// Counts what an inline interface receives, for drivers and kernels without multi-buffer frames.
#[xdp]
fn sensor_inline(ctx: XdpContext) -> u32 {
    let memory = OneBuffer(ctx.ctx);
    count(&ctx, &FrameWindow::of_one_buffer(memory), Maps::rx(memory));
    INLINE
}

/// Counts what a mirror port delivers, frames of several buffers too (Linux 5.18).
#[xdp(frags)]
fn sensor_mirror_frags(ctx: XdpContext) -> u32 {
    let memory = SeveralBuffers(ctx.ctx);
    count(&ctx, &FrameWindow::of_several_buffers(memory), Maps::rx(memory));
    MIRROR
}

/// Counts what a mirror port delivers, for drivers and kernels without multi-buffer frames.
#[xdp]
fn sensor_mirror(ctx: XdpContext) -> u32 {
    let memory = OneBuffer(ctx.ctx);
    count(&ctx, &FrameWindow::of_one_buffer(memory), Maps::rx(memory));
    MIRROR
}

/// Counts what an inline interface sends.
#[classifier]
fn sensor_egress(ctx: TcContext) -> i32 {
    let memory = SocketBuffer(ctx.skb.skb);
    count(&ctx, &FrameWindow::of_socket_buffer(memory), Maps::tx(memory, received_on(memory)));
    EGRESS
}

#[inline(always)]
fn count<C: EbpfContext, W: Window, M: Look>(ctx: &C, window: &W, mut maps: Maps<M>) {
    const NOT_IP: Cell = Cell::outcome(Outcome::Unparsed(Unparsed::NotIp));
    let cell = account(window, &mut maps);
    if cell.is_unparsed() && cell.index() != NOT_IP.index() {
        debug!(ctx, "unparsed frame: ledger cell {}", cell.index());
    }
}

/// The library has no panic: this satisfies the compiler and is removed by the linker.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel offers its GPL-only helpers to programs under a compatible licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
