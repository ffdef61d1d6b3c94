//! Publishes a test picture for two seconds, in a program that links the elements.

use std::time::Duration;

use gst::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    gst::init()?;
    gst_iceoryx2::plugin_register_static()?;
    let pipeline = gst::parse::launch(
        "videotestsrc ! videoconvert ! video/x-raw,format=BGR,width=640,height=640 \
         ! iceoryx2sink service=video/cam0/frame/v2",
    )?;
    pipeline.set_state(gst::State::Playing)?;

    std::thread::sleep(Duration::from_secs(2));
    // End the stream. Subscribers have been told when the EOS message arrives.
    pipeline.send_event(gst::event::Eos::new());
    let bus = pipeline.bus().ok_or("a pipeline has a bus")?;
    bus.timed_pop_filtered(gst::ClockTime::from_seconds(5), &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null)?;
    Ok(())
}
