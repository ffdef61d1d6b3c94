//! A publisher's memory, which consists of a fixed number of equal chunks. For a larger frame, the port is replaced by a port with larger
//! chunks. When subscribers hold all chunks, it is replaced by a port with more chunks.
//!
//! iceoryx2's own growing segments cannot be used. If the first segment has fewer chunks than the worst case, iceoryx2 panics as soon as
//! twice as many are in use (0.10.0: `SegmentState` has a counter for each chunk in the first segment, but the second segment has more
//! chunks). The worst case would need 1 GB for 1080p. Frames from a replaced port are still delivered, before the frames from its
//! successor.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::Instant;

use iceoryx2::port::publisher::{Publisher, PublisherCreateError};
use iceoryx2::port::update_connections::UpdateConnections;
use iceoryx2::port::{DegradationAction, DegradationCause, LoanError, SendError};
use iceoryx2::prelude::*;

use super::backpressure::Backpressure;
use super::loan::Loan;
use super::memory::check_shared_memory;
use super::readers::Readers;
use crate::contract::limits;
use crate::error::{Error, ObstacleKind, Result};
use crate::iox2::fork::OfThisProcess;
use crate::iox2::types::Iox;
use crate::video_service::{UserHeader, VideoService, port_error, transport};
use crate::wire::header::VideoFrameHeader;

static NUMBERS: AtomicU64 = AtomicU64::new(1);

pub(crate) struct Pool<H: UserHeader = VideoFrameHeader> {
    video: Arc<OfThisProcess<VideoService<H>>>,
    service: String,
    max_loans: usize,
    /// Largest number of chunks: the number that the program requested, or the number that all subscribers together may hold.
    max_chunks: usize,
    readers: Readers,
    backpressure: Option<Arc<OfThisProcess<Backpressure>>>,
    /// Whether iceoryx2 could not connect a subscriber.
    failed_connection: Arc<AtomicBool>,
    port: RwLock<Port<H>>,
}

struct Port<H: UserHeader> {
    /// The native port; `None` if a replacement failed after the old port was removed.
    native: Option<OfThisProcess<Publisher<Iox, [u8], H>>>,
    bytes: usize,
    chunks: usize,
    /// Number of the port, unique in this process. A loan with another number must be copied.
    number: u64,
    /// Deadline for older subscribers to find the port; `None` if there are no older subscribers. No event reports that they found it.
    find_deadline: Option<Instant>,
    is_used: AtomicBool,
    /// The last sample, if the history of the service keeps it in memory.
    last: Mutex<Option<Sent<H>>>,
}

struct Sent<H> {
    payload: NonNull<[u8]>,
    header: H,
}

// SAFETY: the pointer refers to shared memory that is mapped for as long as the port lives.
unsafe impl<H: UserHeader> Send for Sent<H> {}

impl<H: UserHeader> Pool<H> {
    /// Creates the publisher port on the service, with memory for frames of `bytes` bytes.
    pub fn new(
        video: Arc<OfThisProcess<VideoService<H>>>,
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
        // This is enough for the history, one more frame, and all frames that one subscriber may hold.
        let usual = limits::FIRST_CHUNKS.max(held + config.history_size() + 1);
        // This is enough for all loans, one frame in the history, and one frame that is being sent.
        let least = max_loans + 2;
        let max_chunks = max_frames.map_or(worst, |frames| frames.max(least).min(worst));
        let chunks = usual.max(least).min(max_chunks);
        let pool = Self {
            video,
            service: service.to_owned(),
            max_loans,
            max_chunks,
            readers,
            backpressure: backpressure.map(|backpressure| Arc::new(OfThisProcess::new(backpressure))),
            failed_connection: Arc::default(),
            port: RwLock::new(Port {
                native: None,
                bytes,
                chunks,
                number: 0,
                find_deadline: None,
                is_used: AtomicBool::new(false),
                last: Mutex::default(),
            }),
        };
        pool.replace(&mut pool.write(), bytes, chunks)?;
        Ok(pool)
    }

