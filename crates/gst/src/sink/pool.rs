//! Buffer pool in shared memory, so that upstream renders into the memory that subscribers read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use gst::glib;
use gst::subclass::prelude::*;
use gst_plugin_iceoryx2_video::{Error, Loan, VideoFramePublisher};
use gst_video::prelude::*;

use crate::layout;
use crate::log::CAT;

/// How long to wait for a free loan. When the wait times out, the pool allocates ordinary memory and the frame is copied.
const STARVATION_WAIT: Duration = Duration::from_millis(100);

/// Limits how many loans upstream holds at once.
#[derive(Debug)]
pub struct Budget {
    free: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug)]
struct State {
    loans: usize,
    waiting: usize,
    /// Whether the last wait timed out. If so, upstream holds more buffers than there are loans, and further requests do not wait.
    has_timed_out: bool,
}

impl Budget {
    pub fn new(loans: usize) -> Arc<Self> {
        let state = State { loans, waiting: 0, has_timed_out: false };
        Arc::new(Self { free: Mutex::new(state), returned: Condvar::new() })
    }

    /// Reserves a loan. Returns `None` if no loan becomes free within a short wait, or if `flushing` is set.
    fn take(self: &Arc<Self>, flushing: &AtomicBool) -> Option<Place> {
        let mut state = self.free.lock().unwrap();
        let mut deadline = None;
        while state.loans == 0 {
            let now = Instant::now();
            let left = deadline.get_or_insert(now + STARVATION_WAIT).saturating_duration_since(now);
            if state.has_timed_out || left.is_zero() || flushing.load(Ordering::SeqCst) {
                state.has_timed_out = true;
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
        // The lock ensures that no thread is between its check of `flushing` and its wait, where it would miss the notification.
        drop(self.free.lock().unwrap());
        self.returned.notify_all();
    }
}

/// A reservation for one loan, which is released when dropped.
#[derive(Debug)]
struct Place(Arc<Budget>);

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.0.free.lock().unwrap();
        state.loans += 1;
        state.has_timed_out = false;
        // Notifying without this check would be a system call even if no thread waits.
        if state.waiting > 0 {
            drop(state);
            self.0.returned.notify_one();
        }
    }
}

/// A loan that is wrapped in a GstMemory. Upstream sees only the pixels, not the space for the aux blob after them.
#[derive(Debug)]
pub struct LoanMemory {
    loan: Loan,
    pixels: usize,
    // Declared after `loan` and thus dropped after it, so that the place becomes free only when the loan has been returned.
    _place: Place,
}

impl AsMut<[u8]> for LoanMemory {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.loan[..self.pixels]
    }
}

impl LoanMemory {
    /// Returns the loan and the number of pixel bytes at its start.
    pub fn into_loan(self) -> (Loan, usize) {
        (self.loan, self.pixels)
    }
}

glib::wrapper! {
    /// Pool of buffers in shared memory.
    pub struct LoanPool(ObjectSubclass<imp::LoanPool>) @extends gst::BufferPool, gst::Object;
}

impl LoanPool {
    /// Creates a pool that does not keep the publisher alive, because upstream may keep the pool indefinitely.
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

    /// Layout of each buffer.
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
                gst::warning!(CAT, imp = self, "not raw video: {caps}");
                return false;
            };
            let (publisher, _) = self.source.get().expect("set when the pool was made");
            let meta = config.has_option("GstBufferPoolOptionVideoMeta");
            let mut alignment = None;
            if config.has_option("GstBufferPoolOptionVideoAlignment") {
                let mut wish = config.video_alignment().unwrap_or_default();
                // The alignment of a row cannot exceed the alignment of its frame.
                let memory = config.allocator().map_or(0, |(_, params)| params.align());
                let rows = wish.stride_align().iter().copied().max().unwrap_or_default() as usize;
                let offered = publisher.upgrade().map_or(1, |publisher| publisher.payload_alignment());
                if rows.max(memory) >= offered {
                    gst::info!(
                        CAT,
                        imp = self,
                        "cannot align buffers to {} bytes, because the service aligns frames to {offered} bytes",
                        rows.max(memory) + 1
                    );
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
            // Buffers are not allocated in advance, because each loan is used for only one frame.
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
                let contents = buffer.get_mut().expect("a new buffer");
                let mut meta = layout::add_meta(contents, info, info.offset(), info.stride())?;
                if let Some(alignment) = &layout.alignment {
                    meta.set_alignment(alignment).map_err(|_| gst::FlowError::Error)?;
                }
            }
            Ok(buffer)
        }

        fn release_buffer(&self, mut buffer: gst::Buffer) {
            // Buffers are not reused, because the frame was sent or its loan must be returned. This flag makes the parent free the buffer.
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
        /// Lends shared memory for `pixels` bytes and the aux blob; `None` if no loan becomes free in time.
        fn lend(&self, pixels: usize) -> Option<LoanMemory> {
            let (publisher, budget) = self.source.get().expect("set when the pool was made");
            let place = budget.take(&self.flushing)?;
            let publisher = publisher.upgrade()?;
            match publisher.loan(pixels + publisher.aux_bytes()) {
                Ok(loan) => Some(LoanMemory { loan, pixels, _place: place }),
                Err(error) => {
                    let is_expected = matches!(error, Error::LoanLimit { .. } | Error::OutOfFrames { .. });
                    let level = if is_expected { gst::DebugLevel::Debug } else { gst::DebugLevel::Warning };
                    gst::log_with_level!(CAT, level, imp = self, "{error}");
                    None
                }
            }
        }
    }
}
