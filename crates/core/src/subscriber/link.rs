//! A subscriber's hold on the video service, taken when there is one and let go when its last publisher has gone.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

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
use crate::video_service::{EVENT_TAKEN, VideoService, event_found, open_video_service, port_error};
use crate::wire::header::VideoFrameHeader;

/// How long a reader may take between two frames before each is announced by itself.
const QUICK: Duration = limits::QUICK_TAKE;
/// How often an abandoned port is emptied, so that a lossless publisher does not wait for it for long.
const EMPTYING_INTERVAL: Duration = limits::ROOM_LOOK;

/// The native port. When it goes, its publisher takes back all its chunks and writes the next frames there, those of frames that
/// are still held included; so each frame holds it, too.
pub(super) type Port = OfThisProcess<Subscriber<Iox, [u8], VideoFrameHeader>>;

/// An open video service.
#[derive(Debug)]
pub(super) struct Link {
    // Declaration order is drop order: the port before its service.
    pub subscriber: Arc<Port>,
    /// Only where a publisher may be waiting for this reader.
    acks: Option<AckNotifier>,
    /// Publishers whose memory could not be mapped.
    unmapped: Arc<Mutex<Vec<u128>>>,
    held: Arc<AtomicUsize>,
    pub segments: Segments,
    /// Alignment of every payload.
    pub alignment: usize,
    pub service: OfThisProcess<VideoService>,
}

/// A frame that is held, for as long as this lives.
#[derive(Debug)]
pub(super) struct Hold(Arc<AtomicUsize>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// What a reader tells a publisher of ours that loses nothing; nobody needs to listen.
#[derive(Debug)]
struct AckNotifier {
    notifier: OfThisProcess<Notifier<Iox>>,
    found: EventId,
    /// The publisher that was found last.
    publisher: Option<u128>,
    /// Frames that were taken and not announced, and when the last one was taken.
    pending: usize,
    taken: Instant,
    /// So many are announced at once where they are taken quickly: half of what waits for a reader at most.
    batch: usize,
}

impl AckNotifier {
    fn notify(&mut self) {
        self.pending = 0;
        let _ = self.notifier.notify_with_custom_event_id(EventId::new(EVENT_TAKEN));
    }
}

impl Link {
    /// Opens the service and a port on it, if a publisher is there.
    pub fn open(
        node: &Iox2Node,
        name: &ServiceName,
        events: &EventService,
        requirements: &Requirements,
    ) -> Result<Option<Self>> {
        let service = match open_video_service(node, name) {
            Ok(Some(service)) => service,
            // Its creator stopped or died between two steps. Whoever publishes next sees to that.
            Ok(None) | Err(Error::Broken { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if service.dynamic_config().number_of_publishers() == 0 {
            return Ok(None);
        }
        requirements.check(name, &service)?;
        let unmapped: Arc<Mutex<Vec<u128>>> = Arc::default();
        let create = || {
            let noticed = unmapped.clone();
            let mut builder = service.subscriber_builder().set_degradation_handler(move |cause, info| match cause {
                DegradationCause::FailedToEstablishConnection => {
                    noticed.lock().unwrap_or_else(PoisonError::into_inner).push(info.sender_port_id);
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
        // Not needed: a publisher that hears nothing goes on after a while.
        let notifier = || events.notifier_builder().create().ok();
        let acks =
            (!service.static_config().has_safe_overflow()).then(notifier).flatten().map(|notifier| AckNotifier {
                notifier: OfThisProcess::new(notifier),
                found: EventId::new(event_found(subscriber.id().value())),
                publisher: None,
                pending: 0,
                taken: Instant::now(),
                batch: subscriber.buffer_size() / 2,
            });
        let subscriber = Arc::new(OfThisProcess::new(subscriber));
        let alignment = service.static_config().message_type_details().payload.alignment();
        let (held, segments, service) = (Arc::default(), Segments::default(), OfThisProcess::new(service));
        Ok(Some(Self { subscriber, acks, unmapped, held, segments, alignment, service }))
    }

    /// Whether the memory of a publisher that is there could not be mapped. iceoryx2 does not try again, and says it in no other way.
    pub fn has_unmapped_publisher(&self) -> bool {
        let mut unmapped = self.unmapped.lock().unwrap_or_else(PoisonError::into_inner);
        if unmapped.is_empty() {
            return false;
        }
        // One that was leaving could not be mapped either.
        let mut there = Vec::new();
        self.service.dynamic_config().list_publishers(|publisher| {
            there.push(publisher.publisher_id.value());
            CallbackProgression::Continue
        });
        unmapped.retain(|publisher| there.contains(publisher));
        !unmapped.is_empty()
    }

    /// Bytes of the memory that publishers send from; of the largest.
    pub fn publishers_memory(&self) -> usize {
        let mut files = Vec::new();
        self.service.dynamic_config().list_publishers(|publisher| {
            // <prefix><hash of a type>_<publisher>.data. Source: iceoryx2 0.10.0, on disk.
            files.push(format!("_{}.data", publisher.publisher_id.value()));
            CallbackProgression::Continue
        });
        let found = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
        let found = found
            .filter(|file| file.file_name().to_str().is_some_and(|name| files.iter().any(|end| name.ends_with(end))));
        found.filter_map(|file| usize::try_from(file.metadata().ok()?.len()).ok()).max().unwrap_or(0)
    }

    /// Counts one more frame that is held.
    pub fn hold(&self) -> Hold {
        self.held.fetch_add(1, Ordering::Relaxed);
        Hold(self.held.clone())
    }

    /// Frames that are held.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }

    /// Frames that may be held.
    pub fn limit(&self) -> usize {
        self.service.static_config().subscriber_max_borrowed_samples()
    }

    /// Whether a frame waits that cannot be held.
    ///
    /// iceoryx2 counts for each port of a publisher. Where one was replaced, it would pass over frames of the first to those of the second.
    pub fn is_full(&self) -> bool {
        self.held() >= self.limit() && self.subscriber.has_samples().unwrap_or(true)
    }

    /// Tells that a frame was taken; of frames that are taken quickly, now and then.
    pub fn taken(&mut self, sample: &Sample<Iox, [u8], VideoFrameHeader>) {
        let Some(acks) = &mut self.acks else { return };
        let (publisher, now) = (sample.origin().value(), Instant::now());
        let is_new = acks.publisher.replace(publisher) != Some(publisher);
        if is_new {
            let _ = acks.notifier.notify_with_custom_event_id(acks.found);
        }
        let is_slow = now - std::mem::replace(&mut acks.taken, now) > QUICK;
        acks.pending += 1;
        if is_new || is_slow || acks.pending >= acks.batch {
            acks.notify();
        }
    }

    /// Tells what was taken, now that no more is.
    pub fn emptied(&mut self) {
        if let Some(acks) = self.acks.as_mut().filter(|acks| acks.pending > 0) {
            acks.notify();
        }
    }

    /// Lets go; the frames that are still held keep the port. One without overflow is emptied meanwhile.
    pub fn close_after_frames(self) {
        if self.service.static_config().has_safe_overflow() {
            return;
        }
        let port = Arc::downgrade(&self.subscriber);
        drop(self);
        let empty = move || {
            while let Some(port) = port.upgrade() {
                while let Ok(Some(_)) = port.receive() {}
                drop(port);
                thread::sleep(EMPTYING_INTERVAL);
            }
        };
        // Where the process can start no thread the publisher waits until the frames have gone.
        let _ = thread::Builder::new().name("iox2-emptying".into()).spawn(empty);
    }
}
