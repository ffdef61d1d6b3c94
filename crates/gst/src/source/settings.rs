//! Names, values, defaults and descriptions of the `iceoryx2src` properties.

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;
use gst_plugin_iceoryx2_video as video;

use crate::properties::{boolean, counter, read, read_service, service, text, uint};

/// Values of the writable properties. A QoS value is `Some` if it was set; the publisher's service must then offer it.
#[derive(Clone, Debug)]
pub struct Settings {
    pub service: String,
    pub buffer_size: Option<u32>,
    pub borrowed_max: Option<u32>,
    pub history_size: Option<u32>,
    pub safe_overflow: Option<bool>,
    pub max_buffers: u32,
    pub leaky_type: LeakyType,
    pub timestamp_mode: TimestampMode,
    pub on_disconnect: OnDisconnect,
    pub busy_wait: gst::ClockTime,
    pub processing_deadline: gst::ClockTime,
    pub results: Option<String>,
    pub results_wait: gst::ClockTime,
}

/// Which frames are pushed when several are waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstIceoryx2SrcLeakyType")]
pub enum LeakyType {
    #[default]
    #[enum_value(name = "Every waiting frame, in order", nick = "none")]
    None = 0,
    #[enum_value(name = "Only the newest frame; older frames are skipped", nick = "downstream")]
    Downstream = 2,
}

/// How buffers are timestamped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstIceoryx2SrcTimestampMode")]
pub enum TimestampMode {
    #[default]
    #[enum_value(
        name = "The publisher's time, converted to this pipeline's running time; time of arrival if the publisher does not send times",
        nick = "converted"
    )]
    Converted = 0,
    #[enum_value(name = "The publisher's timestamps, unchanged", nick = "original")]
    Original = 1,
    #[enum_value(name = "Time of arrival", nick = "arrival")]
    Arrival = 2,
}

/// What to do when the last publisher exits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstIceoryx2SrcOnDisconnect")]
pub enum OnDisconnect {
    #[default]
    #[enum_value(name = "Wait for the next publisher", nick = "wait")]
    Wait = 0,
    #[enum_value(name = "End the stream", nick = "eos")]
    Eos = 1,
    #[enum_value(name = "Post an error", nick = "error")]
    Error = 2,
}

/// Default of GstBaseSink's `processing-deadline`.
const PROCESSING_DEADLINE: gst::ClockTime = gst::ClockTime::from_mseconds(20);
const RESULTS_WAIT: gst::ClockTime = gst::ClockTime::from_mseconds(80);

impl Default for Settings {
    fn default() -> Self {
        Self {
            service: video::DEFAULT_SERVICE.into(),
            buffer_size: None,
            borrowed_max: None,
            history_size: None,
            safe_overflow: None,
            max_buffers: 0,
            leaky_type: LeakyType::default(),
            timestamp_mode: TimestampMode::default(),
            on_disconnect: OnDisconnect::default(),
            busy_wait: gst::ClockTime::ZERO,
            processing_deadline: PROCESSING_DEADLINE,
            results: None,
            results_wait: RESULTS_WAIT,
        }
    }
}

impl Settings {
    /// Sets one property.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        match name {
            "service" => self.service = read_service(value),
            "buffer-size" => self.buffer_size = Some(read(value)),
            "borrowed-max" => self.borrowed_max = Some(read(value)),
            "history-size" => self.history_size = Some(read(value)),
            "safe-overflow" => self.safe_overflow = Some(read(value)),
            "max-buffers" => self.max_buffers = read(value),
            "leaky-type" => self.leaky_type = read(value),
            "timestamp-mode" => self.timestamp_mode = read(value),
            "on-disconnect" => self.on_disconnect = read(value),
            "busy-wait" => self.busy_wait = read(value),
            "processing-deadline" => self.processing_deadline = read(value),
            "results" => self.results = read(value),
            "results-wait" => self.results_wait = read(value),
            other => unreachable!("no such property: {other}"),
        }
    }

    /// Returns the value of one property.
    pub fn get(&self, name: &str) -> glib::Value {
        let qos = video::Qos::default();
        match name {
            "service" => self.service.to_value(),
            "buffer-size" => self.buffer_size.unwrap_or(qos.buffer_size).to_value(),
            "borrowed-max" => self.borrowed_max.unwrap_or(qos.borrowed_max).to_value(),
            "history-size" => self.history_size.unwrap_or(qos.history_size).to_value(),
            "safe-overflow" => self.safe_overflow.unwrap_or(qos.safe_overflow).to_value(),
            "max-buffers" => self.max_buffers.to_value(),
            "leaky-type" => self.leaky_type.to_value(),
            "timestamp-mode" => self.timestamp_mode.to_value(),
            "on-disconnect" => self.on_disconnect.to_value(),
            "busy-wait" => self.busy_wait.to_value(),
            "processing-deadline" => self.processing_deadline.to_value(),
            "results" => self.results.to_value(),
            "results-wait" => self.results_wait.to_value(),
            other => unreachable!("no such property: {other}"),
        }
    }

    /// Returns the time for which frames wait for results.
    pub fn hold(&self) -> gst::ClockTime {
        if self.results.is_some() { self.results_wait } else { gst::ClockTime::ZERO }
    }

    /// Returns the requirements that the publisher's service must meet.
    pub fn requirements(&self) -> video::Requirements {
        video::Requirements {
            buffer_size: self.buffer_size,
            borrowed_max: self.borrowed_max,
            history_size: self.history_size,
            safe_overflow: self.safe_overflow,
            max_buffers: (self.max_buffers > 0).then_some(self.max_buffers),
        }
    }
}

