//! Caps as text: `video/x-raw(features), format=(string)BGR, …` (SPEC §7 rule 8).

use crate::wire::fault::Fault;
use crate::wire::header::VideoFrameHeader;
use crate::wire::text::{Fields, Head, TextError, are_features, collect_fields, features, get, open, write_fields};
use crate::wire::value::{Value, ValueError};

/// Caps with one structure.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Caps {
    /// The media type, such as `video/x-raw`.
    pub media: String,
    /// The caps features, such as `memory:DMABuf`.
    pub features: Vec<String>,
    /// The fields, in order. Each name occurs once.
    pub fields: Vec<(String, Value)>,
}

impl Caps {
    /// Parses caps with one structure.
    ///
    /// # Errors
    /// If the text is longer than 16 KiB, or is not a single structure with flat values.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let (head, fields) = open_caps(text)?;
        let features = head.features.map_or_else(Vec::new, |(text, _)| features(text).map(str::to_owned).collect());
        Ok(Self { media: head.name.to_owned(), features, fields: collect_fields(fields)? })
    }

    /// Returns the value of a field.
    pub fn get(&self, field: &str) -> Option<&Value> {
        get(&self.fields, field)
    }
}

/// Checks that a text is caps with one structure. Does not allocate.
pub(crate) fn check(text: &str) -> Result<(), TextError> {
    open_caps(text)?.1.try_for_each(|field| field.map(drop))
}

fn open_caps(text: &str) -> Result<(Head<'_>, Fields<'_>), TextError> {
    let (head, fields) = open(text)?;
    if matches!(head.name, "ANY" | "EMPTY" | "NONE") {
        return Err(TextError::Unexpected { at: 0, expected: "a media type" });
    }
    if let Some((text, at)) = head.features
        && !are_features(text)
    {
        return Err(TextError::Unexpected { at, expected: "caps features" });
    }
    Ok((head, fields))
}

/// Checks caps against the header of their frame (SPEC §7 rule 8).
///
/// # Errors
/// If the caps are too long, do not describe raw video in system memory, or contradict the header.
pub fn check_caps(caps: impl AsRef<[u8]>, header: &VideoFrameHeader) -> Result<(), Fault> {
    let bytes = caps.as_ref();
    let text = std::str::from_utf8(bytes)
        .map_err(|error| TextError::Unexpected { at: error.valid_up_to(), expected: "UTF-8" })?;
    let caps = Caps::parse(text)?;
    let foreign =
        |feature: &str| feature == "ANY" || feature.starts_with("memory:") && feature != "memory:SystemMemory";
    if caps.media != "video/x-raw" || caps.features.iter().any(|feature| foreign(feature)) {
        let features = if caps.features.is_empty() { String::new() } else { format!("({})", caps.features.join(", ")) };
        return Err(Fault::CapsMedia { found: shortened(caps.media + &features) });
    }
    let name = header.sound_format_name().ok_or(Fault::FormatName)?;
    let integer = |value: u32| i32::try_from(value).map_or_else(|_| Value::Int64(value.into()), Value::Int);
    let expected =
        [("format", Value::Str(name.to_owned())), ("width", integer(header.width)), ("height", integer(header.height))];
    for (field, expected) in expected {
        let found = caps.get(field);
        if found != Some(&expected) {
            let show = |value: &Value| value.to_text().unwrap_or_default();
            let caps = found.map_or_else(|| "nothing".to_owned(), |value| shortened(show(value)));
            return Err(Fault::CapsDisagree { field, caps, header: show(&expected) });
        }
    }
    Ok(())
}

/// Shortens a sender's text for a log.
fn shortened(text: String) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().take(64).map(escaped).collect()
}

/// Returns raw video caps as text, like `gst_caps_to_string()`.
pub fn video_caps(format: &str, width: u32, height: u32, framerate: Option<(i32, i32)>) -> String {
    video_caps_with(format, width, height, framerate, &[]).unwrap_or_else(|_| {
        // Only the frame rate can be invalid (for example 30/0), so it is left out here.
        format!("video/x-raw, format=(string){format}, width=(int){width}, height=(int){height}")
    })
}

/// Returns raw video caps as text, with additional fields such as `colorimetry`.
///
/// # Errors
/// If a field cannot be written in a form that is read back as the same value.
pub fn video_caps_with(
    format: &str,
    width: u32,
    height: u32,
    framerate: Option<(i32, i32)>,
    fields: &[(String, Value)],
) -> Result<String, ValueError> {
    let size = |value: u32| Value::Int(i32::try_from(value).unwrap_or(i32::MAX));
    let mut all = vec![
        ("format".to_owned(), Value::Str(format.to_owned())),
        ("width".to_owned(), size(width)),
        ("height".to_owned(), size(height)),
    ];
    all.extend(framerate.map(|(n, d)| ("framerate".to_owned(), Value::Fraction(n, d))));
    all.extend_from_slice(fields);
    let mut text = "video/x-raw".to_owned();
    write_fields(&mut text, &all)?;
    Ok(text)
}
