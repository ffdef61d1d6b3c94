//! Reads frames from a path.

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::connection::{Connection, Received};
use crate::error::{Error, Result};
use crate::frame::{Frame, Held};
use crate::paths::{check_length, is_socket};
use crate::poll::{Wakeup, readable};

/// Interval at which the follower looks for a writer.
const RETRY_INTERVAL: Duration = Duration::from_millis(30);

/// The result of a wait for the next frame.
#[derive(Debug)]
pub enum Event {
    /// The follower connected to a writer with this type text.
    Connected(String),
    /// A frame arrived.
    Frame(Frame),
    /// The writer has disconnected or exited.
    Disconnected,
    /// The wait timed out.
    TimedOut,
    /// The [`Wakeup`] ended the wait.
    Interrupted,
}

/// Reads the frames that a writer sends on a path. It can start before the writer, and waits for the next writer when one exits.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    connection: Option<Connection>,
    last: Weak<Held>,
}

impl Follower {
    /// Creates a follower for a path. Does not connect yet.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), connection: None, last: Weak::new() }
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the last frame still exists.
    pub fn is_held(&self) -> bool {
        self.last.strong_count() > 0
    }

    /// Calls [`let_go`](Self::let_go), then waits for the next event. If `timeout` is `None`, it waits indefinitely.
    ///
    /// # Errors
    /// [`Error::NotASocket`], [`Error::PathTooLong`], [`Error::Foreign`], [`Error::Io`].
    pub fn next(&mut self, timeout: Option<Duration>, wakeup: Wakeup<'_>) -> Result<Event> {
        self.let_go();
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = deadline.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(Instant::now()));
            if (wakeup.is_set)() {
                return Ok(Event::Interrupted);
            }
            let Some(connection) = &mut self.connection else {
                if let Some(type_text) = self.connect()? {
                    return Ok(Event::Connected(type_text));
                }
                if left.is_zero() {
                    return Ok(Event::TimedOut);
                }
                readable(&[wakeup.descriptor], left.min(RETRY_INTERVAL)).map_err(Error::io(&self.path, "poll"))?;
                continue;
            };
            if left.is_zero() {
                return Ok(Event::TimedOut);
            }
            let descriptors = [connection.stream.as_raw_fd(), wakeup.descriptor];
            if !readable(&descriptors, left).map_err(Error::io(&self.path, "poll"))?[0] {
                continue;
            }
            match connection.receive(wakeup) {
                Received::Frame(frame) => {
                    self.last = Arc::downgrade(&frame.0);
                    return Ok(Event::Frame(frame));
                }
                Received::Nothing => {}
                Received::End => {
                    self.connection = None;
                    return Ok(Event::Disconnected);
                }
            }
        }
    }

    /// Lets the writer continue. If the last frame still exists, its bytes are replaced by a private copy at the same address.
    pub fn let_go(&mut self) {
        if let Some(held) = self.last.upgrade() {
            held.copy_out();
        }
    }

    /// Disconnects from the writer. [`next`](Self::next) connects again.
    pub fn disconnect(&mut self) {
        self.let_go();
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
    }

    /// Connects to the writer, if one exists, and returns its type text.
    fn connect(&mut self) -> Result<Option<String>> {
        check_length(&self.path)?;
        // A reader may follow a symbolic link to a socket.
        let Ok(target) = self.path.canonicalize() else { return Ok(None) };
        if !is_socket(&target)? {
            return Ok(None);
        }
        match Connection::open(&self.path) {
            Ok((connection, type_text)) => {
                self.connection = Some(connection);
                Ok(Some(type_text))
            }
            Err(error) => match Error::of_use(&self.path, "connect", error) {
                foreign @ Error::Foreign { .. } => Err(foreign),
                // There is currently no writer.
                _ => Ok(None),
            },
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.disconnect();
    }
}
