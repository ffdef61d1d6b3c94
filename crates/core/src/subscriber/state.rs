//! What a subscriber knows between two frames: where it is connected, what it counted, and what it has already checked.

use std::collections::BTreeMap;
use std::time::Instant;

use super::link::Link;
use crate::auxblob::AuxRef;
use crate::caps::check_caps;
use crate::cleanup::Undertaker;
use crate::error::Error;
use crate::header::VideoFrameHeader;
use crate::shared::SharedBytes;
use crate::stamp::Stamp;
use crate::validate::{Fault, validate_aux_size, validate_geometry};

#[derive(Debug, Default)]
pub(super) struct State {
    pub link: Option<Link>,
    pub looked: Option<Instant>,
    pub undertaker: Undertaker,
    /// Since when no publisher is there.
    pub alone: Option<Instant>,
    /// The last publisher has gone for good, and nobody was told yet.
    pub left_alone: bool,
    /// Of which loneliness it was told.
    pub told: Option<Instant>,
    pub accepted: Accepted,
    /// Bytes of the last frame's aux blob.
    pub aux_bytes: usize,
    sequence: Option<(u64, u64)>,
    pub received: u64,
    pub dropped: Option<u64>,
    pub invalid: u64,
    faults: BTreeMap<&'static str, u64>,
    pub news: Option<String>,
    /// Memory of a publisher could not be mapped: whether that was told, when to try again, and the words for it.
    pub was_cut_off: bool,
    pub is_told: bool,
    pub try_again: Option<Instant>,
    pub trouble: Option<Error>,
}

/// The geometry and the caps that passed last, so that a stream of equal frames is checked once.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    header: VideoFrameHeader,
    /// Its length; `None` before the first frame.
    payload: Option<usize>,
    caps: Vec<u8>,
}

impl State {
    /// Counts a frame that is refused; the first of each rule is news.
    pub fn refuse(&mut self, fault: &Fault, service: &str) {
        self.invalid += 1;
        let rule = fault.rule();
        let count = self.faults.entry(rule).or_default();
        *count += 1;
        if *count == 1 {
            self.news = Some(format!(
                "service {service:?}: frame dropped, {fault} (rule {rule:?}; further ones are counted only)"
            ));
        }
    }

    /// Compares the publisher's count with the last one; true if something is missing in between.
    pub fn follow(&mut self, stamp: &Stamp) -> bool {
        let (Some(publisher), Some(sequence)) = (stamp.publisher, stamp.sequence) else {
            return false;
        };
        let missing = match self.sequence {
            // The newest frame again, as history after a reconnection, is no gap.
            Some((last, count)) if last == publisher => Some(sequence.saturating_sub(count).saturating_sub(1)),
            Some(_) => None,
            None => Some(0),
        };
        self.sequence = Some((publisher, sequence));
        let dropped = self.dropped.get_or_insert(0);
        *dropped += missing.unwrap_or(0);
        missing != Some(0)
    }
}

impl Accepted {
    /// Validates a frame, unless the last one was laid out alike; answers the number of its pixel bytes, and leaves its blob in `copy`.
    ///
    /// Judged are private copies only, the header's and the blob's; nothing of the payload is looked at a second time.
    pub fn check(
        &mut self,
        header: &VideoFrameHeader,
        payload: SharedBytes<'_>,
        copy: &mut Vec<u8>,
    ) -> std::result::Result<usize, Fault> {
        copy.clear();
        let known = self.payload == Some(payload.len()) && self.header.same_layout(header);
        let pixels = validate_aux_size(header, payload.len())?;
        if !known {
            validate_geometry(header, pixels)?;
        }
        if header.is_eos() {
            return Ok(0);
        }
        if !known || !self.caps.is_empty() || header.aux_size > 0 {
            let aux = AuxRef::copied(payload.split_at_most(pixels).1, copy);
            if !(known && aux.has_caps(&self.caps)) {
                let caps = aux.caps_bytes().unwrap_or_default();
                if !caps.is_empty() {
                    check_caps(caps, header)?;
                }
                self.caps.clear();
                self.caps.extend_from_slice(caps);
                self.header = *header;
                self.payload = Some(payload.len());
            }
        }
        Ok(pixels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_frame_is_checked_even_if_all_of_it_is_zero() {
        let nothing = SharedBytes::from(&[][..]);
        assert!(Accepted::default().check(&VideoFrameHeader::default(), nothing, &mut Vec::new()).is_err());
    }
}
