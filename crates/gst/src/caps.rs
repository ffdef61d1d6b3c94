//! Caps for the elements and for received frames.

use std::sync::LazyLock;

use gst_plugin_iceoryx2_video::{MAX_DIMENSION, VideoFormat, VideoFrameHeader, check_caps};

use crate::trust;

/// Raw video in system memory, in every format that both this GStreamer and the wire format support.
///
/// The formats are in GStreamer's order of preference.
pub static SYSTEM_MEMORY: LazyLock<gst::Caps> = LazyLock::new(|| permanent(builder().build()));

/// Raw video in any memory. The sink accepts these caps when it links, so that it can explain later why it refuses other memory.
pub static ANY_MEMORY: LazyLock<gst::Caps> = LazyLock::new(|| {
    let mut caps = SYSTEM_MEMORY.copy();
    caps.make_mut().append(builder().any_features().build());
    permanent(caps)
});

/// Marks caps that live as long as the process, so that GStreamer's leak tracer does not report them.
pub fn permanent(mut caps: gst::Caps) -> gst::Caps {
    // SAFETY: `make_mut` returned the only reference, and any code may set this flag.
    unsafe { (*caps.make_mut().as_mut_ptr()).mini_object.flags |= gst::ffi::GST_MINI_OBJECT_FLAG_MAY_BE_LEAKED };
    caps
}

/// Returns the answer to a caps query.
pub fn filtered(caps: &gst::Caps, filter: Option<&gst::Caps>) -> gst::Caps {
    filter.map_or_else(|| caps.clone(), |filter| filter.intersect_with_mode(caps, gst::CapsIntersectMode::First))
}

/// Returns the pad templates for an element with one pad.
pub fn templates(direction: gst::PadDirection, caps: &gst::Caps) -> Vec<gst::PadTemplate> {
    let name = if direction == gst::PadDirection::Sink { "sink" } else { "src" };
    vec![gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps).expect("a valid template")]
}

/// Returns the converters that turn `caps` into accepted caps, in the syntax of `gst-launch-1.0`.
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
    // Each field is accepted on its own, so the combination must be the problem.
    if needed.is_empty() { "videoscale ! videoconvert".to_owned() } else { needed.join(" ! ") }
}

fn builder() -> gst_video::VideoCapsBuilder<gst::caps::NoFeature> {
    let formats =
        gst_video::VIDEO_FORMATS_ALL.iter().copied().filter(|format| VideoFormat::get(format.to_str()).is_some());
    let pixels = 1..=MAX_DIMENSION as i32;
    gst_video::VideoCapsBuilder::new().format_list(formats).width_range(pixels.clone()).height_range(pixels)
}

/// Returns the caps for a received frame: the publisher's if they are valid, otherwise caps built from the header.
///
/// The text is checked before it is parsed, because GStreamer's parser recurses once for each level of nesting.
pub fn of_frame(header: &VideoFrameHeader, text: &str) -> Result<gst::Caps, String> {
    let checked = (!text.is_empty() && check_caps(text, header).is_ok()).then(|| trust::caps(text)).flatten();
    if let Some(mut caps) = checked {
        let whole = caps.make_mut();
        if whole.structure(0).is_some_and(|structure| !structure.has_field("framerate")) {
            // The wire format does not require a framerate, but encoders and video sinks do.
            whole.set("framerate", gst::Fraction::new(0, 1));
        }
        let fits = |info: gst_video::VideoInfo| {
            info.width() == header.width && info.height() == header.height && info.name() == header.format_name()
        };
        // Downstream would refuse caps outside the template, and that would end the stream.
        if caps.is_fixed() && caps.is_subset(&SYSTEM_MEMORY) && gst_video::VideoInfo::from_caps(&caps).is_ok_and(fits) {
            return Ok(caps);
        }
    }
    let name = header.format_name();
    let format = gst_video::VideoFormat::from_string(name);
    if format == gst_video::VideoFormat::Unknown {
        return Err(format!("this GStreamer ({}) does not support the format {name}", gst::version_string()));
    }
    gst_video::VideoInfo::builder(format, header.width, header.height)
        .build()
        .and_then(|info| info.to_caps())
        .map_err(|error| format!("{name} {}x{}: {error}", header.width, header.height))
}
