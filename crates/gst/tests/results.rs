//! Results of detectors in `iceoryx2sink` and `iceoryx2src`, each alone in a harness; the other end is the SDK in the same process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_check::Harness;
use gst_plugin_iceoryx2_video as video;
use gst_video::VideoRegionOfInterestMeta;
use video::results::{ResultsName, ResultsPublisher, ResultsSubscriber};
use video::wire::result_payload::{ResultBox, Results};
use video::{AuxTemplate, CustomMeta, FrameParams, Stamp, Value, VideoFramePublisher, VideoFrameSubscriber, boot_id};

use harness::{change_state, element, message, properties_keep_their_defaults, wait_until};
use place::Place;

mod harness;
mod place;

const CAPS: &str = "video/x-raw,format=GRAY8,width=40,height=30,framerate=30/1";
const SIZE: usize = 40 * 30;
const LONG: Option<Duration> = Some(Duration::from_secs(30));
const HOUR: u64 = 3_600_000_000_000;

/// The name of a stream of one test.
fn stream() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("cam{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn service(stream: &str) -> String {
    format!("video/{stream}/frame/v2")
}

fn sink(stream: &str, properties: &str) -> (Harness, gst::Element, gst::Bus) {
    let (sink, bus) = element("iceoryx2sink", &format!("service={} {properties}", service(stream)));
    let mut harness = Harness::with_element(&sink, Some("sink"), None);
    harness.set_src_caps_str(CAPS);
    (harness, sink, bus)
}

fn source(stream: &str, properties: &str) -> (Harness, gst::Element) {
    let (source, _) = element("iceoryx2src", &format!("service={} {properties}", service(stream)));
    let mut harness = Harness::with_element(&source, None, Some("src"));
    harness.play();
    (harness, source)
}

fn publisher(stream: &str) -> VideoFramePublisher {
    VideoFramePublisher::new(&service(stream), SIZE).unwrap()
}

fn detector(stream: &str, name: &str) -> ResultsPublisher {
    ResultsPublisher::new(&ResultsName::new(stream, name).unwrap()).unwrap()
}

fn results_of(stream: &str, name: &str) -> ResultsSubscriber {
    ResultsSubscriber::new(&ResultsName::new(stream, name).unwrap()).unwrap()
}

/// Publishes a frame whose pixels and offset tell its number; returns its stamp.
fn publish(publisher: &VideoFramePublisher, number: u64) -> Stamp {
    let params = FrameParams { width: 40, height: 30, format: "GRAY8", offset: number, ..Default::default() };
    let sequence = publisher.turn().sequence();
    publisher.publish_frame(&[number as u8; SIZE], &params).unwrap();
    stamp(publisher, sequence)
}

fn stamp(publisher: &VideoFramePublisher, sequence: u64) -> Stamp {
    let publisher = Some(publisher.publisher_id());
    Stamp { boot_id: boot_id(), publisher, sequence: Some(sequence), capture: None, due: None }
}

/// One box whose label tells a number.
fn found(number: u64) -> Results {
    let mut results = Results::default();
    let label = Some(results.label(&number.to_string()));
    let track = Some(number);
    results.boxes.push(ResultBox { x: 4.0, y: 5.0, width: 6.0, height: 7.0, score: 0.5, label, track });
    results
}

type Region = (String, (u32, u32, u32, u32));

fn regions(buffer: &gst::BufferRef) -> Vec<Region> {
    let metas = buffer.iter_meta::<VideoRegionOfInterestMeta>();
    metas.map(|meta| (meta.roi_type().to_owned(), meta.rect())).collect()
}

fn region(number: u64) -> Region {
    (number.to_string(), (4, 5, 6, 7))
}

fn number(element: &gst::Element, property: &str) -> u64 {
    element.property(property)
}

fn counters(source: &gst::Element) -> [u64; 3] {
    ["results-joined", "results-missing", "results-late"].map(|name| number(source, name))
}

/// A buffer with a region of interest.
fn picture(label: &str) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(vec![1; SIZE]);
    VideoRegionOfInterestMeta::add(buffer.get_mut().unwrap(), label, (4, 5, 6, 7));
    buffer
}

#[test]
fn properties_are_readable_and_keep_their_defaults() {
    let _place = Place::enter();
    properties_keep_their_defaults("iceoryx2sink");
    properties_keep_their_defaults("iceoryx2src");
}

