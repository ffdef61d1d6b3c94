//! The table of formats, one entry a format.

use self::shape::{
    C1, C3, C4, IYU1, P410, P411, P420, P422, P444, P4204, P4224, P4444, SEMI420, SEMI420_10IN32, SEMI420_10IN40,
    SEMI422, SEMI422_10IN32, SEMI422_10IN40, SEMI444, SEMI4204, TEN_IN_32, UYVP, V210,
};
use super::Sample::{F16Be, F16Le, F32Be, F32Le, U8, U16Be, U16Le, U32Be, U32Le};
use super::{Kind, Plane, Sample, VideoFormat};

/// Shorthands for the rows of the table.
mod shape {
    use crate::wire::formats::Plane;

    const fn plane(w_shift: u8, h_shift: u8, channels: u8) -> Plane {
        Plane { w_shift, h_shift, channels, group: 1 }
    }

    /// `bytes` for every `group` pixels.
    const fn packed_into(bytes: u8, group: u8, h_shift: u8) -> Plane {
        Plane { w_shift: 0, h_shift, channels: bytes, group }
    }

    /// A plane of the full picture.
    const FULL: Plane = plane(0, 0, 1);

    pub const C1: &[Plane] = &[FULL];
    pub const C2: &[Plane] = &[plane(0, 0, 2)];
    pub const C3: &[Plane] = &[plane(0, 0, 3)];
    pub const C4: &[Plane] = &[plane(0, 0, 4)];

    pub const P410: &[Plane] = &[FULL, plane(2, 2, 1), plane(2, 2, 1)];
    pub const P411: &[Plane] = &[FULL, plane(2, 0, 1), plane(2, 0, 1)];
    pub const P420: &[Plane] = &[FULL, plane(1, 1, 1), plane(1, 1, 1)];
    pub const P422: &[Plane] = &[FULL, plane(1, 0, 1), plane(1, 0, 1)];
    pub const P444: &[Plane] = &[FULL; 3];
    pub const P4204: &[Plane] = &[FULL, plane(1, 1, 1), plane(1, 1, 1), FULL];
    pub const P4224: &[Plane] = &[FULL, plane(1, 0, 1), plane(1, 0, 1), FULL];
    pub const P4444: &[Plane] = &[FULL; 4];
    pub const SEMI420: &[Plane] = &[FULL, plane(1, 1, 2)];
    pub const SEMI422: &[Plane] = &[FULL, plane(1, 0, 2)];
    pub const SEMI444: &[Plane] = &[FULL, plane(0, 0, 2)];
    pub const SEMI4204: &[Plane] = &[FULL, plane(1, 1, 2), FULL];

    /// 4 bytes for every 3 samples.
    pub const TEN_IN_32: &[Plane] = &[packed_into(4, 3, 0)];
    pub const SEMI420_10IN32: &[Plane] = &[packed_into(4, 3, 0), packed_into(4, 3, 1)];
    pub const SEMI422_10IN32: &[Plane] = &[packed_into(4, 3, 0), packed_into(4, 3, 0)];
    /// 5 bytes for every 4 samples.
    pub const SEMI420_10IN40: &[Plane] = &[packed_into(5, 4, 0), packed_into(5, 4, 1)];
    pub const SEMI422_10IN40: &[Plane] = &[packed_into(5, 4, 0), packed_into(5, 4, 0)];
    pub const V210: &[Plane] = &[packed_into(16, 6, 0)];
    pub const UYVP: &[Plane] = &[packed_into(5, 2, 0)];
    pub const IYU1: &[Plane] = &[packed_into(6, 4, 0)];

    /// Two planes of which GStreamer alone knows more.
    pub const TILED: &[Plane] = &[plane(0, 0, 0); 2];
}

const fn planes(name: &'static str, sample: Sample, planes: &'static [Plane]) -> VideoFormat {
    VideoFormat { name, kind: Kind::Planes, sample, align: 1, planes }
}

const fn packed(name: &'static str, sample: Sample, planes: &'static [Plane]) -> VideoFormat {
    VideoFormat { name, kind: Kind::Packed, sample, align: 1, planes }
}

/// Two luma samples that share their chroma samples: half a pixel is no pixel.
const fn paired(name: &'static str, sample: Sample) -> VideoFormat {
    VideoFormat { name, kind: Kind::Packed, sample, align: 2, planes: shape::C2 }
}

const fn opaque(name: &'static str, planes: &'static [Plane]) -> VideoFormat {
    VideoFormat { name, kind: Kind::Opaque, sample: Sample::U8, align: 1, planes }
}

const fn tiled(name: &'static str) -> VideoFormat {
    VideoFormat { name, kind: Kind::Tiled, sample: Sample::U8, align: 1, planes: shape::TILED }
}

