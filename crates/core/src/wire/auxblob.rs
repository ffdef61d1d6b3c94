//! The aux blob after the pixels, which contains a caps string and meta records (SPEC §3).
//!
//! [`AuxRef`] and [`AuxTemplate`] read and write without allocating. [`parse_aux`] and [`build_aux`] are simpler and allocate.

use crate::contract::limits;
use crate::wire::shared::SharedBytes;
use crate::wire::stamp::{Stamp, boot_id};

/// Largest number of meta records that are read from one blob (SPEC §7).
pub const MAX_METAS: usize = limits::MAX_METAS;

/// Largest number of bytes that are read from one blob (SPEC §7). This is enough for caps and 64 records with the longest text.
pub const MAX_AUX: usize = limits::MAX_AUX_BYTES;

/// Size in bytes of a length or count in the blob.
const WORD: usize = 4;

/// The content of an aux blob.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParsedAux {
    /// The caps as GStreamer writes them, unchecked; `None` if there are no caps, or if they contain NUL or are not UTF-8.
    pub caps: Option<String>,
    /// The undecoded meta records; [`metas`](crate::wire::metas) decodes them.
    pub metas: Vec<Vec<u8>>,
}

/// Reads a blob that any process may have written. Reading stops at the first truncated part.
pub fn parse_aux(blob: &[u8]) -> ParsedAux {
    let aux = AuxRef::new(blob);
    ParsedAux { caps: aux.caps().map(str::to_owned), metas: aux.records().map(<[u8]>::to_vec).collect() }
}

/// Returns a blob with `caps`, which may be empty, and with the `metas` that fit.
///
/// The caps are always written. A meta is written if the blob does not exceed `limit` bytes with it. Without a limit, all metas are
/// written.
pub fn build_aux(caps: &str, metas: &[impl AsRef<[u8]>], limit: Option<usize>) -> Vec<u8> {
    let caps = caps.as_bytes();
    let limit = limit.unwrap_or(usize::MAX);
    let mut size = 2 * WORD + caps.len();
    let mut fitting = Vec::with_capacity(metas.len());
    for meta in metas.iter().map(AsRef::as_ref) {
        if size + WORD + meta.len() <= limit {
            size += WORD + meta.len();
            fitting.push(meta);
        }
    }
    let mut blob = Vec::with_capacity(size);
    push_block(&mut blob, caps);
    blob.extend(word(fitting.len()));
    for meta in fitting {
        push_block(&mut blob, meta);
    }
    blob
}

/// Reads a borrowed blob in place. It does not allocate, and never reads beyond the blob.
///
/// A blob in shared memory can change while it is read. For such a blob, use [`copied`](Self::copied), which reads a private copy.
#[derive(Debug, Clone, Copy)]
pub struct AuxRef<'a> {
    caps: &'a [u8],
    metas: &'a [u8],
    count: usize,
}

impl<'a> AuxRef<'a> {
    /// Finds the parts of a blob. Truncated parts count as absent.
    pub fn new(blob: &'a [u8]) -> Self {
        let Some((caps, rest)) = split_block(blob) else {
            return Self { caps: &[], metas: &[], count: 0 };
        };
        let (count, metas) = split_word(rest).unwrap_or_default();
        Self { caps, metas, count: count.min(MAX_METAS) }
    }

    /// Copies a blob to `copy` and reads this private copy. Allocates only if the capacity of `copy` is too small.
    ///
    /// This copies the parts that [`new`](Self::new) finds in the first [`MAX_AUX`] bytes, but not the padding, which is most of a blob.
    /// Each byte is read only once, so the lengths and counts are always the ones in the copy.
    pub fn copied(blob: SharedBytes<'_>, copy: &'a mut Vec<u8>) -> Self {
        copy.clear();
        let (start, rest) = blob.split_at_most(MAX_AUX).0.split_at_most(copy.capacity());
        start.append_to(copy);
        let end = Copying { rest, copy }.end_of_records();
        copy.truncate(end);
        Self::new(copy)
    }

    /// Whether the caps string equals these bytes. This is cheaper than [`caps`](Self::caps), which also checks the string.
    pub fn has_caps(&self, caps: &[u8]) -> bool {
        self.caps == caps
    }

    /// Returns the caps string, which is not checked to be caps; `None` if there is no string, or if it contains NUL or is not UTF-8.
    ///
    /// Equal strings mean equal caps, so a receiver needs to parse the caps only when the string changes.
    pub fn caps(&self) -> Option<&'a str> {
        let caps = std::str::from_utf8(self.caps).ok()?;
        (!caps.is_empty() && !caps.contains('\0')).then_some(caps)
    }

    /// Returns the bytes of [`caps`](Self::caps).
    pub fn caps_bytes(&self) -> Option<&'a [u8]> {
        self.caps().map(str::as_bytes)
    }

    /// Returns the stamp as it was sent, which is the first meta record. If there is no stamp, all its fields are unknown.
    pub fn stamp(&self) -> Stamp {
        self.records().next().and_then(Stamp::read).unwrap_or_default()
    }

    /// Returns the meta records before the first truncated record, at most 64.
    pub fn records(&self) -> Records<'a> {
        Records { rest: self.metas, left: self.count }
    }
}

