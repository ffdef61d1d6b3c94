//! Between a buffer's video layout and the wire header.

use gst_plugin_iceoryx2_video::wire::formats::Kind;
use gst_plugin_iceoryx2_video::{MAX_PLANES, NONE, VideoFormat, VideoFrameHeader};
use gst_video::VideoInfo;

/// The header of every frame with these caps, laid out as `info` says; times and flags are still open.
///
/// Returns `None` for a layout that the header cannot express: an offset beyond 4 GiB, a negative stride.
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

/// The header of a frame whose `size` bytes are the picture in rows without padding; `None` if they are not.
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

/// Bytes of the first plane's rows, as GStreamer pads them and without padding, for a message.
pub fn row_lengths(info: &VideoInfo) -> String {
    let tight = VideoFormat::get(info.name()).map_or(0, |format| format.row_bytes(0, info.width()));
    format!(
        "GStreamer lays {} {}x{} out in {} bytes with rows of {}, rows without padding have {tight}",
        info.name(),
        info.width(),
        info.height(),
        info.size(),
        info.stride()[0]
    )
}

/// Offsets and strides of a received frame in GStreamer's types; `None` for numbers that those cannot hold.
pub fn planes(header: &VideoFrameHeader) -> Option<(Vec<usize>, Vec<i32>)> {
    let planes = (header.n_planes as usize).min(MAX_PLANES);
    let offsets = header.plane_offsets[..planes].iter().map(|&offset| offset as usize).collect();
    let strides = header.stride[..planes].iter().map(|&stride| i32::try_from(stride)).collect::<Result<_, _>>().ok()?;
    Some((offsets, strides))
}

/// Whether a received frame lies in memory as every element expects it without being told.
pub fn is_default(header: &VideoFrameHeader, info: &VideoInfo) -> bool {
    planes(header).is_some_and(|(offsets, strides)| offsets == info.offset() && strides == info.stride())
}

/// Whether only GStreamer knows where the pixels of a frame lie: it has to be laid out as GStreamer does it (SPEC §7).
pub fn is_tiled(header: &VideoFrameHeader) -> bool {
    VideoFormat::get(header.format_name()).is_none_or(|format| format.kind == Kind::Tiled)
}

/// Copies a received frame into GStreamer's default layout, for an element that knows no GstVideoMeta.
///
/// By the rows of the format table: `gst_video_frame_copy` leaves out the last chroma sample of odd rows of YUY2 and its like.
/// Tiled formats come in the default layout only.
pub fn copy_to_default(pixels: &[u8], header: &VideoFrameHeader, info: &VideoInfo) -> Option<gst::Buffer> {
    let mut target = vec![0; info.size()];
    copy_rows(pixels, header, info, &mut target)?;
    Some(gst::Buffer::from_mut_slice(target))
}

/// As [`copy_to_default`], into memory of that size; `None` where `pixels` or `target` are too short.
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
