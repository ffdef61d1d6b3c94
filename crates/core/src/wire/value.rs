//! Field values of a GstStructure, parsed from text and written as text.

use std::fmt::Write;

use crate::contract::messages;
use crate::wire::text::{Field, MAX_TEXT, is_bare, is_portable, open};

/// The value of a field. Values of types not listed here are [`Value::Raw`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A boolean.
    Bool(bool),
    /// A 32-bit integer.
    Int(i32),
    /// A 64-bit integer.
    Int64(i64),
    /// A double.
    Double(f64),
    /// Text without NUL.
    Str(String),
    /// Numerator and denominator; the denominator is not 0.
    Fraction(i32, i32),
    /// A list of alternatives, `{ … }`. All values have the same type, which is neither a list nor an array.
    List(Vec<Value>),
    /// An array, `< … >`. All values have the same type, which is neither a list nor an array.
    Array(Vec<Value>),
    /// The text of any other value, including its type in parentheses.
    Raw(String),
}

/// Reason why a structure, caps or a meta cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The name is not valid for a structure.
    #[error("{}", messages::structure_name(_0))]
    StructureName(String),
    /// The name is not valid for a custom meta.
    #[error("{}", messages::meta_name(_0))]
    MetaName(String),
    /// The name is not valid for a field.
    #[error("{}", messages::field_name(_0))]
    FieldName(String),
    /// The text contains NUL.
    #[error("{}", messages::contains_nul())]
    Nul(String),
    /// GStreamer cannot represent this fraction.
    #[error("{}", messages::fraction(_0, _1, i32::MAX))]
    Fraction(i32, i32),
    /// A list or an array contains items of different types, or contains lists.
    #[error("{}", messages::mixed_items())]
    Items,
    /// The raw text is not exactly one value.
    #[error("{}", messages::raw_value(_0))]
    Raw(String),
    /// The text is not valid caps or not a valid structure.
    #[error("{text:?}: {error}")]
    Text {
        /// The text.
        text: String,
        /// The reason.
        error: crate::wire::text::TextError,
    },
    /// The timestamp is the value that means "none".
    #[error("timestamp {} is reserved: it means that there is no timestamp", u64::MAX)]
    NoTimestamp,
    /// The text is too long; receivers would not read it.
    #[error("{}", messages::long_text(_0, MAX_TEXT))]
    TooLong(usize),
}

/// The value types that are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Int,
    Int64,
    Double,
    Fraction,
    Bool,
    Str,
}

impl Type {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "int" | "i" | "gint" => Self::Int,
            "gint64" => Self::Int64,
            "double" | "d" | "gdouble" => Self::Double,
            "fraction" | "GstFraction" => Self::Fraction,
            "boolean" | "bool" | "b" | "gboolean" => Self::Bool,
            "string" | "str" | "s" | "gchararray" => Self::Str,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Int64 => "gint64",
            Self::Double => "double",
            Self::Fraction => "fraction",
            Self::Bool => "boolean",
            Self::Str => "string",
        }
    }

    /// Returns the value of a word or a quoted string.
    fn read(self, text: &str) -> Option<Value> {
        match self {
            Self::Int => read_int(text).and_then(|value| value.try_into().ok()).map(Value::Int),
            Self::Int64 => read_int(text).map(Value::Int64),
            Self::Double => read_double(text).map(Value::Double),
            Self::Fraction => read_fraction(text),
            Self::Bool => read_bool(text).map(Value::Bool),
            Self::Str => read_string(text).map(Value::Str),
        }
    }

    /// Returns the value of a word or a quoted string that does not have a type.
    fn guess(text: &str) -> Option<Value> {
        let in_words = text.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'+' | b'-'));
        [Self::Int, Self::Double, Self::Fraction, Self::Bool, Self::Str]
            .into_iter()
            .filter(|&kind| !(in_words && kind == Self::Double))
            .find_map(|kind| kind.read(text))
    }
}