#[test]
fn regions_of_interest_cross_with_their_frame() {
    let _place = Place::enter();
    let name = stream();
    let (mut sink, ..) = sink(&name, "");
    sink.push(picture("cat")).unwrap();
    let (mut source, _) = source(&name, "");
    let buffer = source.pull().unwrap();
    assert_eq!(regions(&buffer), [("cat".to_owned(), (4, 5, 6, 7))]);
    let meta = buffer.meta::<VideoRegionOfInterestMeta>().unwrap();
    assert_eq!(meta.param("detection").unwrap().get::<f64>("confidence"), Ok(1.0));
}

#[test]
fn boxes_of_a_frame_of_another_size_are_left_out() {
    let _place = Place::enter();
    let name = stream();
    let publisher = publisher(&name);
    let (mut source, _) = source(&name, "");
    let caps = video::video_caps("GRAY8", 40, 30, None);
    let (mut header, size) =
        FrameParams { width: 40, height: 30, format: "GRAY8", ..Default::default() }.header().unwrap();
    for (found_in, expected) in [((40, 30), vec![region(7)]), ((80, 60), vec![]), ((0, 0), vec![])] {
        let records = [found(7).record(found_in).unwrap()];
        let template = AuxTemplate::new(&caps, publisher.publisher_id());
        let mut loan = publisher.loan(size + template.len_with(&records)).unwrap();
        let turn = publisher.turn();
        header.aux_size = template.write_into(&mut loan[size..], 1, 1, turn.sequence(), &records) as u32;
        turn.send(loan, &header).unwrap();
        assert_eq!(regions(&source.pull().unwrap()), expected, "{found_in:?}");
    }
}

#[test]
fn a_sink_publishes_the_boxes_of_each_frame_that_it_sends() {
    let _place = Place::enter();
    let name = stream();
    let (mut harness, sink, _) = sink(&name, "results-name=yolo");
    harness.push(picture("a")).unwrap();
    let results = results_of(&name, "yolo");
    let frames = VideoFrameSubscriber::new(&service(&name)).unwrap();
    for label in [Some("a"), Some("b"), None] {
        match label {
            Some("a") => {}
            Some(label) => harness.push(picture(label)).map(drop).unwrap(),
            None => harness.push(gst::Buffer::from_mut_slice(vec![1; SIZE])).map(drop).unwrap(),
        }
        let frame = frames.receive_timeout(LONG).unwrap().expect("a frame");
        let received = results.wait(LONG).unwrap().expect("results");
        assert_eq!((received.stamp, received.size), (*frame.stamp(), (40, 30)));
        let labels: Vec<_> =
            received.results.boxes.iter().map(|found| received.results.text(found.label).unwrap()).collect();
        assert_eq!(labels, Vec::from_iter(label));
    }
    assert_eq!([number(&sink, "results-sent"), number(&sink, "results-refused")], [3, 0]);
}

#[test]
fn a_sink_refuses_boxes_of_an_unknown_part_of_a_source_in_words() {
    let _place = Place::enter();
    let name = stream();
    let (mut harness, sink, bus) = sink(&name, "results-name=yolo results-for=elsewhere");
    harness.push(picture("a")).unwrap();
    harness.push(picture("b")).unwrap();
    let text = message(&bus, gst::MessageType::Warning);
    assert!(text.contains("video/elsewhere/results/yolo/v1") && text.contains("their place in a frame"), "{text}");
    assert_eq!(["frames-sent", "results-sent", "results-refused"].map(|name| number(&sink, name)), [2, 0, 2]);
    assert!(bus.pop_filtered(&[gst::MessageType::Warning]).is_none());
}

#[test]
fn boxes_behind_a_source_belong_to_the_frame_of_the_source() {
    let _place = Place::enter();
    let (name, behind) = (stream(), stream());
    let publisher = publisher(&name);
    let (mut source, _) = source(&name, "");
    let results = results_of(&name, "yolo");
    let (mut harness, ..) = sink(&behind, &format!("results-name=yolo results-for={name}"));
    for number in 0..3 {
        let stamp = publish(&publisher, number);
        let mut buffer = source.pull().unwrap();
        VideoRegionOfInterestMeta::add(buffer.make_mut(), &number.to_string(), (4, 5, 6, 7));
        harness.push(buffer).unwrap();
        let received = results.wait(LONG).unwrap().expect("results");
        assert_eq!((received.stamp.publisher, received.stamp.sequence), (stamp.publisher, stamp.sequence));
        assert_eq!(received.results.boxes[0].x, 4.0);
    }
    // A source of another name is named in the warning.
    let (mut harness, _, bus) = sink(&behind.replace("cam", "other"), "results-name=yolo results-for=elsewhere");
    publish(&publisher, 3);
    harness.push(source.pull().unwrap()).unwrap();
    let text = message(&bus, gst::MessageType::Warning);
    assert!(text.contains(&format!("set results-for={name}")), "{text}");
}

