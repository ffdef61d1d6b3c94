//! Receives results.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use iceoryx2::port::listener::Listener;
use iceoryx2::prelude::*;
use iceoryx2::sample::Sample;

use super::names::ResultsName;
use crate::contract::limits;
use crate::error::Result;
use crate::iox2::cleanup;
use crate::iox2::description::is_described;
use crate::iox2::fork::OfThisProcess;
use crate::iox2::node::create_node_for;
use crate::iox2::service_name::service_name;
use crate::iox2::types::{EventService, Iox, Iox2Node};
use crate::iox2::wait::Interrupt;
use crate::subscriber::Requirements;
use crate::subscriber::frame::Payload;
use crate::subscriber::link::Link;
use crate::video_service::{create_listener, open_event_service, port_error, publishers_of, transport};
use crate::wire::fault::Fault;
use crate::wire::result_payload::Results;
use crate::wire::results::{VideoResultsHeader, validate_results};
use crate::wire::stamp::Stamp;

/// What a detector found in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedResults {
    /// Random ID of the publisher of results.
    pub stream: u64,
    /// Number of results that this publisher had sent before.
    pub sequence: u64,
    /// Stamp of the frame that the results belong to. Publisher and sequence are known.
    pub stamp: Stamp,
    /// Width and height of this frame in pixels.
    pub size: (u32, u32),
    /// What was found. Coordinates are in pixels of this frame.
    pub results: Results,
}

/// Receives the results of one detector. It is `Send` and `Sync`.
///
/// It never creates the service; without a publisher, it waits. Results are copied out of shared memory.
///
/// # Examples
/// ```no_run
/// use gst_plugin_iceoryx2_video::results::{ResultsName, ResultsSubscriber};
///
/// let subscriber = ResultsSubscriber::new(&ResultsName::new("cam0", "yolo")?)?;
/// while let Some(received) = subscriber.wait(None)? {
///     println!("frame {:?}: {} boxes", received.stamp.sequence, received.results.boxes.len());
/// }
/// # Ok::<(), gst_plugin_iceoryx2_video::Error>(())
/// ```
#[derive(Debug)]
pub struct ResultsSubscriber {
    // Fields are dropped in declaration order: ports before their services, and the node last.
    state: Mutex<State>,
    listener: OfThisProcess<Listener<Iox>>,
    interrupt: Interrupt,
    events: OfThisProcess<EventService>,
    name: ServiceName,
    service: String,
    node: OfThisProcess<Iox2Node>,
}

#[derive(Debug, Default)]
struct State {
    link: Option<Link<VideoResultsHeader>>,
    /// Since when the service has no publisher.
    absent_since: Option<Instant>,
    /// When to try again after a publisher's memory could not be mapped.
    retry_at: Option<Instant>,
    cleaned_at: Option<Instant>,
    invalid: u64,
    fault: Option<Fault>,
}

impl ResultsSubscriber {
    /// Subscribes to the results of a detector. The service does not have to exist yet.
    ///
    /// # Errors
    /// The errors of [`VideoFrameSubscriber::new`](crate::VideoFrameSubscriber::new).
    pub fn new(name: &ResultsName) -> Result<Self> {
        Self::with_node(create_node_for(Some(&name.to_string()))?, name)
    }

    /// Subscribes to the results of a detector, using your own node.
    ///
    /// # Errors
    /// The errors of [`new`](Self::new).
    pub fn with_node(node: Iox2Node, name: &ResultsName) -> Result<Self> {
        let service = name.to_string();
        let name = service_name(&service)?;
        let events = open_event_service(&node, &name)?;
        let listener = create_listener(&node, &events, &service)?;
        let interrupt =
            Interrupt::new().map_err(|e| port_error(node.config(), &service, "create a wake-up descriptor", 0, e))?;
        let subscriber = Self {
            state: Mutex::default(),
            listener: OfThisProcess::new(listener),
            interrupt,
            events: OfThisProcess::new(events),
            name,
            service,
            node: OfThisProcess::new(node),
        };
        subscriber.connect(&mut subscriber.lock())?;
        Ok(subscriber)
    }

