//! GStreamer error messages for SDK errors.

use gst::ResourceError;
use gst_plugin_iceoryx2_video::{Error, Interrupt, ObstacleKind};

/// Returns the message to post for an SDK error.
pub fn message(error: &Error) -> gst::ErrorMessage {
    let kind = match error {
        Error::TypeMismatch { .. } => return gst::error_msg!(gst::StreamError::WrongType, ["{error}"]),
        Error::Geometry { .. } | Error::Format(_) => return gst::error_msg!(gst::StreamError::Format, ["{error}"]),
        Error::InvalidServiceName { .. } | Error::Domain(_) | Error::Qos { .. } => ResourceError::Settings,
        Error::Obstacle { obstacle, .. } => match obstacle.kind() {
            ObstacleKind::Permission => ResourceError::NotAuthorized,
            ObstacleKind::Domain => ResourceError::Settings,
            ObstacleKind::Memory => ResourceError::NoSpaceLeft,
            _ => ResourceError::Failed,
        },
        Error::TooManyPorts { .. } => ResourceError::Busy,
        Error::SharedMemory { .. } | Error::OutOfFrames { .. } | Error::LoanLimit { .. } => ResourceError::NoSpaceLeft,
        Error::VersionMismatch { .. } | Error::Broken { .. } => ResourceError::OpenReadWrite,
        _ => ResourceError::Failed,
    };
    gst::error_msg!(kind, ["{error}"])
}

/// Creates the interrupt that ends an element's waits.
pub fn interrupt() -> Result<Interrupt, gst::ErrorMessage> {
    Interrupt::new()
        .map_err(|error| gst::error_msg!(ResourceError::Failed, ["cannot create a wake-up descriptor: {error}"]))
}
