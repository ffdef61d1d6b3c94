//! Bytes to which another process can write while they are read.
//!
//! Bytes in shared memory can change between a check and their use. So [`SharedBytes`] returns only copies, not references, and each copy
//! reads every byte once.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Memory to which another process may write at any time. Its content can only be copied.
#[derive(Debug, Clone, Copy)]
pub struct SharedBytes<'a> {
    start: *const u8,
    len: usize,
    memory: PhantomData<&'a [u8]>,
}

impl<'a> SharedBytes<'a> {
    /// Creates a value for the `len` bytes that begin at `start`.
    ///
    /// # Safety
    /// The bytes must be readable for all of `'a`. Their content may change at any time if the memory is not a Rust allocation but, for
    /// example, a mapping shared with another process.
    pub const unsafe fn new(start: *const u8, len: usize) -> Self {
        Self { start, len, memory: PhantomData }
    }

    /// Returns the number of bytes.
    pub const fn len(self) -> usize {
        self.len
    }

    /// Whether the number of bytes is 0.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Returns the first `len` bytes, or all bytes if there are fewer, and the remaining bytes.
    pub fn split_at_most(self, len: usize) -> (Self, Self) {
        let len = len.min(self.len);
        // SAFETY: both parts are within these bytes, and the caller of `new` guarantees that they are readable.
        unsafe { (Self::new(self.start, len), Self::new(self.start.add(len), self.len - len)) }
    }

    /// Returns a copy of the value at the start; `None` if there are not enough bytes.
    ///
    /// # Safety
    /// Every byte pattern must be a valid `T`, which is true for integers and structures of integers.
    pub unsafe fn read<T: Copy>(self) -> Option<T> {
        if self.len < size_of::<T>() {
            return None;
        }
        let mut copy = MaybeUninit::<T>::uninit();
        // SAFETY: all bytes of the `T` are written, and the caller guarantees that they are valid.
        unsafe {
            self.split_at_most(size_of::<T>()).0.copy_to(copy.as_mut_ptr().cast());
            Some(copy.assume_init())
        }
    }

    /// Appends a copy of all bytes.
    pub fn append_to(self, copy: &mut Vec<u8>) {
        copy.reserve(self.len);
        // SAFETY: `reserve` allocated memory for the bytes, and all of them are written.
        unsafe {
            self.copy_to(copy.as_mut_ptr().add(copy.len()));
            copy.set_len(copy.len() + self.len);
        }
    }

    /// Copies all bytes.
    ///
    /// # Safety
    /// There must be memory for the same number of bytes at `target`.
    unsafe fn copy_to(self, target: *mut u8) {
        /// A value that does not have to be aligned.
        #[repr(C, packed)]
        #[derive(Clone, Copy)]
        struct Word<T: Copy>(T);

        /// Copies the bytes of a `T` at the given position.
        unsafe fn step<T: Copy>(from: *const u8, to: *mut u8, at: usize) {
            // SAFETY: the caller has checked the bounds. Another process may write to `from` at the same time. `copy_nonoverlapping` would
            // be wrong, because the compiler may read memory twice if it assumes that the memory does not change. A volatile read of memory
            // that is not a Rust allocation is one machine load, which returns the old or the new value for each byte.
            unsafe { to.add(at).cast::<Word<T>>().write(from.add(at).cast::<Word<T>>().read_volatile()) };
        }

        let (from, to, len) = (self.start, target, self.len);
        let mut at = 0;
        // SAFETY: all steps are within the `len` bytes at `from`, which the caller of `new` guarantees, and the `len` bytes at `to`.
        unsafe {
            while len - at >= 32 {
                step::<u64>(from, to, at);
                step::<u64>(from, to, at + 8);
                step::<u64>(from, to, at + 16);
                step::<u64>(from, to, at + 24);
                at += 32;
            }
            while len - at >= 8 {
                step::<u64>(from, to, at);
                at += 8;
            }
            while at < len {
                step::<u8>(from, to, at);
                at += 1;
            }
        }
    }
}

/// Memory that does not change while it is borrowed.
impl<'a> From<&'a [u8]> for SharedBytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        // SAFETY: a slice is readable for as long as it is borrowed.
        unsafe { Self::new(bytes.as_ptr(), bytes.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_every_alignment_is_copied_as_it_is() {
        let memory: Vec<u8> = (0..64).collect();
        for start in 0..16 {
            for len in 0..40 {
                let bytes = SharedBytes::from(&memory[start..start + len]);
                let mut copy = vec![7];
                bytes.append_to(&mut copy);
                assert_eq!(copy[0], 7);
                assert_eq!(copy[1..], memory[start..start + len]);
                // SAFETY: every byte pattern is a valid byte array.
                let first = unsafe { bytes.read::<[u8; 5]>() };
                assert_eq!(first.as_ref(), memory[start..start + len].first_chunk());
            }
        }
    }

    #[test]
    fn nothing_is_read_behind_the_end() {
        let bytes = SharedBytes::from([1, 2, 3].as_slice());
        // SAFETY: every byte pattern is a valid integer.
        assert!(unsafe { bytes.read::<u32>() }.is_none());
        for len in [3, 4] {
            let (start, rest) = bytes.split_at_most(len);
            assert_eq!((start.len(), rest.is_empty()), (3, true));
        }
    }
}
