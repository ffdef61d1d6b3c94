//! Text of others that GStreamer's parser is given: caps, reference caps, custom metas.
//!
//! The core has bounded its length and its brackets. That is not enough for this parser: a type in parentheses may be any registered
//! one, and some bring parsers of their own, which log criticals (`(GstCapsFeatures)`, ranges) or never come back (`(sample)`, whose
//! base64 holds text nested as deep as anybody likes). Names stay in memory for ever. So fields of other types than those below are left
//! out, and so are names when there have been too many, and fields of pictures whose value means nothing there.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use gst_plugin_iceoryx2_video::{Caps, Structure, Value};

use crate::log::CAT;

/// Distinct names that this process learns from others at most.
const MAX_NAMES: usize = 4096;

/// Types beyond those of [`Value`] whose text is one word. Their readers take numbers, dates and names of flags.
const WORD_TYPES: [&str; 25] = [
    "uint",
    "u",
    "guint",
    "guint64",
    "uchar",
    "guchar",
    "glong",
    "gulong",
    "float",
    "f",
    "gfloat",
    "bitmask",
    "GstBitmask",
    "date",
    "GDate",
    "datetime",
    "GstDateTime",
    "gdatetime",
    "GDateTime",
    "flagset",
    "GstFlagSet",
    "GstVideoMultiviewMode",
    "GstVideoMultiviewFlags",
    "GstVideoMultiviewFlagsSet",
    "GstVideoMultiviewFramePacking",
];

/// What `multiview-mode` can be. GStreamer logs a GLib warning for anything else, each time that it reads the caps.
/// Source: `gst_video_multiview_mode_from_caps_string()`, gst-libs/gst/video/video-multiview.c.
const MULTIVIEW_MODES: [&str; 12] = [
    "mono",
    "left",
    "right",
    "side-by-side",
    "side-by-side-quincunx",
    "column-interleaved",
    "row-interleaved",
    "top-bottom",
    "checkerboard",
    "frame-by-frame",
    "multiview-frame-by-frame",
    "separated",
];

/// A structure from its text, without the fields that are not to be trusted; `None` if nothing is left to parse.
///
/// Written anew for the parser: of what has no type in parentheses, each GStreamer makes something else, some with a warning.
pub fn structure(text: &str) -> Option<gst::Structure> {
    let read = Structure::parse(text).ok()?;
    if !admit([&read.name]) {
        return None;
    }
    Structure { fields: trusted(read.fields), ..read }.to_text().ok()?.parse().ok()
}

/// Caps of one structure from their text, without the fields that are not to be trusted; `None` if nothing is left to parse.
pub fn caps(text: &str) -> Option<gst::Caps> {
    let read = Caps::parse(text).ok()?;
    if !read.features.iter().all(|feature| is_feature(feature)) || !admit(read.features.iter().chain([&read.media])) {
        return None;
    }
    let mut fields = trusted(read.fields);
    // What does not equal itself is in no intersection: elements would refuse the stream.
    fields.retain(|(_, value)| !has_nan(value));
    if read.media.starts_with("video/") || read.media.starts_with("image/") {
        fields.retain(|(name, value)| means_something(name, value));
    }
    let text = Structure { name: read.media.clone(), fields }.to_text().ok()?;
    let fields = text.strip_prefix(&read.media)?.trim_end_matches(';');
    let features = if read.features.is_empty() { String::new() } else { format!("({})", read.features.join(", ")) };
    format!("{}{features}{fields}", read.media).parse().ok()
}

fn trusted(mut fields: Vec<(String, Value)>) -> Vec<(String, Value)> {
    fields.retain(|(name, value)| {
        let keep = is_trusted(value) && admit([name]);
        if !keep {
            gst::debug!(CAT, "field {name} left out: {value:?}");
        }
        keep
    });
    fields
}

fn is_trusted(value: &Value) -> bool {
    let Value::Raw(text) = value else {
        // Read by ourselves; what remains to be read is numbers, words and strings.
        return true;
    };
    if text == "(string)NULL" {
        return true;
    }
    let text = match text.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((name, rest)) if WORD_TYPES.contains(&name.trim_ascii()) => rest,
        Some(_) => return false,
        None => text,
    };
    // Words, or lists and arrays of words: no quotes, in which there could be anything, no types within, no ranges. A NULL among
    // the items of a list is read, and cannot be written again.
    text.bytes().all(|byte| !matches!(byte, b'"' | b'(' | b')' | b'[' | b']')) && !text.contains("NULL")
}

/// Caps of a stream from their text: fixed, and of raw video with all that makes them a picture; `None` for any other text.
pub fn stream_caps(text: &str) -> Option<gst::Caps> {
    let caps = caps(text).filter(|caps| caps.is_fixed())?;
    let is_raw_video = caps.structure(0).is_some_and(|structure| structure.name() == "video/x-raw");
    (!is_raw_video || gst_video::VideoInfo::from_caps(&caps).is_ok()).then_some(caps)
}

fn has_nan(value: &Value) -> bool {
    match value {
        Value::Double(number) => number.is_nan(),
        Value::List(items) | Value::Array(items) => items.iter().any(has_nan),
        _ => false,
    }
}

/// Whether a field of a picture's caps has a value that elements can work with: with others some log criticals.
///
/// Of the fields that `gst_video_info_from_caps()` reads, it takes an unknown interlace-mode, field-order, colorimetry, chroma-site or
/// multiview-flags for the default without a complaint: these may be names of a newer release, and are handed on.
fn means_something(name: &str, value: &Value) -> bool {
    match (name, value) {
        ("width" | "height" | "views", value) => matches!(value, Value::Int(1..)),
        ("framerate" | "max-framerate", value) => matches!(value, Value::Fraction(0.., 1..)),
        ("pixel-aspect-ratio", value) => matches!(value, Value::Fraction(1.., 1..)),
        ("multiview-mode", Value::Str(mode)) => MULTIVIEW_MODES.contains(&mode.as_str()),
        ("multiview-mode", _) => false,
        _ => true,
    }
}

