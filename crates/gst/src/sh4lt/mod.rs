//! `sh4ltsink` and `sh4ltsrc`: media between processes over the Shmdata protocol.
//!
//! They bear the names that users of Sh4lt know and speak what is known of it: the wire of Shmdata, which score's Shmdata devices,
//! sdflow, Splash and Switcher speak, too. Sh4lt's own wire is another one.

use gst::glib;

mod errors;
mod settings;
mod sink;
mod source;

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    sink::register(plugin)?;
    source::register(plugin)
}
