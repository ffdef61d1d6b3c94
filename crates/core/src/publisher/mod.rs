//! Publishes frames: the program borrows memory, fills it in place and sends it by reference.

mod backpressure;
mod loan;
pub(crate) mod memory;
mod pool;
mod readers;
pub(crate) mod settings;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use iceoryx2::port::notifier::Notifier;
use iceoryx2::prelude::*;

use self::backpressure::Backpressure;
pub use self::loan::Loan;
use self::pool::Pool;
use self::readers::{Readers, ReadersState};
pub use self::settings::{DEFAULT_MAX_LOANS, FIRST_FRAMES, MAX_PORTS, PublisherBuilder, Waiting};
use self::settings::{OnSubscribers, OnTrouble, Waits};
use crate::config::FrameParams;
use crate::contract::{limits, messages};
use crate::error::{Error, Result};
use crate::iox2::cleanup;
use crate::iox2::domain::Domain;
use crate::iox2::fork::OfThisProcess;
use crate::iox2::node::create_node_for;
use crate::iox2::obstacle::after_failure;
use crate::iox2::service_name::service_name;
use crate::iox2::types::{EventService, Iox, Iox2Node};
use crate::iox2::wait::Interrupt;
use crate::video_service::{
    ServiceLimits, UserHeader, VideoService, announce_publishers, create_listener, create_notifier, open_event_service,
    open_or_create_video_service, port_error, subscribers_of,
};
use crate::wire::auxblob::AuxTemplate;
use crate::wire::caps::video_caps;
use crate::wire::header::VideoFrameHeader;
use crate::wire::stamp::{monotonic_ns, new_publisher_id};
use crate::wire::validate::validate_geometry;

const NO_RECORDS: &[&[u8]] = &[];

/// Publishes frames on one service. It is `Send` and `Sync`.
///
/// # Examples
/// ```no_run
/// use gst_plugin_iceoryx2_video::{FrameParams, VideoFramePublisher};
///
/// let publisher = VideoFramePublisher::new("video/cam0/frame/v2", 640 * 480 * 3)?;
/// let params = FrameParams { width: 640, height: 480, format: "BGR", ..FrameParams::default() };
/// publisher.publish_frame(&vec![0; 640 * 480 * 3], &params)?;
/// # Ok::<(), gst_plugin_iceoryx2_video::Error>(())
/// ```
pub struct VideoFramePublisher(Publisher);

/// A publisher of samples with this user header.
pub(crate) struct Publisher<H: UserHeader = VideoFrameHeader> {
    shared: Arc<Shared<H>>,
    monitor: Option<JoinHandle<()>>,
}

struct Shared<H: UserHeader> {
    // Fields are dropped in declaration order: ports before their services, and the node last.
    pool: Pool<H>,
    notifier: Arc<OfThisProcess<Notifier<Iox>>>,
    video: Arc<OfThisProcess<VideoService<H>>>,
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
    /// Whether the failure to connect a subscriber has already been reported.
    is_trouble_reported: AtomicBool,
}

impl std::fmt::Debug for VideoFramePublisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VideoFramePublisher").field("service", &self.0.shared.service).finish_non_exhaustive()
    }
}

impl VideoFramePublisher {
    /// Creates a publisher on a service. `max_bytes` is the expected size of the largest frame in bytes; 0 starts with 1 MiB.
    ///
    /// # Errors
    /// The errors of [`PublisherBuilder::build`].
    pub fn new(service: &str, max_bytes: usize) -> Result<Self> {
        Self::builder(service).max_bytes(max_bytes).build()
    }

    /// Creates a publisher on a service, using your own node.
    ///
    /// # Errors
    /// The errors of [`PublisherBuilder::build`].
    pub fn with_node(node: Iox2Node, service: &str, max_bytes: usize) -> Result<Self> {
        Self::builder(service).max_bytes(max_bytes).node(node).build()
    }

    /// Returns a builder with the default settings.
    pub fn builder(service: &str) -> PublisherBuilder {
        PublisherBuilder::new(service)
    }

    /// Returns the name of the service.
    pub fn service(&self) -> &str {
        &self.0.shared.service
    }

    /// Returns the ID of this publisher in the stamps of its frames (SPEC §5).
    pub fn publisher_id(&self) -> u64 {
        self.0.shared.publisher_id
    }

