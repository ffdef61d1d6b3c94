//! Waiting inside `render` and `event` without holding state changes up.
//!
//! BaseSink calls both with its preroll lock held, and takes that lock for every change of state. It calls `unlock()` before most
//! of them, but not before PAUSED → PLAYING, and between two quick changes its own preroll lets a buffer through (1.22): a sink
//! that then waits with the lock held stops the application. So the lock is released around every wait, as
//! `gst_base_sink_wait_clock()` does, and afterwards [`resume`] looks at what has changed.

use std::cell::Cell;

use gst::glib;
use gst::glib::translate::FromGlib;
use gst::prelude::*;

thread_local! {
    static HOLDS_LOCK: Cell<bool> = const { Cell::new(false) };
}

/// A call that BaseSink makes with its preroll lock held, for as long as this lives.
pub struct InCall(());

impl InCall {
    pub fn begin() -> Self {
        HOLDS_LOCK.set(true);
        Self(())
    }
}

impl Drop for InCall {
    fn drop(&mut self) {
        HOLDS_LOCK.set(false);
    }
}

/// Whether this thread is in such a call.
pub fn is_held() -> bool {
    HOLDS_LOCK.get()
}

/// Waits; in a call of BaseSink's without its lock.
pub fn wait(sink: &gst_base::BaseSink, wait: impl FnOnce()) {
    if !is_held() {
        return wait();
    }
    // SAFETY: the element lives as long as the reference; the lock is part of its public fields, and nothing else is touched.
    let lock = unsafe { &raw mut (*sink.as_ptr()).preroll_lock };
    // SAFETY: this thread holds the lock, and holds it again afterwards, as the base class expects.
    unsafe { glib::ffi::g_mutex_unlock(lock) };
    wait();
    // SAFETY: as above.
    unsafe { glib::ffi::g_mutex_lock(lock) };
}

/// In a call of BaseSink's, after a wait: stays for as long as the element is paused; an error if it is to stop.
pub fn resume(sink: &gst_base::BaseSink) -> Result<(), gst::FlowError> {
    debug_assert!(is_held());
    // SAFETY: the field is written with the lock held only, which this thread holds.
    if unsafe { (*sink.as_ptr()).flushing } != glib::ffi::GFALSE {
        return Err(gst::FlowError::Flushing);
    }
    // Takes any object as that which is to be shown, and looks at nothing but buffers.
    let any = gst::event::CustomDownstream::new(gst::Structure::new_empty("GstIceoryx2Pause"));
    // SAFETY: both pointers are of live objects, borrowed for the call, and the lock is held.
    let flow = unsafe {
        gst::FlowReturn::from_glib(gst_base::ffi::gst_base_sink_do_preroll(sink.as_ptr(), any.as_mut_ptr().cast()))
    };
    flow.into_result().map(drop)
}
