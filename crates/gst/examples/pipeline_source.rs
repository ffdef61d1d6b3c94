//! Shows the camera of another process until its stream ends.

use gst::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    gst::init()?;
    gst_iceoryx2::plugin_register_static()?;
    let pipeline = gst::parse::launch("iceoryx2src service=video/cam0/frame/v2 ! videoconvert ! autovideosink")?;
    pipeline.set_state(gst::State::Playing)?;

    let bus = pipeline.bus().ok_or("a pipeline has a bus")?;
    let end = bus.timed_pop_filtered(gst::ClockTime::NONE, &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null)?;
    match end.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => Err(error.error().into()),
        _ => Ok(()),
    }
}
