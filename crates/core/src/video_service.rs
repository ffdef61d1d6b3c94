//! The two iceoryx2 services with one name: a publish/subscribe service carries the frames, and an event service wakes waiting processes.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use iceoryx2::port::listener::{Listener, ListenerCreateError};
use iceoryx2::port::notifier::{Notifier, NotifierCreateError};
use iceoryx2::prelude::*;
use iceoryx2::service::builder::event::{EventOpenError, EventOpenOrCreateError};
use iceoryx2::service::builder::publish_subscribe::{PublishSubscribeCreateError, PublishSubscribeOpenError};
use iceoryx2::service::port_factory::publish_subscribe;

use crate::config::Qos;
use crate::contract::limits;
use crate::error::{Carries, Error, Result};
use crate::iox2::cleanup;
use crate::iox2::description::{Description, description_files, descriptions, types_in_words};
use crate::iox2::domain::Domain;
use crate::iox2::obstacle::{after_failure, taking_part};
use crate::iox2::types::{EventService, IOX2_VERSION, Iox, Iox2Node};
use crate::wire::header::{HEADER_SIZE, HEADER_TYPE_NAME, VideoFrameHeader};
use crate::wire::results::{
    RESULTS_BORROWED_MAX, RESULTS_BUFFER_SIZE, RESULTS_HEADER_SIZE, RESULTS_HEADER_TYPE_NAME, RESULTS_HISTORY_SIZE,
    VideoResultsHeader,
};

/// An open iceoryx2 service for video, or for another kind of samples.
pub type VideoService<H = VideoFrameHeader> = publish_subscribe::PortFactory<Iox, [u8], H>;

/// The user header of a kind of service: [`VideoFrameHeader`] or [`VideoResultsHeader`]. iceoryx2 identifies it by its name and size.
pub trait UserHeader: ZeroCopySend + Copy + Debug + Default + Send + Sync + 'static {
    /// What a service with this header carries.
    const CARRIES: Carries;

    /// Returns the quality of service that a creator uses if the program does not set it.
    fn usual_qos() -> Qos {
        Qos::default()
    }

    /// Returns the header of a sample that ends a stream; `None` if such streams have no end.
    fn end() -> Option<Self> {
        None
    }
}

impl UserHeader for VideoFrameHeader {
    const CARRIES: Carries = Carries { what: "video frames", size: HEADER_SIZE, header: HEADER_TYPE_NAME };

    fn end() -> Option<Self> {
        Some(Self::eos())
    }
}

impl UserHeader for VideoResultsHeader {
    const CARRIES: Carries = Carries { what: "results", size: RESULTS_HEADER_SIZE, header: RESULTS_HEADER_TYPE_NAME };

    fn usual_qos() -> Qos {
        Qos {
            buffer_size: RESULTS_BUFFER_SIZE as u32,
            borrowed_max: RESULTS_BORROWED_MAX as u32,
            history_size: RESULTS_HISTORY_SIZE as u32,
            safe_overflow: true,
        }
    }
}

/// Default number of subscribers that a service admits.
pub const DEFAULT_MAX_SUBSCRIBERS: usize = limits::DEFAULT_MAX_SUBSCRIBERS;
/// Default number of publishers that a service admits. It is 1, because frames from two publishers would be interleaved without notice.
pub const DEFAULT_MAX_PUBLISHERS: usize = limits::DEFAULT_MAX_PUBLISHERS;

const RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// Returns the event ID with which the reader at a subscriber port reports that it has found a publisher (SPEC §1).
pub(crate) fn event_found(port: u128) -> EventId {
    EventId::new(limits::EVENT_FOUND_FIRST + (port % limits::EVENT_FOUND_COUNT as u128) as usize)
}

/// Announces that a publisher was created, has a new port, or was closed. Readers that miss the event still notice, because they check at
/// intervals.
pub(crate) fn announce_publishers(notifier: &Notifier<Iox>) {
    let id = EventId::new(limits::EVENT_PUBLISHERS_CHANGED);
    if notifier.notify_with_custom_event_id(id).is_err() {
        // The event service may have been created with a smaller limit for event IDs.
        let _ = notifier.notify();
    }
}

/// Limits for a service that a publisher creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServiceLimits {
    pub qos: Qos,
    pub max_subscribers: usize,
    pub max_publishers: usize,
}

