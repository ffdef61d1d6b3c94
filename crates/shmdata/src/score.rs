//! Formats and frame rates that ossia score's Shmdata input accepts.

/// Pixel formats that score displays without conversion, by their GStreamer names. The Python package has the same list in `score.py`.
#[rustfmt::skip]
pub const FORMATS: [&str; 52] = [
    "RGBA", "BGRA", "RGBx", "BGRx", "ARGB", "ABGR", "xRGB", "xBGR", "RGB", "I420", "NV12", "NV21", "NV16", "NV24",
    "UYVY", "YUY2", "YVYU", "Y444", "GRAY8", "A420", "GBR", "GBRA", "GRAY16_LE", "GRAY16_BE", "RGBA64_LE",
    "RGBA64_BE", "AYUV64", "I420_10LE", "I420_10BE", "I422_10LE", "I422_10BE", "Y444_10LE", "Y444_10BE",
    "I420_12LE", "I420_12BE", "I422_12LE", "I422_12BE", "Y444_12LE", "Y444_12BE", "Y444_16LE", "Y444_16BE",
    "A420_10LE", "A420_10BE", "A422_10LE", "A422_10BE", "A444_10LE", "A444_10BE", "P010_10LE", "P010_10BE",
    "P016_LE", "P016_BE", "Y210",
];

/// Frame rate to send if the real one is not known, because score refuses a type text without a frame rate.
pub const FRAMERATE: i32 = 30;
