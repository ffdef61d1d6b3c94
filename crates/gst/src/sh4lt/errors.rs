//! GStreamer error messages for Shmdata protocol errors.

use std::io::ErrorKind;

use gst::ResourceError;
use gst_plugin_iceoryx2_shmdata::Error;

/// Returns the message to post for a protocol error.
pub fn message(error: &Error) -> gst::ErrorMessage {
    let kind = match error {
        Error::WriterIsAlive { .. } => ResourceError::Busy,
        Error::FrameTooLarge { .. } => ResourceError::NoSpaceLeft,
        Error::Foreign { .. } => ResourceError::NotAuthorized,
        Error::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => ResourceError::NotAuthorized,
        Error::PathTooLong { .. } | Error::NotASocket { .. } | Error::Name { .. } => ResourceError::Settings,
        _ => ResourceError::Failed,
    };
    gst::error_msg!(kind, ["{error}"])
}
