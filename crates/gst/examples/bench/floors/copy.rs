//! Copies a frame as a transport does: from the frame that was rendered last to one of a few frames in its memory.

use std::hint::black_box;

use gst_plugin_iceoryx2_video::monotonic_ns;

use crate::Result;

const DRAWN: usize = 2;
const BUFFERS: usize = 4;

/// Copies `rounds` times and prints the median duration.
pub fn run(bytes: usize, rounds: usize) -> Result<()> {
    let sources: Vec<Vec<u8>> = (1..=DRAWN).map(|value| vec![value as u8; bytes]).collect();
    let mut targets = vec![vec![0xff_u8; bytes]; BUFFERS];
    let mut times: Vec<u64> = (0..rounds.max(1) + BUFFERS)
        .map(|round| {
            let before = monotonic_ns();
            targets[round % BUFFERS].copy_from_slice(black_box(&sources[round % DRAWN]));
            black_box(&mut targets);
            monotonic_ns() - before
        })
        .skip(BUFFERS)
        .collect();
    times.sort_unstable();
    println!("{{\"bytes\": {bytes}, \"copy_ns\": {}}}", times[times.len() / 2]);
    Ok(())
}
