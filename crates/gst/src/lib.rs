//! GStreamer elements that share raw video between processes by reference, over Eclipse iceoryx2.
//!
//! `iceoryx2sink` publishes frames in shared memory, and `iceoryx2src` passes the same memory to another pipeline.
//! `sh4ltsink` and `sh4ltsrc` exchange media with programs that speak the Shmdata protocol.
//! GStreamer finds the plugin through `GST_PLUGIN_PATH`. A Rust program calls [`plugin_register_static`] instead.

mod analytics;
mod caps;
mod clock;
mod devices;
mod errors;
mod layout;
mod log;
mod metas;
mod pace;
mod properties;
mod rendition;
mod roi;
#[cfg(target_os = "linux")]
mod sh4lt;
mod sink;
mod source;
mod trust;

use gst::glib;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    locate_helper(plugin);
    sink::register(plugin)?;
    source::register(plugin)?;
    devices::register(plugin)?;
    #[cfg(target_os = "linux")]
    sh4lt::register(plugin)?;
    Ok(())
}

/// Sets the path of the clean-up helper, which is installed next to the plugin.
fn locate_helper(plugin: &gst::Plugin) {
    use gst_plugin_iceoryx2_video::iox2::cleanup;
    if let Some(folder) = plugin.filename().as_deref().and_then(|file| file.parent()) {
        cleanup::set_helper_path(folder.join(cleanup::HELPER));
    }
}

gst::plugin_define!(
    iceoryx2,
    "Raw video between processes by reference, over Eclipse iceoryx2",
    plugin_init,
    env!("CARGO_PKG_VERSION"),
    "MIT/X11",
    "iox2-video",
    "iox2-video",
    "https://crates.io/crates/iox2-video"
);
