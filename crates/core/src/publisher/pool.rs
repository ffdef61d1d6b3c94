//! A publisher's memory: a fixed number of equal chunks, replaced when a frame is larger.
//!
//! iceoryx2's own growing segments are no way. With fewer chunks than its worst case it panics once twice as many are in use
//! (0.10.0: `SegmentState` has a counter for each chunk of the first segment, the second one has more chunks), and its worst
//! case is 1 GB for 1080p. What a replaced publisher sent is still delivered, and before anything that its successor sends.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use iceoryx2::port::publisher::{Publisher, PublisherCreateError};
use iceoryx2::port::update_connections::UpdateConnections;
use iceoryx2::port::{DegradationAction, DegradationCause, LoanError, SendError};
use iceoryx2::prelude::*;

use super::backpressure::Backpressure;
use super::loan::Loan;
use super::memory::check_shared_memory;
use super::readers::Readers;
use super::settings::FIRST_FRAMES;
use crate::contract::limits;
use crate::error::{Error, Result};
use crate::iox2::fork::OfThisProcess;
use crate::iox2::types::Iox;
use crate::video_service::{VideoService, port_error, transport};
use crate::wire::header::VideoFrameHeader;

/// Sizes that creep up get new memory only now and then: each time for a sixteenth more.
const GROWTH_STEPS: usize = limits::GROWTH_STEPS;
const PAGE: usize = limits::PAGE_BYTES;
/// How long subscribers that were there before a port get to find it before it goes. Nothing tells whether they have.
const FIND_TIME: Duration = limits::FIND;
const FIND_INTERVAL: Duration = limits::FIND_LOOK;

static NUMBERS: AtomicU64 = AtomicU64::new(1);

pub(super) struct Pool {
    video: Arc<OfThisProcess<VideoService>>,
    config: Config,
    failed_connection: Arc<AtomicBool>,
    service: String,
    max_loans: usize,
    chunks: usize,
    readers: Readers,
    backpressure: Option<Arc<OfThisProcess<Backpressure>>>,
    pool: RwLock<Memory>,
}

struct Memory {
    /// `None` where a replacement failed half-way.
    port: Option<OfThisProcess<Publisher<Iox, [u8], VideoFrameHeader>>>,
    bytes: usize,
    /// Unlike that of any other pool in this process: loans of an earlier one, or of another publisher, have to be copied.
    number: u64,
    /// Until when subscribers that were there before the port may take to find it; `None` if there were none.
    find_deadline: Option<Instant>,
    is_used: AtomicBool,
    /// What was sent last, where the service's history keeps it in memory.
    last: Mutex<Option<Sent>>,
}

/// A sample that was sent: its payload and its header.
struct Sent {
    payload: NonNull<[u8]>,
    header: VideoFrameHeader,
}

// SAFETY: the pointer is to shared memory that is mapped as long as the port lives.
unsafe impl Send for Sent {}

impl Pool {
    /// Becomes the publisher of the service, with memory for frames of so many bytes.
    pub fn new(
        video: Arc<OfThisProcess<VideoService>>,
        service: &str,
        max_loans: usize,
        max_frames: Option<usize>,
        bytes: usize,
        readers: Readers,
        backpressure: Option<Backpressure>,
    ) -> Result<Self> {
        let config = video.static_config();
        let held = config.subscriber_max_buffer_size() + config.subscriber_max_borrowed_samples();
        let worst = config.max_subscribers() * held + config.history_size() + max_loans;
        // One for each loan, the history, and one on its way.
        let least = max_loans + 2;
        // Backpressure for one subscriber that holds all it may, the history, and one frame more.
        let usual = FIRST_FRAMES.max(held + config.history_size() + 1);
        let chunks = max_frames.unwrap_or(usual).max(least).min(worst);
        let frames = Self {
            video,
            config: readers.config().clone(),
            failed_connection: Arc::default(),
            service: service.to_owned(),
            max_loans,
            chunks,
            readers,
            backpressure: backpressure.map(|backpressure| Arc::new(OfThisProcess::new(backpressure))),
            pool: RwLock::new(Memory {
                port: None,
                bytes,
                number: 0,
                find_deadline: None,
                is_used: AtomicBool::new(false),
                last: Mutex::default(),
            }),
        };
        frames.replace(&mut frames.pool.write().unwrap_or_else(PoisonError::into_inner), bytes)?;
        Ok(frames)
    }

