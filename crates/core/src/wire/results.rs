//! The user header of a sample of results, which belongs to one frame (SPEC §11).

use iceoryx2::prelude::ZeroCopySend;

use crate::contract::{layout, limits};
use crate::wire::fault::Fault;
use crate::wire::fields;
use crate::wire::header::{MAX_DIMENSION, NONE};
use crate::wire::stamp::Stamp;

/// Size of [`VideoResultsHeader`] in bytes.
pub const RESULTS_HEADER_SIZE: usize = layout::RESULTS_HEADER_SIZE as usize;
/// Name by which iceoryx2 identifies the header type.
pub const RESULTS_HEADER_TYPE_NAME: &str = layout::RESULTS_HEADER_TYPE_NAME;
/// Version of the header.
pub const RESULTS_VERSION: u32 = layout::RESULTS_VERSION as u32;
/// Largest payload in bytes.
pub const MAX_RESULTS_BYTES: usize = limits::MAX_RESULTS_BYTES;
/// Size of the subscriber buffer that a creator uses, in results.
pub const RESULTS_BUFFER_SIZE: usize = limits::RESULTS_BUFFER_SIZE;
/// Number of results that a subscriber may hold at once, as a creator sets it.
pub const RESULTS_BORROWED_MAX: usize = limits::RESULTS_BORROWED_MAX;
/// History that a creator uses, in results.
pub const RESULTS_HISTORY_SIZE: usize = limits::RESULTS_HISTORY_SIZE;

/// Identity of a sample of results and of the frame that it belongs to (SPEC §11).
///
/// The header is in shared memory to which its publisher can still write. Copy it (it is `Copy`) before you read it, and check the copy
/// with [`validate_results`] before you use it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ZeroCopySend)]
#[type_name("VideoResultsHeader")]
pub struct VideoResultsHeader {
    /// Random ID of the publisher of results.
    pub stream: u64,
    /// Number of samples that this publisher had sent before.
    pub sequence: u64,
    /// Boot ID in the stamp of the frame.
    pub boot_id: [u8; 16],
    /// Publisher in this stamp.
    pub frame_publisher: u64,
    /// Sequence in this stamp.
    pub frame_sequence: u64,
    /// Capture time in this stamp, or [`NONE`].
    pub capture: u64,
    /// Due time in this stamp, or [`NONE`].
    pub due: u64,
    /// Width of the source's frame in pixels.
    pub width: u32,
    /// Height of the source's frame in pixels.
    pub height: u32,
    /// Number of sections in the payload.
    pub entries: u32,
    /// 0; ignored.
    pub flags: u32,
    /// [`RESULTS_VERSION`].
    pub version: u32,
    /// 0; ignored.
    pub reserved: u32,
}

const _: () = {
    use std::mem::{align_of, offset_of, size_of};
    assert!(size_of::<VideoResultsHeader>() == RESULTS_HEADER_SIZE);
    assert!(align_of::<VideoResultsHeader>() == 8);
    assert!(offset_of!(VideoResultsHeader, boot_id) == 16);
    assert!(offset_of!(VideoResultsHeader, due) == 56);
    assert!(offset_of!(VideoResultsHeader, version) == 80);
};

impl VideoResultsHeader {
    /// Returns the stamp of the frame that the results belong to.
    pub fn stamp(&self) -> Stamp {
        fields::stamp(self.boot_id, [self.frame_publisher, self.frame_sequence, self.capture, self.due])
    }

    /// Returns the header as bytes, as it is in shared memory.
    pub fn to_bytes(&self) -> [u8; RESULTS_HEADER_SIZE] {
        let sender = fields::longs([self.stream, self.sequence]);
        let stamp = fields::longs([self.frame_publisher, self.frame_sequence, self.capture, self.due]);
        let words = fields::words([self.width, self.height, self.entries, self.flags, self.version, self.reserved]);
        fields::joined(sender.chain(self.boot_id).chain(stamp).chain(words))
    }

    /// Reads a header from `bytes`. Every content gives a header, which may be invalid.
    pub fn from_bytes(bytes: &[u8; RESULTS_HEADER_SIZE]) -> Self {
        let (long, word) = (|at| fields::long(bytes, at), |at| fields::word(bytes, at));
        Self {
            stream: long(0),
            sequence: long(8),
            boot_id: fields::bytes(bytes, 16),
            frame_publisher: long(32),
            frame_sequence: long(40),
            capture: long(48),
            due: long(56),
            width: word(64),
            height: word(68),
            entries: word(72),
            flags: word(76),
            version: word(80),
            reserved: word(84),
        }
    }
}

/// Checks a private copy of a header (SPEC §11 rules 2 to 5). `payload` is the number of payload bytes.
///
/// # Errors
/// A [`Fault`] for the first rule that the sample breaks.
pub fn validate_results(header: &VideoResultsHeader, payload: usize) -> Result<(), Fault> {
    if header.version != RESULTS_VERSION {
        return Err(Fault::ResultsVersion { version: header.version });
    }
    if header.frame_publisher == NONE || header.frame_sequence == NONE {
        return Err(Fault::ResultsKey);
    }
    for (field, value) in [("width", header.width), ("height", header.height)] {
        if !(1..=MAX_DIMENSION).contains(&value) {
            return Err(Fault::Size { field, value });
        }
    }
    if payload == 0 || payload > MAX_RESULTS_BYTES {
        return Err(Fault::ResultsBytes { payload });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_header_are_its_memory() {
        let bytes: [u8; RESULTS_HEADER_SIZE] = std::array::from_fn(|i| i as u8);
        let header = VideoResultsHeader::from_bytes(&bytes);
        // SAFETY: the struct is `repr(C)`, 88 bytes long and without padding (the offsets above leave no gap).
        let memory: [u8; RESULTS_HEADER_SIZE] = unsafe { std::mem::transmute(header) };
        assert_eq!(memory, bytes);
        assert_eq!(header.to_bytes(), bytes);
    }

    #[test]
    fn iceoryx2_knows_the_header_by_its_contract_name() {
        // SAFETY: the function only returns a constant. It is marked unsafe because a wrong implementation is unsafe, not because the call
        // is.
        assert_eq!(unsafe { VideoResultsHeader::type_name() }, RESULTS_HEADER_TYPE_NAME);
    }
}
