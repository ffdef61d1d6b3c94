//! Implementation of `iceoryx2src`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use gst::glib;
use gst::glib::translate::from_glib_full;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;
use gst_plugin_iceoryx2_video::wire::result_payload::Results;
use gst_plugin_iceoryx2_video::{AuxRef, Error, NONE, Received, VideoFrame, VideoFrameHeader, VideoFrameSubscriber};
use gst_video::prelude::*;

use super::joiner::{self, Joined, Joiner};
use super::settings::{LeakyType, OnDisconnect, PROPERTIES, Settings, TimestampMode};
use crate::log::CAT;
use crate::{caps, clock, errors, layout, metas};

/// Interval at which a wait for frames is interrupted to post warnings.
const TROUBLE_INTERVAL: Duration = Duration::from_secs(1);
/// If only this many more frames can be borrowed, the source copies frames, so that it can always receive the next one.
const BORROW_RESERVE: usize = 1;

#[derive(Debug, Default)]
pub struct Iceoryx2Src {
    settings: Mutex<Settings>,
    subscriber: Mutex<Option<Arc<VideoFrameSubscriber>>>,
    stream: Mutex<Stream>,
    /// Caps for the last frame.
    caps: Mutex<Option<gst::Caps>>,
    pending: Mutex<Pending>,
    skip_backlog: AtomicBool,
    /// Whether downstream has changed, so that its support for GstVideoMeta must be queried again.
    reconfigured: AtomicBool,
    received: AtomicU64,
    copied: AtomicU64,
    skipped: AtomicU64,
    /// Number of frames that conform to the wire format but cannot be represented by this GStreamer.
    refused: AtomicU64,
    /// Present if results are joined to frames.
    joiner: Mutex<Option<Arc<Joiner>>>,
    results: Arc<joiner::Counters>,
    /// Whether the streaming thread must stop. Results also interrupt its waits.
    flushing: AtomicBool,
    /// Whether the publisher has exited while frames wait for their results.
    disconnected: AtomicBool,
}

/// State of the streaming thread.
#[derive(Debug, Default)]
struct Stream {
    current: Option<Current>,
    /// Whether downstream supports layouts other than the default one.
    downstream: Option<Downstream>,
    metas: metas::Reader,
    discontinuity: bool,
}

/// The frame to push next, if it was already received for a caps query or is an end of stream after the newest frame.
#[derive(Debug, Default)]
struct Pending {
    frame: Option<VideoFrame>,
    /// Whether the streaming thread has begun to receive. From then on only this thread receives, so that frames keep their order.
    streaming: bool,
}

impl Pending {
    fn take(&mut self) -> Option<VideoFrame> {
        self.streaming = true;
        self.frame.take()
    }
}

#[derive(Debug)]
struct Current {
    header: VideoFrameHeader,
    caps_text: String,
    info: gst_video::VideoInfo,
    offsets: Vec<usize>,
    strides: Vec<i32>,
    /// Smallest size of the pixels in bytes. It is set only for tiled formats, because only GStreamer knows their layout.
    least: usize,
    /// Whether this is GStreamer's default layout.
    is_default: bool,
}

/// The result of the last allocation query to downstream.
#[derive(Debug)]
struct Downstream {
    takes_video_meta: bool,
    reach: usize,
}

impl Downstream {
    fn ask(pad: &gst::Pad) -> Self {
        // The pads are counted before the query, so that the query is repeated if a branch is removed during it.
        let reach = reach(pad);
        let mut query = gst::query::Allocation::new(pad.current_caps().as_ref(), false);
        let takes_video_meta =
            pad.peer_query(&mut query) && query.find_allocation_meta::<gst_video::VideoMeta>().is_some();
        Self { takes_video_meta, reach }
    }
}

/// Counts the pads that buffers from this pad reach. GStreamer notifies upstream when a link is made, but not when it is removed or first
/// used.
fn reach(pad: &gst::Pad) -> usize {
    let mut reached = HashSet::new();
    let mut sources = vec![pad.clone()];
    while let Some(source) = sources.pop() {
        let Some(peer) = source.peer().filter(PadExt::is_active) else { continue };
        // SAFETY: the pad is alive. The result is a new iterator, or null if the pad was just removed from its element.
        let links: Option<gst::Iterator<gst::Pad>> =
            unsafe { from_glib_full(gst::ffi::gst_pad_iterate_internal_links(peer.as_ptr())) };
        if reached.insert(peer) {
            sources.extend(links.into_iter().flatten().map_while(Result::ok));
        }
    }
    reached.len()
}

