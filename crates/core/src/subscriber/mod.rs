//! Receiving frames: a subscriber that may start before its publisher, and frames that keep their shared memory.

mod frame;
mod link;
mod segments;
mod settings;
mod state;

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use iceoryx2::port::ReceiveError;
use iceoryx2::port::listener::{Listener, ListenerCreateError};
use iceoryx2::prelude::*;
use iceoryx2::sample::Sample;

use self::frame::Payload;
pub use self::frame::VideoFrame;
use self::link::Link;
pub use self::settings::{Requirements, SubscriberBuilder};
use self::state::{GAP, State};
use crate::config::Qos;
use crate::contract::limits;
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
use crate::video_service::{open_event_service, port_error, transport};
use crate::wire::auxblob::AuxRef;
use crate::wire::header::VideoFrameHeader;
use crate::wire::stamp::Stamp;

/// Longest sleep without a look: a notification can get lost when two publishers notify while the listener is drained.
const SAFETY_TIMEOUT: Duration = limits::MONITOR;
/// How long until another attempt to map the memory of a publisher.
const RETRY_INTERVAL: Duration = limits::MAP_RETRY;
/// Shortest time between two looks for a publisher that is not there, for callers that poll.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// How a wait for a frame ended.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly always a frame, which is moved on at once; a box would be an allocation each"
)]
pub enum Received {
    /// With a frame, or with the end of the stream.
    Frame(VideoFrame),
    /// The last publisher has gone; told once each time, after its last frame.
    Disconnected,
    /// By [`Interrupt::set`].
    Interrupted,
    /// Without anything.
    TimedOut,
}

/// What a subscriber has seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriberStats {
    /// Frames handed out, the end of a stream not counted.
    pub received: u64,
    /// Frames that the publisher counted and this subscriber did not get; `None` if the publisher does not count.
    pub dropped: Option<u64>,
    /// Frames that broke the wire contract and were not handed out.
    pub invalid: u64,
    /// Frames of the present service that are held right now.
    pub held: usize,
    /// Frames that may be held at once; 0 while there is no publisher.
    pub limit: usize,
}

/// Receives the frames of one service, whoever publishes them and whenever they start.
///
/// It demands nothing of the service and never creates it: until a publisher is there it waits. `Send` and `Sync`; frames come in
/// order to whichever thread asks.
#[derive(Debug)]
pub struct VideoFrameSubscriber {
    // Declaration order is drop order: ports before their services, the node last.
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
    /// Subscribes to a service, whether or not it exists yet.
    ///
    /// # Errors
    /// [`Error::InvalidServiceName`], [`Error::Domain`], [`Error::Obstacle`], [`Error::TooManyPorts`], [`Error::TypeMismatch`],
    /// [`Error::VersionMismatch`].
    pub fn new(service: &str) -> Result<Self> {
        Self::builder(service).build()
    }

    /// Settings beyond the defaults.
    pub fn builder(service: &str) -> SubscriberBuilder {
        let (service, requirements) = (service.to_owned(), Requirements::default());
        SubscriberBuilder { service, requirements, busy_wait: Duration::ZERO, node: None }
    }

