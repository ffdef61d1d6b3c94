//! Publishes a black picture ten times per second for two seconds, without GStreamer.

use std::time::Duration;

fn main() -> gst_plugin_iceoryx2_video::Result<()> {
    use gst_plugin_iceoryx2_video::{FrameParams, VideoFramePublisher};

    let publisher = VideoFramePublisher::new("video/cam0/frame/v2", 640 * 640 * 3)?;
    let frame = vec![0u8; 640 * 640 * 3];
    for _ in 0..20 {
        publisher.publish_frame(&frame, &FrameParams { width: 640, height: 640, ..Default::default() })?;
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
