//! The source's properties: names, defaults, blurbs.

use gst::glib;
use std::sync::LazyLock;

use gst::prelude::*;
use gst_plugin_iceoryx2_video as video;

/// Values of the properties that can be set; `Some` where a QoS value was set by name and must be met.
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
}

/// Which frames are handed on when several wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstIceoryx2SrcLeakyType")]
pub enum LeakyType {
    #[default]
    #[enum_value(name = "Every frame that waits, in order (FIFO)", nick = "none")]
    None = 0,
    #[enum_value(name = "Only the newest frame, older ones are skipped", nick = "downstream")]
    Downstream = 2,
}

/// Where the timestamps of buffers come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstIceoryx2SrcTimestampMode")]
pub enum TimestampMode {
    #[default]
    #[enum_value(
        name = "The publisher's moment in this pipeline's running time; arrival where it sends none",
        nick = "converted"
    )]
    Converted = 0,
    #[enum_value(name = "The publisher's own timestamps, unchanged", nick = "original")]
    Original = 1,
    #[enum_value(name = "The moment of arrival here", nick = "arrival")]
    Arrival = 2,
}

/// What to do when the last publisher has gone.
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

/// Time that a frame may take through this element and the next, as GstBaseSink's `processing-deadline`.
const PROCESSING_DEADLINE: gst::ClockTime = gst::ClockTime::from_mseconds(20);

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
        }
    }
}

impl Settings {
    /// Sets one property.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        let uint = || Some(value.get::<u32>().expect("type checked by GObject"));
        match name {
            "service" => {
                let text = value.get::<Option<String>>().expect("type checked by GObject");
                self.service = text.unwrap_or_else(|| video::DEFAULT_SERVICE.into());
            }
            "buffer-size" => self.buffer_size = uint(),
            "borrowed-max" => self.borrowed_max = uint(),
            "history-size" => self.history_size = uint(),
            "safe-overflow" => self.safe_overflow = Some(value.get().expect("type checked by GObject")),
            "max-buffers" => self.max_buffers = value.get().expect("type checked by GObject"),
            "leaky-type" => self.leaky_type = value.get().expect("type checked by GObject"),
            "timestamp-mode" => self.timestamp_mode = value.get().expect("type checked by GObject"),
            "on-disconnect" => self.on_disconnect = value.get().expect("type checked by GObject"),
            "busy-wait" => self.busy_wait = value.get().expect("type checked by GObject"),
            "processing-deadline" => self.processing_deadline = value.get().expect("type checked by GObject"),
            other => unreachable!("no such property: {other}"),
        }
    }

    /// Value of one property.
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
            other => unreachable!("no such property: {other}"),
        }
    }

    /// What the publisher's service must offer; only values that were set count.
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

/// Every property of the source.
pub static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
    let defaults = Settings::default();
    let uint = |name: &'static str, nick, blurb, minimum| {
        glib::ParamSpecUInt::builder(name)
            .nick(nick)
            .blurb(blurb)
            .minimum(minimum)
            .default_value(defaults.get(name).get().expect("a guint"))
            .mutable_ready()
            .build()
    };
    vec![
        glib::ParamSpecString::builder("service")
            .nick("Service")
            .blurb("Name of the iceoryx2 service to receive from (publish/subscribe and event), 1 to 255 bytes of printable ASCII")
            .default_value(Some(video::DEFAULT_SERVICE))
            .mutable_ready()
            .build(),
        uint("buffer-size", "Buffer", "Frames that may wait here; if set, the publisher must offer as many (unset: the publisher decides)", 1),
        uint("borrowed-max", "Borrowed frames", "Frames that may be held downstream by reference before copies are made; if set, the publisher must offer as many (unset: the publisher decides)", 1),
        uint("history-size", "History", "Older frames wanted when joining late; if set above 0, the publisher must keep as many (0 = what the publisher keeps)", 0),
        glib::ParamSpecBoolean::builder("safe-overflow")
            .nick("Overflow")
            .blurb("Whether the oldest waiting frame gives way to a new one; if set, the publisher must do the same (unset: the publisher decides)")
            .default_value(defaults.get("safe-overflow").get().expect("a gboolean"))
            .mutable_ready()
            .build(),
        uint("max-buffers", "Waiting frames", "Frames that may wait here at most, whatever the publisher offers (0 = as many as the publisher offers)", 0),
        glib::ParamSpecEnum::builder::<LeakyType>("leaky-type")
            .nick("Leaky type")
            .blurb("Which frames are handed on when several wait; what is skipped is counted in frames-skipped and marked DISCONT")
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder::<TimestampMode>("timestamp-mode")
            .nick("Timestamp mode")
            .blurb("Where the timestamps of buffers come from")
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder::<OnDisconnect>("on-disconnect")
            .nick("On disconnect")
            .blurb("What to do when the last publisher has gone without ending the stream")
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder("busy-wait")
            .nick("Busy wait")
            .blurb("Time in nanoseconds to look for the next frame without sleeping, which takes a processor and spares the time of waking one (0 = sleep at once)")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt64::builder("processing-deadline")
            .nick("Processing deadline")
            .blurb("Time in nanoseconds that a frame may take from its publisher to the sink; told as latency")
            .default_value(PROCESSING_DEADLINE.nseconds())
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder("frames-skipped")
            .nick("Frames skipped")
            .blurb("Frames that were there and gave way to newer ones: leaky-type=downstream, or the backlog of a pause")
            .read_only()
            .build(),
        glib::ParamSpecUInt64::builder("frames-received").nick("Frames received").blurb("Frames handed downstream").read_only().build(),
        glib::ParamSpecUInt64::builder("frames-dropped")
            .nick("Frames dropped")
            .blurb("Frames that the publisher counted and that did not get here in time")
            .read_only()
            .build(),
        glib::ParamSpecUInt64::builder("frames-invalid")
            .nick("Invalid frames")
            .blurb("Frames that broke the wire contract and were not handed on")
            .read_only()
            .build(),
        glib::ParamSpecUInt64::builder("frames-copied")
            .nick("Frames copied")
            .blurb("Frames copied out of shared memory because downstream held too many or knows no GstVideoMeta")
            .read_only()
            .build(),
    ]
});
