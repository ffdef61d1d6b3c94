//! GStreamer's raw video formats: bytes per row and number of rows for each plane (SPEC §4).
//!
//! `build.rs` generates the table from `contract/formats.json`, which the Python package also reads.

use crate::wire::fault::Fault;
use crate::wire::header::{MAX_DIMENSION, MAX_PLANES};

/// All raw video formats that a header may name, in GStreamer's order.
///
/// Source: `video-format.c` and `video-info.c` in GStreamer, up to the development branch for 1.30.
pub static FORMATS: &[VideoFormat] = &include!(concat!(env!("OUT_DIR"), "/formats.rs"));

/// How the pixels of a format are arranged in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Several planes. Rows consist of whole samples.
    Planes,
    /// One plane. Rows consist of whole samples.
    Packed,
    /// Rows consist of groups of pixels that are packed into bytes.
    Opaque,
    /// The format is tiled or uses a palette, so this crate does not calculate rows for it.
    Tiled,
}

/// Type of one sample in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// A byte.
    U8,
    /// 16 bits, little-endian.
    U16Le,
    /// 16 bits, big-endian.
    U16Be,
    /// 32 bits, little-endian.
    U32Le,
    /// 32 bits, big-endian.
    U32Be,
    /// Half-precision float, little-endian.
    F16Le,
    /// Half-precision float, big-endian.
    F16Be,
    /// Single-precision float, little-endian.
    F32Le,
    /// Single-precision float, big-endian.
    F32Be,
}

impl Sample {
    /// Returns the number of bytes in one sample.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16Le | Self::U16Be | Self::F16Le | Self::F16Be => 2,
            Self::U32Le | Self::U32Be | Self::F32Le | Self::F32Be => 4,
        }
    }

    /// Returns numpy's name for the type, such as `<u2`.
    pub const fn dtype(self) -> &'static str {
        match self {
            Self::U8 => "u1",
            Self::U16Le => "<u2",
            Self::U16Be => ">u2",
            Self::U32Le => "<u4",
            Self::U32Be => ">u4",
            Self::F16Le => "<f2",
            Self::F16Be => ">f2",
            Self::F32Le => "<f4",
            Self::F32Be => ">f4",
        }
    }
}

/// One plane of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plane {
    /// log2 of the horizontal subsampling.
    pub w_shift: u8,
    /// log2 of the vertical subsampling.
    pub h_shift: u8,
    /// Number of samples in a group; without groups, in one (subsampled) pixel.
    pub channels: u8,
    /// Number of (subsampled) pixels in a group: 1 except in opaque formats.
    pub group: u8,
}

/// One raw video format.
#[derive(Debug, PartialEq, Eq)]
pub struct VideoFormat {
    /// GStreamer's name, such as `NV12`.
    pub name: &'static str,
    /// How its pixels are arranged in memory.
    pub kind: Kind,
    /// Type of one sample; bytes for opaque and tiled formats.
    pub sample: Sample,
    /// The row width is rounded up to a multiple of this number of pixels. It is 2 if two pixels share their chroma.
    pub align: u8,
    /// Its planes. For tiled formats, only the number of planes is meaningful.
    pub planes: &'static [Plane],
}

/// Positions of the planes of one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    /// Bytes from one row to the next, for each plane; 0 after the last plane.
    pub strides: [u32; MAX_PLANES],
    /// Byte offset of each plane; 0 after the last plane.
    pub offsets: [u32; MAX_PLANES],
    /// Size of all planes together in bytes.
    pub size: usize,
}

impl VideoFormat {
    /// Returns the format with this name; `None` if it is not in the table.
    pub fn get(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }

    /// Returns the number of planes.
    pub const fn n_planes(&self) -> usize {
        self.planes.len()
    }

    /// Whether a picture in this format is a single array of bytes.
    const fn is_packed_bytes(&self) -> bool {
        matches!((self.kind, self.sample), (Kind::Packed, Sample::U8))
    }

    /// Returns the number of bytes in one row of `plane` without padding; 0 for tiled formats and planes that do not exist.
    pub fn row_bytes(&self, plane: usize, width: u32) -> usize {
        self.planes.get(plane).map_or(0, |plane| {
            let pixels = scale_up(width, plane.w_shift).next_multiple_of(usize::from(self.align));
            pixels.div_ceil(usize::from(plane.group)) * usize::from(plane.channels) * self.sample.bytes()
        })
    }

