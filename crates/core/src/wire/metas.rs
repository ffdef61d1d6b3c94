//! Meta records as `gst_meta_serialize()` writes them, read and written without GStreamer (SPEC §3).

use crate::contract::limits;
use crate::wire::caps;
use crate::wire::text::{MAX_TEXT, Structure, check};
use crate::wire::value::{Value, ValueError};

/// GStreamer's name of the meta with a timestamp of another clock.
pub const REFERENCE_TIMESTAMP_META: &str = "GstReferenceTimestampMeta";

/// Highest number of new custom metas that one process registers with GStreamer (SPEC §7): a registration is permanent.
pub const MAX_CUSTOM_METAS: usize = limits::MAX_CUSTOM_METAS;

/// Bytes of a record besides name and payload: two lengths, a NUL, the version.
const FRAME: usize = 4 + 4 + 1 + 1;

/// A timestamp of a clock other than the pipeline's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceTimestamp {
    /// The clock, as caps, such as `timestamp/x-unix`.
    pub reference: String,
    /// The moment in nanoseconds of that clock.
    pub timestamp: u64,
    /// Its duration in nanoseconds; `None` if unknown.
    pub duration: Option<u64>,
    /// More about the timestamp, as a structure.
    pub info: Option<String>,
}

/// A named structure on a frame.
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
    /// Any other record, valid or not, undecoded.
    Other(Vec<u8>),
}

/// A decoded meta record that borrows its text. The text is checked, so GStreamer can parse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaRef<'a> {
    /// A timestamp.
    ReferenceTimestamp {
        /// The clock, as caps.
        reference: &'a str,
        /// The moment in nanoseconds.
        timestamp: u64,
        /// Its duration in nanoseconds.
        duration: Option<u64>,
        /// More about the timestamp, as a structure.
        info: Option<&'a str>,
    },
    /// A named structure.
    Custom {
        /// Name of the meta and of the structure.
        name: &'a str,
        /// The structure.
        structure: &'a str,
    },
    /// A record of another meta, whose sizes are valid; the payload is unchecked.
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
    /// Reads a record; `None` if its own sizes contradict its length, or if its payload is invalid. Allocates nothing.
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

/// Reads a record into owned values; a record of another kind stays bytes.
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
    /// The timestamp as a record.
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
    /// The meta as a record.
    ///
    /// # Errors
    /// If the name, a field's name or a value cannot be written so that reading gives the same.
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
    /// The meta as a record.
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

/// Whether a custom meta can have this name (SPEC §7).
pub fn is_custom_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (3..=64).contains(&name.len()) && name.bytes().all(word) && name.as_bytes()[0].is_ascii_alphabetic()
}

/// Writes a reference timestamp without checks: its texts come from GStreamer.
///
/// # Panics
/// If the record would be 4 GiB or larger.
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

/// Writes a record with this payload.
///
/// # Panics
/// If the record would be 4 GiB or larger.
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

/// Name of the meta in a record; `None` if the record's own sizes contradict its length.
pub fn record_name(record: &[u8]) -> Option<&str> {
    split_record(record).map(|(name, ..)| name)
}

/// Name, version and payload of a record; `None` if its own sizes contradict its length, or if the name is invalid.
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

/// The string up to the first NUL, and what follows it.
fn first_string(bytes: &[u8]) -> Option<(&str, &[u8])> {
    // A text that is too long is refused without a search through all of it.
    let end = bytes.iter().take(MAX_TEXT + 1).position(|&byte| byte == 0)?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}
