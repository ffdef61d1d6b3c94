//! Receives frames. A subscriber may start before its publisher, and a frame keeps its shared memory alive.

pub(crate) mod frame;
pub(crate) mod link;
mod segments;
mod settings;
mod state;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use iceoryx2::port::ReceiveError;
use iceoryx2::port::listener::Listener;
use iceoryx2::prelude::*;
use iceoryx2::sample::Sample;

use self::frame::Payload;
pub use self::frame::VideoFrame;
use self::link::Link;
pub use self::settings::{Requirements, SubscriberBuilder};
use self::state::State;
use crate::config::Qos;
use crate::contract::{limits, messages};
use crate::error::{Error, Obstacle, ObstacleKind, Result};
use crate::iox2::cleanup;
use crate::iox2::description::is_described;
use crate::iox2::domain::Domain;
use crate::iox2::fork::OfThisProcess;
use crate::iox2::node::create_node_for;
use crate::iox2::obstacle::after_failure;
use crate::iox2::service_name::service_name;
use crate::iox2::types::{EventService, Iox, Iox2Node};
use crate::iox2::wait::Interrupt;
use crate::video_service::{create_listener, open_event_service, port_error, publishers_of, transport};
use crate::wire::auxblob::AuxRef;
use crate::wire::header::{FLAGS_MASK, HEADER_FLAG_EOS, VideoFrameHeader};
use crate::wire::stamp::Stamp;

/// Shortest time between two searches for a missing publisher, for callers that poll.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The result of a wait for a frame.
///
/// # Examples
/// ```no_run
/// use gst_plugin_iceoryx2_video::{Received, VideoFrameSubscriber};
///
/// let subscriber = VideoFrameSubscriber::new("video/cam0/frame/v2")?;
/// loop {
///     match subscriber.wait(None)? {
///         Received::Frame(frame) if frame.is_eos() => break,
///         Received::Frame(frame) => println!("{} bytes", frame.pixels().len()),
///         Received::Disconnected => println!("the publisher has disconnected"),
///         Received::Interrupted | Received::TimedOut => break,
///     }
/// }
/// # Ok::<(), gst_plugin_iceoryx2_video::Error>(())
/// ```
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly always a frame, which the caller moves out immediately; a box would need an allocation for each frame"
)]
pub enum Received {
    /// A frame, or the end of the stream.
    Frame(VideoFrame),
    /// The last publisher has disconnected. Returned once for each disconnection, after the publisher's last frame.
    Disconnected,
    /// [`Interrupt::set`] was called.
    Interrupted,
    /// The wait timed out.
    TimedOut,
}

/// Counters of a subscriber.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriberStats {
    /// Number of returned frames, not counting ends of streams.
    pub received: u64,
    /// Number of frames that the publisher counted but this subscriber did not receive; `None` if the publisher does not count.
    pub dropped: Option<u64>,
    /// Number of frames that were refused because they break the wire contract.
    pub invalid: u64,
    /// Number of frames from the current service that are held now.
    pub held: usize,
    /// Number of frames that may be held at once; 0 without a publisher.
    pub limit: usize,
}

/// Receives frames from one service.
///
/// A subscriber accepts the settings of any publisher. It never creates the service; without a publisher, it waits. It is `Send` and
/// `Sync`. If several threads receive, each frame goes to one of them.
///
/// # Examples
/// ```no_run
/// use gst_plugin_iceoryx2_video::VideoFrameSubscriber;
///
/// let subscriber = VideoFrameSubscriber::new("video/cam0/frame/v2")?;
/// while let Some(frame) = subscriber.receive_blocking(Some(1000))? {
///     println!("{} x {}: {} bytes", frame.header().width, frame.header().height, frame.pixels().len());
/// }
/// # Ok::<(), gst_plugin_iceoryx2_video::Error>(())
/// ```
#[derive(Debug)]
pub struct VideoFrameSubscriber {
    // Fields are dropped in declaration order: ports before their services, and the node last.
    state: Mutex<State>,
    listener: OfThisProcess<Listener<Iox>>,
    interrupt: Interrupt,
    events: OfThisProcess<EventService>,
    name: ServiceName,
    service: String,
    requirements: Requirements,
    busy_wait: Duration,
    node: OfThisProcess<Iox2Node>,
}

impl VideoFrameSubscriber {
    /// Subscribes to a service. The service does not have to exist yet.
    ///
    /// # Errors
    /// [`Error::InvalidServiceName`], [`Error::Domain`], [`Error::Obstacle`], [`Error::TooManyPorts`], [`Error::TypeMismatch`],
    /// [`Error::VersionMismatch`].
    pub fn new(service: &str) -> Result<Self> {
        Self::builder(service).build()
    }

