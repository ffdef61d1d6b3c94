//! When to send the next frame, and how long the counted frames took.

use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Meter;
use crate::stamp::Phase;

/// Time between two frames before and after the counted frames.
const SLOW: Duration = Duration::from_millis(10);
/// Frames at full pace before the counted ones, after which all memory has been written once.
pub const SETTLE: u64 = 50;

/// Sends slowly until the start, then `frames` frames at full pace, then slowly until the end.
#[derive(Debug)]
pub struct Pace {
    frames: u64,
    /// Zero = as fast as possible.
    interval: Duration,
    /// Whether to poll instead of sleeping between counted frames.
    is_busy: bool,
    go: AtomicBool,
    stop: AtomicBool,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    announced: bool,
    sent: u64,
    due: Option<Instant>,
    meter: Option<Meter>,
    result: Option<String>,
}

impl Pace {
    pub fn new(frames: u64, fps: u32, is_busy: bool) -> Self {
        Self {
            frames,
            is_busy,
            interval: if fps == 0 { Duration::ZERO } else { Duration::from_secs(1) / fps },
            go: AtomicBool::default(),
            stop: AtomicBool::default(),
            progress: Mutex::default(),
        }
    }

    /// Reads standard input: a byte starts the counted frames, the end of input stops them.
    pub fn obey(&self, mut input: impl Read) {
        let mut byte = [0];
        while matches!(input.read(&mut byte), Ok(1)) {
            self.go.store(true, Ordering::SeqCst);
        }
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Waits until the next frame is due, and returns its phase and number; `None` after the last frame.
    pub fn next(&self) -> Option<(Phase, u64)> {
        let mut progress = self.progress.lock().unwrap();
        if !progress.announced {
            progress.announced = true;
            println!("ready");
        }
        if !self.go.load(Ordering::SeqCst) || progress.result.is_some() {
            std::thread::sleep(SLOW);
            let phase = if progress.result.is_some() { Phase::End } else { Phase::WarmUp };
            // If the start and the end are read together, the counted frames are sent nevertheless.
            let over = phase == Phase::End || !self.go.load(Ordering::SeqCst);
            return (!(over && self.stop.load(Ordering::SeqCst))).then_some((phase, self.frames));
        }
        if !self.interval.is_zero() {
            let due = progress.due.map_or_else(Instant::now, |due| due + self.interval);
            progress.due = Some(due);
            if self.is_busy {
                while Instant::now() < due {
                    std::hint::spin_loop();
                }
            } else {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
        if progress.sent == SETTLE {
            progress.meter = Some(Meter::start());
        }
        progress.sent += 1;
        if progress.sent <= SETTLE {
            return Some((Phase::WarmUp, 0));
        }
        if progress.sent > SETTLE + self.frames {
            progress.result = progress.meter.as_ref().map(|meter| meter.json(self.frames));
            return Some((Phase::End, self.frames));
        }
        Some((Phase::Counted, progress.sent - SETTLE - 1))
    }

    /// The duration of the counted frames, as the beginning of a JSON object.
    pub fn result(&self) -> Option<String> {
        self.progress.lock().unwrap().result.take()
    }
}
