//! Opening and creating the two iceoryx2 services behind a name, and saying in words why that failed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use iceoryx2::prelude::*;
use iceoryx2::service::builder::event::{EventOpenError, EventOpenOrCreateError};
use iceoryx2::service::builder::publish_subscribe::{PublishSubscribeCreateError, PublishSubscribeOpenError};
use iceoryx2::service::port_factory::{event, publish_subscribe};

use crate::config::Qos;
use crate::contract::{limits, messages};
use crate::error::{Error, Result};
use crate::iox2::cleanup;
use crate::iox2::description::{Description, description_file, descriptions};
use crate::iox2::domain::Domain;
use crate::iox2::obstacle::{after_failure, before_start, in_folders, taking_part};
use crate::wire::header::VideoFrameHeader;

/// iceoryx2's service type: inter-process, ports usable from any thread.
pub type Iox = ipc_threadsafe::Service;
/// A node of iceoryx2.
pub type Iox2Node = Node<Iox>;
/// An open video service of iceoryx2.
pub type VideoService = publish_subscribe::PortFactory<Iox, [u8], VideoFrameHeader>;
pub(crate) type EventService = event::PortFactory<Iox>;

/// iceoryx2 release this crate is pinned to; peers must have the same.
pub const IOX2_VERSION: &str = "0.10.0";

/// Event by which a reader tells that it has taken a frame, where the publisher may be waiting for room (SPEC §1).
pub(crate) const EVENT_TAKEN: usize = limits::EVENT_TAKEN;

/// Event by which the reader at a port tells that it has found a publisher, with the first frame it takes from that one (SPEC §1).
pub(crate) fn event_found(port: u128) -> usize {
    limits::EVENT_FOUND_FIRST + (port % limits::EVENT_FOUND_COUNT as u128) as usize
}

/// Participants (nodes) a service of ours admits: every element and every SDK object brings one.
const MAX_NODES: usize = limits::MAX_NODES;
/// How long an opening is retried while another participant creates or removes the service.
const FLUX_PATIENCE: Duration = limits::FLUX_TIMEOUT;
/// How long an opening is retried where a participant stopped or died half-way; each attempt takes iceoryx2 a second.
const BROKEN_PATIENCE: Duration = limits::HANGING_TIMEOUT;
/// How long creating and removing takes at most where nobody has died over it.
const USUAL_FLUX: Duration = limits::FLUX_USUAL;

/// What a publisher of ours asks of a service it creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServiceLimits {
    pub qos: Qos,
    pub max_subscribers: usize,
    pub max_publishers: usize,
}

impl ServiceLimits {
    /// History as created: at least the one frame a late joiner gets.
    pub fn history(&self) -> usize {
        (self.qos.history_size as usize).max(limits::MIN_HISTORY_SIZE_FRAMES)
    }
}

/// Creates a node in the process's domain, with nothing that could disturb a second copy of iceoryx2.
///
/// # Errors
/// [`Error::Domain`] for a bad configuration, [`Error::Obstacle`] for what keeps this process out, such as another user's folder.
pub fn create_node() -> Result<Iox2Node> {
    start(None)
}

/// As [`create_node`], for a service that an error names.
pub(crate) fn create_node_for(service: &str) -> Result<Iox2Node> {
    start(Some(service))
}

fn start(service: Option<&str>) -> Result<Iox2Node> {
    let domain = Domain::from_env()?;
    check_folders(&domain, &taking_part(&domain.root(), service))?;
    cleanup::clean_up_if_stale(&domain);
    make_node(&domain, service)
}

/// Refuses a domain whose folders belong to another user, or are links: others would choose what is removed there.
pub(crate) fn check_folders(domain: &Domain, doing: &str) -> Result<()> {
    in_folders(domain).map_or(Ok(()), |obstacle| Err(Error::Obstacle { doing: doing.to_owned(), obstacle }))
}

/// Creates a node in the given domain.
///
/// # Errors
/// As [`create_node`].
pub fn create_node_in(domain: &Domain) -> Result<Iox2Node> {
    make_node(domain, None)
}

