//! Opening and creating the two iceoryx2 services behind a name, and saying in words why that failed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use iceoryx2::prelude::*;
use iceoryx2::service::builder::event::{EventOpenError, EventOpenOrCreateError};
use iceoryx2::service::builder::publish_subscribe::{PublishSubscribeCreateError, PublishSubscribeOpenError};
use iceoryx2::service::port_factory::publish_subscribe;

use crate::config::Qos;
use crate::contract::limits;
use crate::error::{Error, Result};
use crate::iox2::cleanup;
use crate::iox2::description::{Description, description_file, descriptions};
use crate::iox2::domain::Domain;
use crate::iox2::obstacle::{after_failure, taking_part};
use crate::iox2::types::{EventService, IOX2_VERSION, Iox, Iox2Node};
use crate::wire::header::{HEADER_SIZE, HEADER_TYPE_NAME, VideoFrameHeader};

/// An open video service of iceoryx2.
pub type VideoService = publish_subscribe::PortFactory<Iox, [u8], VideoFrameHeader>;

/// Subscribers that a service of ours admits unless told otherwise.
pub const DEFAULT_MAX_SUBSCRIBERS: usize = limits::DEFAULT_MAX_SUBSCRIBERS;
/// Publishers that a service of ours admits: two would interleave their frames silently.
pub const DEFAULT_MAX_PUBLISHERS: usize = limits::DEFAULT_MAX_PUBLISHERS;
/// Event by which a reader tells that it has taken a frame, where the publisher may be waiting for room (SPEC §1).
pub(crate) const EVENT_TAKEN: usize = limits::EVENT_TAKEN;

/// Event by which a publisher announces that it has come, has another port, or has gone (SPEC §1).
pub(crate) const EVENT_PUBLISHERS_CHANGED: usize = limits::EVENT_PUBLISHERS_CHANGED;

/// Event by which the reader at a port tells that it has found a publisher, with the first frame it takes from that one (SPEC §1).
pub(crate) fn event_found(port: u128) -> usize {
    limits::EVENT_FOUND_FIRST + (port % limits::EVENT_FOUND_COUNT as u128) as usize
}

/// Participants (nodes) a service of ours admits: every element and every SDK object brings one.
const MAX_NODES: usize = limits::MAX_NODES;
/// How long an opening is retried while another participant creates or removes the service.
const FLUX_TIMEOUT: Duration = limits::FLUX_TIMEOUT;
/// How long an opening is retried where a participant stopped or died half-way; each attempt takes iceoryx2 a second.
const HANG_TIMEOUT: Duration = limits::HANGING_TIMEOUT;
/// How long creating and removing takes at most where nobody has died over it.
const USUAL_FLUX: Duration = limits::FLUX_USUAL;

/// What a publisher of ours asks of a service it creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServiceLimits {
    pub qos: Qos,
    pub max_subscribers: usize,
    pub max_publishers: usize,
}

impl Default for ServiceLimits {
    fn default() -> Self {
        Self { qos: Qos::default(), max_subscribers: DEFAULT_MAX_SUBSCRIBERS, max_publishers: DEFAULT_MAX_PUBLISHERS }
    }
}

impl ServiceLimits {
    /// History as created: at least the one frame a late joiner gets.
    pub fn history(&self) -> usize {
        (self.qos.history_size as usize).max(limits::MIN_HISTORY_SIZE_FRAMES)
    }
}

/// What keeps this process from a service, if that is to be found outside iceoryx2; `memory` bytes were to be mapped.
pub(crate) fn obstacle(config: &Config, service: &str, memory: usize) -> Option<Error> {
    let domain = Domain::of(config);
    let description = ServiceName::new(service).ok().map(|name| PathBuf::from(description_file(config, &name)));
    let obstacle = after_failure(&domain, memory, description.as_deref())?;
    Some(Error::Obstacle { doing: taking_part(&domain.root(), Some(service)), obstacle })
}

/// Why a port that needed so many bytes of memory could not be made.
pub(crate) fn port_error(
    config: &Config,
    service: &str,
    operation: &'static str,
    memory: usize,
    cause: impl std::fmt::Debug,
) -> Error {
    obstacle(config, service, memory).unwrap_or_else(|| transport(service, operation, cause))
}

/// iceoryx2's own word for a failure.
pub(crate) fn transport(service: &str, operation: &'static str, cause: impl std::fmt::Debug) -> Error {
    Error::Transport { service: service.to_owned(), operation, cause: format!("{cause:?}") }
}

