//! Why a frame is refused.

use crate::wire::header::{FORMAT_LEN, MAX_DIMENSION};
use crate::wire::text::TextError;

/// What is wrong with a frame; [`rule`](Fault::rule) names the rule, `Display` the field and both numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The sample does not lie in memory of its publisher.
    #[error("the sample lies outside of the memory that its publisher shares")]
    Place,
    /// The payload would end beyond the memory of its publisher.
    #[error("the payload has {len} bytes, the memory that its publisher shares ends after {room}")]
    Length {
        /// Number of bytes, as iceoryx2's own header of the sample tells.
        len: u64,
        /// Bytes from the payload's first one to the end of the memory.
        room: usize,
    },
    /// The aux blob would be larger than the payload.
    #[error("aux_size is {aux_size} bytes, the payload has {payload}")]
    AuxSize {
        /// The header's `aux_size`.
        aux_size: u32,
        /// Bytes of the payload.
        payload: usize,
    },
    /// The format's name does not end within its field, or is not ASCII.
    #[error("format is not a NUL-terminated ASCII name within its {FORMAT_LEN} bytes")]
    FormatName,
    /// The format table has no such format.
    #[error(
        "format {name:?} is not a known raw video format; GStreamer's names are meant, such as \"BGR\" or \"NV12\""
    )]
    Format {
        /// The name.
        name: String,
    },
    /// The width or height is 0 or too large.
    #[error("{field} is {value} pixels, outside 1 to {MAX_DIMENSION}")]
    Size {
        /// `width` or `height`.
        field: &'static str,
        /// Its value.
        value: u32,
    },
    /// The payload has no pixels.
    #[error("pixel-bytes is 0: {width}x{height} {format} takes at least 1 byte")]
    NoPixels {
        /// The header's width.
        width: u32,
        /// The header's height.
        height: u32,
        /// The format's name.
        format: &'static str,
    },
    /// The format has another number of planes.
    #[error("n_planes is {n_planes}, {format} has {expected}")]
    Planes {
        /// The header's `n_planes`.
        n_planes: u32,
        /// The format's name.
        format: &'static str,
        /// How many it has.
        expected: usize,
    },
    /// A row does not fit its stride.
    #[error("stride[{plane}] is {stride} bytes, a row takes {row_bytes}")]
    Stride {
        /// The plane.
        plane: usize,
        /// Its stride.
        stride: u32,
        /// Bytes of its rows.
        row_bytes: usize,
    },
    /// Of a tiled format only GStreamer knows where its planes lie.
    #[error("format {format} is tiled: only GStreamer lays it out")]
    Tiled {
        /// The format's name.
        format: &'static str,
    },
    /// A picture is too large for the header's 32-bit fields.
    #[error("stride or offset of plane {plane} would be {bytes}, the header holds at most {max}", max = u32::MAX)]
    TooLarge {
        /// The plane.
        plane: usize,
        /// What its stride or offset would be.
        bytes: u64,
    },
    /// The pixels are neither rows without padding nor, in one plane, rows that are all padded alike.
    #[error(
        "{format} at {width}x{height} has {tight} bytes in rows without padding, the pixels have {given}: \
         send as many, or give stride0, the bytes from row to row"
    )]
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
    #[error("plane_offsets[{plane}] is {offset}: the plane ends at byte {end}, pixel-bytes is {pixel_size}")]
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
    /// The caps are those of something else than raw video in system memory.
    #[error("caps say {found}, a frame is video/x-raw in system memory")]
    CapsMedia {
        /// Media type and features of the caps.
        found: String,
    },
    /// The caps name another value than the header.
    #[error("caps say {field} {caps}, the header says {header}")]
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
    /// The rule of SPEC §7 that the frame breaks: one log line for each is enough.
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Place | Self::Length { .. } => "length",
            Self::AuxSize { .. } => "aux-size",
            Self::FormatName | Self::Format { .. } | Self::Tiled { .. } => "format",
            Self::Size { .. } | Self::NoPixels { .. } => "size",
            Self::Planes { .. } => "planes",
            Self::Stride { .. } => "stride",
            Self::Bounds { .. } | Self::TooLarge { .. } | Self::Padding { .. } => "bounds",
            Self::Caps(_) | Self::CapsMedia { .. } | Self::CapsDisagree { .. } => "caps",
        }
    }
}
