//! When a sink sends a buffer: at once in a live pipeline, else at the moment that its timestamp names.
//!
//! A live pipeline has its pace from its source. To hold every frame back for the latency of the pipeline would only make it older.
//! The sink still counts as one that synchronises: it asks for the same latency, and frames are due when they would be anyway.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use gst::glib;
use gst::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

#[derive(Debug, Default)]
pub struct Pace {
    /// The application has set `sync`, to whatever value.
    is_chosen: AtomicBool,
    /// The answer to the latency query, if there was one.
    is_live: Mutex<Option<bool>>,
}

/// A sink with that pace; its class calls [`install`], its instances pass on what [`Pace`] wants to know.
pub trait Paced: BaseSinkImpl {
    fn pace(&self) -> &Pace;
}

impl Pace {
    /// A property was set, be it to the value that it had.
    pub fn notified(&self, pspec: &glib::ParamSpec) {
        if pspec.name() == "sync" {
            self.is_chosen.store(true, Ordering::Relaxed);
        }
    }

    /// An event came to the element: behind some of them the pipeline may be another one.
    pub fn see(&self, event: &gst::Event) {
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
        // Without an answer it is asked again with the next buffer.
        let is_live = sink.sink_pad().peer_query(&mut query).then(|| query.result().0);
        *self.is_live.lock().unwrap() = is_live;
        is_live.unwrap_or(false)
    }

    fn is_at_once(&self, sink: &gst_base::BaseSink) -> bool {
        !self.is_chosen.load(Ordering::Relaxed) && self.is_live(sink)
    }
}

/// Makes a class of sinks keep their pace.
pub fn install<T: Paced>(class: &mut glib::Class<gst_base::BaseSink>) {
    class.as_mut().get_times = Some(get_times::<T>);
}

/// BaseSink waits for no clock if a buffer has no start here.
unsafe extern "C" fn get_times<T: Paced>(
    sink: *mut gst_base::ffi::GstBaseSink,
    buffer: *mut gst::ffi::GstBuffer,
    start: *mut gst::ffi::GstClockTime,
    end: *mut gst::ffi::GstClockTime,
) {
    // SAFETY: called by the base class on an instance of the class in which `install` put this function.
    let imp = unsafe { (*sink.cast::<T::Instance>()).imp() };
    let obj = imp.obj();
    if imp.pace().is_at_once(obj.upcast_ref()) {
        return;
    }
    let data = T::type_data();
    // SAFETY: the parent class is that of BaseSink, which lives as long as the process; the arguments are passed on as they came.
    unsafe {
        let parent = data.as_ref().parent_class().cast::<gst_base::ffi::GstBaseSinkClass>();
        if let Some(get_times) = (*parent).get_times {
            get_times(sink, buffer, start, end);
        }
    }
}
