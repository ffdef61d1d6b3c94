//! A received frame, which keeps its shared memory.

use std::ptr::NonNull;
use std::sync::Arc;

use iceoryx2::sample::Sample;

use crate::auxblob::{ParsedAux, parse_aux};
use crate::fork::OfThisProcess;
use crate::header::VideoFrameHeader;
use crate::service::Iox;
use crate::time::FrameTimes;

use super::link::{Hold, Port};

/// One received frame. It keeps its shared memory until it is dropped, beyond the life of subscriber and publisher.
#[derive(Debug)]
pub struct VideoFrame {
    pub(super) header: VideoFrameHeader,
    pub(super) times: FrameTimes,
    pub(super) discontinuity: bool,
    pub(super) payload: Payload,
    // After the sample.
    pub(super) _port: Arc<Port>,
    pub(super) _hold: Hold,
}

/// A sample and its payload, whose place and size are read once.
///
/// The size is in shared memory, where the publisher can change it at any time; and asking the sample for it takes a lock.
#[derive(Debug)]
pub(super) struct Payload {
    bytes: NonNull<[u8]>,
    sample: OfThisProcess<Sample<Iox, [u8], VideoFrameHeader>>,
}

// SAFETY: the sample can be sent to another thread, and the pointer is into memory that it keeps mapped.
unsafe impl Send for Payload {}

impl Payload {
    pub fn new(sample: Sample<Iox, [u8], VideoFrameHeader>) -> Self {
        let sample = OfThisProcess::new(sample);
        Self { bytes: NonNull::from(sample.payload()), sample }
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the sample keeps this memory mapped in one place as long as it lives.
        unsafe { self.bytes.as_ref() }
    }

    /// The last `len` bytes.
    pub fn tail(&self, len: u32) -> &[u8] {
        &self.bytes()[self.bytes().len() - len as usize..]
    }

    /// A private copy of the header that came with it: the publisher can still write to the original.
    pub fn header(&self) -> VideoFrameHeader {
        *self.sample.user_header()
    }
}

impl VideoFrame {
    /// The frame's header: a validated private copy.
    pub fn header(&self) -> &VideoFrameHeader {
        &self.header
    }

    /// All planes as they lie in shared memory; borrowed. Empty at the end of the stream.
    pub fn pixels(&self) -> &[u8] {
        let payload = self.payload.bytes();
        if self.is_eos() { &[] } else { &payload[..payload.len() - self.header.aux_size as usize] }
    }

    /// The aux blob (SPEC §3); borrowed, empty if there is none.
    pub fn aux(&self) -> &[u8] {
        if self.is_eos() { &[] } else { self.payload.tail(self.header.aux_size) }
    }

    /// Caps and meta records of the aux blob; copies.
    pub fn parse_aux(&self) -> ParsedAux {
        parse_aux(self.aux())
    }

    /// Whether this is the end of the stream, which has no pixels.
    pub fn is_eos(&self) -> bool {
        self.header.is_eos()
    }

    /// The publisher's times and count (SPEC §5), each `None` where it sent none or another host did.
    pub fn times(&self) -> &FrameTimes {
        &self.times
    }

    /// Whether frames are missing before this one, or another publisher begins with it.
    pub fn is_discontinuity(&self) -> bool {
        self.discontinuity
    }
}
