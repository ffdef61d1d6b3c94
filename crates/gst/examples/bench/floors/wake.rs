//! The bare way from one process to another: a stamp in mapped memory, an eventfd, and a reader that sleeps in poll.

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

/// Stamps that wait at most, as many frames as a subscriber's queue holds by default.
const SLOTS: usize = 10;
const OVER: u64 = u64::MAX;

/// What both processes see. It is shared memory, so nothing but atomics is in it.
#[repr(C)]
struct Shared {
    /// How many stamps were written; at the end, OVER.
    written: AtomicU64,
    read: AtomicU64,
    sent: [AtomicU64; SLOTS],
}

impl Shared {
    fn map(file: &File) -> Result<&'static Self> {
        // SAFETY: a new mapping at an address that the kernel chooses; the result is checked.
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
        // SAFETY: the file is as long as Self (set_len), pages are aligned for it, any bytes are atomics, and it is never unmapped.
        Ok(unsafe { &*address.cast::<Self>() })
    }
}

/// Writes `frames` stamps for a process of its own and prints what that took the two.
pub fn run(frames: u64, fps: u32) -> Result<()> {
    // Both are inherited by the reader, so neither is closed on exec.
    // SAFETY: the name is a C string that lives on; the result is checked.
    let memory = owned(unsafe { libc::memfd_create(c"bench".as_ptr(), 0) })?;
    // SAFETY: no pointers; the result is checked.
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

/// The reader: it gets the numbers of the two descriptors.
pub fn woken(memory: RawFd, event: RawFd) -> Result<()> {
    let (memory, mut event) = (owned(memory)?, owned(event)?);
    let shared = Shared::map(&memory)?;
    println!("ready");
    let (mut seen, mut read, mut word) = (Seen::default(), 0, [0; 8]);
    loop {
        let mut waiting = libc::pollfd { fd: event.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live pollfd, as said.
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
    // SAFETY: just made for this process, or inherited for it alone; nothing else closes it.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}
