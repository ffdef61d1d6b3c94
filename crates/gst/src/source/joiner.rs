//! Joins the results of detectors to the frames that they belong to (SPEC §11).
//!
//! Received frames wait in a queue until their results have arrived or their time is over. A thread for each detector receives results. So
//! neither a slow detector nor many detectors delay frames beyond the wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gst_plugin_iceoryx2_video::results::{ReceivedResults, ResultsName, ResultsSubscriber};
use gst_plugin_iceoryx2_video::wire::clock::first_publisher;
use gst_plugin_iceoryx2_video::wire::rendition::{Mapping, Rendition};
use gst_plugin_iceoryx2_video::wire::result_payload::Results;
use gst_plugin_iceoryx2_video::{AuxRef, Error, Interrupt, VideoFrame};

/// Number of results of one detector that wait for their frames.
const MAX_WAITING: usize = 256;
/// Number of frames for which the joiner remembers that results were missing.
const MAX_GONE: usize = 1024;
/// Pause after an error of a detector's service.
const RETRY: Duration = Duration::from_secs(1);

/// Publisher and sequence of a frame.
type Key = (u64, u64);

/// A frame that waits, and the frame whose results it takes; `None` if it has no key.
struct Held {
    frame: VideoFrame,
    origin: Option<Origin>,
    deadline: Instant,
}

struct Origin {
    key: Key,
    /// Size of the frame with this key in pixels.
    size: (u32, u32),
    /// How coordinates in that frame become coordinates in the held frame.
    mapping: Mapping,
}

/// A frame and its results, in pixels of the frame.
pub struct Joined {
    pub frame: VideoFrame,
    pub results: Vec<Results>,
}

pub struct Joiner {
    held: Mutex<VecDeque<Held>>,
    shared: Arc<Shared>,
    wait: Duration,
    threads: Vec<(Interrupt, JoinHandle<()>)>,
}

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Counters {
    pub joined: AtomicU64,
    pub missing: AtomicU64,
    pub late: AtomicU64,
    pub invalid: AtomicU64,
}

impl Counters {
    pub fn reset(&self) {
        for counter in [&self.joined, &self.missing, &self.late, &self.invalid] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

struct Shared {
    detectors: Mutex<Vec<Detector>>,
    counters: Arc<Counters>,
    is_stopped: AtomicBool,
}

#[derive(Default)]
struct Detector {
    /// Results whose frames have not been pushed yet.
    waiting: VecDeque<ReceivedResults>,
    /// Frames that were pushed without results of this detector.
    gone: VecDeque<Key>,
}

impl std::fmt::Debug for Joiner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joiner").field("detectors", &self.threads.len()).finish_non_exhaustive()
    }
}

impl Joiner {
    /// Subscribes to the results of detectors. `detectors` are names such as `yolo`, or full names of services, separated by commas.
    ///
    /// `wake` ends the wait of the streaming thread when results have arrived. `report` is called with an error of a detector's service.
    pub fn start(
        service: &str,
        detectors: &str,
        wait: Duration,
        counters: Arc<Counters>,
        wake: &Interrupt,
        report: impl Fn(Error) + Clone + Send + 'static,
    ) -> Result<Self, Error> {
        let names = detectors.split(',').map(str::trim);
        let names = names.map(|name| match name.contains('/') {
            true => ResultsName::parse(name),
            false => ResultsName::new(service, name),
        });
        let subscribers = names.map(|name| ResultsSubscriber::new(&name?)).collect::<Result<Vec<_>, _>>()?;
        let detectors = subscribers.iter().map(|_| Detector::default()).collect();
        let shared =
            Arc::new(Shared { detectors: Mutex::new(detectors), counters, is_stopped: AtomicBool::new(false) });
        let mut joiner = Self { held: Mutex::default(), shared, wait, threads: Vec::new() };
        for (index, subscriber) in subscribers.into_iter().enumerate() {
            let interrupt = subscriber.interrupt();
            let (shared, wake, report) = (joiner.shared.clone(), wake.clone(), report.clone());
            let thread = thread::Builder::new()
                .name("iox2-results".into())
                .spawn(move || shared.receive(index, &subscriber, &wake, report))
                .map_err(|source| Error::Io { what: "start a thread", source })?;
            joiner.threads.push((interrupt, thread));
        }
        Ok(joiner)
    }

    /// Queues a received frame.
    pub fn hold(&self, frame: VideoFrame) {
        let origin = origin(&frame);
        let deadline = Instant::now() + if origin.is_none() { Duration::ZERO } else { self.wait };
        self.held().push_back(Held { frame, origin, deadline });
    }

    /// Removes and counts all queued frames.
    pub fn clear(&self) -> usize {
        self.held().drain(..).count()
    }

    pub fn is_empty(&self) -> bool {
        self.held().is_empty()
    }