    /// Memory for one frame, from larger or more memory if need be.
    pub fn loan(&self, len: usize) -> Result<Loan> {
        loop {
            let pool = self.pool.read().unwrap_or_else(PoisonError::into_inner);
            let failure = match &pool.port {
                Some(port) if len <= pool.bytes => match port.loan_slice_uninit(len) {
                    Ok(sample) => return Ok(Loan::new(sample, pool.number)),
                    Err(failure) => failure,
                },
                _ => LoanError::ExceedsMaxLoanSize,
            };
            let number = pool.number;
            drop(pool);
            let mut pool = self.pool.write().unwrap_or_else(PoisonError::into_inner);
            if pool.number != number {
                continue;
            }
            match failure {
                LoanError::ExceedsMaxLoanSize => {
                    let wanted = if pool.is_used.load(Ordering::Relaxed) { with_spare(len) } else { len };
                    self.replace(&mut pool, wanted.next_multiple_of(PAGE))?;
                }
                LoanError::OutOfMemory => return Err(self.out_of_frames()),
                LoanError::ExceedsMaxLoans => {
                    return Err(Error::LoanLimit { service: self.service.clone(), limit: self.max_loans });
                }
                other => return Err(transport(&self.service, "loan a frame", other)),
            }
        }
    }

    /// A copy of the frame that was sent last, and its header; `None` if that is not in memory any more.
    ///
    /// Nothing may be sent meanwhile.
    pub fn repeat(&self) -> Result<Option<(Loan, VideoFrameHeader)>> {
        let len = {
            let pool = self.pool.read().unwrap_or_else(PoisonError::into_inner);
            let last = pool.last.lock().unwrap_or_else(PoisonError::into_inner);
            match &*last {
                Some(sent) if sent.header.width > 0 => sent.payload.len(),
                _ => return Ok(None),
            }
        };
        let mut loan = self.loan(len)?;
        let pool = self.pool.read().unwrap_or_else(PoisonError::into_inner);
        let last = pool.last.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(last.as_ref().filter(|sent| sent.payload.len() == len).map(|sent| {
            // SAFETY: the history keeps the sample until the next one is sent, the lock keeps the port and thereby its memory.
            loan.copy_from_slice(unsafe { sent.payload.as_ref() });
            (loan, sent.header)
        }))
    }

    /// Sends a loan, or a copy of it if its pool was replaced since; returns how many subscribers got it.
    pub fn send(&self, mut loan: Loan, header: &VideoFrameHeader) -> Result<usize> {
        loop {
            // Held while sending: a publisher that goes meanwhile would take the frame with it.
            let pool = self.pool.read().unwrap_or_else(PoisonError::into_inner);
            if loan.pool == pool.number {
                self.readers.wait_for_readers(&self.video);
                pool.is_used.store(true, Ordering::Relaxed);
                *loan.sample.user_header_mut() = *header;
                let keeps = self.video.static_config().history_size() > 0;
                let sent = Sent { payload: NonNull::from(&loan[..]), header: *header };
                let mut last = pool.last.lock().unwrap_or_else(PoisonError::into_inner);
                *last = None;
                let receivers = loan.sample.into_inner().send().map_err(|e| match e {
                    SendError::LoanError(_) => self.out_of_frames(),
                    other => transport(&self.service, "send a frame", other),
                })?;
                *last = keeps.then_some(sent);
                drop(last);
                if let Some(backpressure) = &self.backpressure {
                    backpressure.wait_until_found(&self.video);
                }
                return Ok(receivers);
            }
            drop(pool);
            let mut copy = self.loan(loan.len())?;
            copy.copy_from_slice(&loan);
            loan = copy;
        }
    }

    /// Connects subscribers that joined, which hands them the history.
    pub fn update_connections(&self) {
        if let Some(port) = &self.pool.read().unwrap_or_else(PoisonError::into_inner).port {
            let _ = port.update_connections();
        }
    }

