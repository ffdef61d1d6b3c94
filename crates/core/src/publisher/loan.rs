//! Shared memory on its way from a publisher to its subscribers.

use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use iceoryx2::sample_mut::SampleMut;
use iceoryx2::sample_mut_uninit::SampleMutUninit;

use crate::iox2::fork::OfThisProcess;
use crate::iox2::types::Iox;
use crate::wire::header::VideoFrameHeader;

/// Shared memory for one frame, writable until it is sent; given back when dropped unsent. `Send`, outlives the publisher.
pub struct Loan {
    pub(super) sample: OfThisProcess<SampleMut<Iox, [u8], VideoFrameHeader>>,
    /// The sample's payload. Asking the sample for it takes two locks, one of them the port's.
    payload: NonNull<[u8]>,
    /// Number of the pool that it is from.
    pub(super) pool: u64,
}

impl Loan {
    pub(super) fn new(sample: SampleMutUninit<Iox, [MaybeUninit<u8>], VideoFrameHeader>, pool: u64) -> Self {
        // SAFETY: any bytes are valid u8, and shared memory is initialised by the kernel or an earlier frame.
        let mut sample = OfThisProcess::new(unsafe { sample.assume_init() });
        let payload = NonNull::from(sample.payload_mut());
        Self { sample, payload, pool }
    }
}

// SAFETY: the sample can be sent to another thread, and the pointer is into memory that it owns.
unsafe impl Send for Loan {}

impl Deref for Loan {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the sample keeps its payload mapped in one place as long as it lives; nobody else refers to it before it is sent.
        unsafe { self.payload.as_ref() }
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`.
        unsafe { self.payload.as_mut() }
    }
}

impl std::fmt::Debug for Loan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loan").field("len", &self.len()).finish()
    }
}
