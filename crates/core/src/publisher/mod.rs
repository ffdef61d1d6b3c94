//! Publishing frames: loans of shared memory, filled in place and sent by reference.

mod backpressure;
mod loan;
pub(crate) mod memory;
mod pool;
mod readers;
mod settings;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use iceoryx2::port::notifier::{Notifier, NotifierCreateError};
use iceoryx2::prelude::*;

use self::backpressure::Backpressure;
pub use self::loan::Loan;
use self::pool::Pool;
use self::readers::{Readers, announce};
pub use self::settings::{DEFAULT_MAX_LOANS, FIRST_FRAMES, MAX_PORTS, PublisherBuilder, Waiting};
use self::settings::{OnSubscribers, OnTrouble, Waits};
use crate::config::FrameParams;
use crate::contract::limits;
use crate::error::{Error, Result};
use crate::iox2::cleanup;
use crate::iox2::domain::Domain;
use crate::iox2::fork::OfThisProcess;
use crate::iox2::node::create_node_for;
use crate::iox2::obstacle::after_failure;
use crate::iox2::service_name::service_name;
use crate::iox2::types::{EventService, Iox, Iox2Node};
use crate::iox2::wait::Interrupt;
use crate::video_service::{ServiceLimits, VideoService, open_event_service, open_or_create_video_service, port_error};
use crate::wire::auxblob::AuxTemplate;
use crate::wire::caps::video_caps;
use crate::wire::header::VideoFrameHeader;
use crate::wire::stamp::{monotonic_ns, new_publisher_id};
use crate::wire::validate::validate_geometry;

/// How often new subscribers are looked for between frames.
const MONITOR_INTERVAL: Duration = limits::MONITOR;
/// How long a publisher waits for the left-over participants of its predecessor before it adopts their QoS.
const HANDOVER_TIMEOUT: Duration = limits::HANDOVER;

const NO_RECORDS: &[&[u8]] = &[];

/// Publishes the frames of one service. `Send` and `Sync`.
pub struct VideoFramePublisher {
    shared: Arc<Shared>,
    monitor: Option<JoinHandle<()>>,
}

struct Shared {
    // Declaration order is drop order: ports before their services, the node last.
    frames: Pool,
    notifier: Arc<OfThisProcess<Notifier<Iox>>>,
    video: Arc<OfThisProcess<VideoService>>,
    _events: Arc<OfThisProcess<EventService>>,
    node: OfThisProcess<Iox2Node>,
    service: String,
    publisher_id: u64,
    aux_bytes: usize,
    sequence: Mutex<u64>,
    subscribers: AtomicUsize,
    ended: Mutex<bool>,
    stop: Interrupt,
    on_subscribers: Option<OnSubscribers>,
    on_trouble: Option<OnTrouble>,
    /// A subscriber could not be connected, and that was told.
    is_reported: AtomicBool,
}

impl std::fmt::Debug for VideoFramePublisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VideoFramePublisher").field("service", &self.shared.service).finish_non_exhaustive()
    }
}

impl VideoFramePublisher {
    /// Publishes on a service; `max_bytes` is the size of the largest frame expected, 0 leaves it to the first.
    ///
    /// # Errors
    /// As [`PublisherBuilder::build`].
    pub fn new(service: &str, max_bytes: usize) -> Result<Self> {
        Self::builder(service).max_bytes(max_bytes).build()
    }

    /// As [`new`](Self::new), with a node of the caller's.
    ///
    /// # Errors
    /// As [`PublisherBuilder::build`].
    pub fn with_node(node: Iox2Node, service: &str, max_bytes: usize) -> Result<Self> {
        Self::builder(service).max_bytes(max_bytes).node(node).build()
    }

    /// Settings beyond the defaults.
    pub fn builder(service: &str) -> PublisherBuilder {
        PublisherBuilder::new(service)
    }

