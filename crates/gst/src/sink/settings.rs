//! Names, values, defaults and descriptions of the `iceoryx2sink` properties.

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;
use gst_plugin_iceoryx2_video as video;

use crate::properties::{boolean, clients, counter, read, read_service, service, text, uint};

/// Values of the writable properties. `None` means that the property was not set, so an existing service may have another value.
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
    pub results_name: Option<String>,
    pub results_for: Option<String>,
}

/// Which frame is dropped when a subscriber's buffer is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstIceoryx2SinkLeakyType")]
pub enum LeakyType {
    #[enum_value(name = "No frame; the stream waits for the subscriber (lossless)", nick = "none")]
    None = 0,
    #[enum_value(name = "The new frame, for this subscriber only", nick = "upstream")]
    Upstream = 1,
    #[default]
    #[enum_value(name = "The oldest frame that waits for this subscriber", nick = "downstream")]
    Downstream = 2,
}

/// This is enough for a queue. A decoder may need more for its reference pictures; the extra frames are copied.
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
            results_name: None,
            results_for: None,
        }
    }
}

impl Settings {
    /// Sets one property.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        match name {
            "service" => self.service = read_service(value),
            "max-bytes" => self.max_bytes = read(value),
            "buffer-size" => self.buffer_size = Some(read(value)),
            "borrowed-max" => self.borrowed_max = Some(read(value)),
            "history-size" => self.history_size = Some(read(value)),
            "safe-overflow" => self.safe_overflow = Some(read(value)),
            "max-subscribers" => self.max_subscribers = Some(read(value)),
            "max-publishers" => self.max_publishers = Some(read(value)),
            "wait-for-connection" => self.wait_for_connection = read(value),
            "lossless" => self.lossless = read(value),
            "aux-bytes" => self.aux_bytes = read(value),
            "max-loans" => self.max_loans = read(value),
            "max-frames" => self.max_frames = read(value),
            "results-name" => self.results_name = read(value),
            "results-for" => self.results_for = read(value),
            "leaky-type" => {
                let kind: LeakyType = read(value);
                self.lossless = kind == LeakyType::None;
                self.safe_overflow = Some(kind == LeakyType::Downstream);
            }
            other => unreachable!("no such property: {other}"),
        }
    }

    /// Returns the value of one property.
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
            "results-name" => self.results_name.to_value(),
            "results-for" => self.results_for.to_value(),
            "leaky-type" => match (self.lossless, self.safe_overflow) {
                (true, _) => LeakyType::None,
                (false, Some(false)) => LeakyType::Upstream,
                (false, _) => LeakyType::Downstream,
            }
            .to_value(),
            other => unreachable!("no such property: {other}"),
        }
    }
}

/// All properties of the sink.
pub static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
    let defaults = Settings::default();
    let qos = video::Qos::default();
    let (any, positive, ports) = (0..=u32::MAX, 1..=u32::MAX, 1..=video::MAX_PORTS as u32);
    vec![
        service("Name of the iceoryx2 service to publish on, 1 to 255 bytes of printable ASCII"),
        uint("max-bytes", "Largest frame", "Bytes of the largest expected frame; the memory grows for larger frames (0 = size of the first caps)", any.clone(), defaults.max_bytes),
        uint("buffer-size", "Subscriber buffer", "Frames that can wait for each subscriber; when the buffer is full, the oldest frame is dropped", positive.clone(), qos.buffer_size),
        uint("borrowed-max", "Borrowed frames", "Frames that each subscriber can hold at once", positive.clone(), qos.borrowed_max),
        uint("history-size", "History", "Number of past frames sent to a subscriber that connects later (0 = only the newest)", any.clone(), qos.history_size),
        boolean("safe-overflow", "Overflow", "When a subscriber's buffer is full, drop its oldest frame (true) or the new frame (false)", qos.safe_overflow),
        uint("max-subscribers", "Subscriber limit", "Largest number of subscribers, if this element creates the service", ports.clone(), video::DEFAULT_MAX_SUBSCRIBERS as u32),
        uint("max-publishers", "Publisher limit", "Largest number of publishers, if this element creates the service; frames from several publishers are interleaved", ports, video::DEFAULT_MAX_PUBLISHERS as u32),
        boolean("wait-for-connection", "Wait for connection", "Block the stream until a subscriber is connected", defaults.wait_for_connection),
        boolean("lossless", "Lossless", "Wait for slow subscribers instead of dropping frames (implies safe-overflow=false)", defaults.lossless),
        uint("aux-bytes", "Aux bytes", "Bytes reserved after the pixels for caps, times and metas of frames that are not copied (0 = do not send caps, times and metas)", any.clone(), defaults.aux_bytes),
        glib::ParamSpecEnum::builder::<LeakyType>("leaky-type")
            .nick("Leaky type")
            .blurb("Which frame to drop when a subscriber's buffer is full; sets lossless and safe-overflow, with the same values as the leaky property of queue")
            .mutable_ready()
            .build(),
        uint("max-loans", "Loans", "Frames in shared memory that upstream can hold at once; further frames are allocated in ordinary memory and copied", positive, defaults.max_loans),
        uint("max-frames", "Frames in memory", "Largest number of frames in shared memory, whether held by upstream, waiting for subscribers, or held by subscribers; if none is free, a frame is dropped (0 = start with 24 and grow up to the number that all subscribers may hold)", any, defaults.max_frames),
        text("results-name", "Results", "Name of the detector upstream; if set, the boxes and classifications of each buffer (GstAnalyticsRelationMeta since GStreamer 1.24, GstVideoRegionOfInterestMeta) are published as its results", None),
        text("results-for", "Source of the results", "Stream to which the results belong, such as cam0: the stream that iceoryx2src receives upstream, or the one that this element publishes (unset: the one that this element publishes)", None),
        clients("Number of connected subscribers"),
        counter("frames-sent", "Frames sent", "Frames that were published, with or without a copy"),
        counter("frames-zero-copy", "Frames by reference", "Frames that were published without a copy, because upstream rendered them into shared memory"),
        counter("frames-copied", "Frames copied", "Frames that were published after one copy into shared memory"),
        counter("frames-dropped-memory", "Frames dropped, out of memory", "Frames that were dropped because no frame in shared memory was free; included in frames-dropped"),
        counter("results-sent", "Results sent", "Results that were published, one for each frame"),
        counter("results-refused", "Results refused", "Results that were not published, because the buffer shows no known part of a frame of the source, or no memory was free"),
        counter("frames-dropped", "Frames dropped", "Frames that were not published, because no shared memory was free or their layout is not supported"),
    ]
});
