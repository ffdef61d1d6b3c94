//! `sh4ltsrc`.

use gst::glib;
use gst::prelude::*;

mod imp;

glib::wrapper! {
    pub struct Sh4ltSrc(ObjectSubclass<imp::Sh4ltSrc>) @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "sh4ltsrc", gst::Rank::NONE, Sh4ltSrc::static_type())
}
