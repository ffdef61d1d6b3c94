//! The writer of `sh4ltsink`, and the segment that it lends to upstream.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use gst_plugin_iceoryx2_shmdata::{Lent, Wakeup, Writer};
use gst_plugin_iceoryx2_video::VideoFrameHeader;

use crate::layout;
use crate::log::CAT;

/// When upstream has held only one frame at a time for this many frames in a row, the segment is lent to it.
const ALONE_IN_A_ROW: u32 = 3;

/// State that a sink shares with its pools. A pool may outlive the sink.
#[derive(Default)]
pub struct Output {
    /// The writer and its stream; `None` until the sink has caps.
    pub state: Mutex<Option<State>>,
    /// Number of pool buffers in use.
    pub outstanding: AtomicUsize,
    /// Number of times that waits were ended from outside.
    interrupts: AtomicU64,
}

impl Output {
    /// Ends the waits of all threads.
    pub fn end_waits(&self) {
        self.interrupts.fetch_add(1, Ordering::SeqCst);
    }

    /// Lends the segment for the next frame of `size` bytes; `None` if the segment is in use, upstream keeps frames, or the wait was
    /// interrupted.
    pub fn lend(&self, size: usize, flushing: &AtomicBool) -> Option<Lent> {
        let before = self.interrupts.load(Ordering::SeqCst);
        let mut state = self.state.lock().unwrap();
        let state = state.as_mut().filter(|state| state.alone >= ALONE_IN_A_ROW && !state.keeps_frames)?;
        let is_set = || flushing.load(Ordering::SeqCst) || self.interrupts.load(Ordering::SeqCst) != before;
        state.writer.lend(size, Wakeup { descriptor: -1, is_set: &is_set }).unwrap_or_else(|error| {
            gst::warning!(CAT, "cannot lend the segment: {error}");
            None
        })
    }
}

pub struct State {
    pub writer: Writer,
    /// The default layout of raw video, which is the layout that is sent.
    pub info: Option<gst_video::VideoInfo>,
    /// Number of consecutive frames for which upstream held only one frame at a time.
    pub alone: u32,
    /// Whether upstream kept the frame in the segment while it sent another one.
    pub keeps_frames: bool,
}

impl State {
    pub fn new(writer: Writer, info: Option<gst_video::VideoInfo>) -> Self {
        Self { writer, info, alone: 0, keeps_frames: false }
    }

    /// Returns the number of bytes to send for a frame.
    pub fn size(&self, buffer: &gst::BufferRef) -> usize {
        self.info.as_ref().map_or(buffer.size(), |info| buffer.size().min(info.size()))
    }

    /// Whether the rows of a buffer differ from GStreamer's default layout.
    pub fn is_strided(&self, buffer: &gst::BufferRef) -> bool {
        self.info
            .as_ref()
            .zip(buffer.meta::<gst_video::VideoMeta>())
            .is_some_and(|(info, meta)| meta.stride() != info.stride() || meta.offset() != info.offset())
    }

    /// Returns the default layout and the buffer's layout, if they differ.
    pub fn rearranged(&self, buffer: &gst::BufferRef) -> Option<(gst_video::VideoInfo, VideoFrameHeader)> {
        let info = self.info.as_ref()?;
        let header = match buffer.meta::<gst_video::VideoMeta>().filter(|_| self.is_strided(buffer)) {
            Some(meta) => layout::header(info, meta.offset(), meta.stride()),
            None => layout::packed(info, buffer.size()).filter(|_| buffer.size() < info.size()),
        }?;
        Some((info.clone(), header))
    }
}
