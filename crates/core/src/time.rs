//! When a frame is due, when it was captured, and its number (SPEC §5).

use std::hash::BuildHasher;
use std::sync::OnceLock;

use crate::caps::Caps;
use crate::metas::{MetaRef, REFERENCE_TIMESTAMP_META, encode_reference_timestamp, record_name};
use crate::value::Value;

const MONOTONIC: &str = "timestamp/x-monotonic";
const SEQUENCE: &str = "timestamp/x-iceoryx2-sequence";
/// What stands before the publisher's id in the sequence record's caps.
const SEQUENCE_PREFIX: &str = "timestamp/x-iceoryx2-sequence, publisher=(string)";
/// Bytes of a time record at most (SPEC §5): a longer record is not read, so that other metas cost nothing.
const MAX_RECORD: usize = 512;
/// Digits of a publisher's id.
const ID_DIGITS: usize = 16;

/// The kernel's id of this boot, 36 characters: monotonic times of another boot or host mean nothing here.
///
/// Where the kernel has none it is drawn at random, so that no other process has the same.
pub fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| {
        let known = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        known.map(|id| id.trim().to_owned()).filter(|id| id.len() == 36).unwrap_or_else(|| {
            let (high, low) = (random(), random());
            let node = low & 0xffff_ffff_ffff;
            format!(
                "{:08x}-{:04x}-{:04x}-{:04x}-{node:012x}",
                high >> 32,
                high >> 16 & 0xffff,
                high & 0xffff,
                low >> 48
            )
        })
    })
}

/// The id of a new publisher, drawn at random.
pub fn new_publisher_id() -> u64 {
    random()
}

/// 64 bits from the randomness with which the operating system seeds hash maps.
fn random() -> u64 {
    std::hash::RandomState::new().hash_one(monotonic_ns())
}

/// Now, in nanoseconds of CLOCK_MONOTONIC.
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec, and the call keeps nothing.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    debug_assert_eq!(status, 0, "every system has CLOCK_MONOTONIC");
    // Seconds and nanoseconds since boot are not negative.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A publisher's id as it is written: 16 lower-case hex digits.
pub fn publisher_name(id: u64) -> String {
    format!("{id:016x}")
}

/// What the time records of a frame say; `None` where they say nothing, or something of another boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameTimes {
    /// When the frame is to be shown, in nanoseconds of CLOCK_MONOTONIC.
    pub due: Option<u64>,
    /// When it was captured, or else published, in nanoseconds of CLOCK_MONOTONIC.
    pub capture: Option<u64>,
    /// The publisher's id.
    pub publisher: Option<u64>,
    /// The publisher's count of frames, from 0, without gaps.
    pub sequence: Option<u64>,
}

/// Finds the time records among a frame's meta records; of two of one kind the first counts.
///
/// Records in the spelling of our publishers are recognised by comparison, others by the meaning of their caps.
pub fn read_times<'a>(records: impl IntoIterator<Item = &'a [u8]>) -> FrameTimes {
    this_boot().read(records)
}

/// Whether a record is a time record of this boot in the spelling of our publishers, told by comparison.
///
/// For readers that want the other records only: decoding one of these costs ten times as much.
pub fn is_time_record(record: &[u8]) -> bool {
    this_boot().read_our_spelling(record).is_some()
}

fn this_boot() -> &'static TimeReader {
    static READER: OnceLock<TimeReader> = OnceLock::new();
    READER.get_or_init(|| TimeReader::new(boot_id()))
}

/// Reads the time records of one boot.
#[derive(Debug, Clone)]
pub struct TimeReader {
    boot_id: String,
    due: Vec<u8>,
    capture: Vec<u8>,
    sequence: Vec<u8>,
}

impl TimeReader {
    /// A reader that takes times of that boot for comparable.
    pub fn new(boot_id: &str) -> Self {
        let TimeRecords { records: [due, capture, sequence] } = TimeRecords::of_boot(boot_id, 0);
        Self { boot_id: boot_id.to_owned(), due, capture, sequence }
    }

