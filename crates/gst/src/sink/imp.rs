//! Implementation of `iceoryx2sink`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use gst_plugin_iceoryx2_video::wire::clock::first_publisher;
use gst_plugin_iceoryx2_video::wire::rendition::Rendition;
use gst_plugin_iceoryx2_video::{
    AuxTemplate, Error, FLAGS_MASK, Interrupt, Loan, NONE, PublisherBuilder, Stamp, VideoFrameHeader,
    VideoFramePublisher, Waiting, boot_id, monotonic_ns, validate_geometry,
};
use gst_video::prelude::*;

use super::pool::{Budget, LoanMemory, LoanPool};
use super::preroll;
use super::results::{self, Reporter, Sent};
use super::settings::{PROPERTIES, Settings};
use crate::log::CAT;
use crate::pace::{self, Pace, Paced};
use crate::properties::client_signals;
use crate::{caps, clock, errors, layout, metas};

/// Number of loans for copied frames, in addition to the loans for the upstream pool.
const COPY_LOANS: usize = 2;
/// Timeout for waits that are meant to end only by an interrupt.
const FOREVER: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub struct Iceoryx2Sink {
    settings: Mutex<Settings>,
    stream: Mutex<Option<Stream>>,
    // Not part of `stream`, because other threads use the publisher while a frame is being sent with `stream` locked.
    publisher: Mutex<Option<Arc<VideoFramePublisher>>>,
    interrupt: Mutex<Option<Interrupt>>,
    subscribers: AtomicU32,
    counters: Counters,
    results: results::Counters,
    pace: Pace,
    /// Causes of dropped frames for which a warning has already been posted.
    warned: Mutex<HashSet<Cause>>,
}

#[derive(Debug, Default)]
struct Counters {
    zero_copy: AtomicU64,
    copied: AtomicU64,
    dropped: AtomicU64,
    dropped_memory: AtomicU64,
}

/// State of the streaming thread between two caps events.
#[derive(Debug)]
struct Stream {
    publisher: Arc<VideoFramePublisher>,
    budget: Arc<Budget>,
    info: gst_video::VideoInfo,
    /// The layout of the last frame, so that frames with the same layout are not checked again.
    checked: Option<Checked>,
    /// Template for the aux blobs; `None` with `aux-bytes=0`.
    aux: Option<AuxTemplate>,
    reporter: Option<Arc<Reporter>>,
}

/// A layout that conforms to the wire format, with the matching header. The header does not contain times or flags.
#[derive(Debug)]
struct Checked {
    has_meta: bool,
    offsets: Vec<usize>,
    strides: Vec<i32>,
    size: usize,
    header: VideoFrameHeader,
}

/// Reason why a buffer was not published.
#[derive(Debug)]
enum Failure {
    /// The frame is dropped, for the reason in the text; the stream continues.
    Frame(Cause, String),
    /// The stream ends with an error.
    Stream(Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Cause {
    MetaSize,
    Layout,
    Length,
    Unreadable,
    Frames,
    Loans,
    Results,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::OutOfFrames { .. } => Self::Frame(Cause::Frames, error.to_string()),
            Error::LoanLimit { .. } => Self::Frame(Cause::Loans, format!("frame dropped: {error} (max-loans)")),
            error => Self::Stream(error),
        }
    }
}