    /// Returns the number of bytes that are reserved for each frame's aux blob.
    pub fn aux_bytes(&self) -> usize {
        self.0.shared.aux_bytes
    }

    /// Connects new subscribers, which receive the newest frame, and returns the number of connected subscribers.
    pub fn num_subscribers(&self) -> usize {
        self.0.shared.look()
    }

    /// Returns the alignment in bytes of each frame's first pixel.
    pub fn payload_alignment(&self) -> usize {
        // The size and alignment of iceoryx2's own header in front of the payload are multiples of 8.
        self.0.shared.video.static_config().message_type_details().payload.alignment().max(8)
    }

    /// Borrows shared memory for one frame of `len` bytes, including the aux blob. The memory contains old data.
    ///
    /// # Errors
    /// [`Error::LoanLimit`] if all loans are in use, [`Error::OutOfFrames`] if all frames are in use, and [`Error::SharedMemory`] or
    /// [`Error::Obstacle`] if there is not enough memory for a larger frame. [`Error::Forked`] in a forked child process.
    pub fn loan(&self, len: usize) -> Result<Loan> {
        self.0.loan(len)
    }

    /// Takes the turn to send the next frame. Other threads wait until this turn is over.
    ///
    /// Take the turn before you write the aux blob, because the blob contains the frame's sequence number.
    pub fn turn(&self) -> Turn<'_> {
        self.0.turn()
    }

    /// Copies a picture into shared memory and sends it with its caps and a stamp.
    ///
    /// `pixels` contains the planes one after the other. In the first plane, rows start `params.stride0` bytes apart. If `stride0` is
    /// `None`, rows have no padding. If the format has one plane, all rows may have equal padding, which is then derived from the length of
    /// `pixels`.
    ///
    /// # Errors
    /// [`Error::Geometry`] if the size of `pixels` does not match `params`, and the errors of [`loan`](Self::loan).
    pub fn publish_frame(&self, pixels: &[u8], params: &FrameParams) -> Result<()> {
        let geometry = |reason| Error::Geometry { service: self.0.shared.service.clone(), reason };
        let mut header = params.header_of(pixels.len()).map_err(geometry)?;
        validate_geometry(&header, pixels.len()).map_err(geometry)?;

        let caps = video_caps(params.format, params.width, params.height, None);
        let template = AuxTemplate::new(&caps, self.0.shared.publisher_id);
        let capture = monotonic_ns();
        let aux = if self.0.shared.aux_bytes > 0 { template.len() } else { 0 };
        let mut loan = self.loan(pixels.len() + aux)?;
        loan[..pixels.len()].copy_from_slice(pixels);
        let turn = self.turn();
        if aux > 0 {
            let tail = &mut loan[pixels.len()..];
            header.aux_size = template.write_into(tail, monotonic_ns(), capture, turn.sequence(), NO_RECORDS) as u32;
        }
        turn.send(loan, &header).map(drop)
    }

    /// Ends the stream. Subscribers that connect later receive the last frame and then the end, as long as this publisher exists.
    ///
    /// # Errors
    /// The errors of [`loan`](Self::loan).
    pub fn end_of_stream(&self) -> Result<()> {
        self.0.shared.node.check(&self.0.shared.service)?;
        // The turn prevents other frames from being sent during this call. The end itself is not counted as a frame.
        let _turn = self.turn();
        *lock(&self.0.shared.ended) = true;
        // A subscriber that connects later receives only this sample, so the sample repeats the last picture.
        let (loan, header) = match self.0.shared.pool.repeat()? {
            Some((loan, header)) => (loan, header.ended()),
            None => (self.0.shared.pool.loan(1)?, VideoFrameHeader::eos()),
        };
        self.0.shared.send(loan, &header).map(drop)
    }
}

impl<H: UserHeader> Publisher<H> {
    /// Returns the name of the service.
    pub fn service(&self) -> &str {
        &self.shared.service
    }

    /// Returns the random ID of this publisher.
    pub fn id(&self) -> u64 {
        self.shared.publisher_id
    }

    /// Borrows shared memory for one sample of `len` bytes.
    pub fn loan(&self, len: usize) -> Result<Loan<H>> {
        self.shared.node.check(&self.shared.service)?;
        self.shared.pool.loan(len)
    }