    /// Whether a subscriber could not be connected. iceoryx2 does not try again, and says it in no other way.
    pub fn has_failed_connection(&self) -> bool {
        self.failed_connection.load(Ordering::Relaxed)
    }

    /// Leaves it at that.
    pub fn ignore_failed_connection(&self) {
        self.failed_connection.store(false, Ordering::Relaxed);
    }

    /// Makes another port of the same size, which connects every subscriber.
    pub fn renew(&self) -> Result<()> {
        let mut pool = self.pool.write().unwrap_or_else(PoisonError::into_inner);
        let bytes = pool.bytes;
        self.replace(&mut pool, bytes)
    }

    /// Removes the port for good and announces it.
    pub fn close(&self) {
        self.pool.write().unwrap_or_else(PoisonError::into_inner).port = None;
        self.readers.announce();
    }

    /// Before the publisher goes: gives subscribers the time to find the port, because what they have not found goes with it.
    ///
    /// A lossless publisher knows that they have found it.
    pub fn linger(&self) {
        let pool = self.pool.read().unwrap_or_else(PoisonError::into_inner);
        let Some(until) =
            pool.find_deadline.filter(|_| self.backpressure.is_none() && pool.is_used.load(Ordering::Relaxed))
        else {
            return;
        };
        while Instant::now() < until && self.video.dynamic_config().number_of_subscribers() > 0 {
            thread::sleep(FIND_INTERVAL);
        }
    }

    fn replace(&self, pool: &mut Memory, bytes: usize) -> Result<()> {
        check_shared_memory(&self.service, bytes, self.chunks)?;
        self.readers.begin(&self.video);
        // The service may admit one publisher only, so the old one goes first. Subscribers of ours bear with that for a moment.
        pool.port = None;
        self.ignore_failed_connection();
        pool.number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        pool.port = Some(OfThisProcess::new(self.create(bytes)?));
        pool.bytes = bytes;
        let is_unfound = self.video.dynamic_config().number_of_subscribers() > 0;
        pool.find_deadline = is_unfound.then(|| Instant::now() + FIND_TIME);
        pool.is_used = AtomicBool::new(false);
        pool.last = Mutex::default();
        if let Some(backpressure) = &self.backpressure {
            backpressure.begin(&self.video);
        }
        self.readers.announce();
        Ok(())
    }

    fn create(&self, bytes: usize) -> Result<Publisher<Iox, [u8], VideoFrameHeader>> {
        let (noticed, chunks) = (self.failed_connection.clone(), self.chunks);
        let mut builder = self
            .video
            .publisher_builder()
            .initial_max_slice_len(bytes)
            .allocation_strategy(AllocationStrategy::Static)
            .max_loaned_samples(self.max_loans)
            .override_sample_preallocation(move |_| chunks)
            .backpressure_strategy(BackpressureStrategy::DiscardData)
            .set_degradation_handler(move |cause, _| match cause {
                DegradationCause::FailedToEstablishConnection => {
                    noticed.store(true, Ordering::Relaxed);
                    DegradationAction::Ignore
                }
                DegradationCause::ConnectionCorrupted => DegradationAction::Warn,
            });
        if let Some(backpressure) = self.backpressure.clone() {
            let video = self.video.clone();
            builder = builder
                .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
                .set_backpressure_handler(move |full| backpressure.wait(full, &video));
        }
        builder.create().map_err(|e| match e {
            PublisherCreateError::ExceedsMaxSupportedPublishers => Error::TooManyPorts {
                service: self.service.clone(),
                port: "publisher",
                limit: self.video.static_config().max_publishers(),
            },
            other => port_error(&self.config, &self.service, "create a publisher", bytes * chunks, other),
        })
    }

    fn out_of_frames(&self) -> Error {
        Error::OutOfFrames { service: self.service.clone(), chunks: self.chunks }
    }
}

fn with_spare(len: usize) -> usize {
    len.next_multiple_of((len.next_power_of_two() / GROWTH_STEPS).max(PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_frame_gets_a_little_more_than_it_needs() {
        assert_eq!(with_spare(1), 4096);
        assert_eq!(with_spare(4097), 8192);
        let full_hd = 1920 * 1080 * 3;
        assert!((full_hd..full_hd + full_hd / 8).contains(&with_spare(full_hd)));
    }
}
