//! A Rust program registers the elements in its own process and uses them, as the README shows.

use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_plugin_iceoryx2_video::{PropValue, SinkConfig};

use place::Place;

mod place;

#[test]
fn a_program_registers_the_elements_and_frames_flow() -> Result<(), Box<dyn std::error::Error>> {
    let _place = Place::enter();
    gst::init()?;
    assert!(gst::ElementFactory::find("iceoryx2sink").is_none(), "another build of the plugin is installed");
    gst_iceoryx2::plugin_register_static()?;
    // Any number of times.
    gst_iceoryx2::plugin_register_static()?;

    let config = SinkConfig::new("video/cam0/frame/v2");
    let sink = gst::ElementFactory::make("iceoryx2sink").build()?;
    for (name, value) in config.gst_properties() {
        match value {
            PropValue::Str(s) => sink.set_property(name, s),
            PropValue::Uint(u) => sink.set_property(name, u),
            PropValue::Bool(b) => sink.set_property(name, b),
        }
    }
    assert_eq!(sink.property::<String>("service"), "video/cam0/frame/v2");

    let publisher = gst::Pipeline::new();
    let source = gst::ElementFactory::make("videotestsrc").property("is-live", true).build()?;
    publisher.add_many([&source, &sink])?;
    source.link_filtered(&sink, &"video/x-raw,format=BGR,width=64,height=64,framerate=100/1".parse()?)?;
    let subscriber = gst::parse::launch("iceoryx2src name=src service=video/cam0/frame/v2 ! videoconvert ! fakesink")?;
    let subscriber = subscriber.downcast::<gst::Pipeline>().expect("more than one element");
    let received = || subscriber.by_name("src").expect("named above").property::<u64>("frames-received");

    subscriber.set_state(gst::State::Playing)?;
    publisher.set_state(gst::State::Playing)?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while received() < 20 || sink.property::<u32>("num-clients") != 1 {
        assert!(Instant::now() < deadline, "{} frames within a minute", received());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(sink.property::<u64>("frames-zero-copy") > 0);
    for pipeline in [&publisher, &subscriber] {
        pipeline.set_state(gst::State::Null)?;
        let bus = pipeline.bus().expect("every pipeline has one");
        assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    }
    drop((publisher, subscriber, sink, source));
    Ok(())
}