    /// Subscribes with a node of the caller's.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_node(node: Iox2Node, service: &str) -> Result<Self> {
        Self::builder(service).node(node).build()
    }

    fn build(SubscriberBuilder { service, requirements, busy_wait, node }: SubscriberBuilder) -> Result<Self> {
        let service = service.as_str();
        let name = service_name(service)?;
        let node = node.map_or_else(|| create_node_for(service), Ok)?;
        let events = open_event_service(&node, &name)?;
        let listener = cleanup::retry_when_full(
            node.config(),
            || events.listener_builder().create(),
            |e| matches!(e, ListenerCreateError::ExceedsMaxSupportedListeners),
        )
        .map_err(|e| match e {
            ListenerCreateError::ExceedsMaxSupportedListeners => Error::TooManyPorts {
                service: service.to_owned(),
                port: "listener",
                limit: events.static_config().max_listeners(),
            },
            other => port_error(node.config(), service, "create a listener", 0, other),
        })?;
        let interrupt =
            Interrupt::new().map_err(|e| port_error(node.config(), service, "create a wake-up descriptor", 0, e))?;
        let subscriber = Self {
            state: Mutex::default(),
            listener: OfThisProcess::new(listener),
            interrupt,
            events: OfThisProcess::new(events),
            name,
            service: service.to_owned(),
            requirements,
            busy_wait,
            node: OfThisProcess::new(node),
        };
        subscriber.connect(&mut subscriber.lock())?;
        Ok(subscriber)
    }

    /// Name of the service.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Ends waits of this subscriber, from any thread.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// The QoS adopted from the publisher, or `None` while there is none.
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

    /// Whether a publisher is there.
    pub fn is_connected(&self) -> bool {
        self.lock().link.is_some()
    }

    /// Counters since the start.
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

    /// A sentence about a kind of invalid frame seen for the first time since the last call, for a log.
    pub fn take_news(&self) -> Option<String> {
        self.lock().news.take()
    }

    /// Why frames do not arrive although a publisher is there, since the last call: its memory cannot be mapped. Told once; this
    /// subscriber tries again every second.
    pub fn take_trouble(&self) -> Option<Error> {
        self.lock().trouble.take()
    }

    /// The next frame, or `None` if nothing waits.
    ///
    /// # Errors
    /// [`Error::BorrowLimit`] while as many frames are held as the service admits; it goes away with the next frame dropped.
    /// What opening the service can give, when a publisher appears.
    pub fn receive(&self) -> Result<Option<VideoFrame>> {
        let mut state = self.lock();
        self.receive_from(&mut state)
    }

    /// The next frame, waiting up to `block_ms` milliseconds for it, or for ever with `None`.
    ///
    /// Returns `None` when the time is over or the [`interrupt`](Self::interrupt) is set.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_blocking(&self, block_ms: Option<u64>) -> Result<Option<VideoFrame>> {
        self.receive_timeout(block_ms.map(Duration::from_millis))
    }

    /// As [`receive_blocking`](Self::receive_blocking), with a [`Duration`].
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_timeout(&self, timeout: Option<Duration>) -> Result<Option<VideoFrame>> {
        // What no clock can tell is never over.
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

    /// As [`receive_timeout`](Self::receive_timeout), and tells why there is no frame.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
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
                // Only now that nothing is left: until then publishers need no system call to notify. What is announced from now
                // on ends the sleep.
                if !std::mem::replace(&mut drained, true) && self.drain()? {
                    // Something was announced meanwhile: look again before sleeping.
                    state.looked = None;
                    continue;
                }
                let is_doubtful =
                    state.link.is_some() && state.absence.as_ref().is_some_and(|absence| !absence.is_reported);
                if is_doubtful { GAP } else { SAFETY_TIMEOUT }
            };
            if self.interrupt.is_set() {
                return Ok(Received::Interrupted);
            }
            let left = deadline.map_or(longest, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(Received::TimedOut);
            }
            let start = Instant::now();
            // SAFETY: the number is used while the listener, which owns the descriptor, lives.
            let descriptor = unsafe { self.listener.file_descriptor().native_handle() };
            self.interrupt.wait_readable(descriptor, left.min(longest));
            drained = false;
            self.lock().looked = None;
            if start.elapsed() >= SAFETY_TIMEOUT {
                cleanup::clean_up_behind(self.publishers(), self.node.config());
            }
        }
    }

    /// Looks for a frame without sleeping; ends when there is one, or something else to do.
    fn spin(&self, deadline: Option<Instant>) {
        let end = [Instant::now().checked_add(self.busy_wait), deadline].into_iter().flatten().min();
        while end.is_none_or(|end| Instant::now() < end) && !self.interrupt.is_set() {
            let state = self.lock();
            // Without a publisher there is nothing to be quick for.
            if state.link.as_ref().is_none_or(|link| link.subscriber.has_samples().unwrap_or(true)) {
                return;
            }
            drop(state);
            std::hint::spin_loop();
        }
    }

    /// Nodes of the publishers that are there, or were killed.
    fn publishers(&self) -> Vec<u128> {
        let mut nodes = Vec::new();
        if let Some(link) = &self.lock().link {
            link.service.dynamic_config().list_publishers(|publisher| {
                nodes.push(publisher.node_id.value());
                CallbackProgression::Continue
            });
        }
        nodes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Empties the listener; true if anything had been announced.
    ///
    /// Until it says empty: one `try_wait` per wake-up can lose the next one (iceoryx2 0.10.0).
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
                link.emptied();
                return Err(Error::BorrowLimit { service: self.service.clone(), limit: link.limit() });
            }
            match link.subscriber.receive() {
                Ok(Some(sample)) => {
                    state.absence = None;
                    if state.was_unmapped && !link.has_unmapped_publisher() {
                        (state.was_unmapped, state.is_trouble_reported) = (false, false);
                    }
                    link.taken(&sample);
                    if let Some(frame) = self.accept(state, sample) {
                        return Ok(Some(frame));
                    }
                }
                Ok(None) => {
                    link.emptied();
                    if link.has_unmapped_publisher() {
                        self.close_unmapped_link(state);
                        return Ok(None);
                    }
                    if link.service.dynamic_config().number_of_publishers() > 0 {
                        state.absence = None;
                        return Ok(None);
                    }
                    let absence = state.absence.get_or_insert_default();
                    if absence.is_brief() || absence.is_reported && link.held() > 0 {
                        return Ok(None);
                    }
                    // What it sent between the two looks is still to be had.
                    if let Ok(Some(sample)) = link.subscriber.receive() {
                        link.taken(&sample);
                        if let Some(frame) = self.accept(state, sample) {
                            return Ok(Some(frame));
                        }
                        continue;
                    }
                    state.is_disconnected |= !std::mem::replace(&mut absence.is_reported, true);
                    if link.held() > 0 {
                        // Their memory keeps the port and thereby the service: letting go would gain nothing.
                        return Ok(None);
                    }
                    // A subscriber that stays would pin the QoS for the next publisher.
                    state.link = None;
                    state.was_first = true;
                    state.looked = Some(Instant::now());
                }
                Err(ReceiveError::ExceedsMaxBorrows) => {
                    return Err(Error::BorrowLimit { service: self.service.clone(), limit: link.limit() });
                }
                Err(ReceiveError::ConnectionFailure(e)) => return Err(transport(&self.service, "receive", e)),
            }
        }
        Ok(None)
    }

    /// iceoryx2 tries to map a publisher's memory once for each port, so another port is made later.
    fn close_unmapped_link(&self, state: &mut State) {
        let Some(link) = state.link.take() else { return };
        let obstacle = after_failure(&Domain::of(self.node.config()), link.publishers_memory(), None);
        // Without a limit in the way the next attempt may work: it is not told, and made at once.
        if obstacle.is_some() || std::mem::replace(&mut state.was_unmapped, true) {
            self.report_and_pause(state, obstacle);
        }
        if link.held() > 0 {
            link.close_after_frames();
        }
    }

    fn report_and_pause(&self, state: &mut State, obstacle: Option<Obstacle>) {
        state.was_unmapped = true;
        state.retry_at = Some(Instant::now() + RETRY_INTERVAL);
        if !std::mem::replace(&mut state.is_trouble_reported, true) {
            state.trouble = Some(match obstacle {
                Some(obstacle) => Error::Obstacle { doing: format!("receive from {:?}", self.service), obstacle },
                None => transport(&self.service, "map the memory of the publisher", "FailedToEstablishConnection"),
            });
        }
    }

    /// Opens the service if a publisher is there; true if it is open.
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
                // The limit may be raised, or something else of this process be closed.
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

    /// Turns a sample into a frame if it keeps the contract.
    fn accept(&self, state: &mut State, sample: Sample<Iox, [u8], VideoFrameHeader>) -> Option<VideoFrame> {
        let payload = match Payload::new(sample, state.link.as_mut()?) {
            Ok(payload) => payload,
            Err(fault) => {
                state.refuse(&fault, &self.service);
                return None;
            }
        };
        let sent = payload.header();
        // An end that repeats the last frame is that frame to those who have not had it.
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
        header.flags &= crate::wire::header::FLAGS_MASK | crate::wire::header::HEADER_FLAG_EOS;
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
    /// Subscribes.
    ///
    /// # Errors
    /// As [`VideoFrameSubscriber::new`].
    pub fn build(self) -> Result<VideoFrameSubscriber> {
        VideoFrameSubscriber::build(self)
    }
}

impl Drop for VideoFrameSubscriber {
    fn drop(&mut self) {
        let link = self.lock().link.take();
        if let Some(link) = link
            && self.node.is_usable()
            && link.held() > 0
        {
            link.close_after_frames();
        }
    }
}