    /// Takes the turn to send the next sample.
    pub fn turn(&self) -> Turn<'_, H> {
        Turn { shared: &self.shared, count: lock(&self.shared.sequence) }
    }
}

impl<H: UserHeader> Drop for Publisher<H> {
    fn drop(&mut self) {
        if !self.shared.node.is_usable() {
            // A forked child does not have this thread, and its parent is still publishing.
            return;
        }
        self.shared.pool.linger();
        self.shared.stop.set();
        if let Some(monitor) = self.monitor.take() {
            let _ = monitor.join();
        }
        self.shared.pool.close();
    }
}

impl PublisherBuilder {
    /// Opens or creates the service and creates the publisher.
    ///
    /// # Errors
    /// [`Error::InvalidServiceName`], [`Error::Domain`], [`Error::Obstacle`], [`Error::TypeMismatch`], [`Error::VersionMismatch`],
    /// [`Error::Broken`], [`Error::Qos`], [`Error::SharedMemory`], and [`Error::TooManyPorts`] if the service already has a publisher.
    pub fn build(self) -> Result<VideoFramePublisher> {
        self.build_for().map(VideoFramePublisher)
    }

    /// Opens or creates the service of samples with the user header `H`, and creates the publisher.
    pub(crate) fn build_for<H: UserHeader>(self) -> Result<Publisher<H>> {
        let Self { service, asked, interrupt, waiting, lossless, .. } = self;
        let name = service_name(&service)?;
        let node = self.node.map_or_else(|| create_node_for(Some(&service)), Ok)?;
        let events = open_event_service(&node, &name)?;
        let notifier = create_notifier(&node, &events, &service)?;
        let video = open_service::<H>(&node, &name, &asked.limits(H::usual_qos()), &notifier)?;
        asked.check(&service, &video)?;

        let bytes = match self.max_bytes {
            0 => limits::FIRST_FRAME_BYTES,
            bytes => bytes + self.aux_bytes,
        };
        let stop =
            Interrupt::new().map_err(|e| port_error(node.config(), &service, "create a wake-up descriptor", 0, e))?;
        let waits = Arc::new(Waits::new(interrupt.unwrap_or_else(|| stop.clone()), waiting));
        let (notifier, events) = (Arc::new(OfThisProcess::new(notifier)), Arc::new(OfThisProcess::new(events)));
        let listener = if lossless { Some(create_listener(&node, &events, &service)?) } else { None };
        let backpressure =
            listener.map(|listener| Backpressure::new(listener, events.clone(), node.config().clone(), waits.clone()));
        let readers = Readers {
            events: events.clone(),
            notifier: notifier.clone(),
            node: node.id().value(),
            listener: backpressure.as_ref().map(Backpressure::listener),
            config: node.config().clone(),
            waits,
            state: ReadersState::default(),
        };
        // A killed predecessor still occupies its place. If the clean-up does not free the place, creating the port fails.
        let max_publishers = video.static_config().max_publishers();
        let has_place = || {
            let count = video.dynamic_config().number_of_publishers();
            if count < max_publishers { Ok(()) } else { Err(()) }
        };
        let _ = cleanup::retry_when_full(node.config(), has_place, |()| true);
        let video = Arc::new(OfThisProcess::new(video));
        let pool = Pool::new(video.clone(), &service, self.max_loans, self.max_frames, bytes, readers, backpressure)?;
        let shared = Arc::new(Shared {
            pool,
            notifier,
            video,
            _events: events,
            node: OfThisProcess::new(node),
            service,
            publisher_id: new_publisher_id(),
            aux_bytes: self.aux_bytes,
            sequence: Mutex::new(0),
            subscribers: AtomicUsize::new(0),
            ended: Mutex::new(false),
            stop,
            on_subscribers: self.on_subscribers,
            on_trouble: self.on_trouble,
            is_trouble_reported: AtomicBool::new(false),
        });
        let watched = shared.clone();
        let monitor = thread::Builder::new()
            .name("iox2-subscribers".into())
            .spawn(move || {
                while !watched.stop.wait(limits::MONITOR) {
                    // Without a clean-up, killed subscribers would still be counted and would keep the frames that they hold.
                    let nodes = subscribers_of(&watched.video).into_iter().map(|(_, node)| node);
                    cleanup::clean_up_behind(nodes, watched.node.config());
                    watched.look();
                }
            })
            .map_err(|source| Error::Io { what: "start a thread", source })?;
        Ok(Publisher { shared, monitor: Some(monitor) })
    }
}

