//! Before the first frame of a port: waits until the readers that are already there have connected.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use iceoryx2::port::notifier::Notifier;
use iceoryx2::prelude::*;

use super::settings::Waits;
use crate::contract::limits;
use crate::iox2::fork::OfThisProcess;
use crate::iox2::liveness;
use crate::iox2::types::{EventService, Iox};
use crate::video_service::{VideoService, announce_publishers, listeners_of, publishers_of, subscribers_of};

/// The readers on the event service of a publisher's name.
///
/// A reader without a publisher has a listener there and no subscriber. It connects when it is notified, and misses the frames that
/// were sent before.
pub(super) struct Readers {
    pub events: Arc<OfThisProcess<EventService>>,
    pub notifier: Arc<OfThisProcess<Notifier<Iox>>>,
    /// The publisher's node.
    pub node: u128,
    /// The publisher's own listener, which a lossless publisher has.
    pub listener: Option<u128>,
    pub config: Config,
    pub waits: Arc<Waits>,
    pub state: ReadersState,
}

#[derive(Default)]
pub(super) struct ReadersState {
    /// Whether the wait for the present port is over.
    has_waited: AtomicBool,
    /// Nodes that were connected to the previous port. A reader that did not connect to it is not waited for again.
    previous: Mutex<Option<Vec<u128>>>,
}

impl Readers {
    /// Prepares the wait for another port.
    pub fn begin(&self, video: &VideoService) {
        if self.state.has_waited.swap(false, Ordering::AcqRel) {
            *self.state.previous.lock().unwrap_or_else(PoisonError::into_inner) = Some(subscribing_nodes(video));
        }
    }

    /// Announces that the publisher has come, has another port, or has gone.
    pub fn announce(&self) {
        announce_publishers(&self.notifier);
    }

    /// Waits until the readers that are there have connected to the present port, or the time for it is over.
    pub fn wait_for_readers(&self, video: &VideoService) {
        if self.state.has_waited.load(Ordering::Acquire) {
            return;
        }
        let expected = self.expected(video);
        let timeout = if self.listener.is_some() { limits::CONNECT_LOSSLESS } else { limits::CONNECT };
        let start = Instant::now();
        while self.is_missing(&expected, video) && start.elapsed() < timeout {
            self.announce();
            self.waits.wait(-1, limits::CONNECT_LOOK);
            if self.waits.are_over() {
                // The next frame is the first one then.
                return;
            }
        }
        self.state.has_waited.store(true, Ordering::Release);
    }

    /// Listeners of living processes that may belong to readers.
    fn expected(&self, video: &VideoService) -> Vec<u128> {
        let previous = self.state.previous.lock().unwrap_or_else(PoisonError::into_inner);
        let publishing = publishers_of(video);
        let may_be_reader = |&(port, node): &_| {
            // Another lossless publisher has a listener, too.
            let is_publishers = Some(port) == self.listener
                || node != self.node && publishing.iter().any(|&(_, publishing)| publishing == node);
            let is_known = previous.as_ref().is_none_or(|previous| previous.contains(&node));
            !is_publishers && is_known && !liveness::is_gone(node, &self.config)
        };
        listeners_of(&self.events).into_iter().filter(may_be_reader).map(|(port, _)| port).collect()
    }

    /// Whether one of these listeners still exists and its node has no subscriber for it.
    fn is_missing(&self, expected: &[u128], video: &VideoService) -> bool {
        if expected.is_empty() {
            return false;
        }
        let mut connected = subscribing_nodes(video);
        listeners_of(&self.events).into_iter().filter(|(port, _)| expected.contains(port)).any(|(_, node)| {
            let place = connected.iter().position(|&connected| connected == node);
            place.map(|place| connected.swap_remove(place)).is_none()
        })
    }
}

fn subscribing_nodes(video: &VideoService) -> Vec<u128> {
    subscribers_of(video).into_iter().map(|(_, node)| node).collect()
}
