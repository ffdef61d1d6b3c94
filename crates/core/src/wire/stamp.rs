//! The stamp of a frame: its publisher, sequence number, capture time and due time (SPEC §5).

use std::hash::BuildHasher;
use std::sync::OnceLock;

use crate::wire::fields;

const NAME: &[u8] = b"Iox2Stamp";
const VERSION: u8 = 1;
/// Bytes before the payload: size of the record, length of its name, name, NUL, version.
const HEAD: usize = 4 + 4 + NAME.len() + 1 + 1;
const NO_BOOT: [u8; 16] = [0; 16];

/// Returns the 16 bytes of the kernel's boot ID. They are zero if there is no boot ID; all times are then unknown.
pub fn boot_id() -> [u8; 16] {
    static BOOT_ID: OnceLock<[u8; 16]> = OnceLock::new();
    *BOOT_ID.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.trim().split('-').collect();
        u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32).map_or(NO_BOOT, u128::to_be_bytes)
    })
}

/// Generates a random ID for a new publisher, using the random seed for hash maps.
pub fn new_publisher_id() -> u64 {
    // The largest value means "unknown", so it is not used.
    std::hash::RandomState::new().hash_one(monotonic_ns()).min(u64::MAX - 1)
}

/// Returns the current time in CLOCK_MONOTONIC nanoseconds.
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer refers to a live timespec, and the call does not keep it.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    debug_assert_eq!(status, 0, "every system has CLOCK_MONOTONIC");
    // Seconds and nanoseconds since boot are not negative.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Identity and times of one frame. `None` means unknown.
///
/// # Examples
///
/// ```
/// use gst_plugin_iceoryx2_video::Stamp;
///
/// let stamp = Stamp { publisher: Some(7), sequence: Some(0), ..Default::default() };
/// assert_eq!(Stamp::read(&stamp.record()), Some(stamp));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// ID of the boot that the times belong to; zeros mean unknown.
    pub boot_id: [u8; 16],
    /// Random ID of the publisher.
    pub publisher: Option<u64>,
    /// Number of frames that the publisher sent before this one.
    pub sequence: Option<u64>,
    /// When the frame was captured, or published if the capture time is not known, in CLOCK_MONOTONIC nanoseconds.
    pub capture: Option<u64>,
    /// When the frame is due to be shown, in CLOCK_MONOTONIC nanoseconds.
    pub due: Option<u64>,
}

impl Stamp {
    /// Size of the record in bytes.
    pub const LEN: usize = HEAD + 16 + 4 * 8;

    /// Returns the stamp as a meta record. It is the first record in a blob.
    pub fn record(&self) -> [u8; Self::LEN] {
        let mut record = [0; Self::LEN];
        let (head, payload) = record.split_at_mut(HEAD);
        head.copy_from_slice(&Self::head());
        payload[..16].copy_from_slice(&self.boot_id);
        let numbers = [self.publisher, self.sequence, self.capture, self.due];
        for (place, number) in payload[16..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.unwrap_or(u64::MAX).to_le_bytes());
        }
        record
    }

    /// Returns the stamp in a meta record; `None` if the record is not a stamp.
    pub fn read(record: &[u8]) -> Option<Self> {
        let payload: &[u8; Self::LEN - HEAD] = record.strip_prefix(&Self::head())?.try_into().ok()?;
        Some(fields::stamp(fields::bytes(payload, 0), std::array::from_fn(|i| fields::long(payload, 16 + 8 * i))))
    }

    /// Returns the stamp. Times from another boot or machine are removed, because they belong to a different clock.
    #[must_use]
    pub fn here(self) -> Self {
        if self.boot_id == boot_id() && self.boot_id != NO_BOOT {
            return self;
        }
        Self { capture: None, due: None, ..self }
    }

    fn head() -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&(Self::LEN as u32).to_le_bytes());
        head[4..8].copy_from_slice(&(NAME.len() as u32).to_le_bytes());
        head[8..8 + NAME.len()].copy_from_slice(NAME);
        head[HEAD - 1] = VERSION;
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_one_id_and_publishers_have_many() {
        assert_eq!(boot_id(), boot_id());
        let ids: std::collections::HashSet<_> = (0..100).map(|_| new_publisher_id()).collect();
        assert_eq!(ids.len(), 100);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_boot_id_is_that_of_the_kernel() {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let digits: String = boot_id().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digits, text.trim().replace('-', ""));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_clock_is_the_one_that_other_programs_read() {
        let before = monotonic_ns();
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        // CLOCK_MONOTONIC does not count suspend time, but the uptime does.
        assert!(before as f64 <= (seconds + 1.0) * 1e9);
        assert!(monotonic_ns() >= before);
    }

    #[test]
    fn moments_of_another_boot_mean_nothing_here() {
        let ours = Stamp { boot_id: boot_id(), publisher: Some(5), sequence: Some(1), capture: Some(2), due: Some(3) };
        assert_eq!(ours.here(), ours);
        for boot_id in [[1; 16], NO_BOOT] {
            let foreign = Stamp { boot_id, ..ours };
            assert_eq!(foreign.here(), Stamp { capture: None, due: None, ..foreign });
        }
    }
}
