//! The aux blob after the pixels: a caps string and meta records (SPEC §3).
//!
//! [`AuxRef`] and [`AuxTemplate`] read and write without allocating. [`parse_aux`] and [`build_aux`] are simpler and allocate.

use crate::contract::limits;
use crate::wire::shared::SharedBytes;
use crate::wire::stamp::{Stamp, boot_id};

/// Highest number of meta records that are read from one blob (SPEC §7).
pub const MAX_METAS: usize = limits::MAX_METAS;

/// Highest number of bytes that are read of a blob (SPEC §7): enough for caps and 64 records of the longest text.
pub const MAX_AUX: usize = limits::MAX_AUX_BYTES;

/// Bytes of a length or count inside the blob.
const WORD: usize = 4;

/// The content of an aux blob.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParsedAux {
    /// The caps as GStreamer writes them, unchecked; `None` if there are none, or if they are not UTF-8 without NUL.
    pub caps: Option<String>,
    /// The meta records, undecoded; [`metas`](crate::wire::metas) decodes them.
    pub metas: Vec<Vec<u8>>,
}

/// Reads a blob, which any process may have written. Reading stops at the first part that is cut off.
pub fn parse_aux(blob: &[u8]) -> ParsedAux {
    let aux = AuxRef::new(blob);
    ParsedAux { caps: aux.caps().map(str::to_owned), metas: aux.records().map(<[u8]>::to_vec).collect() }
}

/// Writes a blob of `caps`, which may be empty, and of the `metas` that fit.
///
/// The caps are always written. A meta is written if the blob then still has at most `limit` bytes; without a limit, all are.
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

/// A blob that is read in place: borrows it, allocates nothing, never reads beyond it.
///
/// A blob in shared memory can change while it is read; for these, [`copied`](Self::copied) reads a private copy.
#[derive(Debug, Clone, Copy)]
pub struct AuxRef<'a> {
    caps: &'a [u8],
    metas: &'a [u8],
    count: usize,
}

impl<'a> AuxRef<'a> {
    /// Finds the parts of a blob; parts that are cut off count as absent.
    pub fn new(blob: &'a [u8]) -> Self {
        let Some((caps, rest)) = split_block(blob) else {
            return Self { caps: &[], metas: &[], count: 0 };
        };
        let (count, metas) = split_word(rest).unwrap_or_default();
        Self { caps, metas, count: count.min(MAX_METAS) }
    }

    /// Reads a private copy of a blob, which stays in `copy`. Allocates only if the capacity of `copy` is too small.
    ///
    /// This copies the parts that [`new`](Self::new) finds in the first [`MAX_AUX`] bytes, but not the padding, which is most of a
    /// blob. Each byte is read once, so lengths and counts are those of the copy.
    pub fn copied(blob: SharedBytes<'_>, copy: &'a mut Vec<u8>) -> Self {
        copy.clear();
        let (start, rest) = blob.split_at_most(MAX_AUX).0.split_at_most(copy.capacity());
        start.append_to(copy);
        let end = Copying { rest, copy }.end_of_records();
        copy.truncate(end);
        Self::new(copy)
    }

    /// Whether the caps string has these bytes. Cheaper than [`caps`](Self::caps), which checks the string.
    pub fn has_caps(&self, caps: &[u8]) -> bool {
        self.caps == caps
    }

    /// The caps string, unchecked; `None` if there is none, or if it is not UTF-8 without NUL.
    ///
    /// Equal strings are equal caps, so a receiver parses them only when they change.
    pub fn caps(&self) -> Option<&'a str> {
        let caps = std::str::from_utf8(self.caps).ok()?;
        (!caps.is_empty() && !caps.contains('\0')).then_some(caps)
    }

    /// The bytes of [`caps`](Self::caps).
    pub fn caps_bytes(&self) -> Option<&'a [u8]> {
        self.caps().map(str::as_bytes)
    }

    /// The stamp as it was sent, which is the first meta record. Without a stamp, everything is unknown.
    pub fn stamp(&self) -> Stamp {
        self.records().next().and_then(Stamp::read).unwrap_or_default()
    }

    /// The meta records: at most 64, up to the first one that is cut off.
    pub fn records(&self) -> Records<'a> {
        Records { rest: self.metas, left: self.count }
    }
}

/// Iterator over the meta records of a blob.
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

/// The blob of a stream whose caps stay the same. The caps are prepared once, the stamp (SPEC §5) is written for each frame.
#[derive(Debug, Clone)]
pub struct AuxTemplate {
    caps: Vec<u8>,
    publisher: u64,
}

impl AuxTemplate {
    /// A template of `caps`, which may be empty, for the publisher of that number.
    pub fn new(caps: &str, publisher: u64) -> Self {
        let mut block = Vec::with_capacity(WORD + caps.len());
        push_block(&mut block, caps.as_bytes());
        Self { caps: block, publisher }
    }

    /// Bytes that [`write_into`](Self::write_into) needs for a frame without other records.
    #[expect(clippy::len_without_is_empty, reason = "a blob is never empty")]
    pub fn len(&self) -> usize {
        self.len_with(&[] as &[&[u8]])
    }

    /// Bytes that [`write_into`](Self::write_into) needs for a frame with these other records.
    pub fn len_with(&self, records: &[impl AsRef<[u8]>]) -> usize {
        let others = records.iter().map(|record| WORD + record.as_ref().len()).sum::<usize>();
        self.caps.len() + WORD + WORD + Stamp::LEN + others
    }

    /// Writes the blob of one frame and returns its length; the rest of `target` is left as it was.
    ///
    /// `due` and `capture` are nanoseconds of CLOCK_MONOTONIC, `sequence` is the publisher's count of frames; `None` is
    /// unknown. Records that do not fit are left out. If `target` does not even hold the caps, nothing is written and
    /// the length is 0. Allocates nothing.
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

/// A length or count as it is written in a blob, whose own size is a `u32` of the header.
fn word(value: usize) -> [u8; WORD] {
    u32::try_from(value).expect("an aux blob stays below 4 GiB").to_le_bytes()
}

fn push_block(blob: &mut Vec<u8>, block: &[u8]) {
    blob.extend(word(block.len()));
    blob.extend(block);
}

/// A copy that grows while it is read.
struct Copying<'a> {
    rest: SharedBytes<'a>,
    copy: &'a mut Vec<u8>,
}

impl Copying<'_> {
    /// End of the last complete record.
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

    /// Copies up to `end`; false if the blob is shorter.
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
