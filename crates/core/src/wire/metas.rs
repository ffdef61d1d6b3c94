//! Reads and writes meta records in the format of `gst_meta_serialize()`, without GStreamer (SPEC §3).

use crate::contract::limits;
use crate::wire::caps;
use crate::wire::text::{MAX_TEXT, Structure, check};
use crate::wire::value::{Value, ValueError};

/// GStreamer's name for the meta that carries a timestamp from another clock.
pub const REFERENCE_TIMESTAMP_META: &str = "GstReferenceTimestampMeta";

/// Largest number of new custom metas that one process registers with GStreamer (SPEC §7). There is a limit because a registration is
/// permanent.
pub const MAX_CUSTOM_METAS: usize = limits::MAX_CUSTOM_METAS;

/// Bytes in a record in addition to the name and payload: two lengths, a NUL and the version.
const FRAME: usize = 4 + 4 + 1 + 1;

/// A timestamp from a clock other than the pipeline's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceTimestamp {
    /// Caps that identify the clock, such as `timestamp/x-unix`.
    pub reference: String,
    /// The timestamp in nanoseconds of that clock.
    pub timestamp: u64,
    /// The duration in nanoseconds; `None` if unknown.
    pub duration: Option<u64>,
    /// Additional information about the timestamp, as a structure.
    pub info: Option<String>,
}

/// A named structure that is attached to a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomMeta {
    /// The meta's name: a letter, then 2 to 63 letters, digits or underscores.
    pub name: String,
    /// The structure's fields.
    pub fields: Vec<(String, Value)>,
}

/// A decoded meta record.
#[derive(Debug, Clone, PartialEq)]
pub enum Meta {
    /// A timestamp.
    ReferenceTimestamp(ReferenceTimestamp),
    /// A named structure.
    Custom(CustomMeta),
    /// Any other record, which may be invalid, as undecoded bytes.
    Other(Vec<u8>),
}

/// A decoded meta record that borrows its text. The text was checked, so that GStreamer can parse it safely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaRef<'a> {
    /// A timestamp.
    ReferenceTimestamp {
        /// Caps that identify the clock.
        reference: &'a str,
        /// The timestamp in nanoseconds.
        timestamp: u64,
        /// The duration in nanoseconds.
        duration: Option<u64>,
        /// Additional information about the timestamp, as a structure.
        info: Option<&'a str>,
    },
    /// A named structure.
    Custom {
        /// Name of the meta and of the structure.
        name: &'a str,
        /// The structure.
        structure: &'a str,
    },
    /// A record for any other meta. Its sizes are valid, but the payload was not checked.
    Other {
        /// The meta's name.
        name: &'a str,
        /// The version of the payload.
        version: u8,
        /// The payload.
        payload: &'a [u8],
    },
}

impl<'a> MetaRef<'a> {
    /// Reads a record; `None` if the sizes in it contradict its length, or if its payload is invalid. Does not allocate.
    pub fn read(record: &'a [u8]) -> Option<Self> {
        let (name, version, payload) = split_record(record)?;
        if name == REFERENCE_TIMESTAMP_META {
            return if version == 0 { read_reference_timestamp(payload) } else { None };
        }
        if version == 0 && is_custom_name(name) {
            let structure = payload.split_last().filter(|&(&last, _)| last == 0).and_then(|_| first_string(payload));
            if let Some((structure, _)) = structure
                && check(structure) == Ok(name)
            {
                return Some(Self::Custom { name, structure });
            }
        }
        Some(Self::Other { name, version, payload })
    }
}

/// Reads a record into owned values. A record of any other kind is kept as bytes.
pub fn decode_meta(record: &[u8]) -> Meta {
    match MetaRef::read(record) {
        Some(MetaRef::ReferenceTimestamp { reference, timestamp, duration, info }) => {
            let (reference, info) = (reference.to_owned(), info.map(str::to_owned));
            Meta::ReferenceTimestamp(ReferenceTimestamp { reference, timestamp, duration, info })
        }
        Some(MetaRef::Custom { name, structure }) => match Structure::parse(structure) {
            Ok(structure) => Meta::Custom(CustomMeta { name: name.to_owned(), fields: structure.fields }),
            Err(_) => Meta::Other(record.to_vec()),
        },
        Some(MetaRef::Other { .. }) | None => Meta::Other(record.to_vec()),
    }
}

impl ReferenceTimestamp {
    /// Returns the timestamp as a record.
    ///
    /// # Errors
    /// If the reference is not caps, the info is not a structure, or the timestamp is `u64::MAX`, which means "none".
    pub fn encode(&self) -> Result<Vec<u8>, ValueError> {
        let invalid = |text: &str| {
            let text = text.to_owned();
            |error| ValueError::Text { text, error }
        };
        caps::check(&self.reference).map_err(invalid(&self.reference))?;
        if self.timestamp == u64::MAX {
            return Err(ValueError::NoTimestamp);
        }
        if let Some(info) = &self.info {
            check(info).map_err(invalid(info))?;
        }
        Ok(encode_reference_timestamp(&self.reference, self.timestamp, self.duration, self.info.as_deref()))
    }
}

