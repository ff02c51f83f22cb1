//! The long part of a packet's way as functions of their own, which the verifier checks once and for any packet: in every place from which they are
//! called it would have to walk them anew.

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use sensor_ebpf::{
    abi::{Neighbour, RowKey, Side},
    state::{Size, Watching},
    watch::{self, Watched, left},
};

use super::{
    maps::Maps,
    window::{FrameWindow, OneBuffer, SeveralBuffers, SocketBuffer},
};

/// Memory of a frame whose packet can be watched.
pub(in crate::kernel) trait Look {
    /// See [`watch::watch`].
    fn watch(&self, watched: &mut Watched);
}

impl Look for OneBuffer {
    #[inline(always)]
    fn watch(&self, watched: &mut Watched) {
        let left = bill_one_buffer(self.0, watched);
        if left == left::NOTHING {
            return;
        }
        if left == left::GUESS {
            guess_one_buffer(self.0, watched);
        }
        let reasons = look_one_buffer(self.0, watched);
        if reasons != 0 {
            tell_one_buffer(self.0, watched, reasons);
        }
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bill_one_buffer(context: *mut xdp_md, watched: *mut Watched) -> u32 {
    let memory = OneBuffer(context);
    // SAFETY: whoever calls hands over a packet of its own, which outlives the call; the verifier takes the pointer for one that may be null.
    let Some(watched) = (unsafe { watched.as_mut() }) else { return 0 };
    watch::bill(&FrameWindow::of_one_buffer(memory), &mut Maps::rx(memory), watched)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn guess_one_buffer(context: *mut xdp_md, watched: *mut Watched) -> u32 {
    let memory = OneBuffer(context);
    // SAFETY: as above.
    let Some(watched) = (unsafe { watched.as_mut() }) else { return 0 };
    watch::guess(&FrameWindow::of_one_buffer(memory), watched);
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn look_one_buffer(context: *mut xdp_md, watched: *const Watched) -> u32 {
    let memory = OneBuffer(context);
    // SAFETY: as above.
    let Some(watched) = (unsafe { watched.as_ref() }) else { return 0 };
    watch::look(&FrameWindow::of_one_buffer(memory), &mut Maps::rx(memory), watched)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tell_one_buffer(context: *mut xdp_md, watched: *const Watched, reasons: u32) -> u32 {
    let memory = OneBuffer(context);
    // SAFETY: as above.
    let Some(watched) = (unsafe { watched.as_ref() }) else { return 0 };
    watch::tell(&FrameWindow::of_one_buffer(memory), &mut Maps::rx(memory), watched, reasons);
    0
}

impl Look for SeveralBuffers {
    #[inline(always)]
    fn watch(&self, watched: &mut Watched) {
        let left = bill_several_buffers(self.0, watched);
        if left == left::NOTHING {
            return;
        }
        if left == left::GUESS {
            guess_several_buffers(self.0, watched);
        }
        let reasons = look_several_buffers(self.0, watched);
        if reasons != 0 {
            tell_several_buffers(self.0, watched, reasons);
        }
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bill_several_buffers(context: *mut xdp_md, watched: *mut Watched) -> u32 {
    let memory = SeveralBuffers(context);
    // SAFETY: whoever calls hands over a packet of its own, which outlives the call; the verifier takes the pointer for one that may be null.
    let Some(watched) = (unsafe { watched.as_mut() }) else { return 0 };
    watch::bill(&FrameWindow::of_several_buffers(memory), &mut Maps::rx(memory), watched)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn guess_several_buffers(context: *mut xdp_md, watched: *mut Watched) -> u32 {
    let memory = SeveralBuffers(context);
    // SAFETY: as above.
    let Some(watched) = (unsafe { watched.as_mut() }) else { return 0 };
    watch::guess(&FrameWindow::of_several_buffers(memory), watched);
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn look_several_buffers(context: *mut xdp_md, watched: *const Watched) -> u32 {
    let memory = SeveralBuffers(context);
    // SAFETY: as above.
    let Some(watched) = (unsafe { watched.as_ref() }) else { return 0 };
    watch::look(&FrameWindow::of_several_buffers(memory), &mut Maps::rx(memory), watched)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tell_several_buffers(context: *mut xdp_md, watched: *const Watched, reasons: u32) -> u32 {
    let memory = SeveralBuffers(context);
    // SAFETY: as above.
    let Some(watched) = (unsafe { watched.as_ref() }) else { return 0 };
    watch::tell(&FrameWindow::of_several_buffers(memory), &mut Maps::rx(memory), watched, reasons);
    0
}

impl Look for SocketBuffer {
    #[inline(always)]
    fn watch(&self, watched: &mut Watched) {
        let left = bill_socket_buffer(self.0, watched);
        if left == left::NOTHING {
            return;
        }
        if left == left::GUESS {
            guess_socket_buffer(self.0, watched);
        }
        let reasons = look_socket_buffer(self.0, watched);
        if reasons != 0 {
            tell_socket_buffer(self.0, watched, reasons);
        }
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bill_socket_buffer(context: *mut __sk_buff, watched: *mut Watched) -> u32 {
    let memory = SocketBuffer(context);
    // SAFETY: whoever calls hands over a packet of its own, which outlives the call; the verifier takes the pointer for one that may be null.
    let Some(watched) = (unsafe { watched.as_mut() }) else { return 0 };
    watch::bill(&FrameWindow::of_socket_buffer(memory), &mut Maps::tx(memory, 0), watched)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn guess_socket_buffer(context: *mut __sk_buff, watched: *mut Watched) -> u32 {
    let memory = SocketBuffer(context);
    // SAFETY: as above.
    let Some(watched) = (unsafe { watched.as_mut() }) else { return 0 };
    watch::guess(&FrameWindow::of_socket_buffer(memory), watched);
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn look_socket_buffer(context: *mut __sk_buff, watched: *const Watched) -> u32 {
    let memory = SocketBuffer(context);
    // SAFETY: as above.
    let Some(watched) = (unsafe { watched.as_ref() }) else { return 0 };
    watch::look(&FrameWindow::of_socket_buffer(memory), &mut Maps::tx(memory, 0), watched)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tell_socket_buffer(context: *mut __sk_buff, watched: *const Watched, reasons: u32) -> u32 {
    let memory = SocketBuffer(context);
    // SAFETY: as above.
    let Some(watched) = (unsafe { watched.as_ref() }) else { return 0 };
    watch::tell(&FrameWindow::of_socket_buffer(memory), &mut Maps::tx(memory, 0), watched, reasons);
    0
}

/// See [`watch::find_neighbour`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(in crate::kernel) extern "C" fn find_neighbour(
    address: u64,
    side: u32,
    packets: u32,
    bytes: u32,
    frame_bytes: u32,
) -> u32 {
    let mut maps = Maps::of_side(side);
    let neighbour = Neighbour { address, interface: u64::from(maps.interface()) + 1 };
    watch::find_neighbour(&mut maps, neighbour, Size { packets, bytes, frame_bytes })
}

/// See [`watch::find_row`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(in crate::kernel) extern "C" fn find_row(key: u32, side: u32, packets: u32, bytes: u32, frame_bytes: u32) -> u32 {
    let mut maps = Maps::of_side(side);
    match RowKey::from_word(key) {
        Some(key) => watch::find_row(&mut maps, key, Size { packets, bytes, frame_bytes }),
        None => 0,
    }
}

/// No frame at all.
pub(in crate::kernel) struct NoMemory;

impl Look for NoMemory {
    #[inline(always)]
    fn watch(&self, _watched: &mut Watched) {}
}

impl Maps<NoMemory> {
    /// For what needs no frame.
    #[inline(always)]
    fn of_side(side: u32) -> Self {
        if side == Side::Tx as u32 { Self::tx(NoMemory, 0) } else { Self::rx(NoMemory) }
    }
}
