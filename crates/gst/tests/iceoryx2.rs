//! `iceoryx2sink` and `iceoryx2src`, each alone in a harness; the other end is the SDK in the same process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use gst::prelude::*;
use gst_check::Harness;
use gst_plugin_iceoryx2_video::{FrameParams, VideoFrame, VideoFramePublisher, VideoFrameSubscriber, monotonic_ns};

use harness::{LIMIT, change_state, element, message, properties_keep_their_defaults, wait_until};
use place::Place;

mod harness;
mod place;

const GRAY: &str = "video/x-raw,format=GRAY8,width=40,height=30,framerate=30/1";
const SIZE: usize = 40 * 30;
const BLOCK_MS: Option<u64> = Some(30_000);
const MS: u64 = 1_000_000;

/// A service name of one test.
fn service() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("video/{}/frame/v2", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A sink that plays, with the caps of [`picture`].
fn sink(service: &str, properties: &str) -> (Harness, gst::Element, gst::Bus) {
    let (sink, bus) = element("iceoryx2sink", &format!("service={service} {properties}"));
    let mut harness = Harness::with_element(&sink, Some("sink"), None);
    harness.set_src_caps_str(GRAY);
    (harness, sink, bus)
}

/// A source that plays as soon as the test says so.
fn source(service: &str, properties: &str) -> (Harness, gst::Element, gst::Bus) {
    let (source, bus) = element("iceoryx2src", &format!("service={service} {properties}"));
    (Harness::with_element(&source, None, Some("src")), source, bus)
}

/// A buffer whose picture and offset tell its number.
fn picture(number: u8) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(vec![number; SIZE]);
    let contents = buffer.get_mut().unwrap();
    contents.set_pts(gst::ClockTime::from_mseconds(number.into()));
    contents.set_offset(number.into());
    buffer
}

fn publish(publisher: &VideoFramePublisher, number: u8) {
    let params = FrameParams { width: 40, height: 30, format: "GRAY8", offset: number.into(), ..Default::default() };
    publisher.publish_frame(&[number; SIZE], &params).unwrap();
}

fn publisher(service: &str) -> VideoFramePublisher {
    VideoFramePublisher::new(service, SIZE).unwrap()
}

/// A source that has received frame 0.
fn receiving(publisher: &VideoFramePublisher, properties: &str) -> (Harness, gst::Element, gst::Bus, gst::Buffer) {
    let (mut harness, source, bus) = source(publisher.service(), properties);
    harness.play();
    publish(publisher, 0);
    let first = harness.pull().unwrap();
    assert_eq!(first.offset(), 0);
    (harness, source, bus, first)
}

/// A subscriber of a sink that has sent frame 0, when frame 1 tells it at once of what was sent before.
fn subscribed(harness: &mut Harness, service: &str) -> VideoFrameSubscriber {
    harness.push(picture(0)).unwrap();
    let subscriber = VideoFrameSubscriber::new(service).unwrap();
    harness.push(picture(1)).unwrap();
    for number in [0, 1] {
        assert_eq!(receive(&subscriber).header().offset, number);
    }
    subscriber
}

fn receive(subscriber: &VideoFrameSubscriber) -> VideoFrame {
    subscriber.receive_blocking(BLOCK_MS).unwrap().expect("a frame within the limit")
}

fn number(element: &gst::Element, property: &str) -> u64 {
    let value = element.property_value(property);
    value.get::<u64>().or_else(|_| value.get::<u32>().map(u64::from)).unwrap()
}

fn counters(sink: &gst::Element) -> [u64; 4] {
    ["frames-sent", "frames-zero-copy", "frames-copied", "frames-dropped"].map(|name| number(sink, name))
}

#[test]
fn properties_are_readable_and_keep_their_defaults() {
    let _place = Place::enter();
    properties_keep_their_defaults("iceoryx2sink");
    properties_keep_their_defaults("iceoryx2src");
}

