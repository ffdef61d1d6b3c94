//! For comparison: the same frames from an appsrc to an appsink in one process.

use gst::prelude::*;
use gst_plugin_iceoryx2_video::monotonic_ns;

use crate::seen::json;
use crate::stamp::{Phase, Stamp};
use crate::{Meter, Result};

/// Buffers between appsrc and appsink: the default size of a subscriber's buffer.
const QUEUE: u32 = 10;
/// Frames before the counted ones.
const WARM_UP: u64 = 100;

/// Sends the frames and prints how long both sides took together.
pub fn run(info: &gst_video::VideoInfo, frames: u64) -> Result<()> {
    let caps = info.to_caps()?;
    let source = gst_app::AppSrc::builder()
        .caps(&caps)
        .format(gst::Format::Time)
        .max_buffers(QUEUE.into())
        .max_bytes(0)
        .block(true)
        .build();
    let sink = gst_app::AppSink::builder().max_buffers(QUEUE).sync(false).build();
    sink.set_enable_last_sample(false);
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([source.upcast_ref::<gst::Element>(), sink.upcast_ref()])?;
    source.link(&sink)?;
    pipeline.set_state(gst::State::Playing)?;

    let pool = gst_video::VideoBufferPool::new();
    let mut config = pool.config();
    config.set_params(Some(&caps), info.size() as u32, 2 * QUEUE, 0);
    config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
    pool.set_config(config)?;
    pool.set_active(true)?;
    let feeder = std::thread::spawn(move || feed(&source, &pool, WARM_UP + frames));

    let mut meter = None;
    let mut latencies = Vec::new();
    for count in 0..WARM_UP + frames {
        let sample = sink.pull_sample()?;
        let now = monotonic_ns();
        let buffer = sample.buffer().ok_or("a sample without a buffer")?;
        let (stamp, _) = Stamp::read(&buffer.map_readable()?).ok_or("a frame without a stamp")?;
        if count >= WARM_UP {
            meter.get_or_insert_with(Meter::start);
            latencies.push(now - stamp.sent);
        }
    }
    let measured = meter.ok_or("no frame was sent")?.json(frames);
    feeder.join().expect("does not panic").map_err(|e| format!("appsrc: {e:?}"))?;
    pipeline.set_state(gst::State::Null)?;
    println!("{measured}, {}}}", json(latencies));
    Ok(())
}

fn feed(
    source: &gst_app::AppSrc,
    pool: &gst_video::VideoBufferPool,
    frames: u64,
) -> std::result::Result<(), gst::FlowError> {
    for number in 0..frames {
        let mut buffer = pool.acquire_buffer(None)?;
        {
            let buffer = buffer.get_mut().expect("fresh from the pool");
            let stamp = Stamp::now(Phase::Counted, number);
            stamp.write(&mut buffer.map_writable().map_err(|_| gst::FlowError::Error)?);
            buffer.set_pts(gst::ClockTime::from_nseconds(stamp.sent));
        }
        source.push_buffer(buffer)?;
    }
    Ok(())
}