    /// Returns a builder with the default settings.
    pub fn builder(service: &str) -> SubscriberBuilder {
        let (service, requirements) = (service.to_owned(), Requirements::default());
        SubscriberBuilder { service, requirements, busy_wait: Duration::ZERO, node: None }
    }

    /// Subscribes to a service, using your own node.
    ///
    /// # Errors
    /// The errors of [`new`](Self::new).
    pub fn with_node(node: Iox2Node, service: &str) -> Result<Self> {
        Self::builder(service).node(node).build()
    }

    /// Returns the name of the service.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns an interrupt with which any thread can end this subscriber's waits.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// Returns the publisher's quality of service; `None` without a publisher.
    pub fn qos(&self) -> Option<Qos> {
        let state = self.lock();
        let config = state.link.as_ref()?.service.static_config();
        Some(Qos {
            buffer_size: config.subscriber_max_buffer_size() as u32,
            borrowed_max: config.subscriber_max_borrowed_samples() as u32,
            history_size: config.history_size() as u32,
            safe_overflow: config.has_safe_overflow(),
        })
    }

    /// Whether the subscriber is connected to a publisher.
    pub fn is_connected(&self) -> bool {
        self.lock().link.is_some()
    }

    /// Returns the counters since the start.
    pub fn stats(&self) -> SubscriberStats {
        let state = self.lock();
        SubscriberStats {
            received: state.received,
            dropped: state.dropped,
            invalid: state.invalid,
            held: state.link.as_ref().map_or(0, Link::held),
            limit: state.link.as_ref().map_or(0, Link::limit),
        }
    }

    /// Returns a sentence for a log if a new kind of invalid frame was received since the last call.
    pub fn take_news(&self) -> Option<String> {
        self.lock().news.take()
    }

    /// Returns an error if no frames arrive because the publisher's memory cannot be mapped.
    ///
    /// Each failure is returned once. The subscriber tries again every second.
    pub fn take_trouble(&self) -> Option<Error> {
        self.lock().trouble.take()
    }

    /// Returns the next frame; `None` if no frame is waiting.
    ///
    /// After a publisher was killed, one call that does not return a frame takes longer, because it cleans up.
    ///
    /// # Errors
    /// [`Error::BorrowLimit`] while you hold as many frames as the service admits. After a publisher has appeared, also the errors of
    /// [`new`](Self::new), [`Error::Qos`] and [`Error::Transport`]. [`Error::Forked`] in a forked child process.
    pub fn receive(&self) -> Result<Option<VideoFrame>> {
        let frame = self.receive_from(&mut self.lock())?;
        if frame.is_none() {
            self.clean_up_if_due();
        }
        Ok(frame)
    }

    /// Waits at most `block_ms` milliseconds for the next frame. With `None`, it waits indefinitely.
    ///
    /// Returns `None` when the wait times out or the [`interrupt`](Self::interrupt) is set.
    ///
    /// # Errors
    /// The errors of [`receive`](Self::receive).
    pub fn receive_blocking(&self, block_ms: Option<u64>) -> Result<Option<VideoFrame>> {
        self.receive_timeout(block_ms.map(Duration::from_millis))
    }

