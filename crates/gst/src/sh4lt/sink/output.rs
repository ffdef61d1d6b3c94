//! The writer of a sink, and the frames in it that upstream renders.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use gst_plugin_iceoryx2_shmdata::{Lent, Wakeup, Writer};

use crate::log::CAT;

/// After this many frames that upstream held one at a time, it is lent the segment to render the next ones in.
const ALONE_IN_A_ROW: u32 = 3;

/// What a sink shares with its pools, which may outlive it.
#[derive(Debug, Default)]
pub struct Output {
    /// `None` until the sink has caps.
    pub state: Mutex<Option<State>>,
    /// Buffers of the pools that are in use.
    pub outstanding: AtomicUsize,
    /// How often waits were ended from outside.
    interrupts: AtomicU64,
}

impl Output {
    /// Ends the waits of all threads.
    pub fn end_waits(&self) {
        self.interrupts.fetch_add(1, Ordering::SeqCst);
    }

    /// Lends the segment for the next frame of `size` bytes; `None` if it is in use, upstream keeps frames, or the wait was ended.
    pub fn lend(&self, size: usize, flushing: &AtomicBool) -> Option<Lent> {
        let before = self.interrupts.load(Ordering::SeqCst);
        let mut state = self.state.lock().unwrap();
        let state = state.as_mut().filter(|state| state.alone >= ALONE_IN_A_ROW && !state.keeps_frames)?;
        let is_set = || flushing.load(Ordering::SeqCst) || self.interrupts.load(Ordering::SeqCst) != before;
        state.writer.lend(size, Wakeup { descriptor: -1, is_set: &is_set }).unwrap_or_else(|error| {
            gst::warning!(CAT, "the segment cannot be lent: {error}");
            None
        })
    }
}

pub struct State {
    pub writer: Writer,
    /// Set for raw video, whose rows travel as GStreamer lays them out by default.
    pub info: Option<gst_video::VideoInfo>,
    /// Frames in a row that upstream had one at a time. A segment has no place for a second one.
    pub alone: u32,
    /// Whether upstream has kept a frame in the segment while it sent another one.
    pub keeps_frames: bool,
}

impl State {
    pub fn new(writer: Writer, info: Option<gst_video::VideoInfo>) -> Self {
        Self { writer, info, alone: 0, keeps_frames: false }
    }

    /// Bytes of a frame that travel.
    pub fn size(&self, buffer: &gst::BufferRef) -> usize {
        self.info.as_ref().map_or(buffer.size(), |info| buffer.size().min(info.size()))
    }

    /// Whether rows lie elsewhere than they do by default.
    pub fn is_strided(&self, buffer: &gst::BufferRef) -> bool {
        self.info
            .as_ref()
            .zip(buffer.meta::<gst_video::VideoMeta>())
            .is_some_and(|(info, meta)| meta.stride() != info.stride() || meta.offset() != info.offset())
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("path", &self.writer.path()).finish_non_exhaustive()
    }
}
