//! The user header of a packet: one encoded picture (SPEC §9). This crate neither sends nor receives packets.

use iceoryx2::prelude::ZeroCopySend;

use crate::contract::{layout, limits};
use crate::wire::fault::Fault;
use crate::wire::fields;
use crate::wire::header::MAX_DIMENSION;
use crate::wire::stamp::Stamp;

/// Size of [`VideoPacketHeader`] in bytes.
pub const PACKET_HEADER_SIZE: usize = layout::PACKET_HEADER_SIZE as usize;
/// Name by which iceoryx2 identifies the header type.
pub const PACKET_HEADER_TYPE_NAME: &str = layout::PACKET_HEADER_TYPE_NAME;
/// Version of the header.
pub const PACKET_VERSION: u32 = layout::PACKET_VERSION as u32;
/// Flag of a packet that can be decoded without earlier packets.
pub const PACKET_FLAG_KEYFRAME: u32 = layout::PACKET_FLAG_KEYFRAME as u32;
/// Flag of the sample that ends the stream.
pub const PACKET_FLAG_EOS: u32 = layout::PACKET_FLAG_EOS as u32;
/// Flag of a packet before which packets are missing.
pub const PACKET_FLAG_DISCONT: u32 = layout::PACKET_FLAG_DISCONT as u32;
/// Length of the header's codec field, including the NUL.
pub const CODEC_LEN: usize = layout::CODEC_LEN as usize;
/// Largest packet in bytes.
pub const MAX_PACKET_BYTES: usize = limits::MAX_PACKET_BYTES;
/// Size of the subscriber buffer that a creator uses, in packets.
pub const PACKET_BUFFER_SIZE: usize = limits::PACKET_BUFFER_SIZE;
/// Number of packets that a subscriber may hold at once, as a creator sets it.
pub const PACKET_BORROWED_MAX: usize = limits::PACKET_BORROWED_MAX;
/// History that a creator uses, in packets.
pub const PACKET_HISTORY_SIZE: usize = limits::PACKET_HISTORY_SIZE;
/// Event with which a reader asks for a keyframe.
pub const EVENT_KEYFRAME_WANTED: usize = limits::EVENT_KEYFRAME_WANTED;
/// Shortest time between a keyframe and one that a reader asks for.
pub const KEYFRAME_SPAN: std::time::Duration = limits::KEYFRAME_SPAN;

/// Codec, times, identity and flags of one packet (SPEC §9).
///
/// The header is in shared memory to which its publisher can still write. Copy it (it is `Copy`) before you read it, and check the copy
/// with [`validate_packet`] before you use it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ZeroCopySend)]
#[type_name("VideoPacketHeader")]
pub struct VideoPacketHeader {
    /// Presentation timestamp in nanoseconds, or [`NONE`](crate::NONE).
    pub pts: u64,
    /// Decoding timestamp in nanoseconds, or [`NONE`](crate::NONE).
    pub dts: u64,
    /// Duration in nanoseconds, or [`NONE`](crate::NONE).
    pub duration: u64,
    /// Random ID of the publisher of packets.
    pub stream: u64,
    /// Number of samples that this publisher had sent before.
    pub sequence: u64,
    /// Boot ID in the stamp of the frame that the packet shows.
    pub boot_id: [u8; 16],
    /// Publisher in this stamp, or [`NONE`](crate::NONE).
    pub frame_publisher: u64,
    /// Sequence in this stamp, or [`NONE`](crate::NONE).
    pub frame_sequence: u64,
    /// Capture time in this stamp, or [`NONE`](crate::NONE).
    pub capture: u64,
    /// Due time in this stamp, or [`NONE`](crate::NONE).
    pub due: u64,
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// `PACKET_FLAG_…`.
    pub flags: u32,
    /// [`PACKET_VERSION`].
    pub version: u32,
    /// Name of the codec in ASCII, NUL-padded.
    pub codec: [u8; CODEC_LEN],
}

const _: () = {
    use std::mem::{align_of, offset_of, size_of};
    assert!(size_of::<VideoPacketHeader>() == PACKET_HEADER_SIZE);
    assert!(align_of::<VideoPacketHeader>() == 8);
    assert!(offset_of!(VideoPacketHeader, stream) == 24);
    assert!(offset_of!(VideoPacketHeader, boot_id) == 40);
    assert!(offset_of!(VideoPacketHeader, due) == 80);
    assert!(offset_of!(VideoPacketHeader, width) == 88);
    assert!(offset_of!(VideoPacketHeader, codec) == 104);
};