impl CustomMeta {
    /// Returns the meta as a record.
    ///
    /// # Errors
    /// If the name, a field name or a value cannot be written in a form that is read back as the same.
    pub fn encode(&self) -> Result<Vec<u8>, ValueError> {
        if !is_custom_name(&self.name) {
            return Err(ValueError::MetaName(self.name.clone()));
        }
        let structure = Structure { name: self.name.clone(), fields: self.fields.clone() };
        let mut payload = structure.to_text()?.into_bytes();
        payload.push(0);
        Ok(encode_record(&self.name, 0, &payload))
    }
}

impl Meta {
    /// Returns the meta as a record.
    ///
    /// # Errors
    /// See [`ReferenceTimestamp::encode`] and [`CustomMeta::encode`].
    pub fn encode(&self) -> Result<Vec<u8>, ValueError> {
        match self {
            Self::ReferenceTimestamp(timestamp) => timestamp.encode(),
            Self::Custom(custom) => custom.encode(),
            Self::Other(record) => Ok(record.clone()),
        }
    }
}

/// Whether this is a valid name for a custom meta (SPEC §7).
pub fn is_custom_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (3..=64).contains(&name.len()) && name.bytes().all(word) && name.as_bytes()[0].is_ascii_alphabetic()
}

/// Returns a reference timestamp as a record. The texts are not checked, because they come from GStreamer.
///
/// # Panics
/// If the record would be at least 4 GiB.
pub fn encode_reference_timestamp(
    reference: &str,
    timestamp: u64,
    duration: Option<u64>,
    info: Option<&str>,
) -> Vec<u8> {
    let mut payload = timestamp.to_le_bytes().to_vec();
    payload.extend(duration.unwrap_or(u64::MAX).to_le_bytes());
    for text in [Some(reference), info].into_iter().flatten() {
        payload.extend(text.as_bytes());
        payload.push(0);
    }
    encode_record(REFERENCE_TIMESTAMP_META, 0, &payload)
}

/// Returns a record with this payload.
///
/// # Panics
/// If the record would be at least 4 GiB.
pub fn encode_record(name: &str, version: u8, payload: &[u8]) -> Vec<u8> {
    let word = |value: usize| u32::try_from(value).expect("a meta record stays below 4 GiB").to_le_bytes();
    let size = FRAME + name.len() + payload.len();
    let mut record = Vec::with_capacity(size);
    record.extend(word(size));
    record.extend(word(name.len()));
    record.extend(name.as_bytes());
    record.extend([0, version]);
    record.extend(payload);
    record
}

/// Returns the name of the meta in a record; `None` if the sizes in the record contradict its length.
pub fn record_name(record: &[u8]) -> Option<&str> {
    split_record(record).map(|(name, ..)| name)
}

/// Returns the name, version and payload of a record; `None` if the sizes in it contradict its length, or if the name is invalid.
pub(crate) fn split_record(record: &[u8]) -> Option<(&str, u8, &[u8])> {
    let (total_size, rest) = record.split_first_chunk()?;
    let (name_len, rest) = rest.split_first_chunk()?;
    if usize::try_from(u32::from_le_bytes(*total_size)) != Ok(record.len()) {
        return None;
    }
    let (name, rest) = rest.split_at_checked(u32::from_le_bytes(*name_len).try_into().ok()?)?;
    let (&[nul, version], payload) = rest.split_first_chunk()?;
    let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty() && name.is_ascii())?;
    (nul == 0 && !name.contains('\0')).then_some((name, version, payload))
}

fn read_reference_timestamp(payload: &[u8]) -> Option<MetaRef<'_>> {
    let (timestamp, rest) = payload.split_first_chunk()?;
    let (duration, strings) = rest.split_first_chunk()?;
    let (timestamp, duration) = (u64::from_le_bytes(*timestamp), u64::from_le_bytes(*duration));
    if timestamp == u64::MAX || strings.last() != Some(&0) {
        return None;
    }
    let (reference, rest) = first_string(strings)?;
    caps::check(reference).ok()?;
    let info = if rest.is_empty() { None } else { Some(first_string(rest)?.0).filter(|info| !info.is_empty()) };
    if let Some(info) = info {
        check(info).ok()?;
    }
    let duration = (duration != u64::MAX).then_some(duration);
    Some(MetaRef::ReferenceTimestamp { reference, timestamp, duration, info })
}

/// Returns the string before the first NUL, and the bytes after the NUL.
fn first_string(bytes: &[u8]) -> Option<(&str, &[u8])> {
    // If the text is too long, it is refused without searching all of it.
    let end = bytes.iter().take(MAX_TEXT + 1).position(|&byte| byte == 0)?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}
