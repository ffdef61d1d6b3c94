//! A received frame, which keeps its shared memory.

use std::ops::Range;
use std::ptr;
use std::sync::Arc;

use iceoryx2::sample::Sample;
use iceoryx2::service::header::payload_header::PayloadHeader;
use iceoryx2::service::header::publish_subscribe::Header;

use crate::iox2::fork::OfThisProcess;
use crate::iox2::types::Iox;
use crate::wire::auxblob::{ParsedAux, parse_aux};
use crate::wire::fault::Fault;
use crate::wire::header::{HEADER_SIZE, VideoFrameHeader};
use crate::wire::shared::SharedBytes;
use crate::wire::stamp::Stamp;

use super::link::{Hold, Link, Port};

/// One received frame. It keeps its shared memory until it is dropped, beyond the life of subscriber and publisher.
#[derive(Debug)]
pub struct VideoFrame {
    pub(super) header: VideoFrameHeader,
    pub(super) stamp: Stamp,
    pub(super) discontinuity: bool,
    pub(super) pixel_bytes: usize,
    pub(super) aux: Vec<u8>,
    pub(super) payload: Payload,
    // After the sample.
    pub(super) _port: Arc<Port>,
    pub(super) _hold: Hold,
}

/// A sample, and where its user header and its payload lie.
///
/// Their content is shared memory, which the publisher can write at any time. So is iceoryx2's own header, which tells the length of the
/// payload: it is read once, and iceoryx2 is not asked for the payload.
#[derive(Debug)]
pub(super) struct Payload {
    header: *const u8,
    payload: *const u8,
    len: usize,
    _sample: Option<OfThisProcess<Sample<Iox, [u8], VideoFrameHeader>>>,
}

// SAFETY: the sample can be sent to another thread, and the pointers are into memory that it keeps mapped.
unsafe impl Send for Payload {}

impl Payload {
    /// Takes over a sample of this link, if all of it lies in memory of its publisher.
    pub fn new(sample: Sample<Iox, [u8], VideoFrameHeader>, link: &mut Link) -> Result<Self, Fault> {
        let publisher = sample.origin().value();
        // The references are good for their addresses only: what they point to may change.
        let start = ptr::from_ref(sample.header()).addr();
        let header = ptr::from_ref(sample.user_header()).addr();
        let payload = (header + HEADER_SIZE).next_multiple_of(link.alignment);
        let room_in = |memory: Option<Range<usize>>| {
            memory.and_then(|memory| memory.end.checked_sub(payload)).ok_or(Fault::Place)
        };

        let mut room = room_in(link.segments.find(publisher, start))?;
        // SAFETY: iceoryx2 keeps the mapping that begins before `start` and ends behind `payload` for as long as the sample lives. Its
        // header consists of integers.
        let own =
            unsafe { SharedBytes::new(ptr::with_exposed_provenance(start), size_of::<Header>()).read::<Header>() };
        let len = own.expect("as many bytes").number_of_elements();
        if len > room as u64 {
            // Other memory of the same publisher may have come to lie there.
            room = room_in(link.segments.ask(publisher, start))?;
        }
        let fitting = usize::try_from(len).ok().filter(|&len| len <= room);
        let len = fitting.ok_or(Fault::Length { len, room })?;
        let (header, payload) = (ptr::with_exposed_provenance(header), ptr::with_exposed_provenance(payload));
        Ok(Self { header, payload, len, _sample: Some(OfThisProcess::new(sample)) })
    }

    /// What an end of the stream has whose sample was that of the last frame: nothing.
    pub fn none() -> Self {
        Self { header: ptr::null(), payload: ptr::dangling(), len: 0, _sample: None }
    }

    /// A private copy of the header.
    pub fn header(&self) -> VideoFrameHeader {
        // SAFETY: it ends before the payload begins, in memory that the sample keeps mapped, and consists of integers.
        let header = unsafe { SharedBytes::new(self.header, HEADER_SIZE).read() };
        header.expect("as many bytes")
    }

    /// The payload, to copy from.
    pub fn bytes(&self) -> SharedBytes<'_> {
        // SAFETY: it ends within the memory of its publisher, which the sample keeps mapped.
        unsafe { SharedBytes::new(self.payload, self.len) }
    }

    /// The first `len` bytes, which the payload has.
    fn pixels(&self, len: usize) -> &[u8] {
        assert!(len <= self.len);
        // SAFETY: as in `bytes`. By the contract nobody writes to the pixels of a frame that somebody holds. A publisher that does so
        // all the same changes bytes behind a reference, for which Rust has no rules: here nothing reads them, and whoever does must
        // not take a pixel for an index or a length.
        unsafe { std::slice::from_raw_parts(self.payload, len) }
    }
}

impl VideoFrame {
    /// The end of the stream, without a sample.
    pub(super) fn end(link: &Link) -> Self {
        Self {
            header: VideoFrameHeader::eos(),
            stamp: Stamp::default(),
            discontinuity: false,
            pixel_bytes: 0,
            aux: Vec::new(),
            payload: Payload::none(),
            _port: link.subscriber.clone(),
            _hold: link.hold(),
        }
    }

    /// The frame's header: a validated private copy.
    pub fn header(&self) -> &VideoFrameHeader {
        &self.header
    }

    /// The picture as (rows, pixels, channels) bytes; borrowed, rows padded as the publisher has them. (0, 0, 0) at the end of the stream.
    ///
    /// # Errors
    /// If the format is not one plane of interleaved bytes (`BGR`, `RGBA`, `YUY2` …): see [`plane_view`](crate::view::plane_view).
    #[cfg(feature = "ndarray")]
    pub fn ndarray_view(&self) -> Result<ndarray::ArrayView3<'_, u8>, crate::view::ViewError> {
        crate::view::header_pixels_to_ndarray_view(&self.header, self.pixels())
    }

    /// The sample as it lies in shared memory, pixels and then the aux blob; borrowed. At the end of the stream at most a byte without a
    /// meaning.
    ///
    /// A hostile publisher can write to it at any time: read the blob from [`aux`](Self::aux), which is a private copy.
    pub fn payload(&self) -> &[u8] {
        self.payload.pixels(self.payload.len)
    }

    /// Number of bytes of [`pixels`](Self::pixels).
    pub fn pixel_size(&self) -> usize {
        self.pixels().len()
    }

    /// All planes as they lie in shared memory; borrowed. Empty at the end of the stream.
    ///
    /// Nobody who keeps the contract writes to them while the frame is held. A hostile publisher can: a value that is checked and
    /// then used (as an index, a length) must be copied first.
    pub fn pixels(&self) -> &[u8] {
        self.payload.pixels(self.pixel_bytes)
    }

    /// The aux blob (SPEC §3) without what is behind its last record; a private copy, empty if there is none.
    pub fn aux(&self) -> &[u8] {
        &self.aux
    }

    /// Takes the copy of the aux blob out of the frame, which has none from then on.
    pub fn take_aux(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.aux)
    }

    /// Caps and meta records of the aux blob; copies.
    pub fn parse_aux(&self) -> ParsedAux {
        parse_aux(self.aux())
    }

    /// Whether this is the end of the stream, which has no pixels.
    pub fn is_eos(&self) -> bool {
        self.header.is_eos()
    }

    /// The frame's stamp (SPEC §5), without moments of another boot or machine.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Whether frames are missing before this one, or another publisher begins with it.
    pub fn is_discontinuity(&self) -> bool {
        self.discontinuity
    }
}