    /// As [`read_times`].
    pub fn read<'a>(&self, records: impl IntoIterator<Item = &'a [u8]>) -> FrameTimes {
        let mut times = FrameTimes::default();
        for record in records {
            match self.read_record(record) {
                Some(Moment::Due(at)) => times.due = times.due.or(Some(at)),
                Some(Moment::Capture(at)) => times.capture = times.capture.or(Some(at)),
                Some(Moment::Sequence(publisher, count)) if times.sequence.is_none() => {
                    (times.publisher, times.sequence) = (Some(publisher), Some(count));
                }
                Some(Moment::Sequence(..)) | None => {}
            }
        }
        times
    }

    fn read_record(&self, record: &[u8]) -> Option<Moment> {
        self.read_our_spelling(record).or_else(|| self.read_any_spelling(record))
    }

    fn read_our_spelling(&self, record: &[u8]) -> Option<Moment> {
        if let Some(timestamp) = match_record(record, &self.due, 0) {
            return Some(Moment::Due(timestamp));
        }
        if let Some(timestamp) = match_record(record, &self.capture, 0) {
            return Some(Moment::Capture(timestamp));
        }
        let timestamp = match_record(record, &self.sequence, ID_DIGITS + 1)?;
        let id = &record[record.len() - ID_DIGITS - 1..record.len() - 1];
        Some(Moment::Sequence(read_id(id)?, timestamp))
    }

    fn read_any_spelling(&self, record: &[u8]) -> Option<Moment> {
        if record.len() > MAX_RECORD {
            return None;
        }
        record_name(record).filter(|&name| name == REFERENCE_TIMESTAMP_META)?;
        let Some(MetaRef::ReferenceTimestamp { reference, timestamp, .. }) = MetaRef::read(record) else {
            return None;
        };
        if !TimeRecords::is_time_reference(reference) {
            return None;
        }
        let caps = Caps::parse(reference).ok().filter(|caps| caps.features.is_empty())?;
        let string = |field| match caps.get(field) {
            Some(Value::Str(text)) => Some(text.as_str()),
            _ => None,
        };
        match caps.media.as_str() {
            SEQUENCE => Some(Moment::Sequence(read_id(string("publisher")?.as_bytes())?, timestamp)),
            MONOTONIC if string("boot-id")? == self.boot_id => match string("kind")? {
                "due" => Some(Moment::Due(timestamp)),
                "capture" => Some(Moment::Capture(timestamp)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// What one record says.
enum Moment {
    Due(u64),
    Capture(u64),
    Sequence(u64, u64),
}

/// The timestamp of a record that equals `expected` but for the timestamp and the last `free` bytes.
fn match_record(record: &[u8], expected: &[u8], free: usize) -> Option<u64> {
    const AT: usize = TimeRecords::TIMESTAMP_AT;
    if record.len() != expected.len() || record[..AT] != expected[..AT] {
        return None;
    }
    let fixed = AT + 8..expected.len() - free;
    if record[fixed.clone()] != expected[fixed] {
        return None;
    }
    let ends = free == 0 || record[record.len() - 1] == 0;
    let timestamp = u64::from_le_bytes(std::array::from_fn(|i| record[AT + i]));
    (ends && timestamp != u64::MAX).then_some(timestamp)
}

/// A publisher's id from its 16 lower-case hex digits.
fn read_id(digits: &[u8]) -> Option<u64> {
    if digits.len() != ID_DIGITS {
        return None;
    }
    digits.iter().try_fold(0, |id, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(id << 4 | u64::from(value))
    })
}

/// The three time records of one publisher, in the order in which they are written.
#[derive(Debug, Clone)]
pub struct TimeRecords {
    records: [Vec<u8>; 3],
}

impl TimeRecords {
    /// Where the timestamp, a little-endian u64, stands in each record.
    pub const TIMESTAMP_AT: usize = 4 + 4 + REFERENCE_TIMESTAMP_META.len() + 1 + 1;

    /// The records of the publisher of that id on this boot.
    pub fn new(publisher_id: u64) -> Self {
        Self::of_boot(boot_id(), publisher_id)
    }

    /// The records of the publisher of that id on the boot of that id.
    pub fn of_boot(boot_id: &str, publisher_id: u64) -> Self {
        let record = |reference: String| encode_reference_timestamp(&reference, 0, None, None);
        let moment = |kind| record(format!("{MONOTONIC}, boot-id=(string){boot_id}, kind=(string){kind}"));
        let sequence = record(format!("{SEQUENCE_PREFIX}{}", publisher_name(publisher_id)));
        Self { records: [moment("due"), moment("capture"), sequence] }
    }

    /// Whether a reference timestamp of those caps is one of the three, whoever wrote it.
    pub fn is_time_reference(reference: &str) -> bool {
        let media = reference.trim_start().split([',', ';', '(']).next().unwrap_or_default().trim_end();
        media == MONOTONIC || media == SEQUENCE
    }

    /// The records with timestamps still to be written at [`TIMESTAMP_AT`](Self::TIMESTAMP_AT).
    pub fn blank(&self) -> &[Vec<u8>; 3] {
        &self.records
    }

    /// The records of one frame; a moment that is unknown has none.
    pub fn records(&self, due: Option<u64>, capture: Option<u64>, sequence: Option<u64>) -> Vec<Vec<u8>> {
        let moments = [due, capture, sequence];
        let known = self.records.iter().zip(moments).filter_map(|(record, moment)| Some((record, moment?)));
        known
            .map(|(record, moment)| {
                let mut record = record.clone();
                record[Self::TIMESTAMP_AT..Self::TIMESTAMP_AT + 8].copy_from_slice(&moment.to_le_bytes());
                record
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_one_id_and_publishers_have_many() {
        assert_eq!(boot_id(), boot_id());
        assert_eq!(boot_id().len(), 36);
        assert!(boot_id().bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()));
        let ids: std::collections::HashSet<_> = (0..100).map(|_| new_publisher_id()).collect();
        assert_eq!(ids.len(), 100);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_clock_is_the_one_that_other_programs_read() {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        // CLOCK_MONOTONIC leaves out suspend, which the uptime counts.
        assert!(monotonic_ns() as f64 <= (seconds + 1.0) * 1e9);
        let before = monotonic_ns();
        assert!(monotonic_ns() >= before);
    }

    #[test]
    fn our_records_are_known_without_being_decoded() {
        let records = TimeRecords::new(5).records(Some(1), Some(2), Some(3));
        assert!(records.iter().all(|record| is_time_record(record)));
        let others = TimeRecords::of_boot("ffffffff-ffff-4fff-8fff-ffffffffffff", 5).records(Some(1), Some(2), None);
        assert!(!others.iter().any(|record| is_time_record(record)));
        assert!(!is_time_record(&encode_reference_timestamp("timestamp/x-unix", 1, None, None)));
        assert!(!is_time_record(&[]));
    }
}
