//! Writes frames to a path.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::claim::{check_size, claim};
use crate::dialect::{self, Keys};
use crate::error::{Error, Result};
use crate::lockstep;
use crate::poll::Wakeup;
use crate::readers::{ClientEvent, Readers};
use crate::sysv::{self, Outcome, Segment, Semaphores};

/// How long a dropped writer waits for its last frame to be read.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);
/// How long to wait for readers to reconnect after a renewal. Shmdata's readers try every 30 ms.
const RECONNECT_TIMEOUT: Duration = Duration::from_millis(300);
/// How long the writer waits for the readers of a frame after one of them died. The dead reader may have read the announcement and died
/// before it promised to release the frame. This cannot be detected.
const DEAD_READER_TIMEOUT: Duration = Duration::from_millis(300);

/// Settings for a writer.
pub struct WriterOptions {
    /// Size of the first segment in bytes. The segment grows for larger frames.
    pub initial_size: usize,
    /// Permissions (mode bits) of the socket, segment and semaphores.
    pub mode: u32,
    /// How long readers may take for one frame before the writer continues without them.
    pub reader_timeout: Duration,
    /// Called from the writer's thread when a reader connects or disconnects.
    pub on_client: Option<Box<dyn Fn(ClientEvent) + Send>>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { initial_size: 1, mode: 0o600, reader_timeout: Duration::from_secs(1), on_client: None }
    }
}

/// Result of writing a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The frame was announced to this many readers.
    Sent(usize),
    /// The [`Wakeup`] ended the wait for the readers of the previous frame. Nothing was written.
    Interrupted,
}

/// Shares one frame at a time with all readers of a path.
pub struct Writer {
    path: PathBuf,
    inode: u64,
    keys: Keys,
    mode: u32,
    reader_timeout: Duration,
    segment: Option<Arc<Segment>>,
    semaphores: Semaphores,
    /// Whether the write lock is held.
    is_inside: bool,
    readers: Readers,
    evictions: u64,
}

/// A writer's segment, lent so that a frame can be rendered in shared memory.
#[derive(Debug)]
pub struct Lent {
    segment: Arc<Segment>,
    size: usize,
}

impl AsMut<[u8]> for Lent {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: the segment is attached for writing and has at least `size` bytes. The write lock keeps readers out, and the writer
        // does not access a lent segment.
        unsafe { std::slice::from_raw_parts_mut(self.segment.as_ptr(), self.size) }
    }
}

impl Writer {
    /// Creates the writer for a path. It first removes the objects that a dead writer left there.
    ///
    /// # Errors
    /// [`Error::PathTooLong`], [`Error::NotASocket`], [`Error::WriterIsAlive`] (the other writer is not affected), [`Error::Type`],
    /// [`Error::FrameTooLarge`], [`Error::Foreign`], [`Error::Io`].
    pub fn new(path: impl AsRef<Path>, type_text: &str, options: WriterOptions) -> Result<Self> {
        let path = path.as_ref().to_owned();
        dialect::check_type(type_text)?;
        let (listener, keys, segment, semaphores) = claim(&path, options.initial_size, options.mode)?;
        let greeting = dialect::connect_message(type_text, segment.bytes().len() as u64);
        let on_client = options.on_client.unwrap_or_else(|| Box::new(|_| ()));
        Ok(Self {
            inode: fs::metadata(&path).map_err(Error::io(&path, "stat"))?.ino(),
            keys,
            mode: options.mode,
            reader_timeout: options.reader_timeout,
            segment: Some(Arc::new(segment)),
            semaphores,
            is_inside: false,
            readers: Readers::start(listener, greeting, on_client).map_err(Error::io(&path, "start a thread"))?,
            evictions: 0,
            path,
        })
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the number of connected readers.
    pub fn clients(&self) -> usize {
        self.readers.lock().count()
    }

    /// Returns the size of the segment in bytes.
    pub fn segment_size(&self) -> usize {
        self.segment.as_ref().map_or(0, |segment| segment.bytes().len())
    }

    /// Returns how often the writer continued without readers that had not released a frame in time.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Waits until every reader has released the previous frame, then copies a frame into the segment and announces it.
    ///
    /// # Errors
    /// [`Error::FrameTooLarge`], [`Error::Io`].
    pub fn write(&mut self, frame: &[u8], wakeup: Wakeup<'_>) -> Result<Delivery> {
        self.write_with(frame.len(), wakeup, |target| target.copy_from_slice(frame))
    }

    /// Like [`write`](Self::write), but calls `fill` to write the frame's `size` bytes in place.
    ///
    /// # Errors
    /// [`Error::FrameTooLarge`], [`Error::Io`].
    pub fn write_with(&mut self, size: usize, wakeup: Wakeup<'_>, fill: impl FnOnce(&mut [u8])) -> Result<Delivery> {
        if self.is_lent() {
            // This frame is sent before the frame in the lent segment, so it needs another segment.
            let readers = self.clients();
            self.renew()?;
            self.wait_for(readers);
        }
        if !self.enter(size, wakeup)? {
            return Ok(Delivery::Interrupted);
        }
        let segment = self.segment.as_ref().expect("a segment exists while the write lock is held");
        // SAFETY: the segment is attached for writing, not lent, and has at least `size` bytes. The write lock keeps readers out.
        fill(unsafe { std::slice::from_raw_parts_mut(segment.as_ptr(), size) });
        self.announce(size)
    }

    /// Waits until every reader has released the previous frame, then lends the segment for rendering a frame of `size` bytes.
    ///
    /// Send the frame with [`send_lent`](Self::send_lent), or drop it. Returns `None` if the segment is already lent or `wakeup` ended the
    /// wait.
    ///
    /// # Errors
    /// [`Error::FrameTooLarge`], [`Error::Io`].
    pub fn lend(&mut self, size: usize, wakeup: Wakeup<'_>) -> Result<Option<Lent>> {
        if self.is_lent() || !self.enter(size, wakeup)? {
            return Ok(None);
        }
        Ok(self.segment.clone().map(|segment| Lent { segment, size }))
    }

    /// Whether the segment is lent.
    pub fn is_lent(&self) -> bool {
        self.segment.as_ref().is_some_and(|segment| Arc::strong_count(segment) > 1)
    }

    /// Announces a frame that was rendered into the lent segment. Do not write to the frame afterwards. Returns `None` if `frame` is not in
    /// the lent segment.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn send_lent(&mut self, frame: &[u8]) -> Result<Option<Delivery>> {
        let is_there = self.is_inside
            && self.segment.as_ref().is_some_and(|segment| segment.as_ptr() == frame.as_ptr().cast_mut());
        if is_there { self.announce(frame.len()).map(Some) } else { Ok(None) }
    }

