//! A writer and followers with real segments and semaphores.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gst_plugin_iceoryx2_shmdata::{Delivery, Error, Event, Follower, Frame, Wakeup, Writer, WriterOptions};

const LIMIT: Duration = Duration::from_secs(60);
const TIMEOUT: Option<Duration> = Some(LIMIT);

/// The path of one test. Its socket must be gone in the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("shm{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    fn writer(&self) -> Writer {
        self.writer_with_timeout(LIMIT)
    }

    fn writer_with_timeout(&self, reader_timeout: Duration) -> Writer {
        let options = WriterOptions { reader_timeout, ..WriterOptions::default() };
        Writer::new(&self.0, "video/x-raw, format=(string)RGBA", options).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        assert!(thread::panicking() || !self.0.exists(), "the socket was left behind");
    }
}

fn write(writer: &mut Writer, frame: &[u8]) -> usize {
    match writer.write(frame, Wakeup::NEVER).unwrap() {
        Delivery::Sent(readers) => readers,
        Delivery::Interrupted => panic!("interrupted without a wake-up"),
    }
}

fn connect(follower: &mut Follower) -> String {
    match follower.next(TIMEOUT, Wakeup::NEVER).unwrap() {
        Event::Connected(type_text) => type_text,
        other => panic!("{other:?}"),
    }
}

fn frame(follower: &mut Follower) -> Frame {
    match follower.next(TIMEOUT, Wakeup::NEVER).unwrap() {
        Event::Frame(frame) => frame,
        other => panic!("{other:?}"),
    }
}

fn wait_for_clients(writer: &Writer, count: usize) {
    let deadline = Instant::now() + LIMIT;
    while writer.clients() != count {
        assert!(Instant::now() < deadline, "{} clients instead of {count}", writer.clients());
        thread::sleep(Duration::from_millis(1));
    }
}

/// Regression: a reader that was stopped while it connected left the greeting unread. A writer of Shmdata 1.3.77 never recovers
/// from that.
#[test]
fn a_wake_up_does_not_end_the_wait_for_the_greeting() {
    let place = Place::new();
    let _writer = place.writer();
    let looks = AtomicUsize::new(0);
    let is_set = || looks.fetch_add(1, Ordering::Relaxed) > 0;
    let mut follower = Follower::new(&place.0);
    let wakeup = Wakeup { descriptor: -1, is_set: &is_set };
    assert!(matches!(follower.next(TIMEOUT, wakeup).unwrap(), Event::Connected(_)));
    assert!(matches!(follower.next(TIMEOUT, wakeup).unwrap(), Event::Interrupted));
}

#[test]
fn every_frame_arrives_once_and_in_order() {
    let place = Place::new();
    let mut writer = place.writer();
    let path = place.0.clone();
    let reader = thread::spawn(move || {
        let mut follower = Follower::new(path);
        assert_eq!(connect(&mut follower), "video/x-raw, format=(string)RGBA");
        (0..200u8).all(|number| frame(&mut follower).bytes() == vec![number; 5000])
    });
    wait_for_clients(&writer, 1);
    for number in 0..200 {
        assert_eq!(write(&mut writer, &[number; 5000]), 1);
    }
    assert!(reader.join().unwrap());
    assert_eq!(writer.evictions(), 0);
}

#[test]
fn growing_frames_arrive_whole() {
    let place = Place::new();
    let mut writer = place.writer();
    let path = place.0.clone();
    let sizes = [10usize, 10, 4097, 100, 70_000, 70_000, 1];
    let reader = thread::spawn(move || {
        let mut follower = Follower::new(path);
        connect(&mut follower);
        sizes.map(|_| frame(&mut follower).bytes().to_vec())
    });
    wait_for_clients(&writer, 1);
    for (number, size) in sizes.into_iter().enumerate() {
        write(&mut writer, &vec![number as u8; size]);
    }
    for (number, (bytes, size)) in reader.join().unwrap().into_iter().zip(sizes).enumerate() {
        assert_eq!(bytes, vec![number as u8; size]);
    }
}

