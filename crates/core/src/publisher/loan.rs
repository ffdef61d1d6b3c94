//! Memory that a publisher lends for one frame.

use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use iceoryx2::sample_mut::SampleMut;
use iceoryx2::sample_mut_uninit::SampleMutUninit;

use crate::iox2::fork::OfThisProcess;
use crate::iox2::types::Iox;
use crate::video_service::UserHeader;
use crate::wire::header::VideoFrameHeader;

/// Shared memory for one frame. It dereferences to a byte slice that you fill.
///
/// [`Turn::send`](super::Turn::send) sends the frame. Dropping the loan returns the memory. A loan is `Send` and may outlive its publisher.
pub struct Loan<H: UserHeader = VideoFrameHeader> {
    pub(super) sample: OfThisProcess<SampleMut<Iox, [u8], H>>,
    /// The sample's payload, cached because `sample.payload()` would take two locks.
    payload: NonNull<[u8]>,
    /// Number of the port that lent the memory.
    pub(super) port: u64,
}

impl<H: UserHeader> Loan<H> {
    pub(super) fn new(sample: SampleMutUninit<Iox, [MaybeUninit<u8>], H>, port: u64) -> Self {
        // SAFETY: any byte is a valid u8, and the kernel or an earlier frame has initialised the shared memory.
        let mut sample = OfThisProcess::new(unsafe { sample.assume_init() });
        let payload = NonNull::from(sample.payload_mut());
        Self { sample, payload, port }
    }
}

// SAFETY: the sample is `Send`, and the pointer refers to memory that the sample owns.
unsafe impl<H: UserHeader> Send for Loan<H> {}

impl<H: UserHeader> Deref for Loan<H> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the sample keeps its payload mapped at a fixed address, and nothing else refers to the payload before it is sent.
        unsafe { self.payload.as_ref() }
    }
}

impl<H: UserHeader> DerefMut for Loan<H> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`.
        unsafe { self.payload.as_mut() }
    }
}

impl<H: UserHeader> std::fmt::Debug for Loan<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loan").field("len", &self.len()).finish()
    }
}
