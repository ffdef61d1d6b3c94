//! SECTION:element-iceoryx2src
//! @title: iceoryx2src
//! @short_description: Receives raw video from other processes by reference.
//!
//! `iceoryx2src` receives raw video from an iceoryx2 service. The publisher is an `iceoryx2sink` or a program that uses the SDK.
//! Buffers are read-only and share the publisher's memory.
//! If downstream holds nearly as many frames as the publisher allows, or does not support GstVideoMeta, the source copies frames.
//!
//! The source is live. It waits for a publisher, and for the next one after the last publisher has exited; `on-disconnect` changes this.
//! The publisher's timestamps are converted to the running time of this pipeline; `timestamp-mode` changes this.
//!
//! `results` names detectors. Their boxes are attached to the frames that they belong to, as GstVideoRegionOfInterestMeta and, since GStreamer
//! 1.24, as GstAnalyticsRelationMeta. Each frame waits at most `results-wait` for them. Boxes that a frame carries itself are always attached.
//!
//! ## Example launch line
//!
//! ```bash
//! gst-launch-1.0 iceoryx2src service=video/cam0/frame/v2 ! videoconvert ! autovideosink
//! ```
//!
//! Displays the video that is published on the service.
//!
//! ```bash
//! gst-launch-1.0 iceoryx2src service=video/cam0/frame/v2 results=yolo ! videoconvert ! objectdetectionoverlay ! videoconvert ! autovideosink
//! ```
//!
//! Draws the boxes of the detector `yolo` on the frames that they belong to.

use gst::glib;
use gst::prelude::*;

mod imp;
mod joiner;
mod settings;

glib::wrapper! {
    pub struct Iceoryx2Src(ObjectSubclass<imp::Iceoryx2Src>) @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "iceoryx2src", gst::Rank::NONE, Iceoryx2Src::static_type())
}
