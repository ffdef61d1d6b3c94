//! Views of planes as `ndarray` arrays of bytes (feature `ndarray`).

use ndarray::{ArrayView3, ShapeBuilder};

use crate::wire::fault::Fault;
use crate::wire::formats::{Kind, Sample, VideoFormat};
use crate::wire::header::VideoFrameHeader;
use crate::wire::validate::validate_geometry;

/// Reasons why a frame cannot be viewed as an array.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The header does not match the pixels.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// This view is not possible for the format.
    #[error("{format} has {has}, but an array needs {needs}")]
    Format {
        /// The format's name.
        format: &'static str,
        /// The property of the format that prevents the view.
        has: String,
        /// The property that the view requires.
        needs: &'static str,
    },
    /// The frame marks the end of the stream.
    #[error("the frame marks the end of the stream, so it has no pixels")]
    EndOfStream,
}

/// Returns a view of the picture as an array of (rows, pixels, channels) bytes, without a copy. It uses the row stride from the header.
///
/// This works for formats with one plane of interleaved bytes, such as `BGR`, `RGBA`, `GRAY8` and `YUY2`. For an end of stream the shape is
/// (0, 0, 0).
///
/// # Errors
/// [`ViewError::Format`] for any other format, [`ViewError::Fault`] if the header does not match the pixels.
///
/// # Examples
/// ```
/// use gst_plugin_iceoryx2_video::{FrameParams, header_pixels_to_ndarray_view};
///
/// let (header, size) = FrameParams { width: 4, height: 2, ..FrameParams::default() }.header().unwrap();
/// let pixels = vec![7; size];
/// let view = header_pixels_to_ndarray_view(&header, &pixels)?;
/// assert_eq!((view.dim(), view[[1, 3, 2]]), ((2, 4, 3), 7));
/// # Ok::<(), gst_plugin_iceoryx2_video::view::ViewError>(())
/// ```
pub fn header_pixels_to_ndarray_view<'a>(
    header: &VideoFrameHeader,
    pixels: &'a [u8],
) -> Result<ArrayView3<'a, u8>, ViewError> {
    if header.is_eos() {
        return Ok(ArrayView3::from_shape((0, 0, 0), &[]).expect("no pixels are needed"));
    }
    let format = checked_format(header, pixels)?;
    if format.kind != Kind::Packed {
        let has = format!("{} planes, kind {:?}", format.n_planes(), format.kind);
        return Err(ViewError::Format { format: format.name, has, needs: "one plane of whole samples" });
    }
    plane_view(header, pixels, 0)
}

/// Returns a view of one plane as an array of (rows, pixels, channels) bytes, without a copy. A subsampled plane has fewer rows and pixels.
///
/// This works for packed and planar formats with 8-bit samples, such as `BGR`, `NV12` and `I420`.
///
/// # Errors
/// [`ViewError::Format`] if the format does not have this plane or does not have 8-bit samples, [`ViewError::EndOfStream`], and
/// [`ViewError::Fault`] if the header does not match the pixels.
pub fn plane_view<'a>(
    header: &VideoFrameHeader,
    pixels: &'a [u8],
    plane: usize,
) -> Result<ArrayView3<'a, u8>, ViewError> {
    let format = checked_format(header, pixels)?;
    let no_array = |has, needs| ViewError::Format { format: format.name, has, needs };
    if !matches!(format.kind, Kind::Packed | Kind::Planes) || format.sample != Sample::U8 {
        return Err(no_array(
            format!("kind {:?}, samples {:?}", format.kind, format.sample),
            "whole samples of a byte",
        ));
    }
    let Some(shape) = format.planes.get(plane) else {
        return Err(no_array(format!("{} planes", format.n_planes()), "a plane that exists"));
    };
    let channels = usize::from(shape.channels);
    let rows = format.rows(plane, header.height);
    let columns = (header.width as usize).div_ceil(1 << shape.w_shift);
    let stride = header.stride[plane] as usize;
    let offset = header.plane_offsets[plane] as usize;
    // The last row may end without padding.
    let end = offset + stride * (rows - 1) + format.row_bytes(plane, header.width);
    let layout = (rows, columns, channels).strides((stride, channels, 1));
    ArrayView3::from_shape(layout, &pixels[offset..end])
        .map_err(|error| no_array(format!("stride {stride} ({error})"), "rows that do not overlap"))
}

fn checked_format(header: &VideoFrameHeader, pixels: &[u8]) -> Result<&'static VideoFormat, ViewError> {
    if header.is_eos() {
        return Err(ViewError::EndOfStream);
    }
    validate_geometry(header, pixels.len())?;
    let name = header.sound_format_name().ok_or(Fault::FormatName)?;
    Ok(VideoFormat::get(name).ok_or_else(|| Fault::Format { name: name.to_owned() })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FrameParams;

    fn frame(format: &str, width: u32, height: u32, stride0: u32) -> (VideoFrameHeader, Vec<u8>) {
        let params = FrameParams { width, height, format, stride0: Some(stride0), ..Default::default() };
        let (header, size) = params.header().unwrap();
        (header, (0..size).map(|at| (at % 251) as u8).collect())
    }

    #[test]
    fn a_view_leaves_the_padding_out() {
        let (header, pixels) = frame("BGR", 333, 177, 1024);
        let view = header_pixels_to_ndarray_view(&header, &pixels).unwrap();
        assert_eq!(view.shape(), [177, 333, 3]);
        for (row, column, channel) in [(0, 0, 0), (0, 332, 2), (1, 0, 0), (176, 332, 2)] {
            assert_eq!(view[[row, column, channel]], pixels[row * 1024 + column * 3 + channel]);
        }
        assert_eq!(view.as_ptr(), pixels.as_ptr());
    }

    #[test]
    fn the_last_row_needs_no_padding() {
        let (header, pixels) = frame("GRAY8", 30, 20, 32);
        assert_eq!(header_pixels_to_ndarray_view(&header, &pixels[..32 * 19 + 30]).unwrap().shape(), [20, 30, 1]);
        assert!(matches!(
            header_pixels_to_ndarray_view(&header, &pixels[..32 * 19 + 29]),
            Err(ViewError::Fault(Fault::Bounds { .. }))
        ));
    }

    #[test]
    fn planes_are_subsampled() {
        let (header, pixels) = frame("NV12", 333, 177, 336);
        assert_eq!(plane_view(&header, &pixels, 0).unwrap().shape(), [177, 333, 1]);
        let chroma = plane_view(&header, &pixels, 1).unwrap();
        assert_eq!(chroma.shape(), [89, 167, 2]);
        assert_eq!(chroma[[88, 166, 1]], pixels[header.plane_offsets[1] as usize + 88 * 336 + 333]);
    }

    #[test]
    fn a_format_that_cannot_be_viewed_is_an_error_that_says_why() {
        let (header, pixels) = frame("NV12", 32, 32, 32);
        let error = header_pixels_to_ndarray_view(&header, &pixels).unwrap_err().to_string();
        assert!(error.contains("NV12 has 2 planes"), "{error}");
        assert!(plane_view(&header, &pixels, 2).is_err());
        let (header, pixels) = frame("GRAY16_LE", 32, 32, 64);
        assert!(header_pixels_to_ndarray_view(&header, &pixels).is_err());
        assert_eq!(header_pixels_to_ndarray_view(&VideoFrameHeader::eos(), &[0]).unwrap().shape(), [0, 0, 0]);
        assert_eq!(plane_view(&VideoFrameHeader::eos(), &[0], 0), Err(ViewError::EndOfStream));
    }
}
