//! The reading side of a path.

use std::fs;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use crate::dialect::{self, CONNECT_SIZE, MAX_PATH, Message, READERS, WRITER};
use crate::error::{Error, Result};
use crate::poll::{Wakeup, readable, send};
use crate::sysv::{Keys, Outcome, PrivateCopy, Segment, Semaphores, Step};

/// Longest single wait for a semaphore: in between, the end of the writer is noticed and wake-ups woken.
const SLICE: Duration = Duration::from_millis(20);
/// How often a path without a writer is looked at.
const RETRY_INTERVAL: Duration = Duration::from_millis(30);
/// How long a writer may take to greet, and to say good-bye.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a wait for the next frame ended with.
#[derive(Debug)]
pub enum Event {
    /// A writer is there; its type text.
    Connected(String),
    /// A frame.
    Frame(Frame),
    /// The writer has gone.
    Disconnected,
    /// The time is over.
    TimedOut,
    /// The wait was ended from outside.
    Interrupted,
}

/// Reads every frame of whatever writer is on a path, in lock-step with it.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    connection: Option<Connection>,
    last: Weak<Held>,
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    semaphores: Arc<Semaphores>,
    keys: Keys,
    /// Where the attached segment lies between two frames.
    spare: Arc<Mutex<Option<Segment>>>,
}

/// One frame, in the writer's segment: until it is dropped, the writer cannot write the next.
///
/// The address of its bytes stays the same and the bytes do, too, also when [`Follower::next`] lets the writer go on meanwhile.
#[derive(Debug, Clone)]
pub struct Frame(Arc<Held>);

#[derive(Debug)]
struct Held {
    address: *const u8,
    len: usize,
    state: Mutex<State>,
}

// SAFETY: the bytes are only read, and `state` keeps them mapped for as long as the value lives.
unsafe impl Send for Held {}
// SAFETY: as above.
unsafe impl Sync for Held {}

#[derive(Debug)]
enum State {
    /// The reader's lock is held.
    Locked { segment: Segment, semaphores: Arc<Semaphores>, spare: Arc<Mutex<Option<Segment>>> },
    /// The writer goes on; the bytes are a private copy at the same address. Kept for its `Drop`.
    Private { _copy: PrivateCopy },
    /// On the way from one to the other.
    Gone,
}

impl Frame {
    /// The frame's bytes; borrowed.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: mapped by the segment or by its copy in place, at this address in both cases, for as long as `self` lives.
        unsafe { std::slice::from_raw_parts(self.0.address, self.0.len) }
    }

    /// Whether the bytes have become a private copy.
    pub fn is_copied(&self) -> bool {
        matches!(*self.0.lock(), State::Private { .. })
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Lets the writer go on while the frame is still looked at. Without memory for the copy, the frame keeps the writer out.
    fn copy_out(&self) {
        let mut state = self.lock();
        if !matches!(*state, State::Locked { .. }) {
            return;
        }
        let State::Locked { segment, semaphores, spare } = std::mem::replace(&mut *state, State::Gone) else { return };
        *state = match segment.copy_out_in_place(self.len) {
            Ok(copy) => {
                finish(&semaphores);
                State::Private { _copy: copy }
            }
            Err((segment, _)) => State::Locked { segment, semaphores, spare },
        };
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let State::Locked { segment, semaphores, spare } = std::mem::replace(&mut *self.lock(), State::Gone) {
            finish(&semaphores);
            *spare.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(segment);
        }
    }
}

/// Promises the kernel to finish in this process's stead, should it die: no change, but an undo of -1.
fn promise(semaphores: &Semaphores) -> io::Result<Outcome> {
    semaphores.operate(&[Step::new(READERS, 1).undone(), Step::new(READERS, -1).at_once()], SLICE)
}

