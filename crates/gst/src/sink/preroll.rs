//! Waits inside `render` and `event` without blocking state changes.
//!
//! BaseSink calls both functions with its preroll lock held, and takes the same lock for every state change. It does not call `unlock()`
//! before PAUSED → PLAYING. In GStreamer 1.22, a buffer can also pass preroll between two quick state changes. A sink that waits with the
//! lock held would then block the application. So every wait here releases the lock, as `gst_base_sink_wait_clock()` does. After the wait,
//! [`resume`] checks whether the element was paused or must stop.

use std::cell::Cell;

use gst::glib;
use gst::glib::translate::FromGlib;
use gst::prelude::*;

thread_local! {
    static HOLDS_LOCK: Cell<bool> = const { Cell::new(false) };
}

/// Marks a call that BaseSink makes with its preroll lock held.
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

/// Whether this thread is in a call that BaseSink makes with its preroll lock held.
pub fn is_held() -> bool {
    HOLDS_LOCK.get()
}

/// Waits. If this thread holds the preroll lock, the lock is released during the wait.
pub fn wait(sink: &gst_base::BaseSink, wait: impl FnOnce()) {
    if !is_held() {
        return wait();
    }
    // SAFETY: the reference keeps the element alive. The lock is a public field, and no other field is accessed.
    let lock = unsafe { &raw mut (*sink.as_ptr()).preroll_lock };
    // SAFETY: this thread holds the lock. It takes the lock again below, as the base class expects.
    unsafe { glib::ffi::g_mutex_unlock(lock) };
    wait();
    // SAFETY: as above.
    unsafe { glib::ffi::g_mutex_lock(lock) };
}

/// Call this after a wait inside a BaseSink call. Blocks while the element is paused; returns an error if the element must stop.
pub fn resume(sink: &gst_base::BaseSink) -> Result<(), gst::FlowError> {
    debug_assert!(is_held());
    // SAFETY: this thread holds the lock that protects the field.
    if unsafe { (*sink.as_ptr()).flushing } != glib::ffi::GFALSE {
        return Err(gst::FlowError::Flushing);
    }
    // The function accepts any object, but inspects only buffers.
    let any = gst::event::CustomDownstream::new(gst::Structure::new_empty("GstIceoryx2Pause"));
    // SAFETY: both objects outlive the call, and this thread holds the lock.
    let flow = unsafe {
        gst::FlowReturn::from_glib(gst_base::ffi::gst_base_sink_do_preroll(sink.as_ptr(), any.as_mut_ptr().cast()))
    };
    flow.into_result().map(drop)
}