/// Whether GStreamer takes this for the name of a caps feature without a warning.
fn is_feature(name: &str) -> bool {
    name.split_once(':').is_some_and(|(scope, name)| {
        scope.bytes().all(|byte| byte.is_ascii_alphabetic())
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Whether these names may become known to this process, for ever.
fn admit<'a>(names: impl IntoIterator<Item = &'a String>) -> bool {
    static NAMES: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
    let mut known = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.into_iter().all(|name| {
        if known.contains(name) {
            return true;
        }
        if known.len() == MAX_NAMES {
            gst::debug!(CAT, "{name} left out: {MAX_NAMES} names are known already");
            return false;
        }
        known.insert(name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<String> {
        gst::init().unwrap();
        structure(text).unwrap().fields().map(ToString::to_string).collect()
    }

    #[test]
    fn ordinary_values_reach_gstreamer() {
        let text = "x, a=(int)1, b=(double)0.5, c=\"a b\", d=(fraction)1/2, e=(boolean)true, f=(int){ 1, 2 }, g=(string)< a, b >, \
                    h=(uint)5, i=(guint64)18446744073709551615, j=(bitmask)0x3, k=(float){ 0.5, 1.5 }, l=(date)2026-01-31, m={ 1, a }";
        assert_eq!(fields(text).concat(), "abcdefghijklm");
    }

    #[test]
    // proves: C4
    fn values_with_parsers_of_their_own_do_not() {
        let text = "x, a=(GstCapsFeatures)1, b=(structure)\"y\\,\\ a\\=\\(int\\)1\\;\", c=(GstCaps)\"video/x-raw\", \
                    f=(taglist)\"taglist\\;\", g={ (uint)1, 1 }, h=(uint){ \"1\" }, i={ NULL, a }, n=(string)NULL, ok=(int)1";
        assert_eq!(fields(text), ["n", "ok"]);
    }

    #[test]
    fn caps_lose_the_fields_only() {
        gst::init().unwrap();
        let text = "video/x-raw(memory:SystemMemory), format=(string)BGR, s=(GstCapsFeatures)1, width=(int)5";
        let read = caps(text).unwrap();
        let expected = "video/x-raw(memory:SystemMemory), format=(string)BGR, width=(int)5";
        assert!(read.is_strictly_equal(&expected.parse::<gst::Caps>().unwrap()), "{read}");
        assert!(caps("video/x-raw(no feature), width=(int)5").is_none());
        assert!(caps("video/x-raw(1e999), width=(int)5").is_none());
        assert_eq!(caps("timestamp/x-unix").unwrap().to_string(), "timestamp/x-unix");
    }

    #[test]
    // proves: W2
    fn a_picture_loses_what_means_nothing_to_elements() {
        gst::init().unwrap();
        let sound = "video/x-raw, format=(string)BGR, width=(int)5, height=(int)4, framerate=(fraction)0/1, \
                     pixel-aspect-ratio=(fraction)4/3, multiview-mode=(string)side-by-side, views=(int)2, \
                     interlace-mode=(string)newer, colorimetry=(string)newer, chroma-site=(string)newer";
        assert!(stream_caps(sound).unwrap().is_strictly_equal(&sound.parse::<gst::Caps>().unwrap()));
        let text = "video/x-raw, format=(string)BGR, width=(int)5, height=(int)4";
        for field in [
            "multiview-mode=(string)xx",
            "multiview-mode=(string)none",
            "multiview-mode=(int)1",
            "views=(int)0",
            "framerate=(fraction)-30/1",
            "framerate=(int)30",
            "max-framerate=(string)30",
            "pixel-aspect-ratio=(fraction)0/1",
            "pixel-aspect-ratio=(fraction)-1/1",
            "pixel-aspect-ratio=(int)1",
            "pixel-aspect-ratio=(string)xx",
            "a=(double)nan",
            "a=(double){ 1, nan }",
        ] {
            let read = stream_caps(&format!("{text}, {field}")).unwrap();
            assert!(read.is_strictly_equal(&text.parse::<gst::Caps>().unwrap()), "{field}: {read}");
        }
    }

    #[test]
    fn caps_that_no_stream_can_have_are_none() {
        gst::init().unwrap();
        for text in [
            "video/x-raw",
            "video/x-raw, format=(string)BGR, width=(int){ 64, 65 }, height=(int)8",
            "video/x-raw, format=(string)BGR, width=(int)-16, height=(int)8",
            "video/x-raw, format=(string){ BGR, RGB }, width=(int)16, height=(int)8",
            "audio/x-raw, format=(string)S16LE, rate=(int){ 8000, 48000 }, channels=(int)1",
        ] {
            assert!(stream_caps(text).is_none(), "{text}");
        }
        assert!(stream_caps("application/x-count").is_some());
    }

    #[test]
    fn text_that_would_never_end_ends() {
        gst::init().unwrap();
        // base64 of "x, a=[a,a=[a,a=[…": the time that GStreamer takes for it doubles with each bracket.
        let nested = "eCwgYT1bYSxhPVthLGE9W2EsYT1bYSxhPVthLGE9W2EsYT1b".repeat(40);
        for kind in ["sample", "GstSample"] {
            let read = structure(&format!("x, a=({kind})00:None:None:{nested}, b=(int)1"));
            assert!(read.is_none_or(|read| !read.has_field("a")));
        }
    }
}
