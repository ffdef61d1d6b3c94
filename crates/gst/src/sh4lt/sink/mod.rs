//! SECTION:element-sh4ltsink
//! @title: sh4ltsink
//! @short_description: Shares media with other programs over the Shmdata protocol.
//!
//! `sh4ltsink` shares media with any caps through a SysV shared memory segment.
//! score's Shmdata devices, sdflow, Splash and Switcher can read it. Sh4lt's own protocol is not supported yet.
//!
//! The segment holds one frame. If upstream holds only one frame at a time, it renders directly into the segment and the frame is not
//! copied. If a reader takes longer than `reader-timeout` for a frame, the stream continues without it.
//!
//! ## Example launch line
//!
//! ```bash
//! gst-launch-1.0 videotestsrc is-live=true ! video/x-raw,format=RGBA,width=640,height=480 ! sh4ltsink socket-path=/tmp/sh4lt_example
//! ```
//!
//! Shares a test picture. `sh4ltsrc` receives it in another process.

use gst::glib;
use gst::prelude::*;

mod imp;
mod output;
mod pool;

glib::wrapper! {
    pub struct Sh4ltSink(ObjectSubclass<imp::Sh4ltSink>) @extends gst_base::BaseSink, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "sh4ltsink", gst::Rank::NONE, Sh4ltSink::static_type())
}
