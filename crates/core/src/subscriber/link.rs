//! A subscriber's port on the video service. It exists only while there is a publisher.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::subscriber::{Subscriber, SubscriberCreateError};
use iceoryx2::port::{DegradationAction, DegradationCause};
use iceoryx2::prelude::*;
use iceoryx2::sample::Sample;

use super::segments::Segments;
use super::settings::Requirements;
use crate::contract::limits;
use crate::error::{Error, Result};
use crate::iox2::cleanup;
use crate::iox2::fork::OfThisProcess;
use crate::iox2::types::{EventService, Iox, Iox2Node};
use crate::video_service::{UserHeader, VideoService, event_found, open_video_service, port_error, publishers_of};
use crate::wire::header::VideoFrameHeader;

/// The native port.
///
/// When the port is dropped, its publisher reuses all chunks, including the chunks of frames that are still held. So each frame keeps a
/// reference to the port.
pub(crate) type Port<H = VideoFrameHeader> = OfThisProcess<Subscriber<Iox, [u8], H>>;

/// An open video service with a port on it.
#[derive(Debug)]
pub(crate) struct Link<H: UserHeader = VideoFrameHeader> {
    // Fields are dropped in declaration order: the port before its service.
    pub subscriber: Arc<Port<H>>,
    /// Present only if a publisher may wait for this reader.
    acks: Option<AckNotifier>,
    /// Publishers with memory that could not be mapped.
    unmapped: Arc<Mutex<Vec<u128>>>,
    held: Arc<AtomicUsize>,
    pub segments: Segments,
    /// Alignment of every payload.
    pub alignment: usize,
    pub service: OfThisProcess<VideoService<H>>,
}