impl ServiceLimits {
    /// Returns the number of past frames that the service keeps. It is at least 1, for the newest frame that a late subscriber receives.
    pub fn history(&self) -> usize {
        (self.qos.history_size as usize).max(limits::MIN_HISTORY_SIZE_FRAMES)
    }
}

/// Settings that a program requested. `None` accepts the setting of an existing service.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub buffer_size: Option<u32>,
    pub borrowed_max: Option<u32>,
    pub history_size: Option<u32>,
    pub safe_overflow: Option<bool>,
    pub max_subscribers: Option<usize>,
    pub max_publishers: Option<usize>,
}

impl Asked {
    /// Returns the limits for a service that is created with these settings, and with `default` for the others.
    pub fn limits(&self, default: Qos) -> ServiceLimits {
        ServiceLimits {
            qos: Qos {
                buffer_size: self.buffer_size.unwrap_or(default.buffer_size),
                borrowed_max: self.borrowed_max.unwrap_or(default.borrowed_max),
                history_size: self.history_size.unwrap_or(default.history_size),
                safe_overflow: self.safe_overflow.unwrap_or(default.safe_overflow),
            },
            max_subscribers: self.max_subscribers.unwrap_or(DEFAULT_MAX_SUBSCRIBERS),
            max_publishers: self.max_publishers.unwrap_or(DEFAULT_MAX_PUBLISHERS),
        }
    }

    /// Checks whether an open service offers these settings.
    ///
    /// # Errors
    /// [`Error::Qos`] for the first setting that the service does not offer.
    pub fn check<H: UserHeader>(&self, service: &str, video: &VideoService<H>) -> Result<()> {
        let config = video.static_config();
        let frames = |count: Option<u32>| count.map(|count| count as usize);
        let at_least = [
            ("buffer-size", frames(self.buffer_size), config.subscriber_max_buffer_size()),
            ("borrowed-max", frames(self.borrowed_max), config.subscriber_max_borrowed_samples()),
            ("history-size", frames(self.history_size), config.history_size()),
            ("max-subscribers", self.max_subscribers, config.max_subscribers()),
            ("max-publishers", self.max_publishers, config.max_publishers()),
        ];
        let unmet = |setting, wanted: &dyn ToString, exists: &dyn ToString| Error::Qos {
            service: service.to_owned(),
            setting,
            wanted: wanted.to_string(),
            exists: exists.to_string(),
        };
        for (setting, wanted, exists) in at_least {
            if let Some(wanted) = wanted.filter(|&wanted| wanted > exists) {
                return Err(unmet(setting, &wanted, &exists));
            }
        }
        match self.safe_overflow {
            Some(on) if on != config.has_safe_overflow() => Err(unmet("safe-overflow", &on, &!on)),
            _ => Ok(()),
        }
    }
}

/// The IDs of a port and of its node.
pub(crate) type PortAndNode = (u128, u128);

macro_rules! list_ports {
    ($name:ident $(<$header:ident>)?, $service:ty, $list:ident, $port:ident) => {
        pub(crate) fn $name $(<$header: UserHeader>)? (service: &$service) -> Vec<PortAndNode> {
            let mut ports = Vec::new();
            service.dynamic_config().$list(|details| {
                ports.push((details.$port.value(), details.node_id.value()));
                CallbackProgression::Continue
            });
            ports
        }
    };
}

list_ports!(publishers_of<H>, VideoService<H>, list_publishers, publisher_id);
list_ports!(subscribers_of<H>, VideoService<H>, list_subscribers, subscriber_id);
list_ports!(listeners_of, EventService, list_listeners, listener_id);
list_ports!(notifiers_of, EventService, list_notifiers, notifier_id);

/// Returns the video services in a domain, with or without a publisher.
pub fn video_services(domain: &Domain) -> Vec<Description> {
    let video = types_in_words(("u8", 1), (HEADER_TYPE_NAME, HEADER_SIZE));
    descriptions(domain.config()).filter(|description| description.types.as_ref() == Some(&video)).collect()
}

/// Opens the video service with this name, regardless of its settings. Returns `None` if it does not exist.
pub(crate) fn open_video_service<H: UserHeader>(
    node: &Iox2Node,
    name: &ServiceName,
) -> Result<Option<VideoService<H>>> {
    match retry(node, name, Mend::No, || open(node, name)) {
        Ok(service) => Ok(Some(service)),
        Err(Failure::Open(PublishSubscribeOpenError::DoesNotExist)) => Ok(None),
        Err(failure) => Err(failure.explain::<H>(node, name)),
    }
}

