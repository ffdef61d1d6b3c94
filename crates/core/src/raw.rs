//! The iceoryx2 services and event ports with a given name, for programs that use iceoryx2 directly as well as the SDK.
//!
//! These are iceoryx2's own objects, of service type [`Iox`]. Unlike the SDK's objects, they are not protected across `fork()`.

use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;

use crate::config::Qos;
use crate::error::Result;
use crate::iox2::service_name::service_name;
use crate::iox2::types::{Iox, Iox2Node};
use crate::video_service::{
    self, Asked, ServiceLimits, VideoService, open_event_service, open_or_create_video_service,
};

/// Opens the video service with this name, regardless of its settings, or creates it with this quality of service.
///
/// # Errors
/// [`Error::InvalidServiceName`](crate::Error::InvalidServiceName), [`Error::Obstacle`](crate::Error::Obstacle),
/// [`Error::TypeMismatch`](crate::Error::TypeMismatch), [`Error::VersionMismatch`](crate::Error::VersionMismatch),
/// [`Error::TooManyPorts`](crate::Error::TooManyPorts), [`Error::Broken`](crate::Error::Broken).
pub fn open_video_service(node: &Iox2Node, service: &str, qos: Qos) -> Result<VideoService> {
    let limits = ServiceLimits { qos, ..Asked::default().limits(qos) };
    open_or_create_video_service(node, &service_name(service)?, &limits)
}

/// Creates a notifier on the event service with this name. Its `notify()` wakes every subscriber to the name.
///
/// # Errors
/// The errors of [`open_video_service`]; it is also an error if the service does not admit more notifiers.
pub fn create_notifier(node: &Iox2Node, service: &str) -> Result<Notifier<Iox>> {
    let events = open_event_service(node, &service_name(service)?)?;
    video_service::create_notifier(node, &events, service)
}

/// Creates a listener on the event service with this name. After each wake-up, receive frames until none is left.
///
/// # Errors
/// The errors of [`open_video_service`]; it is also an error if the service does not admit more listeners.
pub fn create_listener(node: &Iox2Node, service: &str) -> Result<Listener<Iox>> {
    let events = open_event_service(node, &service_name(service)?)?;
    video_service::create_listener(node, &events, service)
}
