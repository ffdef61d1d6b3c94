//! SECTION:element-iceoryx2sink
//! @title: iceoryx2sink
//! @short_description: Publishes raw video to other processes by reference.
//!
//! `iceoryx2sink` publishes raw video on an iceoryx2 service.
//! It offers a buffer pool in shared memory to the upstream element.
//! A frame that upstream renders into one of these buffers is sent without a copy. Any other frame is copied once.
//!
//! In a live pipeline a frame is sent as soon as it arrives, otherwise at its timestamp. Set `sync` to override this.
//! A slow subscriber loses its oldest frames. With `lossless=true` the sink waits for slow subscribers instead.
//!
//! Boxes and classifications of buffers (GstAnalyticsRelationMeta since GStreamer 1.24, GstVideoRegionOfInterestMeta) are sent with the frame.
//! With `results-name` they are also published as results of a detector, for the frames of the stream `results-for`.
//!
//! ## Example launch line
//!
//! ```bash
//! gst-launch-1.0 videotestsrc is-live=true ! video/x-raw,format=BGR,width=640,height=480 ! iceoryx2sink service=video/cam0/frame/v2
//! ```
//!
//! Publishes a test picture. `iceoryx2src` receives it in another process.

use gst::glib;
use gst::prelude::*;

mod imp;
mod pool;
mod preroll;
mod results;
mod settings;

glib::wrapper! {
    pub struct Iceoryx2Sink(ObjectSubclass<imp::Iceoryx2Sink>) @extends gst_base::BaseSink, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "iceoryx2sink", gst::Rank::NONE, Iceoryx2Sink::static_type())
}