/// Opens the video service with this name, regardless of its settings, or creates it with these limits.
pub(crate) fn open_or_create_video_service<H: UserHeader>(
    node: &Iox2Node,
    name: &ServiceName,
    limits: &ServiceLimits,
) -> Result<VideoService<H>> {
    let create = || {
        node.service_builder(name)
            .publish_subscribe::<[u8]>()
            .user_header::<H>()
            .subscriber_max_buffer_size(limits.qos.buffer_size as usize)
            .subscriber_max_borrowed_samples(limits.qos.borrowed_max as usize)
            .history_size(limits.history())
            .enable_safe_overflow(limits.qos.safe_overflow)
            .max_subscribers(limits.max_subscribers)
            .max_publishers(limits.max_publishers)
            .max_nodes(limits::MAX_NODES)
            .create()
            .map_err(Failure::Create)
    };
    let open_or_create = || match open(node, name) {
        Err(Failure::Open(PublishSubscribeOpenError::DoesNotExist)) => create(),
        opened => opened,
    };
    retry(node, name, Mend::Yes, open_or_create).map_err(|failure| failure.explain::<H>(node, name))
}

/// Opens the event service with this name, regardless of its settings, or creates it with iceoryx2's defaults.
pub(crate) fn open_event_service(node: &Iox2Node, name: &ServiceName) -> Result<EventService> {
    let open = || node.service_builder(name).event().open_or_create().map_err(Failure::Event);
    let open = || cleanup::retry_when_full(node.config(), open, Failure::is_full);
    retry(node, name, Mend::Yes, open).map_err(|failure| failure.explain::<VideoFrameHeader>(node, name))
}

/// Creates a listener on the event service with this name.
pub(crate) fn create_listener(node: &Iox2Node, events: &EventService, service: &str) -> Result<Listener<Iox>> {
    let create = || events.listener_builder().create();
    let is_full = |e: &_| matches!(e, ListenerCreateError::ExceedsMaxSupportedListeners);
    cleanup::retry_when_full(node.config(), create, is_full).map_err(|e| match e {
        ListenerCreateError::ExceedsMaxSupportedListeners => Error::TooManyPorts {
            service: service.to_owned(),
            port: "listener",
            limit: events.static_config().max_listeners(),
        },
        other => port_error(node.config(), service, "create a listener", 0, other),
    })
}

/// Creates a notifier on the event service with this name.
pub(crate) fn create_notifier(node: &Iox2Node, events: &EventService, service: &str) -> Result<Notifier<Iox>> {
    let create = || events.notifier_builder().create();
    let is_full = |e: &_| matches!(e, NotifierCreateError::ExceedsMaxSupportedNotifiers);
    cleanup::retry_when_full(node.config(), create, is_full).map_err(|e| match e {
        NotifierCreateError::ExceedsMaxSupportedNotifiers => Error::TooManyPorts {
            service: service.to_owned(),
            port: "notifier",
            limit: events.static_config().max_notifiers(),
        },
        other => port_error(node.config(), service, "create a notifier", 0, other),
    })
}

/// Returns the error for a port that needed `memory` bytes and could not be created.
pub(crate) fn port_error(
    config: &Config,
    service: &str,
    operation: &'static str,
    memory: usize,
    cause: impl Debug,
) -> Error {
    obstacle(config, service, memory).unwrap_or_else(|| transport(service, operation, cause))
}

/// Returns an error that contains only iceoryx2's own name for the cause.
pub(crate) fn transport(service: &str, operation: &'static str, cause: impl Debug) -> Error {
    Error::Transport { service: service.to_owned(), operation, cause: format!("{cause:?}") }
}

/// Looks for a cause outside iceoryx2, given that `memory` bytes had to be mapped.
fn obstacle(config: &Config, service: &str, memory: usize) -> Option<Error> {
    let domain = Domain::of(config);
    let obstacle = after_failure(&domain, memory, &description_files(config, service))?;
    Some(Error::Obstacle { doing: taking_part(&domain.root(), Some(service)), obstacle })
}

fn open<H: UserHeader>(node: &Iox2Node, name: &ServiceName) -> std::result::Result<VideoService<H>, Failure> {
    let builder = || node.service_builder(name).publish_subscribe::<[u8]>().user_header::<H>();
    cleanup::retry_when_full(node.config(), || builder().open().map_err(Failure::Open), Failure::is_full)
}