#[test]
fn numbers_have_their_ranges() {
    let _place = Place::enter();
    for (factory, name, minimum, maximum) in [
        ("iceoryx2sink", "max-bytes", 0, u32::MAX),
        ("iceoryx2sink", "buffer-size", 1, u32::MAX),
        ("iceoryx2sink", "borrowed-max", 1, u32::MAX),
        ("iceoryx2sink", "history-size", 0, u32::MAX),
        ("iceoryx2sink", "max-subscribers", 1, 65_536),
        ("iceoryx2sink", "max-publishers", 1, 65_536),
        ("iceoryx2sink", "max-loans", 1, u32::MAX),
        ("iceoryx2sink", "max-frames", 0, u32::MAX),
        ("iceoryx2sink", "aux-bytes", 0, u32::MAX),
        ("iceoryx2src", "buffer-size", 1, u32::MAX),
        ("iceoryx2src", "borrowed-max", 1, u32::MAX),
        ("iceoryx2src", "history-size", 0, u32::MAX),
        ("iceoryx2src", "max-buffers", 0, u32::MAX),
    ] {
        let property = element(factory, "").0.find_property(name).unwrap();
        let property = property.downcast_ref::<gst::glib::ParamSpecUInt>().unwrap();
        assert_eq!((property.minimum(), property.maximum()), (minimum, maximum), "{factory} {name}");
    }
}

#[test]
fn leaky_type_and_the_properties_that_it_stands_for_agree() {
    let _place = Place::enter();
    let (sink, _) = element("iceoryx2sink", "");
    for (leaky, lossless, safe_overflow) in
        [("none", true, false), ("upstream", false, false), ("downstream", false, true)]
    {
        sink.set_property_from_str("leaky-type", leaky);
        assert_eq!(sink.property::<bool>("lossless"), lossless, "{leaky}");
        assert_eq!(sink.property::<bool>("safe-overflow"), safe_overflow, "{leaky}");
        assert_eq!(sink.property_value("leaky-type").serialize().unwrap(), leaky);
    }
}

#[test]
fn an_impossible_name_is_refused_in_words() {
    let _place = Place::enter();
    let long = "x".repeat(256);
    for (name, word) in [("", "empty"), (long.as_str(), "256 bytes"), ("a\nb", "\\n"), ("käse", "ä"), ("a\x7fb", "7f")]
    {
        for factory in ["iceoryx2sink", "iceoryx2src"] {
            let (element, bus) = element(factory, "");
            element.set_property("service", name);
            assert!(element.set_state(gst::State::Paused).is_err());
            let error = message(&bus, gst::MessageType::Error);
            assert!(error.contains(word) && error.contains("printable ASCII"), "{error}");
            element.set_state(gst::State::Null).unwrap();
        }
    }
}

#[test]
fn any_printable_name_works() {
    let _place = Place::enter();
    for name in ["a", "video/cam 0/left eye/frame v2", "~!#$%&()*+-./:;<=>?@[]^_`{|}", &"x".repeat(255)] {
        let (sink, _) = element("iceoryx2sink", "");
        sink.set_property("service", name);
        let mut sending = Harness::with_element(&sink, Some("sink"), None);
        sending.set_src_caps_str(GRAY);
        sending.push(picture(6)).unwrap();
        let (source, _) = element("iceoryx2src", "");
        source.set_property("service", name);
        let mut receiving = Harness::with_element(&source, None, Some("src"));
        receiving.play();
        sending.push(picture(7)).unwrap();
        // A source that starts skips what waits before the newest frame.
        assert!(receiving.pull().unwrap().offset() >= 6, "{name}");
    }
}

#[test]
// proves: M7
fn a_sink_counts_anew_with_each_start() {
    let _place = Place::enter();
    let (mut harness, sink, _) = sink(&service(), "");
    for number in 0..3 {
        harness.push(picture(number)).unwrap();
    }
    assert_eq!(counters(&sink), [3, 0, 3, 0]);
    sink.set_state(gst::State::Null).unwrap();
    assert_eq!(counters(&sink), [3, 0, 3, 0]);
    sink.set_state(gst::State::Ready).unwrap();
    assert_eq!(counters(&sink), [0, 0, 0, 0]);
}

