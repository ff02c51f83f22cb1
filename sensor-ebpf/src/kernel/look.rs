//! The long part of a packet's way as functions of their own, which the verifier checks once and for any packet: in every place from which they are
//! called it would have to walk them anew.

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use sensor_ebpf::{
    abi::{Neighbour, Side},
    state::{Rows, Size, Watching},
    watch::{self, Watched, left},
};

use super::{
    maps::{Labels, Maps},
    window::{FrameWindow, OneBuffer, SeveralBuffers, SocketBuffer},
};

/// Memory of a frame whose packet can be watched.
pub(in crate::kernel) trait Look {
    /// See [`watch::bill`].
    fn bill(&self, watched: &mut Watched) -> u32;
    /// See [`watch::follow`].
    fn follow(&self, watched: &mut Watched, side: Side, left: u32);
}

/// The functions of one kind of memory: what it is, its context, the window on it, its maps, and the names of the functions, which the object's symbol
/// table holds apart.
macro_rules! look {
    ($memory:ident, $context:ty, $window:ident, $maps:expr, $bill:ident, $guess:ident, $look:ident, $tell:ident) => {
        impl Look for $memory {
            #[inline(always)]
            fn bill(&self, watched: &mut Watched) -> u32 {
                $bill(self.0, watched)
            }

            #[inline(always)]
            fn follow(&self, watched: &mut Watched, side: Side, left: u32) {
                if counts_far_ends() {
                    label(watched, side as u32);
                }
                if left == left::GUESS {
                    $guess(self.0, watched);
                }
                let reasons = $look(self.0, watched);
                if reasons != 0 {
                    $tell(self.0, watched, reasons);
                }
            }
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $bill(context: *mut $context, watched: *mut Watched) -> u32 {
            let Some(watched) = own(watched) else { return 0 };
            watch::bill(&FrameWindow::$window($memory(context)), &mut $maps($memory(context)), watched)
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $guess(context: *mut $context, watched: *mut Watched) -> u32 {
            let Some(watched) = own(watched) else { return 0 };
            watch::guess(&FrameWindow::$window($memory(context)), watched);
            0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $look(context: *mut $context, watched: *mut Watched) -> u32 {
            let Some(watched) = own(watched) else { return 0 };
            watch::look(&FrameWindow::$window($memory(context)), &mut $maps($memory(context)), watched)
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $tell(context: *mut $context, watched: *mut Watched, reasons: u32) -> u32 {
            let Some(watched) = own(watched) else { return 0 };
            watch::tell(&FrameWindow::$window($memory(context)), &mut $maps($memory(context)), watched, reasons);
            0
        }
    };
}

/// The packet that a function was handed.
#[inline(always)]
fn own<'a>(watched: *mut Watched) -> Option<&'a mut Watched> {
    // SAFETY: whoever calls hands over a packet of its own, which outlives the call; the verifier takes the pointer for one that may be null.
    unsafe { watched.as_mut() }
}

/// Whether rows count what far ends are.
#[inline(always)]
fn counts_far_ends() -> bool {
    Maps::rx(NoMemory).counterpart_rows() != 0
}

/// The maps of what leaves, for functions that are told what was counted.
#[inline(always)]
fn sending(memory: SocketBuffer) -> Maps<SocketBuffer> {
    Maps::tx(memory, 0)
}

look!(OneBuffer, xdp_md, of_one_buffer, Maps::rx, bill_one_buffer, guess_one_buffer, look_one_buffer, tell_one_buffer);
look!(
    SeveralBuffers,
    xdp_md,
    of_several_buffers,
    Maps::rx,
    bill_several_buffers,
    guess_several_buffers,
    look_several_buffers,
    tell_several_buffers
);
look!(
    SocketBuffer,
    __sk_buff,
    of_socket_buffer,
    sending,
    bill_socket_buffer,
    guess_socket_buffer,
    look_socket_buffer,
    tell_socket_buffer
);

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

/// See [`watch::add_elsewhere`], of the breakdown.
#[unsafe(no_mangle)]
#[inline(never)]
pub(in crate::kernel) extern "C" fn add_row(key: u32, side: u32, packets: u32, bytes: u32, frame_bytes: u32) -> u32 {
    watch::add_elsewhere(&mut Maps::of_side(side), Rows::Breakdown, key, Size { packets, bytes, frame_bytes });
    0
}

/// The same of counterparts.
#[unsafe(no_mangle)]
#[inline(never)]
pub(in crate::kernel) extern "C" fn add_counterpart(
    key: u32,
    side: u32,
    packets: u32,
    bytes: u32,
    frame_bytes: u32,
) -> u32 {
    watch::add_elsewhere(&mut Maps::of_side(side), Rows::Counterparts, key, Size { packets, bytes, frame_bytes });
    0
}

/// See [`watch::label`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn label(watched: *mut Watched, side: u32) -> u32 {
    let Some(watched) = own(watched) else { return 0 };
    watch::label(&mut Maps::of_side(side), watched);
    0
}

/// See [`watch::find_label`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(in crate::kernel) extern "C" fn find_label(leading: u64, trailing: u64, is_v4: u32, labelling: u32) -> u32 {
    watch::find_label(&Labels, [leading, trailing], is_v4 != 0, labelling)
}

/// No frame at all.
pub(in crate::kernel) struct NoMemory;

impl Look for NoMemory {
    #[inline(always)]
    fn bill(&self, _watched: &mut Watched) -> u32 {
        left::NOTHING
    }

    #[inline(always)]
    fn follow(&self, _watched: &mut Watched, _side: Side, _left: u32) {}
}

impl Maps<NoMemory> {
    /// For what needs no frame.
    #[inline(always)]
    fn of_side(side: u32) -> Self {
        if side == Side::Tx as u32 { Self::tx(NoMemory, 0) } else { Self::rx(NoMemory) }
    }
}