#[glib::object_subclass]
impl ObjectSubclass for Iceoryx2Src {
    const NAME: &'static str = "GstIceoryx2Src";
    type Type = super::Iceoryx2Src;
    type ParentType = gst_base::PushSrc;
}

impl ObjectImpl for Iceoryx2Src {
    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.set_live(true);
        obj.set_format(gst::Format::Time);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.settings.lock().unwrap().set(pspec.name(), value);
        if pspec.name() == "processing-deadline" {
            let _ = self.obj().post_message(gst::message::Latency::builder().src(&*self.obj()).build());
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let stats =
            || self.subscriber.lock().unwrap().as_ref().map(|subscriber| subscriber.stats()).unwrap_or_default();
        match pspec.name() {
            "frames-received" => self.received.load(Ordering::Relaxed).to_value(),
            "frames-skipped" => self.skipped.load(Ordering::Relaxed).to_value(),
            "frames-copied" => self.copied.load(Ordering::Relaxed).to_value(),
            "frames-dropped" => stats().dropped.unwrap_or_default().to_value(),
            "results-joined" => self.results.joined.load(Ordering::Relaxed).to_value(),
            "results-missing" => self.results.missing.load(Ordering::Relaxed).to_value(),
            "results-late" => self.results.late.load(Ordering::Relaxed).to_value(),
            "results-invalid" => self.results.invalid.load(Ordering::Relaxed).to_value(),
            "frames-invalid" => (stats().invalid + self.refused.load(Ordering::Relaxed)).to_value(),
            name => self.settings.lock().unwrap().get(name),
        }
    }
}

impl GstObjectImpl for Iceoryx2Src {}

impl ElementImpl for Iceoryx2Src {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "iceoryx2 video source",
                "Source/Video",
                "Receives raw video frames from other processes by reference, over iceoryx2 shared memory",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
            LazyLock::new(|| caps::templates(gst::PadDirection::Src, &caps::SYSTEM_MEMORY));
        &TEMPLATES
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::PausedToPlaying {
            // Frames that arrived during a pause are old, and a live source continues with the newest one. A source that was not connected
            // has none: what arrives before its thread runs is the beginning of the stream.
            let is_connected =
                self.subscriber.lock().unwrap().as_ref().is_some_and(|subscriber| subscriber.is_connected());
            self.skip_backlog.store(is_connected, Ordering::SeqCst);
        }
        self.parent_change_state(transition)
    }
}

impl BaseSrcImpl for Iceoryx2Src {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings.lock().unwrap().clone();
        let subscriber = VideoFrameSubscriber::builder(&settings.service)
            .requirements(settings.requirements())
            .busy_wait(settings.busy_wait.into())
            .build()
            .map_err(|error| errors::message(&error))?;
        for counter in [&self.received, &self.copied, &self.skipped, &self.refused] {
            counter.store(0, Ordering::Relaxed);
        }
        self.results.reset();
        self.disconnected.store(false, Ordering::SeqCst);
        *self.joiner.lock().unwrap() =
            self.start_joiner(&settings, &subscriber).map_err(|error| errors::message(&error))?;
        *self.stream.lock().unwrap() = Stream { discontinuity: true, ..Stream::default() };
        *self.subscriber.lock().unwrap() = Some(Arc::new(subscriber));
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        // The port is closed while no lock is held. Frames that downstream still holds keep their memory.
        let joiner = self.joiner.lock().unwrap().take();
        drop(joiner);
        let subscriber = self.subscriber.lock().unwrap().take();
        drop(subscriber);
        *self.pending.lock().unwrap() = Pending::default();
        *self.caps.lock().unwrap() = None;
        *self.stream.lock().unwrap() = Stream::default();
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.flushing.store(true, Ordering::SeqCst);
        if let Some(subscriber) = &*self.subscriber.lock().unwrap() {
            subscriber.interrupt().set();
        }
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.flushing.store(false, Ordering::SeqCst);
        if let Some(subscriber) = &*self.subscriber.lock().unwrap() {
            subscriber.interrupt().clear();
        }
        Ok(())
    }

    fn caps(&self, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        Some(caps::filtered(&self.peek_caps().unwrap_or_else(|| caps::SYSTEM_MEMORY.clone()), filter))
    }

    fn negotiate(&self) -> Result<(), gst::LoggableError> {
        // The caps come from the frames.
        self.reconfigured.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            let settings = self.settings.lock().unwrap();
            latency.set(true, settings.processing_deadline + settings.hold(), gst::ClockTime::NONE);
            return true;
        }
        BaseSrcImplExt::parent_query(self, query)
    }
}

