//! The user header for each frame, and the constants in the wire contract (SPEC §1, §2).

use iceoryx2::prelude::ZeroCopySend;

use crate::contract::{layout, limits};
use crate::wire::fields;

#[cfg(not(target_endian = "little"))]
compile_error!("the header is shared as it is in memory, and the contract is little-endian (SPEC §2)");

/// Default service name.
pub const DEFAULT_SERVICE: &str = layout::DEFAULT_SERVICE;
/// Number of bytes that are reserved for the aux blob of frames that are not copied.
pub const DEFAULT_AUX_BYTES: usize = limits::DEFAULT_AUX_BYTES;
/// Size of [`VideoFrameHeader`] in bytes.
pub const HEADER_SIZE: usize = layout::HEADER_SIZE as usize;
/// Alignment of [`VideoFrameHeader`] in bytes.
pub const HEADER_ALIGN: usize = layout::HEADER_ALIGN as usize;
/// Name by which iceoryx2 identifies the header type.
pub const HEADER_TYPE_NAME: &str = layout::HEADER_TYPE_NAME;
/// Length of the header's format field, including the NUL.
pub const FORMAT_LEN: usize = layout::FORMAT_LEN as usize;
/// Largest number of planes that a header can describe.
pub const MAX_PLANES: usize = layout::MAX_PLANES as usize;
/// Largest width and height in pixels.
pub const MAX_DIMENSION: u32 = limits::MAX_DIMENSION_PIXELS as u32;
/// Value that means "none" in the header's `pts`, `dts`, `duration` and `offset`.
pub const NONE: u64 = layout::NONE_U64;
/// Flag bit for the sample that ends the stream (SPEC §6).
pub const HEADER_FLAG_EOS: u64 = layout::HEADER_FLAG_EOS;
/// The GstBufferFlags that describe the picture and may be sent to another process (SPEC §2).
///
/// Source: `gstbuffer.h` (bits 6 to 13) and `video-frame.h` (bits 20 to 25) of GStreamer.
pub const FLAGS_MASK: u64 = layout::FLAGS_MASK;

/// Default size of the subscriber buffer, in samples.
pub const VIDEO_BUFFER_SIZE: u32 = limits::DEFAULT_BUFFER_SIZE_FRAMES as u32;
/// Default number of samples that a subscriber may hold at once.
pub const VIDEO_BORROWED_MAX: u32 = limits::DEFAULT_BORROWED_MAX_FRAMES as u32;
/// Default history, in samples; 0 means the newest frame (SPEC §1).
pub const VIDEO_HISTORY_SIZE: u32 = limits::DEFAULT_HISTORY_SIZE_FRAMES as u32;
/// Default for whether a full subscriber buffer drops its oldest sample instead of blocking the publisher.
pub const VIDEO_SAFE_OVERFLOW: bool = limits::DEFAULT_SAFE_OVERFLOW;

/// Times, geometry and format of one frame (SPEC §2).
///
/// The header is in shared memory to which its publisher can still write. Copy it (it is `Copy`) before you read it, and check the copy
/// with [`validate_geometry`](crate::wire::validate::validate_geometry) before you use it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ZeroCopySend)]
#[type_name("VideoFrameHeader")]
pub struct VideoFrameHeader {
    /// Presentation timestamp of the publisher's buffer in nanoseconds, or [`NONE`].
    pub pts: u64,
    /// Decoding timestamp in nanoseconds, or [`NONE`].
    pub dts: u64,
    /// Duration in nanoseconds; [`NONE`] if unknown.
    pub duration: u64,
    /// Frame counter of the publisher's buffer; [`NONE`] if the publisher does not count frames.
    pub offset: u64,
    /// GstBufferFlags in the low 32 bits, [`HEADER_FLAG_EOS`] in the high 32 bits.
    pub flags: u64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Number of planes, 1 to 4.
    pub n_planes: u32,
    /// Size in bytes of the aux blob at the end of the payload; 0 if there is no blob.
    pub aux_size: u32,
    /// Bytes from one row to the next, for each plane.
    pub stride: [u32; MAX_PLANES],
    /// Byte offset of each plane in the payload.
    pub plane_offsets: [u32; MAX_PLANES],
    /// GStreamer's name for the format in ASCII, NUL-padded.
    pub format: [u8; FORMAT_LEN],
}

const _: () = {
    use std::mem::{align_of, offset_of, size_of};
    assert!(size_of::<VideoFrameHeader>() == HEADER_SIZE);
    assert!(align_of::<VideoFrameHeader>() == HEADER_ALIGN);
    assert!(offset_of!(VideoFrameHeader, pts) == 0);
    assert!(offset_of!(VideoFrameHeader, dts) == 8);
    assert!(offset_of!(VideoFrameHeader, duration) == 16);
    assert!(offset_of!(VideoFrameHeader, offset) == 24);
    assert!(offset_of!(VideoFrameHeader, flags) == 32);
    assert!(offset_of!(VideoFrameHeader, width) == 40);
    assert!(offset_of!(VideoFrameHeader, height) == 44);
    assert!(offset_of!(VideoFrameHeader, n_planes) == 48);
    assert!(offset_of!(VideoFrameHeader, aux_size) == 52);
    assert!(offset_of!(VideoFrameHeader, stride) == 56);
    assert!(offset_of!(VideoFrameHeader, plane_offsets) == 72);
    assert!(offset_of!(VideoFrameHeader, format) == 88);
};

/// A format name that does not fit in the header's field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("format name {name:?} does not fit in the header: it must be at most {} ASCII bytes without NUL, but is {len} bytes", FORMAT_LEN - 1)]
pub struct FormatNameError {
    name: String,
    len: usize,
}

