//! Waits before the first frame on a port until existing readers have connected.

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
use crate::video_service::{
    UserHeader, VideoService, announce_publishers, listeners_of, publishers_of, subscribers_of,
};

/// The readers that listen on the event service for a publisher's name.
///
/// A reader without a publisher has a listener on this service, but no subscriber. It connects when it is notified, and misses all frames
/// that were sent before.
pub(super) struct Readers {
    pub events: Arc<OfThisProcess<EventService>>,
    pub notifier: Arc<OfThisProcess<Notifier<Iox>>>,
    /// The publisher's node.
    pub node: u128,
    /// The publisher's own listener. Only a lossless publisher has one.
    pub listener: Option<u128>,
    pub config: Config,
    pub waits: Arc<Waits>,
    pub state: ReadersState,
}

#[derive(Default)]
pub(super) struct ReadersState {
    /// Whether the wait for the current port is over.
    has_waited: AtomicBool,
    /// Nodes that were connected to the previous port. If a reader did not connect to that port, the publisher does not wait for it again.
    previous: Mutex<Option<Vec<u128>>>,
}

impl Readers {
    /// Prepares the wait for a new port.
    pub fn begin<H: UserHeader>(&self, video: &VideoService<H>) {
        if self.state.has_waited.swap(false, Ordering::AcqRel) {
            *self.state.previous.lock().unwrap_or_else(PoisonError::into_inner) = Some(subscribing_nodes(video));
        }
    }

    /// Announces that the publisher was created, has a new port, or was closed.
    pub fn announce(&self) {
        announce_publishers(&self.notifier);
    }

    /// Waits until existing readers have connected to the current port, or until the wait times out.
    pub fn wait_for_readers<H: UserHeader>(&self, video: &VideoService<H>) {
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
                // The next frame is still the first one, so it waits again.
                return;
            }
        }
        self.state.has_waited.store(true, Ordering::Release);
    }

    /// Returns the listeners of live processes that may belong to readers.
    fn expected<H: UserHeader>(&self, video: &VideoService<H>) -> Vec<u128> {
        let previous = self.state.previous.lock().unwrap_or_else(PoisonError::into_inner);
        let publishing = publishers_of(video);
        let may_be_reader = |&(port, node): &_| {
            // Other lossless publishers also have listeners.
            let is_publishers = Some(port) == self.listener
                || node != self.node && publishing.iter().any(|&(_, publishing)| publishing == node);
            let is_known = previous.as_ref().is_none_or(|previous| previous.contains(&node));
            !is_publishers && is_known && !liveness::is_gone(node, &self.config)
        };
        listeners_of(&self.events).into_iter().filter(may_be_reader).map(|(port, _)| port).collect()
    }

    /// Whether any of these listeners still exists although its node does not have a subscriber for it.
    fn is_missing<H: UserHeader>(&self, expected: &[u128], video: &VideoService<H>) -> bool {
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

fn subscribing_nodes<H: UserHeader>(video: &VideoService<H>) -> Vec<u128> {
    subscribers_of(video).into_iter().map(|(_, node)| node).collect()
}