/// Every raw video format that may be named.
///
/// Source: `video-format.c` and `video-info.c` of GStreamer, up to its development branch before 1.30.
#[rustfmt::skip]
pub static FORMATS: &[VideoFormat] = &[
    packed("GRAY8", U8, C1), packed("GRAY16_LE", U16Le, C1), packed("GRAY16_BE", U16Be, C1), packed("GRAY10_LE16", U16Le, C1),

    packed("RGB", U8, C3), packed("BGR", U8, C3), packed("v308", U8, C3), packed("IYU2", U8, C3),
    packed("RGBx", U8, C4), packed("BGRx", U8, C4), packed("xRGB", U8, C4), packed("xBGR", U8, C4),
    packed("RGBA", U8, C4), packed("BGRA", U8, C4), packed("ARGB", U8, C4), packed("ABGR", U8, C4),
    packed("RBGA", U8, C4), packed("AYUV", U8, C4), packed("VUYA", U8, C4),
    paired("YUY2", U8), paired("UYVY", U8), paired("YVYU", U8), paired("VYUY", U8),

    packed("RGB16", U16Le, C1), packed("BGR16", U16Le, C1), packed("RGB15", U16Le, C1), packed("BGR15", U16Le, C1),
    paired("v216", U16Le), paired("Y210", U16Le),
    paired("Y212_LE", U16Le), paired("Y212_BE", U16Be), paired("Y216_LE", U16Le), paired("Y216_BE", U16Be),
    packed("Y412_LE", U16Le, C4), packed("Y412_BE", U16Be, C4), packed("Y416_LE", U16Le, C4), packed("Y416_BE", U16Be, C4),
    packed("AYUV64", U16Le, C4), packed("ARGB64", U16Le, C4),
    packed("ARGB64_LE", U16Le, C4), packed("ARGB64_BE", U16Be, C4), packed("RGBA64_LE", U16Le, C4), packed("RGBA64_BE", U16Be, C4),
    packed("BGRA64_LE", U16Le, C4), packed("BGRA64_BE", U16Be, C4), packed("ABGR64_LE", U16Le, C4), packed("ABGR64_BE", U16Be, C4),

    packed("r210", U32Be, C1), packed("Y410", U32Le, C1),
    packed("BGR10A2_LE", U32Le, C1), packed("RGB10A2_LE", U32Le, C1), packed("BGR10x2_LE", U32Le, C1), packed("RGB10x2_LE", U32Le, C1),

    packed("RGBA_F16LE", F16Le, C4), packed("RGBA_F16BE", F16Be, C4), packed("RGBA_F32LE", F32Le, C4), packed("RGBA_F32BE", F32Be, C4),

    planes("I420", U8, P420), planes("YV12", U8, P420), planes("Y41B", U8, P411), planes("Y42B", U8, P422),
    planes("YUV9", U8, P410), planes("YVU9", U8, P410), planes("Y444", U8, P444),
    planes("GBR", U8, P444), planes("RGBP", U8, P444), planes("BGRP", U8, P444), planes("GBRA", U8, P4444),
    planes("A420", U8, P4204), planes("A422", U8, P4224), planes("A444", U8, P4444),
    planes("NV12", U8, SEMI420), planes("NV21", U8, SEMI420), planes("NV16", U8, SEMI422), planes("NV61", U8, SEMI422),
    planes("NV24", U8, SEMI444), planes("AV12", U8, SEMI4204),

    planes("I420_10LE", U16Le, P420), planes("I420_10BE", U16Be, P420), planes("I420_12LE", U16Le, P420), planes("I420_12BE", U16Be, P420),
    planes("I422_10LE", U16Le, P422), planes("I422_10BE", U16Be, P422), planes("I422_12LE", U16Le, P422), planes("I422_12BE", U16Be, P422),
    planes("Y444_10LE", U16Le, P444), planes("Y444_10BE", U16Be, P444), planes("Y444_12LE", U16Le, P444), planes("Y444_12BE", U16Be, P444),
    planes("Y444_16LE", U16Le, P444), planes("Y444_16BE", U16Be, P444),
    planes("GBR_10LE", U16Le, P444), planes("GBR_10BE", U16Be, P444), planes("GBR_12LE", U16Le, P444), planes("GBR_12BE", U16Be, P444),
    planes("GBR_16LE", U16Le, P444), planes("GBR_16BE", U16Be, P444),
    planes("GBRA_10LE", U16Le, P4444), planes("GBRA_10BE", U16Be, P4444), planes("GBRA_12LE", U16Le, P4444), planes("GBRA_12BE", U16Be, P4444),
    planes("A420_10LE", U16Le, P4204), planes("A420_10BE", U16Be, P4204), planes("A420_12LE", U16Le, P4204), planes("A420_12BE", U16Be, P4204),
    planes("A420_16LE", U16Le, P4204), planes("A420_16BE", U16Be, P4204),
    planes("A422_10LE", U16Le, P4224), planes("A422_10BE", U16Be, P4224), planes("A422_12LE", U16Le, P4224), planes("A422_12BE", U16Be, P4224),
    planes("A422_16LE", U16Le, P4224), planes("A422_16BE", U16Be, P4224),
    planes("A444_10LE", U16Le, P4444), planes("A444_10BE", U16Be, P4444), planes("A444_12LE", U16Le, P4444), planes("A444_12BE", U16Be, P4444),
    planes("A444_16LE", U16Le, P4444), planes("A444_16BE", U16Be, P4444),
    planes("P010_10LE", U16Le, SEMI420), planes("P010_10BE", U16Be, SEMI420), planes("P012_LE", U16Le, SEMI420), planes("P012_BE", U16Be, SEMI420),
    planes("P016_LE", U16Le, SEMI420), planes("P016_BE", U16Be, SEMI420),

    opaque("v210", V210), opaque("UYVP", UYVP), opaque("IYU1", IYU1), opaque("GRAY10_LE32", TEN_IN_32),
    opaque("NV12_10LE32", SEMI420_10IN32), opaque("NV16_10LE32", SEMI422_10IN32),
    opaque("NV12_10LE40", SEMI420_10IN40), opaque("NV16_10LE40", SEMI422_10IN40),

    tiled("RGB8P"), tiled("NV12_64Z32"), tiled("NV12_4L4"), tiled("NV12_32L32"), tiled("NV12_16L32S"), tiled("NV12_8L128"),
    tiled("NV12_10BE_8L128"), tiled("NV12_10LE40_4L4"), tiled("MT2110T"), tiled("MT2110R"),
];