impl PushSrcImpl for Iceoryx2Src {
    fn create(&self, _buffer: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
        let subscriber = self.subscriber.lock().unwrap().clone().ok_or(gst::FlowError::Flushing)?;
        loop {
            let Joined { frame, results } = match self.joiner.lock().unwrap().clone() {
                Some(joiner) => self.next_joined(&subscriber, &joiner)?,
                None => Joined { frame: self.next_frame(&subscriber)?, results: Vec::new() },
            };
            if frame.is_eos() {
                gst::debug!(CAT, imp = self, "end of stream from {:?}", subscriber.service());
                return Err(gst::FlowError::Eos);
            }
            if let Some(buffer) = self.buffer(&subscriber, frame, &results)? {
                self.received.fetch_add(1, Ordering::Relaxed);
                return Ok(CreateSuccess::NewBuffer(buffer));
            }
        }
    }
}

impl Current {
    /// Creates a buffer with this memory and a GstVideoMeta.
    fn wrap(&self, memory: gst::Memory) -> Result<gst::Buffer, gst::FlowError> {
        let mut buffer = gst::Buffer::new();
        let contents = buffer.get_mut().expect("a new buffer");
        contents.append_memory(memory);
        layout::add_meta(contents, &self.info, &self.offsets, &self.strides)?;
        Ok(buffer)
    }
}

impl Iceoryx2Src {
    /// Returns the caps of the publisher's frames, if a frame has arrived.
    fn peek_caps(&self) -> Option<gst::Caps> {
        if let Some(caps) = &*self.caps.lock().unwrap() {
            return Some(caps.clone());
        }
        let subscriber = self.subscriber.lock().unwrap().clone()?;
        let mut pending = self.pending.lock().unwrap();
        if pending.frame.is_none() && !pending.streaming {
            pending.frame = subscriber.receive().ok()?;
        }
        let frame = pending.frame.as_ref().filter(|frame| !frame.is_eos())?;
        caps::of_frame(frame.header(), AuxRef::new(frame.aux()).caps().unwrap_or_default()).ok()
    }

    /// Waits for the frame to push next. If older frames are to be skipped, this is the newest frame.
    fn next_frame(&self, subscriber: &VideoFrameSubscriber) -> Result<VideoFrame, gst::FlowError> {
        let mut frame = self.pending.lock().unwrap().take();
        let newest_only = self.settings.lock().unwrap().leaky_type == LeakyType::Downstream;
        if self.skip_backlog.swap(false, Ordering::SeqCst) || newest_only {
            frame = self.newest(subscriber, frame).map_err(|error| self.fail(&error))?;
        }
        match frame {
            Some(frame) => Ok(frame),
            None => self.wait_for_frame(subscriber),
        }
    }

    /// Returns the newest among this frame and all waiting frames, and skips older ones. An end of stream is kept for the next call.
    fn newest(
        &self,
        subscriber: &VideoFrameSubscriber,
        frame: Option<VideoFrame>,
    ) -> Result<Option<VideoFrame>, Error> {
        let mut newest = frame;
        let mut skipped = 0;
        while !newest.as_ref().is_some_and(VideoFrame::is_eos) {
            match subscriber.receive() {
                Ok(Some(end)) if end.is_eos() && newest.is_some() => {
                    self.pending.lock().unwrap().frame = Some(end);
                    break;
                }
                Ok(Some(newer)) => skipped += u64::from(newest.replace(newer).is_some()),
                Ok(None) => break,
                // This error means that another frame is waiting.
                Err(Error::BorrowLimit { .. }) if newest.take().is_some() => skipped += 1,
                Err(error) => return Err(error),
            }
        }
        self.skip(skipped);
        Ok(newest)
    }