/// The video services of a domain, whether or not a publisher is there.
pub fn video_services(domain: &Domain) -> Vec<Description> {
    descriptions(domain.config()).filter(carries_video).collect()
}

fn carries_video(description: &Description) -> bool {
    description.types.as_ref().is_some_and(|types| {
        let header = &types.user_header;
        types.payload.name == "u8" && header.name == HEADER_TYPE_NAME && header.size == HEADER_SIZE.to_string()
    })
}

/// Opens the video service of that name and adopts whatever it is, or says that there is none.
pub(crate) fn open_video_service(node: &Iox2Node, name: &ServiceName) -> Result<Option<VideoService>> {
    let open = || {
        node.service_builder(name)
            .publish_subscribe::<[u8]>()
            .user_header::<VideoFrameHeader>()
            .open()
            .map_err(PubSubState::from)
    };
    let is_full = |state: &_| matches!(state, PubSubState::Open(PublishSubscribeOpenError::ExceedsMaxNumberOfNodes));
    match retry_while_in_flux(node, || cleanup::retry_when_full(node.config(), open, is_full), PubSubState::is_flux) {
        Ok(service) => Ok(Some(service)),
        Err(PubSubState::Open(PublishSubscribeOpenError::DoesNotExist)) => Ok(None),
        Err(state) => Err(state.into_error(node, name)),
    }
}

/// Opens the video service of that name or creates it with these limits.
pub(crate) fn open_or_create_video_service(
    node: &Iox2Node,
    name: &ServiceName,
    limits: &ServiceLimits,
) -> Result<VideoService> {
    let attempt = || {
        if let Some(service) = open_video_service(node, name)? {
            return Ok(Ok(service));
        }
        let created = node
            .service_builder(name)
            .publish_subscribe::<[u8]>()
            .user_header::<VideoFrameHeader>()
            .subscriber_max_buffer_size(limits.qos.buffer_size as usize)
            .subscriber_max_borrowed_samples(limits.qos.borrowed_max as usize)
            .history_size(limits.history())
            .enable_safe_overflow(limits.qos.safe_overflow)
            .max_subscribers(limits.max_subscribers)
            .max_publishers(limits.max_publishers)
            .max_nodes(MAX_NODES)
            .create();
        match created {
            Ok(service) => Ok(Ok(service)),
            // Somebody else was faster: open theirs in the next round.
            Err(
                PublishSubscribeCreateError::AlreadyExists
                | PublishSubscribeCreateError::IsBeingCreatedByAnotherInstance,
            ) => Ok(Err(())),
            Err(e) => Err(PubSubState::Create(e).into_error(node, name)),
        }
    };
    let start = Instant::now();
    let mut retries = Retries::default();
    loop {
        match attempt() {
            Ok(Ok(service)) => return Ok(service),
            Ok(Err(())) if start.elapsed() < FLUX_TIMEOUT => std::thread::sleep(Duration::from_millis(5)),
            Ok(Err(())) => {
                return Err(half_made(node, name, "SystemInFlux".into()));
            }
            // The left-overs of a crash: remove them in a process of their own. Those of one who is only stopped stay.
            Err(Error::Broken { state, .. }) if retries.may_retry(&state) => cleanup::run_helper(node.config()),
            Err(error) => return Err(error),
        }
    }
}

/// Opens or creates the event service of that name, demanding nothing.
pub(crate) fn open_event_service(node: &Iox2Node, name: &ServiceName) -> Result<EventService> {
    let attempt = || node.service_builder(name).event().open_or_create();
    let flux = |e: &EventOpenOrCreateError| {
        matches!(
            e,
            EventOpenOrCreateError::SystemInFlux
                | EventOpenOrCreateError::EventOpenError(EventOpenError::IsMarkedForDestruction)
        )
    };
    let is_full = |e: &_| matches!(e, EventOpenOrCreateError::EventOpenError(EventOpenError::ExceedsMaxNumberOfNodes));
    let mut retries = Retries::default();
    loop {
        match retry_while_in_flux(node, || cleanup::retry_when_full(node.config(), attempt, is_full), flux) {
            Err(EventOpenOrCreateError::EventOpenError(
                e @ (EventOpenError::HangsInCreation | EventOpenError::ServiceInCorruptedState),
            )) if obstacle(node.config(), name.as_str(), 0).is_none() && retries.may_retry(&format!("{e:?}")) => {
                cleanup::run_helper(node.config());
            }
            result => break result,
        }
    }
    .map_err(|e| {
        if let Some(mismatch) = version_mismatch(node, name) {
            return mismatch;
        }
        match e {
            EventOpenOrCreateError::EventOpenError(EventOpenError::ExceedsMaxNumberOfNodes) => {
                too_many_participants(node, name)
            }
            other => broken(node, name, format!("{other:?}")),
        }
    })
}

