//! Waiting that another thread can end at once.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Ends another thread's wait, now and for every later one until [`Interrupt::clear`].
///
/// Clones share one state.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    set: AtomicBool,
    // A socket pair rather than an eventfd: the same on Linux and macOS, and close-on-exec by itself.
    ring: UnixStream,
    heard: UnixStream,
}

impl Interrupt {
    /// An interrupt that is not set.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn new() -> io::Result<Self> {
        let (ring, heard) = UnixStream::pair()?;
        ring.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        Ok(Self(Arc::new(Inner { set: AtomicBool::new(false), ring, heard })))
    }

    /// Ends the current and every following wait.
    pub fn set(&self) {
        if !self.0.set.swap(true, Ordering::SeqCst) {
            // A full socket means that it rings already.
            let _ = (&self.0.ring).write(&[1]);
        }
    }

    /// Lets waits wait again.
    pub fn clear(&self) {
        self.0.set.store(false, Ordering::SeqCst);
        let mut drain = [0; 16];
        while matches!((&self.0.heard).read(&mut drain), Ok(n) if n > 0) {}
    }

    /// Whether waits end at once.
    pub fn is_set(&self) -> bool {
        self.0.set.load(Ordering::SeqCst)
    }

    /// A descriptor that is readable while this interrupt is set, for waits of the caller's own.
    pub fn descriptor(&self) -> RawFd {
        self.0.heard.as_raw_fd()
    }

    /// Waits until `descriptor` is readable, this interrupt is set or the time is over.
    ///
    /// A signal ends the wait early, like the time.
    pub(crate) fn wait_readable(&self, descriptor: RawFd, timeout: Duration) {
        let poll = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut set = [poll(descriptor), poll(self.0.heard.as_raw_fd())];
        // Rounded up: a wait of less than a millisecond must not become a busy loop.
        let milliseconds = timeout.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32;
        // SAFETY: `set` is an array of two initialised pollfd that lives across the call.
        unsafe { libc::poll(set.as_mut_ptr(), set.len() as libc::nfds_t, milliseconds) };
    }

    /// Waits until this interrupt is set or the time is over; true if it is set.
    pub fn wait(&self, timeout: Duration) -> bool {
        if !self.is_set() {
            self.wait_readable(-1, timeout);
        }
        self.is_set()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    // proves: L4
    fn an_interrupt_set_before_the_wait_is_not_lost() {
        let interrupt = Interrupt::new().unwrap();
        interrupt.set();
        let start = Instant::now();
        assert!(interrupt.wait(Duration::from_secs(30)));
        assert!(start.elapsed() < Duration::from_secs(5));
        interrupt.clear();
        assert!(!interrupt.wait(Duration::from_millis(1)));
    }

    #[test]
    fn another_thread_ends_a_wait() {
        let interrupt = Interrupt::new().unwrap();
        let other = interrupt.clone();
        let thread = std::thread::spawn(move || other.wait(Duration::from_secs(30)));
        interrupt.set();
        assert!(thread.join().unwrap());
    }
}