    /// Returns the number of rows in `plane`; 0 for planes that do not exist.
    pub fn rows(&self, plane: usize, height: u32) -> usize {
        self.planes.get(plane).map_or(0, |plane| scale_up(height, plane.h_shift))
    }

    /// Returns a layout with the planes back to back. Rows have no padding, or rows in the first plane start `stride0` bytes apart.
    ///
    /// The strides of the other planes are derived from the first stride in the same way as in GStreamer.
    ///
    /// # Errors
    /// If the format is tiled, the size is out of range, the stride is too small, or the picture is too large for the header.
    pub fn tight_layout(&self, width: u32, height: u32, stride0: Option<u32>) -> Result<Layout, Fault> {
        if self.kind == Kind::Tiled {
            return Err(Fault::Tiled { format: self.name });
        }
        for (field, value) in [("width", width), ("height", height)] {
            if !(1..=MAX_DIMENSION).contains(&value) {
                return Err(Fault::Size { field, value });
            }
        }
        if let Some(stride) = stride0
            && (stride as usize) < self.row_bytes(0, width)
        {
            return Err(Fault::Stride { plane: 0, stride, row_bytes: self.row_bytes(0, width) });
        }
        let mut layout = Layout::default();
        let mut size = 0;
        for plane in 0..self.n_planes() {
            let stride =
                stride0.map_or(self.row_bytes(plane, width) as u64, |stride0| self.follow_stride(plane, stride0));
            let field = |value| u32::try_from(value).map_err(|_| Fault::TooLarge { plane, bytes: value });
            layout.strides[plane] = field(stride)?;
            layout.offsets[plane] = field(size)?;
            // Each of the four planes is at most 2^32 · 2^15 bytes, so the sum is far below 2^64.
            size += stride * self.rows(plane, height) as u64;
        }
        layout.size = usize::try_from(size).map_err(|_| Fault::TooLarge { plane: 0, bytes: size })?;
        Ok(layout)
    }

    /// Returns the stride of `plane` if the stride of the first plane is `stride0` bytes.
    ///
    /// Source: `gst_video_format_info_extrapolate_stride()`, which scales the stride once for each component.
    fn follow_stride(&self, plane: usize, stride0: u32) -> u64 {
        let Plane { w_shift, channels, .. } = self.planes[plane];
        if plane == 0 || self.kind == Kind::Opaque {
            return stride0.into();
        }
        let bytes = self.sample.bytes() as u64;
        u64::from(stride0).div_ceil(bytes).div_ceil(1 << w_shift) * u64::from(channels) * bytes
    }
}

/// Returns the number of pixels in a plane that is subsampled by `2^shift`, rounded up.
fn scale_up(pixels: u32, shift: u8) -> usize {
    (pixels as usize).div_ceil(1 << shift)
}

/// Names of all formats in the table, in GStreamer's order.
pub const SUPPORTED_FORMATS: &[&str] = &{
    let mut names = [""; FORMATS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = FORMATS[at].name;
        at += 1;
    }
    names
};

/// Formats with pictures that are a single array of bytes, and their bytes per pixel: `("BGR", 3)`, `("YUY2", 2)`, `("GRAY8", 1)` …
pub const PACKED_FORMATS: &[(&str, usize)] = &{
    let mut packed = [("", 0); packed_count()];
    let (mut from, mut to) = (0, 0);
    while from < FORMATS.len() {
        if FORMATS[from].is_packed_bytes() {
            packed[to] = (FORMATS[from].name, FORMATS[from].planes[0].channels as usize);
            to += 1;
        }
        from += 1;
    }
    packed
};

const fn packed_count() -> usize {
    let (mut at, mut count) = (0, 0);
    while at < FORMATS.len() {
        count += FORMATS[at].is_packed_bytes() as usize;
        at += 1;
    }
    count
}

/// Returns the bytes per pixel if pictures in this format are a single array of bytes, such as 3 for `BGR`; `None` for all other formats.
pub fn format_channels(name: &str) -> Option<usize> {
    PACKED_FORMATS.iter().find(|(packed, _)| *packed == name).map(|(_, channels)| *channels)
}