impl Stream {
    /// Returns the header for a buffer, without times and flags.
    fn header(&mut self, buffer: &gst::Buffer) -> Result<VideoFrameHeader, Failure> {
        let service = self.publisher.service();
        let failure =
            |cause, reason: String| Failure::Frame(cause, format!("frame of service {service:?} dropped: {reason}"));
        let info = &self.info;
        let meta = buffer.meta::<gst_video::VideoMeta>();
        let (offsets, strides) = match &meta {
            Some(meta) if (meta.width(), meta.height()) != (info.width(), info.height()) => {
                return Err(failure(
                    Cause::MetaSize,
                    format!(
                        "its GstVideoMeta says {}x{}, but its caps say {}x{}; set caps that match the size of the buffers",
                        meta.width(),
                        meta.height(),
                        info.width(),
                        info.height()
                    ),
                ));
            }
            Some(meta) => (meta.offset(), meta.stride()),
            None => (info.offset(), info.stride()),
        };
        let size = buffer.size();
        if let Some(known) = &self.checked
            && (known.has_meta, &*known.offsets, &*known.strides, known.size)
                == (meta.is_some(), offsets, strides, size)
        {
            return Ok(known.header);
        }
        let header = match layout::packed(info, size) {
            Some(header) if meta.is_none() && size < info.size() => header,
            _ => layout::header(info, offsets, strides).ok_or_else(|| {
                failure(Cause::Layout, format!(
                    "the wire format cannot represent its strides {strides:?} or offsets {offsets:?}; use positive strides and offsets below 4 GiB"
                ))
            })?,
        };
        validate_geometry(&header, size).map_err(|fault| {
            failure(Cause::Length, format!(
                "{fault}, and the buffer is {size} bytes; {}; send one of these layouts, or attach a GstVideoMeta with the strides",
                layout::row_lengths(info)
            ))
        })?;
        self.checked = Some(Checked {
            has_meta: meta.is_some(),
            offsets: offsets.to_vec(),
            strides: strides.to_vec(),
            size,
            header,
        });
        Ok(header)
    }
}

/// Passes the value of a property to the builder if the property was set.
fn set<T>(
    builder: PublisherBuilder,
    value: Option<T>,
    call: fn(PublisherBuilder, T) -> PublisherBuilder,
) -> PublisherBuilder {
    match value {
        Some(value) => call(builder, value),
        None => builder,
    }
}

#[glib::object_subclass]
impl ObjectSubclass for Iceoryx2Sink {
    const NAME: &'static str = "GstIceoryx2Sink";
    type Type = super::Iceoryx2Sink;
    type ParentType = gst_base::BaseSink;

    fn class_init(class: &mut Self::Class) {
        pace::install::<Self>(class);
    }
}

impl Paced for Iceoryx2Sink {
    fn pace(&self) -> &Pace {
        &self.pace
    }
}

impl ObjectImpl for Iceoryx2Sink {
    fn constructed(&self) {
        self.parent_constructed();
        // The last sample would keep a loan in use, and its extra reference would force a copy of the buffer.
        self.obj().set_enable_last_sample(false);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.settings.lock().unwrap().set(pspec.name(), value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        match pspec.name() {
            "num-clients" => self.subscribers.load(Ordering::SeqCst).to_value(),
            "frames-sent" => (count(&counters.zero_copy) + count(&counters.copied)).to_value(),
            "frames-zero-copy" => count(&counters.zero_copy).to_value(),
            "frames-copied" => count(&counters.copied).to_value(),
            "frames-dropped-memory" => count(&counters.dropped_memory).to_value(),
            "frames-dropped" => count(&counters.dropped).to_value(),
            "results-sent" => count(&self.results.sent).to_value(),
            "results-refused" => count(&self.results.refused).to_value(),
            name => self.settings.lock().unwrap().get(name),
        }
    }

    fn notify(&self, pspec: &glib::ParamSpec) {
        self.pace.notified(pspec);
        self.parent_notify(pspec);
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| client_signals(u32::static_type()));
        &SIGNALS
    }
}

impl GstObjectImpl for Iceoryx2Sink {}

impl ElementImpl for Iceoryx2Sink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "iceoryx2 video sink",
                "Sink/Video",
                "Publishes raw video frames to other processes by reference, over iceoryx2 shared memory",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
            LazyLock::new(|| caps::templates(gst::PadDirection::Sink, &caps::ANY_MEMORY));
        &TEMPLATES
    }

    fn send_event(&self, event: gst::Event) -> bool {
        self.pace.event(&event);
        self.parent_send_event(event)
    }
}