#[test]
fn results_are_attached_to_their_own_frame() {
    let _place = Place::enter();
    let name = stream();
    let (publisher, yolo) = (publisher(&name), detector(&name, "yolo"));
    let (mut harness, source) = source(&name, &format!("results=yolo results-wait={HOUR}"));
    // The results of a frame that never comes.
    yolo.publish(&stamp(&publisher, 1000), (40, 30), &found(1000)).unwrap();
    yolo.publish(&publish(&publisher, 0), (40, 30), &found(0)).unwrap();
    assert_eq!(regions(&harness.pull().unwrap()), [region(0)]);
    for first in [1, 3, 5] {
        let stamps = [publish(&publisher, first), publish(&publisher, first + 1)];
        for (number, stamp) in [(first + 1, &stamps[1]), (first, &stamps[0])] {
            yolo.publish(stamp, (40, 30), &found(number)).unwrap();
        }
        for number in [first, first + 1] {
            let buffer = harness.pull().unwrap();
            assert_eq!((buffer.offset(), regions(&buffer)), (number, vec![region(number)]));
        }
    }
    assert_eq!(counters(&source), [7, 0, 0]);
}

#[test]
fn results_of_several_detectors_are_attached_together() {
    let _place = Place::enter();
    let name = stream();
    let (publisher, yolo, pose) = (publisher(&name), detector(&name, "yolo"), detector(&name, "pose"));
    let full = format!("video/{name}/results/pose/v1");
    let (mut harness, source) = source(&name, &format!("results=yolo,{full} results-wait={HOUR}"));
    let stamp = publish(&publisher, 0);
    yolo.publish(&stamp, (40, 30), &found(1)).unwrap();
    pose.publish(&stamp, (40, 30), &found(2)).unwrap();
    assert_eq!(regions(&harness.pull().unwrap()), [region(1), region(2)]);
    assert_eq!(counters(&source), [1, 0, 0]);
}

#[test]
fn a_frame_waits_no_longer_than_it_may_and_late_results_are_counted() {
    let _place = Place::enter();
    let name = stream();
    let (publisher, yolo) = (publisher(&name), detector(&name, "yolo"));
    let (mut harness, source) = source(&name, "results=yolo results-wait=100000000");
    let mut stamps = Vec::new();
    for number in 0..3 {
        let start = Instant::now();
        stamps.push(publish(&publisher, number));
        let buffer = harness.pull().unwrap();
        assert_eq!((buffer.offset(), regions(&buffer)), (number, vec![]));
        assert!(start.elapsed() >= Duration::from_millis(100));
    }
    for (number, stamp) in stamps.iter().enumerate() {
        yolo.publish(stamp, (40, 30), &found(number as u64)).unwrap();
    }
    wait_until("the late results are counted", || counters(&source) == [0, 3, 3]);
    let stamp = publish(&publisher, 3);
    yolo.publish(&stamp, (40, 30), &found(3)).unwrap();
    assert_eq!(harness.pull().unwrap().offset(), 3);
}

#[test]
fn the_waits_of_frames_overlap() {
    let _place = Place::enter();
    let name = stream();
    let publisher = publisher(&name);
    let (mut harness, source) = source(&name, "results=dead results-wait=1500000000");
    publish(&publisher, 0);
    harness.pull().unwrap();
    let mut count = 1;
    let mut took = || {
        let start = Instant::now();
        let numbers = count..count + 6;
        for number in numbers.clone() {
            publish(&publisher, number);
        }
        for number in numbers {
            assert_eq!(harness.pull().unwrap().offset(), number);
        }
        count += 6;
        start.elapsed()
    };
    // One after the other, the frames would wait for 9 s. A pause of this process may be as long.
    assert!((0..10).any(|_| took() < Duration::from_secs(8)));
    assert_eq!(counters(&source), [0, count, 0]);
}

#[test]
fn results_of_another_size_publisher_or_boot_are_not_attached() {
    let _place = Place::enter();
    let name = stream();
    let (publisher, yolo) = (publisher(&name), detector(&name, "yolo"));
    let (mut harness, _source) = source(&name, "results=yolo results-wait=100000000");
    let next = stamp(&publisher, 0);
    yolo.publish(&next, (41, 30), &found(1)).unwrap();
    yolo.publish(&Stamp { publisher: Some(1), ..next }, (40, 30), &found(2)).unwrap();
    publish(&publisher, 0);
    assert_eq!(regions(&harness.pull().unwrap()), []);
}