/// All properties of the source.
pub static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
    let qos = video::Qos::default();
    let (any, positive) = (0..=u32::MAX, 1..=u32::MAX);
    let nanoseconds = |name: &'static str, nick, blurb| glib::ParamSpecUInt64::builder(name).nick(nick).blurb(blurb);
    vec![
        service("Name of the iceoryx2 service to receive from, 1 to 255 bytes of printable ASCII"),
        uint("buffer-size", "Buffer", "Frames that can wait in this element; if set, the publisher must offer at least this number (unset: the publisher decides)", positive.clone(), qos.buffer_size),
        uint("borrowed-max", "Borrowed frames", "Frames that downstream can hold before the element copies; if set, the publisher must offer at least this number (unset: the publisher decides)", positive, qos.borrowed_max),
        uint("history-size", "History", "Number of past frames to receive when connecting; if above 0, the publisher must keep at least this number (0 = as many as the publisher keeps)", any.clone(), qos.history_size),
        boolean("safe-overflow", "Overflow", "Whether the oldest waiting frame is dropped when the buffer is full; if set, the publisher must use the same value (unset: the publisher decides)", qos.safe_overflow),
        uint("max-buffers", "Waiting frames", "Largest number of frames that can wait in this element, even if the publisher offers more (0 = as many as the publisher offers)", any, 0),
        glib::ParamSpecEnum::builder::<LeakyType>("leaky-type")
            .nick("Leaky type")
            .blurb("Which frames to push when several are waiting; skipped frames are counted in frames-skipped, and the frame after them is marked DISCONT")
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder::<TimestampMode>("timestamp-mode")
            .nick("Timestamp mode")
            .blurb("How buffers are timestamped")
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder::<OnDisconnect>("on-disconnect")
            .nick("On disconnect")
            .blurb("What to do when the last publisher exits without ending the stream")
            .mutable_playing()
            .build(),
        nanoseconds("busy-wait", "Busy wait", "Nanoseconds to poll for the next frame before sleeping; polling saves the wake-up time, but occupies a processor core (0 = sleep immediately)")
            .mutable_ready()
            .build(),
        nanoseconds("processing-deadline", "Processing deadline", "Nanoseconds allowed for a frame to travel from its publisher to the sink; reported as latency")
            .default_value(PROCESSING_DEADLINE.nseconds())
            .mutable_playing()
            .build(),
        text("results", "Results", "Names of detectors, separated by commas, whose results are attached to the frames that they belong to: as GstVideoRegionOfInterestMeta, and since GStreamer 1.24 also as GstAnalyticsRelationMeta. A name with slashes is the full name of a service of results", None),
        nanoseconds("results-wait", "Wait for results", "Nanoseconds that a frame waits for its results; added to the latency. While elements downstream and this one hold as many frames as the publisher allows, frames wait less")
            .default_value(RESULTS_WAIT.nseconds())
            .mutable_ready()
            .build(),
        counter("frames-skipped", "Frames skipped", "Frames that were skipped in favour of newer frames, because of leaky-type=downstream or a pause"),
        counter("frames-received", "Frames received", "Frames that were pushed downstream"),
        counter("frames-dropped", "Frames dropped", "Frames that the publisher sent but that were dropped before this element received them"),
        counter("frames-invalid", "Invalid frames", "Frames that were not pushed, because they break the wire format or this GStreamer cannot represent them"),
        counter("results-joined", "Frames with results", "Frames that were pushed with the results of all detectors"),
        counter("results-missing", "Frames without results", "Frames that were pushed without the results of a detector, because these had not arrived in time"),
        counter("results-late", "Late results", "Results that arrived after their frame was pushed; they are attached to no frame"),
        counter("results-invalid", "Invalid results", "Results that break the wire format"),
        counter("frames-copied", "Frames copied", "Frames that were copied out of shared memory, because downstream holds too many or does not support GstVideoMeta"),
    ]
});
