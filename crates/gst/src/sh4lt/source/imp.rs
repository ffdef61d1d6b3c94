//! Implementation of `sh4ltsrc`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;
use gst_plugin_iceoryx2_shmdata::{Event, Follower, Frame, Wakeup};
use gst_plugin_iceoryx2_video::Interrupt;

use crate::log::CAT;
use crate::properties::read;
use crate::sh4lt::errors::message;
use crate::sh4lt::settings::{Address, INTEROPERABILITY, Traffic, properties, raw_video};
use crate::{caps, errors, trust};

/// If downstream still held a frame when the next one was requested, this many times in a row, frames are copied on arrival.
const RETAINED_IN_A_ROW: u32 = 3;
/// Number of frames that are copied before the source shares memory again.
const COPIES_IN_A_ROW: u32 = 300;

#[derive(Debug, Default)]
pub struct Sh4ltSrc {
    settings: Mutex<Settings>,
    reader: Mutex<Option<Reader>>,
    caps: Mutex<Option<String>>,
    connected: AtomicBool,
    unlock: Mutex<Option<Unlock>>,
    traffic: Traffic,
}

#[derive(Clone, Debug, Default)]
struct Settings {
    address: Address,
    copy_buffers: bool,
}

/// A request to end the streaming thread's wait for a frame.
#[derive(Clone, Debug)]
struct Unlock {
    interrupt: Interrupt,
    /// Whether the base class requested the end of the wait. If not, the element is being paused.
    is_flushing: bool,
}

/// State of the streaming thread.
#[derive(Debug)]
struct Reader {
    follower: Follower,
    stream: Stream,
    /// Number of consecutive frames that downstream still held when the next one was requested.
    retained: u32,
    copies_left: u32,
}

/// Properties of the current writer's frames.
#[derive(Debug, Default)]
struct Stream {
    /// Caps to announce before the next frame.
    caps: Option<gst::Caps>,
    /// Whether the writer's type text is caps.
    is_typed: bool,
    /// Size of a raw video frame in bytes.
    size: Option<usize>,
    /// Whether a warning was posted because this writer's frames have the wrong size.
    has_warned: bool,
}

#[glib::object_subclass]
impl ObjectSubclass for Sh4ltSrc {
    const NAME: &'static str = "GstIceoryx2Sh4ltSrc";
    type Type = super::Sh4ltSrc;
    type ParentType = gst_base::PushSrc;
}

impl ObjectImpl for Sh4ltSrc {
    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.set_live(true);
        obj.set_format(gst::Format::Time);
        // Buffers are timestamped on arrival, because the protocol does not have timestamps.
        obj.set_do_timestamp(true);
        // At the end of the stream the source disconnects, because the writer would otherwise wait until downstream has handled the end.
        let weak = obj.downgrade();
        let pad = obj.static_pad("src").expect("created by the base class");
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if let Some(obj) =
                weak.upgrade().filter(|_| info.event().is_some_and(|event| event.type_() == gst::EventType::Eos))
            {
                obj.imp().leave_the_writer();
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let mut all = properties("Caps of the stream, as the writer describes it");
            all.extend([
                glib::ParamSpecBoolean::builder("copy-buffers")
                    .nick("Copy buffers")
                    .blurb("Copy each frame immediately, so that the writer does not wait for downstream")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoolean::builder("connected")
                    .nick("Connected")
                    .blurb("Whether a writer is connected")
                    .read_only()
                    .build(),
            ]);
            all
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings.lock().unwrap();
        if !settings.address.set(pspec.name(), value) {
            settings.copy_buffers = read(value);
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = self.settings.lock().unwrap().clone();
        if let Some(value) = settings.address.get(pspec.name()).or_else(|| self.traffic.take(pspec.name())) {
            return value;
        }
        match pspec.name() {
            "caps" => self.caps.lock().unwrap().to_value(),
            "copy-buffers" => settings.copy_buffers.to_value(),
            "connected" => self.connected.load(Ordering::Relaxed).to_value(),
            other => unreachable!("no such property: {other}"),
        }
    }
}

impl GstObjectImpl for Sh4ltSrc {}

impl ElementImpl for Sh4ltSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            let description = format!("Receives media from other programs through shared memory; {INTEROPERABILITY}");
            gst::subclass::ElementMetadata::new("Sh4lt source", "Source", &description, env!("CARGO_PKG_AUTHORS"))
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
            LazyLock::new(|| caps::templates(gst::PadDirection::Src, &gst::Caps::new_any()));
        &TEMPLATES
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        let result = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PlayingToPaused {
            self.leave_the_writer();
        }
        Ok(result)
    }
}

impl BaseSrcImpl for Sh4ltSrc {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let path = self.settings.lock().unwrap().address.path()?;
        gst::info!(CAT, imp = self, "{}: {INTEROPERABILITY}", path.display());
        *self.unlock.lock().unwrap() = Some(Unlock { interrupt: errors::interrupt()?, is_flushing: false });
        *self.reader.lock().unwrap() =
            Some(Reader { follower: Follower::new(&path), stream: Stream::default(), retained: 0, copies_left: 0 });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let reader = self.reader.lock().unwrap().take();
        drop(reader);
        *self.unlock.lock().unwrap() = None;
        *self.caps.lock().unwrap() = None;
        self.set_connected(false);
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        if let Some(unlock) = &mut *self.unlock.lock().unwrap() {
            unlock.is_flushing = true;
            unlock.interrupt.set();
        }
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        if let Some(unlock) = &mut *self.unlock.lock().unwrap() {
            unlock.is_flushing = false;
            unlock.interrupt.clear();
        }
        Ok(())
    }

    fn negotiate(&self) -> Result<(), gst::LoggableError> {
        // The caps come from the writer's type text.
        Ok(())
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            latency.set(true, gst::ClockTime::ZERO, gst::ClockTime::NONE);
            return true;
        }
        BaseSrcImplExt::parent_query(self, query)
    }
}