    fn build(settings: PublisherBuilder) -> Result<Self> {
        let name = service_name(&settings.service)?;
        let node = settings.node.map_or_else(|| create_node_for(&settings.service), Ok)?;
        let events = open_event_service(&node, &name)?;
        let notifier = cleanup::retry_when_full(
            node.config(),
            || events.notifier_builder().create(),
            |e| matches!(e, NotifierCreateError::ExceedsMaxSupportedNotifiers),
        )
        .map_err(|e| port_error(node.config(), &settings.service, "create a notifier", 0, e))?;
        let video = open_service(&node, &name, &settings.limits, &notifier)?;
        settings.demanded.check(&settings.service, &settings.limits, &video)?;
        let config = video.static_config();

        let bytes = match settings.max_bytes {
            0 => limits::FIRST_FRAME_BYTES,
            bytes => bytes + settings.aux_bytes,
        };
        let stop = Interrupt::new();
        let stop =
            stop.map_err(|e| port_error(node.config(), &settings.service, "create a wake-up descriptor", 0, e))?;
        let waits = Arc::new(Waits::new(settings.interrupt.unwrap_or_else(|| stop.clone()), settings.waiting));
        let (notifier, events) = (Arc::new(OfThisProcess::new(notifier)), Arc::new(OfThisProcess::new(events)));
        let backpressure = if settings.lossless {
            let listener = events.listener_builder().create();
            let listener =
                listener.map_err(|e| port_error(node.config(), &settings.service, "create a listener", 0, e))?;
            Some(Backpressure::new(listener, events.clone(), node.config().clone(), waits.clone()))
        } else {
            None
        };
        let readers = Readers::new(
            events.clone(),
            notifier.clone(),
            node.id().value(),
            backpressure.as_ref().map(Backpressure::listener),
            node.config().clone(),
            waits,
        );
        // A predecessor that was killed still has its place. There is still an error if this one is not the next.
        let place =
            || if video.dynamic_config().number_of_publishers() < config.max_publishers() { Ok(()) } else { Err(()) };
        let _ = cleanup::retry_when_full(node.config(), place, |()| true);
        let video = Arc::new(OfThisProcess::new(video));
        let frames = Pool::new(
            video.clone(),
            &settings.service,
            settings.max_loans,
            settings.max_frames,
            bytes,
            readers,
            backpressure,
        )?;
        let shared = Arc::new(Shared {
            frames,
            notifier,
            video,
            _events: events,
            node: OfThisProcess::new(node),
            service: settings.service,
            publisher_id: new_publisher_id(),
            aux_bytes: settings.aux_bytes,
            sequence: Mutex::new(0),
            subscribers: AtomicUsize::new(0),
            ended: Mutex::new(false),
            stop,
            on_subscribers: settings.on_subscribers,
            on_trouble: settings.on_trouble,
            is_reported: AtomicBool::new(false),
        });
        let watched = shared.clone();
        let monitor = thread::Builder::new()
            .name("iox2-subscribers".into())
            .spawn(move || {
                while !watched.stop.wait(MONITOR_INTERVAL) {
                    // Killed subscribers would be counted, and keep the frames that they held.
                    cleanup::clean_up_behind(watched.subscribers(), watched.node.config());
                    watched.look();
                }
            })
            .map_err(|source| Error::Io { what: "start a thread", source })?;
        Ok(Self { shared, monitor: Some(monitor) })
    }

    /// Name of the service.
    pub fn service(&self) -> &str {
        &self.shared.service
    }

    /// Identity of this publisher in its frames' sequence records (SPEC §5).
    pub fn publisher_id(&self) -> u64 {
        self.shared.publisher_id
    }

    /// Bytes reserved for the aux blob of each frame.
    pub fn aux_bytes(&self) -> usize {
        self.shared.aux_bytes
    }

    /// Subscribers connected right now. Also hands the newest frame to those that joined since.
    pub fn num_subscribers(&self) -> usize {
        self.shared.look()
    }

    /// Alignment in bytes of every frame's first pixel.
    pub fn payload_alignment(&self) -> usize {
        // iceoryx2's own header in front of it is aligned and sized to 8.
        self.shared.video.static_config().message_type_details().payload.alignment().max(8)
    }

