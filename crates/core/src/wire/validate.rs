//! The checks that a receiver makes before it uses any byte of a frame (SPEC §7).

use crate::wire::formats::{Kind, VideoFormat};
use crate::wire::header::{MAX_DIMENSION, VideoFrameHeader};

pub use crate::wire::caps::check_caps;
pub use crate::wire::fault::Fault;

/// Returns the size of the pixel region in a payload of `payload_len` bytes (SPEC §7 rule 1).
///
/// # Errors
/// If the aux blob would be larger than the payload.
pub fn validate_aux_size(header: &VideoFrameHeader, payload_len: usize) -> Result<usize, Fault> {
    header.pixel_size(payload_len).ok_or(Fault::AuxSize { aux_size: header.aux_size, payload: payload_len })
}

/// Checks a private copy of a header against the size of its pixel region (SPEC §7 rules 2 to 7).
///
/// For tiled formats, only the offsets are checked, because only GStreamer knows the sizes of their planes.
///
/// # Errors
/// A [`Fault`] for the first rule that the frame breaks.
pub fn validate_geometry(header: &VideoFrameHeader, pixel_size: usize) -> Result<(), Fault> {
    if header.is_eos() {
        return Ok(());
    }
    let name = header.sound_format_name().ok_or(Fault::FormatName)?;
    let format = VideoFormat::get(name).ok_or_else(|| Fault::Format { name: name.to_owned() })?;
    for (field, value) in [("width", header.width), ("height", header.height)] {
        if !(1..=MAX_DIMENSION).contains(&value) {
            return Err(Fault::Size { field, value });
        }
    }
    if pixel_size == 0 {
        return Err(Fault::NoPixels);
    }
    let expected = format.n_planes();
    if usize::try_from(header.n_planes) != Ok(expected) {
        return Err(Fault::Planes { n_planes: header.n_planes, format: format.name, expected });
    }
    for plane in 0..expected {
        let (stride, row_bytes) = (header.stride[plane], format.row_bytes(plane, header.width));
        if u64::from(stride) < row_bytes as u64 && format.kind != Kind::Tiled {
            return Err(Fault::Stride { plane, stride, row_bytes });
        }
    }
    for plane in 0..expected {
        let offset = header.plane_offsets[plane];
        let end = plane_end(header, format, plane);
        if end > pixel_size as u64 {
            return Err(Fault::Bounds { plane, offset, end, pixel_size });
        }
    }
    Ok(())
}

/// Returns the end of a plane; for a tiled format, the end of the plane's first byte.
fn plane_end(header: &VideoFrameHeader, format: &VideoFormat, plane: usize) -> u64 {
    let offset = u64::from(header.plane_offsets[plane]);
    if format.kind == Kind::Tiled {
        return offset + 1;
    }
    // 2^32 + 2^32 · 2^15 + 2^19 is far below 2^64, so the sum cannot overflow.
    let last_row = format.rows(plane, header.height) as u64 - 1;
    offset + u64::from(header.stride[plane]) * last_row + format.row_bytes(plane, header.width) as u64
}
