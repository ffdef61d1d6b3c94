//! Waiting for full subscribers, for a publisher that loses nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use iceoryx2::port::listener::Listener;
use iceoryx2::port::{BackpressureAction, BackpressureInfo};
use iceoryx2::prelude::*;

use super::settings::Waits;
use crate::contract::limits;
use crate::iox2::fork::OfThisProcess;
use crate::iox2::liveness;
use crate::iox2::types::{EventService, Iox};
use crate::video_service::{EVENT_TAKEN, VideoService, event_found};

/// How long to wait for word from a reader before looking: readers that are not ours say nothing.
const LOOK_INTERVAL: Duration = limits::ROOM_LOOK;

/// How long a publisher waits, after the last word from any reader, for a reader that will tell that it has found it.
const FOUND_TIMEOUT: Duration = limits::FOUND_TIMEOUT;
/// How long it waits, after the first frame, for a reader that cannot tell: one without a notifier on the event service.
const SILENT_TIMEOUT: Duration = limits::FOUND_SILENT;

/// Waits until a full subscriber has taken a frame, and until those that were there before the publisher have found it.
///
/// iceoryx2 drops what a full buffer has no room for until its subscriber has looked, and what is in the buffer when the publisher
/// goes before that.
pub(super) struct Backpressure {
    /// Readers of ours announce what they take, and publishers that they find (SPEC §1).
    listener: Listener<Iox>,
    events: Arc<OfThisProcess<EventService>>,
    config: Config,
    waits: Arc<Waits>,
    /// Ports of readers that have yet to find the publisher.
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

    /// Id of the listener.
    pub fn listener(&self) -> u128 {
        self.listener.id().value()
    }

    /// Takes note of who is there, now that the publisher has another port: those who come later find it by themselves.
    pub fn begin(&self, video: &VideoService) {
        // What is announced up to now is about an earlier port.
        self.drain();
        let mut pending_readers = self.pending_readers();
        pending_readers.clear();
        video.dynamic_config().list_subscribers(|subscriber| {
            pending_readers.push(subscriber.subscriber_id.value());
            CallbackProgression::Continue
        });
    }

    /// Waits until everybody has found the publisher, of which a first frame has been sent.
    pub fn wait_until_found(&self, video: &VideoService) {
        if self.pending_readers().is_empty() {
            return;
        }
        let sent = Instant::now();
        let mut quiet_since = sent;
        loop {
            if self.drain() > 0 {
                quiet_since = Instant::now();
            }
            let can_tell = self.notifying_nodes();
            self.pending_readers().retain(|&port| match self.living_node(port, video) {
                Some(node) if can_tell.contains(&node) => quiet_since.elapsed() < FOUND_TIMEOUT,
                Some(_) => sent.elapsed() < SILENT_TIMEOUT,
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

    /// What to do about a subscriber whose buffer is full; called again until the frame is delivered or discarded.
    pub fn wait(&self, full: &BackpressureInfo, video: &VideoService) -> BackpressureAction {
        if self.living_node(full.receiver_port_id, video).is_none() || self.waits.are_over() {
            return BackpressureAction::DiscardData;
        }
        self.wait_for_event();
        self.drain();
        BackpressureAction::Retry
    }

    /// The node of a subscriber; `None` if its process has ended, or the subscriber was removed after it.
    fn living_node(&self, port: u128, video: &VideoService) -> Option<u128> {
        let mut node = None;
        video.dynamic_config().list_subscribers(|subscriber| {
            if subscriber.subscriber_id.value() != port {
                return CallbackProgression::Continue;
            }
            node = Some(subscriber.node_id.value());
            CallbackProgression::Stop
        });
        node.filter(|&node| !liveness::is_gone(node, &self.config))
    }

    /// Nodes that can notify. Readers of ours do from the node of their subscriber, if the service has no overflow.
    fn notifying_nodes(&self) -> Vec<u128> {
        let mut nodes = Vec::new();
        self.events.dynamic_config().list_notifiers(|notifier| {
            nodes.push(notifier.node_id.value());
            CallbackProgression::Continue
        });
        nodes
    }

    fn wait_for_event(&self) {
        // SAFETY: the number is used while the listener, which owns the descriptor, lives.
        let descriptor = unsafe { self.listener.file_descriptor().native_handle() };
        self.waits.wait(descriptor, LOOK_INTERVAL);
    }

    /// Empties the listener; answers how much was acknowledged.
    fn drain(&self) -> u64 {
        let mut acknowledged = 0;
        let mut more = true;
        while std::mem::take(&mut more) {
            let _ = self.listener.try_wait(|event| {
                more = true;
                let id = event.id.as_value();
                if id >= EVENT_TAKEN {
                    acknowledged += event.count;
                }
                let mut pending_readers = self.pending_readers();
                for _ in 0..event.count {
                    if let Some(place) = pending_readers.iter().position(|&port| event_found(port) == id) {
                        pending_readers.swap_remove(place);
                    }
                }
            });
        }
        acknowledged
    }

    fn pending_readers(&self) -> MutexGuard<'_, Vec<u128>> {
        self.pending_readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