    /// Lends memory for one frame. Replaces the port if the frame is larger than the chunks, or if all chunks are in use.
    pub fn loan(&self, len: usize) -> Result<Loan<H>> {
        loop {
            let port = self.read();
            let failure = match &port.native {
                Some(native) if len <= port.bytes => match native.loan_slice_uninit(len) {
                    Ok(sample) => return Ok(Loan::new(sample, port.number)),
                    Err(failure) => failure,
                },
                _ => LoanError::ExceedsMaxLoanSize,
            };
            let number = port.number;
            drop(port);
            let mut port = self.write();
            if port.number != number {
                continue;
            }
            match failure {
                LoanError::ExceedsMaxLoanSize => {
                    let wanted = chunk_bytes(len, port.is_used.load(Ordering::Relaxed));
                    let (bytes, chunks) = (wanted.max(port.bytes), port.chunks);
                    self.replace(&mut port, bytes, chunks)?;
                }
                LoanError::OutOfMemory => self.add_chunks(&mut port)?,
                LoanError::ExceedsMaxLoans => {
                    return Err(Error::LoanLimit { service: self.service.clone(), limit: self.max_loans });
                }
                other => return Err(transport(&self.service, "loan a frame", other)),
            }
        }
    }

    /// Doubles the number of chunks, up to the limit. If there is not enough shared memory, only this frame is dropped.
    fn add_chunks(&self, port: &mut Port<H>) -> Result<()> {
        let (bytes, chunks) = (port.bytes, port.chunks);
        let more = (2 * chunks).min(self.max_chunks);
        if more == chunks {
            return Err(self.out_of_frames(chunks, false));
        }
        self.replace(port, bytes, more).map_err(|error| match error {
            Error::SharedMemory { .. } => self.out_of_frames(chunks, true),
            Error::Obstacle { obstacle, .. } => self.out_of_frames(chunks, obstacle.kind() == ObstacleKind::Memory),
            other => other,
        })
    }

    /// Sends a loan and returns the number of subscribers that received it. A loan from a replaced port is copied.
    pub fn send(&self, mut loan: Loan<H>, header: &H) -> Result<usize> {
        loop {
            // The lock is held while sending, because replacing the port at the same time would lose the frame.
            let port = self.read();
            if loan.port == port.number {
                return self.send_through(&port, loan, header);
            }
            drop(port);
            let mut copy = self.loan(loan.len())?;
            copy.copy_from_slice(&loan);
            loan = copy;
        }
    }

    fn send_through(&self, port: &Port<H>, mut loan: Loan<H>, header: &H) -> Result<usize> {
        self.readers.wait_for_readers(&self.video);
        port.is_used.store(true, Ordering::Relaxed);
        *loan.sample.user_header_mut() = *header;
        let is_kept = self.video.static_config().history_size() > 0;
        let sent = Sent { payload: NonNull::from(&loan[..]), header: *header };
        let mut last = port.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = None;
        let receivers = loan.sample.into_inner().send().map_err(|e| match e {
            SendError::LoanError(_) => self.out_of_frames(port.chunks, false),
            other => transport(&self.service, "send a frame", other),
        })?;
        *last = is_kept.then_some(sent);
        drop(last);
        if let Some(backpressure) = &self.backpressure {
            backpressure.wait_until_found(&self.video);
        }
        Ok(receivers)
    }

    /// Connects new subscribers, which delivers the history to them.
    pub fn update_connections(&self) {
        if let Some(native) = &self.read().native {
            let _ = native.update_connections();
        }
    }

    /// Whether a subscriber could not be connected. iceoryx2 reports such a failure once and does not try again.
    pub fn has_failed_connection(&self) -> bool {
        self.failed_connection.load(Ordering::Relaxed)
    }

    pub fn ignore_failed_connection(&self) {
        self.failed_connection.store(false, Ordering::Relaxed);
    }

    /// Replaces the port by one with the same size. The new port connects to every subscriber.
    pub fn renew(&self) -> Result<()> {
        let mut port = self.write();
        let (bytes, chunks) = (port.bytes, port.chunks);
        self.replace(&mut port, bytes, chunks)
    }

