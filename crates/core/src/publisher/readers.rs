//! Giving readers that wait for a publisher the time to connect, before anything is sent that they would miss.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use iceoryx2::port::notifier::Notifier;
use iceoryx2::prelude::*;

use super::settings::Waits;
use crate::contract::limits;
use crate::iox2::fork::OfThisProcess;
use crate::iox2::liveness;
use crate::iox2::types::{EventService, Iox};
use crate::video_service::{EVENT_PUBLISHERS_CHANGED, VideoService};

/// How long a publisher waits at most, once for each of its ports, for the readers that it found waiting.
pub(super) const CONNECT_TIMEOUT: Duration = limits::CONNECT;
/// As [`CONNECT_TIMEOUT`], for a publisher that loses nothing.
pub(super) const LOSSLESS_CONNECT_TIMEOUT: Duration = limits::CONNECT_LOSSLESS;
/// How often it looks whether they have connected, which costs a few reads of shared memory.
const LOOK_INTERVAL: Duration = limits::CONNECT_LOOK;

/// The readers on the event service of a publisher's name.
///
/// A reader without a publisher has a listener there and nothing else. It connects when it is notified, and what is sent before that
/// does not reach it.
pub(super) struct Readers {
    events: Arc<OfThisProcess<EventService>>,
    notifier: Arc<OfThisProcess<Notifier<Iox>>>,
    /// The publisher's node, and its own listener if it has one.
    node: u128,
    listener: Option<u128>,
    config: Config,
    waits: Arc<Waits>,
    timeout: Duration,
    /// Whether the present port waits for nobody any more.
    has_waited: AtomicBool,
    /// Nodes that were connected to the port before the present one. A reader that did not connect to that port is not waited for again.
    before: Mutex<Option<Vec<u128>>>,
}

impl Readers {
    pub fn new(
        events: Arc<OfThisProcess<EventService>>,
        notifier: Arc<OfThisProcess<Notifier<Iox>>>,
        node: u128,
        listener: Option<u128>,
        config: Config,
        waits: Arc<Waits>,
    ) -> Self {
        let timeout = if listener.is_some() { LOSSLESS_CONNECT_TIMEOUT } else { CONNECT_TIMEOUT };
        let (has_waited, before) = (AtomicBool::new(false), Mutex::default());
        Self { events, notifier, node, listener, config, waits, timeout, has_waited, before }
    }

    /// The configuration of the publisher's node.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The publisher's port is about to be replaced.
    pub fn begin(&self, video: &VideoService) {
        if self.has_waited.swap(false, Ordering::AcqRel) {
            *self.before.lock().unwrap_or_else(PoisonError::into_inner) = Some(subscribing_nodes(video));
        }
    }

    /// Announces that the publishers of the service changed. Readers that do not hear it look at their safety interval.
    pub fn announce(&self) {
        announce(&self.notifier);
    }

    /// Waits until the readers that were found waiting have connected to the present port.
    pub fn wait_for_readers(&self, video: &VideoService) {
        if self.has_waited.load(Ordering::Acquire) {
            return;
        }
        let expected = self.expected(video);
        let start = Instant::now();
        while self.is_missing(&expected, video) && start.elapsed() < self.timeout {
            self.announce();
            self.waits.wait(-1, LOOK_INTERVAL);
            if self.waits.are_over() {
                // The next frame is the first one then.
                return;
            }
        }
        self.has_waited.store(true, Ordering::Release);
    }

    /// Listeners of living processes that may be those of readers.
    fn expected(&self, video: &VideoService) -> Vec<u128> {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let mut publishing = Vec::new();
        video.dynamic_config().list_publishers(|publisher| {
            publishing.push(publisher.node_id.value());
            CallbackProgression::Continue
        });
        let mut expected = Vec::new();
        self.events.dynamic_config().list_listeners(|listener| {
            let (id, node) = (listener.listener_id.value(), listener.node_id.value());
            // Another publisher that loses nothing listens, too.
            let is_publishers = Some(id) == self.listener || node != self.node && publishing.contains(&node);
            let is_known = before.as_ref().is_none_or(|before| before.contains(&node));
            if !is_publishers && is_known && !liveness::is_gone(node, &self.config) {
                expected.push(id);
            }
            CallbackProgression::Continue
        });
        expected
    }

    /// Whether one of these listeners is there and its node has no subscriber for it.
    fn is_missing(&self, expected: &[u128], video: &VideoService) -> bool {
        if expected.is_empty() {
            return false;
        }
        let mut connected = subscribing_nodes(video);
        let mut is_missing = false;
        self.events.dynamic_config().list_listeners(|listener| {
            if !expected.contains(&listener.listener_id.value()) {
                return CallbackProgression::Continue;
            }
            match connected.iter().position(|&node| node == listener.node_id.value()) {
                Some(place) => drop(connected.swap_remove(place)),
                None => is_missing = true,
            }
            CallbackProgression::Continue
        });
        is_missing
    }
}

/// Announces that the publishers of a service changed.
pub(super) fn announce(notifier: &Notifier<Iox>) {
    let _ = notifier.notify_with_custom_event_id(EventId::new(EVENT_PUBLISHERS_CHANGED));
}

/// The node of each subscriber.
fn subscribing_nodes(video: &VideoService) -> Vec<u128> {
    let mut nodes = Vec::new();
    video.dynamic_config().list_subscribers(|subscriber| {
        nodes.push(subscriber.node_id.value());
        CallbackProgression::Continue
    });
    nodes
}
