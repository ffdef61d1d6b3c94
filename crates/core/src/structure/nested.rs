//! Reads on into values, wherever GStreamer would parse what is in them.
//!
//! Its parser must find the end of everything where this one does: behind an end that only it sees, it parses what was taken for
//! a string here. And it tries brackets without a type as a structure, then as caps, in a time that doubles with each pair.

use super::reader::{Fields, Head, open_at};
use super::{TextError, are_features};
use crate::value::read_string;

/// What GStreamer takes the text of a type for.
#[derive(Clone, Copy, PartialEq)]
enum Holds {
    String,
    Structure,
    Caps,
    /// A structure, but in quotes only.
    Tags,
    /// Numbers, dates, names.
    Other,
}

impl Holds {
    fn of(type_name: Option<&str>) -> Self {
        match type_name {
            None | Some("string" | "str" | "s" | "gchararray") => Self::String,
            Some("structure" | "GstStructure") => Self::Structure,
            Some("caps" | "GstCaps") => Self::Caps,
            Some("taglist" | "GstTagList") => Self::Tags,
            Some(_) => Self::Other,
        }
    }
}

/// The containers that newer releases name behind a slash: `(int/list)`, `(/uniquelist)`.
const CONTAINERS: [&str; 3] = ["list", "array", "uniquelist"];

/// Checks a value at a level of nesting; `inherited` is the type of the list that it is in.
pub(super) fn check_value(
    field: &str,
    type_name: Option<&str>,
    inherited: Option<&str>,
    value: &str,
    level: usize,
) -> Result<(), TextError> {
    let type_name = type_name.map_or(Ok(None), |name| item_type(field, name))?.or(inherited);
    let holds = Holds::of(type_name);
    match (value.as_bytes()[0], holds) {
        (b'"', Holds::String) => Ok(()),
        (b'"', holds) => {
            let text = read_string(value).ok_or(expected("a sound string"))?;
            match holds {
                Holds::Caps => check_structure(&text, level + 1, true),
                Holds::Structure | Holds::Tags => check_structure(&text, level + 1, false),
                // No other reader is known to parse brackets.
                _ if text.contains(['[', '{', '<']) => Err(expected("no brackets in quotes of this type")),
                _ => Ok(()),
            }
        }
        (b'[', Holds::Structure | Holds::Caps) => {
            if !closes_in_quotes_too(value) {
                return Err(expected("brackets that close whether or not they stand in quotes"));
            }
            check_structure(&value[1..value.len() - 1], level + 1, holds == Holds::Caps)
        }
        (b'[' | b'{' | b'<', _) => check_items(field, type_name, value, level + 1),
        _ => Ok(()),
    }
}

/// The type of the items, if the name has one.
fn item_type<'a>(field: &str, name: &'a str) -> Result<Option<&'a str>, TextError> {
    let (item, container) = name.split_once('/').map_or((name, None), |(item, container)| (item, Some(container)));
    for name in [Some(item), container].into_iter().flatten() {
        let kind = match name {
            // Base64 of more text.
            "sample" | "GstSample" => "sample",
            // Its text is parsed with the escapes in it.
            "GstSegment" => "segment",
            _ => continue,
        };
        return Err(TextError::NotAccepted { field: field.to_owned(), kind });
    }
    if container.is_some_and(|container| !CONTAINERS.contains(&container)) {
        return Err(expected("a list or an array behind the slash"));
    }
    Ok((!item.is_empty()).then_some(item))
}

fn check_structure(text: &str, level: usize, caps: bool) -> Result<(), TextError> {
    let (Head { features, .. }, mut fields) = open_at(text, level)?;
    if features.is_some_and(|(features, _)| !caps || !are_features(features)) {
        return Err(expected("a structure"));
    }
    fields.try_for_each(|field| field.map(drop))
}

/// Checks what is in a list, an array or a range. Missing commas are GStreamer's to refuse.
fn check_items(field: &str, inherited: Option<&str>, value: &str, level: usize) -> Result<(), TextError> {
    let mut items = Fields::new(&value[1..value.len() - 1], level);
    while items.skip_to_item() {
        let (type_name, item) = items.take_typed()?;
        if value.starts_with('[') && item.starts_with(['"', '[', '{', '<']) {
            return Err(expected("words in brackets that are no (structure) and no (caps)"));
        }
        check_value(field, type_name, inherited, item, level)?;
    }
    Ok(())
}

/// Whether the bracket that closes the first is the last, for GStreamer as well, which here does not look at quotes.
fn closes_in_quotes_too(value: &str) -> bool {
    let mut depth = 0;
    let end = value.bytes().position(|byte| {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    end == Some(value.len() - 1)
}

/// Where in the value it is, is not told: positions count in the whole text.
const fn expected(expected: &'static str) -> TextError {
    TextError::Unexpected { at: 0, expected }
}