    fn wait_for_frame(&self, subscriber: &VideoFrameSubscriber) -> Result<VideoFrame, gst::FlowError> {
        loop {
            match self.wait(subscriber, TROUBLE_INTERVAL)? {
                Received::Frame(frame) => return Ok(frame),
                Received::Disconnected => self.leave(subscriber)?,
                Received::Interrupted | Received::TimedOut => {}
            }
        }
    }

    /// Waits once for a frame, at most until the next report of warnings is due.
    fn wait(&self, subscriber: &VideoFrameSubscriber, timeout: Duration) -> Result<Received, gst::FlowError> {
        let received = subscriber.wait(Some(timeout.min(TROUBLE_INTERVAL))).map_err(|error| self.fail(&error))?;
        if let Some(trouble) = subscriber.take_trouble() {
            gst::element_imp_warning!(self, gst::ResourceError::OpenRead, ["{trouble}"]);
        }
        if let Some(news) = subscriber.take_news() {
            gst::element_imp_warning!(self, gst::StreamError::Format, ("{news}"));
        }
        if matches!(received, Received::Interrupted) {
            // Results also interrupt the wait. The flag is read after the interrupt is cleared, so that no request to stop is lost.
            let interrupt = subscriber.interrupt();
            interrupt.clear();
            if self.flushing.load(Ordering::SeqCst) {
                interrupt.set();
                return Err(gst::FlowError::Flushing);
            }
        }
        Ok(received)
    }

    /// Does what `on-disconnect` says after the publisher has exited.
    fn leave(&self, subscriber: &VideoFrameSubscriber) -> Result<(), gst::FlowError> {
        gst::info!(CAT, imp = self, "the publisher of {:?} has exited", subscriber.service());
        let on_disconnect = self.settings.lock().unwrap().on_disconnect;
        match on_disconnect {
            OnDisconnect::Wait => Ok(()),
            OnDisconnect::Eos => Err(gst::FlowError::Eos),
            OnDisconnect::Error => {
                let text = format!(
                    "the publisher of {:?} has exited without ending the stream; set on-disconnect=wait to wait for the next one",
                    subscriber.service()
                );
                gst::element_imp_error!(self, gst::ResourceError::NotFound, ["{text}"]);
                Err(gst::FlowError::Error)
            }
        }
    }

    /// Subscribes to the results that are attached to frames, if there are any.
    fn start_joiner(
        &self,
        settings: &Settings,
        subscriber: &VideoFrameSubscriber,
    ) -> Result<Option<Arc<Joiner>>, Error> {
        let Some(detectors) = &settings.results else { return Ok(None) };
        let obj = self.obj().downgrade();
        let report = move |error: Error| {
            if let Some(obj) = obj.upgrade() {
                gst::element_warning!(obj, gst::ResourceError::OpenRead, ["{error}"]);
            }
        };
        let wait = settings.results_wait.into();
        let wake = subscriber.interrupt();
        let joiner = Joiner::start(&settings.service, detectors, wait, self.results.clone(), &wake, report)?;
        Ok(Some(Arc::new(joiner)))
    }

    /// Waits for the frame to push next, and for its results.
    fn next_joined(&self, subscriber: &VideoFrameSubscriber, joiner: &Joiner) -> Result<Joined, gst::FlowError> {
        let mut frame = self.pending.lock().unwrap().take();
        if self.skip_backlog.swap(false, Ordering::SeqCst) {
            let skipped = joiner.clear() as u64;
            self.skip(skipped);
            frame = self.newest(subscriber, frame).map_err(|error| self.fail(&error))?;
        }
        loop {
            frame.take().into_iter().for_each(|frame| joiner.hold(frame));
            let is_full = self.hold_waiting_frames(subscriber, joiner).map_err(|error| self.fail(&error))?;
            let newest_only = self.settings.lock().unwrap().leaky_type == LeakyType::Downstream;
            if let Some((joined, skipped)) = joiner.next(is_full, newest_only) {
                self.skip(skipped);
                return Ok(joined);
            }
            if joiner.is_empty() && self.disconnected.swap(false, Ordering::SeqCst) {
                self.leave(subscriber)?;
            }
            match self.wait(subscriber, joiner.time_left().unwrap_or(TROUBLE_INTERVAL))? {
                Received::Frame(received) => frame = Some(received),
                Received::Disconnected => self.disconnected.store(true, Ordering::SeqCst),
                Received::Interrupted | Received::TimedOut => {}
            }
        }
    }

