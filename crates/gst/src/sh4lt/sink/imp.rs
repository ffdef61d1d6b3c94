//! Implementation of `sh4ltsink`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use gst_plugin_iceoryx2_shmdata::{
    ClientEvent, Delivery, Wakeup, Writer, WriterOptions, check_path, prepare_folder, score,
};
use gst_plugin_iceoryx2_video::Interrupt;

use super::output::{Output, State};
use super::pool::SegmentPool;
use crate::log::CAT;
use crate::pace::{self, Pace, Paced};
use crate::properties::{client_signals, clients, counter, read};
use crate::sh4lt::errors::message;
use crate::sh4lt::settings::{Address, INTEROPERABILITY, Traffic, properties, raw_video};
use crate::{caps, errors, layout};

/// Largest value of `initial-size`. It is enough for any frame, and too small for a mistake to exhaust the memory.
const MAX_INITIAL_SIZE: u64 = 1 << 28;

/// Raw video caps for the formats that score reads. The preferred format has its own structure.
static SCORE: LazyLock<gst::Caps> = LazyLock::new(|| {
    let (first, rest) = score::FORMATS.split_at(1);
    let of = |formats: &[&str]| {
        gst::Structure::builder("video/x-raw").field("format", gst::List::new(formats.iter().copied())).build()
    };
    caps::permanent(gst::Caps::builder_full().structure(of(first)).structure(of(rest)).build())
});
#[derive(Default)]
pub struct Sh4ltSink {
    settings: Mutex<Settings>,
    output: Arc<Output>,
    caps: Mutex<Option<String>>,
    interrupt: Mutex<Option<Interrupt>>,
    traffic: Traffic,
    copied: AtomicU64,
    zero_copy: AtomicU64,
    pace: Pace,
}

#[derive(Clone, Debug)]
struct Settings {
    address: Address,
    extra_caps_properties: Option<String>,
    initial_size: u64,
    reader_timeout: gst::ClockTime,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: Address::default(),
            extra_caps_properties: None,
            initial_size: 1,
            reader_timeout: gst::ClockTime::SECOND,
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for Sh4ltSink {
    const NAME: &'static str = "GstIceoryx2Sh4ltSink";
    type Type = super::Sh4ltSink;
    type ParentType = gst_base::BaseSink;

    fn class_init(class: &mut Self::Class) {
        pace::install::<Self>(class);
    }
}

impl Paced for Sh4ltSink {
    fn pace(&self) -> &Pace {
        &self.pace
    }
}

impl ObjectImpl for Sh4ltSink {
    fn constructed(&self) {
        self.parent_constructed();
        // A stored last sample would keep the segment in use.
        self.obj().set_enable_last_sample(false);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let mut all = properties("Caps of the stream, as sent to readers");
            all.extend([
                glib::ParamSpecString::builder("extra-caps-properties")
                    .nick("Extra caps properties")
                    .blurb("Comma-separated key=value pairs that are added to the caps of the stream")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecULong::builder("initial-size")
                    .nick("Initial size")
                    .blurb(
                        "Bytes of the first segment, which grows for larger frames; while running, bytes of the current segment",
                    )
                    .minimum(1)
                    .maximum(MAX_INITIAL_SIZE as _)
                    .default_value(1)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("reader-timeout")
                    .nick("Reader timeout")
                    .blurb("Nanoseconds that a reader may take for one frame before the stream continues without it")
                    .default_value(gst::ClockTime::SECOND.nseconds())
                    .mutable_ready()
                    .build(),
                clients("Number of connected readers"),
                counter(
                    "evictions",
                    "Evictions",
                    "Number of times that the stream continued without readers that exceeded reader-timeout",
                ),
                counter(
                    "frames-zero-copy",
                    "Frames without a copy",
                    "Frames that upstream rendered into the shared segment",
                ),
                counter("frames-copied", "Frames copied", "Frames that were copied into the shared segment"),
            ]);
            all
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings.lock().unwrap();
        if settings.address.set(pspec.name(), value) {
            return;
        }
        match pspec.name() {
            "extra-caps-properties" => settings.extra_caps_properties = read(value),
            "initial-size" => settings.initial_size = read::<glib::ULong>(value).0,
            "reader-timeout" => settings.reader_timeout = read(value),
            other => unreachable!("no such property: {other}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = self.settings.lock().unwrap().clone();
        let state = || self.output.state.lock().unwrap();
        if let Some(value) = settings.address.get(pspec.name()).or_else(|| self.traffic.take(pspec.name())) {
            return value;
        }
        match pspec.name() {
            "caps" => self.caps.lock().unwrap().to_value(),
            "extra-caps-properties" => settings.extra_caps_properties.to_value(),
            "initial-size" => {
                let current = state().as_ref().map(|state| state.writer.segment_size() as u64);
                glib::ULong(current.unwrap_or(settings.initial_size)).to_value()
            }
            "reader-timeout" => settings.reader_timeout.to_value(),
            "num-clients" => state().as_ref().map_or(0, |state| state.writer.clients() as u32).to_value(),
            "evictions" => state().as_ref().map_or(0, |state| state.writer.evictions()).to_value(),
            "frames-zero-copy" => self.zero_copy.load(Ordering::Relaxed).to_value(),
            "frames-copied" => self.copied.load(Ordering::Relaxed).to_value(),
            other => unreachable!("no such property: {other}"),
        }
    }

    fn notify(&self, pspec: &glib::ParamSpec) {
        self.pace.notified(pspec);
        self.parent_notify(pspec);
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| client_signals(i32::static_type()));
        &SIGNALS
    }
}

impl GstObjectImpl for Sh4ltSink {}

impl ElementImpl for Sh4ltSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            let description = format!("Shares media with other programs through shared memory; {INTEROPERABILITY}");
            gst::subclass::ElementMetadata::new("Sh4lt sink", "Sink", &description, env!("CARGO_PKG_AUTHORS"))
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
            LazyLock::new(|| caps::templates(gst::PadDirection::Sink, &gst::Caps::new_any()));
        &TEMPLATES
    }

