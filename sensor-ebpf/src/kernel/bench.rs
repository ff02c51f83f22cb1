//! Programs of the benchmark, in an object of their own (feature `bench`): what drives a program with ever other addresses, and what
//! it is compared with.
//!
//! A driver writes the next addresses of a stream into the frame and tail-calls the program under test. The verdicts here are those of
//! a benchmark that only ever runs on frames of its own.

mod frame;
mod lru;
mod other_table;

use core::ptr::read_volatile;

use aya_ebpf::{
    bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS},
    helpers::bpf_redirect,
    macros::{map, xdp},
    maps::ProgramArray,
    programs::XdpContext,
};
use sensor_ebpf::account::account;

use self::{
    frame::{write_mix, write_v4, write_v6},
    other_table::{KernelLpm, NoTable, Over},
};
use super::{
    maps::Maps,
    window::{FrameWindow, SeveralBuffers},
};

/// Key: 0. Value: the program under test, of those that take several buffers.
#[map]
static UNDER_TEST_FRAGS: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Key: 0. Value: the program under test, of those that take one.
#[map]
static UNDER_TEST: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Set before loading: the interface that live frames are sent to.
#[unsafe(no_mangle)]
static INTERFACE: u32 = 0;

#[xdp(frags)]
fn drive_v4_frags(ctx: XdpContext) -> u32 {
    write_v4(&ctx);
    call(&UNDER_TEST_FRAGS, &ctx)
}

#[xdp(frags)]
fn drive_v6_frags(ctx: XdpContext) -> u32 {
    write_v6(&ctx);
    call(&UNDER_TEST_FRAGS, &ctx)
}

#[xdp(frags)]
fn drive_mix_frags(ctx: XdpContext) -> u32 {
    write_mix(&ctx);
    call(&UNDER_TEST_FRAGS, &ctx)
}

#[xdp]
fn drive_v4(ctx: XdpContext) -> u32 {
    write_v4(&ctx);
    call(&UNDER_TEST, &ctx)
}

#[xdp]
fn drive_v6(ctx: XdpContext) -> u32 {
    write_v6(&ctx);
    call(&UNDER_TEST, &ctx)
}

/// Sends live frames to the interface under test.
#[xdp(frags)]
fn send_v4(ctx: XdpContext) -> u32 {
    write_v4(&ctx);
    // SAFETY: a static is always readable; the kernel froze it before the first run.
    let interface = unsafe { read_volatile(&raw const INTERFACE) };
    // SAFETY: the helper takes numbers.
    unsafe { bpf_redirect(interface, 0) as u32 }
}

#[xdp(frags)]
fn null_frags(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

#[xdp]
fn null(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

#[xdp(frags)]
fn null_drop(_ctx: XdpContext) -> u32 {
    XDP_DROP
}

#[xdp(frags)]
fn parse_frags(ctx: XdpContext) -> u32 {
    let memory = SeveralBuffers(ctx.ctx);
    account(&FrameWindow::of_several_buffers(memory), &mut Over(NoTable, Maps::rx(memory)));
    XDP_PASS
}

#[xdp(frags)]
fn parse_drop(ctx: XdpContext) -> u32 {
    let memory = SeveralBuffers(ctx.ctx);
    account(&FrameWindow::of_several_buffers(memory), &mut Over(NoTable, Maps::rx(memory)));
    XDP_DROP
}

#[xdp(frags)]
fn kernel_lpm_frags(ctx: XdpContext) -> u32 {
    let memory = SeveralBuffers(ctx.ctx);
    account(&FrameWindow::of_several_buffers(memory), &mut Over(KernelLpm, Maps::rx(memory)));
    XDP_PASS
}

#[xdp(frags)]
fn kernel_lpm_drop(ctx: XdpContext) -> u32 {
    let memory = SeveralBuffers(ctx.ctx);
    account(&FrameWindow::of_several_buffers(memory), &mut Over(KernelLpm, Maps::rx(memory)));
    XDP_DROP
}

#[xdp(frags)]
fn lru_frags(ctx: XdpContext) -> u32 {
    let memory = SeveralBuffers(ctx.ctx);
    account(&FrameWindow::of_several_buffers(memory), &mut Over(NoTable, Maps::rx(memory)));
    lru::count(&FrameWindow::of_several_buffers(memory));
    XDP_PASS
}

#[inline(always)]
fn call(programs: &ProgramArray, ctx: &XdpContext) -> u32 {
    // SAFETY: the callee gets this program's own context.
    unsafe { programs.tail_call(ctx, 0) };
    XDP_ABORTED
}