/// How often an opening is tried again, after a clean-up, where a participant died or stopped between two steps.
#[derive(Debug, Default)]
struct Retries {
    since: Option<Instant>,
}

impl Retries {
    /// Whether to try once more. One who is only stopped may go on, so where the creation hangs that takes longer.
    fn may_retry(&mut self, state: &str) -> bool {
        let first = self.since.is_none();
        let since = *self.since.get_or_insert_with(Instant::now);
        first || state == "HangsInCreation" && since.elapsed() < HANG_TIMEOUT
    }
}

/// Tries until the others are done creating and removing. One that died over it is never done: that is cleaned up.
fn retry_while_in_flux<T, E>(
    node: &Iox2Node,
    mut attempt: impl FnMut() -> std::result::Result<T, E>,
    flux: impl Fn(&E) -> bool,
) -> std::result::Result<T, E> {
    let start = Instant::now();
    let mut cleaned = false;
    loop {
        match attempt() {
            Err(e) if flux(&e) && start.elapsed() < FLUX_TIMEOUT => {
                if !cleaned && start.elapsed() > USUAL_FLUX {
                    cleaned = true;
                    cleanup::run_helper(node.config());
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

/// Why a publish/subscribe service could not be had.
#[derive(Debug)]
enum PubSubState {
    Open(PublishSubscribeOpenError),
    Create(PublishSubscribeCreateError),
}

impl From<PublishSubscribeOpenError> for PubSubState {
    fn from(e: PublishSubscribeOpenError) -> Self {
        Self::Open(e)
    }
}

impl PubSubState {
    fn is_flux(&self) -> bool {
        matches!(self, Self::Open(PublishSubscribeOpenError::IsMarkedForDestruction))
    }

    fn into_error(self, node: &Iox2Node, name: &ServiceName) -> Error {
        let service = name.to_string();
        if let Some(mismatch) = version_mismatch(node, name) {
            return mismatch;
        }
        match self {
            Self::Open(
                PublishSubscribeOpenError::IncompatibleTypes | PublishSubscribeOpenError::IncompatibleMessagingPattern,
            ) => {
                let found =
                    describe(node, name).find_map(|description| description.types).map(|types| types.to_string());
                Error::TypeMismatch { service, found: found.unwrap_or_else(|| "something else".into()) }
            }
            Self::Open(PublishSubscribeOpenError::ExceedsMaxNumberOfNodes) => too_many_participants(node, name),
            Self::Open(e) => broken(node, name, format!("{e:?}")),
            Self::Create(e) => broken(node, name, format!("{e:?}")),
        }
    }
}

/// What is out of reach looks half made, so the cause is looked for first.
fn broken(node: &Iox2Node, name: &ServiceName, state: String) -> Error {
    obstacle(node.config(), name.as_str(), 0).unwrap_or_else(|| half_made(node, name, state))
}

fn half_made(node: &Iox2Node, name: &ServiceName, state: String) -> Error {
    Error::Broken { service: name.to_string(), state, file: description_file(node.config(), name).into() }
}

fn too_many_participants(node: &Iox2Node, name: &ServiceName) -> Error {
    let limit = describe(node, name).find_map(|description| description.max_nodes).unwrap_or(MAX_NODES);
    Error::TooManyPorts { service: name.to_string(), port: "participant", limit }
}

/// The release of iceoryx2 that created this service, if it is not ours.
fn version_mismatch(node: &Iox2Node, name: &ServiceName) -> Option<Error> {
    let mut theirs =
        describe(node, name).map(|description| description.version).filter(|version| version != IOX2_VERSION);
    Some(Error::VersionMismatch { service: name.to_string(), theirs: theirs.next()?, ours: IOX2_VERSION.into() })
}

/// What is known of the services of this name: a video service and an event service can share it.
fn describe(node: &Iox2Node, name: &ServiceName) -> impl Iterator<Item = Description> {
    let name = name.to_string();
    descriptions(node.config()).filter(move |description| description.name == name)
}