    /// Waits up to 0.3 s until this many readers are connected, so that reconnecting readers do not miss the next frame.
    pub fn wait_for(&self, readers: usize) {
        let deadline = Instant::now() + RECONNECT_TIMEOUT;
        while self.clients() < readers && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Takes the write lock and ensures that the segment has at least `size` bytes. Returns false if `wakeup` ended the wait.
    fn enter(&mut self, size: usize, wakeup: Wakeup<'_>) -> Result<bool> {
        if size > self.segment_size() {
            check_size(&self.path, size)?;
        }
        if !self.is_inside && !self.lock(wakeup)? {
            return Ok(false);
        }
        self.is_inside = true;
        if size > self.segment_size() || self.segment.is_none() {
            // The new segment is larger than all earlier frames, so readers that only compare frame sizes also attach again.
            self.segment = None;
            match Segment::create(self.keys.segment, size, self.mode) {
                Ok(segment) => self.segment = Some(Arc::new(segment)),
                Err(error) => {
                    self.leave()?;
                    return Err(Error::io(&self.path, "create a segment")(error));
                }
            }
        }
        Ok(true)
    }

    /// Waits up to the timeout until all readers have released the previous frame. Returns false if `wakeup` ended the wait.
    fn lock(&mut self, wakeup: Wakeup<'_>) -> Result<bool> {
        let mut start = Instant::now();
        loop {
            let outcome = self.semaphores.operate(&lockstep::ENTER);
            match outcome.map_err(Error::io(&self.path, "enter the segment"))? {
                Outcome::Done => return Ok(true),
                // Another process mistook these semaphores for a dead writer's and removed them.
                Outcome::Removed => self.renew()?,
                Outcome::TimedOut if (wakeup.is_set)() => return Ok(false),
                Outcome::TimedOut => {
                    self.release_dead_readers()?;
                    let limit = if self.readers.lock().reader_died { DEAD_READER_TIMEOUT } else { Duration::MAX };
                    if start.elapsed() > self.reader_timeout.min(limit) {
                        let readers = self.clients();
                        self.renew()?;
                        self.evictions += 1;
                        self.wait_for(readers.saturating_sub(1));
                        start = Instant::now();
                    }
                }
            }
        }
    }

    fn release_dead_readers(&self) -> Result<()> {
        let released = self.readers.lock().release_dead(&self.semaphores);
        released.map_err(Error::io(&self.path, "finish for dead readers"))
    }

    /// Continues without readers that do not release the frame. It creates a new segment and new semaphores and disconnects every reader.
    /// Readers that are alive reconnect and find the new objects.
    ///
    /// It is not enough to lower the counter: a stopped reader would later lower it again, for a frame that it did not read.
    fn renew(&mut self) -> Result<()> {
        let size = self.segment_size();
        let io = |what| Error::io(&self.path, what);
        let mut readers = self.readers.lock();
        // The objects are replaced before the readers are disconnected. Otherwise a reader that reconnects immediately would find the old
        // objects.
        if let Some(segment) = self.segment.take() {
            segment.remove();
        }
        sysv::remove(self.keys);
        self.is_inside = false;
        self.semaphores = Semaphores::create(self.keys.semaphores, self.mode).map_err(io("create semaphores"))?;
        let segment = Segment::create(self.keys.segment, size, self.mode).map_err(io("create a segment"))?;
        self.segment = Some(Arc::new(segment));
        readers.dismiss();
        Ok(())
    }

    /// Announces the frame in the segment and releases the write lock.
    fn announce(&mut self, size: usize) -> Result<Delivery> {
        let announced = self.readers.lock().announce(size, &self.semaphores);
        self.leave()?;
        Ok(Delivery::Sent(announced.map_err(Error::io(&self.path, "count the readers"))?))
    }

    fn leave(&mut self) -> Result<()> {
        self.is_inside = false;
        self.semaphores.operate(&lockstep::LEAVE).map_err(Error::io(&self.path, "leave the segment"))?;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.is_inside {
            let _ = self.leave();
        }
        let deadline = Instant::now() + CLOSE_TIMEOUT.min(self.reader_timeout);
        while matches!(self.semaphores.operate(&lockstep::ALL_READ), Ok(Outcome::TimedOut)) && Instant::now() < deadline
        {
            let _ = self.release_dead_readers();
        }
        // The objects are removed before the socket, because the next socket may get the same inode and thus the same keys.
        if let Some(segment) = self.segment.take() {
            segment.remove();
        }
        self.semaphores.remove();
        if fs::metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