    /// Call this before the publisher closes. It gives subscribers time to find the port, because frames that they have not found are lost
    /// with the port.
    ///
    /// A lossless publisher has already waited for its subscribers.
    pub fn linger(&self) {
        let port = self.read();
        let Some(deadline) = port.find_deadline else { return };
        if self.backpressure.is_some() || !port.is_used.load(Ordering::Relaxed) {
            return;
        }
        while Instant::now() < deadline && self.video.dynamic_config().number_of_subscribers() > 0 {
            thread::sleep(limits::FIND_LOOK);
        }
    }

    /// Removes the port permanently and announces the removal.
    pub fn close(&self) {
        self.write().native = None;
        self.readers.announce();
    }

    fn replace(&self, port: &mut Port<H>, bytes: usize, chunks: usize) -> Result<()> {
        check_shared_memory(&self.service, bytes, chunks)?;
        self.readers.begin(&self.video);
        // The service may admit only one publisher, so the old port is removed first. This SDK's subscribers expect such a gap.
        port.native = None;
        self.ignore_failed_connection();
        port.number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        // If there is no new port, the publisher no longer exists, so this must be announced to readers as well.
        let native = self.create(bytes, chunks).inspect_err(|_| self.readers.announce())?;
        port.native = Some(OfThisProcess::new(native));
        (port.bytes, port.chunks) = (bytes, chunks);
        let has_older = self.video.dynamic_config().number_of_subscribers() > 0;
        port.find_deadline = has_older.then(|| Instant::now() + limits::FIND);
        port.is_used = AtomicBool::new(false);
        port.last = Mutex::default();
        if let Some(backpressure) = &self.backpressure {
            backpressure.begin(&self.video);
        }
        self.readers.announce();
        Ok(())
    }

    fn create(&self, bytes: usize, chunks: usize) -> Result<Publisher<Iox, [u8], H>> {
        let failed = self.failed_connection.clone();
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
                    failed.store(true, Ordering::Relaxed);
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
            other => port_error(&self.readers.config, &self.service, "create a publisher", bytes * chunks, other),
        })
    }

    fn out_of_frames(&self, chunks: usize, is_memory_full: bool) -> Error {
        Error::OutOfFrames { service: self.service.clone(), chunks, is_memory_full }
    }

    fn read(&self) -> RwLockReadGuard<'_, Port<H>> {
        self.port.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Port<H>> {
        self.port.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// Returns a copy of the last frame and its header; `None` if the frame is no longer in memory.
    ///
    /// No frame may be sent during this call.
    pub fn repeat(&self) -> Result<Option<(Loan, VideoFrameHeader)>> {
        let len = {
            let port = self.read();
            let last = port.last.lock().unwrap_or_else(PoisonError::into_inner);
            match &*last {
                Some(sent) if sent.header.width > 0 => sent.payload.len(),
                _ => return Ok(None),
            }
        };
        let mut loan = self.loan(len)?;
        let port = self.read();
        let last = port.last.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(last.as_ref().filter(|sent| sent.payload.len() == len).map(|sent| {
            // SAFETY: the history keeps the sample until the next one is sent, and the lock keeps the port and its memory alive.
            loan.copy_from_slice(unsafe { sent.payload.as_ref() });
            (loan, sent.header)
        }))
    }
}

/// Rounds the size of a frame up to whole pages. After the first frame it rounds up further, so that slowly growing frames rarely replace
/// the port.
fn chunk_bytes(len: usize, is_used: bool) -> usize {
    let step = if is_used { len.next_power_of_two() / limits::GROWTH_STEPS } else { 0 };
    len.next_multiple_of(step.max(limits::PAGE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_consists_of_whole_pages_and_a_larger_frame_gets_a_little_more_than_it_needs() {
        let full_hd = 1920 * 1080 * 3;
        assert_eq!([1, 4096, 4097, full_hd].map(|len| chunk_bytes(len, false)), [4096, 4096, 8192, full_hd + 1024]);
        assert_eq!([1, 4096, 4097, full_hd].map(|len| chunk_bytes(len, true)), [4096, 4096, 8192, 6 << 20]);
    }
}
