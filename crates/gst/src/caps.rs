//! Caps of both elements, and caps of received frames.

use std::sync::LazyLock;

use gst_plugin_iceoryx2_video::{MAX_DIMENSION, VideoFormat, VideoFrameHeader, check_caps};

use crate::trust;

/// Raw video in system memory in every format that this GStreamer and the wire contract know.
///
/// In GStreamer's own order of preference, which decides where neither side does.
pub static SYSTEM_MEMORY: LazyLock<gst::Caps> = LazyLock::new(|| for_ever(builder().build()));

/// The same in any memory: what the sink links with, so that it can say why it refuses the rest.
pub static ANY_MEMORY: LazyLock<gst::Caps> = LazyLock::new(|| {
    let mut caps = SYSTEM_MEMORY.copy();
    caps.make_mut().append(builder().any_features().build());
    for_ever(caps)
});

/// Caps that live as long as the process, and no leak to GStreamer's tracer.
pub fn for_ever(mut caps: gst::Caps) -> gst::Caps {
    // SAFETY: `make_mut` made this the only reference; the flag is one of those that may be set by anybody.
    unsafe { (*caps.make_mut().as_mut_ptr()).mini_object.flags |= gst::ffi::GST_MINI_OBJECT_FLAG_MAY_BE_LEAKED };
    caps
}

/// What turns these caps into some that an element behind accepts, as `gst-launch-1.0` has it.
pub fn converters(caps: &gst::Caps, accepted: &gst::Caps) -> String {
    const FIELDS: [(&str, &[&str]); 4] = [
        ("deinterlace", &["interlace-mode", "field-order"]),
        ("videorate", &["framerate"]),
        ("videoscale", &["width", "height", "pixel-aspect-ratio"]),
        ("videoconvert", &["format", "colorimetry", "chroma-site"]),
    ];
    let is_refused = |fields: &[&str]| {
        let mut part = caps.copy();
        part.make_mut().iter_mut().for_each(|whole| {
            whole.filter_map_in_place(|field, value| fields.iter().any(|name| field.as_str() == *name).then_some(value))
        });
        !part.can_intersect(accepted)
    };
    let needed: Vec<_> = FIELDS.iter().filter(|(_, fields)| is_refused(fields)).map(|(element, _)| *element).collect();
    // Each of them alone is accepted, in some combination.
    if needed.is_empty() { "videoscale ! videoconvert".to_owned() } else { needed.join(" ! ") }
}

fn builder() -> gst_video::VideoCapsBuilder<gst::caps::NoFeature> {
    let formats =
        gst_video::VIDEO_FORMATS_ALL.iter().copied().filter(|format| VideoFormat::get(format.to_str()).is_some());
    let pixels = 1..=MAX_DIMENSION as i32;
    gst_video::VideoCapsBuilder::new().format_list(formats).width_range(pixels.clone()).height_range(pixels)
}

/// Caps of a received frame: the publisher's own if it sent any that parse, else what the header says.
///
/// The text is checked first: GStreamer's parser recurses as deep as a text tells it to.
pub fn of_frame(header: &VideoFrameHeader, text: &str) -> Result<gst::Caps, String> {
    let checked = (!text.is_empty() && check_caps(text, header).is_ok()).then(|| trust::caps(text)).flatten();
    if let Some(mut caps) = checked {
        let whole = caps.make_mut();
        if whole.structure(0).is_some_and(|structure| !structure.has_field("framerate")) {
            // Optional on the wire; encoders and video sinks accept no caps without it.
            whole.set("framerate", gst::Fraction::new(0, 1));
        }
        let fits = |info: gst_video::VideoInfo| {
            info.width() == header.width && info.height() == header.height && info.name() == header.format_name()
        };
        // Other caps than the template promises would be refused downstream, and end the stream.
        if caps.is_fixed() && caps.is_subset(&SYSTEM_MEMORY) && gst_video::VideoInfo::from_caps(&caps).is_ok_and(fits) {
            return Ok(caps);
        }
    }
    let name = header.format_name();
    let format = gst_video::VideoFormat::from_string(name);
    if format == gst_video::VideoFormat::Unknown {
        return Err(format!("this GStreamer ({}) does not know the format {name}", gst::version_string()));
    }
    gst_video::VideoInfo::builder(format, header.width, header.height)
        .build()
        .and_then(|info| info.to_caps())
        .map_err(|error| format!("{name} {}x{}: {error}", header.width, header.height))
}