#[test]
fn a_sink_sends_the_buffers_of_its_pool_by_reference() {
    let _place = Place::enter();
    let (mut harness, sink, _) = sink(&service(), "");
    let mut query = gst::query::Allocation::new(Some(&GRAY.parse().unwrap()), true);
    let pad = sink.static_pad("sink").unwrap();
    assert!(pad.query(&mut query));
    assert!(query.find_allocation_meta::<gst_video::VideoMeta>().is_some());
    let (pool, size, ..) = query.allocation_pools().next().unwrap();
    let pool = pool.unwrap();
    assert_eq!(size, SIZE as u32);
    pool.set_active(true).unwrap();
    let buffer = pool.acquire_buffer(None).unwrap();
    harness.push(buffer).unwrap();
    assert_eq!(counters(&sink), [1, 1, 0, 0]);
    // A buffer with a second reference is copied, because its bytes may still change.
    let buffer = pool.acquire_buffer(None).unwrap();
    let _held = buffer.clone();
    harness.push(buffer).unwrap();
    assert_eq!(counters(&sink), [2, 1, 1, 0]);
    pool.set_active(false).unwrap();
}

#[test]
// proves: M5
fn a_sink_keeps_no_last_sample() {
    let _place = Place::enter();
    let (mut harness, sink, _) = sink(&service(), "");
    harness.push(picture(0)).unwrap();
    assert!(sink.property::<Option<gst::Sample>>("last-sample").is_none());
}

#[test]
fn caps_change_in_mid_stream() {
    let _place = Place::enter();
    let service = service();
    let (mut harness, _sink, _) = sink(&service, "");
    let subscriber = subscribed(&mut harness, &service);
    harness.set_src_caps_str("video/x-raw,format=BGR,width=400,height=300,framerate=30/1");
    let large = thread::scope(|scope| {
        // The frame is larger than the publisher's memory, whose port is replaced: the subscriber has to look for the new one.
        let receiving = scope.spawn(|| receive(&subscriber));
        harness.push(gst::Buffer::from_mut_slice(vec![2; 400 * 300 * 3])).unwrap();
        receiving.join().unwrap()
    });
    assert_eq!((large.header().format_name(), large.header().width), ("BGR", 400));
    assert!(large.parse_aux().caps.unwrap().contains("width=(int)400"));
}

#[test]
fn frames_in_other_memory_are_refused_with_the_remedy() {
    let _place = Place::enter();
    for feature in ["memory:DMABuf", "memory:GLMemory", "memory:NVMM"] {
        let (mut harness, sink, bus) = sink(&service(), "");
        let caps = format!("video/x-raw({feature}),format=NV12,width=64,height=48,framerate=30/1");
        let pad = sink.static_pad("sink").unwrap();
        assert!(pad.query_accept_caps(&caps.parse().unwrap()));
        assert!(!pad.query_caps(None).can_intersect(&caps.parse::<gst::Caps>().unwrap()));
        harness.push_event(gst::event::Caps::new(&caps.parse().unwrap()));
        let error = message(&bus, gst::MessageType::Error);
        assert!(error.contains(feature) && error.contains("download"), "{error}");
    }
}

#[test]
fn caps_other_than_raw_video_are_refused() {
    let _place = Place::enter();
    let (_harness, sink, _) = sink(&service(), "");
    let pad = sink.static_pad("sink").unwrap();
    for caps in ["video/x-h264,width=64,height=48", "audio/x-raw", "video/x-raw,format=ENCODED,width=64,height=48"] {
        assert!(!pad.query_accept_caps(&caps.parse().unwrap()), "{caps}");
    }
}

