//! One element under test, in a `GstHarness`.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use gst::prelude::*;

/// A generous limit: a test that waits for so long has failed.
pub const LIMIT: gst::ClockTime = gst::ClockTime::from_seconds(30);

/// An element with these properties, written as on a launch line, and the bus that gets its messages.
pub fn element(factory: &str, properties: &str) -> (gst::Element, gst::Bus) {
    gst::init().unwrap();
    gst_iceoryx2::plugin_register_static().unwrap();
    let element = gst::ElementFactory::make(factory).build().unwrap();
    for (name, value) in properties.split_whitespace().filter_map(|pair| pair.split_once('=')) {
        element.set_property_from_str(name, value);
    }
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    (element, bus)
}

/// Text and details of the next message of that type.
pub fn message(bus: &gst::Bus, kind: gst::MessageType) -> String {
    let message = bus.timed_pop_filtered(LIMIT, &[kind]).expect("a message within the limit");
    match message.view() {
        gst::MessageView::Error(error) => format!("{} {}", error.error(), error.debug().unwrap_or_default()),
        gst::MessageView::Warning(warning) => format!("{} {}", warning.error(), warning.debug().unwrap_or_default()),
        _ => String::new(),
    }
}

pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from(LIMIT);
    while !condition() {
        assert!(Instant::now() < deadline, "not within the limit: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Changes the state of an element whose streaming thread may be waiting. A change that hangs fails the test.
pub fn change_state(element: &gst::Element, state: gst::State) -> gst::StateChangeSuccess {
    let (done, changed) = mpsc::channel();
    let target = element.clone();
    std::thread::spawn(move || done.send(target.set_state(state)));
    changed.recv_timeout(LIMIT.into()).expect("the state changes within the limit").expect("the state changes")
}

/// Reads every property of an element, and writes it back if that is possible; the values are those of a new element.
pub fn properties_keep_their_defaults(factory: &str) {
    let (element, _) = element(factory, "");
    let own = element.type_();
    for property in element.list_properties().iter().filter(|property| property.owner_type() == own) {
        let name = property.name();
        let value = element.property_value(name);
        let text = value.serialize().ok();
        assert_eq!(text, property.default_value().serialize().ok(), "{name}");
        if property.flags().contains(gst::glib::ParamFlags::WRITABLE) {
            element.set_property_from_value(name, &value);
            assert_eq!(element.property_value(name).serialize().ok(), text, "{name}");
        }
    }
}
