//! Prints every frame from a camera until no frame has arrived for one second. This does not use GStreamer.

fn main() -> gst_plugin_iceoryx2_video::Result<()> {
    use gst_plugin_iceoryx2_video::VideoFrameSubscriber;

    let sub = VideoFrameSubscriber::new("video/cam0/frame/v2")?;
    while let Some(frame) = sub.receive_blocking(Some(1000))? {
        let pixels = frame.pixels(); // &[u8] (zero-copy view of shared memory)
        let aux = frame.parse_aux(); // aux.caps: Option<String>, aux.metas: Vec<Vec<u8>>
        println!("{}x{} pts {}", frame.header().width, frame.header().height, frame.header().pts);
        println!("{} bytes, caps {:?}, {} metas", pixels.len(), aux.caps, aux.metas.len());
    }
    Ok(())
}
