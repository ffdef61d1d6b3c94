//! `sh4ltsink` and `sh4ltsrc`, each alone in a harness; the other end is the protocol's crate in the same process.
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use gst::prelude::*;
use gst_check::Harness;
use gst_plugin_iceoryx2_shmdata::{Event, Follower, Frame, Wakeup, Writer, WriterOptions};

use harness::{LIMIT, change_state, element, message, properties_keep_their_defaults, wait_until};

mod harness;

const GRAY: &str = "video/x-raw,format=GRAY8,width=40,height=30,framerate=30/1";
const SIZE: usize = 40 * 30;

/// The path of one test. Nothing may be left there.
struct Socket(PathBuf);

impl Socket {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("/dev/shm/sh4lt_harness{}_{number}", std::process::id()).into())
    }

    fn property(&self) -> String {
        format!("socket-path={}", self.0.display())
    }

    fn writer(&self, type_text: &str) -> Writer {
        Writer::new(&self.0, type_text, WriterOptions::default()).unwrap()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        assert!(thread::panicking() || !self.0.exists(), "the socket was left behind");
    }
}

/// A wait that only its timeout ends.
fn uninterrupted() -> Wakeup<'static> {
    Wakeup { descriptor: -1, is_set: &|| false }
}

fn sink(socket: &Socket, properties: &str) -> (Harness, gst::Element, gst::Bus) {
    let (sink, bus) = element("sh4ltsink", &format!("{} {properties}", socket.property()));
    let mut harness = Harness::with_element(&sink, Some("sink"), None);
    harness.set_src_caps_str(GRAY);
    (harness, sink, bus)
}

/// A source that plays and is connected to its writer.
fn source(socket: &Socket, writer: &Writer, properties: &str) -> (Harness, gst::Element, gst::Bus) {
    let (source, bus) = element("sh4ltsrc", &format!("{} {properties}", socket.property()));
    let mut harness = Harness::with_element(&source, None, Some("src"));
    harness.play();
    wait_until("connected", || writer.clients() == 1);
    (harness, source, bus)
}

fn next(follower: &mut Follower) -> Event {
    match follower.next(Some(LIMIT.into()), uninterrupted()).unwrap() {
        Event::TimedOut => panic!("nothing happens within the limit"),
        event => event,
    }
}

/// A follower that the sink counts as a client, and the type text that it was told.
fn connected(socket: &Socket, sink: &gst::Element) -> (Follower, String) {
    let mut follower = Follower::new(&socket.0);
    let event = next(&mut follower);
    let Event::Connected(type_text) = event else { panic!("{event:?}") };
    wait_until("counted", || sink.property::<u32>("num-clients") == 1);
    (follower, type_text)
}

fn frame(follower: &mut Follower) -> Frame {
    match next(follower) {
        Event::Frame(frame) => frame,
        other => panic!("{other:?}"),
    }
}

fn picture(number: u8) -> gst::Buffer {
    gst::Buffer::from_mut_slice(vec![number; SIZE])
}

#[test]
fn properties_are_readable_and_keep_their_defaults() {
    properties_keep_their_defaults("sh4ltsink");
    properties_keep_their_defaults("sh4ltsrc");
}