/// The same, and locks the segment for reading, where the writer has left it already.
fn promise_and_lock(semaphores: &Semaphores) -> bool {
    let lock = Step::new(WRITER, 0).at_once();
    let steps = [Step::new(READERS, 1).undone(), Step::new(READERS, -1).at_once(), lock];
    matches!(semaphores.operate(&steps, SLICE), Ok(Outcome::Done))
}

/// Finishes with a frame, and takes the promise back.
fn finish(semaphores: &Semaphores) {
    let _ = semaphores.operate(&[Step::new(READERS, -1).undone().at_once()], SLICE);
}

impl Follower {
    /// Follows a path, whether or not there is a writer.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), connection: None, last: Weak::new() }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a writer is there.
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Whether the frame that was handed out last still exists.
    pub fn is_held(&self) -> bool {
        self.last.strong_count() > 0
    }

    /// Waits for the next thing to happen; for ever without a timeout.
    ///
    /// A frame that is still held becomes a private copy at the same address first, so that the writer never waits for both.
    ///
    /// # Errors
    /// [`Error::NotASocket`] when something else lies at the path, [`Error::PathTooLong`], [`Error::Foreign`], [`Error::Io`].
    pub fn next(&mut self, timeout: Option<Duration>, wakeup: Wakeup<'_>) -> Result<Event> {
        self.let_go();
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = deadline.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(Instant::now()));
            if (wakeup.is_set)() {
                return Ok(Event::Interrupted);
            }
            if self.connection.is_none() {
                if let Some(type_text) = self.connect()? {
                    return Ok(Event::Connected(type_text));
                }
                if left.is_zero() {
                    return Ok(Event::TimedOut);
                }
                readable(&[wakeup.descriptor], left.min(RETRY_INTERVAL)).map_err(Error::io(&self.path, "poll"))?;
                continue;
            }
            if left.is_zero() {
                return Ok(Event::TimedOut);
            }
            let connection = self.connection.as_mut().expect("looked at above");
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

    /// Lets the writer go on although the last frame is still held: its bytes become a private copy at the same address.
    pub fn let_go(&mut self) {
        if let Some(held) = self.last.upgrade() {
            held.copy_out();
        }
    }

    /// Leaves the writer politely, finishing with what it has announced. [`next`](Self::next) comes back.
    pub fn disconnect(&mut self) {
        self.let_go();
        if let Some(mut connection) = self.connection.take() {
            connection.leave();
        }
    }

    /// Greets the writer, if there is one that can be read; its type text.
    fn connect(&mut self) -> Result<Option<String>> {
        let length = self.path.as_os_str().len();
        if length > MAX_PATH {
            return Err(Error::PathTooLong { path: self.path.clone(), length });
        }
        match fs::metadata(&self.path) {
            Ok(meta) if meta.file_type().is_socket() => {}
            Ok(meta) => {
                let what = if meta.is_dir() { "a folder" } else { "a file" };
                return Err(Error::NotASocket { path: self.path.clone(), what });
            }
            Err(_) => return Ok(None),
        }
        // Before the writer is bothered: one that is connected to and left alone again may never recover (Shmdata 1.3.77).
        let objects = || {
            let keys = Keys::of(&self.path)?;
            Ok::<_, io::Error>((keys, Segment::open(Segment::find(keys.segment)?)?, Semaphores::open(keys.semaphores)?))
        };
        let refused = |error: io::Error| match Error::of_use(&self.path, "connect", error) {
            foreign @ Error::Foreign { .. } => Err(foreign),
            // No writer, not yet, or not any more.
            _ => Ok(None),
        };
        if let Err(error) = objects() {
            return refused(error);
        }
        let (stream, greeting) = match greet(&self.path) {
            Ok(greeted) => greeted,
            Err(error) => return refused(error),
        };
        // Again, because the writer may be another one by now, or have new ones. Before the acknowledgement, after which it waits for us.
        let Ok((keys, segment, semaphores)) = objects() else { return Ok(None) };
        if !send(&stream, &greeting) {
            return Ok(None);
        }
        let spare = Arc::new(Mutex::new(Some(segment)));
        self.connection = Some(Connection { stream, semaphores: Arc::new(semaphores), keys, spare });
        Ok(Some(dialect::type_text_of(&greeting)))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.disconnect();
    }
}