impl Value {
    /// Returns the value of a field; raw text if the value does not have a supported form.
    pub(crate) fn read(field: &Field) -> Self {
        let kind = field.type_name.map(Type::from_name);
        let read_plain = |text: &str| match kind {
            Some(kind) => kind?.read(text),
            None => Type::guess(text),
        };
        let value = match field.value.as_bytes()[0] {
            b'{' if kind != Some(None) => read_items(field.value, read_plain).map(Self::List),
            b'<' if kind != Some(None) => read_items(field.value, read_plain).map(Self::Array),
            _ => read_plain(field.value),
        };
        value.unwrap_or_else(|| Self::Raw(field.raw.to_owned()))
    }

    /// Returns the value as `(type)value`.
    ///
    /// # Errors
    /// If the value cannot be written in a form that is read back as the same value.
    pub fn to_text(&self) -> Result<String, ValueError> {
        let mut text = String::new();
        self.write(&mut text).map(|()| text)
    }

    /// Appends `(type)value`.
    pub(crate) fn write(&self, text: &mut String) -> Result<(), ValueError> {
        match self {
            Self::List(items) => write_items(text, items, ["{ ", " }"]),
            Self::Array(items) => write_items(text, items, ["< ", " >"]),
            Self::Raw(raw) => {
                // The text must be exactly one field value.
                let as_field = format!("x,x={raw}");
                let mut fields = open(&as_field).ok().into_iter().flat_map(|(_, fields)| fields);
                match (fields.next(), fields.next()) {
                    (Some(Ok(field)), None) if field.raw == raw => text.push_str(raw),
                    _ => return Err(ValueError::Raw(raw.clone())),
                }
                Ok(())
            }
            plain => {
                let kind = plain.kind().ok_or(ValueError::Items)?;
                let _ = write!(text, "({})", kind.name());
                plain.write_plain(text)
            }
        }
    }

    /// Returns the type of a plain value.
    const fn kind(&self) -> Option<Type> {
        match self {
            Self::Bool(_) => Some(Type::Bool),
            Self::Int(_) => Some(Type::Int),
            Self::Int64(_) => Some(Type::Int64),
            Self::Double(_) => Some(Type::Double),
            Self::Str(_) => Some(Type::Str),
            Self::Fraction(..) => Some(Type::Fraction),
            Self::List(_) | Self::Array(_) | Self::Raw(_) => None,
        }
    }

    fn write_plain(&self, text: &mut String) -> Result<(), ValueError> {
        match self {
            Self::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => text.push_str(&value.to_string()),
            Self::Int64(value) => text.push_str(&value.to_string()),
            Self::Double(value) => text.push_str(&write_double(*value)),
            Self::Str(value) => write_string(text, value)?,
            &Self::Fraction(numerator, denominator) => {
                let (n, d) =
                    reduce(numerator.into(), denominator.into()).ok_or(ValueError::Fraction(numerator, denominator))?;
                let _ = write!(text, "{n}/{d}");
            }
            Self::List(_) | Self::Array(_) | Self::Raw(_) => return Err(ValueError::Items),
        }
        Ok(())
    }
}

/// Returns the items of a list or an array; `None` unless all are plain values of the same type.
fn read_items(text: &str, read: impl Fn(&str) -> Option<Value>) -> Option<Vec<Value>> {
    let inner = text[1..text.len() - 1].trim_ascii();
    if inner.is_empty() {
        return Some(Vec::new());
    }
    let items: Vec<_> = split_items(inner).map(|item| read(item.trim_ascii())).collect::<Option<_>>()?;
    let kind = items[0].kind();
    items.iter().all(|item| item.kind() == kind).then_some(items)
}

/// Splits the text at commas that are not in quotes.
fn split_items(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let here = !quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        here && c == ','
    })
}