#[test]
fn a_frame_that_is_held_keeps_its_bytes_and_its_address_while_the_stream_goes_on() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut follower = Follower::new(&place.0);
    connect(&mut follower);
    wait_for_clients(&writer, 1);
    let mut held = Vec::new();
    for number in 0..10u8 {
        assert_eq!(write(&mut writer, &[number; 10_000]), 1);
        let frame = frame(&mut follower);
        let address = frame.bytes().as_ptr();
        assert!(!frame.is_copied());
        held.push((frame, address));
        follower.let_go();
    }
    for (number, (frame, address)) in held.iter().enumerate() {
        assert!(frame.is_copied(), "{number} {frame:?}");
        assert_eq!(frame.bytes().as_ptr(), *address, "{number}");
        assert_eq!(frame.bytes(), vec![number as u8; 10_000]);
    }
    assert_eq!(writer.evictions(), 0);
    drop(writer);
    assert_eq!(held[9].0.bytes()[9_999], 9);
}

#[test]
fn a_reader_that_never_drops_its_frame_does_not_stop_the_writer() {
    let place = Place::new();
    let mut writer = place.writer_with_timeout(Duration::from_millis(100));
    let mut follower = Follower::new(&place.0);
    connect(&mut follower);
    wait_for_clients(&writer, 1);
    write(&mut writer, &[1; 100]);
    let held = frame(&mut follower);
    write(&mut writer, &[2; 100]);
    assert_eq!((held.bytes(), writer.evictions()), (&[1; 100][..], 1));
    drop(held);
    // The follower is disconnected and connects again.
    assert!(matches!(follower.next(TIMEOUT, Wakeup::NEVER).unwrap(), Event::Disconnected));
    connect(&mut follower);
    wait_for_clients(&writer, 1);
    write(&mut writer, &[3; 100]);
    assert_eq!(frame(&mut follower).bytes(), [3; 100]);
}

#[test]
fn a_frame_is_rendered_into_the_lent_segment_and_sent_without_a_copy() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut follower = Follower::new(&place.0);
    connect(&mut follower);
    wait_for_clients(&writer, 1);
    for number in 1..=3 {
        let mut lent = writer.lend(5000, Wakeup::NEVER).unwrap().expect("the segment is not lent");
        assert!(writer.lend(5000, Wakeup::NEVER).unwrap().is_none(), "it was lent twice");
        lent.as_mut().fill(number);
        assert_eq!(writer.send_lent(lent.as_mut()).unwrap(), Some(Delivery::Sent(1)));
        drop(lent);
        assert_eq!(frame(&mut follower).bytes(), [number; 5000]);
    }
    // Dropped without being sent.
    drop(writer.lend(5000, Wakeup::NEVER).unwrap());
    assert_eq!(write(&mut writer, b"next"), 1);
    assert_eq!(frame(&mut follower).bytes(), b"next");
}

#[test]
// proves: S9
fn a_frame_that_comes_before_the_one_in_the_lent_segment_has_a_segment_of_its_own() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut follower = Follower::new(&place.0);
    connect(&mut follower);
    wait_for_clients(&writer, 1);
    let mut lent = writer.lend(5000, Wakeup::NEVER).unwrap().expect("the segment is not lent");
    lent.as_mut().fill(2);
    let reading = thread::spawn(move || {
        assert!(matches!(follower.next(TIMEOUT, Wakeup::NEVER), Ok(Event::Disconnected)));
        connect(&mut follower);
        let frames = [frame(&mut follower).bytes().to_vec(), frame(&mut follower).bytes().to_vec()];
        (follower, frames)
    });
    assert_eq!(write(&mut writer, &[1; 5000]), 1);
    assert_eq!(lent.as_mut(), [2; 5000], "it was written to while it was lent");
    // Readers do not look there any more.
    assert_eq!(writer.send_lent(lent.as_mut()).unwrap(), None);
    assert_eq!(write(&mut writer, lent.as_mut()), 1);
    let (_follower, frames) = reading.join().unwrap();
    assert_eq!(frames, [vec![1; 5000], vec![2; 5000]]);
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing_although_its_segment_is_lent() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut lent = writer.lend(5000, Wakeup::NEVER).unwrap().expect("the segment is not lent");
    drop(writer);
    lent.as_mut().fill(1);
    let mut writer = place.writer();
    assert_eq!(write(&mut writer, b"another"), 0);
    assert_eq!(lent.as_mut(), [1; 5000]);
}