impl BaseSinkImpl for Iceoryx2Sink {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let service = self.settings.lock().unwrap().service.clone();
        gst_plugin_iceoryx2_video::check_service_name(&service).map_err(|error| errors::message(&error))?;
        *self.interrupt.lock().unwrap() = Some(errors::interrupt()?);
        let Counters { zero_copy, copied, dropped, dropped_memory } = &self.counters;
        for counter in [zero_copy, copied, dropped, dropped_memory] {
            counter.store(0, Ordering::Relaxed);
        }
        self.results.reset();
        self.warned.lock().unwrap().clear();
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let stream = self.stream.lock().unwrap().take();
        let publisher = self.publisher.lock().unwrap().take();
        *self.interrupt.lock().unwrap() = None;
        // This closes the port. No lock is held. Loans that upstream still holds keep their memory.
        drop((stream, publisher));
        self.update_clients(0);
        Ok(())
    }

    fn caps(&self, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        Some(caps::filtered(&caps::SYSTEM_MEMORY, filter))
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::AcceptCaps(accept) = query.view_mut() {
            // The sink accepts raw video in any memory here, so that `set_caps` can explain why it refuses memory that it cannot read.
            let accepted = accept.caps().is_subset(&caps::ANY_MEMORY);
            accept.set_result(accepted);
            return true;
        }
        BaseSinkImplExt::parent_query(self, query)
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let features = caps.features(0);
        if features.is_some_and(|features| !features.is_equal(&gst::CAPS_FEATURES_MEMORY_SYSTEM_MEMORY)) {
            let text = format!(
                "cannot share frames in {}; copy them to system memory first, with the download element of their plugin \
                 (gldownload, vapostproc, cudadownload, nvvidconv …)",
                features.map(ToString::to_string).unwrap_or_default()
            );
            gst::element_imp_error!(self, gst::StreamError::Format, ["{text}"]);
            return Err(gst::loggable_error!(CAT, "{text}"));
        }
        let info = gst_video::VideoInfo::from_caps(caps)?;
        layout::header(&info, info.offset(), info.stride())
            .ok_or_else(|| gst::loggable_error!(CAT, "the wire format cannot represent {caps}"))?;
        let mut stream = self.stream.lock().unwrap();
        let (publisher, budget, reporter) = match stream.take() {
            Some(stream) => (stream.publisher, stream.budget, stream.reporter),
            None => match self.open(info.size()) {
                Ok((publisher, reporter)) => {
                    (publisher, Budget::new(self.settings.lock().unwrap().max_loans as usize), reporter)
                }
                Err(error) => {
                    self.post_error_message(errors::message(&error));
                    return Err(gst::loggable_error!(CAT, "{error}"));
                }
            },
        };
        let aux = (publisher.aux_bytes() > 0).then(|| metas::template(caps, publisher.publisher_id()));
        gst::debug!(CAT, imp = self, "publishing {caps} on {:?}", publisher.service());
        *stream = Some(Stream { publisher, budget, info, checked: None, aux, reporter });
        Ok(())
    }

    fn propose_allocation(&self, query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        let (Some(caps), need_pool) = query.get_owned() else {
            return Ok(());
        };
        let stream = self.stream.lock().unwrap();
        let Some(stream) = stream.as_ref() else {
            return Ok(());
        };
        let size = gst_video::VideoInfo::from_caps(&caps)?.size() as u32;
        if !need_pool {
            query.add_allocation_pool(None::<&gst::BufferPool>, size, 0, 0);
            return Ok(());
        }
        let pool = LoanPool::new(&stream.publisher, stream.budget.clone());
        let mut config = pool.config();
        config.set_params(Some(&caps), size, 0, 0);
        config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
        pool.set_config(config)?;
        query.add_allocation_pool(Some(&pool), size, 0, 0);
        Ok(())
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let _in_call = preroll::InCall::begin();
        self.wait_for_connection()?;
        if buffer.n_memory() == 0 {
            gst::debug!(CAT, imp = self, "ignored a buffer without memory");
            return Ok(gst::FlowSuccess::Ok);
        }
        let outcome = {
            let mut stream = self.stream.lock().unwrap();
            self.publish(stream.as_mut().ok_or(gst::FlowError::NotNegotiated)?, buffer)
        };
        match outcome {
            Ok(counter) => {
                counter.fetch_add(1, Ordering::Relaxed);
                Ok(gst::FlowSuccess::Ok)
            }
            Err(Failure::Frame(cause, reason)) => {
                self.drop_frame(cause, &reason);
                Ok(gst::FlowSuccess::Ok)
            }
            Err(Failure::Stream(error)) => {
                self.post_error_message(errors::message(&error));
                Err(gst::FlowError::Error)
            }
        }
    }

    fn event(&self, event: gst::Event) -> bool {
        self.pace.event(&event);
        if matches!(event.view(), gst::EventView::Eos(_)) {
            let _in_call = preroll::InCall::begin();
            let publisher = self.publisher.lock().unwrap().clone();
            // The end is sent before the parent posts the EOS message, because the application may then stop the pipeline.
            if let Some(Err(error)) = publisher.map(|publisher| publisher.end_of_stream()) {
                gst::warning!(CAT, imp = self, "cannot send the end of the stream: {error}");
            }
        }
        self.parent_event(event)
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.wake();
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        // BaseSink stores the reason for the unlock only at this point. The streaming thread clears the interrupt before it reads the
        // reason.
        self.wake();
        Ok(())
    }
}

