//! Lets GStreamer parse untrusted text safely: caps, reference caps and custom metas.
//!
//! The core has already limited the length and nesting of the text. GStreamer's parser needs more protection, because a type in parentheses
//! can be any registered type. Some types have their own parsers, which log criticals (`(GstCapsFeatures)`, ranges) or do not terminate
//! (`(sample)`, whose base64 contains text with unlimited nesting). So this module omits fields of types other than those listed below, and
//! fields with a value that is meaningless for pictures. It also limits the number of distinct names, because GStreamer never frees a name.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use gst_plugin_iceoryx2_video::{Caps, Structure, Value};

use crate::log::CAT;

/// Largest number of distinct names that this process accepts from other processes.
const MAX_NAMES: usize = 4096;

/// Types whose text is one word, in addition to the types in [`Value`]: numbers, dates and flag names.
const WORD_TYPES: &str = "uint u guint guint64 uchar guchar glong gulong float f gfloat bitmask GstBitmask date GDate datetime \
                          GstDateTime gdatetime GDateTime flagset GstFlagSet GstVideoMultiviewMode GstVideoMultiviewFlags \
                          GstVideoMultiviewFlagsSet GstVideoMultiviewFramePacking";

/// Values of `multiview-mode`. For any other value GStreamer logs a GLib warning each time it reads the caps.
/// Source: `gst_video_multiview_mode_from_caps_string()`, gst-libs/gst/video/video-multiview.c.
const MULTIVIEW_MODES: &str = "mono left right side-by-side side-by-side-quincunx column-interleaved row-interleaved top-bottom \
                               checkerboard frame-by-frame multiview-frame-by-frame separated";

/// Whether a space-separated list contains this word.
fn contains_word(words: &str, word: &str) -> bool {
    words.split(' ').any(|known| known == word)
}

/// Parses a structure and omits its untrusted fields; `None` if the text is not a structure.
///
/// The text is rewritten first, because GStreamer releases differ in how they read values without a type.
pub fn structure(text: &str) -> Option<gst::Structure> {
    let read = Structure::parse(text).ok()?;
    if !admit([&read.name]) {
        return None;
    }
    Structure { fields: trusted(read.fields), ..read }.to_text().ok()?.parse().ok()
}

/// Parses caps with one structure and omits their untrusted fields; `None` for any other text.
pub fn caps(text: &str) -> Option<gst::Caps> {
    let read = Caps::parse(text).ok()?;
    if !read.features.iter().all(|feature| is_feature(feature)) || !admit(read.features.iter().chain([&read.media])) {
        return None;
    }
    let mut fields = trusted(read.fields);
    // NaN does not equal itself, so elements would refuse caps that contain it.
    fields.retain(|(_, value)| !has_nan(value));
    if read.media.starts_with("video/") || read.media.starts_with("image/") {
        fields.retain(|(name, value)| is_meaningful(name, value));
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
            gst::debug!(CAT, "omitted the field {name}: {value:?}");
        }
        keep
    });
    fields
}

fn is_trusted(value: &Value) -> bool {
    let Value::Raw(text) = value else {
        // The core has parsed the value, so GStreamer receives only numbers, words and strings.
        return true;
    };
    if text == "(string)NULL" {
        return true;
    }
    let text = match text.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((name, rest)) if contains_word(WORD_TYPES, name.trim_ascii()) => rest,
        Some(_) => return false,
        None => text,
    };
    // Only words, and lists and arrays of words, are accepted. Quotes, inner types and ranges are excluded, and so is NULL in a list, which
    // GStreamer can read but cannot write.
    text.bytes().all(|byte| !matches!(byte, b'"' | b'(' | b')' | b'[' | b']')) && !text.contains("NULL")
}

/// Parses fixed caps; `None` for any other text. Raw video caps must describe a complete picture.
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

/// Whether elements accept this value for a field in picture caps. Some elements log criticals for other values.
///
/// Unknown values of interlace-mode, field-order, colorimetry, chroma-site and multiview-flags are kept. They may come from a newer
/// GStreamer release, and `gst_video_info_from_caps()` silently replaces them with the default.
fn is_meaningful(name: &str, value: &Value) -> bool {
    match (name, value) {
        ("width" | "height" | "views", value) => matches!(value, Value::Int(1..)),
        ("framerate" | "max-framerate", value) => matches!(value, Value::Fraction(0.., 1..)),
        ("pixel-aspect-ratio", value) => matches!(value, Value::Fraction(1.., 1..)),
        ("multiview-mode", Value::Str(mode)) => contains_word(MULTIVIEW_MODES, mode),
        ("multiview-mode", _) => false,
        _ => true,
    }
}

/// Whether GStreamer accepts this caps feature name without a warning.
fn is_feature(name: &str) -> bool {
    name.split_once(':').is_some_and(|(scope, name)| {
        scope.bytes().all(|byte| byte.is_ascii_alphabetic())
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Returns a label that may become a permanent name in GLib; `None` if there is none, or if this process accepts no more names.
pub fn label(text: Option<&str>) -> Option<&str> {
    text.filter(|text| admit([&(*text).to_owned()]))
}

/// Whether this process accepts these names. Accepted names count towards the limit until the process exits.
fn admit<'a>(names: impl IntoIterator<Item = &'a String>) -> bool {
    static NAMES: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
    let mut known = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.into_iter().all(|name| {
        if known.contains(name) {
            return true;
        }
        if known.len() == MAX_NAMES {
            gst::debug!(CAT, "omitted {name}: the limit of {MAX_NAMES} names is reached");
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
        // This is base64 for "x, a=[a,a=[a,a=[…". The time that GStreamer needs to parse it doubles with each bracket.
        let nested = "eCwgYT1bYSxhPVthLGE9W2EsYT1bYSxhPVthLGE9W2EsYT1b".repeat(40);
        for kind in ["sample", "GstSample"] {
            let read = structure(&format!("x, a=({kind})00:None:None:{nested}, b=(int)1"));
            assert!(read.is_none_or(|read| !read.has_field("a")));
        }
    }
}
