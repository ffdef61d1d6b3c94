//! SECTION:element-sh4ltsrc
//! @title: sh4ltsrc
//! @short_description: Receives media from other programs over the Shmdata protocol.
//!
//! `sh4ltsrc` receives media with any caps from a program that speaks the Shmdata protocol, such as score's Shmdata device.
//!
//! Buffers share the writer's segment, and the writer waits until they are released.
//! If downstream keeps more than one buffer, the source copies frames. Set `copy-buffers=true` to copy every frame immediately.
//! The source is live. It waits for a writer, and for the next one after a writer has exited. The protocol does not have timestamps, so
//! buffers are timestamped on arrival.
//!
//! ## Example launch line
//!
//! ```bash
//! gst-launch-1.0 sh4ltsrc socket-path=/tmp/sh4lt_example ! videoconvert ! autovideosink
//! ```
//!
//! Displays the video that is shared at the path.

use gst::glib;
use gst::prelude::*;

mod imp;

glib::wrapper! {
    pub struct Sh4ltSrc(ObjectSubclass<imp::Sh4ltSrc>) @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "sh4ltsrc", gst::Rank::NONE, Sh4ltSrc::static_type())
}