    fn send_event(&self, event: gst::Event) -> bool {
        self.pace.event(&event);
        self.parent_send_event(event)
    }
}

impl BaseSinkImpl for Sh4ltSink {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let address = self.settings.lock().unwrap().address.clone();
        let path = address.path()?;
        gst::info!(CAT, imp = self, "{}: {INTEROPERABILITY}", path.display());
        check_path(&path).map_err(|error| message(&error))?;
        if address.socket_path.is_none() {
            prepare_folder(&path).map_err(|error| message(&error))?;
        }
        *self.interrupt.lock().unwrap() = Some(errors::interrupt()?);
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let state = self.output.state.lock().unwrap().take();
        drop(state);
        *self.interrupt.lock().unwrap() = None;
        *self.caps.lock().unwrap() = None;
        Ok(())
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let settings = self.settings.lock().unwrap().clone();
        let published = with_framerate(self.with_extra(caps, settings.extra_caps_properties.as_deref()));
        let text = published.to_string();
        let path = settings.address.path().map_err(|_| gst::loggable_error!(CAT, "no path"))?;
        // A writer cannot change its type text. So new caps need a new writer, and the readers reconnect to it.
        let readers = self.output.state.lock().unwrap().take().map_or(0, |state| state.writer.clients());
        let weak = self.obj().downgrade();
        let options = WriterOptions {
            initial_size: settings.initial_size as usize,
            reader_timeout: Duration::from_nanos(settings.reader_timeout.nseconds()),
            on_client: Some(Box::new(move |event| {
                if let Some(sink) = weak.upgrade() {
                    match event {
                        ClientEvent::Connected(id) => sink.emit_by_name::<()>("client-connected", &[&id]),
                        ClientEvent::Disconnected(id) => sink.emit_by_name::<()>("client-disconnected", &[&id]),
                    }
                    sink.notify("num-clients");
                }
            })),
            ..WriterOptions::default()
        };
        match Writer::new(&path, &text, options) {
            Ok(writer) => {
                writer.wait_for(readers);
                *self.output.state.lock().unwrap() = Some(State::new(writer, raw_video(caps)));
            }
            Err(error) => {
                self.post_error_message(message(&error));
                return Err(gst::loggable_error!(CAT, "{error}"));
            }
        }
        *self.caps.lock().unwrap() = Some(text);
        self.obj().notify("caps");
        Ok(())
    }

    fn caps(&self, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        // All caps are accepted. The formats that score reads come first, because upstream prefers earlier caps.
        let Some(all) = filter.filter(|filter| !filter.is_any()) else { return Some(gst::Caps::new_any()) };
        let mut caps = SCORE.intersect_with_mode(all, gst::CapsIntersectMode::First);
        caps.merge(all.clone());
        Some(caps)
    }

    fn propose_allocation(&self, query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
        // Other strides do not cost anything extra, because a frame with padded rows is copied once anyway.
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        let (Some(caps), needs_pool) = query.get_owned() else { return Ok(()) };
        let Some(size) = raw_video(&caps).and_then(|info| u32::try_from(info.size()).ok()) else { return Ok(()) };
        if needs_pool {
            let pool = SegmentPool::new(&self.output);
            let mut config = pool.config();
            config.set_params(Some(&caps), size, 0, 0);
            pool.set_config(config)?;
            query.add_allocation_pool(Some(&pool), size, 0, 0);
        }
        Ok(())
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let interrupt = self.interrupt.lock().unwrap().clone().ok_or(gst::FlowError::Flushing)?;
        loop {
            let delivery = {
                let mut state = self.output.state.lock().unwrap();
                let state = state.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
                let wakeup = Wakeup { descriptor: -1, is_set: &|| interrupt.is_set() };
                self.write(state, buffer, wakeup)?
            };
            match delivery {
                Delivery::Sent(_) => return Ok(gst::FlowSuccess::Ok),
                // Nothing was written. If this is a pause, the frame is sent again after it.
                Delivery::Interrupted => self.obj().wait_preroll()?,
            };
        }
    }

    fn event(&self, event: gst::Event) -> bool {
        self.pace.event(&event);
        self.parent_event(event)
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.output.end_waits();
        if let Some(interrupt) = &*self.interrupt.lock().unwrap() {
            interrupt.set();
        }
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        if let Some(interrupt) = &*self.interrupt.lock().unwrap() {
            interrupt.clear();
        }
        Ok(())
    }
}

