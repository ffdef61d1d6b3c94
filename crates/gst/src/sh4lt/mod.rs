//! `sh4ltsink` and `sh4ltsrc`: media between processes over the Shmdata protocol.
//!
//! The elements have the names that users of Sh4lt know. They speak the protocol of Shmdata, as score's Shmdata devices, sdflow,
//! Splash and Switcher do. Sh4lt's own protocol differs.

use gst::glib;

mod errors;
mod settings;
mod sink;
mod source;

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    sink::register(plugin)?;
    source::register(plugin)
}