enum Received {
    Frame(Frame),
    Nothing,
    End,
}

impl Connection {
    /// Reads one message, and takes the frame that it announces.
    fn receive(&mut self, wakeup: Wakeup<'_>) -> Received {
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

    /// Waits until the writer has left the segment, and locks it for reading. Each announcement is finished exactly once.
    fn take(&self, size: u64, wakeup: Wakeup<'_>) -> Received {
        let mut locked = promise_and_lock(&self.semaphores);
        if !locked && !matches!(promise(&self.semaphores), Ok(Outcome::Done)) {
            return Received::End;
        }
        while !locked {
            match self.semaphores.operate(&[Step::new(WRITER, 0)], SLICE) {
                Ok(Outcome::Done) => locked = true,
                Ok(Outcome::TimedOut) if (wakeup.is_set)() => {
                    finish(&self.semaphores);
                    return Received::Nothing;
                }
                // A writer that died inside leaves its flag set, and the socket closed.
                Ok(Outcome::TimedOut) if !self.has_ended() => {}
                Ok(Outcome::TimedOut) => {
                    finish(&self.semaphores);
                    return Received::End;
                }
                Ok(Outcome::Removed) | Err(_) => return Received::End,
            }
        }
        // The segment of a key changes when frames grow; its id tells.
        let spare = self.spare.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        let segment = Segment::find(self.keys.segment).and_then(|id| match spare {
            Some(segment) if segment.id() == id => Ok(segment),
            _ => Segment::open(id),
        });
        match segment {
            Ok(segment) if size <= segment.bytes().len() as u64 => {
                let (address, len) = (segment.bytes().as_ptr(), size as usize);
                let (semaphores, spare) = (self.semaphores.clone(), self.spare.clone());
                let state = Mutex::new(State::Locked { segment, semaphores, spare });
                Received::Frame(Frame(Arc::new(Held { address, len, state })))
            }
            // Announced more than there is, or nothing to attach: this frame is lost, not the connection.
            _ => {
                finish(&self.semaphores);
                Received::Nothing
            }
        }
    }

    /// Whether the writer has closed the connection or said good-bye, without taking anything from the socket.
    fn has_ended(&self) -> bool {
        let mut message = [0; dialect::QUIT_SIZE];
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        // SAFETY: pointer and length are those of `message`.
        let count = unsafe { libc::recv(self.stream.as_raw_fd(), message.as_mut_ptr().cast(), message.len(), flags) };
        match usize::try_from(count) {
            Ok(0) => true,
            Ok(count) => Message::read(&message[..count]) == Message::Quit,
            Err(_) => !matches!(io::Error::last_os_error().kind(), io::ErrorKind::WouldBlock),
        }
    }

    /// Says good-bye and finishes with what is on its way.
    fn leave(&mut self) {
        if !send(&self.stream, &dialect::QUIT) {
            return;
        }
        let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
        while Instant::now() < deadline {
            match readable(&[self.stream.as_raw_fd()], SLICE) {
                Ok(ready) if !ready[0] => {}
                Ok(_) if matches!(self.receive(Wakeup::NEVER), Received::End) => return,
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

/// Connects and reads the greeting, which is yet to be acknowledged.
///
/// Nothing but the time ends this wait: a writer that is left with its greeting unread may never recover (Shmdata 1.3.77).
///
/// # Errors
/// Nobody answers as a writer would.
fn greet(path: &Path) -> io::Result<(UnixStream, Vec<u8>)> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_nonblocking(true)?;
    let mut greeting = vec![0; CONNECT_SIZE];
    let mut count = 0;
    let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
    while count < CONNECT_SIZE {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if !readable(&[stream.as_raw_fd()], left)?[0] {
            continue;
        }
        match stream.read(&mut greeting[count..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok((stream, greeting))
}