fn make_node(domain: &Domain, service: Option<&str>) -> Result<Iox2Node> {
    set_log_level_from_env_or(LogLevel::Error);
    let doing = taking_part(&domain.root(), service);
    if let Some(obstacle) = before_start(domain) {
        return Err(Error::Obstacle { doing, obstacle });
    }
    let created =
        NodeBuilder::new().config(domain.config()).signal_handling_mode(SignalHandlingMode::Disabled).create::<Iox>();
    created.map_err(|e| match after_failure(domain, 0, None) {
        Some(obstacle) => Error::Obstacle { doing, obstacle },
        None => Error::Domain(format!("cannot {doing}: iceoryx2 cannot make a node: {e:?}")),
    })
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

/// Checks a service name without touching iceoryx2's files.
///
/// # Errors
/// [`Error::InvalidServiceName`].
pub fn check_service_name(name: &str) -> Result<()> {
    service_name(name).map(drop)
}

pub(crate) fn service_name(name: &str) -> Result<ServiceName> {
    let invalid = |reason: String| Error::InvalidServiceName { name: name.to_owned(), reason };
    if name.is_empty() {
        return Err(invalid(messages::name_is_empty()));
    }
    if name.len() > limits::MAX_SERVICE_NAME_BYTES {
        return Err(invalid(messages::name_is_long(name.len())));
    }
    if let Some(c) = name.chars().find(|c| !matches!(c, ' '..='~')) {
        return Err(invalid(messages::name_contains(c.to_string())));
    }
    ServiceName::new(name).map_err(|e| invalid(format!("{e:?}")))
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
    match with_patience(node, || cleanup::with_room(node.config(), open, is_full), PubSubState::is_flux) {
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
    let mut patience = Patience::default();
    loop {
        match attempt() {
            Ok(Ok(service)) => return Ok(service),
            Ok(Err(())) if start.elapsed() < FLUX_PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            Ok(Err(())) => {
                return Err(half_made(node, name, "SystemInFlux".into()));
            }
            // The left-overs of a crash: remove them in a process of their own. Those of one who is only stopped stay.
            Err(Error::Broken { state, .. }) if patience.has_more(&state) => cleanup::run_helper(node.config()),
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
    let mut patience = Patience::default();
    loop {
        match with_patience(node, || cleanup::with_room(node.config(), attempt, is_full), flux) {
            Err(EventOpenOrCreateError::EventOpenError(
                e @ (EventOpenError::HangsInCreation | EventOpenError::ServiceInCorruptedState),
            )) if obstacle(node.config(), name.as_str(), 0).is_none() && patience.has_more(&format!("{e:?}")) => {
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
struct Patience {
    since: Option<Instant>,
}

impl Patience {
    /// Whether to try once more. One who is only stopped may go on, so where the creation hangs that takes longer.
    fn has_more(&mut self, state: &str) -> bool {
        let first = self.since.is_none();
        let since = *self.since.get_or_insert_with(Instant::now);
        first || state == "HangsInCreation" && since.elapsed() < BROKEN_PATIENCE
    }
}

/// Tries until the others are done creating and removing. One that died over it is never done: that is cleaned up.
fn with_patience<T, E>(
    node: &Iox2Node,
    mut attempt: impl FnMut() -> std::result::Result<T, E>,
    flux: impl Fn(&E) -> bool,
) -> std::result::Result<T, E> {
    let start = Instant::now();
    let mut cleaned = false;
    loop {
        match attempt() {
            Err(e) if flux(&e) && start.elapsed() < FLUX_PATIENCE => {
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
                let found = describe(node, name).find_map(|description| description.types);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_before_iceoryx2_sees_them() {
        for (name, word) in [("", "empty"), ("a\nb", "\\n"), ("käse", "ä"), (&"x".repeat(256), "256 bytes")] {
            let text = service_name(name).unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
        }
        assert!(service_name("video/cam 0/frame v2").is_ok());
    }
}
