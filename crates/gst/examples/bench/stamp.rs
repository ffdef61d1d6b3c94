//! The stamp in the pixels of each frame: phase, time and number at the beginning, and the number again at the end.

use gst_plugin_iceoryx2_video::monotonic_ns;

/// The part of a run to which a frame belongs, stored in the first byte of its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Sent until all processes are ready.
    WarmUp = 0,
    Counted = 1,
    /// Sent until all processes have seen the end.
    End = 2,
}

#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    pub phase: Phase,
    /// When the frame was pushed, in nanoseconds of CLOCK_MONOTONIC.
    pub sent: u64,
    /// Number of the counted frame, from 0; in a frame of the end, the number of counted frames.
    pub number: u64,
}

impl Stamp {
    const SIZE: usize = 24;
    const TAIL: usize = 8;
    /// Bytes of the smallest frame that can contain a stamp.
    pub const SHORTEST: usize = Self::SIZE + Self::TAIL;

    pub fn now(phase: Phase, number: u64) -> Self {
        Self { phase, sent: monotonic_ns(), number }
    }

    /// Writes the stamp into the pixels of a whole frame.
    pub fn write(self, pixels: &mut [u8]) {
        pixels[..8].copy_from_slice(&(self.phase as u64).to_le_bytes());
        pixels[8..16].copy_from_slice(&self.sent.to_le_bytes());
        pixels[16..Self::SIZE].copy_from_slice(&self.number.to_le_bytes());
        let tail = pixels.len() - Self::TAIL;
        pixels[tail..].copy_from_slice(&self.number.to_le_bytes());
    }

    /// The smallest frame with this stamp.
    pub fn shortest(pixels: &[u8]) -> Option<[u8; Self::SHORTEST]> {
        let mut frame = [0; Self::SHORTEST];
        frame[..Self::SIZE].copy_from_slice(pixels.first_chunk::<{ Self::SIZE }>()?);
        frame[Self::SIZE..].copy_from_slice(pixels.last_chunk::<{ Self::TAIL }>()?);
        Some(frame)
    }

    /// The stamp at the beginning, and whether the end agrees. It does not if another frame has overwritten a part.
    pub fn read(pixels: &[u8]) -> Option<(Self, bool)> {
        let (head, _) = pixels.split_first_chunk::<{ Self::SIZE }>()?;
        let (_, tail) = pixels.split_last_chunk::<{ Self::TAIL }>()?;
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| head[at + index]));
        let phase = match word(0) {
            0 => Phase::WarmUp,
            1 => Phase::Counted,
            2 => Phase::End,
            _ => return None,
        };
        let number = word(16);
        Some((Self { phase, sent: word(8), number }, number == u64::from_le_bytes(*tail)))
    }
}