/// Waits for readers that are connecting and for subscribers with a full buffer, as described in [`preroll`].
struct Waits(glib::WeakRef<super::Iceoryx2Sink>);

impl Waiting for Waits {
    fn wait(&self, wait: &mut dyn FnMut()) {
        match self.0.upgrade() {
            Some(sink) => preroll::wait(sink.upcast_ref(), wait),
            None => wait(),
        }
    }

    fn go_on(&self) -> bool {
        let Some(sink) = self.0.upgrade() else { return false };
        if !preroll::is_held() {
            // Only the streaming thread can resume after an interrupt.
            return false;
        }
        if let Some(interrupt) = &*sink.imp().interrupt.lock().unwrap() {
            interrupt.clear();
        }
        preroll::resume(sink.upcast_ref()).is_ok()
    }
}

impl Iceoryx2Sink {
    /// Wakes the streaming thread, which then checks its state.
    fn wake(&self) {
        if let Some(interrupt) = &*self.interrupt.lock().unwrap() {
            interrupt.set();
        }
    }

    /// Counts a dropped frame, and posts a warning for the first frame of each cause.
    fn drop_frame(&self, cause: Cause, text: &str) {
        self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        let is_memory = matches!(cause, Cause::Frames | Cause::Loans);
        if is_memory {
            self.counters.dropped_memory.fetch_add(1, Ordering::Relaxed);
        }
        if !self.warned.lock().unwrap().insert(cause) {
            return;
        }
        let text = format!("{text} (frames-dropped counts further frames)");
        if is_memory {
            gst::element_imp_warning!(self, gst::ResourceError::NoSpaceLeft, ("{text}"));
        } else {
            gst::element_imp_warning!(self, gst::StreamError::Format, ("{text}"));
        }
    }

