//! Results over real shared memory, each test in a domain of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gst_plugin_iceoryx2_video as video;
use video::results::{ReceivedResults, ResultsName, ResultsPublisher, ResultsSubscriber};
use video::wire::result_payload::{ResultBox, Results};
use video::{Domain, Error, Fault, Iox2Node, Stamp, VideoFramePublisher, boot_id, create_node_in};

const TIMEOUT: Option<Duration> = Some(Duration::from_secs(60));

/// The domain of one test, whose files are removed at its end.
struct Place(Domain, String);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = format!("/tmp/iox2r{}_{number}", std::process::id());
        let domain = Domain::at(&root, &format!("r{}_{number}_", std::process::id())).unwrap();
        Self(domain, root)
    }

    fn node(&self) -> Iox2Node {
        create_node_in(&self.0).unwrap()
    }

    fn publisher(&self) -> ResultsPublisher {
        ResultsPublisher::with_node(self.node(), &name()).unwrap()
    }

    fn subscriber(&self) -> ResultsSubscriber {
        ResultsSubscriber::with_node(self.node(), &name()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let prefix = self.0.prefix();
        for entry in std::fs::read_dir("/dev/shm").unwrap().flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

fn name() -> ResultsName {
    ResultsName::new("video/cam0@64x64/frame/v2", "yolo").unwrap()
}

fn stamp(sequence: u64) -> Stamp {
    Stamp { boot_id: boot_id(), publisher: Some(7), sequence: Some(sequence), capture: Some(5), due: None }
}

fn boxes(count: usize) -> Results {
    let mut results = Results::default();
    let label = Some(results.label("person"));
    let a_box = |i| ResultBox { x: i as f32, y: 2.0, width: 3.0, height: 4.0, score: 0.5, label, track: Some(9) };
    results.boxes = (0..count).map(a_box).collect();
    results
}

fn next(subscriber: &ResultsSubscriber) -> ReceivedResults {
    subscriber.wait(TIMEOUT).unwrap().expect("results within a minute")
}

#[test]
fn results_arrive_with_the_stamp_of_their_frame() {
    let place = Place::new();
    let subscriber = place.subscriber();
    let publisher = place.publisher();
    assert_eq!(publisher.service(), "video/cam0/results/yolo/v1");
    for sequence in 0..3 {
        publisher.publish(&stamp(10 + sequence), (640, 480), &boxes(2)).unwrap();
        let received = next(&subscriber);
        assert_eq!((received.sequence, received.stamp, received.size), (sequence, stamp(10 + sequence), (640, 480)));
        assert_eq!(received.results, boxes(2));
    }
    assert_eq!(subscriber.receive().unwrap(), None);
}

#[test]
fn a_late_subscriber_receives_the_newest_results_and_memory_grows_with_them() {
    let place = Place::new();
    let publisher = place.publisher();
    for sequence in 0..30 {
        publisher.publish(&stamp(sequence), (640, 480), &boxes(1)).unwrap();
    }
    let subscriber = place.subscriber();
    // The publisher finds a new subscriber when it sends, or after a quarter of a second.
    let received: Vec<_> = (0..16).map(|_| next(&subscriber).stamp.sequence.unwrap()).collect();
    assert_eq!(received, (14..30).collect::<Vec<_>>());
    publisher.publish(&stamp(30), (640, 480), &boxes(100_000)).unwrap();
    assert_eq!(next(&subscriber).results.boxes.len(), 100_000);
}

#[test]
fn a_subscriber_stays_when_its_publisher_restarts() {
    let place = Place::new();
    let subscriber = place.subscriber();
    let mut streams = Vec::new();
    for sequence in 0..3 {
        let publisher = place.publisher();
        publisher.publish(&stamp(sequence), (640, 480), &boxes(1)).unwrap();
        let received = next(&subscriber);
        assert_eq!((received.sequence, received.stamp), (0, stamp(sequence)));
        streams.push(received.stream);
        drop(publisher);
        assert_eq!(subscriber.wait(Some(Duration::from_millis(200))).unwrap(), None);
    }
    streams.dedup();
    assert_eq!(streams.len(), 3);
}

#[test]
fn results_without_a_frame_or_with_wrong_numbers_are_refused_in_words() {
    let place = Place::new();
    let publisher = place.publisher();
    let refused = |stamp: &Stamp, size, results: &Results| match publisher.publish(stamp, size, results) {
        Err(Error::Results { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&Stamp::default(), (640, 480), &boxes(1)), Fault::ResultsKey);
    assert_eq!(refused(&stamp(0), (0, 480), &boxes(1)).rule(), "size");
    let mut results = boxes(1);
    results.boxes[0].width = -2.5;
    assert!(refused(&stamp(0), (640, 480), &results).to_string().contains("-2.5"));
    results.boxes[0].width = f32::NAN;
    assert!(refused(&stamp(0), (640, 480), &results).to_string().contains("NaN"));
    results = boxes(1);
    results.labels[0] = "x".repeat(4097);
    assert!(refused(&stamp(0), (640, 480), &results).to_string().contains("4097"));
    results = Results { json: Some(" ".repeat(17 << 20)), ..Results::default() };
    assert_eq!(refused(&stamp(0), (640, 480), &results).rule(), "length");
    // What was refused does not count.
    let subscriber = place.subscriber();
    publisher.publish(&stamp(0), (640, 480), &boxes(1)).unwrap();
    assert_eq!(next(&subscriber).sequence, 0);
}

#[test]
fn a_service_of_frames_is_not_a_service_of_results() {
    let place = Place::new();
    let _frames = VideoFramePublisher::builder("video/cam0/results/yolo/v1").node(place.node()).build().unwrap();
    let error = ResultsSubscriber::with_node(place.node(), &name()).unwrap_err();
    assert!(matches!(error, Error::TypeMismatch { .. }), "{error}");
    assert!(error.to_string().contains("VideoResultsHeader"), "{error}");
    let error = ResultsPublisher::with_node(place.node(), &name()).unwrap_err();
    assert!(error.to_string().contains("not results"), "{error}");
}

#[test]
fn a_second_publisher_of_one_name_gets_a_sentence() {
    let place = Place::new();
    let _first = place.publisher();
    let error = ResultsPublisher::with_node(place.node(), &name()).unwrap_err();
    assert!(matches!(error, Error::TooManyPorts { port: "publisher", limit: 1, .. }), "{error}");
}

#[test]
fn an_interrupt_ends_a_wait() {
    let place = Place::new();
    let subscriber = place.subscriber();
    let interrupt = subscriber.interrupt();
    let start = Instant::now();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        interrupt.set();
    });
    assert_eq!(subscriber.wait(Some(Duration::from_secs(600))).unwrap(), None);
    assert!(start.elapsed() < Duration::from_secs(300));
}
