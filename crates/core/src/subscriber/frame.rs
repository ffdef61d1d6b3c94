//! A received frame, which keeps its shared memory alive.

use std::ops::Range;
use std::ptr;
use std::sync::Arc;

use iceoryx2::sample::Sample;
use iceoryx2::service::header::payload_header::PayloadHeader;
use iceoryx2::service::header::publish_subscribe::Header;

use crate::iox2::fork::OfThisProcess;
use crate::iox2::types::Iox;
use crate::video_service::UserHeader;
use crate::wire::auxblob::{ParsedAux, parse_aux};
use crate::wire::fault::Fault;
use crate::wire::header::VideoFrameHeader;
use crate::wire::shared::SharedBytes;
use crate::wire::stamp::Stamp;

use super::link::{Hold, Link, Port};

/// One received frame. It keeps its shared memory until it is dropped, even if the subscriber and the publisher no longer exist.
///
/// # Examples
/// ```no_run
/// # fn show(frame: &gst_plugin_iceoryx2_video::VideoFrame) {
/// let header = frame.header();
/// for row in frame.pixels().chunks(header.stride[0] as usize) {
///     println!("{} bytes of a row of {} pixels", row.len(), header.width);
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct VideoFrame {
    pub(super) header: VideoFrameHeader,
    pub(super) stamp: Stamp,
    pub(super) discontinuity: bool,
    pub(super) pixel_bytes: usize,
    pub(super) aux: Vec<u8>,
    pub(super) payload: Payload,
    // The port must be dropped after the sample.
    pub(super) _port: Arc<Port>,
    pub(super) _hold: Hold,
}

/// A sample, and the addresses of its user header and payload.
///
/// The publisher can write to this shared memory at any time. The same holds for iceoryx2's own header, which contains the length of the
/// payload. So iceoryx2's header is read only once, and its `payload()` is not used.
#[derive(Debug)]
pub(crate) struct Payload<H: UserHeader = VideoFrameHeader> {
    header: *const u8,
    payload: *const u8,
    len: usize,
    _sample: Option<OfThisProcess<Sample<Iox, [u8], H>>>,
}

// SAFETY: the sample is `Send`, and the pointers refer to memory that it keeps mapped.
unsafe impl<H: UserHeader> Send for Payload<H> {}

impl<H: UserHeader> Payload<H> {
    /// Takes ownership of a sample from this link.
    ///
    /// # Errors
    /// [`Fault::Place`] or [`Fault::Length`] if the sample is not within its publisher's memory.
    pub fn new(sample: Sample<Iox, [u8], H>, link: &mut Link<H>) -> Result<Self, Fault> {
        let publisher = sample.origin().value();
        // Only the addresses of these references are used, because the publisher may change the memory behind them.
        let start = ptr::from_ref(sample.header()).addr();
        let header = ptr::from_ref(sample.user_header()).addr();
        let payload = (header + size_of::<H>()).next_multiple_of(link.alignment);
        let room_in = |memory: Option<Range<usize>>| {
            memory.and_then(|memory| memory.end.checked_sub(payload)).ok_or(Fault::Place)
        };

        let mut room = room_in(link.segments.find(publisher, start))?;
        // SAFETY: iceoryx2 keeps the mapping, which begins before `start` and ends after `payload`, for as long as the sample lives. Its
        // header consists of integers.
        let own =
            unsafe { SharedBytes::new(ptr::with_exposed_provenance(start), size_of::<Header>()).read::<Header>() };
        let len = own.expect("as many bytes").number_of_elements();
        if len > room as u64 {
            // The publisher may now have a different mapping at this address.
            room = room_in(link.segments.ask(publisher, start))?;
        }
        let fitting = usize::try_from(len).ok().filter(|&len| len <= room);
        let len = fitting.ok_or(Fault::Length { len, room })?;
        let (header, payload) = (ptr::with_exposed_provenance(header), ptr::with_exposed_provenance(payload));
        Ok(Self { header, payload, len, _sample: Some(OfThisProcess::new(sample)) })
    }