impl VideoPacketHeader {
    /// Whether the packet can be decoded without earlier packets.
    pub fn is_keyframe(&self) -> bool {
        self.flags & PACKET_FLAG_KEYFRAME != 0
    }

    /// Whether this sample ends the stream.
    pub fn is_eos(&self) -> bool {
        self.flags & PACKET_FLAG_EOS != 0
    }

    /// Returns the codec's name; empty if the field is not NUL-terminated ASCII.
    pub fn codec_name(&self) -> &str {
        fields::text(&self.codec).unwrap_or_default()
    }

    /// Returns the stamp of the frame that the packet shows.
    pub fn stamp(&self) -> Stamp {
        fields::stamp(self.boot_id, [self.frame_publisher, self.frame_sequence, self.capture, self.due])
    }

    /// Returns the header as bytes, as it is in shared memory.
    pub fn to_bytes(&self) -> [u8; PACKET_HEADER_SIZE] {
        let times = fields::longs([self.pts, self.dts, self.duration, self.stream, self.sequence]);
        let stamp = fields::longs([self.frame_publisher, self.frame_sequence, self.capture, self.due]);
        let words = fields::words([self.width, self.height, self.flags, self.version]);
        fields::joined(times.chain(self.boot_id).chain(stamp).chain(words).chain(self.codec))
    }

    /// Reads a header from `bytes`. Every content gives a header, which may be invalid.
    pub fn from_bytes(bytes: &[u8; PACKET_HEADER_SIZE]) -> Self {
        let (long, word) = (|at| fields::long(bytes, at), |at| fields::word(bytes, at));
        Self {
            pts: long(0),
            dts: long(8),
            duration: long(16),
            stream: long(24),
            sequence: long(32),
            boot_id: fields::bytes(bytes, 40),
            frame_publisher: long(56),
            frame_sequence: long(64),
            capture: long(72),
            due: long(80),
            width: word(88),
            height: word(92),
            flags: word(96),
            version: word(100),
            codec: fields::bytes(bytes, 104),
        }
    }
}

/// Checks a private copy of a header (SPEC §9 rules 2 to 5). `payload` is the number of payload bytes, and `codec` is in the service's name.
///
/// # Errors
/// A [`Fault`] for the first rule that the packet breaks.
pub fn validate_packet(header: &VideoPacketHeader, payload: usize, codec: &str) -> Result<(), Fault> {
    if header.version != PACKET_VERSION {
        return Err(Fault::PacketVersion { version: header.version });
    }
    if header.codec_name() != codec {
        let name = String::from_utf8_lossy(&header.codec).trim_end_matches('\0').to_owned();
        return Err(Fault::PacketCodec { name, expected: codec.to_owned() });
    }
    if header.is_eos() {
        return Ok(());
    }
    for (field, value) in [("width", header.width), ("height", header.height)] {
        if !(1..=MAX_DIMENSION).contains(&value) {
            return Err(Fault::Size { field, value });
        }
    }
    if payload == 0 || payload > MAX_PACKET_BYTES {
        return Err(Fault::PacketBytes { payload });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_header_are_its_memory() {
        let bytes: [u8; PACKET_HEADER_SIZE] = std::array::from_fn(|i| i as u8);
        let header = VideoPacketHeader::from_bytes(&bytes);
        // SAFETY: the struct is `repr(C)`, 112 bytes long and without padding (the offsets above leave no gap).
        let memory: [u8; PACKET_HEADER_SIZE] = unsafe { std::mem::transmute(header) };
        assert_eq!(memory, bytes);
        assert_eq!(header.to_bytes(), bytes);
    }

    #[test]
    fn iceoryx2_knows_the_header_by_its_contract_name() {
        // SAFETY: the function only returns a constant. It is marked unsafe because a wrong implementation is unsafe, not because the call
        // is.
        assert_eq!(unsafe { VideoPacketHeader::type_name() }, PACKET_HEADER_TYPE_NAME);
    }
}