#[test]
fn a_follower_starts_first_and_survives_its_writer() {
    let place = Place::new();
    let mut follower = Follower::new(&place.0);
    assert!(matches!(follower.next(Some(Duration::ZERO), Wakeup::NEVER).unwrap(), Event::TimedOut));
    for round in 0..3u8 {
        let mut writer = place.writer();
        connect(&mut follower);
        wait_for_clients(&writer, 1);
        write(&mut writer, &[round; 64]);
        assert_eq!(frame(&mut follower).bytes(), [round; 64]);
        drop(writer);
        assert!(matches!(follower.next(TIMEOUT, Wakeup::NEVER).unwrap(), Event::Disconnected));
    }
}

#[test]
fn the_last_frame_is_read_after_the_writer_is_dropped() {
    let mut rounds = 0;
    for _ in 0..20 {
        let place = Place::new();
        let mut writer = place.writer();
        let path = place.0.clone();
        let reader = thread::spawn(move || {
            let mut follower = Follower::new(path);
            connect(&mut follower);
            match follower.next(TIMEOUT, Wakeup::NEVER).unwrap() {
                Event::Frame(frame) => Some(frame.bytes().to_vec()),
                _ => None,
            }
        });
        wait_for_clients(&writer, 1);
        write(&mut writer, &[7; 100]);
        let start = Instant::now();
        drop(writer);
        // The writer waits at most 0.2 s for its readers. On a busy machine a reader may be later.
        let has_waited = start.elapsed() >= Duration::from_millis(200);
        let last = reader.join().unwrap();
        if !has_waited {
            rounds += 1;
            assert_eq!(last, Some(vec![7; 100]));
        }
    }
    assert!(rounds > 0);
}

#[test]
fn a_live_writer_is_not_disturbed_by_a_second_one() {
    let place = Place::new();
    let mut writer = place.writer();
    let mut follower = Follower::new(&place.0);
    connect(&mut follower);
    wait_for_clients(&writer, 1);
    let second = Writer::new(&place.0, "x", WriterOptions::default());
    assert!(matches!(second, Err(Error::WriterIsAlive { .. })));
    wait_for_clients(&writer, 1);
    assert_eq!(write(&mut writer, &[1; 10]), 1);
    assert_eq!(frame(&mut follower).bytes(), [1; 10]);
}

#[test]
fn paths_that_cannot_be_used_are_refused_with_the_reason() {
    let refused = |path: &std::path::Path| Writer::new(path, "x", WriterOptions::default()).err().unwrap().to_string();
    let long = std::env::temp_dir().join("x".repeat(200));
    assert!(refused(&long).contains("a socket path can have at most 107"));
    assert!(refused(&std::env::temp_dir()).contains("is a folder, not a socket"));
    let file = std::env::temp_dir().join(format!("shmfile{}", std::process::id()));
    std::fs::write(&file, "precious").unwrap();
    assert!(refused(&file).contains("is a file, not a socket"));
    let error = Follower::new(&file).next(Some(Duration::ZERO), Wakeup::NEVER).unwrap_err();
    assert!(error.to_string().contains("is a file, not a socket"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    std::fs::remove_file(file).unwrap();
}