/// A thread's turn to send a publisher's next frame.
///
/// # Examples
/// ```no_run
/// use gst_plugin_iceoryx2_video::{FrameParams, VideoFramePublisher};
///
/// let publisher = VideoFramePublisher::new("video/cam0/frame/v2", 0)?;
/// let params = FrameParams { width: 640, height: 480, ..FrameParams::default() };
/// let (header, size) = params.header().expect("BGR of a valid size");
/// let mut loan = publisher.loan(size)?;
/// loan.fill(128);
/// publisher.turn().send(loan, &header)?;
/// # Ok::<(), gst_plugin_iceoryx2_video::Error>(())
/// ```
#[must_use]
pub struct Turn<'a, H: UserHeader = VideoFrameHeader> {
    shared: &'a Shared<H>,
    count: MutexGuard<'a, u64>,
}

impl<H: UserHeader> Turn<'_, H> {
    /// Returns the sequence number of the frame that this turn sends.
    pub fn sequence(&self) -> u64 {
        *self.count
    }

    /// Sends a filled loan and wakes the subscribers. Returns the number of subscribers that received the frame.
    ///
    /// # Errors
    /// [`Error::OutOfFrames`], or [`Error::Transport`] if iceoryx2 returns an error.
    pub fn send(mut self, loan: Loan<H>, header: &H) -> Result<usize> {
        let receivers = self.shared.send(loan, header)?;
        *self.count += 1;
        Ok(receivers)
    }
}

impl<H: UserHeader> Shared<H> {
    fn send(&self, loan: Loan<H>, header: &H) -> Result<usize> {
        let receivers = self.pool.send(loan, header)?;
        self.notify();
        Ok(receivers)
    }

    fn notify(&self) {
        // A subscriber that misses the event still finds the frame, because it checks at intervals.
        let _ = self.notifier.notify();
    }

    /// Connects subscribers that iceoryx2 could not connect. iceoryx2 tries only once for each port, so this replaces the port when the
    /// obstacle is gone.
    fn connect_all(&self) {
        match after_failure(&Domain::of(self.node.config()), 0, &[]) {
            Some(obstacle) => {
                if !self.is_trouble_reported.swap(true, Ordering::Relaxed)
                    && let Some(call) = &self.on_trouble
                {
                    call(Error::Obstacle { doing: messages::send_to_subscriber(&self.service), obstacle });
                }
            }
            // If no obstacle was found before, replacing the port would not help.
            None if !self.is_trouble_reported.swap(false, Ordering::Relaxed) => self.pool.ignore_failed_connection(),
            None => {
                if self.pool.renew().is_ok() {
                    self.repeat_end();
                }
            }
        }
    }

    fn repeat_end(&self) {
        if *lock(&self.ended)
            && let Some(end) = H::end()
        {
            let _ = self.pool.loan(1).and_then(|loan| self.send(loan, &end));
        }
    }

    /// Connects new subscribers, which delivers the history to them. Reports the number of subscribers if it has changed.
    fn look(&self) -> usize {
        self.pool.update_connections();
        if self.pool.has_failed_connection() {
            self.connect_all();
        }
        let now = self.video.dynamic_config().number_of_subscribers();
        let before = self.subscribers.swap(now, Ordering::Relaxed);
        if now > before {
            // A service that another program created may not have a history.
            if self.video.static_config().history_size() == 0 {
                self.repeat_end();
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

/// Opens or creates the service. If waiting subscribers still have the service open with other settings, it gives them time to close it.
fn open_service<H: UserHeader>(
    node: &Iox2Node,
    name: &ServiceName,
    limits: &ServiceLimits,
    notifier: &Notifier<Iox>,
) -> Result<VideoService<H>> {
    let deadline = Instant::now() + limits::HANDOVER;
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
        announce_publishers(notifier);
        thread::sleep(limits::HANDOVER_LOOK);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
