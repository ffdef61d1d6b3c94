//! What a publisher can be told before it exists.

use std::os::fd::RawFd;
use std::time::Duration;

use iceoryx2::prelude::PortFactory;

use crate::contract::limits;
use crate::error::{Error, Result};
use crate::iox2::types::Iox2Node;
use crate::iox2::wait::Interrupt;
use crate::video_service::{ServiceLimits, VideoService};
use crate::wire::header::DEFAULT_AUX_BYTES;

/// Subscribers or publishers that a service can admit: the memory in which iceoryx2 counts them is 9 MB then.
pub const MAX_PORTS: usize = limits::MAX_PORTS;
/// Loans that a publisher can have out at once unless told otherwise.
pub const DEFAULT_MAX_LOANS: usize = limits::MAX_LOANS;
/// Pool in shared memory unless told otherwise: what is plausibly in use at once.
pub const FIRST_FRAMES: usize = limits::FIRST_CHUNKS;
pub(super) type OnSubscribers = Box<dyn Fn(usize) + Send + Sync>;
pub(super) type OnTrouble = Box<dyn Fn(Error) + Send + Sync>;

/// How a publisher waits: for readers to connect, and a lossless one for subscribers whose buffers are full.
pub trait Waiting: Send + Sync {
    /// Makes the wait, which is short or ends with the interrupt; a lock that others need meanwhile can be released around it.
    fn wait(&self, wait: &mut dyn FnMut()) {
        wait();
    }

    /// After the interrupt was set: whether to wait on. Clears the interrupt if so.
    fn go_on(&self) -> bool {
        false
    }
}

struct Plainly;

impl Waiting for Plainly {}

/// How a publisher waits, and what ends that.
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

    /// Whether the interrupt was set and waiting is not to go on.
    pub fn are_over(&self) -> bool {
        self.interrupt.is_set() && !self.waiting.go_on()
    }
}

/// Settings of a [`VideoFramePublisher`](super::VideoFramePublisher) before it exists.
pub struct PublisherBuilder {
    pub(super) service: String,
    pub(super) max_bytes: usize,
    pub(super) aux_bytes: usize,
    pub(super) limits: ServiceLimits,
    pub(super) demanded: Demanded,
    pub(super) max_loans: usize,
    pub(super) max_frames: Option<usize>,
    pub(super) lossless: bool,
    pub(super) interrupt: Option<Interrupt>,
    pub(super) waiting: Box<dyn Waiting>,
    pub(super) on_subscribers: Option<OnSubscribers>,
    pub(super) on_trouble: Option<OnTrouble>,
    pub(super) node: Option<Iox2Node>,
}

/// Settings named by the caller: an existing service that cannot give these is an error, of the others it is adopted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demanded {
    buffer_size: bool,
    borrowed_max: bool,
    history_size: bool,
    safe_overflow: bool,
    max_subscribers: bool,
    max_publishers: bool,
}

impl PublisherBuilder {
    pub(super) fn new(service: &str) -> Self {
        Self {
            service: service.to_owned(),
            max_bytes: 0,
            aux_bytes: DEFAULT_AUX_BYTES,
            limits: ServiceLimits::default(),
            demanded: Demanded::default(),
            max_loans: DEFAULT_MAX_LOANS,
            max_frames: None,
            lossless: false,
            interrupt: None,
            waiting: Box::new(Plainly),
            on_subscribers: None,
            on_trouble: None,
            node: None,
        }
    }

    /// Bytes of the largest frame expected; a larger one later grows the memory. 0: decided by the first frame.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Bytes reserved for caps and metas behind the pixels; 0 sends neither, and no time.
    #[must_use]
    pub fn aux_bytes(mut self, bytes: usize) -> Self {
        self.aux_bytes = bytes;
        self
    }

    /// Pool that a subscriber's buffer holds.
    #[must_use]
    pub fn buffer_size(mut self, frames: u32) -> Self {
        self.limits.qos.buffer_size = frames.max(1);
        self.demanded.buffer_size = true;
        self
    }

    /// Pool that a subscriber may hold at once.
    #[must_use]
    pub fn borrowed_max(mut self, frames: u32) -> Self {
        self.limits.qos.borrowed_max = frames.max(1);
        self.demanded.borrowed_max = true;
        self
    }