    /// Returns the time until the first queued frame must be pushed; `None` without a frame.
    pub fn time_left(&self) -> Option<Duration> {
        self.held().front().map(|first| first.deadline.saturating_duration_since(Instant::now()))
    }

    /// Returns the first queued frame if its results have arrived, its time is over, or `is_forced`. With `newest_only`, returns the newest
    /// such frame, and the number of skipped frames.
    pub fn next(&self, is_forced: bool, newest_only: bool) -> Option<(Joined, u64)> {
        let mut held = self.held();
        let mut detectors = self.shared.detectors();
        let now = Instant::now();
        let is_ready = |held: &Held| {
            let has_results =
                |detector: &Detector| held.origin.as_ref().is_some_and(|origin| detector.find(origin).is_some());
            held.deadline <= now || detectors.iter().all(has_results)
        };
        let is_end = |held: &Held| held.frame.is_eos();
        let first = held.front()?;
        if !(is_forced || is_ready(first) || is_end(first)) {
            return None;
        }
        let mut skipped = 0;
        while newest_only && held.get(1).is_some_and(|second| is_ready(second) && !is_end(second)) {
            held.pop_front();
            skipped += 1;
        }
        let Held { frame, origin, .. } = held.pop_front()?;
        drop(held);
        let take = |detector: &mut Detector| detector.take(origin.as_ref()?);
        let results: Vec<_> = detectors.iter_mut().filter_map(take).collect();
        if !frame.is_eos() {
            let is_complete = results.len() == detectors.len();
            let counters = &self.shared.counters;
            let counter = if is_complete { &counters.joined } else { &counters.missing };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        Some((Joined { frame, results }, skipped))
    }

    fn held(&self) -> MutexGuard<'_, VecDeque<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Joiner {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        for (interrupt, thread) in self.threads.drain(..) {
            interrupt.set();
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn detectors(&self) -> MutexGuard<'_, Vec<Detector>> {
        self.detectors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Receives the results of one detector until the joiner is dropped.
    fn receive(&self, index: usize, subscriber: &ResultsSubscriber, wake: &Interrupt, report: impl Fn(Error)) {
        let (mut is_reported, mut invalid) = (false, 0);
        while !self.is_stopped.load(Ordering::SeqCst) {
            match subscriber.wait(None) {
                Ok(Some(received)) => {
                    is_reported = false;
                    if self.detectors()[index].add(received) {
                        self.counters.late.fetch_add(1, Ordering::Relaxed);
                    }
                    wake.set();
                }
                Ok(None) => {}
                Err(error) => {
                    if !std::mem::replace(&mut is_reported, true) {
                        report(error);
                    }
                    subscriber.interrupt().wait(RETRY);
                }
            }
            let (refused, _) = subscriber.invalid();
            self.counters.invalid.fetch_add(refused - std::mem::replace(&mut invalid, refused), Ordering::Relaxed);
        }
    }
}

impl Detector {
    /// Adds results. Returns true if they are late: their frame was pushed without them.
    fn add(&mut self, received: ReceivedResults) -> bool {
        if let Some(place) = self.gone.iter().position(|gone| key(&received) == Some(*gone)) {
            self.gone.remove(place);
            return true;
        }
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(received);
        false
    }

    fn find(&self, origin: &Origin) -> Option<usize> {
        // A lying size would put boxes in wrong places.
        let matches = |received: &ReceivedResults| key(received) == Some(origin.key) && received.size == origin.size;
        self.waiting.iter().rposition(matches)
    }

    /// Takes the results for a frame, in pixels of this frame.
    fn take(&mut self, origin: &Origin) -> Option<Results> {
        let Some(place) = self.find(origin) else {
            self.gone.push_back(origin.key);
            self.gone.drain(..self.gone.len().saturating_sub(MAX_GONE));
            return None;
        };
        let mut results = self.waiting.remove(place)?.results;
        origin.mapping.apply(&mut results);
        Some(results)
    }
}

fn key(received: &ReceivedResults) -> Option<Key> {
    received.stamp.publisher.zip(received.stamp.sequence)
}

/// Returns the frame whose results a frame takes: the first publisher's, or the one that it was made from, or itself.
fn origin(frame: &VideoFrame) -> Option<Origin> {
    if frame.is_eos() {
        return None;
    }
    let size = (frame.header().width, frame.header().height);
    let records = || AuxRef::new(frame.aux()).records();
    let made_from = Rendition::find(records(), size);
    let (size, mapping) =
        made_from.as_ref().map_or_else(|| (size, Mapping::scale(size, size)), |made| (made.source_size, made.mapping));
    let key = first_publisher(records())
        .or_else(|| made_from.and_then(|made| made.publisher.zip(made.sequence)))
        .or_else(|| frame.stamp().publisher.zip(frame.stamp().sequence))?;
    Some(Origin { key, size, mapping })
}