    /// Creates the publisher, with memory for frames of `size` bytes.
    fn open(&self, size: usize) -> Result<(Arc<VideoFramePublisher>, Option<Arc<Reporter>>), Error> {
        let settings = self.settings.lock().unwrap().clone();
        let weak = self.downgrade();
        let obj = self.obj().downgrade();
        let mut builder = VideoFramePublisher::builder(&settings.service)
            .max_bytes(size.max(settings.max_bytes as usize))
            .aux_bytes(settings.aux_bytes as usize)
            .max_loans(settings.max_loans as usize + COPY_LOANS)
            .max_frames(settings.max_frames as usize)
            .on_subscribers(move |count| {
                if let Some(imp) = weak.upgrade() {
                    imp.update_clients(count as u32);
                }
            })
            .on_trouble(move |trouble| {
                if let Some(obj) = obj.upgrade() {
                    gst::element_warning!(obj, gst::ResourceError::OpenWrite, ["{trouble}"]);
                }
            });
        let interrupt = self.interrupt.lock().unwrap().clone().expect("made by start");
        builder = builder.interrupt(interrupt.clone()).waiting(Waits(self.obj().downgrade()));
        builder = match settings.lossless {
            true => builder.lossless(interrupt),
            false => set(builder, settings.safe_overflow, PublisherBuilder::safe_overflow),
        };
        builder = set(builder, settings.buffer_size, PublisherBuilder::buffer_size);
        builder = set(builder, settings.borrowed_max, PublisherBuilder::borrowed_max);
        builder = set(builder, settings.history_size, PublisherBuilder::history_size);
        builder = set(builder, settings.max_subscribers.map(|count| count as usize), PublisherBuilder::max_subscribers);
        builder = set(builder, settings.max_publishers.map(|count| count as usize), PublisherBuilder::max_publishers);
        let publisher = Arc::new(builder.build()?);
        let interrupt = self.interrupt.lock().unwrap().clone().expect("made by start");
        let reporter = Reporter::open(&settings, &interrupt, Waits(self.obj().downgrade()))?;
        *self.publisher.lock().unwrap() = Some(publisher.clone());
        Ok((publisher, reporter.map(Arc::new)))
    }

    /// Updates `num-clients` and emits its signals. The caller must not hold a lock.
    fn update_clients(&self, now: u32) {
        let before = self.subscribers.swap(now, Ordering::SeqCst);
        if now == before {
            return;
        }
        self.wake();
        let obj = self.obj();
        obj.emit_by_name::<()>(if now > before { "client-connected" } else { "client-disconnected" }, &[&now]);
        obj.notify("num-clients");
    }

    /// Waits for a subscriber if `wait-for-connection` is set.
    fn wait_for_connection(&self) -> Result<(), gst::FlowError> {
        if !self.settings.lock().unwrap().wait_for_connection {
            return Ok(());
        }
        let Some(interrupt) = self.interrupt.lock().unwrap().clone() else {
            return Err(gst::FlowError::Flushing);
        };
        while self.subscribers.load(Ordering::SeqCst) == 0 {
            preroll::wait(self.obj().upcast_ref(), || {
                interrupt.wait(FOREVER);
            });
            // The interrupt is cleared before the reason is read, so that the next interrupt is not lost.
            interrupt.clear();
            preroll::resume(self.obj().upcast_ref())?;
        }
        Ok(())
    }

    /// Publishes one buffer, without a copy if possible. Returns the counter to increment.
    fn publish(&self, stream: &mut Stream, buffer: &gst::Buffer) -> Result<&AtomicU64, Failure> {
        let mut header = stream.header(buffer)?;
        let none = |time: Option<gst::ClockTime>| time.map_or(NONE, gst::ClockTime::nseconds);
        header.pts = none(buffer.pts());
        header.dts = none(buffer.dts());
        header.duration = none(buffer.duration());
        header.offset = buffer.offset();
        header.flags = u64::from(buffer.flags().bits() | buffer.video_flags().bits()) & FLAGS_MASK;

        let now = monotonic_ns();
        let size = (header.width, header.height);
        let is_read = stream.aux.is_some() || stream.reporter.is_some();
        let extra = if is_read { metas::serialise(buffer, size) } else { metas::Records::default() };
        let moment = self.moment(buffer.pts().or(buffer.dts()));
        let latency = self.obj().latency().nseconds();
        let due = moment.map_or(now, |moment| moment.saturating_add(latency).min(NONE - 1));
        // Only in a live pipeline does the timestamp say when the source captured the frame.
        let is_captured = || buffer.pts().is_some() && self.pace.is_live(self.obj().upcast_ref());
        let captured = extra.capture.or_else(|| moment.filter(|_| is_captured()).map(|moment| moment.min(now)));
        let capture = captured.unwrap_or(now);

        let (counter, sequence) = match Self::take_loan(buffer, &header) {
            Some((mut loan, pixels)) => {
                let turn = stream.publisher.turn();
                let tail = &mut loan[pixels..];
                if let Some(aux) = &stream.aux
                    && aux.write_into(tail, due, capture, turn.sequence(), &extra.records) > 0
                {
                    header.aux_size = tail.len() as u32;
                }
                let sequence = turn.sequence();
                turn.send(loan, &header)?;
                (&self.counters.zero_copy, sequence)
            }
            None => {
                let pixels = buffer.size();
                let aux = stream.aux.as_ref().map_or(0, |aux| aux.len_with(&extra.records));
                let mut loan = stream.publisher.loan(pixels + aux)?;
                if buffer.copy_to_slice(0, &mut loan[..pixels]).is_err() {
                    let service = stream.publisher.service();
                    let text = format!(
                        "frame of service {service:?} dropped: cannot read its memory; download it to system memory first"
                    );
                    return Err(Failure::Frame(Cause::Unreadable, text));
                }
                let turn = stream.publisher.turn();
                if let Some(template) = &stream.aux {
                    template.write_into(&mut loan[pixels..], due, capture, turn.sequence(), &extra.records);
                    header.aux_size = aux as u32;
                }
                let sequence = turn.sequence();
                turn.send(loan, &header)?;
                (&self.counters.copied, sequence)
            }
        };
        if let Some(reporter) = &stream.reporter {
            let publisher = Some(stream.publisher.publisher_id());
            let (sequence, capture, due) = (Some(sequence), Some(capture), Some(due));
            let stamp = Stamp { boot_id: boot_id(), publisher, sequence, capture, due };
            self.report(reporter, extra, stamp, size);
        }
        Ok(counter)
    }

