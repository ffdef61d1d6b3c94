//! Bytes that another process can write while they are read.
//!
//! Bytes in shared memory can change between a check and their use. So [`SharedBytes`] returns no reference, only copies, and each
//! copy reads a byte once.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Memory that another process may write at any time; its content can only be copied.
#[derive(Debug, Clone, Copy)]
pub struct SharedBytes<'a> {
    start: *const u8,
    len: usize,
    memory: PhantomData<&'a [u8]>,
}

impl<'a> SharedBytes<'a> {
    /// The `len` bytes from `start` on.
    ///
    /// # Safety
    /// The bytes can be read for all of `'a`. Their content may change at any time if the memory is not an allocation of Rust's
    /// but, for example, a mapping that another process shares.
    pub const unsafe fn new(start: *const u8, len: usize) -> Self {
        Self { start, len, memory: PhantomData }
    }

    /// Number of bytes.
    pub const fn len(self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The first `len` bytes, or all if there are fewer, and the bytes after them.
    pub fn split_at_most(self, len: usize) -> (Self, Self) {
        let len = len.min(self.len);
        // SAFETY: both parts lie within these bytes, which the caller of `new` guarantees.
        unsafe { (Self::new(self.start, len), Self::new(self.start.add(len), self.len - len)) }
    }

    /// A copy of the value at the start; `None` if there are fewer bytes.
    ///
    /// # Safety
    /// Any bytes must be a valid `T`, as for integers and structures of integers.
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
        // SAFETY: `reserve` made room for the bytes, and all of them are written.
        unsafe {
            self.copy_to(copy.as_mut_ptr().add(copy.len()));
            copy.set_len(copy.len() + self.len);
        }
    }

    /// Copies all bytes.
    ///
    /// # Safety
    /// There is room for as many bytes at `target`.
    unsafe fn copy_to(self, target: *mut u8) {
        /// Bytes that need not be aligned.
        #[repr(C, packed)]
        #[derive(Clone, Copy)]
        struct Word<T: Copy>(T);

        /// Copies the bytes of a `T` at a position.
        unsafe fn step<T: Copy>(from: *const u8, to: *mut u8, at: usize) {
            // SAFETY: the caller has checked the bounds. Another process may store to `from` at the same time, so
            // `copy_nonoverlapping` would be wrong: the compiler may read twice what it takes for unchanging. A volatile read of memory
            // that is not an allocation of Rust's is a load of the machine, which gives for each byte the old or the new value.
            unsafe { to.add(at).cast::<Word<T>>().write(from.add(at).cast::<Word<T>>().read_volatile()) };
        }

        let (from, to, len) = (self.start, target, self.len);
        let mut at = 0;
        // SAFETY: all steps lie within `len` bytes of `from`, whose caller vouched for them, and of `to`.
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

/// Memory that is not written meanwhile.
impl<'a> From<&'a [u8]> for SharedBytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        // SAFETY: a slice can be read for as long as it is borrowed.
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
                // SAFETY: any bytes make an array of them.
                let first = unsafe { bytes.read::<[u8; 5]>() };
                assert_eq!(first.as_ref(), memory[start..start + len].first_chunk());
            }
        }
    }

    #[test]
    fn nothing_is_read_behind_the_end() {
        let bytes = SharedBytes::from([1, 2, 3].as_slice());
        // SAFETY: any bytes make an integer.
        assert!(unsafe { bytes.read::<u32>() }.is_none());
        for len in [3, 4] {
            let (start, rest) = bytes.split_at_most(len);
            assert_eq!((start.len(), rest.is_empty()), (3, true));
        }
    }
}