    /// Borrows memory for one frame of `len` bytes, aux blob included. Its content is left over from some earlier frame.
    ///
    /// # Errors
    /// [`Error::LoanLimit`] when every loan is out, [`Error::OutOfFrames`] when subscribers hold every frame, [`Error::SharedMemory`].
    pub fn loan(&self, len: usize) -> Result<Loan> {
        let shared = &self.shared;
        shared.node.check(&shared.service)?;
        shared.frames.loan(len)
    }

    /// The right to send the next frame, and its number in this publisher's count.
    ///
    /// Taken before the aux blob is written, because the number is part of it.
    pub fn turn(&self) -> Turn<'_> {
        Turn { shared: &self.shared, count: lock(&self.shared.sequence) }
    }

    /// Copies a picture into shared memory and sends it, with caps, time and count in its aux blob.
    ///
    /// `pixels` is laid out as `params` say: planes one behind the other, rows `stride0` apart. Without `stride0` they are rows without
    /// padding or, if the format has one plane, rows that are all padded alike, such as GStreamer's.
    ///
    /// # Errors
    /// [`Error::Geometry`] when `pixels` is not of the size that `params` say, and what [`loan`](Self::loan) can give.
    pub fn publish_frame(&self, pixels: &[u8], params: &FrameParams) -> Result<()> {
        let geometry = |reason| Error::Geometry { service: self.shared.service.clone(), reason };
        let mut header = params.header_of(pixels.len()).map_err(geometry)?;
        validate_geometry(&header, pixels.len()).map_err(geometry)?;

        let caps = video_caps(params.format, params.width, params.height, None);
        let template = AuxTemplate::new(&caps, self.shared.publisher_id);
        let capture = monotonic_ns();
        let aux = if self.shared.aux_bytes > 0 { template.len() } else { 0 };
        let mut loan = self.loan(pixels.len() + aux)?;
        loan[..pixels.len()].copy_from_slice(pixels);
        let turn = self.turn();
        if aux > 0 {
            let tail = &mut loan[pixels.len()..];
            header.aux_size = template.write_into(tail, monotonic_ns(), capture, turn.sequence(), NO_RECORDS) as u32;
        }
        turn.send(loan, &header).map(drop)
    }

    /// Ends the stream for everybody who is there, and for those who join while this publisher lives. These get the last frame, too.
    ///
    /// # Errors
    /// What [`loan`](Self::loan) can give.
    pub fn end_of_stream(&self) -> Result<()> {
        self.shared.node.check(&self.shared.service)?;
        // No frame may follow the end, so the count is held while it is sent; the end itself is not counted.
        let _turn = self.turn();
        *lock(&self.shared.ended) = true;
        // With the last picture: a subscriber that joins later gets this sample only.
        let (loan, header) = match self.shared.frames.repeat()? {
            Some((loan, header)) => (loan, header.ended()),
            None => (self.shared.frames.loan(1)?, VideoFrameHeader::eos()),
        };
        self.shared.send(loan, &header).map(drop)
    }
}

impl Drop for VideoFramePublisher {
    fn drop(&mut self) {
        if !self.shared.node.is_usable() {
            // In a forked child the thread does not exist, and nobody may be told that the publisher has gone.
            return;
        }
        self.shared.frames.linger();
        self.shared.stop.set();
        if let Some(monitor) = self.monitor.take() {
            let _ = monitor.join();
        }
        self.shared.frames.close();
    }
}

impl PublisherBuilder {
    /// Opens or creates the service and becomes its publisher.
    ///
    /// # Errors
    /// [`Error::InvalidServiceName`], [`Error::Domain`], [`Error::Obstacle`], [`Error::TypeMismatch`], [`Error::VersionMismatch`],
    /// [`Error::TooManyPorts`] when the service has its publisher already, [`Error::Qos`], [`Error::SharedMemory`].
    pub fn build(self) -> Result<VideoFramePublisher> {
        VideoFramePublisher::build(self)
    }
}

