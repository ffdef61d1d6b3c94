//! Publishers and subscribers over real shared memory, each test in a domain of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use iceoryx2::prelude::PortFactory;

use gst_plugin_iceoryx2_video::{
    Domain, Error, FrameParams, Interrupt, Iox2Node, PublisherBuilder, Qos, Requirements, VideoFrame, VideoFrameHeader,
    VideoFramePublisher, VideoFrameSubscriber, Waiting, create_listener, create_node_in, create_notifier,
    open_video_service,
};

const LIMIT: Duration = Duration::from_secs(60);
const BLOCK_MS: Option<u64> = Some(60_000);

/// The domain of one test, whose files are removed at its end.
struct Place(Domain, String);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = format!("/tmp/iox2t{}_{number}", std::process::id());
        let domain = Domain::at(&root, &format!("t{}_{number}_", std::process::id())).unwrap();
        Self(domain, root)
    }

    fn node(&self) -> Iox2Node {
        create_node_in(&self.0).unwrap()
    }

    fn publisher(&self, service: &str) -> PublisherBuilder {
        VideoFramePublisher::builder(service).node(self.node())
    }

    fn subscriber(&self, service: &str) -> VideoFrameSubscriber {
        VideoFrameSubscriber::with_node(self.node(), service).unwrap()
    }

    fn shared_memory(&self) -> Vec<String> {
        let prefix = self.0.prefix();
        let names =
            std::fs::read_dir("/dev/shm").unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(&prefix) && !name.ends_with(".global_mgmt")).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.shared_memory();
        let prefix = self.0.prefix();
        for entry in std::fs::read_dir("/dev/shm").unwrap().flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        let _ = std::fs::remove_dir_all(&self.1);
        if !std::thread::panicking() {
            assert!(left.is_empty(), "shared memory left behind: {left:?}");
        }
    }
}

fn params(width: u32, height: u32) -> FrameParams<'static> {
    FrameParams { width, height, ..FrameParams::default() }
}

/// A picture whose neighbouring bytes and rows differ.
fn picture(width: u32, height: u32, number: u8) -> Vec<u8> {
    (0..width * height * 3).map(|i| (i % 251) as u8 ^ number).collect()
}

