//! A sink that only reads the stamp of each frame, after the measured source.

use std::sync::{LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use gst_plugin_iceoryx2_video::monotonic_ns;

use crate::Result;
use crate::seen::Seen;
use crate::stamp::Stamp;

glib::wrapper! {
    pub struct Drain(ObjectSubclass<imp::Drain>) @extends gst_base::BaseSink, gst::Element, gst::Object;
}

/// Receives frames from the source of a launch line and prints the measurements of the counted frames.
pub fn run(launch: &str) -> Result<()> {
    gst::init()?;
    let drain: Drain = glib::Object::new();
    drain.set_sync(false);
    drain.set_enable_last_sample(false);
    let pipeline = gst::Pipeline::new();
    let source = gst::parse::bin_from_description(launch, true)?;
    pipeline.add_many([source.upcast_ref::<gst::Element>(), drain.upcast_ref()])?;
    source.link(&drain)?;
    pipeline.set_state(gst::State::Playing)?;
    let ended = crate::wait_for_end(pipeline.upcast_ref());
    let counters = crate::counters(&source);
    pipeline.set_state(gst::State::Null)?;
    ended?;
    let result = drain.imp().result.lock().unwrap().take();
    let result = result.ok_or("the stream ended before its frames were sent")?;
    println!("{result}, {counters}}}");
    Ok(())
}

mod imp {
    use super::*;

    #[derive(Debug, Default)]
    pub struct Drain {
        seen: Mutex<Seen>,
        pub result: Mutex<Option<String>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Drain {
        const NAME: &'static str = "BenchDrain";
        type Type = super::Drain;
        type ParentType = gst_base::BaseSink;
    }

    impl ObjectImpl for Drain {}
    impl GstObjectImpl for Drain {}

    impl ElementImpl for Drain {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<[gst::PadTemplate; 1]> =
                LazyLock::new(|| [crate::pad_template("sink", gst::PadDirection::Sink)]);
            &*TEMPLATES
        }
    }

    impl BaseSinkImpl for Drain {
        fn propose_allocation(
            &self,
            query: &mut gst::query::Allocation,
        ) -> std::result::Result<(), gst::LoggableError> {
            query.add_allocation_meta::<gst_video::VideoMeta>(None);
            Ok(())
        }

        fn render(&self, buffer: &gst::Buffer) -> std::result::Result<gst::FlowSuccess, gst::FlowError> {
            let now = monotonic_ns();
            let stamp = buffer.map_readable().ok().and_then(|pixels| Stamp::read(&pixels));
            let (stamp, whole) = stamp.ok_or(gst::FlowError::Error)?;
            let mut seen = self.seen.lock().unwrap();
            if seen.is_first() {
                println!("ready");
            }
            if let Some(result) = seen.note(stamp, whole, now) {
                *self.result.lock().unwrap() = Some(result);
                let _ = self.obj().post_message(gst::message::Eos::builder().src(&*self.obj()).build());
                return Err(gst::FlowError::Eos);
            }
            Ok(gst::FlowSuccess::Ok)
        }
    }
}
