//! The window over captured bytes: replay, tests, fuzzers.

use super::{Lengths, MAX_OFFSET, Window};
use crate::abi::MAX_SAMPLE;

/// Captured bytes of a frame, and how long it was on the wire.
#[derive(Clone, Copy, Debug)]
pub struct SliceWindow<'a> {
    bytes: &'a [u8],
    lengths: Lengths,
}

impl<'a> SliceWindow<'a> {
    /// A frame captured whole.
    pub const fn whole(bytes: &'a [u8]) -> Self {
        Self::captured(bytes, bytes.len() as u32, bytes.len() as u32)
    }

    /// A frame of which `bytes` were captured, `wire_len` bytes long from the first of them, counted as `frame_len` bytes.
    pub const fn captured(bytes: &'a [u8], wire_len: u32, frame_len: u32) -> Self {
        Self { bytes, lengths: Lengths { wire: wire_len, frame: frame_len } }
    }

    /// What begins at `offset`.
    #[inline(always)]
    fn behind(&self, offset: usize) -> Option<&'a [u8]> {
        if offset > MAX_OFFSET { None } else { self.bytes.get(offset..) }
    }
}

impl Window for SliceWindow<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.behind(offset)?.first_chunk().copied()
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        let words: &[[u8; 4]; N] = self.behind(offset)?.as_chunks().0.first_chunk()?;
        Some(words.map(u32::from_be_bytes))
    }

    #[inline(always)]
    fn double_words<const N: usize>(&self, offset: usize) -> Option<[u64; N]> {
        let words: &[[u8; 8]; N] = self.behind(offset)?.as_chunks().0.first_chunk()?;
        Some(words.map(u64::from_be_bytes))
    }

    #[inline(always)]
    fn lengths(&self, _claimed: u32) -> Lengths {
        self.lengths
    }

    #[inline(always)]
    fn reach(&self) -> u32 {
        self.bytes.len() as u32
    }

    fn copy(&self, offset: usize, len: u32, to: &mut [u8; MAX_SAMPLE]) -> bool {
        let bytes = offset.checked_add(len as usize).and_then(|end| self.bytes.get(offset..end));
        let (Some(bytes), Some(to)) = (bytes, to.get_mut(..len as usize)) else { return false };
        to.copy_from_slice(bytes);
        true
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
        assert_eq!(window.lengths(0), Lengths { wire: 60, frame: 46 });
        assert_eq!((window.words(0), window.words::<2>(0)), (Some([0x0102_0304]), None));
        assert_eq!(window.double_words::<1>(0), None);
    }

    #[test]
    fn the_slice_reaches_no_further_than_the_kernel() {
        let bytes = [0; MAX_OFFSET + 8];
        let window = SliceWindow::whole(&bytes);
        assert!(window.read::<4>(MAX_OFFSET).is_some());
        assert!(window.read::<4>(MAX_OFFSET + 1).is_none());
    }
}