impl Sh4ltSink {
    fn with_extra(&self, caps: &gst::Caps, extra: Option<&str>) -> gst::Caps {
        let Some(extra) = extra.map(str::trim).filter(|extra| !extra.is_empty()) else {
            return caps.clone();
        };
        let merged = format!("{caps}, {extra}").parse::<gst::Caps>();
        merged.unwrap_or_else(|_| {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Format,
                ["ignored extra-caps-properties {extra:?}, because they are not caps fields; write key=value, key=value"]
            );
            caps.clone()
        })
    }

    fn write(&self, state: &mut State, buffer: &gst::Buffer, wakeup: Wakeup<'_>) -> Result<Delivery, gst::FlowError> {
        let is_alone = buffer.is_writable()
            && buffer.is_all_memory_writable()
            && self.output.outstanding.load(Ordering::SeqCst) == 1;
        state.alone = if is_alone { state.alone.saturating_add(1) } else { 0 };
        let sent = match buffer.map_readable() {
            Ok(map) if is_alone && !state.is_strided(buffer) => {
                state.writer.send_lent(&map[..state.size(buffer)]).map_err(|error| self.failed(&error))?
            }
            _ => None,
        };
        let (delivery, counter) = match sent {
            Some(delivery) => (delivery, &self.zero_copy),
            None => (self.copy(state, buffer, wakeup)?, &self.copied),
        };
        if matches!(delivery, Delivery::Sent(_)) {
            counter.fetch_add(1, Ordering::Relaxed);
            self.traffic.add(buffer.size());
        }
        Ok(delivery)
    }

    fn copy(&self, state: &mut State, buffer: &gst::Buffer, wakeup: Wakeup<'_>) -> Result<Delivery, gst::FlowError> {
        state.keeps_frames |= state.writer.is_lent();
        let delivery = if let Some((info, header)) = state.rearranged(buffer) {
            let pixels = buffer.map_readable().map_err(|error| self.unreadable(&error.to_string()))?;
            let mut copied = Some(());
            let delivery = state.writer.write_with(info.size(), wakeup, |target| {
                copied = layout::copy_rows(&pixels, &header, &info, target);
            });
            copied.ok_or_else(|| self.unreadable("its GstVideoMeta describes more bytes than the buffer contains"))?;
            delivery
        } else if state.is_strided(buffer) {
            return Err(self.unreadable("its GstVideoMeta has strides or offsets that cannot be represented"));
        } else {
            state.writer.write_with(state.size(buffer), wakeup, |target| {
                let _ = buffer.copy_to_slice(0, target);
            })
        };
        delivery.map_err(|error| self.failed(&error))
    }

    fn unreadable(&self, reason: &str) -> gst::FlowError {
        gst::element_imp_error!(self, gst::StreamError::Format, ["cannot read a frame: {reason}"]);
        gst::FlowError::Error
    }

    fn failed(&self, error: &gst_plugin_iceoryx2_shmdata::Error) -> gst::FlowError {
        self.post_error_message(message(error));
        gst::FlowError::Error
    }
}

/// Adds the framerate that score expects to raw video caps that do not have one.
fn with_framerate(mut caps: gst::Caps) -> gst::Caps {
    let is_unknown = |structure: &gst::StructureRef| {
        structure.name() == "video/x-raw"
            && structure
                .get::<gst::Fraction>("framerate")
                .map_or(!structure.has_field("framerate"), |rate| rate.numer() == 0)
    };
    if caps.structure(0).is_some_and(is_unknown) {
        caps.make_mut().set("framerate", gst::Fraction::new(score::FRAMERATE, 1));
    }
    caps
}
