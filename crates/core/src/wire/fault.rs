//! Why a frame is refused.

use crate::contract::messages;
use crate::wire::header::{FORMAT_LEN, MAX_DIMENSION};
use crate::wire::text::TextError;

/// Why a frame is refused. [`rule`](Fault::rule) names the rule; `Display` names the field and both numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The sample lies outside the memory of its publisher.
    #[error("{}", messages::fault_place())]
    Place,
    /// The payload would end beyond the memory of its publisher.
    #[error("{}", messages::fault_length(len, room))]
    Length {
        /// Number of bytes in iceoryx2's own header of the sample.
        len: u64,
        /// Bytes from the start of the payload to the end of the memory.
        room: usize,
    },
    /// The aux blob would be larger than the payload.
    #[error("{}", messages::fault_aux_size(aux_size, payload))]
    AuxSize {
        /// The header's `aux_size`.
        aux_size: u32,
        /// Bytes of the payload.
        payload: usize,
    },
    /// The format's name is not ASCII, or has no NUL within its field.
    #[error("{}", messages::fault_format_name(FORMAT_LEN))]
    FormatName,
    /// The format table has no such format.
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
    /// The payload has no pixels.
    #[error("{}", messages::fault_no_pixels(0))]
    NoPixels,
    /// The format has another number of planes.
    #[error("{}", messages::fault_planes(n_planes, format, expected))]
    Planes {
        /// The header's `n_planes`.
        n_planes: u32,
        /// The format's name.
        format: &'static str,
        /// How many it has.
        expected: usize,
    },
    /// A row does not fit its stride.
    #[error("{}", messages::fault_stride(plane, stride, row_bytes))]
    Stride {
        /// The plane.
        plane: usize,
        /// Its stride.
        stride: u32,
        /// Bytes of its rows.
        row_bytes: usize,
    },
    /// Only GStreamer can lay out a tiled format.
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
        /// What its stride or offset would be.
        bytes: u64,
    },
    /// The size of the pixels fits neither rows without padding nor, for one plane, rows with equal padding.
    #[error("{}", messages::fault_padding(format, width, height, tight, given))]
    Padding {
        /// The format's name.
        format: &'static str,
        /// The picture's width.
        width: u32,
        /// The picture's height.
        height: u32,
        /// Bytes of the picture without padding.
        tight: usize,
        /// Bytes of the pixels.
        given: usize,
    },
    /// A plane reaches beyond the pixels.
    #[error("{}", messages::fault_bounds(plane, end, pixel_size))]
    Bounds {
        /// The plane.
        plane: usize,
        /// Its offset.
        offset: u32,
        /// First byte after it.
        end: u64,
        /// Bytes of the pixel region.
        pixel_size: usize,
    },
    /// The caps cannot be read.
    #[error("caps: {0}")]
    Caps(#[from] TextError),
    /// The caps are not those of raw video in system memory.
    #[error("{}", messages::fault_caps_media(found))]
    CapsMedia {
        /// Media type and features of the caps.
        found: String,
    },
    /// The caps and the header have different values.
    #[error("{}", messages::fault_caps_disagree(field, caps, header))]
    CapsDisagree {
        /// `format`, `width` or `height`.
        field: &'static str,
        /// The caps' value, or "nothing".
        caps: String,
        /// The header's value.
        header: String,
    },
}

impl Fault {
    /// The rule of SPEC §7 that the frame breaks. Each rule is logged once.
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Place | Self::Length { .. } => "length",
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