/// Iterator over the meta records in a blob.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let Some((record, rest)) = split_block(self.rest) else {
            self.left = 0;
            return None;
        };
        self.rest = rest;
        Some(record)
    }
}

/// Template for the blobs of a stream with constant caps. The caps are prepared once; the stamp (SPEC §5) is written for each frame.
#[derive(Debug, Clone)]
pub struct AuxTemplate {
    caps: Vec<u8>,
    publisher: u64,
}

impl AuxTemplate {
    /// Creates a template with `caps`, which may be empty, for the publisher with the ID `publisher`.
    pub fn new(caps: &str, publisher: u64) -> Self {
        let mut block = Vec::with_capacity(WORD + caps.len());
        push_block(&mut block, caps.as_bytes());
        Self { caps: block, publisher }
    }

    /// Returns the number of bytes that [`write_into`](Self::write_into) needs for a frame without other records.
    #[expect(clippy::len_without_is_empty, reason = "a blob is never empty")]
    pub fn len(&self) -> usize {
        self.len_with(&[] as &[&[u8]])
    }

    /// Returns the number of bytes that [`write_into`](Self::write_into) needs for a frame with these other records.
    pub fn len_with(&self, records: &[impl AsRef<[u8]>]) -> usize {
        let others = records.iter().map(|record| WORD + record.as_ref().len()).sum::<usize>();
        self.caps.len() + WORD + WORD + Stamp::LEN + others
    }

    /// Writes the blob for one frame and returns its length. The rest of `target` is unchanged.
    ///
    /// `due` and `capture` are CLOCK_MONOTONIC nanoseconds, and `sequence` is the publisher's frame count. `None` means unknown. Records
    /// that do not fit are left out. If `target` is too small even for the caps, nothing is written and the length is 0. Does not allocate.
    pub fn write_into(
        &self,
        target: &mut [u8],
        due: impl Into<Option<u64>>,
        capture: impl Into<Option<u64>>,
        sequence: impl Into<Option<u64>>,
        records: &[impl AsRef<[u8]>],
    ) -> usize {
        let mut end = self.caps.len() + WORD;
        if target.len() < end {
            return 0;
        }
        target[..self.caps.len()].copy_from_slice(&self.caps);
        let mut count = 0;
        let mut push = |record: &[u8]| {
            if let Some(place) = target.get_mut(end..end + WORD + record.len()) {
                place[..WORD].copy_from_slice(&word(record.len()));
                place[WORD..].copy_from_slice(record);
                end += place.len();
                count += 1;
            }
        };
        let stamp = Stamp {
            boot_id: boot_id(),
            publisher: Some(self.publisher),
            sequence: sequence.into(),
            capture: capture.into(),
            due: due.into(),
        };
        push(&stamp.record());
        records.iter().for_each(|record| push(record.as_ref()));
        target[self.caps.len()..self.caps.len() + WORD].copy_from_slice(&word(count));
        end
    }
}

/// Encodes a length or count for a blob. The size of the blob itself is a `u32` in the header.
fn word(value: usize) -> [u8; WORD] {
    u32::try_from(value).expect("an aux blob stays below 4 GiB").to_le_bytes()
}

fn push_block(blob: &mut Vec<u8>, block: &[u8]) {
    blob.extend(word(block.len()));
    blob.extend(block);
}

/// A copy of a blob that grows while the blob is read.
struct Copying<'a> {
    rest: SharedBytes<'a>,
    copy: &'a mut Vec<u8>,
}

impl Copying<'_> {
    /// Returns the end of the last complete record.
    fn end_of_records(&mut self) -> usize {
        let Some(mut end) = self.end_of_block(0) else { return 0 };
        let Some(count) = self.word(end) else { return end };
        end += WORD;
        for _ in 0..count.min(MAX_METAS) {
            let Some(next) = self.end_of_block(end) else { break };
            end = next;
        }
        end
    }

    fn end_of_block(&mut self, at: usize) -> Option<usize> {
        let end = (at + WORD).checked_add(self.word(at)?)?;
        self.reach(end).then_some(end)
    }

    fn word(&mut self, at: usize) -> Option<usize> {
        self.reach(at + WORD).then_some(())?;
        split_word(&self.copy[at..]).map(|(word, _)| word)
    }

    /// Copies the bytes up to `end`. Returns false if the blob is shorter.
    fn reach(&mut self, end: usize) -> bool {
        if end <= self.copy.len() {
            return true;
        }
        let missing = end - self.copy.len();
        if missing > self.rest.len() {
            return false;
        }
        let (next, rest) = self.rest.split_at_most(missing);
        next.append_to(self.copy);
        self.rest = rest;
        true
    }
}

fn split_word(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (word, rest) = bytes.split_first_chunk::<WORD>()?;
    Some((usize::try_from(u32::from_le_bytes(*word)).ok()?, rest))
}

fn split_block(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = split_word(bytes)?;
    rest.split_at_checked(len)
}
