//! Sets the properties of an `iceoryx2sink` from a `SinkConfig` of the core crate.

use gst::prelude::*;
use gst_plugin_iceoryx2_video::{PropValue, SinkConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    gst::init()?;
    gst_iceoryx2::plugin_register_static()?;
    let cfg = SinkConfig::new("video/cam0/frame/v2");
    let sink = gst::ElementFactory::make("iceoryx2sink").build()?;
    for (name, value) in cfg.gst_properties() {
        match value {
            PropValue::Str(s) => sink.set_property(name, s),
            PropValue::Uint(u) => sink.set_property(name, u),
            PropValue::Bool(b) => sink.set_property(name, b),
        }
    }
    println!("{} publishes on {}", sink.name(), sink.property::<String>("service"));
    Ok(())
}
