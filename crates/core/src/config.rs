//! Settings for services, elements and frames.

use crate::wire::fault::Fault;
use crate::wire::formats::VideoFormat;
use crate::wire::header::{
    NONE, VIDEO_BORROWED_MAX, VIDEO_BUFFER_SIZE, VIDEO_HISTORY_SIZE, VIDEO_SAFE_OVERFLOW, VideoFrameHeader,
};

/// Quality of service for creating a service.
///
/// # Examples
/// ```
/// use gst_plugin_iceoryx2_video::Qos;
///
/// let qos = Qos { buffer_size: 3, ..Qos::default() };
/// assert_eq!((qos.borrowed_max, qos.safe_overflow), (10, true));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Qos {
    /// Number of frames that can wait for a busy subscriber.
    pub buffer_size: u32,
    /// Number of frames that a subscriber may hold at once.
    pub borrowed_max: u32,
    /// Number of past frames that a late subscriber receives; 0 means only the newest frame (SPEC §1).
    pub history_size: u32,
    /// Whether a full buffer drops its oldest frame (true) or the new frame (false).
    pub safe_overflow: bool,
}

impl Default for Qos {
    fn default() -> Self {
        Self {
            buffer_size: VIDEO_BUFFER_SIZE,
            borrowed_max: VIDEO_BORROWED_MAX,
            history_size: VIDEO_HISTORY_SIZE,
            safe_overflow: VIDEO_SAFE_OVERFLOW,
        }
    }
}

/// Value of an element property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropValue {
    /// A string.
    Str(String),
    /// An unsigned 32-bit integer, GLib's `guint`.
    Uint(u32),
    /// A boolean.
    Bool(bool),
}

/// Settings for an `iceoryx2sink`, as element properties.
///
/// # Examples
/// ```
/// use gst_plugin_iceoryx2_video::{PropValue, SinkConfig};
///
/// let config = SinkConfig { buffer_size: 3, ..SinkConfig::new("video/cam0/frame/v2") };
/// assert!(config.gst_properties().contains(&("buffer-size", PropValue::Uint(3))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkConfig {
    /// Name of the service.
    pub service: String,
    /// Size of the largest frame in bytes; 0 means that the element derives it from the caps.
    pub max_bytes: u32,
    /// See [`Qos::buffer_size`].
    pub buffer_size: u32,
    /// See [`Qos::borrowed_max`].
    pub borrowed_max: u32,
    /// See [`Qos::history_size`].
    pub history_size: u32,
    /// See [`Qos::safe_overflow`].
    pub safe_overflow: bool,
}

impl SinkConfig {
    /// Returns the default settings for a service.
    pub fn new(service: impl Into<String>) -> Self {
        let Qos { buffer_size, borrowed_max, history_size, safe_overflow } = Qos::default();
        Self { service: service.into(), max_bytes: 0, buffer_size, borrowed_max, history_size, safe_overflow }
    }

    /// Returns the names and values of the element's properties.
    pub fn gst_properties(&self) -> Vec<(&'static str, PropValue)> {
        vec![
            ("service", PropValue::Str(self.service.clone())),
            ("max-bytes", PropValue::Uint(self.max_bytes)),
            ("buffer-size", PropValue::Uint(self.buffer_size)),
            ("borrowed-max", PropValue::Uint(self.borrowed_max)),
            ("history-size", PropValue::Uint(self.history_size)),
            ("safe-overflow", PropValue::Bool(self.safe_overflow)),
        ]
    }
}

/// Describes the pixels in a frame that a publisher sends.
///
/// # Examples
/// ```
/// use gst_plugin_iceoryx2_video::FrameParams;
///
/// let params = FrameParams { width: 640, height: 480, format: "NV12", ..FrameParams::default() };
/// let (header, size) = params.header()?;
/// assert_eq!((header.n_planes, size), (2, 640 * 480 * 3 / 2));
/// # Ok::<(), gst_plugin_iceoryx2_video::Fault>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameParams<'a> {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// GStreamer's name for the format, such as `BGR`.
    pub format: &'a str,
    /// Ignored, because the format determines the number of planes. The field exists for programs that set it.
    pub n_planes: u32,
    /// Number of bytes from one row of the first plane to the next; `None` means rows without padding.
    ///
    /// With `None`, [`publish_frame`](crate::VideoFramePublisher::publish_frame) also accepts padded pixels if the format has one plane.
    /// Each row is then length / height bytes, which must be a whole number.
    pub stride0: Option<u32>,
    /// Number of the frame; [`NONE`] if the publisher does not count frames.
    pub offset: u64,
    /// Presentation timestamp in nanoseconds; [`NONE`] if there is none.
    pub pts: u64,
}

