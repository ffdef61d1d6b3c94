//! What a subscriber can be told before it exists.

use std::time::Duration;

use iceoryx2::prelude::PortFactory;

use crate::error::{Error, Result};
use crate::iox2::types::Iox2Node;
use crate::video_service::VideoService;

/// What the service has to offer; `None` leaves it to the publisher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// Frames that wait here at most; the service's buffer must be as large.
    pub buffer_size: Option<u32>,
    /// Frames that wait here at most, whatever the service's buffer holds.
    pub max_buffers: Option<u32>,
    /// Frames that can be held at once, at least.
    pub borrowed_max: Option<u32>,
    /// Frames that a late joiner gets, at least.
    pub history_size: Option<u32>,
    /// Whether a full buffer loses its oldest frame.
    pub safe_overflow: Option<bool>,
}

impl Requirements {
    pub(super) fn check(&self, service: &str, video: &VideoService) -> Result<()> {
        let config = video.static_config();
        let at_least = [
            ("buffer-size", self.buffer_size, config.subscriber_max_buffer_size()),
            ("borrowed-max", self.borrowed_max, config.subscriber_max_borrowed_samples()),
            ("history-size", self.history_size, config.history_size()),
        ];
        let unmet = |setting, wanted: &dyn ToString, exists: &dyn ToString| Error::Qos {
            service: service.to_owned(),
            setting,
            wanted: wanted.to_string(),
            exists: exists.to_string(),
        };
        for (setting, wanted, exists) in at_least {
            if let Some(wanted) = wanted.map(|wanted| wanted as usize).filter(|&wanted| wanted > exists) {
                return Err(unmet(setting, &wanted, &exists));
            }
        }
        match self.safe_overflow {
            Some(on) if on != config.has_safe_overflow() => {
                Err(unmet("safe-overflow", &on, &config.has_safe_overflow()))
            }
            _ => Ok(()),
        }
    }
}

/// Settings of a [`VideoFrameSubscriber`](super::VideoFrameSubscriber) before it exists.
pub struct SubscriberBuilder {
    pub(super) service: String,
    pub(super) requirements: Requirements,
    pub(super) busy_wait: Duration,
    pub(super) node: Option<Iox2Node>,
}

impl SubscriberBuilder {
    /// What the service has to offer; otherwise receiving fails with [`Error::Qos`].
    #[must_use]
    pub fn requirements(mut self, requirements: Requirements) -> Self {
        self.requirements = requirements;
        self
    }

    /// How long each wait looks for a frame without sleeping before it sleeps; at first not at all.
    ///
    /// It takes a processor for so long, and spares the time that waking one takes (some 10 µs to 100 µs).
    #[must_use]
    pub fn busy_wait(mut self, time: Duration) -> Self {
        self.busy_wait = time;
        self
    }

    /// Uses a node of the caller's.
    #[must_use]
    pub fn node(mut self, node: Iox2Node) -> Self {
        self.node = Some(node);
        self
    }
}