/// Counts one held frame until it is dropped.
#[derive(Debug)]
pub(crate) struct Hold(Arc<AtomicUsize>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// Tells lossless publishers that frames were taken and which publishers were found (SPEC §1).
#[derive(Debug)]
struct AckNotifier {
    notifier: OfThisProcess<Notifier<Iox>>,
    found: EventId,
    /// The most recently found publisher.
    publisher: Option<u128>,
    /// Number of frames that were taken but not announced yet.
    pending: usize,
    taken: Instant,
    /// Number of frames that are announced together when frames are taken quickly: half the buffer.
    batch: usize,
}

impl AckNotifier {
    fn new<H: UserHeader>(notifier: Notifier<Iox>, subscriber: &Subscriber<Iox, [u8], H>) -> Self {
        Self {
            notifier: OfThisProcess::new(notifier),
            found: event_found(subscriber.id().value()),
            publisher: None,
            pending: 0,
            taken: Instant::now(),
            batch: subscriber.buffer_size() / 2,
        }
    }

    /// Records a frame that was taken. Announces it immediately unless frames are taken quickly.
    fn note(&mut self, publisher: u128) {
        let now = Instant::now();
        let is_new = self.publisher.replace(publisher) != Some(publisher);
        if is_new {
            let _ = self.notifier.notify_with_custom_event_id(self.found);
        }
        let is_slow = now - std::mem::replace(&mut self.taken, now) > limits::QUICK_TAKE;
        self.pending += 1;
        if is_new || is_slow || self.pending >= self.batch {
            self.notify();
        }
    }

    /// Announces the frames that were taken, if there are any.
    fn notify(&mut self) {
        if std::mem::take(&mut self.pending) > 0 {
            let _ = self.notifier.notify_with_custom_event_id(EventId::new(limits::EVENT_TAKEN));
        }
    }
}

impl<H: UserHeader> Link<H> {
    /// Opens the service and creates a port on it; `None` without a publisher.
    pub fn open(
        node: &Iox2Node,
        name: &ServiceName,
        events: &EventService,
        requirements: &Requirements,
    ) -> Result<Option<Self>> {
        let service = match open_video_service::<H>(node, name) {
            Ok(Some(service)) => service,
            // The creator of the service stopped or died before it was finished. The next publisher cleans up.
            Ok(None) | Err(Error::Broken { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if service.dynamic_config().number_of_publishers() == 0 {
            return Ok(None);
        }
        requirements.check(name, &service)?;
        let unmapped: Arc<Mutex<Vec<u128>>> = Arc::default();
        let create = || {
            let failed = unmapped.clone();
            let mut builder = service.subscriber_builder().set_degradation_handler(move |cause, info| match cause {
                DegradationCause::FailedToEstablishConnection => {
                    failed.lock().unwrap_or_else(PoisonError::into_inner).push(info.sender_port_id);
                    DegradationAction::Ignore
                }
                DegradationCause::ConnectionCorrupted => DegradationAction::Warn,
            });
            if let Some(frames) = requirements.max_buffers.or(requirements.buffer_size) {
                let offered = service.static_config().subscriber_max_buffer_size();
                builder = builder.buffer_size(offered.min(frames as usize));
            }
            builder.create()
        };
        let is_full = |e: &_| matches!(e, SubscriberCreateError::ExceedsMaxSupportedSubscribers);
        let subscriber = cleanup::retry_when_full(node.config(), create, is_full).map_err(|e| match e {
            SubscriberCreateError::ExceedsMaxSupportedSubscribers => Error::TooManyPorts {
                service: name.to_string(),
                port: "subscriber",
                limit: service.static_config().max_subscribers(),
            },
            other => port_error(node.config(), name, "create a subscriber", 0, other),
        })?;
        // If there is no notifier, the publisher continues after a short wait.
        let is_lossless = !service.static_config().has_safe_overflow();
        let notifier = is_lossless.then(|| events.notifier_builder().create().ok()).flatten();
        let acks = notifier.map(|notifier| AckNotifier::new(notifier, &subscriber));
        let subscriber = Arc::new(OfThisProcess::new(subscriber));
        let alignment = service.static_config().message_type_details().payload.alignment();
        let (held, segments, service) = (Arc::default(), Segments::default(), OfThisProcess::new(service));
        Ok(Some(Self { subscriber, acks, unmapped, held, segments, alignment, service }))
    }

    /// Whether the memory of a connected publisher could not be mapped. iceoryx2 reports such a failure once and does not try again.
    pub fn has_unmapped_publisher(&self) -> bool {
        let mut unmapped = self.unmapped.lock().unwrap_or_else(PoisonError::into_inner);
        if unmapped.is_empty() {
            return false;
        }
        // A publisher that was about to exit also cannot be mapped, so absent publishers are ignored.
        let present = publishers_of(&self.service);
        unmapped.retain(|&port| present.iter().any(|&(publisher, _)| publisher == port));
        !unmapped.is_empty()
    }

    /// Returns the size in bytes of the largest publisher's memory.
    pub fn publishers_memory(&self) -> usize {
        // <prefix><hash of a type>_<publisher>.data. Source: files created by iceoryx2 0.10.0.
        let ends: Vec<_> = publishers_of(&self.service).iter().map(|(port, _)| format!("_{port}.data")).collect();
        let files = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
        let files = files
            .filter(|file| file.file_name().to_str().is_some_and(|name| ends.iter().any(|end| name.ends_with(end))));
        files.filter_map(|file| usize::try_from(file.metadata().ok()?.len()).ok()).max().unwrap_or(0)
    }

    /// Counts one more frame as held, until the result is dropped.
    pub fn hold(&self) -> Hold {
        self.held.fetch_add(1, Ordering::Relaxed);
        Hold(self.held.clone())
    }

    /// Returns the number of held frames.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }

    /// Returns the number of frames that may be held.
    pub fn limit(&self) -> usize {
        self.service.static_config().subscriber_max_borrowed_samples()
    }

    /// Whether a frame is waiting although no more frames may be held.
    ///
    /// iceoryx2 applies its limit to each publisher port separately. Without this check, it would skip frames from the first port after
    /// that port was replaced.
    pub fn is_full(&self) -> bool {
        self.held() >= self.limit() && self.subscriber.has_samples().unwrap_or(true)
    }

    /// Acknowledges a frame that was taken. If frames are taken quickly, several are acknowledged together.
    pub fn acknowledge(&mut self, sample: &Sample<Iox, [u8], H>) {
        if let Some(acks) = &mut self.acks {
            acks.note(sample.origin().value());
        }
    }

    /// Acknowledges all remaining frames. Call it when no frame is waiting.
    pub fn acknowledge_rest(&mut self) {
        if let Some(acks) = &mut self.acks {
            acks.notify();
        }
    }

    /// Closes the link. The port stays open as long as frames from it are held.
    ///
    /// If the service does not overflow, a thread empties such a port, because a lossless publisher would otherwise wait for it.
    pub fn close(self) {
        if self.held() == 0 || self.service.static_config().has_safe_overflow() {
            return;
        }
        let port = Arc::downgrade(&self.subscriber);
        drop(self);
        let empty = move || {
            while let Some(port) = port.upgrade() {
                while let Ok(Some(_)) = port.receive() {}
                drop(port);
                thread::sleep(limits::ROOM_LOOK);
            }
        };
        // If the process cannot start a thread, the publisher waits until the frames are released.
        let _ = thread::Builder::new().name("iox2-emptying".into()).spawn(empty);
    }
}
