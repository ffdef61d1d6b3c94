//! `iceoryx2sink`: publishes each frame from its buffer in shared memory.

use gst::glib;
use gst::prelude::*;

mod imp;
mod pool;
mod preroll;
mod settings;

glib::wrapper! {
    pub struct Iceoryx2Sink(ObjectSubclass<imp::Iceoryx2Sink>) @extends gst_base::BaseSink, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "iceoryx2sink", gst::Rank::NONE, Iceoryx2Sink::static_type())
}
