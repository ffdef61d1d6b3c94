//! What a subscriber knows between two frames: where it is connected, what it counted, and what it has already checked.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use iceoryx2::prelude::PortFactory;

use super::link::Link;
use crate::contract::{limits, messages};
use crate::error::Error;
use crate::wire::auxblob::AuxRef;
use crate::wire::caps::check_caps;
use crate::wire::header::VideoFrameHeader;
use crate::wire::shared::SharedBytes;
use crate::wire::stamp::Stamp;
use crate::wire::validate::{Fault, validate_aux_size, validate_geometry};

/// How long a service without a publisher is kept open: a publisher that needs more memory goes and comes back at once.
pub(super) const GAP: Duration = limits::PUBLISHER_GAP;
/// Anybody can name publishers; the table of them is emptied rather than grown.
const PUBLISHERS: usize = limits::MAX_KNOWN_PUBLISHERS;

#[derive(Debug, Default)]
pub(super) struct State {
    pub link: Option<Link>,
    /// Time of the last look for a publisher; `None` makes the next call look.
    pub looked: Option<Instant>,
    /// Set while no publisher is there.
    pub absence: Option<Absence>,
    /// [`Received::Disconnected`](super::Received::Disconnected) is still to be returned.
    pub is_disconnected: bool,
    pub accepted: Accepted,
    /// Bytes of the last frame's aux blob.
    pub aux_bytes: usize,
    /// The end of the stream comes after the frame that was handed out last.
    pub ends: bool,
    /// The last count of each publisher, and the publisher of the last frame.
    counts: BTreeMap<u64, u64>,
    publisher: Option<u64>,
    /// A publisher that is new to this subscriber began after it, so the frames before the first that arrives are missing.
    pub was_first: bool,
    pub received: u64,
    pub dropped: Option<u64>,
    pub invalid: u64,
    faults: BTreeMap<&'static str, u64>,
    pub news: Option<String>,
    /// Memory of a publisher could not be mapped: whether that was told, when to try again, and the words for it.
    pub was_unmapped: bool,
    pub is_trouble_reported: bool,
    pub retry_at: Option<Instant>,
    pub trouble: Option<Error>,
}

/// The time without a publisher.
#[derive(Debug)]
pub(super) struct Absence {
    since: Instant,
    /// Whether it counted as a disconnection.
    pub is_reported: bool,
}

impl Default for Absence {
    fn default() -> Self {
        Self { since: Instant::now(), is_reported: false }
    }
}

impl Absence {
    /// Whether a publisher may only be replacing its port. No event tells: each kind of change has the same one, and may be late or lost.
    pub fn is_brief(&self) -> bool {
        self.since.elapsed() < GAP
    }
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
            self.news = Some(messages::frame_refused(service, format!("{rule}: {fault}")));
        }
    }

    /// Takes note of a look that found no publisher. A port that is being replaced is missing for a moment only.
    pub fn note_absence(&mut self, is_described: bool) {
        let is_brief = self.absence.get_or_insert_default().is_brief();
        self.was_first |= !is_described || !is_brief;
    }

    /// Whether a frame with this stamp has not been seen yet. Without a count that cannot be told.
    pub fn misses(&self, stamp: &Stamp) -> bool {
        stamp
            .publisher
            .zip(stamp.sequence)
            .is_some_and(|(publisher, sequence)| self.counts.get(&publisher).is_none_or(|&last| sequence > last))
    }

    /// Compares the publisher's count with the last one; true if something is missing in between.
    pub fn follow(&mut self, stamp: &Stamp) -> bool {
        let (Some(publisher), Some(sequence)) = (stamp.publisher, stamp.sequence) else {
            return false;
        };
        let missing = match self.counts.get(&publisher) {
            // The newest frame again, as history after a reconnection, is no gap.
            Some(&last) => sequence.saturating_sub(last).saturating_sub(1),
            // A late joiner misses nothing.
            None => u64::from(self.was_first) * sequence,
        };
        if self.counts.insert(publisher, sequence).is_none() {
            // Where there is one publisher at a time, each further one begins under this subscriber's eyes.
            let is_alone = |link: &Link| link.service.static_config().max_publishers() == 1;
            self.was_first |= self.link.as_ref().is_some_and(is_alone);
            if self.counts.len() > PUBLISHERS {
                self.counts.retain(|&other, _| other == publisher);
                self.was_first = false;
            }
        }
        let is_another = self.publisher.replace(publisher).is_some_and(|last| last != publisher);
        let dropped = self.dropped.get_or_insert(0);
        *dropped = dropped.saturating_add(missing);
        missing > 0 || is_another
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