fn next(subscriber: &VideoFrameSubscriber) -> VideoFrame {
    subscriber.receive_blocking(BLOCK_MS).unwrap().expect("a frame within a minute")
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_frame_outlives_its_subscriber_and_its_publisher() {
    let place = Place::new();
    let publisher = place.publisher("video/a").build().unwrap();
    let subscriber = place.subscriber("video/a");
    publisher.publish_frame(&picture(64, 48, 1), &params(64, 48)).unwrap();
    let frame = next(&subscriber);
    drop((subscriber, publisher));
    let other = place.publisher("video/a").build().unwrap();
    for number in 2..30 {
        other.publish_frame(&picture(64, 48, number), &params(64, 48)).unwrap();
    }
    assert_eq!(frame.pixels(), picture(64, 48, 1));
}

/// When a subscriber's port is removed, iceoryx2 returns all its frames to the publisher.
#[test]
fn a_frame_that_outlives_its_subscriber_does_not_change() {
    let place = Place::new();
    let publisher = place.publisher("video/a").build().unwrap();
    let subscriber = place.subscriber("video/a");
    publisher.publish_frame(&picture(64, 48, 1), &params(64, 48)).unwrap();
    let frame = next(&subscriber);
    drop(subscriber);
    for number in 2..60 {
        publisher.publish_frame(&picture(64, 48, number), &params(64, 48)).unwrap();
    }
    assert_eq!(frame.pixels(), picture(64, 48, 1));
    drop(frame);
    wait_until("the port is removed with the frame", || publisher.num_subscribers() == 0);
}

#[test]
fn a_lossless_publisher_does_not_wait_for_a_closed_subscriber_with_a_held_frame() {
    let place = Place::new();
    let publisher = place.publisher("video/a").lossless(Interrupt::new().unwrap()).build().unwrap();
    let subscriber = place.subscriber("video/a");
    publisher.publish_frame(&picture(8, 8, 1), &params(8, 8)).unwrap();
    let frame = next(&subscriber);
    drop(subscriber);
    for number in 2..60 {
        publisher.publish_frame(&picture(8, 8, number), &params(8, 8)).unwrap();
    }
    assert_eq!(frame.pixels(), picture(8, 8, 1));
    drop((frame, publisher));
    wait_until("the port is removed with the frame", || place.shared_memory().is_empty());
}

/// iceoryx2 0.10.0 panics if a growing pool with fewer chunks than the worst case has twice as many in use.
#[test]
fn subscribers_that_hold_all_they_may_disturb_neither_the_publisher_nor_each_other() {
    let place = Place::new();
    let publisher = place.publisher("video/a").build().unwrap();
    let subscribers: Vec<_> = (0..8).map(|_| place.subscriber("video/a")).collect();
    let mut held: Vec<Vec<VideoFrame>> = (0..7).map(|_| Vec::new()).collect();
    for number in 0..40 {
        let pixels = picture(64, 64, number);
        publisher.publish_frame(&pixels, &params(64, 64)).unwrap();
        // The last one is quick. Each other one starts at another time, and stops when its buffer is full and it holds all it may.
        assert_eq!(next(&subscribers[7]).pixels(), pixels);
        for (index, held) in held.iter_mut().enumerate() {
            if number as usize >= 3 * index && held.len() < 10 {
                held.push(next(&subscribers[index]));
            }
        }
    }
    assert_eq!(subscribers[7].stats().dropped, Some(0));
    assert!(held.iter().all(|held| held.len() == 10));
}

#[test]
fn one_subscriber_that_holds_all_it_may_does_not_disturb_another() {
    let place = Place::new();
    let publisher = place.publisher("video/a").buffer_size(30).borrowed_max(30).build().unwrap();
    let (slow, quick) = (place.subscriber("video/a"), place.subscriber("video/a"));
    let mut held = Vec::new();
    for number in 0..80 {
        publisher.publish_frame(&picture(8, 8, number), &params(8, 8)).unwrap();
        assert_eq!(next(&quick).pixels(), picture(8, 8, number));
        if held.len() < 30 {
            held.push(next(&slow));
        }
    }
    assert_eq!(quick.stats().dropped, Some(0));
}

#[test]
fn a_frame_that_finds_no_free_memory_is_an_error_until_one_is_released() {
    let place = Place::new();
    let publisher = place.publisher("video/a").max_loans(1).max_frames(3).build().unwrap();
    let subscriber = place.subscriber("video/a");
    let publish = |number| publisher.publish_frame(&picture(8, 8, number), &params(8, 8));
    let mut held = Vec::new();
    let refused = (0..5).find_map(|number| {
        let result = publish(number);
        if result.is_ok() {
            held.push(next(&subscriber));
        }
        result.err()
    });
    assert!(matches!(refused, Some(Error::OutOfFrames { chunks: 3, is_memory_full: false, .. })), "{refused:?}");
    held.clear();
    publish(9).unwrap();
}

/// The frames have one service, the wake-ups another service with the same name. A crash can leave either of them half created.
#[test]
fn the_error_for_a_half_created_event_service_names_its_file() {
    let place = Place::new();
    let publisher = place.publisher("video/a").build().unwrap();
    let descriptions = || std::fs::read_dir(place.0.service_dir()).unwrap().flatten().map(|entry| entry.path());
    let is_events = |path: &PathBuf| std::fs::read_to_string(path).unwrap().contains("notifier");
    let events = descriptions().find(is_events).unwrap();
    drop(publisher);
    std::fs::write(&events, "").unwrap();
    let error = place.publisher("video/a").build().err().unwrap();
    assert!(matches!(error, Error::Broken { .. }) && error.to_string().contains(events.to_str().unwrap()), "{error}");
}

#[test]
fn a_loan_from_before_the_memory_grew_can_still_be_sent() {
    let place = Place::new();
    let publisher = place.publisher("video/a").max_bytes(30).build().unwrap();
    let subscriber = place.subscriber("video/a");
    let (header, size) = params(2, 5).header().unwrap();
    let mut early = publisher.loan(size).unwrap();
    early.copy_from_slice(&picture(2, 5, 9));
    publisher.publish_frame(&picture(200, 100, 1), &params(200, 100)).unwrap();
    publisher.turn().send(early, &header).unwrap();
    assert_eq!(next(&subscriber).pixels(), picture(200, 100, 1));
    assert_eq!(next(&subscriber).pixels(), picture(2, 5, 9));
}

/// A sink may be restarted while an upstream element renders into a loan.
#[test]
fn a_loan_of_a_closed_publisher_can_be_sent_by_its_successor() {
    let place = Place::new();
    let (header, size) = params(2, 5).header().unwrap();
    let first = place.publisher("video/a").max_bytes(30).build().unwrap();
    let mut loan = first.loan(size).unwrap();
    loan.copy_from_slice(&picture(2, 5, 9));
    drop(first);
    let second = place.publisher("video/a").max_bytes(30).build().unwrap();
    let subscriber = place.subscriber("video/a");
    second.turn().send(loan, &header).unwrap();
    assert_eq!(next(&subscriber).pixels(), picture(2, 5, 9));
}

#[test]
fn a_full_buffer_drops_its_oldest_frames_and_they_are_counted() {
    let place = Place::new();
    let publisher = place.publisher("video/a").buffer_size(2).build().unwrap();
    let subscriber = place.subscriber("video/a");
    for number in 0..2 {
        publisher.publish_frame(&picture(8, 8, number), &params(8, 8)).unwrap();
        next(&subscriber);
    }
    for number in 2..9 {
        publisher.publish_frame(&picture(8, 8, number), &params(8, 8)).unwrap();
    }
    let frame = next(&subscriber);
    assert!(frame.is_discontinuity() && frame.pixels() == picture(8, 8, 7));
    assert!(!next(&subscriber).is_discontinuity());
    assert_eq!(subscriber.stats().dropped, Some(5));
}

#[test]
// proves: P8
fn a_wait_with_the_longest_time_ends_with_a_frame() {
    let place = Place::new();
    let publisher = place.publisher("video/a").build().unwrap();
    let builder = VideoFrameSubscriber::builder("video/a").node(place.node());
    let subscriber = builder.busy_wait(Duration::from_millis(1)).build().unwrap();
    for longest in [Duration::MAX, Duration::from_secs(u64::MAX / 2)] {
        publisher.publish_frame(&[0; 12], &FrameParams { width: 2, height: 2, ..FrameParams::default() }).unwrap();
        assert!(subscriber.receive_timeout(Some(longest)).unwrap().is_some());
    }
}

#[test]
fn a_requirement_that_the_service_does_not_meet_is_refused_with_both_values() {
    let place = Place::new();
    let _publisher = place.publisher("video/a").build().unwrap();
    let requirements = Requirements { borrowed_max: Some(99), ..Requirements::default() };
    let error =
        VideoFrameSubscriber::builder("video/a").node(place.node()).requirements(requirements).build().unwrap_err();
    let Error::Qos { setting: "borrowed-max", wanted, exists, .. } = error else { panic!("{error}") };
    assert_eq!((wanted.as_str(), exists.as_str()), ("99", "10"));
}

#[test]
fn a_dropped_loan_can_be_taken_again_and_the_limit_is_an_error() {
    let place = Place::new();
    let publisher = place.publisher("video/a").max_loans(2).max_bytes(64).build().unwrap();
    for _ in 0..3 {
        let _loans = [publisher.loan(64).unwrap(), publisher.loan(64).unwrap()];
        let error = publisher.loan(64).unwrap_err();
        assert!(matches!(error, Error::LoanLimit { limit: 2, .. }), "{error}");
    }
}

/// Once, GStreamer's rows of 4,100 bytes were read as rows of 4,098 bytes, which sheared the picture.
#[test]
// proves: C2
fn the_length_of_the_pixels_tells_the_padding_of_the_rows() {
    let place = Place::new();
    let publisher = place.publisher("video/a").build().unwrap();
    let subscriber = place.subscriber("video/a");
    for (format, width, stride) in [("BGR", 1366, 4100), ("GRAY8", 641, 644), ("RGBA", 5, 64), ("v210", 9, 128)] {
        let pixels: Vec<u8> = (0..stride * 8).map(|i| (i % 251) as u8).collect();
        publisher.publish_frame(&pixels, &FrameParams { format, ..params(width, 8) }).unwrap();
        let frame = next(&subscriber);
        assert_eq!((frame.header().stride[0], frame.pixels()), (stride, &*pixels), "{format}");
    }
}

#[test]
fn pixels_that_contradict_their_parameters_are_refused() {
    let place = Place::new();
    let publisher = place.publisher("video/a").build().unwrap();
    let error = publisher.publish_frame(&[0; 100], &params(8, 8)).unwrap_err().to_string();
    assert!(error.contains("video/a") && error.contains("192") && error.contains("100"), "{error}");
    for (format, given, tight) in [("BGR", 193, 192), ("BGR", 184, 192), ("NV12", 128, 96)] {
        let error =
            publisher.publish_frame(&vec![0; given], &FrameParams { format, ..params(8, 8) }).unwrap_err().to_string();
        assert!(error.contains(&format!("{tight} bytes")) && error.contains(&format!("got {given}")), "{error}");
    }
    let unknown = FrameParams { format: "BRG", ..params(8, 8) };
    let error = publisher.publish_frame(&[0; 192], &unknown).unwrap_err().to_string();
    assert!(error.contains("BRG"), "{error}");
}

#[test]
fn a_hostile_frame_is_counted_and_the_next_one_arrives() {
    let place = Place::new();
    let publisher = place.publisher("video/a").build().unwrap();
    let subscriber = place.subscriber("video/a");
    let sound = || {
        let mut header = VideoFrameHeader { width: 8, height: 8, n_planes: 1, ..VideoFrameHeader::default() };
        header.stride[0] = 24;
        header.set_format("BGR").unwrap();
        header
    };
    type Spoil = fn(&mut VideoFrameHeader);
    let faults: [(&str, Spoil); 6] = [
        ("aux-size", |header| header.aux_size = 193),
        ("format", |header| header.format = [b'B'; 16]),
        ("size", |header| header.width = 0),
        ("planes", |header| header.n_planes = 2),
        ("stride", |header| header.stride[0] = 23),
        ("bounds", |header| header.plane_offsets[0] = u32::MAX),
    ];
    for (count, (rule, spoil)) in faults.into_iter().enumerate() {
        let mut header = sound();
        spoil(&mut header);
        publisher.turn().send(publisher.loan(192).unwrap(), &header).unwrap();
        publisher.turn().send(publisher.loan(192).unwrap(), &sound()).unwrap();
        assert_eq!(next(&subscriber).pixels().len(), 192);
        assert_eq!(subscriber.stats().invalid, count as u64 + 1);
        let news = subscriber.take_news().unwrap();
        assert!(news.contains(&format!("dropped: {rule}: ")) && news.contains("video/a"), "{news}");
    }
}

/// iceoryx2 has one limit of held frames for each port of a publisher, and skips a port whose limit is reached.
#[test]
fn frames_stay_in_order_when_memory_grows_while_all_frames_are_held() {
    let place = Place::new();
    let publisher = place.publisher("video/a").max_bytes(1).build().unwrap();
    let subscriber = place.subscriber("video/a");
    let mut held = Vec::new();
    for number in 0..10 {
        publisher.publish_frame(&picture(8, 8, number), &params(8, 8)).unwrap();
        held.push(next(&subscriber));
    }
    publisher.publish_frame(&picture(8, 8, 10), &params(8, 8)).unwrap();
    publisher.publish_frame(&picture(99, 99, 11), &params(99, 99)).unwrap();
    assert!(matches!(subscriber.receive(), Err(Error::BorrowLimit { limit: 10, .. })));
    held.pop();
    let tenth = next(&subscriber);
    assert_eq!(tenth.pixels(), picture(8, 8, 10));
    assert!(matches!(subscriber.receive(), Err(Error::BorrowLimit { limit: 10, .. })));
    drop(tenth);
    assert_eq!(next(&subscriber).pixels(), picture(99, 99, 11));
    assert_eq!(subscriber.stats().dropped, Some(0));
}

#[test]
fn an_interrupt_ends_the_wait_of_another_thread() {
    let place = Place::new();
    let subscriber = Arc::new(place.subscriber("video/a"));
    let waiting = subscriber.clone();
    let thread = std::thread::spawn(move || waiting.receive_blocking(None).map(|frame| frame.is_none()));
    subscriber.interrupt().set();
    assert!(thread.join().unwrap().unwrap());
}

#[test]
fn a_busy_wait_ends_with_a_frame_after_its_time_or_by_an_interrupt() {
    let place = Place::new();
    let publisher = place.publisher("video/a").build().unwrap();
    let builder = VideoFrameSubscriber::builder("video/a").node(place.node());
    let subscriber = builder.busy_wait(Duration::from_secs(3600)).build().unwrap();
    let start = Instant::now();
    assert!(subscriber.receive_blocking(Some(30)).unwrap().is_none());
    assert!(start.elapsed() >= Duration::from_millis(30));
    let subscriber = Arc::new(subscriber);
    let waiting = subscriber.clone();
    let thread = std::thread::spawn(move || {
        let frame = waiting.receive_blocking(None).unwrap().expect("a frame");
        assert_eq!(frame.pixels(), picture(8, 8, 1));
        waiting.receive_blocking(None).unwrap().is_none()
    });
    std::thread::sleep(Duration::from_millis(20));
    publisher.publish_frame(&picture(8, 8, 1), &params(8, 8)).unwrap();
    wait_until("the frame is taken", || subscriber.stats().received == 1);
    subscriber.interrupt().set();
    assert!(thread.join().unwrap());
}

#[test]
fn a_lossless_publisher_waits_and_can_be_interrupted() {
    let place = Place::new();
    let interrupt = Interrupt::new().unwrap();
    let publisher = place.publisher("video/a").buffer_size(2).lossless(interrupt.clone()).build().unwrap();
    let subscriber = place.subscriber("video/a");
    let sender = std::thread::spawn(move || {
        for number in 0..50 {
            publisher.publish_frame(&picture(8, 8, number), &params(8, 8)).unwrap();
        }
        publisher
    });
    for number in 0..50 {
        assert_eq!(next(&subscriber).pixels(), picture(8, 8, number));
    }
    let publisher = sender.join().unwrap();
    let blocked = std::thread::spawn(move || {
        for number in 0..9 {
            publisher.publish_frame(&picture(8, 8, number), &params(8, 8)).unwrap();
        }
        publisher
    });
    interrupt.set();
    blocked.join().unwrap();
}

/// Until a subscriber has found a port, it gets no more frames than its buffer holds, and none if the port is replaced meanwhile.
#[test]
fn a_lossless_publisher_that_grows_loses_nothing() {
    let place = Place::new();
    let publisher = place.publisher("video/a").max_bytes(1).lossless(Interrupt::new().unwrap()).build().unwrap();
    let subscriber = place.subscriber("video/a");
    let width = |number: u32| 1 + 40 * (number / 13);
    let sender = std::thread::spawn(move || {
        for number in 0..130 {
            publisher.publish_frame(&picture(width(number), 30, number as u8), &params(width(number), 30)).unwrap();
        }
        publisher
    });
    for number in 0..130 {
        if number % 10 == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(next(&subscriber).pixels(), picture(width(number), 30, number as u8), "frame {number}");
    }
    sender.join().unwrap();
}

/// Until a subscriber has received, iceoryx2 drops the frames that do not fit into its buffer.
#[test]
fn a_lossless_publisher_waits_for_an_older_subscriber_that_receives_late() {
    receives_late(|_| {});
}

/// The subscriber that joins gets the newest frame again and acknowledges it.
#[test]
fn a_lossless_publisher_waits_for_a_late_subscriber_while_another_joins_and_leaves() {
    receives_late(|place| {
        let other = place.subscriber("video/a");
        assert_eq!(next(&other).pixels(), picture(8, 8, 0));
    });
}

fn receives_late(meanwhile: impl Fn(&Place)) {
    let place = Place::new();
    let lossless = || place.publisher("video/a").lossless(Interrupt::new().unwrap()).build().unwrap();
    let first = lossless();
    let subscriber = place.subscriber("video/a");
    first.publish_frame(&picture(8, 8, 0), &params(8, 8)).unwrap();
    // The held frame keeps the subscriber in the service when the publisher closes.
    let held = next(&subscriber);
    drop(first);
    let second = lossless();
    let sender = std::thread::spawn(move || {
        for number in 0..50 {
            second.publish_frame(&picture(8, 8, number), &params(8, 8)).unwrap();
        }
        second
    });
    std::thread::sleep(Duration::from_millis(100));
    meanwhile(&place);
    std::thread::sleep(Duration::from_millis(600));
    for number in 0..50 {
        assert_eq!(next(&subscriber).pixels(), picture(8, 8, number));
    }
    drop((held, sender.join().unwrap()));
}

/// Counts the waits of a publisher.
#[derive(Clone, Default)]
struct Waits(Arc<AtomicUsize>);

impl Waits {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Waiting for Waits {
    fn wait(&self, wait: &mut dyn FnMut()) {
        self.0.fetch_add(1, Ordering::SeqCst);
        wait();
    }
}

/// A publisher cannot distinguish a reader that waits from another listener. So its first port waits for both, and no later port does.
#[test]
// proves: L14
fn a_listener_that_does_not_connect_costs_its_time_once() {
    let place = Place::new();
    let waits = Waits::default();
    let publisher = place.publisher("video/a").max_bytes(1).waiting(waits.clone()).build().unwrap();
    let _listener = create_listener(&place.node(), "video/a").unwrap();
    publisher.publish_frame(&picture(8, 30, 1), &params(8, 30)).unwrap();
    let first = waits.count();
    assert!(first > 0);
    for number in 1..=5 {
        // Each of these frames is larger and gets another port.
        publisher.publish_frame(&picture(200 * number, 30, 1), &params(200 * number, 30)).unwrap();
    }
    assert_eq!(waits.count(), first);
}

#[test]
// proves: L14
fn an_interrupt_ends_the_wait_for_readers_to_connect() {
    let place = Place::new();
    let (interrupt, waits) = (Interrupt::new().unwrap(), Waits::default());
    let publisher = place.publisher("video/a").lossless(interrupt.clone()).waiting(waits.clone()).build().unwrap();
    let _listener = create_listener(&place.node(), "video/a").unwrap();
    interrupt.set();
    publisher.publish_frame(&picture(8, 8, 1), &params(8, 8)).unwrap();
    assert_eq!(waits.count(), 1);
}

#[test]
fn a_publisher_announces_that_it_has_come_has_another_port_and_has_gone() {
    let place = Place::new();
    let node = place.node();
    let listener = create_listener(&node, "video/a").unwrap();
    let heard = || {
        let mut ids = Vec::new();
        listener.try_wait(|event| ids.push(event.id.as_value())).unwrap();
        ids
    };
    let publisher = place.publisher("video/a").max_bytes(100).build().unwrap();
    assert_eq!(heard(), [2]);
    publisher.publish_frame(&picture(2, 2, 0), &params(2, 2)).unwrap();
    assert!(heard().contains(&0));
    publisher.publish_frame(&picture(99, 99, 0), &params(99, 99)).unwrap();
    assert_eq!(heard(), [0, 2]);
    let video = open_video_service(&node, "video/a", Qos::default()).unwrap();
    drop(publisher);
    assert_eq!(heard(), [2]);
    assert_eq!(video.dynamic_config().number_of_publishers(), 0);
}

/// A reader of another program does not report that it has found a port. Once, the publisher waited five seconds for it.
#[test]
// proves: L14
fn a_lossless_publisher_waits_briefly_for_a_reader_that_sends_no_events() {
    let place = Place::new();
    let waits = Waits::default();
    let publisher = place.publisher("video/a").max_bytes(1).lossless(Interrupt::new().unwrap());
    let publisher = publisher.waiting(waits.clone()).build().unwrap();
    let node = place.node();
    let video = open_video_service(&node, "video/a", Qos::default()).unwrap();
    let reader = video.subscriber_builder().create().unwrap();
    let _listener = create_listener(&node, "video/a").unwrap();
    for number in 1..=3 {
        let before = waits.count();
        publisher.publish_frame(&picture(200 * number, 30, 1), &params(200 * number, 30)).unwrap();
        // Each wait takes at least 10 ms: five seconds would be up to 500 waits, a quarter of a second is 25.
        assert!(waits.count() - before < 100, "{}", waits.count() - before);
        assert!(reader.receive().unwrap().is_some());
    }
}

#[test]
fn a_change_of_the_number_of_subscribers_is_reported_between_frames() {
    let place = Place::new();
    let seen = Arc::new(AtomicUsize::new(0));
    let told = seen.clone();
    let publisher =
        place.publisher("video/a").on_subscribers(move |count| told.store(count, Ordering::SeqCst)).build().unwrap();
    let subscribers = [place.subscriber("video/a"), place.subscriber("video/a")];
    wait_until("two subscribers", || seen.load(Ordering::SeqCst) == 2);
    drop(subscribers);
    wait_until("none", || seen.load(Ordering::SeqCst) == 0);
    drop(publisher);
}

#[test]
fn the_error_for_a_service_of_another_type_names_its_types() {
    let place = Place::new();
    let node = place.node();
    let name = "video/a".try_into().unwrap();
    let _other = node.service_builder(&name).publish_subscribe::<u64>().create().unwrap();
    for error in [
        place.publisher("video/a").build().unwrap_err().to_string(),
        VideoFrameSubscriber::with_node(place.node(), "video/a").unwrap_err().to_string(),
    ] {
        assert!(error.contains("video/a") && error.contains("u64 of 8 bytes"), "{error}");
    }
}

#[test]
// proves: L10
fn a_forked_child_gets_an_error_and_removes_nothing() {
    let place = Place::new();
    let publisher = place.publisher("video/a").build().unwrap();
    let subscriber = place.subscriber("video/a");
    publisher.publish_frame(&picture(8, 8, 0), &params(8, 8)).unwrap();
    let frame = next(&subscriber);
    // SAFETY: the child only calls what is tested and then `_exit`, which runs no code of the parent.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = matches!(subscriber.receive(), Err(Error::Forked { .. }))
            && matches!(publisher.loan(1), Err(Error::Forked { .. }))
            && Error::Forked { service: "video/a".into() }.to_string().contains("\"video/a\" was opened before");
        drop((frame, subscriber, publisher));
        // SAFETY: it ends the child without the destructors of the test harness.
        unsafe { libc::_exit(i32::from(!refused)) };
    }
    let mut status = -1;
    // SAFETY: it waits for the child that was forked above.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    assert_eq!(frame.pixels(), picture(8, 8, 0));
    publisher.publish_frame(&picture(8, 8, 1), &params(8, 8)).unwrap();
    assert_eq!(next(&subscriber).pixels(), picture(8, 8, 1));
    assert_eq!(place.subscriber("video/a").receive_blocking(BLOCK_MS).unwrap().unwrap().pixels(), picture(8, 8, 1));
}

#[test]
fn a_frame_has_a_payload_a_pixel_size_and_a_view() {
    let place = Place::new();
    let publisher = place.publisher("video/a").build().unwrap();
    let subscriber = place.subscriber("video/a");
    let pixels: Vec<u8> = (0..96).collect();
    let params = FrameParams { width: 10, height: 3, stride0: Some(32), ..Default::default() };
    publisher.publish_frame(&pixels, &params).unwrap();
    publisher.end_of_stream().unwrap();
    let frame = subscriber.receive_blocking(BLOCK_MS).unwrap().unwrap();
    assert_eq!((frame.pixel_size(), frame.pixels()), (96, &pixels[..]));
    assert_eq!(frame.payload(), [frame.pixels(), frame.aux()].concat());
    assert!(!frame.aux().is_empty());
    #[cfg(feature = "ndarray")]
    {
        let view = frame.ndarray_view().unwrap();
        assert_eq!((view.shape(), view[[2, 9, 1]]), (&[3, 10, 3][..], 2 * 32 + 9 * 3 + 1));
        assert_eq!(view.as_ptr(), frame.pixels().as_ptr());
    }
    let end = subscriber.receive_blocking(BLOCK_MS).unwrap().unwrap();
    assert_eq!((end.is_eos(), end.pixel_size()), (true, 0));
    #[cfg(feature = "ndarray")]
    assert_eq!(end.ndarray_view().unwrap().shape(), [0, 0, 0]);
}

#[test]
fn raw_services_and_ports_work_with_those_of_the_sdk() {
    let place = Place::new();
    let node = place.node();
    let service = open_video_service(&node, "video/a", Qos { buffer_size: 3, ..Qos::default() }).unwrap();
    assert_eq!(service.static_config().subscriber_max_buffer_size(), 3);
    let listener = create_listener(&node, "video/a").unwrap();
    let drained = || while listener.try_wait(|_| ()).unwrap() > 0 {};
    let woken = || listener.timed_wait(|_| (), LIMIT).unwrap() > 0;
    let publisher = place.publisher("video/a").build().unwrap();
    drained();
    publisher.publish_frame(&[7; 12], &FrameParams { width: 2, height: 2, ..Default::default() }).unwrap();
    assert!(woken());
    drained();
    create_notifier(&node, "video/a").unwrap().notify().unwrap();
    assert!(woken());
    assert!(matches!(create_notifier(&node, "").unwrap_err(), Error::InvalidServiceName { .. }));
}
