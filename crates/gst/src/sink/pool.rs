//! A buffer pool whose buffers are loaned shared memory, so that upstream renders where subscribers read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use gst::glib;
use gst::subclass::prelude::*;
use gst_plugin_iceoryx2_video::{Error, Loan, VideoFramePublisher};
use gst_video::prelude::*;

use crate::log::CAT;

/// How long a buffer is waited for when all loans are out, before ordinary memory (and a copy) serves instead.
const STARVATION_WAIT: Duration = Duration::from_millis(100);

/// Loans that upstream may have out at once, and a way to wait for one.
#[derive(Debug)]
pub struct Budget {
    free: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug)]
struct State {
    loans: usize,
    waiting: usize,
    /// A wait was in vain: upstream needs more buffers than there are loans, so it is not made to wait for each.
    in_vain: bool,
}

impl Budget {
    pub fn new(loans: usize) -> Arc<Self> {
        let state = State { loans, waiting: 0, in_vain: false };
        Arc::new(Self { free: Mutex::new(state), returned: Condvar::new() })
    }

    /// Takes a loan's place, waiting a little for one; `None` when there is none in time or `flushing` is set.
    fn take(self: &Arc<Self>, flushing: &AtomicBool) -> Option<Place> {
        let mut state = self.free.lock().unwrap();
        let mut deadline = None;
        while state.loans == 0 {
            let now = Instant::now();
            let left = deadline.get_or_insert(now + STARVATION_WAIT).saturating_duration_since(now);
            if state.in_vain || left.is_zero() || flushing.load(Ordering::SeqCst) {
                state.in_vain = true;
                return None;
            }
            state.waiting += 1;
            state = self.returned.wait_timeout(state, left).unwrap().0;
            state.waiting -= 1;
        }
        state.loans -= 1;
        Some(Place(self.clone()))
    }

    fn wake(&self) {
        // With the lock, so that a waiter that has just looked at the flag is not missed.
        drop(self.free.lock().unwrap());
        self.returned.notify_all();
    }
}

/// One loan of the budget; free again when dropped.
#[derive(Debug)]
struct Place(Arc<Budget>);

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.0.free.lock().unwrap();
        state.loans += 1;
        state.in_vain = false;
        // Notifying is a system call even when nobody waits.
        if state.waiting > 0 {
            drop(state);
            self.0.returned.notify_one();
        }
    }
}

/// A loan inside a GstMemory: upstream sees the pixels, the aux tail behind them stays ours.
#[derive(Debug)]
pub struct LoanMemory {
    loan: Loan,
    pixels: usize,
    // After `loan`: the place is free once the loan is back.
    _place: Place,
}

impl AsMut<[u8]> for LoanMemory {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.loan[..self.pixels]
    }
}

impl LoanMemory {
    /// The loan, for sending, and the number of bytes of pixels at its beginning.
    pub fn into_loan(self) -> (Loan, usize) {
        (self.loan, self.pixels)
    }
}

glib::wrapper! {
    /// Pool of loaned buffers.
    pub struct LoanPool(ObjectSubclass<imp::LoanPool>) @extends gst::BufferPool, gst::Object;
}

impl LoanPool {
    /// Upstream may keep the pool for as long as it likes: that must not keep the publisher.
    pub fn new(publisher: &Arc<VideoFramePublisher>, budget: Arc<Budget>) -> Self {
        let pool: Self = glib::Object::new();
        pool.imp()
            .source
            .set((Arc::downgrade(publisher), budget))
            .unwrap_or_else(|_| unreachable!("a new pool has no source yet"));
        pool
    }
}

mod imp {
    use super::*;

    /// How each buffer is laid out.
    #[derive(Clone, Debug)]
    struct Layout {
        info: gst_video::VideoInfo,
        size: usize,
        alignment: Option<gst_video::VideoAlignment>,
        meta: bool,
    }

    #[derive(Debug, Default)]
    pub struct LoanPool {
        pub(super) source: OnceLock<(Weak<VideoFramePublisher>, Arc<Budget>)>,
        layout: Mutex<Option<Layout>>,
        flushing: AtomicBool,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for LoanPool {
        const NAME: &'static str = "GstIceoryx2LoanPool";
        type Type = super::LoanPool;
        type ParentType = gst::BufferPool;
    }

    impl ObjectImpl for LoanPool {}
    impl GstObjectImpl for LoanPool {}

    impl BufferPoolImpl for LoanPool {
        fn options() -> &'static [&'static str] {
            static OPTIONS: [&str; 2] = ["GstBufferPoolOptionVideoMeta", "GstBufferPoolOptionVideoAlignment"];
            &OPTIONS
        }

