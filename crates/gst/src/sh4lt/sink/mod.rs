//! `sh4ltsink`.

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