/// The right to send the next frame.
#[must_use]
pub struct Turn<'a> {
    shared: &'a Shared,
    count: MutexGuard<'a, u64>,
}

impl Turn<'_> {
    /// Number of the frame that this turn sends.
    pub fn sequence(&self) -> u64 {
        *self.count
    }

    /// Sends a filled loan and wakes the subscribers; returns how many got it.
    ///
    /// # Errors
    /// [`Error::Transport`].
    pub fn send(mut self, loan: Loan, header: &VideoFrameHeader) -> Result<usize> {
        let receivers = self.shared.send(loan, header)?;
        *self.count += 1;
        Ok(receivers)
    }
}

impl Shared {
    fn send(&self, loan: Loan, header: &VideoFrameHeader) -> Result<usize> {
        let receivers = self.frames.send(loan, header)?;
        self.notify();
        Ok(receivers)
    }

    fn notify(&self) {
        // The notification is a hint; a listener that cannot be reached looks by itself after its safety timeout.
        let _ = self.notifier.notify();
    }

    /// iceoryx2 tries to connect a subscriber once for each port. So another port is made, when nothing is in its way any more.
    fn connect_all(&self) {
        match after_failure(&Domain::of(self.node.config()), 0, None) {
            Some(obstacle) => {
                if !self.is_reported.swap(true, Ordering::Relaxed)
                    && let Some(call) = &self.on_trouble
                {
                    call(Error::Obstacle { doing: format!("send to a subscriber of {:?}", self.service), obstacle });
                }
            }
            // Where no limit was the cause, another port would not be better.
            None if !self.is_reported.swap(false, Ordering::Relaxed) => self.frames.ignore_failed_connection(),
            None => {
                if self.frames.renew().is_ok() && *lock(&self.ended) {
                    let _ = self.frames.loan(1).and_then(|loan| self.send(loan, &VideoFrameHeader::eos()));
                }
            }
        }
    }

    /// Nodes of the subscribers that are there, or were killed.
    fn subscribers(&self) -> Vec<u128> {
        let mut nodes = Vec::new();
        self.video.dynamic_config().list_subscribers(|subscriber| {
            nodes.push(subscriber.node_id.value());
            CallbackProgression::Continue
        });
        nodes
    }

    /// Connects subscribers that joined, which hands them the history; tells when their number changed.
    fn look(&self) -> usize {
        self.frames.update_connections();
        if self.frames.has_failed_connection() {
            self.connect_all();
        }
        let now = self.video.dynamic_config().number_of_subscribers();
        let before = self.subscribers.swap(now, Ordering::Relaxed);
        if now > before {
            if *lock(&self.ended) && self.video.static_config().history_size() == 0 {
                // A service that somebody else created without history: the end has to be sent again.
                let _ = self.frames.loan(1).and_then(|loan| self.send(loan, &VideoFrameHeader::eos()));
            }
            self.notify();
        }
        if now != before
            && let Some(call) = &self.on_subscribers
        {
            call(now);
        }
        now
    }
}

/// Opens or creates the service; where one with other QoS is only kept alive by waiting subscribers, lets them go first.
fn open_service(
    node: &Iox2Node,
    name: &ServiceName,
    limits: &ServiceLimits,
    notifier: &Notifier<Iox>,
) -> Result<VideoService> {
    let deadline = Instant::now() + HANDOVER_TIMEOUT;
    loop {
        let video = open_or_create_video_service(node, name, limits)?;
        let config = video.static_config();
        let as_wanted = config.subscriber_max_buffer_size() == limits.qos.buffer_size as usize
            && config.subscriber_max_borrowed_samples() == limits.qos.borrowed_max as usize
            && config.history_size() == limits.history()
            && config.has_safe_overflow() == limits.qos.safe_overflow
            && config.max_subscribers() == limits.max_subscribers
            && config.max_publishers() == limits.max_publishers;
        if as_wanted || video.dynamic_config().number_of_publishers() > 0 || Instant::now() > deadline {
            return Ok(video);
        }
        drop(video);
        announce(notifier);
        thread::sleep(limits::HANDOVER_LOOK);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