fn write_items(text: &mut String, items: &[Value], [open, close]: [&str; 2]) -> Result<(), ValueError> {
    // An empty list needs a type to be readable.
    let kind = items.first().map_or(Some(Type::Int), Value::kind).ok_or(ValueError::Items)?;
    if items.iter().any(|item| item.kind() != Some(kind)) {
        return Err(ValueError::Items);
    }
    let _ = write!(text, "({}){open}", kind.name());
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        item.write_plain(text)?;
    }
    text.push_str(close);
    Ok(())
}

/// Reads a decimal integer. Leading zeros are not accepted, because C reads such a number as octal.
fn read_int(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let decimal = digits == "0" || !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    if decimal && text.len() <= 20 { text.parse().ok() } else { None }
}

fn read_double(text: &str) -> Option<f64> {
    if text.len() <= 64 { text.parse().ok() } else { None }
}

fn read_fraction(text: &str) -> Option<Value> {
    let (numerator, denominator) = text.split_once('/')?;
    let (numerator, denominator) = reduce(read_part(numerator)?, read_part(denominator)?)?;
    Some(Value::Fraction(numerator, denominator))
}

/// Reads a numerator or denominator. Leading zeros are accepted, because C reads them as decimal here.
fn read_part(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let decimal = (1..=10).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if decimal { text.parse().ok() } else { None }
}

/// Returns the fraction in lowest terms with a positive denominator; `None` if GStreamer cannot represent it.
fn reduce(numerator: i64, denominator: i64) -> Option<(i32, i32)> {
    let within = |value: i64| (-i64::from(i32::MAX)..=i64::from(i32::MAX)).contains(&value);
    if denominator == 0 || !within(numerator) || !within(denominator) {
        return None;
    }
    let (mut divisor, mut rest) = (numerator.abs(), denominator.abs());
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    let divisor = divisor * denominator.signum();
    Some(((numerator / divisor) as i32, (denominator / divisor) as i32))
}

fn read_bool(text: &str) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is(["true", "yes", "t", "1"]) {
        Some(true)
    } else if is(["false", "no", "f", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// Returns the text of a word or a quoted string; `None` if it contains NUL or is not UTF-8.
pub(crate) fn read_string(text: &str) -> Option<String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let word = !text.is_empty() && text.bytes().all(is_bare) && text != "NULL";
        return word.then(|| text.to_owned());
    };
    let mut rest = quoted.strip_suffix('"')?.bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'\\' => match rest.next()? {
                high @ b'0'..=b'3' => {
                    let mut digit = || rest.next().filter(|byte| (b'0'..=b'7').contains(byte)).map(|byte| byte - b'0');
                    (high - b'0') << 6 | digit()? << 3 | digit()?
                }
                escaped => escaped,
            },
            // Two adjacent strings are not one string.
            b'"' => return None,
            plain => plain,
        };
        if byte == 0 {
            return None;
        }
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}

fn write_string(text: &mut String, value: &str) -> Result<(), ValueError> {
    if value.contains('\0') {
        return Err(ValueError::Nul(value.to_owned()));
    }
    if !value.is_empty() && is_portable(value) && value != "NULL" {
        text.push_str(value);
        return Ok(());
    }
    text.push('"');
    for byte in value.bytes() {
        let _ = match byte {
            _ if byte != b'*' && is_bare(byte) => write!(text, "{}", char::from(byte)),
            b' '..=b'~' => write!(text, "\\{}", char::from(byte)),
            _ => write!(text, "\\{byte:03o}"),
        };
    }
    text.push('"');
    Ok(())
}

/// Formats a double like C's `%.17g`, which GStreamer uses.
fn write_double(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() { "nan".to_owned() } else { value.to_string() };
    }
    let scientific = format!("{value:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    let trim = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    if (-4..17).contains(&exponent) {
        let decimals = usize::try_from(16 - exponent).unwrap_or(0);
        trim(&format!("{value:.decimals$}"))
    } else {
        format!("{}e{}{:02}", trim(mantissa), if exponent < 0 { '-' } else { '+' }, exponent.abs())
    }
}