#[test]
fn rows_without_padding_are_taken_as_such() {
    let _place = Place::enter();
    for (format, width, height, size) in [
        ("BGR", 322, 240, 322 * 240 * 3),
        ("GRAY8", 641, 30, 641 * 30),
        ("NV12", 1366, 32, 1366 * 48),
        ("I420", 333, 177, 333 * 177 + 2 * 167 * 89),
    ] {
        let service = service();
        let (mut harness, sink, bus) = sink(&service, "");
        harness.set_src_caps_str(&format!("video/x-raw,format={format},width={width},height={height},framerate=30/1"));
        harness.push(gst::Buffer::from_mut_slice(vec![1; size])).unwrap();
        let subscriber = VideoFrameSubscriber::new(&service).unwrap();
        harness.push(gst::Buffer::from_mut_slice(vec![1; size])).unwrap();
        assert_eq!(counters(&sink), [2, 0, 2, 0]);
        let header = *receive(&subscriber).header();
        assert_eq!(header.stride[0], if format == "BGR" { width * 3 } else { width });
        assert!(bus.pop_filtered(&[gst::MessageType::Warning]).is_none());
    }
}

#[test]
// proves: E1
fn a_sink_warns_once_a_cause_that_buffers_do_not_hold_their_pictures() {
    let _place = Place::enter();
    let service = service();
    let (mut harness, sink, bus) = sink(&service, "");
    harness.set_src_caps_str("video/x-raw,format=BGR,width=322,height=240,framerate=30/1");
    for _ in 0..3 {
        harness.push(gst::Buffer::with_size(231_841).unwrap()).unwrap();
    }
    let warning = message(&bus, gst::MessageType::Warning);
    for word in [&service, "231841", "BGR 322x240", "232320", "968", "966", "GstVideoMeta"] {
        assert!(warning.contains(word), "{word}: {warning}");
    }
    for _ in 0..3 {
        let mut buffer = gst::Buffer::with_size(320 * 240 * 3).unwrap();
        let flags = gst_video::VideoFrameFlags::empty();
        gst_video::VideoMeta::add(buffer.get_mut().unwrap(), flags, gst_video::VideoFormat::Bgr, 320, 240).unwrap();
        harness.push(buffer).unwrap();
    }
    let warning = message(&bus, gst::MessageType::Warning);
    for word in [&service, "320x240", "322x240", "caps"] {
        assert!(warning.contains(word), "{word}: {warning}");
    }
    assert!(bus.pop_filtered(&[gst::MessageType::Warning, gst::MessageType::Error]).is_none());
    assert_eq!(counters(&sink), [0, 0, 0, 6]);
    // A buffer without memory, as GAP buffers are, carries no frame and is not counted.
    harness.push(gst::Buffer::new()).unwrap();
    assert_eq!(counters(&sink), [0, 0, 0, 6]);
}

#[test]
// proves: E1
fn a_sink_warns_once_that_subscribers_hold_all_of_its_frames() {
    let _place = Place::enter();
    let service = service();
    let (mut harness, sink, bus) = sink(&service, "max-loans=1 max-frames=1");
    let subscriber = subscribed(&mut harness, &service);
    let mut held = Vec::new();
    let mut pushed = 1;
    while number(&sink, "frames-dropped") < 3 {
        pushed += 1;
        assert!(pushed < 100, "{held:?}");
        harness.push(picture(pushed)).unwrap();
        held.extend(subscriber.receive().unwrap());
    }
    let warning = message(&bus, gst::MessageType::Warning);
    assert!(warning.contains(&service) && warning.contains("max-frames"), "{warning}");
    assert!(bus.pop_filtered(&[gst::MessageType::Warning, gst::MessageType::Error]).is_none());
    assert_eq!(number(&sink, "frames-dropped-memory"), 3);
}

#[test]
// proves: M7
fn what_gives_way_to_a_full_subscriber_is_a_choice() {
    let _place = Place::enter();
    for (leaky, kept) in [("upstream", [0, 1, 2, 3]), ("downstream", [26, 27, 28, 29])] {
        let service = service();
        let (mut harness, _sink, _) = sink(&service, &format!("buffer-size=4 leaky-type={leaky}"));
        harness.push(picture(0)).unwrap();
        let subscriber = VideoFrameSubscriber::new(&service).unwrap();
        // Connects, and leaves the first frame where it is.
        wait_until("connected", || subscriber.is_connected());
        for number in 1..30 {
            harness.push(picture(number)).unwrap();
        }
        assert_eq!([0; 4].map(|_: u64| receive(&subscriber).header().offset), kept, "{leaky}");
    }
}

