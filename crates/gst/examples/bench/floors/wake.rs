//! Passes stamps to another process with mapped memory, an eventfd, and a reader that sleeps in `poll`.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use gst_plugin_iceoryx2_video::monotonic_ns;

use super::{Reader, Ticks};
use crate::Result;
use crate::pace::SETTLE;
use crate::seen::Seen;
use crate::stamp::{Phase, Stamp};

/// Largest number of waiting stamps, which is the default size of a subscriber's buffer.
const SLOTS: usize = 10;
const OVER: u64 = u64::MAX;

/// The memory that both processes share. It contains only atomics.
#[repr(C)]
struct Shared {
    /// Number of stamps that were written, or OVER at the end.
    written: AtomicU64,
    read: AtomicU64,
    sent: [AtomicU64; SLOTS],
}

impl Shared {
    fn map(file: &File) -> Result<&'static Self> {
        // SAFETY: the kernel chooses the address of a new mapping. The result is checked.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Self>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error().into());
        }
        // SAFETY: the file is as long as Self (set_len), pages are aligned for it, any bytes are valid atomics, and it is never unmapped.
        Ok(unsafe { &*address.cast::<Self>() })
    }
}

/// Writes `frames` stamps for a second process and prints how long both took.
pub fn run(frames: u64, fps: u32) -> Result<()> {
    // The reader inherits both descriptors, so they are not closed on exec.
    // SAFETY: the name is a static C string. The result is checked.
    let memory = owned(unsafe { libc::memfd_create(c"bench".as_ptr(), 0) })?;
    // SAFETY: the call takes no pointers. The result is checked.
    let mut event = owned(unsafe { libc::eventfd(0, 0) })?;
    memory.set_len(size_of::<Shared>() as u64)?;
    let shared = Shared::map(&memory)?;
    let arguments = ["floor-woken".into(), memory.as_raw_fd().to_string(), event.as_raw_fd().to_string()];
    let reader = Reader::start(&arguments, Stdio::null())?;

    let mut ticks = Ticks::new(fps);
    let mut meter = crate::Meter::start();
    for number in 0..SETTLE + frames {
        if number == SETTLE {
            meter = crate::Meter::start();
        }
        ticks.wait();
        while number - shared.read.load(Ordering::Acquire) >= SLOTS as u64 {
            std::thread::yield_now();
        }
        shared.sent[number as usize % SLOTS].store(monotonic_ns(), Ordering::Relaxed);
        shared.written.store(number + 1, Ordering::Release);
        event.write_all(&1_u64.to_ne_bytes())?;
    }
    let measured = meter.json(frames);
    while shared.read.load(Ordering::Acquire) < SETTLE + frames {
        std::thread::yield_now();
    }
    shared.written.store(OVER, Ordering::Release);
    event.write_all(&1_u64.to_ne_bytes())?;
    println!("{measured}, \"reader\": {}}}", reader.result()?);
    Ok(())
}

/// The reader. Its arguments are the numbers of the two descriptors.
pub fn woken(memory: RawFd, event: RawFd) -> Result<()> {
    let (memory, mut event) = (owned(memory)?, owned(event)?);
    let shared = Shared::map(&memory)?;
    println!("ready");
    let (mut seen, mut read, mut word) = (Seen::default(), 0, [0; 8]);
    loop {
        let mut waiting = libc::pollfd { fd: event.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: the pointer is to one live pollfd.
        if unsafe { libc::poll(&raw mut waiting, 1, -1) } < 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        event.read_exact(&mut word)?;
        let written = shared.written.load(Ordering::Acquire);
        if written == OVER {
            let end = Stamp::now(Phase::End, read - SETTLE);
            println!("{}}}", seen.note(end, true, end.sent).expect("the end"));
            return Ok(());
        }
        while read < written {
            let sent = shared.sent[read as usize % SLOTS].load(Ordering::Relaxed);
            let now = monotonic_ns();
            let phase = if read < SETTLE { Phase::WarmUp } else { Phase::Counted };
            seen.note(Stamp { phase, sent, number: read.saturating_sub(SETTLE) }, true, now);
            read += 1;
            shared.read.store(read, Ordering::Release);
        }
    }
}

fn owned(descriptor: RawFd) -> Result<File> {
    if descriptor < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: the descriptor was made or inherited for this owner only.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}
