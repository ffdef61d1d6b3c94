//! Decides when a sink sends a buffer: immediately in a live pipeline, otherwise at its timestamp.
//!
//! In a live pipeline the source sets the pace. Holding frames back for the pipeline's latency would only delay them.
//! `sync` stays true, so the sink still contributes to the pipeline's latency and the due times of frames do not change.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use gst::glib;
use gst::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

#[derive(Debug, Default)]
pub struct Pace {
    /// Whether the application has set `sync`.
    is_chosen: AtomicBool,
    /// The answer to the latency query; `None` before an answer.
    is_live: Mutex<Option<bool>>,
}

/// A sink that uses [`Pace`]. Its class calls [`install`].
pub trait Paced: BaseSinkImpl {
    fn pace(&self) -> &Pace;
}

impl Pace {
    /// Records that the application has set `sync`. Call it when a property was set.
    pub fn notified(&self, pspec: &glib::ParamSpec) {
        if pspec.name() == "sync" {
            self.is_chosen.store(true, Ordering::Relaxed);
        }
    }

    /// Discards the cached answer after events that may announce a different source. Call it for every event.
    pub fn event(&self, event: &gst::Event) {
        if matches!(event.type_(), gst::EventType::StreamStart | gst::EventType::Caps | gst::EventType::Latency) {
            *self.is_live.lock().unwrap() = None;
        }
    }

    /// Whether the sources of the pipeline are live.
    pub fn is_live(&self, sink: &gst_base::BaseSink) -> bool {
        if let Some(is_live) = *self.is_live.lock().unwrap() {
            return is_live;
        }
        let mut query = gst::query::Latency::new();
        // If there is no answer, the query is repeated for the next buffer.
        let is_live = sink.sink_pad().peer_query(&mut query).then(|| query.result().0);
        *self.is_live.lock().unwrap() = is_live;
        is_live.unwrap_or(false)
    }

    fn is_at_once(&self, sink: &gst_base::BaseSink) -> bool {
        !self.is_chosen.load(Ordering::Relaxed) && self.is_live(sink)
    }
}

/// Replaces the `get_times` function of a class.
pub fn install<T: Paced>(class: &mut glib::Class<gst_base::BaseSink>) {
    class.as_mut().get_times = Some(get_times::<T>);
}

/// Returns no start time for buffers that are sent immediately, so that BaseSink does not wait for the clock.
unsafe extern "C" fn get_times<T: Paced>(
    sink: *mut gst_base::ffi::GstBaseSink,
    buffer: *mut gst::ffi::GstBuffer,
    start: *mut gst::ffi::GstClockTime,
    end: *mut gst::ffi::GstClockTime,
) {
    // SAFETY: the base class calls this function only on instances of the class that `install` changed.
    let imp = unsafe { (*sink.cast::<T::Instance>()).imp() };
    let obj = imp.obj();
    if imp.pace().is_at_once(obj.upcast_ref()) {
        return;
    }
    let data = T::type_data();
    // SAFETY: the parent class is the BaseSink class, which lives as long as the process. The arguments are passed on unchanged.
    unsafe {
        let parent = data.as_ref().parent_class().cast::<gst_base::ffi::GstBaseSinkClass>();
        if let Some(get_times) = (*parent).get_times {
            get_times(sink, buffer, start, end);
        }
    }
}