#[test]
// proves: M9
fn the_second_sink_on_a_service_is_refused_in_words() {
    let _place = Place::enter();
    let service = service();
    let (mut first, sink_of_first, _) = sink(&service, "");
    first.push(picture(0)).unwrap();
    let (mut second, _sink, bus) = sink(&service, "");
    assert!(second.push(picture(0)).is_err());
    let error = message(&bus, gst::MessageType::Error);
    for word in [&service, "already has 1, which is its limit", "max-publishers"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    first.push(picture(1)).unwrap();
    assert_eq!(number(&sink_of_first, "frames-sent"), 2);
}

#[test]
fn a_sink_shows_both_values_where_an_existing_service_does_not_offer_what_was_set() {
    let _place = Place::enter();
    let service = service();
    let (mut first, _sink, _) = sink(&service, "max-publishers=2 buffer-size=3");
    first.push(picture(0)).unwrap();
    let (_second, _sink, bus) = sink(&service, "max-publishers=2 buffer-size=7");
    let error = message(&bus, gst::MessageType::Error);
    for word in [&service, "buffer-size", "3", "7"] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
// proves: L11
fn clients_are_counted_between_frames_and_a_handler_may_use_the_sink() {
    let _place = Place::enter();
    let service = service();
    let (mut harness, sink, _) = sink(&service, "");
    let (told, heard) = std::sync::mpsc::channel();
    for signal in ["client-connected", "client-disconnected", "notify::num-clients"] {
        let told = told.clone();
        sink.connect(signal, false, move |values| {
            let sink = values[0].get::<gst::Element>().unwrap();
            // No lock is held while a signal is emitted.
            sink.set_property("qos", false);
            let seen = (number(&sink, "num-clients"), number(&sink, "frames-sent"));
            told.send((signal, values[1].get::<u32>().ok(), seen)).unwrap();
            None
        });
    }
    harness.push(picture(0)).unwrap();
    assert_eq!(number(&sink, "num-clients"), 0);
    let expect = |signal, count: u32| {
        let seen = (count.into(), 1);
        assert_eq!(heard.recv_timeout(LIMIT.into()).unwrap(), (signal, Some(count), seen));
        assert_eq!(heard.recv_timeout(LIMIT.into()).unwrap(), ("notify::num-clients", None, seen));
    };
    let connect = || {
        let subscriber = VideoFrameSubscriber::new(&service).unwrap();
        wait_until("connected", || subscriber.is_connected());
        subscriber
    };
    let first = connect();
    expect("client-connected", 1);
    let second = connect();
    expect("client-connected", 2);
    drop(first);
    expect("client-disconnected", 1);
    drop(second);
    expect("client-disconnected", 0);
}

#[test]
fn a_sink_that_waits_for_a_connection_sends_nothing_before_and_stops_when_it_is_told_to() {
    let _place = Place::enter();
    let service = service();
    let (mut harness, sink, _) = sink(&service, "wait-for-connection=true");
    let pushing = thread::spawn(move || (harness.push(picture(0)), harness));
    for state in [gst::State::Paused, gst::State::Playing] {
        change_state(&sink, state);
    }
    assert_eq!(number(&sink, "frames-sent"), 0);
    let subscriber = VideoFrameSubscriber::new(&service).unwrap();
    assert_eq!(receive(&subscriber).header().offset, 0);
    let (flow, mut harness) = pushing.join().unwrap();
    assert_eq!(flow, Ok(gst::FlowSuccess::Ok));
    drop(subscriber);
    wait_until("no client any more", || number(&sink, "num-clients") == 0);
    let pushing = thread::spawn(move || harness.push(picture(1)));
    thread::sleep(Duration::from_millis(5));
    change_state(&sink, gst::State::Null);
    assert_eq!(pushing.join().unwrap(), Err(gst::FlowError::Flushing));
    assert_eq!(number(&sink, "frames-sent"), 1);
}

#[test]
fn the_end_of_the_stream_comes_after_the_last_frame_and_a_flush_before_it_changes_nothing() {
    let _place = Place::enter();
    let service = service();
    let (mut harness, _sink, bus) = sink(&service, "");
    let subscriber = subscribed(&mut harness, &service);
    assert!(harness.push_event(gst::event::FlushStart::new()));
    assert_eq!(harness.push(picture(9)), Err(gst::FlowError::Flushing));
    assert!(harness.push_event(gst::event::FlushStop::new(true)));
    assert!(harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
    harness.push(picture(2)).unwrap();
    assert!(harness.push_event(gst::event::Eos::new()));
    message(&bus, gst::MessageType::Eos);
    assert_eq!(receive(&subscriber).header().offset, 2);
    assert!(receive(&subscriber).is_eos());
    // Also for who joins later, behind the last frame.
    let late = VideoFrameSubscriber::new(&service).unwrap();
    assert_eq!(receive(&late).header().offset, 2);
    assert!(receive(&late).is_eos());
}

#[test]
fn due_is_the_running_time_of_the_segment_plus_the_latency() {
    let _place = Place::enter();
    let service = service();
    let (mut harness, sink, _) = sink(&service, "processing-deadline=5000000");
    let subscriber = subscribed(&mut harness, &service);
    harness.use_systemclock();
    let base_time = monotonic_ns();
    sink.set_base_time(gst::ClockTime::from_nseconds(base_time));
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::from_seconds(3600));
    harness.push_event(gst::event::Segment::new(&segment));
    assert!(sink.send_event(gst::event::Latency::new(gst::ClockTime::from_mseconds(30))));
    let mut buffer = picture(2);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_seconds(3600) + gst::ClockTime::from_mseconds(7));
    harness.push(buffer).unwrap();
    let frame = receive(&subscriber);
    assert_eq!(frame.stamp().due, Some(base_time + (7 + 30) * MS));
    // The harness tells itself live. A frame cannot have been captured later than it was sent.
    assert!(frame.stamp().capture.unwrap() <= base_time + 7 * MS);
    assert_eq!(frame.header().pts, 3_600_007 * MS);
}

#[test]
// proves: T5, L5
fn a_source_is_live_tells_its_deadline_as_latency_and_says_when_it_changes() {
    let _place = Place::enter();
    let (mut harness, source, bus) = source(&service(), "");
    assert_eq!(source.set_state(gst::State::Paused), Ok(gst::StateChangeSuccess::NoPreroll));
    harness.play();
    assert_eq!(harness.query_latency(), Some(20 * gst::ClockTime::MSECOND));
    source.set_property("processing-deadline", 35 * MS);
    message(&bus, gst::MessageType::Latency);
    let mut query = gst::query::Latency::new();
    assert!(source.query(&mut query));
    assert_eq!(query.result(), (true, 35 * gst::ClockTime::MSECOND, gst::ClockTime::NONE));
}

#[test]
// proves: L2, L4
fn a_source_starts_and_stops_in_any_order_with_and_without_a_publisher() {
    use gst::State::{Null, Paused, Playing, Ready};
    let _place = Place::enter();
    let service = service();
    let (mut harness, source, _) = source(&service, "");
    let rounds = |states: &[gst::State]| {
        for &state in states {
            change_state(&source, state);
        }
    };
    rounds(&[Paused, Playing, Paused, Playing, Ready, Playing, Null, Playing]);
    let publisher = publisher(&service);
    publish(&publisher, 0);
    assert_eq!(harness.pull().unwrap().offset(), 0);
    rounds(&[Paused, Playing, Ready, Playing, Null]);
}

#[test]
// proves: C3
fn a_source_offers_any_raw_video_until_it_knows_what_comes() {
    let _place = Place::enter();
    let service = service();
    let (mut harness, source, _) = source(&service, "");
    source.set_state(gst::State::Paused).unwrap();
    let pad = source.static_pad("src").unwrap();
    let caps = pad.query_caps(None);
    assert!(caps.can_intersect(&GRAY.parse::<gst::Caps>().unwrap()));
    assert!(caps.to_string().contains("width=(int)[ 1, 32768 ]"), "{caps}");
    let publisher = publisher(&service);
    publish(&publisher, 0);
    wait_until("the caps of the waiting frame", || pad.query_caps(None).is_fixed());
    assert_eq!(pad.query_caps(None).structure(0).unwrap().get::<&str>("format"), Ok("GRAY8"));
    // The query has not used the frame up.
    harness.play();
    assert_eq!(harness.pull().unwrap().offset(), 0);
}

#[test]
fn caps_come_before_the_first_buffer_which_shares_the_publishers_memory() {
    let _place = Place::enter();
    let publisher = publisher(&service());
    let (mut harness, source, _, first) = receiving(&publisher, "");
    let events: Vec<_> = std::iter::from_fn(|| harness.try_pull_event()).map(|event| event.type_()).collect();
    assert_eq!(events, [gst::EventType::StreamStart, gst::EventType::Caps, gst::EventType::Segment]);
    assert!(first.flags().contains(gst::BufferFlags::DISCONT));
    assert!(first.peek_memory(0).flags().contains(gst::MemoryFlags::READONLY));
    let meta = first.meta::<gst_video::VideoMeta>().unwrap();
    assert_eq!((meta.width(), meta.height(), meta.stride()), (40, 30, [40].as_slice()));
    publish(&publisher, 1);
    let second = harness.pull().unwrap();
    assert!(!second.flags().contains(gst::BufferFlags::DISCONT));
    assert_eq!(second.map_readable().unwrap()[..], [1; SIZE]);
    assert_eq!(number(&source, "frames-received"), 2);
    assert_eq!(number(&source, "frames-copied"), 0);
    let colour = FrameParams { width: 16, height: 8, ..Default::default() };
    publisher.publish_frame(&[3; 16 * 8 * 3], &colour).unwrap();
    harness.pull().unwrap();
    let caps = harness.sinkpad().unwrap().current_caps().unwrap();
    assert_eq!(caps.structure(0).unwrap().get::<i32>("width"), Ok(16));
}

#[test]
// proves: C3
fn caps_that_downstream_refuses_are_told_with_the_remedy() {
    let _place = Place::enter();
    let publisher = publisher(&service());
    for (accepted, remedy) in [
        ("format=RGB", "videoconvert"),
        ("width=32,height=24", "videoscale"),
        ("format=RGB,width=32", "videoscale ! videoconvert"),
        ("framerate=5/1", "videorate"),
    ] {
        let (mut harness, _source, bus) = source(publisher.service(), "");
        harness.set_sink_caps_str(&format!("video/x-raw,{accepted}"));
        harness.play();
        publish(&publisher, 0);
        let error = message(&bus, gst::MessageType::Error);
        assert!(error.contains("format=(string)GRAY8"), "{error}");
        assert!(error.contains(&format!("; insert {remedy} after iceoryx2src")), "{error}");
    }
}

#[test]
// proves: M3
fn a_source_copies_from_its_own_limit_on() {
    let _place = Place::enter();
    let publisher = publisher(&service());
    let (mut harness, source, _, first) = receiving(&publisher, "borrowed-max=3");
    let mut held = vec![first];
    for number in 1..5 {
        publish(&publisher, number);
        held.push(harness.pull().unwrap());
    }
    let shared: Vec<_> =
        held.iter().map(|buffer| buffer.peek_memory(0).flags().contains(gst::MemoryFlags::READONLY)).collect();
    assert_eq!(shared, [true, true, false, false, false]);
    assert_eq!(number(&source, "frames-copied"), 3);
    for (number, buffer) in held.iter().enumerate() {
        assert_eq!(buffer.map_readable().unwrap()[..], [number as u8; SIZE]);
    }
}

#[test]
// proves: L1
fn a_wish_that_the_publisher_does_not_meet_shows_both_values() {
    let _place = Place::enter();
    let service = service();
    let publisher = publisher(&service);
    for (name, wish, offer) in [
        ("buffer-size", "20", "10"),
        ("borrowed-max", "11", "10"),
        ("history-size", "3", "1"),
        ("safe-overflow", "false", "true"),
    ] {
        let (_harness, source, bus) = source(&service, &format!("{name}={wish}"));
        // It fails while it starts, or while it waits for its first frame.
        let _ = source.set_state(gst::State::Playing);
        let error = message(&bus, gst::MessageType::Error);
        for word in [&service, name, wish, offer] {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
    receiving(&publisher, "buffer-size=5 borrowed-max=3 history-size=1 safe-overflow=true");
}

#[test]
// proves: M9
fn the_subscriber_one_too_many_is_told_the_limit_and_may_come_again() {
    let _place = Place::enter();
    let service = service();
    let publisher = VideoFramePublisher::builder(&service).max_subscribers(1).build().unwrap();
    let subscriber = VideoFrameSubscriber::new(&service).unwrap();
    publish(&publisher, 0);
    assert_eq!(receive(&subscriber).header().offset, 0);
    let (mut harness, source, bus) = source(&service, "");
    // It fails while it starts, or while it waits for its first frame.
    let _ = source.set_state(gst::State::Playing);
    let error = message(&bus, gst::MessageType::Error);
    for word in [&service, "already has 1, which is its limit", "max-subscribers"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    source.set_state(gst::State::Null).unwrap();
    drop(subscriber);
    harness.play();
    assert_eq!(harness.pull().unwrap().offset(), 0);
}

#[test]
// proves: C6, L5
fn the_backlog_of_a_pause_is_skipped_and_counted() {
    let _place = Place::enter();
    let service = service();
    let publisher = publisher(&service);
    publish(&publisher, 0);
    let (mut harness, source, _) = source(&service, "");
    source.set_state(gst::State::Paused).unwrap();
    wait_until("connected", || publisher.num_subscribers() == 1);
    for number in 1..5 {
        publish(&publisher, number);
    }
    publisher.end_of_stream().unwrap();
    harness.play();
    let newest = harness.pull().unwrap();
    assert_eq!(newest.offset(), 4);
    assert!(newest.flags().contains(gst::BufferFlags::DISCONT));
    assert_eq!([number(&source, "frames-skipped"), number(&source, "frames-dropped")], [4, 0]);
    // The end comes after the newest frame.
    assert!(harness.pull_until_eos().unwrap().is_none());
}

#[test]
// proves: L7
fn what_happens_when_the_publisher_goes_is_a_choice() {
    let _place = Place::enter();
    for policy in ["wait", "eos", "error"] {
        let service = service();
        let first = publisher(&service);
        let (mut harness, _source, bus, _) = receiving(&first, &format!("on-disconnect={policy}"));
        drop(first);
        match policy {
            "wait" => {
                // After 50 ms the source considers the publisher gone.
                thread::sleep(Duration::from_millis(100));
                let second = publisher(&service);
                publish(&second, 1);
                assert!(harness.pull().unwrap().flags().contains(gst::BufferFlags::DISCONT));
                assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
            }
            "eos" => assert!(harness.pull_until_eos().unwrap().is_none()),
            _ => assert!(message(&bus, gst::MessageType::Error).contains(&service)),
        }
    }
}

#[test]
fn a_property_chooses_whose_time_it_is() {
    let _place = Place::enter();
    for mode in ["converted", "original", "arrival"] {
        let publisher = publisher(&service());
        let subscriber = VideoFrameSubscriber::new(publisher.service()).unwrap();
        let (mut harness, source, _) = source(publisher.service(), &format!("timestamp-mode={mode}"));
        harness.use_systemclock();
        let base_time = monotonic_ns() - 1000 * MS;
        source.set_base_time(gst::ClockTime::from_nseconds(base_time));
        harness.play();
        let params = FrameParams { width: 40, height: 30, format: "GRAY8", pts: 100_000 * MS, ..Default::default() };
        publisher.publish_frame(&[0; SIZE], &params).unwrap();
        let due = receive(&subscriber).stamp().due.unwrap() - base_time;
        let pts = harness.pull().unwrap().pts().unwrap().nseconds();
        match mode {
            "converted" => assert_eq!(pts, due),
            "original" => assert_eq!(pts, 100_000 * MS),
            _ => assert!(due < pts && pts <= monotonic_ns() - base_time),
        }
    }
}
