//! The services and event ports behind a name, for programs that use iceoryx2 itself beside the SDK.
//!
//! They are iceoryx2's own objects, of the type [`Iox`]: unlike the SDK's they know nothing of `fork()`.

use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;

use crate::config::Qos;
use crate::error::Result;
use crate::iox2::service_name::service_name;
use crate::iox2::types::{Iox, Iox2Node};
use crate::video_service::{ServiceLimits, VideoService, open_event_service, open_or_create_video_service, port_error};

/// Opens the video service of a name as it is, or creates it with this quality of service.
///
/// # Errors
/// [`Error::InvalidServiceName`](crate::Error::InvalidServiceName), [`Error::Obstacle`](crate::Error::Obstacle),
/// [`Error::TypeMismatch`](crate::Error::TypeMismatch), [`Error::VersionMismatch`](crate::Error::VersionMismatch),
/// [`Error::Broken`](crate::Error::Broken).
pub fn open_video_service(node: &Iox2Node, service: &str, qos: Qos) -> Result<VideoService> {
    open_or_create_video_service(node, &service_name(service)?, &ServiceLimits { qos, ..ServiceLimits::default() })
}

/// Makes a notifier on the event service of a name; `notify()` wakes every subscriber of that name.
///
/// # Errors
/// As [`open_video_service`], and [`Error::Transport`](crate::Error::Transport) if the service has as many notifiers as it admits.
pub fn create_notifier(node: &Iox2Node, service: &str) -> Result<Notifier<Iox>> {
    let events = open_event_service(node, &service_name(service)?)?;
    events
        .notifier_builder()
        .create()
        .map_err(|error| port_error(node.config(), service, "create a notifier", 0, error))
}

/// Makes a listener on the event service of a name; wait on it, then receive until nothing is left.
///
/// # Errors
/// As [`create_notifier`].
pub fn create_listener(node: &Iox2Node, service: &str) -> Result<Listener<Iox>> {
    let events = open_event_service(node, &service_name(service)?)?;
    events
        .listener_builder()
        .create()
        .map_err(|error| port_error(node.config(), service, "create a listener", 0, error))
}
