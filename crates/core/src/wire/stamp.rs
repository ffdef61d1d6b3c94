//! The stamp of a frame: who sent it, which one it is, when it was captured and when it is due (SPEC §5).

use std::hash::BuildHasher;
use std::sync::OnceLock;

const NAME: &[u8] = b"Iox2Stamp";
const VERSION: u8 = 1;
/// Size of the record, length of its name, name, NUL, version.
const HEAD: usize = 4 + 4 + NAME.len() + 1 + 1;
const NO_BOOT: [u8; 16] = [0; 16];

/// The 16 bytes of the kernel's boot id. Zeros if there is none; then every time is unknown.
pub fn boot_id() -> [u8; 16] {
    static BOOT_ID: OnceLock<[u8; 16]> = OnceLock::new();
    *BOOT_ID.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.trim().split('-').collect();
        u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32).map_or(NO_BOOT, u128::to_be_bytes)
    })
}

/// Draws the number of a new publisher, from the random seed of hash maps.
pub fn new_publisher_id() -> u64 {
    // The largest number means "unknown".
    std::hash::RandomState::new().hash_one(monotonic_ns()).min(u64::MAX - 1)
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

/// Identity and times of one frame; `None` = unknown.
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
    /// Id of the boot to whose clock the times belong; zeros = unknown.
    pub boot_id: [u8; 16],
    /// Number that the publisher drew for itself.
    pub publisher: Option<u64>,
    /// How many frames that publisher had sent before this one.
    pub sequence: Option<u64>,
    /// When the frame was captured, or else published, in nanoseconds of CLOCK_MONOTONIC.
    pub capture: Option<u64>,
    /// When the frame is to be shown, in nanoseconds of CLOCK_MONOTONIC.
    pub due: Option<u64>,
}

impl Stamp {
    /// Bytes of the record.
    pub const LEN: usize = HEAD + 16 + 4 * 8;

    /// The stamp as a meta record, which is the first one of a blob.
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

    /// The stamp in a meta record; `None` if the record is something else.
    pub fn read(record: &[u8]) -> Option<Self> {
        let payload: &[u8; Self::LEN - HEAD] = record.strip_prefix(&Self::head())?.try_into().ok()?;
        let number = |at: usize| {
            let number = u64::from_le_bytes(std::array::from_fn(|i| payload[16 + 8 * at + i]));
            (number != u64::MAX).then_some(number)
        };
        let boot_id = std::array::from_fn(|i| payload[i]);
        Some(Self { boot_id, publisher: number(0), sequence: number(1), capture: number(2), due: number(3) })
    }

    /// The stamp without the times if they are of another boot or machine, whose clock differs.
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
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        // CLOCK_MONOTONIC leaves out suspend, which the uptime counts.
        assert!(monotonic_ns() as f64 <= (seconds + 1.0) * 1e9);
        let before = monotonic_ns();
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
