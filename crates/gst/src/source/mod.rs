//! `iceoryx2src`: hands the frames of another process to this pipeline, by reference.

use gst::glib;
use gst::prelude::*;

mod imp;
mod settings;

glib::wrapper! {
    pub struct Iceoryx2Src(ObjectSubclass<imp::Iceoryx2Src>) @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "iceoryx2src", gst::Rank::NONE, Iceoryx2Src::static_type())
}
