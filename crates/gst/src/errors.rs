//! From the SDK's errors to GStreamer's: the one place where domains are chosen.

use gst_plugin_iceoryx2_video::{Error, ObstacleKind};

/// The message to post for an error of the SDK.
pub fn message(error: &Error) -> gst::ErrorMessage {
    match error {
        Error::InvalidServiceName { .. } | Error::Domain(_) | Error::Qos { .. } => {
            gst::error_msg!(gst::ResourceError::Settings, ["{error}"])
        }
        Error::Obstacle { obstacle, .. } => match obstacle.kind() {
            ObstacleKind::Permission => gst::error_msg!(gst::ResourceError::NotAuthorized, ["{error}"]),
            ObstacleKind::Domain => gst::error_msg!(gst::ResourceError::Settings, ["{error}"]),
            ObstacleKind::Memory => gst::error_msg!(gst::ResourceError::NoSpaceLeft, ["{error}"]),
            _ => gst::error_msg!(gst::ResourceError::Failed, ["{error}"]),
        },
        Error::TooManyPorts { .. } => gst::error_msg!(gst::ResourceError::Busy, ["{error}"]),
        Error::SharedMemory { .. } | Error::OutOfFrames { .. } | Error::LoanLimit { .. } => {
            gst::error_msg!(gst::ResourceError::NoSpaceLeft, ["{error}"])
        }
        Error::TypeMismatch { .. } => gst::error_msg!(gst::StreamError::WrongType, ["{error}"]),
        Error::Geometry { .. } | Error::Format(_) => gst::error_msg!(gst::StreamError::Format, ["{error}"]),
        Error::VersionMismatch { .. } | Error::Broken { .. } => {
            gst::error_msg!(gst::ResourceError::OpenReadWrite, ["{error}"])
        }
        _ => gst::error_msg!(gst::ResourceError::Failed, ["{error}"]),
    }
}
