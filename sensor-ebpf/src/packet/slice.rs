//! The window over captured bytes: replay, tests, fuzzers.

use super::{MAX_OFFSET, Window};

/// Captured bytes of a frame, and how long it was on the wire.
#[derive(Clone, Copy, Debug)]
pub struct SliceWindow<'a> {
    bytes: &'a [u8],
    wire_len: u32,
    frame_len: u32,
}

impl<'a> SliceWindow<'a> {
    /// A frame captured whole.
    pub const fn whole(bytes: &'a [u8]) -> Self {
        Self { bytes, wire_len: bytes.len() as u32, frame_len: bytes.len() as u32 }
    }

    /// A frame of which `bytes` were captured, `wire_len` bytes long from the first of them, counted as `frame_len` bytes.
    pub const fn captured(bytes: &'a [u8], wire_len: u32, frame_len: u32) -> Self {
        Self { bytes, wire_len, frame_len }
    }
}

impl Window for SliceWindow<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if offset > MAX_OFFSET {
            return None;
        }
        self.bytes.get(offset..)?.first_chunk().copied()
    }

    #[inline(always)]
    fn wire_len(&self) -> u32 {
        self.wire_len
    }

    #[inline(always)]
    fn frame_len(&self) -> u32 {
        self.frame_len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_end_with_the_bytes() {
        let window = SliceWindow::captured(&[1, 2, 3, 4], 60, 46);
        assert_eq!(window.read::<4>(0), Some([1, 2, 3, 4]));
        assert_eq!(window.read::<2>(2), Some([3, 4]));
        assert_eq!(window.read::<2>(3), None);
        assert_eq!(window.read::<0>(4), Some([]));
        assert_eq!(window.read::<1>(5), None);
        assert_eq!((window.wire_len(), window.frame_len()), (60, 46));
    }

    #[test]
    fn the_slice_reaches_no_further_than_the_kernel() {
        let bytes = [0; MAX_OFFSET + 8];
        let window = SliceWindow::whole(&bytes);
        assert!(window.read::<4>(MAX_OFFSET).is_some());
        assert!(window.read::<4>(MAX_OFFSET + 1).is_none());
    }
}
