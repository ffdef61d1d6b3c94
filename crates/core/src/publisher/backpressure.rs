//! How a lossless publisher waits for its subscribers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use iceoryx2::port::listener::Listener;
use iceoryx2::port::{BackpressureAction, BackpressureInfo};
use iceoryx2::prelude::*;

use super::settings::Waits;
use crate::contract::limits;
use crate::iox2::fork::OfThisProcess;
use crate::iox2::liveness;
use crate::iox2::types::{EventService, Iox};
use crate::video_service::{UserHeader, VideoService, event_found, notifiers_of, subscribers_of};

/// Waits while a subscriber's buffer is full. After the first frame on a new port, it also waits until all older subscribers have found the
/// port.
///
/// Until a subscriber has looked for a new port, iceoryx2 drops frames that do not fit into the subscriber's buffer. If the port is removed
/// before that, all of these frames are lost.
pub(super) struct Backpressure {
    /// Receives events from this SDK's readers, which announce the frames that they take and the publishers that they find (SPEC §1).
    listener: Listener<Iox>,
    events: Arc<OfThisProcess<EventService>>,
    config: Config,
    waits: Arc<Waits>,
    /// Ports of subscribers that have not found the publisher's port yet.
    pending_readers: Mutex<Vec<u128>>,
}

impl Backpressure {
    pub fn new(
        listener: Listener<Iox>,
        events: Arc<OfThisProcess<EventService>>,
        config: Config,
        waits: Arc<Waits>,
    ) -> Self {
        Self { listener, events, config, waits, pending_readers: Mutex::default() }
    }

    /// Returns the ID of the listener.
    pub fn listener(&self) -> u128 {
        self.listener.id().value()
    }

    /// Records the subscribers that are older than the publisher's new port. Newer subscribers find the port by themselves.
    pub fn begin<H: UserHeader>(&self, video: &VideoService<H>) {
        // Earlier events are about the previous port, so they are discarded.
        self.drain();
        *self.pending_readers() = subscribers_of(video).into_iter().map(|(port, _)| port).collect();
    }

    /// Call this after the first frame. Waits until all older subscribers have found the port, or until the wait times out.
    pub fn wait_until_found<H: UserHeader>(&self, video: &VideoService<H>) {
        if self.pending_readers().is_empty() {
            return;
        }
        let sent = Instant::now();
        let mut last_event = sent;
        loop {
            if self.drain() {
                last_event = Instant::now();
            }
            let notifying = notifiers_of(&self.events);
            self.pending_readers().retain(|&port| match self.living_node(port, video) {
                // This SDK's readers have a notifier on the same node as their subscriber.
                Some(node) if notifying.iter().any(|&(_, notifying)| notifying == node) => {
                    last_event.elapsed() < limits::FOUND_TIMEOUT
                }
                Some(_) => sent.elapsed() < limits::FOUND_SILENT,
                None => false,
            });
            if self.pending_readers().is_empty() {
                return;
            }
            if self.waits.are_over() {
                self.pending_readers().clear();
                return;
            }
            self.wait_for_event();
        }
    }

    /// Decides whether to wait for a subscriber with a full buffer. iceoryx2 calls this again until the frame is delivered or discarded.
    pub fn wait<H: UserHeader>(&self, full: &BackpressureInfo, video: &VideoService<H>) -> BackpressureAction {
        if self.living_node(full.receiver_port_id, video).is_none() || self.waits.are_over() {
            return BackpressureAction::DiscardData;
        }
        self.wait_for_event();
        self.drain();
        BackpressureAction::Retry
    }

    /// Returns the node of a subscriber; `None` if its process has exited or its port was removed.
    fn living_node<H: UserHeader>(&self, port: u128, video: &VideoService<H>) -> Option<u128> {
        let (_, node) = subscribers_of(video).into_iter().find(|&(found, _)| found == port)?;
        (!liveness::is_gone(node, &self.config)).then_some(node)
    }

    /// Waits for an event from a reader. The wait is short, because readers that do not use this SDK do not send events.
    fn wait_for_event(&self) {
        // SAFETY: the listener owns the descriptor and outlives every use of its number.
        let descriptor = unsafe { self.listener.file_descriptor().native_handle() };
        self.waits.wait(descriptor, limits::ROOM_LOOK);
    }

    /// Empties the listener and removes readers that found the port from the list. Returns true if a reader has taken a frame or found a
    /// port.
    fn drain(&self) -> bool {
        let mut is_acknowledged = false;
        let mut more = true;
        while std::mem::take(&mut more) {
            let _ = self.listener.try_wait(|event| {
                more = true;
                is_acknowledged |=
                    event.id.as_value() == limits::EVENT_TAKEN || event.id.as_value() >= limits::EVENT_FOUND_FIRST;
                let mut pending = self.pending_readers();
                for _ in 0..event.count {
                    if let Some(place) = pending.iter().position(|&port| event_found(port) == event.id) {
                        pending.swap_remove(place);
                    }
                }
            });
        }
        is_acknowledged
    }

    fn pending_readers(&self) -> MutexGuard<'_, Vec<u128>> {
        self.pending_readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