    /// Returns the name of the service.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns an interrupt with which any thread can end this subscriber's waits.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// Returns the number of results that were refused because they break SPEC §11, and the fault of the first one.
    pub fn invalid(&self) -> (u64, Option<Fault>) {
        let state = self.lock();
        (state.invalid, state.fault.clone())
    }

    /// Returns the next results; `None` if none are waiting.
    ///
    /// # Errors
    /// The errors of [`new`](Self::new), [`Error::Transport`](crate::Error::Transport), and
    /// [`Error::Forked`](crate::Error::Forked) in a forked child process.
    pub fn receive(&self) -> Result<Option<ReceivedResults>> {
        self.node.check(&self.service)?;
        let mut state = self.lock();
        self.connect(&mut state)?;
        while let Some(link) = &mut state.link {
            let sample = link.subscriber.receive().map_err(|error| transport(&self.service, "receive", error))?;
            let Some(sample) = sample else {
                self.close_if_unused(&mut state);
                return Ok(None);
            };
            match read(sample, link) {
                Ok(received) => return Ok(Some(received)),
                Err(fault) => {
                    state.invalid += 1;
                    state.fault.get_or_insert(fault);
                }
            }
        }
        Ok(None)
    }

    /// Waits at most for `timeout` for the next results. With `None`, it waits indefinitely. Returns `None` when the wait times out or the
    /// [`interrupt`](Self::interrupt) is set.
    ///
    /// # Errors
    /// The errors of [`receive`](Self::receive).
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<ReceivedResults>> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            // Events are drained before the last look, so that an event for a later sample ends the sleep.
            if let Some(received) = self.receive()? {
                return Ok(Some(received));
            }
            if self.drain()? {
                continue;
            }
            let left = deadline.map_or(limits::MONITOR, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() || self.interrupt.is_set() {
                return Ok(None);
            }
            self.clean_up_if_due();
            // SAFETY: the listener owns the descriptor and outlives every use of its number.
            let descriptor = unsafe { self.listener.file_descriptor().native_handle() };
            self.interrupt.wait_readable(descriptor, left.min(limits::MONITOR));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Empties the listener. Returns true if there was an event.
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

    /// Opens the service if there is a publisher.
    fn connect(&self, state: &mut State) -> Result<()> {
        let is_early = state.retry_at.is_some_and(|at| Instant::now() < at);
        if state.link.is_none() && !is_early && is_described(self.node.config(), &self.name) {
            state.link = Link::open(&self.node, &self.name, &self.events, &Requirements::default())?;
        }
        Ok(())
    }

    /// Closes an empty link whose publisher has exited or cannot be mapped, so that the next publisher may create the service with other
    /// settings.
    fn close_if_unused(&self, state: &mut State) {
        let Some(link) = &state.link else { return };
        if link.has_unmapped_publisher() {
            state.retry_at = Some(Instant::now() + limits::MAP_RETRY);
            state.link = None;
        } else if link.service.dynamic_config().number_of_publishers() > 0 {
            state.absent_since = None;
        } else if state.absent_since.get_or_insert_with(Instant::now).elapsed() >= limits::PUBLISHER_GAP
            && !link.subscriber.has_samples().unwrap_or(false)
        {
            state.absent_since = None;
            state.link = None;
        }
    }

    /// Cleans up after killed publishers at intervals. Until then, a killed publisher counts as present.
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
}

/// Copies a sample out of shared memory and checks the copy.
fn read(
    sample: Sample<Iox, [u8], VideoResultsHeader>,
    link: &mut Link<VideoResultsHeader>,
) -> std::result::Result<ReceivedResults, Fault> {
    let payload = Payload::new(sample, link)?;
    let header = payload.header();
    validate_results(&header, payload.bytes().len())?;
    let mut copy = Vec::new();
    payload.bytes().append_to(&mut copy);
    let results = Results::decode(&copy, header.entries)?;
    let (stream, sequence, stamp) = (header.stream, header.sequence, header.stamp().here());
    Ok(ReceivedResults { stream, sequence, stamp, size: (header.width, header.height), results })
}