    /// Queues all frames that have arrived. Returns true if as many frames are held as is allowed.
    fn hold_waiting_frames(&self, subscriber: &VideoFrameSubscriber, joiner: &Joiner) -> Result<bool, Error> {
        loop {
            if self.is_near_limit(subscriber) {
                return Ok(true);
            }
            match subscriber.receive() {
                Ok(Some(frame)) => joiner.hold(frame),
                Ok(None) => return Ok(false),
                Err(Error::BorrowLimit { .. }) => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }

    /// Counts skipped frames.
    fn skip(&self, frames: u64) {
        self.skipped.fetch_add(frames, Ordering::Relaxed);
        self.stream.lock().unwrap().discontinuity |= frames > 0;
    }

    /// Whether so many frames are held that the last one must be copied, so that the next one can be received.
    fn is_near_limit(&self, subscriber: &VideoFrameSubscriber) -> bool {
        let stats = subscriber.stats();
        let own_limit = self.settings.lock().unwrap().borrowed_max.map_or(usize::MAX, |frames| frames as usize);
        stats.limit > 0 && stats.held + BORROW_RESERVE > stats.limit.min(own_limit)
    }

    fn fail(&self, error: &Error) -> gst::FlowError {
        self.post_error_message(errors::message(error));
        gst::FlowError::Error
    }

    /// Creates the buffer for a frame; `None` if the frame was refused and counted.
    fn buffer(
        &self,
        subscriber: &VideoFrameSubscriber,
        mut frame: VideoFrame,
        results: &[Results],
    ) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let mut stream = self.stream.lock().unwrap();
        let stream = &mut *stream;
        let header = *frame.header();
        let stamp = *frame.stamp();
        let blob = frame.take_aux();
        let aux = AuxRef::new(&blob);
        let pixel_bytes = frame.pixels().len();
        let is_known = |current: &Current| {
            let has_caps = |text: &str| aux.has_caps(text.as_bytes()) || aux.caps().unwrap_or_default() == text;
            current.header.same_layout(&header) && pixel_bytes >= current.least && has_caps(&current.caps_text)
        };
        if !stream.current.as_ref().is_some_and(is_known) {
            match self.adopt(&header, aux.caps().unwrap_or_default(), pixel_bytes)? {
                Ok(current) => stream.current = Some(current),
                Err(reason) => {
                    if self.refused.fetch_add(1, Ordering::Relaxed) == 0 {
                        let text = format!("frame dropped: {reason} (frames-invalid counts further frames)");
                        gst::element_imp_warning!(self, gst::StreamError::Format, ("{text}"));
                    }
                    return Ok(None);
                }
            }
        }
        let current = stream.current.as_ref().expect("set above");
        let relayout = !current.is_default && !self.is_video_meta_taken(&mut stream.downstream);
        let discontinuity = std::mem::take(&mut stream.discontinuity) || frame.is_discontinuity();

        let near_limit = self.is_near_limit(subscriber);
        if near_limit || relayout {
            self.copied.fetch_add(1, Ordering::Relaxed);
        }
        let mut buffer = if relayout {
            layout::copy_to_default(frame.pixels(), &header, &current.info).ok_or(gst::FlowError::Error)?
        } else if near_limit {
            // Downstream holds nearly as many frames as it may. So this frame is copied and returned to the publisher immediately.
            current.wrap(gst::Memory::from_mut_slice(frame.pixels().to_vec()))?
        } else {
            current.wrap(gst::Memory::from_slice(Pixels(frame)))?
        };
        let contents = buffer.get_mut().expect("a new buffer");
        let size = (header.width, header.height);
        stream.metas.attach(contents, &aux, &stamp, subscriber.service(), size);
        for found in results {
            metas::attach_results(contents, found, size);
        }
        self.stamp(contents, &header, stamp.due, discontinuity);
        Ok(Some(buffer))
    }

    /// Adopts new caps or a new layout. The inner error explains why the frame cannot be represented.
    fn adopt(
        &self,
        header: &VideoFrameHeader,
        text: &str,
        pixel_bytes: usize,
    ) -> Result<Result<Current, String>, gst::FlowError> {
        let caps = match caps::of_frame(header, text) {
            Ok(caps) => caps,
            Err(reason) => return Ok(Err(reason)),
        };
        let Ok(info) = gst_video::VideoInfo::from_caps(&caps) else {
            return Ok(Err(format!("{caps} is not raw video")));
        };
        let Some((offsets, strides)) = layout::planes(header) else {
            return Ok(Err("a stride is too large for GStreamer".into()));
        };
        let least = if layout::is_tiled(header) { info.size() } else { 0 };
        if least > 0 && !layout::is_default(header, &info) || pixel_bytes < least {
            return Ok(Err(format!(
                "{} must have GStreamer's default layout ({} bytes), but the frame has another layout ({pixel_bytes} bytes)",
                info.name(),
                info.size()
            )));
        }
        let obj = self.obj();
        if obj.src_pad().current_caps().as_ref() != Some(&caps) {
            gst::debug!(CAT, imp = self, "caps {caps}");
            let pad = obj.src_pad();
            // The peer is queried first, because GStreamer 1.22 reports success even if the peer refuses the event.
            let is_refused = pad.is_linked() && !pad.peer_query_accept_caps(&caps);
            if is_refused || obj.set_caps(&caps).is_err() {
                let converters = caps::converters(&caps, &pad.peer_query_caps(None));
                let text = format!("downstream does not accept {caps}; insert {converters} after iceoryx2src");
                gst::element_imp_error!(self, gst::StreamError::Format, ["{text}"]);
                return Err(gst::FlowError::NotNegotiated);
            }
            self.reconfigured.store(true, Ordering::SeqCst);
        }
        *self.caps.lock().unwrap() = Some(caps.clone());
        Ok(Ok(Current {
            header: *header,
            caps_text: text.to_owned(),
            is_default: layout::is_default(header, &info),
            info,
            offsets,
            strides,
            least,
        }))
    }

    /// Whether every element downstream supports GstVideoMeta. If not, frames that do not have the default layout are copied.
    fn is_video_meta_taken(&self, known: &mut Option<Downstream>) -> bool {
        let obj = self.obj();
        let pad = obj.src_pad();
        // The flag is checked here as well, because downstream may change while the base class waits for a frame.
        let is_reconfigured = self.reconfigured.swap(false, Ordering::SeqCst) | pad.check_reconfigure();
        let holds = |known: &Downstream| !is_reconfigured && (known.takes_video_meta || known.reach == reach(pad));
        let downstream = known.take().filter(holds).unwrap_or_else(|| Downstream::ask(pad));
        known.insert(downstream).takes_video_meta
    }

    /// Sets timestamps and flags.
    fn stamp(&self, buffer: &mut gst::BufferRef, header: &VideoFrameHeader, due: Option<u64>, discontinuity: bool) {
        let obj = self.obj();
        let mode = self.settings.lock().unwrap().timestamp_mode;
        let pts = match (mode, obj.clock().zip(obj.base_time())) {
            (TimestampMode::Original, _) => clock_time(header.pts),
            (_, None) => None,
            (mode, Some((clock, base_time))) => {
                let due = due.filter(|_| mode == TimestampMode::Converted);
                let moment = due.unwrap_or_else(gst_plugin_iceoryx2_video::monotonic_ns);
                Some(clock::to_running_time(moment, base_time, &clock))
            }
        };
        buffer.set_pts(pts);
        if header.dts != NONE && header.pts != NONE {
            // The difference between DTS and PTS is preserved.
            let lead = i128::from(header.pts) - i128::from(header.dts);
            let dts = pts.and_then(|pts| u64::try_from((i128::from(pts.nseconds()) - lead).max(0)).ok());
            buffer.set_dts(dts.and_then(clock_time));
        }
        buffer.set_duration(clock_time(header.duration));
        buffer.set_offset(header.offset);
        let mut flags = gst::BufferFlags::from_bits_truncate(header.flags as u32);
        flags.set(gst::BufferFlags::DISCONT, discontinuity);
        buffer.set_flags(flags);
        buffer.set_video_flags(gst_video::VideoBufferFlags::from_bits_truncate(header.flags as u32));
    }
}

/// Converts a time from the header.
fn clock_time(nanoseconds: u64) -> Option<gst::ClockTime> {
    (nanoseconds != NONE).then(|| gst::ClockTime::from_nseconds(nanoseconds))
}

/// The pixels of a frame. A GstMemory owns this value, which keeps the frame alive.
struct Pixels(VideoFrame);

impl AsRef<[u8]> for Pixels {
    fn as_ref(&self) -> &[u8] {
        self.0.pixels()
    }
}
