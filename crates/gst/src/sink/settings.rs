//! The sink's properties: names, defaults, blurbs.

use gst::glib;
use std::sync::LazyLock;

use gst::prelude::*;
use gst_plugin_iceoryx2_video as video;

/// Values of the properties that can be set; `Some` where a QoS value was set by name and must be met.
#[derive(Clone, Debug)]
pub struct Settings {
    pub service: String,
    pub max_bytes: u32,
    pub buffer_size: Option<u32>,
    pub borrowed_max: Option<u32>,
    pub history_size: Option<u32>,
    pub safe_overflow: Option<bool>,
    pub max_subscribers: Option<u32>,
    pub max_publishers: Option<u32>,
    pub wait_for_connection: bool,
    pub lossless: bool,
    pub aux_bytes: u32,
    pub max_loans: u32,
    pub max_frames: u32,
}

/// What gives way when a subscriber's buffer is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstIceoryx2SinkLeakyType")]
pub enum LeakyType {
    #[enum_value(name = "Nothing: the stream waits for the subscriber (lossless)", nick = "none")]
    None = 0,
    #[enum_value(name = "The new frame, for that subscriber", nick = "upstream")]
    Upstream = 1,
    #[default]
    #[enum_value(name = "The oldest frame that waits for that subscriber", nick = "downstream")]
    Downstream = 2,
}

/// Loans for upstream's buffers: a queue drains through them, a decoder's reference pictures take more and are copied.
const DEFAULT_LOANS: u32 = 8;

impl Default for Settings {
    fn default() -> Self {
        Self {
            service: video::DEFAULT_SERVICE.into(),
            max_bytes: 0,
            buffer_size: None,
            borrowed_max: None,
            history_size: None,
            safe_overflow: None,
            max_subscribers: None,
            max_publishers: None,
            wait_for_connection: false,
            lossless: false,
            aux_bytes: video::DEFAULT_AUX_BYTES as u32,
            max_loans: DEFAULT_LOANS,
            max_frames: 0,
        }
    }
}

impl Settings {
    /// Sets one property.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        let uint = || value.get::<u32>().expect("type checked by GObject");
        let on = || value.get::<bool>().expect("type checked by GObject");
        match name {
            "service" => {
                let text = value.get::<Option<String>>().expect("type checked by GObject");
                self.service = text.unwrap_or_else(|| video::DEFAULT_SERVICE.into());
            }
            "max-bytes" => self.max_bytes = uint(),
            "buffer-size" => self.buffer_size = Some(uint()),
            "borrowed-max" => self.borrowed_max = Some(uint()),
            "history-size" => self.history_size = Some(uint()),
            "safe-overflow" => self.safe_overflow = Some(on()),
            "max-subscribers" => self.max_subscribers = Some(uint()),
            "max-publishers" => self.max_publishers = Some(uint()),
            "wait-for-connection" => self.wait_for_connection = on(),
            "lossless" => self.lossless = on(),
            "aux-bytes" => self.aux_bytes = uint(),
            "max-loans" => self.max_loans = uint(),
            "max-frames" => self.max_frames = uint(),
            "leaky-type" => {
                let kind: LeakyType = value.get().expect("type checked by GObject");
                self.lossless = kind == LeakyType::None;
                self.safe_overflow = Some(kind == LeakyType::Downstream);
            }
            other => unreachable!("no such property: {other}"),
        }
    }

    /// Value of one property.
    pub fn get(&self, name: &str) -> glib::Value {
        let qos = video::Qos::default();
        match name {
            "service" => self.service.to_value(),
            "max-bytes" => self.max_bytes.to_value(),
            "buffer-size" => self.buffer_size.unwrap_or(qos.buffer_size).to_value(),
            "borrowed-max" => self.borrowed_max.unwrap_or(qos.borrowed_max).to_value(),
            "history-size" => self.history_size.unwrap_or(qos.history_size).to_value(),
            "safe-overflow" => self.safe_overflow.unwrap_or(qos.safe_overflow && !self.lossless).to_value(),
            "max-subscribers" => self.max_subscribers.unwrap_or(video::DEFAULT_MAX_SUBSCRIBERS as u32).to_value(),
            "max-publishers" => self.max_publishers.unwrap_or(video::DEFAULT_MAX_PUBLISHERS as u32).to_value(),
            "wait-for-connection" => self.wait_for_connection.to_value(),
            "lossless" => self.lossless.to_value(),
            "aux-bytes" => self.aux_bytes.to_value(),
            "max-loans" => self.max_loans.to_value(),
            "max-frames" => self.max_frames.to_value(),
            "leaky-type" => self.leaky_type().to_value(),
            other => unreachable!("no such property: {other}"),
        }
    }
}

