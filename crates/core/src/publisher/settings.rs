//! Settings for a publisher.

use std::os::fd::RawFd;
use std::time::Duration;

use crate::contract::limits;
use crate::error::Error;
use crate::iox2::types::Iox2Node;
use crate::iox2::wait::Interrupt;
use crate::video_service::Asked;
use crate::wire::header::DEFAULT_AUX_BYTES;

/// Largest number of subscribers or publishers that a service can admit. At this limit, iceoryx2 needs 9 MB to count them.
pub const MAX_PORTS: usize = limits::MAX_PORTS;
/// Default number of loans that a publisher can have at once.
pub const DEFAULT_MAX_LOANS: usize = limits::MAX_LOANS;
/// Default number of frames in shared memory at the start.
pub const FIRST_FRAMES: usize = limits::FIRST_CHUNKS;

pub(super) type OnSubscribers = Box<dyn Fn(usize) + Send + Sync>;
pub(super) type OnTrouble = Box<dyn Fn(Error) + Send + Sync>;

/// Controls how a publisher waits for readers to connect, and how a lossless publisher waits while a subscriber's buffer is full.
pub trait Waiting: Send + Sync {
    /// Calls `wait`, which returns after a short time or on an interrupt. An implementation may release a lock during the call.
    fn wait(&self, wait: &mut dyn FnMut()) {
        wait();
    }

    /// Returns whether to continue waiting after the interrupt was set. An implementation that returns true must clear the interrupt.
    fn go_on(&self) -> bool {
        false
    }
}

struct NoLock;

impl Waiting for NoLock {}

/// How a publisher waits, with the interrupt that ends its waits.
pub(super) struct Waits {
    interrupt: Interrupt,
    waiting: Box<dyn Waiting>,
}

impl Waits {
    pub fn new(interrupt: Interrupt, waiting: Box<dyn Waiting>) -> Self {
        Self { interrupt, waiting }
    }

    /// Waits until the descriptor is readable, the interrupt is set, or the timeout expires.
    pub fn wait(&self, descriptor: RawFd, timeout: Duration) {
        self.waiting.wait(&mut || self.interrupt.wait_readable(descriptor, timeout));
    }

    /// Whether the waits must end because the interrupt was set.
    pub fn are_over(&self) -> bool {
        self.interrupt.is_set() && !self.waiting.go_on()
    }
}

/// Settings for a [`VideoFramePublisher`](super::VideoFramePublisher).
///
/// If the service already exists, it must offer the settings that you set; otherwise `build` returns an error. Its other settings stay as
/// they are.
///
/// # Examples
/// ```no_run
/// use gst_plugin_iceoryx2_video::VideoFramePublisher;
///
/// let publisher = VideoFramePublisher::builder("video/cam0/frame/v2").buffer_size(3).max_subscribers(16).build()?;
/// # Ok::<(), gst_plugin_iceoryx2_video::Error>(())
/// ```
pub struct PublisherBuilder {
    pub(super) service: String,
    pub(super) max_bytes: usize,
    pub(super) aux_bytes: usize,
    pub(super) asked: Asked,
    pub(super) max_loans: usize,
    pub(super) max_frames: Option<usize>,
    pub(super) lossless: bool,
    pub(super) interrupt: Option<Interrupt>,
    pub(super) waiting: Box<dyn Waiting>,
    pub(super) on_subscribers: Option<OnSubscribers>,
    pub(super) on_trouble: Option<OnTrouble>,
    pub(super) node: Option<Iox2Node>,
}

impl PublisherBuilder {
    pub(crate) fn new(service: &str) -> Self {
        Self {
            service: service.to_owned(),
            max_bytes: 0,
            aux_bytes: DEFAULT_AUX_BYTES,
            asked: Asked::default(),
            max_loans: DEFAULT_MAX_LOANS,
            max_frames: None,
            lossless: false,
            interrupt: None,
            waiting: Box::new(NoLock),
            on_subscribers: None,
            on_trouble: None,
            node: None,
        }
    }

