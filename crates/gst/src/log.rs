//! The elements' debug category.

use std::sync::LazyLock;

/// The category of all log messages; `GST_DEBUG=iceoryx2:5` enables them.
pub static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("iceoryx2", gst::DebugColorFlags::empty(), Some("Video by reference over iceoryx2"))
});