    /// Returns the empty payload for an end of stream that does not have its own sample.
    pub fn none() -> Self {
        Self { header: ptr::null(), payload: ptr::dangling(), len: 0, _sample: None }
    }

    /// Returns a private copy of the header.
    pub fn header(&self) -> H {
        // SAFETY: the header is before the payload, in memory that the sample keeps mapped, and consists of integers.
        let header = unsafe { SharedBytes::new(self.header, size_of::<H>()).read() };
        header.expect("as many bytes")
    }

    /// Returns the payload, from which bytes can only be copied.
    pub fn bytes(&self) -> SharedBytes<'_> {
        // SAFETY: the payload ends within its publisher's memory, which the sample keeps mapped.
        unsafe { SharedBytes::new(self.payload, self.len) }
    }

    /// Returns the first `len` bytes.
    fn pixels(&self, len: usize) -> &[u8] {
        assert!(len <= self.len);
        // SAFETY: as in `bytes`. By the contract, the pixels of a held frame do not change. A hostile publisher may still change them. Rust
        // does not define the result, so nothing here reads the pixels, and a program must not use a pixel as an index or length.
        unsafe { std::slice::from_raw_parts(self.payload, len) }
    }
}

impl VideoFrame {
    /// Creates an end of stream that does not have its own sample.
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

    /// Returns the frame's header, which is a validated private copy.
    pub fn header(&self) -> &VideoFrameHeader {
        &self.header
    }

    /// Returns a view of the picture as an array of (rows, pixels, channels) bytes, without a copy, with the publisher's row stride. At the
    /// end of the stream, the shape is (0, 0, 0).
    ///
    /// # Errors
    /// [`ViewError`](crate::view::ViewError) if the format does not consist of one plane of interleaved bytes, such as `BGR`, `RGBA` and
    /// `YUY2`. For formats with several planes, use [`plane_view`](crate::view::plane_view).
    #[cfg(feature = "ndarray")]
    pub fn ndarray_view(&self) -> Result<ndarray::ArrayView3<'_, u8>, crate::view::ViewError> {
        crate::view::header_pixels_to_ndarray_view(&self.header, self.pixels())
    }

    /// Returns the pixels followed by the aux blob in shared memory, borrowed. At the end of the stream, the content is meaningless.
    ///
    /// A hostile publisher can write to this memory at any time. To read the blob, use [`aux`](Self::aux), which is a private copy.
    pub fn payload(&self) -> &[u8] {
        self.payload.pixels(self.payload.len)
    }

    /// Returns the number of bytes in [`pixels`](Self::pixels).
    pub fn pixel_size(&self) -> usize {
        self.pixels().len()
    }

    /// Returns all planes in shared memory, borrowed. At the end of the stream, the slice is empty.
    ///
    /// By the contract, the pixels do not change while the frame is held. A hostile publisher can still change them, so copy a value before
    /// you check it and use it as an index or a length.
    pub fn pixels(&self) -> &[u8] {
        self.payload.pixels(self.pixel_bytes)
    }

    /// Returns a private copy of the aux blob up to its last record (SPEC §3); empty if there is no blob.
    pub fn aux(&self) -> &[u8] {
        &self.aux
    }

    /// Moves the copy of the aux blob out of the frame.
    pub fn take_aux(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.aux)
    }

    /// Returns copies of the caps and the meta records in the aux blob.
    pub fn parse_aux(&self) -> ParsedAux {
        parse_aux(self.aux())
    }

    /// Whether this frame marks the end of the stream. It then has no pixels.
    pub fn is_eos(&self) -> bool {
        self.header.is_eos()
    }

    /// Returns the frame's stamp (SPEC §5). Times from another boot or machine are left out.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Whether frames are missing before this one, or this is the first frame from another publisher.
    pub fn is_discontinuity(&self) -> bool {
        self.discontinuity
    }
}