    /// Publishes the results of a frame that was sent.
    fn report(&self, reporter: &Reporter, extra: metas::Records, stamp: Stamp, size: (u32, u32)) {
        let records = || extra.records.iter().map(Vec::as_slice);
        let (origin, first) = (Rendition::find(records(), size), first_publisher(records()));
        let sent = Sent { stamp, size, origin: origin.as_ref(), first };
        match reporter.report(extra.results, &sent) {
            Ok(()) => self.results.sent.fetch_add(1, Ordering::Relaxed),
            Err(text) => {
                if self.warned.lock().unwrap().insert(Cause::Results) {
                    let text = format!("{text} (results-refused counts further results)");
                    gst::element_imp_warning!(self, gst::StreamError::Format, ("{text}"));
                }
                self.results.refused.fetch_add(1, Ordering::Relaxed)
            }
        };
    }

    /// Converts a timestamp to CLOCK_MONOTONIC; `None` if there is no clock or no timestamp.
    fn moment(&self, timestamp: Option<gst::ClockTime>) -> Option<u64> {
        let obj = self.obj();
        let segment = obj.segment().downcast::<gst::ClockTime>().ok()?;
        let running_time = segment.to_running_time_full(timestamp?)?;
        Some(clock::to_monotonic(running_time, obj.base_time()?, &obj.clock()?))
    }

    /// Takes the loan out of a buffer from the pool, if nothing else refers to the buffer or its memory.
    fn take_loan(buffer: &gst::Buffer, header: &VideoFrameHeader) -> Option<(Loan, usize)> {
        if buffer.n_memory() != 1 || !buffer.is_writable() || !buffer.is_all_memory_writable() {
            return None;
        }
        let memory = buffer.peek_memory(0);
        let ours = memory.allocator().is_some_and(|allocator| allocator == gst::rust_allocator());
        if !ours || memory.offset() != 0 || memory.size() != memory.maxsize() {
            return None;
        }
        debug_assert!(header.aux_size == 0);
        // SAFETY: the buffer is writable, so there is no other reference. The base class owns this reference and later only drops it.
        let buffer = unsafe { gst::BufferRef::from_mut_ptr(buffer.as_mut_ptr()) };
        let memory = buffer.memory(0)?;
        buffer.remove_all_memory();
        match memory.try_into_inner::<LoanMemory>() {
            Ok(loan) => Some(loan.into_loan()),
            Err((memory, _)) => {
                buffer.append_memory(memory);
                None
            }
        }
    }
}
