//! Sources before the measured sink: one whose frames cost nothing, or a source that renders.

use std::sync::{Arc, LazyLock, OnceLock};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use crate::Result;
use crate::pace::Pace;
use crate::stamp::{Phase, Stamp};

glib::wrapper! {
    /// Pushes buffers of downstream's pool that contain only a stamp.
    pub struct Feed(ObjectSubclass<imp::Feed>) @extends gst_base::BaseSrc, gst::Element, gst::Object;
}

/// Sends frames that contain only a stamp, or are filled, to the sink of a launch line.
pub fn feed(sink: &str, info: gst_video::VideoInfo, pace: Pace, fills: bool) -> Result<()> {
    let pace = Arc::new(pace);
    let feed: Feed = glib::Object::new();
    feed.set_format(gst::Format::Time);
    let setup = imp::Setup { info, pace: pace.clone(), fills };
    feed.imp().setup.set(setup).unwrap_or_else(|_| unreachable!("set once"));
    run(feed.upcast_ref(), sink, &pace)
}

/// Sends the frames of the source of a launch line to the sink of another one, and stamps them when they are ready.
pub fn render(source: &str, sink: &str, pace: Pace) -> Result<()> {
    gst::init()?;
    let pace = Arc::new(pace);
    let source = gst::parse::bin_from_description(source, true)?;
    let pad = source.static_pad("src").ok_or("the source has no unlinked pad")?;
    let stamping = pace.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some((phase, number)) = stamping.next() else {
            pad.push_event(gst::event::Eos::new());
            return gst::PadProbeReturn::Remove;
        };
        let buffer = info.buffer_mut().expect("asked for").make_mut();
        match buffer.map_writable() {
            Ok(mut pixels) => Stamp::now(phase, number).write(&mut pixels),
            Err(_) => return gst::PadProbeReturn::Drop,
        }
        gst::PadProbeReturn::Ok
    });
    run(source.upcast_ref(), sink, &pace)
}

fn run(source: &gst::Element, sink: &str, pace: &Arc<Pace>) -> Result<()> {
    let pipeline = gst::Pipeline::new();
    let sink = gst::parse::bin_from_description(sink, true)?;
    pipeline.add_many([source, sink.upcast_ref()])?;
    source.link(&sink)?;
    pipeline.set_state(gst::State::Playing)?;
    let orders = pace.clone();
    std::thread::spawn(move || orders.obey(std::io::stdin()));
    let ended = crate::wait_for_end(pipeline.upcast_ref());
    let counters = crate::counters(&sink);
    pipeline.set_state(gst::State::Null)?;
    ended?;
    let result = pace.result().ok_or("told to stop before the frames were sent")?;
    println!("{result}, {counters}}}");
    Ok(())
}

mod imp {
    use super::*;

    /// The default size of a subscriber's buffer.
    const BUFFERS: u32 = 10;
    /// Value of the bytes of frames before the counted ones.
    const WARM: u8 = 128;

    #[derive(Debug)]
    pub struct Setup {
        pub info: gst_video::VideoInfo,
        pub pace: Arc<Pace>,
        /// Whether each frame is filled before it is stamped.
        pub fills: bool,
    }

    #[derive(Debug, Default)]
    pub struct Feed {
        pub setup: OnceLock<Setup>,
    }

    impl Feed {
        fn setup(&self) -> &Setup {
            self.setup.get().expect("set before it runs")
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Feed {
        const NAME: &'static str = "BenchFeed";
        type Type = super::Feed;
        type ParentType = gst_base::BaseSrc;
    }

    impl ObjectImpl for Feed {}
    impl GstObjectImpl for Feed {}

    impl ElementImpl for Feed {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<[gst::PadTemplate; 1]> =
                LazyLock::new(|| [crate::pad_template("src", gst::PadDirection::Src)]);
            &*TEMPLATES
        }
    }

    impl BaseSrcImpl for Feed {
        fn is_seekable(&self) -> bool {
            false
        }

        fn caps(&self, _filter: Option<&gst::Caps>) -> Option<gst::Caps> {
            self.setup().info.to_caps().ok()
        }

        fn decide_allocation(&self, query: &mut gst::query::Allocation) -> std::result::Result<(), gst::LoggableError> {
            // videotestsrc and videoconvert do the same.
            if let Some((Some(pool), size, min, max)) = query.allocation_pools().next()
                && query.find_allocation_meta::<gst_video::VideoMeta>().is_some()
                && pool.has_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META)
            {
                let mut config = pool.config();
                config.set_params(self.setup().info.to_caps().ok().as_ref(), size, min, max);
                config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
                pool.set_config(config)?;
            }
            if query.allocation_pools().len() == 0 {
                // Downstream proposes no pool, so make one with the proposed allocator. It has few buffers, so that a sink with a
                // fixed amount of memory does not run out of memory and copy.
                let info = &self.setup().info;
                let pool = gst_video::VideoBufferPool::new();
                let mut config = pool.config();
                config.set_params(info.to_caps().ok().as_ref(), info.size() as u32, 0, BUFFERS);
                if let Some((allocator, params)) = query.allocation_params().next() {
                    config.set_allocator(allocator.as_ref(), Some(&params));
                }
                config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
                pool.set_config(config)?;
                query.add_allocation_pool(Some(&pool), info.size() as u32, 0, BUFFERS);
            }
            self.parent_decide_allocation(query)
        }

        fn fill(
            &self,
            _offset: u64,
            _length: u32,
            buffer: &mut gst::BufferRef,
        ) -> std::result::Result<gst::FlowSuccess, gst::FlowError> {
            let setup = self.setup();
            let (phase, number) = setup.pace.next().ok_or(gst::FlowError::Eos)?;
            let mut pixels = buffer.map_writable().map_err(|_| gst::FlowError::Error)?;
            if setup.fills || phase == Phase::WarmUp {
                // Memory that was never written has no pages, and copying it would cost almost nothing.
                pixels.fill(WARM);
            }
            let stamp = Stamp::now(phase, number);
            stamp.write(&mut pixels);
            drop(pixels);
            buffer.set_pts(gst::ClockTime::from_nseconds(stamp.sent));
            Ok(gst::FlowSuccess::Ok)
        }
    }
}
