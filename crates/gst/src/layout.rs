//! Converts between the layout of a buffer and the wire header.

use gst_plugin_iceoryx2_video::wire::formats::Kind;
use gst_plugin_iceoryx2_video::{MAX_PLANES, NONE, VideoFormat, VideoFrameHeader};
use gst_video::VideoInfo;

use crate::log::CAT;

/// Returns the header for a frame with this layout. The caller sets times and flags.
///
/// Returns `None` if the header cannot represent the layout, because an offset is beyond 4 GiB or a stride is negative.
pub fn header(info: &VideoInfo, offsets: &[usize], strides: &[i32]) -> Option<VideoFrameHeader> {
    let mut header = VideoFrameHeader {
        pts: NONE,
        dts: NONE,
        duration: NONE,
        offset: NONE,
        width: info.width(),
        height: info.height(),
        n_planes: info.n_planes(),
        ..VideoFrameHeader::default()
    };
    header.set_format(info.name()).ok()?;
    let planes = info.n_planes() as usize;
    if planes > MAX_PLANES || offsets.len() < planes || strides.len() < planes {
        return None;
    }
    for plane in 0..planes {
        header.plane_offsets[plane] = u32::try_from(offsets[plane]).ok()?;
        header.stride[plane] = u32::try_from(strides[plane]).ok()?;
    }
    Some(header)
}

/// Returns the header for a frame without row padding; `None` if the size of such a frame is not `size` bytes.
///
/// Many programs push such buffers without a GstVideoMeta, although GStreamer pads rows to 4 bytes.
pub fn packed(info: &VideoInfo, size: usize) -> Option<VideoFrameHeader> {
    let layout = VideoFormat::get(info.name())?.tight_layout(info.width(), info.height(), None).ok()?;
    if layout.size != size {
        return None;
    }
    let planes = info.n_planes() as usize;
    let strides = layout.strides[..planes].iter().map(|&stride| i32::try_from(stride)).collect::<Result<Vec<_>, _>>();
    header(info, &layout.offsets.map(|offset| offset as usize), &strides.ok()?)
}

/// Describes the sizes with and without GStreamer's row padding, for an error message.
pub fn row_lengths(info: &VideoInfo) -> String {
    let tight = VideoFormat::get(info.name()).map_or(0, |format| format.row_bytes(0, info.width()));
    format!(
        "GStreamer stores {} {}x{} in {} bytes with {} bytes per row; a row without padding is {tight} bytes",
        info.name(),
        info.width(),
        info.height(),
        info.size(),
        info.stride()[0]
    )
}

/// Returns the offsets and strides of a received frame in GStreamer's types; `None` if a number is too large for its type.
pub fn planes(header: &VideoFrameHeader) -> Option<(Vec<usize>, Vec<i32>)> {
    let planes = (header.n_planes as usize).min(MAX_PLANES);
    let offsets = header.plane_offsets[..planes].iter().map(|&offset| offset as usize).collect();
    let strides = header.stride[..planes].iter().map(|&stride| i32::try_from(stride)).collect::<Result<_, _>>().ok()?;
    Some((offsets, strides))
}

/// Whether a received frame has GStreamer's default layout and so does not need a GstVideoMeta.
pub fn is_default(header: &VideoFrameHeader, info: &VideoInfo) -> bool {
    planes(header).is_some_and(|(offsets, strides)| offsets == info.offset() && strides == info.stride())
}

/// Whether the format is tiled. Only GStreamer knows its pixel layout, so such a frame must have the default layout (SPEC §7).
pub fn is_tiled(header: &VideoFrameHeader) -> bool {
    VideoFormat::get(header.format_name()).is_none_or(|format| format.kind == Kind::Tiled)
}

/// Copies a received frame to GStreamer's default layout, for elements that do not support GstVideoMeta.
pub fn copy_to_default(pixels: &[u8], header: &VideoFrameHeader, info: &VideoInfo) -> Option<gst::Buffer> {
    let mut target = vec![0; info.size()];
    copy_rows(pixels, header, info, &mut target)?;
    Some(gst::Buffer::from_mut_slice(target))
}

/// Copies the rows of a frame to the layout of `info`; `None` if `pixels` or `target` is too short.
///
/// `gst_video_frame_copy` is not used, because it omits the last chroma sample in odd rows of YUY2 and similar formats.
pub fn copy_rows(pixels: &[u8], header: &VideoFrameHeader, info: &VideoInfo, target: &mut [u8]) -> Option<()> {
    let format = VideoFormat::get(header.format_name())?;
    for plane in 0..format.n_planes() {
        let stride = usize::try_from(info.stride()[plane]).ok()?;
        let bytes = format.row_bytes(plane, header.width).min(stride);
        for row in 0..format.rows(plane, header.height) {
            let from = header.plane_offsets[plane] as usize + row * header.stride[plane] as usize;
            let to = info.offset()[plane] + row * stride;
            target.get_mut(to..to + bytes)?.copy_from_slice(pixels.get(from..from + bytes)?);
        }
    }
    Some(())
}

/// Adds a GstVideoMeta to a buffer that does not have one.
pub fn add_meta<'b>(
    buffer: &'b mut gst::BufferRef,
    info: &VideoInfo,
    offsets: &[usize],
    strides: &[i32],
) -> Result<gst::MetaRefMut<'b, gst_video::VideoMeta, gst::meta::Standalone>, gst::FlowError> {
    let flags = gst_video::VideoFrameFlags::empty();
    gst_video::VideoMeta::add_full(buffer, flags, info.format(), info.width(), info.height(), offsets, strides).map_err(
        |error| {
            gst::error!(CAT, "cannot add a GstVideoMeta: {error}");
            gst::FlowError::Error
        },
    )
}
