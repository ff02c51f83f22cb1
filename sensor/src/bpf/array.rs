//! The unsafe door to map memory: flat BPF arrays mapped into this process.

use std::{
    io,
    marker::PhantomData,
    mem::size_of,
    os::fd::BorrowedFd,
    sync::atomic::{AtomicU64, Ordering},
};

use bytemuck::Pod;

use super::sys::Mapping;

/// A `BPF_F_MMAPABLE` array of `T`, shared with the programs that count in it.
#[derive(Debug)]
pub(crate) struct MappedArray<T> {
    mapping: Mapping,
    len: usize,
    of: PhantomData<T>,
}

impl<T: Pod> MappedArray<T> {
    /// Words of one value: the kernel pads each to 8 bytes, and ours are multiples of that.
    const WORDS: usize = {
        assert!(size_of::<T>().is_multiple_of(size_of::<u64>()) && align_of::<T>().is_multiple_of(align_of::<u64>()));
        size_of::<T>() / size_of::<u64>()
    };

    /// Maps the `len` values of the array behind `fd`.
    pub(crate) fn new(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        Ok(Self { mapping: Mapping::new(fd, len * size_of::<T>())?, len, of: PhantomData })
    }

    /// The value at `index`, each of its words read whole; words may be of different moments. `None` beyond the end.
    pub(crate) fn load(&self, index: usize) -> Option<T> {
        let first = self.first_word(index)?;
        let mut value = T::zeroed();
        for (offset, word) in
            bytemuck::cast_slice_mut::<T, u64>(std::slice::from_mut(&mut value)).iter_mut().enumerate()
        {
            // SAFETY: `first_word` checked that all words of the value lie in the mapping, which is page-aligned.
            *word = unsafe { AtomicU64::from_ptr(first.add(offset)) }.load(Ordering::Relaxed);
        }
        Some(value)
    }

    /// The words of all values; each is to be read whole, and words may be of different moments.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: so many words lie in the mapping, which is page-aligned and lives as long as this value; an atomic may be changed by
        // whoever shares it.
        unsafe { std::slice::from_raw_parts(self.mapping.start().cast::<AtomicU64>(), self.len * Self::WORDS) }
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Stores `values` from `index` on, word by word. Returns false, and stores nothing, where they do not all fit.
    #[must_use]
    pub(crate) fn store(&self, index: usize, values: &[T]) -> bool {
        let Some(end) = index.checked_add(values.len()) else { return false };
        if values.is_empty() {
            return end <= self.len;
        }
        let (Some(first), Some(_)) = (self.first_word(index), self.first_word(end - 1)) else { return false };
        for (offset, word) in bytemuck::cast_slice::<T, u64>(values).iter().enumerate() {
            // SAFETY: the first and the last value were checked to lie in the mapping, which is page-aligned.
            unsafe { AtomicU64::from_ptr(first.add(offset)) }.store(*word, Ordering::Relaxed);
        }
        true
    }

    /// The same for values that are made one by one: returns false where they do not all fit, after storing those that do.
    #[must_use]
    pub(crate) fn fill(&self, index: usize, mut values: impl Iterator<Item = T>) -> bool {
        (index..).zip(&mut values).all(|(index, value)| self.store(index, &[value]))
    }

    /// Stores the first word of value `index` after everything stored before it.
    #[must_use]
    pub(crate) fn publish_word(&self, index: usize, word: u64) -> bool {
        let Some(first) = self.first_word(index) else { return false };
        // SAFETY: `first_word` checked that the word lies in the mapping, which is page-aligned.
        unsafe { AtomicU64::from_ptr(first) }.store(word, Ordering::Release);
        true
    }

    /// Stores word `at` of value `index`.
    #[must_use]
    pub(crate) fn store_word(&self, index: usize, at: usize, word: u64) -> bool {
        let Some(first) = self.first_word(index).filter(|_| at < Self::WORDS) else { return false };
        // SAFETY: the word is one of the value's, which `first_word` checked to lie in the mapping, which is page-aligned.
        unsafe { AtomicU64::from_ptr(first.add(at)) }.store(word, Ordering::Release);
        true
    }

    fn first_word(&self, index: usize) -> Option<*mut u64> {
        if index >= self.len {
            return None;
        }
        // SAFETY: the offset stays within the mapping, as just checked.
        Some(unsafe { self.mapping.start().cast::<u64>().add(index * Self::WORDS) })
    }
}
