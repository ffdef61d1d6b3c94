//! GStreamer error messages for errors of the Shmdata protocol.

use std::io::ErrorKind;

use gst::ResourceError;
use gst_plugin_iceoryx2_shmdata::Error;

/// The message to post for an error of the protocol.
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
