//! Property and signal specifications that several elements share.

use std::ops::RangeInclusive;

use gst::glib;
use gst::glib::subclass::Signal;
use gst::glib::value::FromValue;
use gst::prelude::*;
use gst_plugin_iceoryx2_video::DEFAULT_SERVICE;

/// Returns the value that a property is being set to.
pub fn read<'v, T: FromValue<'v>>(value: &'v glib::Value) -> T {
    value.get().expect("GObject checks the type")
}

/// Returns the service name that is being set; NULL selects the default.
pub fn read_service(value: &glib::Value) -> String {
    read::<Option<String>>(value).unwrap_or_else(|| DEFAULT_SERVICE.into())
}

type Text = &'static str;

/// Specification of `service`.
pub fn service(blurb: Text) -> glib::ParamSpec {
    text("service", "Service", blurb, Some(DEFAULT_SERVICE))
}

pub fn text(name: Text, nick: Text, blurb: Text, default: Option<Text>) -> glib::ParamSpec {
    glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).default_value(default).mutable_ready().build()
}

pub fn uint(name: Text, nick: Text, blurb: Text, range: RangeInclusive<u32>, default: u32) -> glib::ParamSpec {
    let (minimum, maximum) = range.into_inner();
    let builder = glib::ParamSpecUInt::builder(name).nick(nick).blurb(blurb).minimum(minimum).maximum(maximum);
    builder.default_value(default).mutable_ready().build()
}

pub fn boolean(name: Text, nick: Text, blurb: Text, default: bool) -> glib::ParamSpec {
    glib::ParamSpecBoolean::builder(name).nick(nick).blurb(blurb).default_value(default).mutable_ready().build()
}

/// Specification of a read-only 64-bit number.
pub fn counter(name: Text, nick: Text, blurb: Text) -> glib::ParamSpec {
    glib::ParamSpecUInt64::builder(name).nick(nick).blurb(blurb).read_only().build()
}

/// Specification of `num-clients`.
pub fn clients(blurb: Text) -> glib::ParamSpec {
    glib::ParamSpecUInt::builder("num-clients").nick("Clients").blurb(blurb).read_only().build()
}

/// Returns the signals of a sink that counts clients. Each signal has one argument of the given type.
pub fn client_signals(argument: glib::Type) -> Vec<Signal> {
    ["client-connected", "client-disconnected"].map(|name| Signal::builder(name).param_types([argument]).build()).into()
}
