//! Settings for a subscriber.

use std::time::Duration;

use crate::error::Result;
use crate::iox2::types::Iox2Node;
use crate::video_service::{Asked, UserHeader, VideoService};

/// Settings that the service must offer; `None` accepts any value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// Number of frames that can wait for this subscriber. The service's buffer must be at least this large.
    pub buffer_size: Option<u32>,
    /// Number of frames that can wait for this subscriber, or fewer if the service's buffer is smaller.
    pub max_buffers: Option<u32>,
    /// Number of frames that the subscriber must be allowed to hold at once.
    pub borrowed_max: Option<u32>,
    /// Number of past frames that the service must keep for a late subscriber.
    pub history_size: Option<u32>,
    /// Whether a full buffer must drop its oldest frame (true) or the new frame (false).
    pub safe_overflow: Option<bool>,
}

impl Requirements {
    pub(super) fn check<H: UserHeader>(&self, service: &str, video: &VideoService<H>) -> Result<()> {
        let Self { buffer_size, borrowed_max, history_size, safe_overflow, .. } = *self;
        Asked { buffer_size, borrowed_max, history_size, safe_overflow, ..Asked::default() }.check(service, video)
    }
}

/// Settings for a [`VideoFrameSubscriber`](super::VideoFrameSubscriber).
///
/// # Examples
/// ```no_run
/// use gst_plugin_iceoryx2_video::{Requirements, VideoFrameSubscriber};
///
/// let requirements = Requirements { borrowed_max: Some(4), ..Requirements::default() };
/// let subscriber = VideoFrameSubscriber::builder("video/cam0/frame/v2").requirements(requirements).build()?;
/// # Ok::<(), gst_plugin_iceoryx2_video::Error>(())
/// ```
pub struct SubscriberBuilder {
    pub(super) service: String,
    pub(super) requirements: Requirements,
    pub(super) busy_wait: Duration,
    pub(super) node: Option<Iox2Node>,
}

impl SubscriberBuilder {
    /// Sets what the service must offer. If it does not, building or receiving fails with [`Error::Qos`](crate::Error::Qos).
    #[must_use]
    pub fn requirements(mut self, requirements: Requirements) -> Self {
        self.requirements = requirements;
        self
    }

    /// Sets how long each wait polls for a frame before it sleeps; 0 by default.
    ///
    /// Polling occupies a processor core, but saves the wake-up time of 10 µs to 100 µs.
    #[must_use]
    pub fn busy_wait(mut self, time: Duration) -> Self {
        self.busy_wait = time;
        self
    }

    /// Uses your own node.
    #[must_use]
    pub fn node(mut self, node: Iox2Node) -> Self {
        self.node = Some(node);
        self
    }
}
