//! The pipelines that the benchmarks measure (see `benchmarks/`). Making and reading a frame costs almost nothing, so that the
//! transport is measured.
//!
//! ```text
//! bench feed   'iceoryx2sink service=x sync=false' FRAMES FPS FORMAT WIDTH HEIGHT
//! bench feed-busy …        as feed, without sleeping between frames
//! bench feed-filled …      as feed, with every frame filled before it is stamped
//! bench render 'videotestsrc pattern=ball' 'iceoryx2sink service=x sync=false' FRAMES FPS
//! bench drain  'iceoryx2src service=x'
//! bench hop    FRAMES FORMAT WIDTH HEIGHT
//! bench floor-wake FRAMES FPS
//! bench floor-send READERS FRAMES FPS
//! bench floor-copy BYTES ROUNDS
//! ```
//!
//! `feed` pushes buffers from the pool or allocator that downstream proposes, and writes only a stamp into each.
//! `render` sends the frames of a real source. Both print `ready` with their first frame and send slowly until a byte arrives on
//! their standard input. Then they send FRAMES frames, FPS per second or, with 0, as fast as possible. Then they send slowly again
//! until their standard input ends. `drain` prints `ready` with its first frame and exits after the last counted frame.
//! `hop` is the comparison for both: the same frames from an appsrc to an appsink in one process.
//! `feed` and `drain` know `benchbaresink path=…` and `benchbaresrc path=…`, the simplest possible elements.
//! The floors measure the system calls and the copy without frames and GStreamer. Each command prints one line of JSON.

mod bare;
mod drain;
mod feed;
mod floors;
mod hop;
mod pace;
mod seen;
mod stamp;

use std::process::ExitCode;

use gst::prelude::*;

use self::pace::Pace;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = run(&arguments);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    if arguments.first().is_some_and(|first| first.starts_with("feed") || *first == "drain") {
        bare::register()?;
    }
    match *arguments {
        [feed @ ("feed" | "feed-busy" | "feed-filled"), sink, frames, fps, format, width, height] => {
            let [frames, fps] = numbers([frames, fps])?;
            let pace = Pace::new(frames.into(), fps, feed == "feed-busy");
            feed::feed(sink, info(format, numbers([width, height])?)?, pace, feed == "feed-filled")
        }
        ["render", source, sink, frames, fps] => {
            let [frames, fps] = numbers([frames, fps])?;
            feed::render(source, sink, Pace::new(frames.into(), fps, false))
        }
        ["drain", source] => drain::run(source),
        ["hop", frames, format, width, height] => {
            let [frames] = numbers([frames])?;
            hop::run(&info(format, numbers([width, height])?)?, frames.into())
        }
        ["floor-wake", frames, fps] => {
            let [frames, fps] = numbers([frames, fps])?;
            floors::wake::run(frames.into(), fps)
        }
        ["floor-woken", memory, event] => {
            let [memory, event] = numbers([memory, event])?;
            floors::wake::woken(memory.cast_signed(), event.cast_signed())
        }
        ["floor-send", readers, frames, fps] => {
            let [readers, frames, fps] = numbers([readers, frames, fps])?;
            floors::send::run(readers, frames.into(), fps)
        }
        ["floor-receive"] => floors::send::receive(),
        ["floor-copy", bytes, rounds] => {
            let [bytes, rounds] = numbers([bytes, rounds])?;
            floors::copy::run(bytes as usize, rounds as usize)
        }
        _ => Err("usage: bench feed|render|drain|hop|floor-… …, see main.rs".into()),
    }
}

fn numbers<const N: usize>(texts: [&str; N]) -> Result<[u32; N]> {
    let mut numbers = [0; N];
    for (number, text) in numbers.iter_mut().zip(texts) {
        *number = text.parse().map_err(|e| format!("{text:?} is no number: {e}"))?;
    }
    Ok(numbers)
}

/// Format and size of every frame.
fn info(format: &str, [width, height]: [u32; 2]) -> Result<gst_video::VideoInfo> {
    gst::init()?;
    let format: gst_video::VideoFormat = format.parse().map_err(|_| format!("{format:?} is no format"))?;
    Ok(gst_video::VideoInfo::builder(format, width, height).fps((60, 1)).build()?)
}

/// CPU time of this process, in nanoseconds.
fn cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec, and the call keeps nothing.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0, "Linux and macOS have this clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Wall-clock and CPU time of the counted frames.
#[derive(Debug)]
struct Meter {
    cpu: u64,
    wall: u64,
}

impl Meter {
    fn start() -> Self {
        Self { wall: gst_plugin_iceoryx2_video::monotonic_ns(), cpu: cpu_ns() }
    }

    /// The beginning of a JSON object.
    fn json(&self, frames: u64) -> String {
        let cpu = cpu_ns() - self.cpu;
        let wall = gst_plugin_iceoryx2_video::monotonic_ns() - self.wall;
        format!("{{\"frames\": {frames}, \"cpu_ns\": {cpu}, \"wall_ns\": {wall}")
    }
}

/// The `frames-…` properties of the elements in a bin, as a member of a JSON object.
fn counters(bin: &gst::Bin) -> String {
    let mut counters = Vec::new();
    for element in bin.iterate_elements().into_iter().flatten() {
        for property in element.list_properties() {
            if property.name().starts_with("frames-") {
                let value = element.property_value(property.name());
                let value = value.transform::<u64>().ok().and_then(|value| value.get::<u64>().ok());
                counters.extend(value.map(|value| format!("\"{}\": {value}", property.name())));
            }
        }
    }
    format!("\"counters\": {{{}}}", counters.join(", "))
}

/// Waits for the end of a pipeline.
fn wait_for_end(pipeline: &gst::Element) -> Result<()> {
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::NONE, &ends).expect("waits indefinitely");
    match message.view() {
        gst::MessageView::Error(error) => Err(format!("{} ({:?})", error.error(), error.debug()).into()),
        _ => Ok(()),
    }
}

fn pad_template(name: &str, direction: gst::PadDirection) -> gst::PadTemplate {
    // Without a framerate, because not every publisher sends one.
    let caps = gst::Caps::new_empty_simple("video/x-raw");
    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).expect("valid caps")
}