impl PushSrcImpl for Sh4ltSrc {
    fn create(&self, _buffer: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
        if let Some(reader) = &mut *self.reader.lock().unwrap()
            && reader.follower.is_held()
        {
            reader.retained += 1;
            if reader.retained >= RETAINED_IN_A_ROW {
                gst::debug!(CAT, imp = self, "downstream holds frames: copying the next {COPIES_IN_A_ROW}");
                (reader.retained, reader.copies_left) = (0, COPIES_IN_A_ROW);
            }
        }
        loop {
            if let Some(buffer) = self.next()? {
                return Ok(CreateSuccess::NewBuffer(buffer));
            }
            // Returning an error would end the stream. During a pause, wait for PLAYING instead.
            self.obj().wait_playing()?;
        }
    }
}

impl Sh4ltSrc {
    /// Waits for the next frame; `None` if a pause ends the wait.
    fn next(&self) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let interrupt = self.unlock.lock().unwrap().as_ref().ok_or(gst::FlowError::Flushing)?.interrupt.clone();
        let mut reader = self.reader.lock().unwrap();
        let reader = reader.as_mut().ok_or(gst::FlowError::Flushing)?;
        loop {
            let wakeup = Wakeup { descriptor: interrupt.descriptor(), is_set: &|| interrupt.is_set() };
            let event = reader.follower.next(None, wakeup).map_err(|error| {
                self.post_error_message(message(&error));
                gst::FlowError::Error
            })?;
            match event {
                Event::Connected(type_text) => self.connected(reader, type_text),
                Event::Disconnected => {
                    gst::info!(CAT, imp = self, "the writer of {} has exited", reader.follower.path().display());
                    self.set_connected(false);
                }
                Event::Interrupted if self.is_flushing() => return Err(gst::FlowError::Flushing),
                Event::Interrupted => return Ok(None),
                Event::TimedOut => {}
                Event::Frame(frame) => {
                    if let Some(buffer) = self.buffer(reader, frame)? {
                        return Ok(Some(buffer));
                    }
                }
            }
        }
    }

    fn is_flushing(&self) -> bool {
        self.unlock.lock().unwrap().as_ref().is_none_or(|unlock| unlock.is_flushing)
    }

    /// Disconnects, because the writer and all other readers would otherwise wait for this reader.
    fn leave_the_writer(&self) {
        // The base class does not end the wait for a frame on the way to PAUSED, so this does.
        if let Some(unlock) = &*self.unlock.lock().unwrap() {
            unlock.interrupt.set();
        }
        if let Some(reader) = &mut *self.reader.lock().unwrap() {
            reader.follower.disconnect();
        }
        if let Some(unlock) = self.unlock.lock().unwrap().as_ref().filter(|unlock| !unlock.is_flushing) {
            unlock.interrupt.clear();
        }
        self.set_connected(false);
    }

    fn connected(&self, reader: &mut Reader, type_text: String) {
        let caps = trust::stream_caps(&type_text);
        if caps.is_none() {
            gst::warning!(
                CAT,
                imp = self,
                "the writer's type text {type_text:?} is not fixed caps, so buffers have no caps; if an earlier writer had caps, buffers are dropped"
            );
        }
        let size = caps.as_ref().and_then(|caps| raw_video(caps)).map(|info| info.size());
        reader.stream = Stream { is_typed: caps.is_some(), caps, size, has_warned: false };
        *self.caps.lock().unwrap() = Some(type_text);
        self.obj().notify("caps");
        self.set_connected(true);
    }

    fn set_connected(&self, connected: bool) {
        if self.connected.swap(connected, Ordering::Relaxed) != connected {
            self.obj().notify("connected");
        }
    }

    /// Creates the buffer for a frame; `None` if the frame does not match its caps.
    fn buffer(&self, reader: &mut Reader, frame: Frame) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let bytes = frame.bytes().len();
        if let Some(size) = reader.stream.size.filter(|&size| bytes < size) {
            if !std::mem::replace(&mut reader.stream.has_warned, true) {
                gst::element_imp_warning!(
                    self,
                    gst::StreamError::Format,
                    ("frame dropped: it is {bytes} bytes, but its caps require {size}; the writer must send whole pictures in GStreamer's default layout (further frames are dropped without a warning)")
                );
            }
            return Ok(None);
        }
        if !reader.stream.is_typed && self.obj().src_pad().has_current_caps() {
            // Downstream would interpret these bytes with the previous writer's caps, which cannot be removed.
            return Ok(None);
        }
        if let Some(caps) = reader.stream.caps.take()
            && self.obj().set_caps(&caps).is_err()
        {
            gst::element_imp_error!(
                self,
                gst::StreamError::Format,
                ["downstream does not accept {caps}; insert a converter after sh4ltsrc"]
            );
            return Err(gst::FlowError::NotNegotiated);
        }
        self.traffic.add(bytes);
        let copy = self.settings.lock().unwrap().copy_buffers || reader.copies_left > 0;
        reader.copies_left = reader.copies_left.saturating_sub(1);
        let memory =
            if copy { gst::Memory::from_mut_slice(frame.bytes().to_vec()) } else { gst::Memory::from_slice(frame) };
        let mut buffer = gst::Buffer::new();
        buffer.get_mut().expect("a new buffer").append_memory(memory);
        Ok(Some(buffer))
    }
}