    /// Pool that a late joiner gets; 0 stands for the newest one.
    #[must_use]
    pub fn history_size(mut self, frames: u32) -> Self {
        self.limits.qos.history_size = frames;
        self.demanded.history_size = frames > 0;
        self
    }

    /// Whether a full subscriber loses its oldest frame; without it, new frames are dropped for that subscriber.
    #[must_use]
    pub fn safe_overflow(mut self, on: bool) -> Self {
        self.limits.qos.safe_overflow = on;
        self.demanded.safe_overflow = true;
        self
    }

    /// Subscribers that the service admits, up to [`MAX_PORTS`].
    #[must_use]
    pub fn max_subscribers(mut self, count: usize) -> Self {
        self.limits.max_subscribers = count.clamp(1, MAX_PORTS);
        self.demanded.max_subscribers = true;
        self
    }

    /// Publishers that the service admits, up to [`MAX_PORTS`].
    #[must_use]
    pub fn max_publishers(mut self, count: usize) -> Self {
        self.limits.max_publishers = count.clamp(1, MAX_PORTS);
        self.demanded.max_publishers = true;
        self
    }

    /// Loans that can be out at once.
    #[must_use]
    pub fn max_loans(mut self, count: usize) -> Self {
        self.max_loans = count.max(1);
        self
    }

    /// Number of frames in shared memory: loaned, waiting for subscribers, or held by them.
    ///
    /// 0, the default, makes it [`FIRST_FRAMES`], or more if one subscriber may hold more. If all are in use, a frame is dropped.
    #[must_use]
    pub fn max_frames(mut self, count: usize) -> Self {
        self.max_frames = (count > 0).then_some(count);
        self
    }

    /// Waits for full subscribers instead of dropping frames; the interrupt ends such a wait. Implies no overflow.
    #[must_use]
    pub fn lossless(mut self, interrupt: Interrupt) -> Self {
        self.lossless = true;
        self.interrupt(interrupt).safe_overflow(false)
    }

    /// Ends the wait for readers to connect, which the first frame makes.
    #[must_use]
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = Some(interrupt);
        self
    }

    /// How `send` waits; unless this is set, it just does, and the interrupt drops the frame for a full subscriber.
    #[must_use]
    pub fn waiting(mut self, waiting: impl Waiting + 'static) -> Self {
        self.waiting = Box::new(waiting);
        self
    }

    /// Called with the number of subscribers whenever it has changed, from a thread of the publisher's.
    #[must_use]
    pub fn on_subscribers(mut self, call: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.on_subscribers = Some(Box::new(call));
        self
    }

    /// Called once when a limit of this process keeps frames from a subscriber that joined, from a thread of the publisher's.
    /// The subscriber is connected when the limit is raised.
    #[must_use]
    pub fn on_trouble(mut self, call: impl Fn(Error) + Send + Sync + 'static) -> Self {
        self.on_trouble = Some(Box::new(call));
        self
    }

    /// Uses a node of the caller's.
    #[must_use]
    pub fn node(mut self, node: Iox2Node) -> Self {
        self.node = Some(node);
        self
    }
}

impl Demanded {
    /// Compares what was asked for by name with what the service is.
    pub(super) fn check(self, service: &str, limits: &ServiceLimits, video: &VideoService) -> Result<()> {
        let config = video.static_config();
        let qos = &limits.qos;
        let at_least = [
            (self.buffer_size, "buffer-size", qos.buffer_size as usize, config.subscriber_max_buffer_size()),
            (self.borrowed_max, "borrowed-max", qos.borrowed_max as usize, config.subscriber_max_borrowed_samples()),
            (self.history_size, "history-size", qos.history_size as usize, config.history_size()),
            (self.max_subscribers, "max-subscribers", limits.max_subscribers, config.max_subscribers()),
            (self.max_publishers, "max-publishers", limits.max_publishers, config.max_publishers()),
        ];
        let unmet = |setting, wanted: &dyn ToString, exists: &dyn ToString| Error::Qos {
            service: service.to_owned(),
            setting,
            wanted: wanted.to_string(),
            exists: exists.to_string(),
        };
        for (asked, setting, wanted, exists) in at_least {
            if asked && exists < wanted {
                return Err(unmet(setting, &wanted, &exists));
            }
        }
        if self.safe_overflow && qos.safe_overflow != config.has_safe_overflow() {
            return Err(unmet("safe-overflow", &qos.safe_overflow, &config.has_safe_overflow()));
        }
        Ok(())
    }
}
