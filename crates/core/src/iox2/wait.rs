//! Waits that another thread can end.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Ends waits in other threads until [`Interrupt::clear`] is called. Clones share one state.
///
/// # Examples
/// ```no_run
/// use gst_plugin_iceoryx2_video::VideoFrameSubscriber;
///
/// let subscriber = VideoFrameSubscriber::new("video/cam0/frame/v2")?;
/// let interrupt = subscriber.interrupt();
/// std::thread::spawn(move || interrupt.set());
/// assert!(subscriber.receive_blocking(None)?.is_none());
/// # Ok::<(), gst_plugin_iceoryx2_video::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    set: AtomicBool,
    // A socket pair works on Linux and macOS and is close-on-exec. An eventfd exists only on Linux.
    ring: UnixStream,
    heard: UnixStream,
}

impl Interrupt {
    /// Creates an interrupt that is not set.
    ///
    /// # Errors
    /// If the process has reached its limit of open files.
    pub fn new() -> io::Result<Self> {
        let (ring, heard) = UnixStream::pair()?;
        ring.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        Ok(Self(Arc::new(Inner { set: AtomicBool::new(false), ring, heard })))
    }

    /// Ends the current wait and all later waits.
    pub fn set(&self) {
        if !self.0.set.swap(true, Ordering::SeqCst) {
            // If the socket is full, it is already readable and wakes all waits.
            let _ = (&self.0.ring).write(&[1]);
        }
    }

    /// Allows waits again.
    pub fn clear(&self) {
        self.0.set.store(false, Ordering::SeqCst);
        let mut drain = [0; 16];
        while matches!((&self.0.heard).read(&mut drain), Ok(n) if n > 0) {}
    }

    /// Whether the interrupt is set.
    pub fn is_set(&self) -> bool {
        self.0.set.load(Ordering::SeqCst)
    }

    /// Returns a descriptor for your own waits. It is readable while the interrupt is set.
    pub fn descriptor(&self) -> RawFd {
        self.0.heard.as_raw_fd()
    }

    /// Waits until `descriptor` is readable, the interrupt is set, a signal arrives or the timeout expires.
    pub(crate) fn wait_readable(&self, descriptor: RawFd, timeout: Duration) {
        let poll = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut set = [poll(descriptor), poll(self.0.heard.as_raw_fd())];
        // The timeout is rounded up, so that a wait shorter than a millisecond does not become a busy loop.
        let milliseconds = timeout.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32;
        // SAFETY: `set` is an array of two initialised pollfd and outlives the call.
        unsafe { libc::poll(set.as_mut_ptr(), set.len() as libc::nfds_t, milliseconds) };
    }

    /// Waits until the interrupt is set or the timeout expires. Returns true if the interrupt is set.
    pub fn wait(&self, timeout: Duration) -> bool {
        if !self.is_set() {
            self.wait_readable(-1, timeout);
        }
        self.is_set()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// Waits in another thread, without a timeout.
    fn wait_elsewhere(interrupt: &Interrupt) -> mpsc::Receiver<bool> {
        let (interrupt, (done, finished)) = (interrupt.clone(), mpsc::channel());
        thread::spawn(move || done.send(interrupt.wait(Duration::MAX)));
        finished
    }

    #[test]
    // proves: L4
    fn an_interrupt_set_before_the_wait_is_not_lost() {
        let interrupt = Interrupt::new().unwrap();
        interrupt.set();
        assert!(wait_elsewhere(&interrupt).recv_timeout(Duration::from_secs(60)).unwrap());
        interrupt.clear();
        assert!(!interrupt.wait(Duration::from_millis(1)));
    }

    #[test]
    fn another_thread_ends_a_wait() {
        let interrupt = Interrupt::new().unwrap();
        let finished = wait_elsewhere(&interrupt);
        interrupt.set();
        assert!(finished.recv_timeout(Duration::from_secs(60)).unwrap());
    }
}
