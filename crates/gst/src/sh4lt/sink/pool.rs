//! Buffer pool that lends the segment, so that upstream can render into it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use gst::glib;
use gst::subclass::prelude::*;

use super::output::Output;
use crate::layout;
use crate::sh4lt::settings::raw_video;

glib::wrapper! {
    /// Pool of ordinary buffers. At most one buffer at a time is the segment.
    pub struct SegmentPool(ObjectSubclass<imp::SegmentPool>) @extends gst::BufferPool, gst::Object;
}

impl SegmentPool {
    /// Creates a pool that does not keep the writer alive, because upstream may keep the pool indefinitely.
    pub fn new(output: &Arc<Output>) -> Self {
        let pool: Self = glib::Object::new();
        pool.imp().output.set(Arc::downgrade(output)).unwrap_or_else(|_| unreachable!("a new pool has no output yet"));
        pool
    }
}

mod imp {
    use super::*;

    /// The configuration of the buffers.
    #[derive(Clone, Debug)]
    struct Layout {
        info: gst_video::VideoInfo,
        has_meta: bool,
        /// Whether the buffers contain only pixels, like the segment.
        is_lendable: bool,
    }

    #[derive(Default)]
    pub struct SegmentPool {
        pub(super) output: OnceLock<Weak<Output>>,
        layout: Mutex<Option<Layout>>,
        /// Address of the buffer that uses the segment as its memory.
        lent: AtomicUsize,
        flushing: AtomicBool,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for SegmentPool {
        const NAME: &'static str = "GstIceoryx2SegmentPool";
        type Type = super::SegmentPool;
        type ParentType = gst::BufferPool;
    }

    impl ObjectImpl for SegmentPool {}
    impl GstObjectImpl for SegmentPool {}

    impl BufferPoolImpl for SegmentPool {
        fn options() -> &'static [&'static str] {
            &["GstBufferPoolOptionVideoMeta"]
        }

        fn set_config(&self, config: &mut gst::BufferPoolConfigRef) -> bool {
            let Some((Some(caps), size, ..)) = config.params() else { return false };
            let Some(info) = raw_video(&caps) else { return false };
            let is_plain = config.allocator().is_none_or(|(_, params)| params.prefix() + params.padding() == 0);
            *self.layout.lock().unwrap() = Some(Layout {
                is_lendable: is_plain && info.size() == size as usize,
                has_meta: config.has_option("GstBufferPoolOptionVideoMeta"),
                info,
            });
            self.parent_set_config(config)
        }

        fn acquire_buffer(&self, params: Option<&gst::BufferPoolAcquireParams>) -> Result<gst::Buffer, gst::FlowError> {
            let Some(output) = self.output() else { return self.parent_acquire_buffer(params) };
            let others = output.outstanding.fetch_add(1, Ordering::SeqCst);
            if others == 0
                && let Some(buffer) = self.lend(&output)
            {
                return Ok(buffer);
            }
            self.parent_acquire_buffer(params).inspect_err(|_| {
                output.outstanding.fetch_sub(1, Ordering::SeqCst);
            })
        }

        fn alloc_buffer(&self, params: Option<&gst::BufferPoolAcquireParams>) -> Result<gst::Buffer, gst::FlowError> {
            let mut buffer = self.parent_alloc_buffer(params)?;
            self.describe(&mut buffer);
            Ok(buffer)
        }

        fn release_buffer(&self, buffer: gst::Buffer) {
            if let Some(output) = self.output() {
                output.outstanding.fetch_sub(1, Ordering::SeqCst);
            }
            let is_lent =
                self.lent.compare_exchange(buffer.as_ptr() as usize, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok();
            if !is_lent {
                self.parent_release_buffer(buffer);
            }
        }

        fn flush_start(&self) {
            self.flushing.store(true, Ordering::SeqCst);
            self.parent_flush_start();
        }

        fn flush_stop(&self) {
            self.flushing.store(false, Ordering::SeqCst);
            self.parent_flush_stop();
        }
    }

    impl SegmentPool {
        fn output(&self) -> Option<Arc<Output>> {
            self.output.get().and_then(Weak::upgrade)
        }

        /// Returns the segment as a buffer, if it is not in use.
        fn lend(&self, output: &Output) -> Option<gst::Buffer> {
            let size = self.layout.lock().unwrap().as_ref().filter(|layout| layout.is_lendable)?.info.size();
            let lent = output.lend(size, &self.flushing)?;
            let mut buffer = gst::Buffer::new();
            buffer.get_mut().expect("a new buffer").append_memory(gst::Memory::from_mut_slice(lent));
            self.describe(&mut buffer);
            self.lent.store(buffer.as_ptr() as usize, Ordering::SeqCst);
            Some(buffer)
        }

        /// Adds the configured video meta.
        fn describe(&self, buffer: &mut gst::Buffer) {
            let layout = self.layout.lock().unwrap();
            if let Some(Layout { info, .. }) = layout.as_ref().filter(|layout| layout.has_meta) {
                let _ = layout::add_meta(buffer.get_mut().expect("a new buffer"), info, info.offset(), info.stride());
            }
        }
    }
}
