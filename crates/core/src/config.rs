//! Settings of services, elements and frames.

use crate::wire::fault::Fault;
use crate::wire::formats::VideoFormat;
use crate::wire::header::{
    NONE, VIDEO_BORROWED_MAX, VIDEO_BUFFER_SIZE, VIDEO_HISTORY_SIZE, VIDEO_SAFE_OVERFLOW, VideoFrameHeader,
};

/// Quality of service of the services that we create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Qos {
    /// Samples that wait for a subscriber that is busy.
    pub buffer_size: u32,
    /// Samples that a subscriber may hold at once.
    pub borrowed_max: u32,
    /// Samples that a late subscriber gets; 0 stands for the newest one (SPEC §1).
    pub history_size: u32,
    /// Whether a full buffer loses its oldest sample rather than blocking the publisher.
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

/// Value of an element's property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropValue {
    /// A string.
    Str(String),
    /// An unsigned integer of 32 bits, GLib's `guint`.
    Uint(u32),
    /// A boolean.
    Bool(bool),
}

/// Settings of an `iceoryx2sink`, for an application that owns the names of its services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkConfig {
    /// Name of the service.
    pub service: String,
    /// Bytes of the largest frame; 0 derives them from the caps.
    pub max_bytes: u32,
    /// As in [`Qos`].
    pub buffer_size: u32,
    /// As in [`Qos`].
    pub borrowed_max: u32,
    /// As in [`Qos`].
    pub history_size: u32,
    /// As in [`Qos`].
    pub safe_overflow: bool,
}

impl SinkConfig {
    /// The documented defaults on the service of that name.
    pub fn new(service: impl Into<String>) -> Self {
        let Qos { buffer_size, borrowed_max, history_size, safe_overflow } = Qos::default();
        Self { service: service.into(), max_bytes: 0, buffer_size, borrowed_max, history_size, safe_overflow }
    }

    /// Names and values of the element's properties.
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

/// What a publisher says about the pixels it hands over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameParams<'a> {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// GStreamer's name of the format.
    pub format: &'a str,
    /// Not used: the format knows its planes. Kept for programs that set it.
    pub n_planes: u32,
    /// Bytes from one row of the first plane to the next; `None` for rows without padding.
    ///
    /// [`publish_frame`](crate::VideoFramePublisher::publish_frame) takes pixels of another length as rows of length / height bytes,
    /// if the format has one plane and the length divides.
    pub stride0: Option<u32>,
    /// Frame counter; [`NONE`] if the publisher does not count.
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
    /// The header of such a frame, without aux blob, and the bytes its pixels take.
    ///
    /// # Errors
    /// If the format is unknown or tiled, or the size or stride is out of range.
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

    /// The header of such a frame in pixels of so many bytes: without `stride0` these tell how the rows are padded.
    ///
    /// # Errors
    /// As [`header`](Self::header), and [`Fault::Padding`] if the pixels have no such rows.
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
