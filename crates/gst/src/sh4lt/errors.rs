//! GStreamer messages for errors of the Shmdata protocol.

use gst_plugin_iceoryx2_shmdata as shmdata;

/// The message to post for an error of the protocol.
pub fn message(error: &shmdata::Error) -> gst::ErrorMessage {
    match error {
        shmdata::Error::WriterIsAlive { .. } => gst::error_msg!(gst::ResourceError::Busy, ["{error}"]),
        shmdata::Error::FrameTooLarge { .. } => gst::error_msg!(gst::ResourceError::NoSpaceLeft, ["{error}"]),
        shmdata::Error::Foreign { .. } => gst::error_msg!(gst::ResourceError::NotAuthorized, ["{error}"]),
        shmdata::Error::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            gst::error_msg!(gst::ResourceError::NotAuthorized, ["{error}"])
        }
        shmdata::Error::PathTooLong { .. } | shmdata::Error::NotASocket { .. } | shmdata::Error::Name { .. } => {
            gst::error_msg!(gst::ResourceError::Settings, ["{error}"])
        }
        _ => gst::error_msg!(gst::ResourceError::Failed, ["{error}"]),
    }
}
