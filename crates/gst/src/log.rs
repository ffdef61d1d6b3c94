//! The elements' debug category.

use std::sync::LazyLock;

/// Category of every message, for `GST_DEBUG=iceoryx2:5`.
pub static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("iceoryx2", gst::DebugColorFlags::empty(), Some("Video by reference over iceoryx2"))
});
