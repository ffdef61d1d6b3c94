//! Reasons for refusing a frame.

use crate::contract::messages;
use crate::wire::header::{FORMAT_LEN, MAX_DIMENSION};
use crate::wire::packet::{MAX_PACKET_BYTES, PACKET_VERSION};
use crate::wire::results::{MAX_RESULTS_BYTES, RESULTS_VERSION};
use crate::wire::text::TextError;

/// Reasons for refusing a frame. [`rule`](Fault::rule) returns the rule; `Display` names the field and both numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The sample is outside its publisher's memory.
    #[error("{}", messages::fault_place())]
    Place,
    /// The payload would extend beyond its publisher's memory.
    #[error("{}", messages::fault_length(len, room))]
    Length {
        /// Length of the payload in bytes according to iceoryx2's own header of the sample.
        len: u64,
        /// Number of bytes from the start of the payload to the end of the memory.
        room: usize,
    },
    /// The aux blob would be larger than the payload.
    #[error("{}", messages::fault_aux_size(aux_size, payload))]
    AuxSize {
        /// The header's `aux_size`.
        aux_size: u32,
        /// Size of the payload in bytes.
        payload: usize,
    },
    /// The format's name is not ASCII, or its field does not contain a NUL.
    #[error("{}", messages::fault_format_name(FORMAT_LEN))]
    FormatName,
    /// The format is not in the table of formats.
    #[error("{}", messages::fault_format(name))]
    Format {
        /// The name.
        name: String,
    },
    /// The width or height is 0 or too large.
    #[error("{}", messages::fault_size(field, value, MAX_DIMENSION))]
    Size {
        /// `width` or `height`.
        field: &'static str,
        /// Its value.
        value: u32,
    },
    /// The payload does not contain pixels.
    #[error("{}", messages::fault_no_pixels(0))]
    NoPixels,
    /// The header's number of planes does not match the format.
    #[error("{}", messages::fault_planes(n_planes, format, expected))]
    Planes {
        /// The header's `n_planes`.
        n_planes: u32,
        /// The format's name.
        format: &'static str,
        /// The format's number of planes.
        expected: usize,
    },
    /// A row is longer than its stride.
    #[error("{}", messages::fault_stride(plane, stride, row_bytes))]
    Stride {
        /// The plane.
        plane: usize,
        /// Its stride.
        stride: u32,
        /// Number of bytes in each row.
        row_bytes: usize,
    },
    /// The packet's header has another version.
    #[error("{}", messages::fault_packet_version(version, PACKET_VERSION))]
    PacketVersion {
        /// The header's `version`.
        version: u32,
    },
    /// The packet has another codec than its service.
    #[error("{}", messages::fault_packet_codec(name, expected))]
    PacketCodec {
        /// The header's `codec`.
        name: String,
        /// The service's codec.
        expected: String,
    },
    /// The packet is empty or too long.
    #[error("{}", messages::fault_packet_bytes(payload, MAX_PACKET_BYTES))]
    PacketBytes {
        /// Size of the payload in bytes.
        payload: usize,
    },
    /// The result's header has another version.
    #[error("{}", messages::fault_results_version(version, RESULTS_VERSION))]
    ResultsVersion {
        /// The header's `version`.
        version: u32,
    },
    /// The result does not name the frame that it belongs to.
    #[error("{}", messages::fault_results_key())]
    ResultsKey,
    /// The result is empty or too long.
    #[error("{}", messages::fault_results_bytes(payload, MAX_RESULTS_BYTES))]
    ResultsBytes {
        /// Size of the payload in bytes.
        payload: usize,
    },
    /// A section of the result is invalid.
    #[error("{rule}: {reason}")]
    ResultsPayload {
        /// `sections` or the name of the section.
        rule: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The format is tiled, and only GStreamer can calculate its layout.
    #[error("{}", messages::fault_tiled(format))]
    Tiled {
        /// The format's name.
        format: &'static str,
    },
    /// A picture is too large for the header's 32-bit fields.
    #[error("{}", messages::fault_too_large(bytes, u32::MAX))]
    TooLarge {
        /// The plane.
        plane: usize,
        /// The stride or offset that would be needed.
        bytes: u64,
    },
    /// The size of the pixels does not match rows without padding. For a format with one plane, it does not match rows with equal padding
    /// either.
    #[error("{}", messages::fault_padding(format, width, height, tight, given))]
    Padding {
        /// The format's name.
        format: &'static str,
        /// The picture's width.
        width: u32,
        /// The picture's height.
        height: u32,
        /// Size of the picture without padding in bytes.
        tight: usize,
        /// Size of the given pixels in bytes.
        given: usize,
    },
    /// A plane extends beyond the pixel region.
    #[error("{}", messages::fault_bounds(plane, end, pixel_size))]
    Bounds {
        /// The plane.
        plane: usize,
        /// Its offset.
        offset: u32,
        /// Offset of the first byte after the plane.
        end: u64,
        /// Size of the pixel region in bytes.
        pixel_size: usize,
    },
    /// The caps cannot be parsed.
    #[error("caps: {0}")]
    Caps(#[from] TextError),
    /// The caps do not describe raw video in system memory.
    #[error("{}", messages::fault_caps_media(found))]
    CapsMedia {
        /// Media type and features of the caps.
        found: String,
    },
    /// The caps contradict the header.
    #[error("{}", messages::fault_caps_disagree(field, caps, header))]
    CapsDisagree {
        /// `format`, `width` or `height`.
        field: &'static str,
        /// The value in the caps, or "nothing".
        caps: String,
        /// The value in the header.
        header: String,
    },
}

impl Fault {
    /// Returns the rule in SPEC §7 that the frame breaks, or the rule in SPEC §9 or §11 that the packet or result breaks. Each rule is logged once.
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Place | Self::Length { .. } | Self::PacketBytes { .. } | Self::ResultsBytes { .. } => "length",
            Self::PacketVersion { .. } | Self::ResultsVersion { .. } => "version",
            Self::ResultsKey => "key",
            Self::ResultsPayload { rule, .. } => rule,
            Self::PacketCodec { .. } => "codec",
            Self::AuxSize { .. } => "aux-size",
            Self::FormatName | Self::Format { .. } | Self::Tiled { .. } => "format",
            Self::Size { .. } | Self::NoPixels => "size",
            Self::Planes { .. } => "planes",
            Self::Stride { .. } => "stride",
            Self::Bounds { .. } | Self::TooLarge { .. } | Self::Padding { .. } => "bounds",
            Self::Caps(_) | Self::CapsMedia { .. } | Self::CapsDisagree { .. } => "caps",
        }
    }
}