#[test]
fn results_of_the_source_are_mapped_to_a_rendition() {
    let _place = Place::enter();
    let name = stream();
    let publisher = publisher(&name);
    let yolo = detector(&name, "yolo");
    let (mut harness, _source) = source(&name, &format!("results=yolo results-wait={HOUR}"));
    let text = |text: &str| Value::Str(text.into());
    let array = |numbers: &[i32]| Value::Array(numbers.iter().map(|&number| Value::Int(number)).collect());
    let fields = [
        ("service", text("video/whole/frame/v2")),
        ("boot-id", text(&format!("{:032x}", u128::from_be_bytes(boot_id())))),
        ("publisher", text("0000000000000005")),
        ("sequence", text("0000000000000009")),
        ("source-size", array(&[400, 200])),
        ("source-rect", array(&[0, 0, 400, 200])),
        ("rect", array(&[0, 5, 40, 20])),
    ];
    let meta =
        CustomMeta { name: "Iox2Rendition".into(), fields: fields.map(|(name, value)| (name.into(), value)).into() };
    let records = [meta.encode().unwrap()];
    let template = AuxTemplate::new(&video::video_caps("GRAY8", 40, 30, None), publisher.publisher_id());
    let params = FrameParams { width: 40, height: 30, format: "GRAY8", ..Default::default() };
    let (mut header, size) = params.header().unwrap();
    let mut loan = publisher.loan(size + template.len_with(&records)).unwrap();
    let turn = publisher.turn();
    header.aux_size = template.write_into(&mut loan[size..], 1, 1, turn.sequence(), &records) as u32;
    turn.send(loan, &header).unwrap();
    let mut results = found(3);
    (results.boxes[0].x, results.boxes[0].y) = (100.0, 50.0);
    (results.boxes[0].width, results.boxes[0].height) = (200.0, 100.0);
    let origin = Stamp { publisher: Some(5), sequence: Some(9), ..Stamp::default() };
    yolo.publish(&origin, (400, 200), &results).unwrap();
    assert_eq!(regions(&harness.pull().unwrap()), [("3".to_owned(), (10, 10, 20, 10))]);
}

#[test]
fn a_source_that_waits_for_results_can_be_stopped() {
    let _place = Place::enter();
    let name = stream();
    let publisher = publisher(&name);
    let (_harness, source) = source(&name, &format!("results=dead results-wait={HOUR}"));
    publish(&publisher, 0);
    wait_until("the source is connected", || publisher.num_subscribers() == 1);
    thread::sleep(Duration::from_millis(50));
    change_state(&source, gst::State::Null);
}

#[test]
fn a_detector_name_that_cannot_be_is_an_error() {
    let _place = Place::enter();
    let (source, bus) = element("iceoryx2src", "service=video/cam/frame/v2 results=a/b");
    assert!(source.set_state(gst::State::Paused).is_err());
    assert!(message(&bus, gst::MessageType::Error).contains("video/cam0/results/yolo/v1"));
    source.set_state(gst::State::Null).unwrap();
}

#[test]
fn no_results_are_on_a_wrong_frame() {
    let _place = Place::enter();
    let name = stream();
    let publisher = publisher(&name);
    let (mut harness, source) = source(&name, "results=yolo results-wait=5000000");
    let (stamps, queue) = std::sync::mpsc::channel::<(u64, Stamp)>();
    let detecting = {
        let name = name.clone();
        thread::spawn(move || {
            let mut yolo = detector(&name, "yolo");
            for (number, stamp) in queue {
                // Too slow for each fifth frame, and restarted after others.
                thread::sleep(Duration::from_millis(if number % 5 == 4 { 8 } else { 0 }));
                if number % 500 == 499 {
                    drop(yolo);
                    yolo = detector(&name, "yolo");
                }
                yolo.publish(&stamp, (40, 30), &found(number)).unwrap();
            }
        })
    };
    const FRAMES: u64 = 1500;
    let mut with_results = 0;
    for number in 0..FRAMES {
        stamps.send((number, publish(&publisher, number))).unwrap();
        let buffer = harness.pull().unwrap();
        assert_eq!(buffer.map_readable().unwrap()[0], number as u8);
        let regions = regions(&buffer);
        assert!(regions.is_empty() || regions == [region(buffer.offset())], "{}: {regions:?}", buffer.offset());
        with_results += u64::from(!regions.is_empty());
    }
    drop(stamps);
    detecting.join().unwrap();
    let [joined, missing, _] = counters(&source);
    assert!(joined > 0 && missing > 0, "{joined} frames with results, {missing} without");
    assert_eq!((joined, joined + missing), (with_results, FRAMES));
}