    /// Sets the expected size of the largest frame in bytes. The default 0 starts with 1 MiB. For larger frames, the memory grows.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets the number of bytes reserved after the pixels for caps, stamp and metas. With 0, none of them is sent.
    #[must_use]
    pub fn aux_bytes(mut self, bytes: usize) -> Self {
        self.aux_bytes = bytes;
        self
    }

    /// Sets the number of frames that can wait in a subscriber's buffer.
    #[must_use]
    pub fn buffer_size(mut self, frames: u32) -> Self {
        self.asked.buffer_size = Some(frames.max(1));
        self
    }

    /// Sets the number of frames that a subscriber may hold at once.
    #[must_use]
    pub fn borrowed_max(mut self, frames: u32) -> Self {
        self.asked.borrowed_max = Some(frames.max(1));
        self
    }

    /// Sets the number of past frames that a late subscriber receives; 0 means only the newest frame.
    #[must_use]
    pub fn history_size(mut self, frames: u32) -> Self {
        self.asked.history_size = (frames > 0).then_some(frames);
        self
    }

    /// Sets whether a full buffer drops its oldest frame. If not, it drops the new frame.
    #[must_use]
    pub fn safe_overflow(mut self, on: bool) -> Self {
        self.asked.safe_overflow = Some(on);
        self
    }

    /// Sets the number of subscribers that the service admits, at most [`MAX_PORTS`].
    #[must_use]
    pub fn max_subscribers(mut self, count: usize) -> Self {
        self.asked.max_subscribers = Some(count.clamp(1, MAX_PORTS));
        self
    }

    /// Sets the number of publishers that the service admits, at most [`MAX_PORTS`].
    #[must_use]
    pub fn max_publishers(mut self, count: usize) -> Self {
        self.asked.max_publishers = Some(count.clamp(1, MAX_PORTS));
        self
    }

    /// Sets the number of loans that you can have at once.
    #[must_use]
    pub fn max_loans(mut self, count: usize) -> Self {
        self.max_loans = count.max(1);
        self
    }

    /// Limits the number of frames in shared memory, whether loaned, waiting for subscribers, or held by subscribers. If all are in use, a
    /// frame is dropped.
    ///
    /// The default 0 means the number that all subscribers together may hold. The memory starts with [`FIRST_FRAMES`] frames and doubles as
    /// needed.
    #[must_use]
    pub fn max_frames(mut self, count: usize) -> Self {
        self.max_frames = (count > 0).then_some(count);
        self
    }

    /// Makes the publisher wait for subscribers with a full buffer instead of dropping frames. This turns off `safe_overflow`. The
    /// interrupt ends such a wait.
    #[must_use]
    pub fn lossless(mut self, interrupt: Interrupt) -> Self {
        self.lossless = true;
        self.interrupt(interrupt).safe_overflow(false)
    }

    /// Sets the interrupt that ends the publisher's waits, such as the wait before its first frame.
    #[must_use]
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = Some(interrupt);
        self
    }

    /// Sets how `send` waits. By default the interrupt ends the wait, and a subscriber with a full buffer does not receive the frame.
    #[must_use]
    pub fn waiting(mut self, waiting: impl Waiting + 'static) -> Self {
        self.waiting = Box::new(waiting);
        self
    }

    /// Sets a function that is called with the number of subscribers when it has changed. It is called from a thread of the publisher.
    #[must_use]
    pub fn on_subscribers(mut self, call: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.on_subscribers = Some(Box::new(call));
        self
    }

    /// Sets a function that is called with an error if a limit of this process prevents frames from reaching a new subscriber. It is called
    /// from a thread of the publisher.
    ///
    /// The function is called once. When the limit is raised, the subscriber is connected.
    #[must_use]
    pub fn on_trouble(mut self, call: impl Fn(Error) + Send + Sync + 'static) -> Self {
        self.on_trouble = Some(Box::new(call));
        self
    }

    /// Uses your own node.
    #[must_use]
    pub fn node(mut self, node: Iox2Node) -> Self {
        self.node = Some(node);
        self
    }
}
