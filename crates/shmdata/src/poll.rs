//! Waits for sockets, and sends without waiting.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Allows another thread to end a wait.
#[derive(Clone, Copy)]
pub struct Wakeup<'a> {
    /// Descriptor that becomes readable to end the wait; -1 means no descriptor.
    pub descriptor: RawFd,
    /// Returns whether the wait must end. It is called again after each wake-up.
    pub is_set: &'a dyn Fn() -> bool,
}

impl Wakeup<'_> {
    /// A value that never ends a wait.
    pub const NEVER: Wakeup<'static> = Wakeup { descriptor: -1, is_set: &|| false };
}

/// Waits until a descriptor is readable or has hung up, and returns which of them are. After a timeout or a signal, all are false.
pub(crate) fn readable(descriptors: &[RawFd], timeout: Duration) -> io::Result<Vec<bool>> {
    let poll = |&fd: &RawFd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut set: Vec<_> = descriptors.iter().map(poll).collect();
    let milliseconds = timeout.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32;
    // SAFETY: `set` has `set.len()` initialised entries and outlives the call.
    if unsafe { libc::poll(set.as_mut_ptr(), set.len() as libc::nfds_t, milliseconds) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        return Ok(vec![false; descriptors.len()]);
    }
    Ok(set.iter().map(|entry| entry.revents != 0).collect())
}

/// Sends a message without waiting. Returns false if the message could not be sent completely, because the peer does not read.
pub(crate) fn send(stream: &UnixStream, message: &[u8]) -> bool {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the pointer and length describe `message`.
    let sent = unsafe { libc::send(stream.as_raw_fd(), message.as_ptr().cast(), message.len(), flags) };
    sent == message.len() as isize
}
