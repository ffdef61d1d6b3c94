//! `sh4ltsink` and `sh4ltsrc`, which exchange media between processes over the Shmdata protocol.
//!
//! The element names are familiar to Sh4lt users, but the elements speak the Shmdata protocol. score's Shmdata devices, sdflow, Splash and
//! Switcher speak the same protocol. Sh4lt's own protocol is different.

use gst::glib;

mod errors;
mod settings;
mod sink;
mod source;

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    sink::register(plugin)?;
    source::register(plugin)
}
