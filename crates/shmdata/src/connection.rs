//! A follower's connection to a writer.

use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::dialect::{self, HANDSHAKE_TIMEOUT, Keys, Message};
use crate::frame::{Frame, Spare, finish};
use crate::lockstep;
use crate::poll::{Wakeup, readable, send};
use crate::socket;
use crate::sysv::{Outcome, Segment, Semaphores};

#[derive(Debug)]
pub(crate) struct Connection {
    pub stream: UnixStream,
    semaphores: Arc<Semaphores>,
    keys: Keys,
    spare: Spare,
}

/// The result of reading one message from a writer.
pub(crate) enum Received {
    Frame(Frame),
    Nothing,
    End,
}

impl Connection {
    /// Connects to the writer of a path. Returns the connection and the writer's type text.
    ///
    /// # Errors
    /// The path does not have a writer, or this user does not have permission to connect.
    pub fn open(path: &Path) -> io::Result<(Self, String)> {
        // Check the objects before connecting: a Shmdata 1.3.77 writer may never recover if a reader connects and leaves immediately.
        objects(path)?;
        let mut stream = socket::connect(path)?;
        // A wake-up does not end this wait, because a Shmdata 1.3.77 writer may never recover if its greeting stays unread.
        let greeting = dialect::receive_greeting(&mut stream)?;
        stream.set_nonblocking(true)?;
        // Look the objects up again, because the writer or its objects may have changed. This happens before the acknowledgement, because
        // the writer waits for this reader after it.
        let (keys, segment, semaphores) = objects(path)?;
        if !send(&stream, &greeting) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let spare = Arc::new(Mutex::new(Some(segment)));
        let connection = Self { stream, semaphores: Arc::new(semaphores), keys, spare };
        Ok((connection, dialect::type_text_of(&greeting)))
    }

    /// Reads one message. If the message announces a frame, takes the frame.
    pub fn receive(&mut self, wakeup: Wakeup<'_>) -> Received {
        let mut message = [0; dialect::UPDATE_SIZE];
        let count = match self.stream.read(&mut message) {
            Ok(0) => return Received::End,
            Ok(count) => count,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Received::Nothing;
            }
            Err(_) => return Received::End,
        };
        match Message::read(&message[..count]) {
            Message::Update(size) => self.take(size, wakeup),
            Message::Quit => Received::End,
            Message::Unknown => Received::Nothing,
        }
    }

    /// Waits until the writer has left the segment, then takes the read lock. Every announced frame is released exactly once.
    fn take(&self, size: u64, wakeup: Wakeup<'_>) -> Received {
        let done = |steps| matches!(self.semaphores.operate(steps), Ok(Outcome::Done));
        let mut is_locked = done(&lockstep::PROMISE_AND_LOCK);
        if !is_locked && !done(&lockstep::PROMISE) {
            return Received::End;
        }
        while !is_locked {
            match self.semaphores.operate(&lockstep::LOCK) {
                Ok(Outcome::Done) => is_locked = true,
                Ok(Outcome::TimedOut) if (wakeup.is_set)() => {
                    finish(&self.semaphores);
                    return Received::Nothing;
                }
                // If the writer died while writing, its socket is closed, but its semaphore may still be 1.
                Ok(Outcome::TimedOut) if !self.has_ended() => {}
                Ok(Outcome::TimedOut) => {
                    finish(&self.semaphores);
                    return Received::End;
                }
                Ok(Outcome::Removed) | Err(_) => return Received::End,
            }
        }
        match self.segment() {
            Ok(segment) if size <= segment.bytes().len() as u64 => {
                Received::Frame(Frame::new(segment, size as usize, self.semaphores.clone(), self.spare.clone()))
            }
            // The segment does not exist or is smaller than announced. The frame is lost, but the connection stays open.
            _ => {
                finish(&self.semaphores);
                Received::Nothing
            }
        }
    }

    /// Returns the writer's current segment. For a larger frame the writer creates a new segment with the same key and a different ID.
    fn segment(&self) -> io::Result<Segment> {
        let spare = self.spare.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        let id = Segment::find(self.keys.segment)?;
        match spare {
            Some(segment) if segment.id() == id => Ok(segment),
            _ => Segment::open(id),
        }
    }

    /// Whether the writer has closed the connection or sent a QUIT message. Does not consume anything from the socket.
    fn has_ended(&self) -> bool {
        let mut message = dialect::QUIT;
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        // SAFETY: the pointer and length describe `message`.
        let count = unsafe { libc::recv(self.stream.as_raw_fd(), message.as_mut_ptr().cast(), message.len(), flags) };
        match usize::try_from(count) {
            Ok(0) => true,
            Ok(count) => Message::read(&message[..count]) == Message::Quit,
            Err(_) => !matches!(io::Error::last_os_error().kind(), io::ErrorKind::WouldBlock),
        }
    }

    /// Sends a QUIT message. Releases all frames that are announced before the writer answers.
    pub fn close(mut self) {
        if !send(&self.stream, &dialect::QUIT) {
            return;
        }
        let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(ready) = readable(&[self.stream.as_raw_fd()], left) else { return };
            if left.is_zero() || (ready[0] && matches!(self.receive(Wakeup::NEVER), Received::End)) {
                return;
            }
        }
    }
}

/// Looks up the keys, segment and semaphores of a path.
fn objects(path: &Path) -> io::Result<(Keys, Segment, Semaphores)> {
    let keys = Keys::of(path)?;
    Ok((keys, Segment::open(Segment::find(keys.segment)?)?, Semaphores::open(keys.semaphores)?))
}