/// Whether to clean up if a participant left a service unfinished.
#[derive(Clone, Copy, PartialEq)]
enum Mend {
    Yes,
    No,
}

/// Repeats an attempt while another participant is creating or removing the service. If that participant died, cleans up and repeats the
/// attempt.
fn retry<T>(
    node: &Iox2Node,
    name: &ServiceName,
    mend: Mend,
    attempt: impl Fn() -> std::result::Result<T, Failure>,
) -> std::result::Result<T, Failure> {
    let mut start = Instant::now();
    let mut has_cleaned = false;
    let mut half_created_since = None;
    loop {
        let failure = match attempt() {
            Ok(service) => return Ok(service),
            Err(failure) => failure,
        };
        if failure.is_in_flux() && start.elapsed() < limits::FLUX_TIMEOUT {
            if !has_cleaned && start.elapsed() > limits::FLUX_USUAL {
                has_cleaned = true;
                cleanup::run_helper(node.config());
            }
            std::thread::sleep(RETRY_INTERVAL);
            continue;
        }
        if mend == Mend::No {
            return Err(failure);
        }
        let Error::Broken { state, .. } = failure.explain::<VideoFrameHeader>(node, name) else { return Err(failure) };
        let is_first = half_created_since.is_none();
        let since: &mut Instant = half_created_since.get_or_insert_with(Instant::now);
        // The participant may only be stopped and may still continue.
        let may_go_on = state.contains("HangsInCreation") && since.elapsed() < limits::HANGING_TIMEOUT;
        if !is_first && !may_go_on {
            return Err(failure);
        }
        cleanup::run_helper(node.config());
        start = Instant::now();
    }
}

/// Reason why a service could not be opened or created.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Open(PublishSubscribeOpenError),
    Create(PublishSubscribeCreateError),
    Event(EventOpenOrCreateError),
}

impl Failure {
    /// Whether another participant is creating or removing the service.
    fn is_in_flux(&self) -> bool {
        matches!(
            self,
            Self::Open(PublishSubscribeOpenError::IsMarkedForDestruction)
                | Self::Create(
                    PublishSubscribeCreateError::AlreadyExists
                        | PublishSubscribeCreateError::IsBeingCreatedByAnotherInstance
                )
                | Self::Event(
                    EventOpenOrCreateError::SystemInFlux
                        | EventOpenOrCreateError::EventOpenError(EventOpenError::IsMarkedForDestruction)
                )
        )
    }

    /// Whether the service has reached its limit of participants.
    fn is_full(&self) -> bool {
        matches!(
            self,
            Self::Open(PublishSubscribeOpenError::ExceedsMaxNumberOfNodes)
                | Self::Event(EventOpenOrCreateError::EventOpenError(EventOpenError::ExceedsMaxNumberOfNodes))
        )
    }

    /// Returns the error for the caller. The cause is taken from the service's description and the operating system, as far as it can be
    /// determined.
    fn explain<H: UserHeader>(self, node: &Iox2Node, name: &ServiceName) -> Error {
        let service = name.to_string();
        // A video service and an event service may have the same name.
        let found: Vec<_> = descriptions(node.config()).filter(|found| found.name == service).collect();
        if let Some(other) = found.iter().find(|found| found.version != IOX2_VERSION) {
            return Error::VersionMismatch { service, theirs: other.version.clone(), ours: IOX2_VERSION.into() };
        }
        if self.is_full() {
            return Error::TooManyPorts {
                service,
                port: "participant",
                limit: found.iter().find_map(|found| found.max_nodes).unwrap_or(limits::MAX_NODES),
            };
        }
        let state = match self {
            Self::Open(
                PublishSubscribeOpenError::IncompatibleTypes | PublishSubscribeOpenError::IncompatibleMessagingPattern,
            ) => {
                let types = found.into_iter().find_map(|found| found.types);
                let found = types.unwrap_or_else(|| "something else".into());
                return Error::TypeMismatch { service, found, expected: H::CARRIES };
            }
            Self::Open(e) => format!("{e:?}"),
            Self::Create(e) => format!("{e:?}"),
            Self::Event(e) => format!("{e:?}"),
        };
        // To this process, a service that it cannot access looks unfinished.
        let files = description_files(node.config(), &service);
        obstacle(node.config(), &service, 0).unwrap_or(Error::Broken { service, state, files })
    }
}
