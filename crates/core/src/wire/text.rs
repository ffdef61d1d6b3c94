//! Parses the text of a GstStructure, `name, field=(type)value, …;`, within limits (SPEC §7).
//!
//! A value must be flat: a word, a quoted string, or a list or array of words and strings. Any other value, such as a range or a structure
//! in brackets, is refused.

use std::collections::HashMap;

use crate::contract::{limits, messages};
use crate::wire::value::{Value, ValueError};

mod reader;

pub(crate) use reader::{Field, Fields, Head, check, open};

/// Longest caps or structure text that is accepted, in bytes.
pub const MAX_TEXT: usize = limits::MAX_TEXT_BYTES;

/// Reason why a text is not a structure or not caps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The text is too long.
    #[error("{}", messages::long_text(len, MAX_TEXT))]
    TooLong {
        /// Length of the text in bytes.
        len: usize,
    },
    /// The text does not contain the expected element.
    #[error("expected {expected} at byte {at}")]
    Unexpected {
        /// The position in bytes.
        at: usize,
        /// What is expected.
        expected: &'static str,
    },
}

/// A name with ordered fields.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Structure {
    /// Its name.
    pub name: String,
    /// Its fields. Each name occurs once.
    pub fields: Vec<(String, Value)>,
}

impl Structure {
    /// Parses the text of a structure.
    ///
    /// # Errors
    /// If the text is longer than 16 KiB, or is not a structure of flat values. A value of an unknown type is not an error; it is kept as
    /// raw text.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let (head, fields) = open(text)?;
        if let Some((_, at)) = head.features {
            return Err(TextError::Unexpected { at, expected: "a comma or the end" });
        }
        Ok(Self { name: head.name.to_owned(), fields: collect_fields(fields)? })
    }

    /// Returns the value of a field.
    pub fn get(&self, field: &str) -> Option<&Value> {
        get(&self.fields, field)
    }

    /// Returns the structure as text, as GStreamer writes it.
    ///
    /// # Errors
    /// If a name or a value cannot be written in a form that is read back as the same.
    pub fn to_text(&self) -> Result<String, ValueError> {
        if !is_name(&self.name) || !is_portable(&self.name) {
            return Err(ValueError::StructureName(self.name.clone()));
        }
        let mut text = self.name.clone();
        write_fields(&mut text, &self.fields)?;
        text.push(';');
        if text.len() > MAX_TEXT { Err(ValueError::TooLong(text.len())) } else { Ok(text) }
    }
}

/// Returns the value of a field.
pub(crate) fn get<'a>(fields: &'a [(String, Value)], field: &str) -> Option<&'a Value> {
    fields.iter().find_map(|(name, value)| (name == field).then_some(value))
}

/// Decodes all fields. If a name occurs twice, the last value replaces the first.
pub(crate) fn collect_fields(fields: Fields) -> Result<Vec<(String, Value)>, TextError> {
    let mut collected = Vec::new();
    let mut places = HashMap::new();
    for field in fields {
        let field = field?;
        let value = Value::read(&field);
        let place = *places.entry(field.name).or_insert(collected.len());
        if place < collected.len() {
            collected[place] = (field.name.to_owned(), value);
        } else {
            collected.push((field.name.to_owned(), value));
        }
    }
    Ok(collected)
}

/// Appends `, name=(type)value` for each field.
pub(crate) fn write_fields(text: &mut String, fields: &[(String, Value)]) -> Result<(), ValueError> {
    for (name, value) in fields {
        if name.is_empty() || !is_portable(name) {
            return Err(ValueError::FieldName(name.clone()));
        }
        text.push_str(", ");
        text.push_str(name);
        text.push('=');
        value.write(text)?;
    }
    Ok(())
}

/// Whether a byte can occur in an unquoted name or value.
pub(crate) const fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'/' | b':' | b'.' | b'*')
}

/// Whether every GStreamer version can read the text without quotes; 1.22 cannot read an unquoted asterisk.
pub(crate) fn is_portable(text: &str) -> bool {
    text.bytes().all(|byte| byte != b'*' && is_bare(byte))
}

/// Returns the caps feature names in the text between the parentheses.
pub(crate) fn features(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim_ascii)
}

/// Whether all caps features in the text are valid names.
pub(crate) fn are_features(text: &str) -> bool {
    features(text).all(|feature| !feature.is_empty() && feature.bytes().all(is_bare))
}

/// Whether the text is a valid structure name.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(is_bare)
}