    /// Like [`receive_blocking`](Self::receive_blocking), but takes a [`Duration`].
    ///
    /// # Errors
    /// The errors of [`receive`](Self::receive).
    pub fn receive_timeout(&self, timeout: Option<Duration>) -> Result<Option<VideoFrame>> {
        // A timeout beyond the clock's range never expires.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match self.wait(left)? {
                Received::Frame(frame) => return Ok(Some(frame)),
                Received::Interrupted | Received::TimedOut => return Ok(None),
                Received::Disconnected => {}
            }
        }
    }

    /// Like [`receive_timeout`](Self::receive_timeout), but also returns why there is no frame.
    ///
    /// # Errors
    /// The errors of [`receive`](Self::receive).
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Received> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let (mut drained, mut spun) = (false, self.busy_wait.is_zero());
        loop {
            let longest = {
                let mut state = self.lock();
                if let Some(frame) = self.receive_from(&mut state)? {
                    return Ok(Received::Frame(frame));
                }
                if std::mem::take(&mut state.is_disconnected) {
                    return Ok(Received::Disconnected);
                }
                if !std::mem::replace(&mut spun, true) {
                    drop(state);
                    self.spin(deadline);
                    continue;
                }
                // Events are drained only when the queue is empty, because a publisher can notify without a system call while events are
                // waiting.
                if !std::mem::replace(&mut drained, true) && self.drain()? {
                    state.looked = None;
                    continue;
                }
                // An event can be lost if two publishers notify during the drain, so this limits each sleep.
                if state.may_be_disconnected() { limits::PUBLISHER_GAP } else { limits::MONITOR }
            };
            if self.interrupt.is_set() {
                return Ok(Received::Interrupted);
            }
            let left = deadline.map_or(longest, |deadline| deadline.saturating_duration_since(Instant::now()));
            self.clean_up_if_due();
            if left.is_zero() {
                return Ok(Received::TimedOut);
            }
            // SAFETY: the listener owns the descriptor and outlives every use of its number.
            let descriptor = unsafe { self.listener.file_descriptor().native_handle() };
            self.interrupt.wait_readable(descriptor, left.min(longest));
            drained = false;
            self.lock().looked = None;
        }
    }

    /// Cleans up after killed publishers at intervals, even if the program only polls. Until then, a killed publisher counts as present.
    fn clean_up_if_due(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        if now - *state.cleaned_at.get_or_insert(now) < limits::MONITOR {
            return;
        }
        state.cleaned_at = Some(now);
        let publishers = state.link.as_ref().map_or_else(Vec::new, |link| publishers_of(&link.service));
        drop(state);
        cleanup::clean_up_behind(publishers.into_iter().map(|(_, node)| node), self.node.config());
    }

    /// Polls for a frame without sleeping. Stops when there is a frame, the time is over, or the wait must handle something else.
    fn spin(&self, deadline: Option<Instant>) {
        let end = [Instant::now().checked_add(self.busy_wait), deadline].into_iter().flatten().min();
        while end.is_none_or(|end| Instant::now() < end) && !self.interrupt.is_set() {
            let state = self.lock();
            if state.link.as_ref().is_none_or(|link| link.subscriber.has_samples().unwrap_or(true)) {
                return;
            }
            drop(state);
            std::hint::spin_loop();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Empties the listener. Returns true if there was an event.
    ///
    /// It reads until no event is left, because with one `try_wait` for each wake-up, iceoryx2 0.10.0 can lose the next wake-up.
    fn drain(&self) -> Result<bool> {
        let mut any = false;
        loop {
            let mut more = false;
            self.listener.try_wait(|_| more = true).map_err(|e| transport(&self.service, "read notifications", e))?;
            if !more {
                return Ok(any);
            }
            any = true;
        }
    }

    fn receive_from(&self, state: &mut State) -> Result<Option<VideoFrame>> {
        self.node.check(&self.service)?;
        if !self.connect(state)? {
            return Ok(None);
        }
        if std::mem::take(&mut state.ends)
            && let Some(link) = &state.link
        {
            return Ok(Some(VideoFrame::end(link)));
        }
        while let Some(link) = &mut state.link {
            if link.is_full() {
                link.acknowledge_rest();
                return Err(Error::BorrowLimit { service: self.service.clone(), limit: link.limit() });
            }
            let sample = match link.subscriber.receive() {
                Ok(sample) => sample,
                Err(ReceiveError::ExceedsMaxBorrows) => {
                    return Err(Error::BorrowLimit { service: self.service.clone(), limit: link.limit() });
                }
                Err(ReceiveError::ConnectionFailure(e)) => return Err(transport(&self.service, "receive", e)),
            };
            let Some(sample) = sample else {
                link.acknowledge_rest();
                if link.has_unmapped_publisher() {
                    self.close_unmapped_link(state);
                    return Ok(None);
                }
                if link.service.dynamic_config().number_of_publishers() > 0 {
                    state.absence = None;
                    return Ok(None);
                }
                if state.absence.get_or_insert_default().is_brief() {
                    return Ok(None);
                }
                // A publisher may have started, sent a frame and exited between the two checks.
                if link.subscriber.has_samples().unwrap_or(false) {
                    continue;
                }
                state.disconnect();
                return Ok(None);
            };
            state.absence = None;
            if state.was_unmapped && !link.has_unmapped_publisher() {
                (state.was_unmapped, state.is_trouble_reported) = (false, false);
            }
            link.acknowledge(&sample);
            if let Some(frame) = self.accept(state, sample) {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Closes the link, because iceoryx2 tries to map a publisher's memory only once for each port.
    fn close_unmapped_link(&self, state: &mut State) {
        let Some(link) = state.link.take() else { return };
        let obstacle = after_failure(&Domain::of(self.node.config()), link.publishers_memory(), &[]);
        // If there is no obstacle, the next attempt may succeed. So it is made immediately, and the first failure is not reported.
        if obstacle.is_some() || std::mem::replace(&mut state.was_unmapped, true) {
            self.report_and_pause(state, obstacle);
        }
        link.close();
    }

    fn report_and_pause(&self, state: &mut State, obstacle: Option<Obstacle>) {
        state.was_unmapped = true;
        state.retry_at = Some(Instant::now() + limits::MAP_RETRY);
        if !std::mem::replace(&mut state.is_trouble_reported, true) {
            state.trouble = Some(match obstacle {
                Some(obstacle) => Error::Obstacle { doing: messages::receive_from(&self.service), obstacle },
                None => transport(&self.service, "map the memory of the publisher", "FailedToEstablishConnection"),
            });
        }
    }

    /// Opens the service if there is a publisher. Returns true if the service is open.
    fn connect(&self, state: &mut State) -> Result<bool> {
        if state.link.is_some() {
            return Ok(true);
        }
        let is_early = state.retry_at.is_some_and(|at| Instant::now() < at);
        if is_early || state.looked.is_some_and(|at| at.elapsed() < LOOK_INTERVAL) {
            return Ok(false);
        }
        state.looked = Some(Instant::now());
        let is_described = is_described(self.node.config(), &self.name);
        if is_described {
            match Link::open(&self.node, &self.name, &self.events, &self.requirements) {
                Ok(link) => state.link = link,
                // The limit may be raised later, or this process may release resources.
                Err(Error::Obstacle { obstacle, .. }) if obstacle.kind() == ObstacleKind::Limit => {
                    self.report_and_pause(state, Some(obstacle));
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        if state.link.is_some() {
            state.absence = None;
        } else {
            state.note_absence(is_described);
        }
        Ok(state.link.is_some())
    }

    /// Converts a sample to a frame, unless the sample breaks the contract.
    fn accept(&self, state: &mut State, sample: Sample<Iox, [u8], VideoFrameHeader>) -> Option<VideoFrame> {
        let payload = match Payload::new(sample, state.link.as_mut()?) {
            Ok(payload) => payload,
            Err(fault) => {
                state.refuse(&fault, &self.service);
                return None;
            }
        };
        let sent = payload.header();
        // An end of stream may repeat the last frame, for subscribers that have not received it (SPEC §6).
        let repeated = sent.repeated().filter(|_| sent.aux_size as usize <= payload.bytes().len());
        let mut header = repeated.unwrap_or(sent);
        let mut aux = Vec::with_capacity(state.aux_bytes.min(header.aux_size as usize));
        let pixel_bytes = match state.accepted.check(&header, payload.bytes(), &mut aux) {
            Ok(pixel_bytes) => pixel_bytes,
            Err(_) if repeated.is_some() => return state.link.as_ref().map(VideoFrame::end),
            Err(fault) => {
                state.refuse(&fault, &self.service);
                return None;
            }
        };
        header.flags &= FLAGS_MASK | HEADER_FLAG_EOS;
        let mut stamp = Stamp::default();
        let mut discontinuity = false;
        if !header.is_eos() {
            stamp = AuxRef::new(&aux).stamp().here();
            if repeated.is_some() {
                if !state.misses(&stamp) {
                    return state.link.as_ref().map(VideoFrame::end);
                }
                state.ends = true;
            }
            state.received += 1;
            state.aux_bytes = aux.len();
            discontinuity = state.follow(&stamp);
        }
        let link = state.link.as_ref()?;
        let (_port, _hold) = (link.subscriber.clone(), link.hold());
        Some(VideoFrame { header, stamp, discontinuity, pixel_bytes, aux, payload, _port, _hold })
    }
}

impl SubscriberBuilder {
    /// Creates the subscriber.
    ///
    /// # Errors
    /// The errors of [`VideoFrameSubscriber::new`], and [`Error::Qos`].
    pub fn build(self) -> Result<VideoFrameSubscriber> {
        let Self { service, requirements, busy_wait, node } = self;
        let name = service_name(&service)?;
        let node = node.map_or_else(|| create_node_for(Some(&service)), Ok)?;
        let events = open_event_service(&node, &name)?;
        let listener = create_listener(&node, &events, &service)?;
        let interrupt =
            Interrupt::new().map_err(|e| port_error(node.config(), &service, "create a wake-up descriptor", 0, e))?;
        let subscriber = VideoFrameSubscriber {
            state: Mutex::default(),
            listener: OfThisProcess::new(listener),
            interrupt,
            events: OfThisProcess::new(events),
            name,
            service,
            requirements,
            busy_wait,
            node: OfThisProcess::new(node),
        };
        subscriber.connect(&mut subscriber.lock())?;
        Ok(subscriber)
    }
}

impl Drop for VideoFrameSubscriber {
    fn drop(&mut self) {
        let link = self.lock().link.take();
        if let Some(link) = link.filter(|_| self.node.is_usable()) {
            link.close();
        }
    }
}