/// Returns the number of rows in each plane of a picture that is `height` pixels high; `None` for unknown and tiled formats.
pub fn plane_heights(name: &str, height: u32) -> Option<Vec<usize>> {
    let format = VideoFormat::get(name).filter(|format| format.kind != Kind::Tiled)?;
    Some((0..format.n_planes()).map(|plane| format.rows(plane, height)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::header::FORMAT_LEN;

    fn layout(name: &str, width: u32, height: u32, stride0: Option<u32>) -> Layout {
        VideoFormat::get(name).unwrap().tight_layout(width, height, stride0).unwrap()
    }

    #[test]
    fn every_name_is_there_once_and_fits_the_header() {
        let mut names = SUPPORTED_FORMATS.to_vec();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        assert!(names.iter().all(|name| name.is_ascii() && name.len() < FORMAT_LEN), "{names:?}");
    }

    #[test]
    fn only_packed_formats_have_one_plane_of_whole_samples() {
        for format in FORMATS {
            assert!((1..=MAX_PLANES).contains(&format.n_planes()), "{}", format.name);
            let groups = format.planes.iter().any(|plane| plane.group > 1);
            assert_eq!(groups, format.kind == Kind::Opaque, "{}", format.name);
            match format.kind {
                Kind::Packed => assert_eq!(format.n_planes(), 1, "{}", format.name),
                Kind::Planes => assert!(format.n_planes() > 1, "{}", format.name),
                Kind::Opaque | Kind::Tiled => {}
            }
        }
    }

    #[test]
    fn an_odd_picture_rounds_its_chroma_up() {
        let nv12 = layout("NV12", 333, 177, None);
        assert_eq!((nv12.strides, nv12.offsets), ([333, 334, 0, 0], [0, 333 * 177, 0, 0]));
        assert_eq!(nv12.size, 333 * 177 + 334 * 89);
        let i420 = layout("I420", 333, 177, None);
        assert_eq!((i420.strides, i420.offsets[2]), ([333, 167, 167, 0], 333 * 177 + 167 * 89));
    }

    #[test]
    fn the_other_strides_follow_the_first() {
        assert_eq!(layout("I420", 640, 480, Some(704)).strides, [704, 352, 352, 0]);
        assert_eq!(layout("AV12", 640, 480, Some(704)).strides, [704, 704, 704, 0]);
        assert_eq!(layout("NV24", 640, 480, Some(704)).strides, [704, 1408, 0, 0]);
        assert_eq!(layout("NV12_10LE32", 640, 480, Some(896)).strides, [896, 896, 0, 0]);
    }

    #[test]
    fn a_layout_that_the_header_cannot_hold_is_refused() {
        let refused = |name, width, height, stride0| {
            VideoFormat::get(name).unwrap().tight_layout(width, height, stride0).unwrap_err()
        };
        assert!(matches!(refused("BGR", 0, 4, None), Fault::Size { field: "width", value: 0 }));
        assert!(matches!(refused("BGR", 4, MAX_DIMENSION + 1, None), Fault::Size { field: "height", .. }));
        assert_eq!(refused("BGR", 640, 480, Some(1919)), Fault::Stride { plane: 0, stride: 1919, row_bytes: 1920 });
        assert!(matches!(refused("GBR", 4, 32768, Some(u32::MAX)), Fault::TooLarge { plane: 1, .. }));
        assert_eq!(refused("RGB8P", 4, 4, None), Fault::Tiled { format: "RGB8P" });
    }

    #[test]
    fn only_interleaved_bytes_have_channels() {
        assert_eq!(["BGR", "RGBA", "YUY2", "GRAY8"].map(format_channels), [Some(3), Some(4), Some(2), Some(1)]);
        assert_eq!(["NV12", "GRAY16_LE", "RGB16", "v210", "nope"].map(format_channels), [None; 5]);
        assert!(PACKED_FORMATS.iter().all(|(name, channels)| format_channels(name) == Some(*channels)));
        assert_eq!(plane_heights("I420", 177), Some(vec![177, 89, 89]));
        assert_eq!(plane_heights("NV12_64Z32", 177), None);
    }
}
