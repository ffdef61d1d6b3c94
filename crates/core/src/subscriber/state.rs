//! State that a subscriber keeps between frames.

use std::collections::BTreeMap;
use std::time::Instant;

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

#[derive(Debug, Default)]
pub(super) struct State {
    pub link: Option<Link>,
    /// Time of the last search for a publisher; with `None`, the next call searches.
    pub looked: Option<Instant>,
    /// Time of the last search for killed publishers.
    pub cleaned_at: Option<Instant>,
    /// Set while there is no publisher; see [`Absence`].
    pub absence: Option<Absence>,
    /// Whether [`Received::Disconnected`](super::Received::Disconnected) must still be returned.
    pub is_disconnected: bool,
    pub accepted: Accepted,
    /// Size in bytes of the last frame's aux blob.
    pub aux_bytes: usize,
    /// Whether the end of the stream follows the last returned frame.
    pub ends: bool,
    /// The last sequence number received from each publisher.
    counts: BTreeMap<u64, u64>,
    /// The publisher of the last frame.
    publisher: Option<u64>,
    /// Whether this subscriber existed before the next new publisher. If so, frames before the first one that arrives count as missing.
    pub was_first: bool,
    pub received: u64,
    pub dropped: Option<u64>,
    pub invalid: u64,
    faults: BTreeMap<&'static str, u64>,
    pub news: Option<String>,
    /// Whether a publisher's memory could not be mapped.
    pub was_unmapped: bool,
    pub is_trouble_reported: bool,
    pub retry_at: Option<Instant>,
    pub trouble: Option<Error>,
}

/// A period without a publisher.
#[derive(Debug)]
pub(super) struct Absence {
    since: Instant,
    /// Whether this period was reported as a disconnection.
    is_reported: bool,
}

impl Default for Absence {
    fn default() -> Self {
        Self { since: Instant::now(), is_reported: false }
    }
}

impl Absence {
    /// Whether the publisher may just be replacing its port. Events do not help here: they are the same for every change, and may be late.
    pub fn is_brief(&self) -> bool {
        self.since.elapsed() < limits::PUBLISHER_GAP
    }
}

/// The last geometry and caps that passed the checks. Frames with the same geometry and caps are not checked again.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    header: VideoFrameHeader,
    /// Size of the payload in bytes; `None` before the first frame.
    payload: Option<usize>,
    caps: Vec<u8>,
}

impl State {
    /// Counts a refused frame. The first refused frame for each rule is reported for the log.
    pub fn refuse(&mut self, fault: &Fault, service: &str) {
        self.invalid += 1;
        let rule = fault.rule();
        let count = self.faults.entry(rule).or_default();
        *count += 1;
        if *count == 1 {
            self.news = Some(messages::frame_refused(service, format!("{rule}: {fault}")));
        }
    }

    /// Records that a search did not find a publisher.
    pub fn note_absence(&mut self, is_described: bool) {
        let is_brief = self.absence.get_or_insert_default().is_brief();
        self.was_first |= !is_described || !is_brief;
    }

    /// Whether the publisher has just disappeared. The next search then decides whether this is a disconnection.
    pub fn may_be_disconnected(&self) -> bool {
        self.link.is_some() && self.absence.as_ref().is_some_and(|absence| !absence.is_reported)
    }

    /// Reports once that the publisher has disconnected, and closes the link. An open link would force the old settings on the next
    /// publisher.
    pub fn disconnect(&mut self) {
        self.is_disconnected |= !std::mem::replace(&mut self.absence.get_or_insert_default().is_reported, true);
        // Held frames keep the service open anyway.
        if self.link.as_ref().is_none_or(|link| link.held() == 0) {
            self.link = None;
            self.was_first = true;
            self.looked = Some(Instant::now());
        }
    }

    /// Whether this subscriber has not yet received the frame with this stamp; false if the stamp does not have a sequence number.
    pub fn misses(&self, stamp: &Stamp) -> bool {
        stamp
            .publisher
            .zip(stamp.sequence)
            .is_some_and(|(publisher, sequence)| self.counts.get(&publisher).is_none_or(|&last| sequence > last))
    }

    /// Counts the missing frames before this one. Returns true if frames are missing, or if this frame is from another publisher.
    pub fn follow(&mut self, stamp: &Stamp) -> bool {
        let (Some(publisher), Some(sequence)) = (stamp.publisher, stamp.sequence) else {
            return false;
        };
        let missing = match self.counts.get(&publisher) {
            // After a reconnection, the newest frame may arrive again.
            Some(&last) => sequence.saturating_sub(last).saturating_sub(1),
            // Frames that were sent before a late subscriber connected do not count as missing.
            None => u64::from(self.was_first) * sequence,
        };
        if self.counts.insert(publisher, sequence).is_none() {
            // If only one publisher is admitted at a time, every later publisher is newer than this subscriber.
            let is_alone = |link: &Link| link.service.static_config().max_publishers() == 1;
            self.was_first |= self.link.as_ref().is_some_and(is_alone);
            if self.counts.len() > limits::MAX_KNOWN_PUBLISHERS {
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
    /// Validates a frame, copies its aux blob to `copy` and returns the number of its pixel bytes.
    ///
    /// It checks only private copies of the header and the blob, and never reads a byte of the payload twice.
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