impl VideoFrameHeader {
    /// Returns the header for a sample that ends a stream (SPEC §6), without a picture or times.
    pub fn eos() -> Self {
        Self { pts: NONE, dts: NONE, duration: NONE, offset: NONE, flags: HEADER_FLAG_EOS, ..Self::default() }
    }

    /// Returns the header for a sample that ends a stream and repeats the last frame. `self` is the last frame's header (SPEC §6).
    pub(crate) fn ended(self) -> Self {
        Self { flags: self.flags | HEADER_FLAG_EOS, ..self }
    }

    /// Returns the header of the last frame, if this sample ends a stream and repeats the last frame.
    pub(crate) fn repeated(self) -> Option<Self> {
        let header = Self { flags: self.flags & !HEADER_FLAG_EOS, ..self };
        (self.is_eos() && self.width > 0).then_some(header)
    }

    /// Whether this sample ends the stream.
    pub fn is_eos(&self) -> bool {
        self.flags & HEADER_FLAG_EOS != 0
    }

    /// Returns the format's name; empty if the field is not NUL-terminated ASCII.
    pub fn format_name(&self) -> &str {
        self.sound_format_name().unwrap_or_default()
    }

    /// Returns the format's name; `None` if the field is not NUL-terminated ASCII.
    pub(crate) fn sound_format_name(&self) -> Option<&str> {
        fields::text(&self.format)
    }

    /// Writes the format's name, NUL-padded.
    ///
    /// # Errors
    /// If the name is longer than 15 bytes, is not ASCII or contains a NUL. The header is then unchanged.
    pub fn set_format(&mut self, name: &str) -> Result<(), FormatNameError> {
        if name.len() >= FORMAT_LEN || !name.is_ascii() || name.contains('\0') {
            return Err(FormatNameError { name: name.to_owned(), len: name.len() });
        }
        self.format = [0; FORMAT_LEN];
        self.format[..name.len()].copy_from_slice(name.as_bytes());
        Ok(())
    }

    /// Returns the size of the pixel region in a payload of `payload_len` bytes; `None` if the aux blob would be larger than the payload.
    pub fn pixel_size(&self, payload_len: usize) -> Option<usize> {
        payload_len.checked_sub(usize::try_from(self.aux_size).ok()?)
    }

    /// Whether two frames have the same layout. Times, flags and frame counters may differ.
    pub fn same_layout(&self, other: &Self) -> bool {
        self.layout() == other.layout()
    }

    /// Returns all fields that determine the position of the pixels and the aux blob.
    fn layout(&self) -> impl PartialEq {
        let picture = (self.width, self.height, self.n_planes, self.stride, self.plane_offsets, self.format);
        (self.is_eos(), self.aux_size, picture)
    }

    /// Returns the header as bytes, as it is in shared memory.
    pub fn to_bytes(&self) -> [u8; HEADER_SIZE] {
        let times = fields::longs([self.pts, self.dts, self.duration, self.offset, self.flags]);
        let words = [self.width, self.height, self.n_planes, self.aux_size];
        let words = fields::words(words.into_iter().chain(self.stride).chain(self.plane_offsets));
        fields::joined(times.chain(words).chain(self.format))
    }

    /// Reads a header from `bytes`. Every content gives a header, which may be invalid.
    pub fn from_bytes(bytes: &[u8; HEADER_SIZE]) -> Self {
        let (long, word) = (|at| fields::long(bytes, at), |at| fields::word(bytes, at));
        Self {
            pts: long(0),
            dts: long(8),
            duration: long(16),
            offset: long(24),
            flags: long(32),
            width: word(40),
            height: word(44),
            n_planes: word(48),
            aux_size: word(52),
            stride: std::array::from_fn(|plane| word(56 + 4 * plane)),
            plane_offsets: std::array::from_fn(|plane| word(72 + 4 * plane)),
            format: fields::bytes(bytes, 88),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_header_are_its_memory() {
        let mut header = VideoFrameHeader { pts: 1, dts: 2, duration: 3, offset: 4, flags: 5, ..Default::default() };
        (header.width, header.height, header.n_planes, header.aux_size) = (6, 7, 8, 9);
        (header.stride, header.plane_offsets) = ([10, 11, 12, 13], [14, 15, 16, 17]);
        header.set_format("P010_10LE").unwrap();
        // SAFETY: the struct is `repr(C)`, 104 bytes long and without padding (the offsets above leave no gap).
        let memory: [u8; HEADER_SIZE] = unsafe { std::mem::transmute(header) };
        assert_eq!(header.to_bytes(), memory);
        assert_eq!(VideoFrameHeader::from_bytes(&memory), header);
    }

    #[test]
    fn iceoryx2_knows_the_header_by_its_contract_name() {
        // SAFETY: the function only returns a constant. It is marked unsafe because a wrong implementation is unsafe, not because the call
        // is.
        assert_eq!(unsafe { VideoFrameHeader::type_name() }, HEADER_TYPE_NAME);
    }

    #[test]
    fn a_format_name_that_does_not_fit_leaves_the_header_alone() {
        let mut header = VideoFrameHeader::default();
        header.set_format("NV12").unwrap();
        for name in ["ABCDEFGHIJKLMNOP", "BGR\0", "ÄÖ"] {
            assert!(header.set_format(name).is_err(), "{name:?}");
        }
        assert_eq!(header.format_name(), "NV12");
        header.set_format("ABCDEFGHIJKLMNO").unwrap();
        assert_eq!(header.format_name(), "ABCDEFGHIJKLMNO");
        header.format[FORMAT_LEN - 1] = b'P';
        assert_eq!(header.format_name(), "");
    }
}