impl Default for FrameParams<'_> {
    fn default() -> Self {
        Self { width: 0, height: 0, format: "BGR", n_planes: 1, stride0: None, offset: 0, pts: 0 }
    }
}

impl FrameParams<'_> {
    /// Returns the header for such a frame, without an aux blob, and the number of its pixel bytes.
    ///
    /// # Errors
    /// A [`Fault`] if the format is unknown or tiled, or the size or stride is out of range.
    pub fn header(&self) -> Result<(VideoFrameHeader, usize), Fault> {
        let format = VideoFormat::get(self.format).ok_or_else(|| Fault::Format { name: self.format.to_owned() })?;
        let layout = format.tight_layout(self.width, self.height, self.stride0)?;
        let mut header = VideoFrameHeader {
            pts: self.pts,
            dts: NONE,
            duration: NONE,
            offset: self.offset,
            width: self.width,
            height: self.height,
            n_planes: format.n_planes() as u32,
            stride: layout.strides,
            plane_offsets: layout.offsets,
            ..VideoFrameHeader::default()
        };
        header.format[..format.name.len()].copy_from_slice(format.name.as_bytes());
        Ok((header, layout.size))
    }

    /// Returns the header for such a frame with `given` pixel bytes. If `stride0` is `None`, the row padding is derived from `given`.
    ///
    /// # Errors
    /// The errors of [`header`](Self::header), and [`Fault::Padding`] if no row padding matches `given`.
    pub(crate) fn header_of(&self, given: usize) -> Result<VideoFrameHeader, Fault> {
        let (header, tight) = self.header()?;
        if self.stride0.is_some() || given == tight {
            return Ok(header);
        }
        let format = VideoFormat::get(self.format).ok_or_else(|| Fault::Format { name: self.format.to_owned() })?;
        let (width, height) = (self.width, self.height);
        let rows = height as usize;
        let stride0 = u32::try_from(given / rows).ok().filter(|&stride| {
            format.n_planes() == 1 && given.is_multiple_of(rows) && stride as usize > format.row_bytes(0, width)
        });
        let stride0 = stride0.ok_or(Fault::Padding { format: format.name, width, height, tight, given })?;
        Ok(Self { stride0: Some(stride0), ..*self }.header()?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_properties_have_the_elements_names_and_defaults() {
        let expected = |buffer_size| {
            [
                ("service", PropValue::Str("video/cam0/frame/v2".into())),
                ("max-bytes", PropValue::Uint(0)),
                ("buffer-size", PropValue::Uint(buffer_size)),
                ("borrowed-max", PropValue::Uint(10)),
                ("history-size", PropValue::Uint(0)),
                ("safe-overflow", PropValue::Bool(true)),
            ]
        };
        let mut config = SinkConfig::new("video/cam0/frame/v2");
        assert_eq!(config.gst_properties(), expected(10));
        config.buffer_size = 3;
        assert_eq!(config.gst_properties(), expected(3));
    }

    #[test]
    fn parameters_without_a_stride_mean_tight_rows() {
        let (header, size) = FrameParams { width: 333, height: 177, ..Default::default() }.header().unwrap();
        assert_eq!((header.stride[0], header.n_planes, size), (999, 1, 999 * 177));
        assert_eq!((header.format_name(), header.dts, header.duration), ("BGR", NONE, NONE));
    }

    #[test]
    fn parameters_name_the_format_that_is_unknown() {
        let error = FrameParams { format: "BRG", width: 4, height: 4, ..Default::default() }.header().unwrap_err();
        assert!(error.to_string().contains("\"BRG\""), "{error}");
    }
}
