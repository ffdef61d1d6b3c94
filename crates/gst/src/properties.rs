//! Property specifications and values that several elements share.

use std::ops::RangeInclusive;

use gst::glib;
use gst::glib::value::FromValue;
use gst::prelude::*;
use gst_plugin_iceoryx2_video::DEFAULT_SERVICE;

/// The value of a property that is set.
pub fn read<'v, T: FromValue<'v>>(value: &'v glib::Value) -> T {
    value.get().expect("GObject checks the type")
}

/// The service name that is set, or the default for NULL.
pub fn read_service(value: &glib::Value) -> String {
    read::<Option<String>>(value).unwrap_or_else(|| DEFAULT_SERVICE.into())
}

/// `service`.
pub fn service(blurb: &'static str) -> glib::ParamSpec {
    text("service", "Service", blurb, Some(DEFAULT_SERVICE))
}

pub fn text(
    name: &'static str,
    nick: &'static str,
    blurb: &'static str,
    default: Option<&'static str>,
) -> glib::ParamSpec {
    glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).default_value(default).mutable_ready().build()
}

pub fn uint(
    name: &'static str,
    nick: &'static str,
    blurb: &'static str,
    range: RangeInclusive<u32>,
    default: u32,
) -> glib::ParamSpec {
    glib::ParamSpecUInt::builder(name)
        .nick(nick)
        .blurb(blurb)
        .minimum(*range.start())
        .maximum(*range.end())
        .default_value(default)
        .mutable_ready()
        .build()
}

pub fn boolean(name: &'static str, nick: &'static str, blurb: &'static str, default: bool) -> glib::ParamSpec {
    glib::ParamSpecBoolean::builder(name).nick(nick).blurb(blurb).default_value(default).mutable_ready().build()
}

/// A number of 64 bits that can only be read.
pub fn counter(name: &'static str, nick: &'static str, blurb: &'static str) -> glib::ParamSpec {
    glib::ParamSpecUInt64::builder(name).nick(nick).blurb(blurb).read_only().build()
}

/// `num-clients`.
pub fn clients(blurb: &'static str) -> glib::ParamSpec {
    glib::ParamSpecUInt::builder("num-clients").nick("Clients").blurb(blurb).read_only().build()
}