        fn set_config(&self, config: &mut gst::BufferPoolConfigRef) -> bool {
            let Some((Some(caps), size, min, max)) = config.params() else {
                return false;
            };
            let Ok(mut info) = gst_video::VideoInfo::from_caps(&caps) else {
                gst::warning!(CAT, imp = self, "no raw video caps: {caps}");
                return false;
            };
            let (publisher, _) = self.source.get().expect("set when the pool was made");
            let meta = config.has_option("GstBufferPoolOptionVideoMeta");
            let mut alignment = None;
            if config.has_option("GstBufferPoolOptionVideoAlignment") {
                let mut wish = config.video_alignment().unwrap_or_default();
                // Rows of a frame are as aligned as the frame itself.
                let memory = config.allocator().map_or(0, |(_, params)| params.align());
                let rows = wish.stride_align().iter().copied().max().unwrap_or_default() as usize;
                let offered = publisher.upgrade().map_or(1, |publisher| publisher.payload_alignment());
                if rows.max(memory) >= offered {
                    gst::info!(CAT, imp = self, "alignment {} is more than the service's", rows.max(memory) + 1);
                    return false;
                }
                if info.align(&mut wish).is_err() {
                    return false;
                }
                config.set_video_alignment(&wish);
                alignment = Some(wish);
            }
            let size = info.size().max(size as usize);
            config.set_params(Some(&caps), size as u32, min, max);
            *self.layout.lock().unwrap() = Some(Layout { info, size, alignment, meta: meta || alignment.is_some() });
            self.parent_set_config(config)
        }

        fn start(&self) -> bool {
            // Nothing to make beforehand: a loan is for one frame.
            true
        }

        fn alloc_buffer(&self, _params: Option<&gst::BufferPoolAcquireParams>) -> Result<gst::Buffer, gst::FlowError> {
            let layout = self.layout.lock().unwrap().clone().ok_or(gst::FlowError::NotNegotiated)?;
            let mut buffer = match self.lend(layout.size) {
                Some(memory) => {
                    let mut buffer = gst::Buffer::new();
                    buffer.get_mut().expect("a new buffer").append_memory(gst::Memory::from_mut_slice(memory));
                    buffer
                }
                None if self.flushing.load(Ordering::SeqCst) => return Err(gst::FlowError::Flushing),
                None => gst::Buffer::with_size(layout.size).map_err(|_| gst::FlowError::Error)?,
            };
            if layout.meta {
                let info = &layout.info;
                let mut meta = gst_video::VideoMeta::add_full(
                    buffer.get_mut().expect("a new buffer"),
                    gst_video::VideoFrameFlags::empty(),
                    info.format(),
                    info.width(),
                    info.height(),
                    info.offset(),
                    info.stride(),
                )
                .map_err(|_| gst::FlowError::Error)?;
                if let Some(alignment) = &layout.alignment {
                    meta.set_alignment(alignment).map_err(|_| gst::FlowError::Error)?;
                }
            }
            Ok(buffer)
        }

        fn release_buffer(&self, mut buffer: gst::Buffer) {
            // Never used twice: what comes back was sent, or its loan has to be given back. Tagged memory makes the parent free it.
            if let Some(buffer) = buffer.get_mut() {
                buffer.set_flags(gst::BufferFlags::TAG_MEMORY);
            }
            self.parent_release_buffer(buffer);
        }

        fn flush_start(&self) {
            self.flushing.store(true, Ordering::SeqCst);
            if let Some((_, budget)) = self.source.get() {
                budget.wake();
            }
            self.parent_flush_start();
        }

        fn flush_stop(&self) {
            self.flushing.store(false, Ordering::SeqCst);
            self.parent_flush_stop();
        }
    }

    impl LoanPool {
        /// Shared memory for `pixels` bytes and an aux tail, or `None` if there is none to be had in time.
        fn lend(&self, pixels: usize) -> Option<LoanMemory> {
            let (publisher, budget) = self.source.get().expect("set when the pool was made");
            let place = budget.take(&self.flushing)?;
            let publisher = publisher.upgrade()?;
            match publisher.loan(pixels + publisher.aux_bytes()) {
                Ok(loan) => Some(LoanMemory { loan, pixels, _place: place }),
                Err(error @ (Error::LoanLimit { .. } | Error::OutOfFrames { .. })) => {
                    gst::debug!(CAT, imp = self, "{error}");
                    None
                }
                Err(error) => {
                    gst::warning!(CAT, imp = self, "{error}");
                    None
                }
            }
        }
    }
}