impl Settings {
    /// `lossless` and `safe-overflow` in the words of GStreamer's queues.
    fn leaky_type(&self) -> LeakyType {
        match (self.lossless, self.safe_overflow) {
            (true, _) => LeakyType::None,
            (false, Some(false)) => LeakyType::Upstream,
            (false, _) => LeakyType::Downstream,
        }
    }
}

/// Every property of the sink.
pub static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
    let defaults = Settings::default();
    let uint_up_to = |maximum, name: &'static str, nick, blurb, minimum| {
        glib::ParamSpecUInt::builder(name)
            .nick(nick)
            .blurb(blurb)
            .minimum(minimum)
            .maximum(maximum)
            .default_value(defaults.get(name).get().expect("a guint"))
            .mutable_ready()
            .build()
    };
    let uint = |name, nick, blurb, minimum| uint_up_to(u32::MAX, name, nick, blurb, minimum);
    let ports = |name, nick, blurb| uint_up_to(video::MAX_PORTS as u32, name, nick, blurb, 1);
    let boolean = |name: &'static str, nick, blurb| {
        glib::ParamSpecBoolean::builder(name)
            .nick(nick)
            .blurb(blurb)
            .default_value(defaults.get(name).get().expect("a gboolean"))
            .mutable_ready()
            .build()
    };
    let counter = |name: &'static str, nick, blurb| {
        glib::ParamSpecUInt64::builder(name).nick(nick).blurb(blurb).read_only().build()
    };
    vec![
        glib::ParamSpecString::builder("service")
            .nick("Service")
            .blurb("Name of the iceoryx2 service to publish on (publish/subscribe and event), 1 to 255 bytes of printable ASCII")
            .default_value(Some(video::DEFAULT_SERVICE))
            .mutable_ready()
            .build(),
        uint("max-bytes", "Largest frame", "Bytes of the largest frame expected; larger ones make the memory grow (0 = size of the first caps)", 0),
        uint("buffer-size", "Subscriber buffer", "Frames that wait for a subscriber, each; the oldest gives way when it is full", 1),
        uint("borrowed-max", "Borrowed frames", "Frames that a subscriber may hold at once", 1),
        uint("history-size", "History", "Frames that a subscriber gets which joins late (0 = the newest one)", 0),
        boolean("safe-overflow", "Overflow", "A full subscriber buffer loses its oldest frame; without it the newest frame is dropped for that subscriber"),
        ports("max-subscribers", "Subscriber limit", "Subscribers that the service admits when this element creates it"),
        ports("max-publishers", "Publisher limit", "Publishers that the service admits when this element creates it; two would interleave their frames"),
        boolean("wait-for-connection", "Wait for connection", "Block the stream until a subscriber is connected"),
        boolean("lossless", "Lossless", "Wait for slow subscribers instead of dropping frames (implies safe-overflow=false)"),
        uint("aux-bytes", "Aux bytes", "Bytes reserved behind the pixels for caps, times and metas on the zero-copy path (0 = send none of them)", 0),
        glib::ParamSpecEnum::builder::<LeakyType>("leaky-type")
            .nick("Leaky type")
            .blurb("What gives way when a subscriber's buffer is full; the same as lossless and safe-overflow, in the words of queue")
            .mutable_ready()
            .build(),
        uint("max-loans", "Loans", "Frames of shared memory that upstream may have in its hands at once; beyond that it gets ordinary memory, which is copied", 1),
        uint("max-frames", "Frames in memory", "Frames of shared memory: in upstream's hands, waiting for subscribers, or held by them; if none is free, a frame is dropped (0 = 24, or more if one subscriber may hold more)", 0),
        glib::ParamSpecUInt::builder("num-clients").nick("Clients").blurb("Subscribers connected right now").read_only().build(),
        counter("frames-sent", "Frames sent", "Frames published: zero-copy plus copied"),
        counter("frames-zero-copy", "Frames by reference", "Frames published from the buffer that upstream rendered into"),
        counter("frames-copied", "Frames copied", "Frames published after one copy into shared memory"),
        counter("frames-dropped-memory", "Frames dropped for want of memory", "Of frames-dropped: those that found all frames of shared memory in use"),
        counter("frames-dropped", "Frames dropped", "Frames not published because subscribers held all the memory or a frame could not be expressed"),
    ]
});