#[test]
fn an_element_without_an_address_names_the_properties() {
    for factory in ["sh4ltsink", "sh4ltsrc"] {
        let (element, bus) = element(factory, "");
        assert!(element.set_state(gst::State::Paused).is_err());
        let error = message(&bus, gst::MessageType::Error);
        assert!(error.contains("socket-path") && error.contains("label"), "{error}");
        element.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn a_sink_prefers_the_formats_of_score_and_takes_everything() {
    let (sink, _) = element("sh4ltsink", "");
    let pad = sink.static_pad("sink").unwrap();
    assert!(pad.query_caps(None).is_any());
    let offered: gst::Caps = "video/x-raw,format={NV12,GRAY8,RGBA}; audio/x-raw".parse().unwrap();
    let caps = pad.query_caps(Some(&offered));
    assert_eq!(caps.structure(0).unwrap().get::<&str>("format"), Ok("RGBA"));
    assert!(offered.is_subset(&caps));
}

#[test]
fn a_sink_tells_its_caps_with_extra_fields_and_a_framerate() {
    let socket = Socket::new();
    let (mut harness, sink, bus) = sink(&socket, "extra-caps-properties=stage=left");
    harness.set_src_caps_str("video/x-raw,format=GRAY8,width=40,height=30,framerate=0/1");
    let (_follower, type_text) = connected(&socket, &sink);
    assert_eq!(sink.property::<Option<String>>("caps"), Some(type_text.clone()));
    assert!(type_text.contains("stage=(string)left"), "{type_text}");
    assert!(type_text.contains("framerate=(fraction)30/1"), "{type_text}");
    assert!(bus.pop_filtered(&[gst::MessageType::Warning]).is_none());
}

#[test]
fn extra_fields_that_are_no_caps_cost_a_warning_only() {
    let socket = Socket::new();
    let (mut harness, _sink, bus) = sink(&socket, "extra-caps-properties=]]");
    let warning = message(&bus, gst::MessageType::Warning);
    assert!(warning.contains("extra-caps-properties"), "{warning}");
    harness.push(picture(0)).unwrap();
}

#[test]
fn a_sink_counts_frames_readers_and_traffic() {
    let socket = Socket::new();
    let (mut harness, sink, _) = sink(&socket, "");
    let (told, heard) = std::sync::mpsc::channel();
    for signal in ["client-connected", "client-disconnected"] {
        let told = told.clone();
        sink.connect(signal, false, move |values| {
            let sink = values[0].get::<gst::Element>().unwrap();
            told.send((signal, sink.property::<u32>("num-clients"))).unwrap();
            None
        });
    }
    let (mut follower, _) = connected(&socket, &sink);
    assert_eq!(heard.recv_timeout(LIMIT.into()).unwrap(), ("client-connected", 1));
    for number in 0..3 {
        harness.push(picture(number)).unwrap();
        assert_eq!(frame(&mut follower).bytes(), [number; SIZE]);
    }
    assert_eq!(sink.property::<u64>("frames-copied") + sink.property::<u64>("frames-zero-copy"), 3);
    assert_eq!(sink.property::<u64>("bytes"), 3 * SIZE as u64);
    assert_eq!(sink.property::<u64>("bytes"), 0);
    assert_eq!(sink.property::<u64>("buffers"), 3);
    assert_eq!(sink.property::<u64>("buffers"), 0);
    drop(follower);
    assert_eq!(heard.recv_timeout(LIMIT.into()).unwrap(), ("client-disconnected", 0));
    assert_eq!(sink.property::<u64>("evictions"), 0);
}

#[test]
fn rows_travel_in_gstreamers_default_layout() {
    let socket = Socket::new();
    let (mut harness, sink, _) = sink(&socket, "");
    let (mut follower, _) = connected(&socket, &sink);
    let mut padded = gst::Buffer::from_mut_slice([[7; 40].as_slice(), &[0xEE; 24]].concat().repeat(30));
    let flags = gst_video::VideoFrameFlags::empty();
    let format = gst_video::VideoFormat::Gray8;
    gst_video::VideoMeta::add_full(padded.get_mut().unwrap(), flags, format, 40, 30, &[0], &[64]).unwrap();
    harness.push(padded).unwrap();
    assert_eq!(frame(&mut follower).bytes(), [7; SIZE]);
    // Rows of 41 bytes become rows of 44.
    harness.set_src_caps_str("video/x-raw,format=GRAY8,width=41,height=30,framerate=30/1");
    let (mut follower, _) = connected(&socket, &sink);
    harness.push(gst::Buffer::from_mut_slice(vec![8; 41 * 30])).unwrap();
    let frame = frame(&mut follower);
    assert_eq!(frame.bytes().len(), 44 * 30);
    assert!(frame.bytes().chunks(44).all(|row| row[..41] == [8; 41]));
}

#[test]
fn new_caps_are_a_new_writer_and_the_end_closes_it() {
    let socket = Socket::new();
    let (mut harness, sink, bus) = sink(&socket, "");
    let (mut follower, type_text) = connected(&socket, &sink);
    assert!(type_text.contains("width=(int)40"), "{type_text}");
    let following = thread::spawn(move || {
        assert!(matches!(next(&mut follower), Event::Disconnected));
        (next(&mut follower), follower)
    });
    harness.set_src_caps_str("video/x-raw,format=GRAY8,width=20,height=60,framerate=30/1");
    let (event, mut follower) = following.join().unwrap();
    assert!(matches!(&event, Event::Connected(text) if text.contains("width=(int)20")), "{event:?}");
    harness.push(picture(5)).unwrap();
    assert_eq!(frame(&mut follower).bytes(), [5; SIZE]);
    assert!(harness.push_event(gst::event::Eos::new()));
    message(&bus, gst::MessageType::Eos);
    drop(harness);
    assert!(matches!(next(&mut follower), Event::Disconnected));
}

#[test]
fn a_sink_that_waits_for_a_reader_stops_when_it_is_told_to() {
    let socket = Socket::new();
    let (mut harness, sink, _) = sink(&socket, "reader-timeout=3600000000000");
    let (mut follower, _) = connected(&socket, &sink);
    harness.push(picture(0)).unwrap();
    let held = frame(&mut follower);
    let pushing = thread::spawn(move || harness.push(picture(1)));
    change_state(&sink, gst::State::Null);
    assert_eq!(pushing.join().unwrap(), Err(gst::FlowError::Flushing));
    assert_eq!(held.bytes(), [0; SIZE]);
}

#[test]
fn a_source_is_live_and_hands_on_caps_and_frames() {
    let socket = Socket::new();
    let mut writer = socket.writer(GRAY);
    let (mut harness, source, _) = source(&socket, &writer, "");
    wait_until("told", || source.property::<bool>("connected"));
    assert_eq!(source.property::<Option<String>>("caps").as_deref(), Some(GRAY));
    writer.write(&[3; SIZE], uninterrupted()).unwrap();
    let buffer = harness.pull().unwrap();
    assert_eq!(buffer.map_readable().unwrap()[..], [3; SIZE]);
    assert!(buffer.pts().is_some());
    let events: Vec<_> = std::iter::from_fn(|| harness.try_pull_event()).map(|event| event.type_()).collect();
    assert_eq!(events, [gst::EventType::StreamStart, gst::EventType::Caps, gst::EventType::Segment]);
    assert_eq!(harness.query_latency(), Some(gst::ClockTime::ZERO));
    let mut query = gst::query::Latency::new();
    assert!(source.query(&mut query) && query.result().0);
    assert_eq!([source.property::<u64>("bytes"), source.property::<u64>("buffers")], [SIZE as u64, 1]);
}

#[test]
fn a_source_starts_and_stops_in_any_order_and_leaves_the_writer_in_a_pause() {
    use gst::State::{Null, Paused, Playing, Ready};
    let socket = Socket::new();
    let (source, _) = element("sh4ltsrc", &socket.property());
    let mut harness = Harness::with_element(&source, None, Some("src"));
    assert_eq!(source.set_state(Paused), Ok(gst::StateChangeSuccess::NoPreroll));
    for state in [Playing, Paused, Playing, Ready, Playing, Null, Playing] {
        change_state(&source, state);
    }
    let mut writer = socket.writer(GRAY);
    for number in 0..3 {
        wait_until("connected", || writer.clients() == 1);
        writer.write(&[number; SIZE], uninterrupted()).unwrap();
        assert_eq!(harness.pull().unwrap().map_readable().unwrap()[..], [number; SIZE]);
        change_state(&source, Paused);
        wait_until("the reader has left", || writer.clients() == 0);
        change_state(&source, Playing);
    }
    change_state(&source, Null);
}

#[test]
fn a_source_leaves_the_writer_at_the_end_of_its_stream() {
    let socket = Socket::new();
    let mut writer = socket.writer(GRAY);
    let (mut harness, source, _) = source(&socket, &writer, "");
    source.send_event(gst::event::Eos::new());
    // The base class sends the end in place of the next frame.
    writer.write(&[0; SIZE], uninterrupted()).unwrap();
    let _ = harness.pull_until_eos();
    wait_until("the reader has left", || writer.clients() == 0);
    assert!(!source.property::<bool>("connected"));
}

#[test]
fn a_source_warns_once_that_frames_are_shorter_than_their_caps_say() {
    let socket = Socket::new();
    let mut writer = socket.writer(GRAY);
    let (mut harness, _source, bus) = source(&socket, &writer, "");
    for size in [SIZE - 1, 1, SIZE] {
        writer.write(&vec![1; size], uninterrupted()).unwrap();
    }
    assert_eq!(harness.pull().unwrap().size(), SIZE);
    let warning = message(&bus, gst::MessageType::Warning);
    for word in ["1199", "1200"] {
        assert!(warning.contains(word), "{warning}");
    }
    assert!(bus.pop_filtered(&[gst::MessageType::Warning]).is_none());
}

#[test]
fn a_type_text_that_is_no_caps_gives_buffers_without_caps() {
    let socket = Socket::new();
    let mut writer = socket.writer("something else");
    let (mut harness, source, _) = source(&socket, &writer, "copy-buffers=true");
    writer.write(&[1; 5], uninterrupted()).unwrap();
    assert_eq!(harness.pull().unwrap().size(), 5);
    assert!(source.static_pad("src").unwrap().current_caps().is_none());
}
