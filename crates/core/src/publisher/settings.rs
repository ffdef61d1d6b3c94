//! Settings of a publisher.

use std::os::fd::RawFd;
use std::time::Duration;

use crate::contract::limits;
use crate::error::Error;
use crate::iox2::types::Iox2Node;
use crate::iox2::wait::Interrupt;
use crate::video_service::Asked;
use crate::wire::header::DEFAULT_AUX_BYTES;

/// Largest number of subscribers or publishers that a service can admit; iceoryx2 then counts them in 9 MB.
pub const MAX_PORTS: usize = limits::MAX_PORTS;
/// Number of loans that a publisher can have at once by default.
pub const DEFAULT_MAX_LOANS: usize = limits::MAX_LOANS;
/// Number of frames in shared memory by default.
pub const FIRST_FRAMES: usize = limits::FIRST_CHUNKS;

pub(super) type OnSubscribers = Box<dyn Fn(usize) + Send + Sync>;
pub(super) type OnTrouble = Box<dyn Fn(Error) + Send + Sync>;

/// How a publisher waits until readers connect, and a lossless one while a subscriber's buffer is full.
pub trait Waiting: Send + Sync {
    /// Calls `wait`, which is short or ends with the interrupt. You may release a lock around it.
    fn wait(&self, wait: &mut dyn FnMut()) {
        wait();
    }

    /// Whether to continue waiting after the interrupt was set. If so, this clears the interrupt.
    fn go_on(&self) -> bool {
        false
    }
}

struct NoLock;

impl Waiting for NoLock {}

/// The waits of a publisher, and the interrupt that ends them.
pub(super) struct Waits {
    interrupt: Interrupt,
    waiting: Box<dyn Waiting>,
}

impl Waits {
    pub fn new(interrupt: Interrupt, waiting: Box<dyn Waiting>) -> Self {
        Self { interrupt, waiting }
    }

    /// Waits until the descriptor is readable, the interrupt is set, or the time is over.
    pub fn wait(&self, descriptor: RawFd, timeout: Duration) {
        self.waiting.wait(&mut || self.interrupt.wait_readable(descriptor, timeout));
    }

    /// Whether the interrupt was set and ends the waits.
    pub fn are_over(&self) -> bool {
        self.interrupt.is_set() && !self.waiting.go_on()
    }
}

/// Settings of a [`VideoFramePublisher`](super::VideoFramePublisher).
///
/// An existing service must offer the settings that you name; otherwise building is an error. It keeps its other settings.
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
    pub(super) fn new(service: &str) -> Self {
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

    /// Expected size of the largest frame in bytes. The default 0 starts with 1 MiB. A larger frame later gets larger memory.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Number of bytes reserved for caps and metas behind the pixels. 0 sends neither of them, and no stamp.
    #[must_use]
    pub fn aux_bytes(mut self, bytes: usize) -> Self {
        self.aux_bytes = bytes;
        self
    }

    /// Number of frames that a subscriber's buffer holds.
    #[must_use]
    pub fn buffer_size(mut self, frames: u32) -> Self {
        self.asked.buffer_size = Some(frames.max(1));
        self
    }

    /// Number of frames that a subscriber may hold at once.
    #[must_use]
    pub fn borrowed_max(mut self, frames: u32) -> Self {
        self.asked.borrowed_max = Some(frames.max(1));
        self
    }

    /// Number of past frames that a late subscriber gets; 0 = only the newest.
    #[must_use]
    pub fn history_size(mut self, frames: u32) -> Self {
        self.asked.history_size = (frames > 0).then_some(frames);
        self
    }

    /// Whether a full buffer drops its oldest frame. If not, it drops the new frame.
    #[must_use]
    pub fn safe_overflow(mut self, on: bool) -> Self {
        self.asked.safe_overflow = Some(on);
        self
    }

    /// Number of subscribers that the service admits, up to [`MAX_PORTS`].
    #[must_use]
    pub fn max_subscribers(mut self, count: usize) -> Self {
        self.asked.max_subscribers = Some(count.clamp(1, MAX_PORTS));
        self
    }

    /// Number of publishers that the service admits, up to [`MAX_PORTS`].
    #[must_use]
    pub fn max_publishers(mut self, count: usize) -> Self {
        self.asked.max_publishers = Some(count.clamp(1, MAX_PORTS));
        self
    }

    /// Number of loans that you can have at once.
    #[must_use]
    pub fn max_loans(mut self, count: usize) -> Self {
        self.max_loans = count.max(1);
        self
    }

    /// Limit of the frames in shared memory: loaned, waiting for subscribers, or held by them. If all are in use, a frame is dropped.
    ///
    /// 0, the default, is the number that all subscribers may hold together. Memory begins with [`FIRST_FRAMES`] and doubles as needed.
    #[must_use]
    pub fn max_frames(mut self, count: usize) -> Self {
        self.max_frames = (count > 0).then_some(count);
        self
    }

    /// Waits for full subscribers instead of dropping frames, without overflow. The interrupt ends such a wait.
    #[must_use]
    pub fn lossless(mut self, interrupt: Interrupt) -> Self {
        self.lossless = true;
        self.interrupt(interrupt).safe_overflow(false)
    }

    /// Interrupt that ends the waits of the publisher, such as the wait before its first frame.
    #[must_use]
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = Some(interrupt);
        self
    }

    /// How `send` waits. By default the interrupt ends the wait, and a full subscriber does not get the frame.
    #[must_use]
    pub fn waiting(mut self, waiting: impl Waiting + 'static) -> Self {
        self.waiting = Box::new(waiting);
        self
    }

    /// Function that gets the number of subscribers when it has changed. A thread of the publisher calls it.
    #[must_use]
    pub fn on_subscribers(mut self, call: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.on_subscribers = Some(Box::new(call));
        self
    }

    /// Function that gets an error if a limit of this process keeps frames from a new subscriber. A thread of the publisher calls it.
    ///
    /// It is called once. The subscriber is connected when the limit is raised.
    #[must_use]
    pub fn on_trouble(mut self, call: impl Fn(Error) + Send + Sync + 'static) -> Self {
        self.on_trouble = Some(Box::new(call));
        self
    }

    /// Uses a node of yours.
    #[must_use]
    pub fn node(mut self, node: Iox2Node) -> Self {
        self.node = Some(node);
        self
    }
}
