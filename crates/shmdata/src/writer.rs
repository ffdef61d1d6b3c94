//! The writing side of a path.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fs, mem};

use crate::dialect::{self, CONNECT_SIZE, MAX_PATH, READERS, WRITER};
use crate::error::{Error, Result};
use crate::poll::{Wakeup, readable, send};
use crate::sysv::{Keys, Outcome, Segment, Semaphores, Step, max_segment};

/// Longest single wait for a semaphore: in between, dead readers are looked for and wake-ups woken.
const SLICE: Duration = Duration::from_millis(20);
/// How long a writer that ends waits for its last frame to be read.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);
/// How long readers have to come back after a renewal; those of Shmdata look every 30 ms.
const RECONNECT_TIMEOUT: Duration = Duration::from_millis(300);
/// How long is waited at most for the readers of a frame of which one has died: it may have read the announcement and died before it
/// promised the kernel to finish, which nobody can see.
const DEAD_READER_TIMEOUT: Duration = Duration::from_millis(300);
/// How long another writer on the path has to answer before it counts as dumb, but alive.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Attempts to get a socket file whose keys no other writer uses.
const KEY_ATTEMPTS: usize = 16;

/// A reader that came or went, with the number of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEvent {
    /// It is connected and gets frames from now on.
    Connected(i32),
    /// It has gone.
    Disconnected(i32),
}

/// Settings of a writer.
pub struct WriterOptions {
    /// Size of the first segment in bytes; it grows with the frames.
    pub initial_size: usize,
    /// Permissions of socket, segment and semaphores.
    pub mode: u32,
    /// How long readers may take for one frame before the writer goes on without them.
    pub reader_timeout: Duration,
    /// Told when readers come and go, from the writer's thread.
    pub on_client: Option<Box<dyn Fn(ClientEvent) + Send>>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { initial_size: 1, mode: 0o600, reader_timeout: Duration::from_secs(1), on_client: None }
    }
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It was announced to that many readers.
    Sent(usize),
    /// The wait for the readers of the frame before was ended from outside; nothing was written.
    Interrupted,
}

/// Shares one frame at a time with every reader of a path.
pub struct Writer {
    path: PathBuf,
    inode: u64,
    keys: Keys,
    mode: u32,
    reader_timeout: Duration,
    segment: Option<Arc<Segment>>,
    semaphores: Semaphores,
    /// Whether the write lock is held already.
    is_inside: bool,
    shared: Arc<Shared>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
    evictions: u64,
}

/// A writer's segment, lent to render a frame where readers find it.
#[derive(Debug)]
pub struct Lent {
    segment: Arc<Segment>,
    size: usize,
}

impl AsMut<[u8]> for Lent {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: the segment is attached for writing and has that many bytes. The write lock keeps readers out, and the writer does
        // not touch a segment that is lent.
        unsafe { std::slice::from_raw_parts_mut(self.segment.as_ptr(), self.size) }
    }
}

struct Shared {
    greeting: Vec<u8>,
    clients: Mutex<Clients>,
}

#[derive(Default)]
struct Clients {
    connected: Vec<Client>,
    /// Readers that got the latest announcement and have left politely since: they finish by themselves.
    finishing: usize,
    /// Readers that died with the latest announcement unread, so that they never promised the kernel to finish.
    unread: usize,
    /// Whether a reader died that had read the latest announcement.
    reader_died: bool,
}

struct Client {
    stream: UnixStream,
    acknowledged: bool,
    announced: bool,
}

impl Writer {
    /// Becomes the writer of a path, whose left-overs of a dead writer are removed.
    ///
    /// # Errors
    /// [`Error::PathTooLong`], [`Error::NotASocket`], [`Error::WriterIsAlive`] (which stays undisturbed), [`Error::Type`],
    /// [`Error::FrameTooLarge`], [`Error::Io`].
    pub fn new(path: impl AsRef<Path>, type_text: &str, options: WriterOptions) -> Result<Self> {
        let path = path.as_ref().to_owned();
        dialect::check_type(type_text)?;
        let (listener, keys, segment, semaphores) = claim(&path, options.initial_size, options.mode)?;
        let (wake, woken) = UnixStream::pair().map_err(Error::io(&path, "socketpair"))?;
        let shared = Arc::new(Shared {
            greeting: dialect::connect_message(type_text, segment.bytes().len() as u64),
            clients: Mutex::default(),
        });
        let served = shared.clone();
        let on_client = options.on_client.unwrap_or_else(|| Box::new(|_| ()));
        let serve = move || served.serve(&listener, &woken, &on_client);
        let thread = thread::Builder::new().name("shmdata".into()).spawn(serve);
        Ok(Self {
            inode: fs::metadata(&path).map_err(Error::io(&path, "stat"))?.ino(),
            keys,
            mode: options.mode,
            reader_timeout: options.reader_timeout,
            segment: Some(Arc::new(segment)),
            semaphores,
            is_inside: false,
            shared,
            wake,
            thread: Some(thread.map_err(Error::io(&path, "start a thread"))?),
            evictions: 0,
            path,
        })
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Readers connected right now.
    pub fn clients(&self) -> usize {
        self.shared.lock().connected.iter().filter(|client| client.acknowledged).count()
    }

    /// Size of the segment in bytes.
    pub fn segment_size(&self) -> usize {
        self.segment.as_ref().map_or(0, |segment| segment.bytes().len())
    }

    /// How often the writer went on without readers that had not finished in time.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Copies a frame into the segment and announces it, after every reader has finished with the one before.
    ///
    /// # Errors
    /// [`Error::FrameTooLarge`], [`Error::Io`].
    pub fn write(&mut self, frame: &[u8], wakeup: Wakeup<'_>) -> Result<Delivery> {
        self.write_with(frame.len(), wakeup, |target| target.copy_from_slice(frame))
    }

    /// As [`write`](Self::write), with a function that fills the `size` bytes of the frame in place.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_with(&mut self, size: usize, wakeup: Wakeup<'_>, fill: impl FnOnce(&mut [u8])) -> Result<Delivery> {
        if self.is_lent() {
            // It goes before the frame that is being rendered, in a segment of its own.
            let readers = self.clients();
            self.renew()?;
            self.wait_for(readers);
        }
        if !self.enter(size, wakeup)? {
            return Ok(Delivery::Interrupted);
        }
        let segment = self.segment.as_ref().expect("there is one inside the lock");
        // SAFETY: attached for writing, not lent, and at least that large; the write lock keeps readers out.
        fill(unsafe { std::slice::from_raw_parts_mut(segment.as_ptr(), size) });
        self.announce(size)
    }

    /// Lends the segment to render the next frame of `size` bytes in, after every reader has finished with the one before.
    ///
    /// It is to be sent with [`send_lent`](Self::send_lent), or dropped. `None` if it is lent already or the wait was ended from outside.
    ///
    /// # Errors
    /// As [`write`](Self::write).
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

    /// Announces a frame that was rendered into the lent segment, if that is where it lies; nothing may be written to it any more.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn send_lent(&mut self, frame: &[u8]) -> Result<Option<Delivery>> {
        let is_there = self.is_inside
            && self.segment.as_ref().is_some_and(|segment| segment.as_ptr() == frame.as_ptr().cast_mut());
        if is_there { self.announce(frame.len()).map(Some) } else { Ok(None) }
    }

    /// Gives readers that were sent away a moment to come back, so that the next frame is not lost to them.
    pub fn wait_for(&self, readers: usize) {
        let deadline = Instant::now() + RECONNECT_TIMEOUT;
        while self.clients() < readers && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Takes the write lock for a frame of `size` bytes, and sees to a segment that holds it. False if ended from outside.
    fn enter(&mut self, size: usize, wakeup: Wakeup<'_>) -> Result<bool> {
        if size > self.segment_size() {
            let limit = max_segment();
            if size as u64 > limit {
                return Err(Error::FrameTooLarge { path: self.path.clone(), size, limit });
            }
        }
        if !self.is_inside && !self.lock(wakeup)? {
            return Ok(false);
        }
        self.is_inside = true;
        if size > self.segment_size() || self.segment.is_none() {
            // Larger than any frame before, so that readers who go by the size of a frame attach anew, too.
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

    /// Waits for the readers of the frame before, but not for ever. False if ended from outside.
    fn lock(&mut self, wakeup: Wakeup<'_>) -> Result<bool> {
        let steps = [Step::new(READERS, 0), Step::new(WRITER, 1).undone(), Step::new(READERS, 1).undone()];
        let mut start = Instant::now();
        loop {
            let outcome = self.semaphores.operate(&steps, SLICE).map_err(Error::io(&self.path, "enter the segment"))?;
            match outcome {
                Outcome::Done => return Ok(true),
                // Somebody has taken our set for a dead writer's.
                Outcome::Removed => self.renew()?,
                Outcome::TimedOut if (wakeup.is_set)() => return Ok(false),
                Outcome::TimedOut => {
                    self.release_dead_readers()?;
                    let limit = if self.shared.lock().reader_died { DEAD_READER_TIMEOUT } else { Duration::MAX };
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

    /// Finishes for readers that are certainly dead: they left the announcement unread, or the counter exceeds those who can still
    /// finish by themselves.
    fn release_dead_readers(&self) -> Result<()> {
        let mut clients = self.shared.lock();
        let alive = clients.connected.iter().filter(|client| client.announced).count() + clients.finishing;
        let readers = self.semaphores.readers().map_err(Error::io(&self.path, "count the readers"))?;
        let surplus = (readers - alive as i32).max(mem::take(&mut clients.unread) as i32).min(readers);
        if surplus > 0 && !self.semaphores.has_writer().map_err(Error::io(&self.path, "look for a writer"))? {
            let step = Step::new(READERS, -(surplus.min(i16::MAX.into()) as i16)).at_once();
            self.semaphores.operate(&[step], SLICE).map_err(Error::io(&self.path, "finish for dead readers"))?;
        }
        Ok(())
    }

    /// Goes on without readers that do not finish: with a new segment and new semaphores, which the living find when they come back.
    ///
    /// Merely lowering the counter would be wrong for a reader that is stopped: it finishes later, for a frame that it did not read.
    fn renew(&mut self) -> Result<()> {
        let size = self.segment_size();
        let io = |what| Error::io(&self.path, what);
        let mut clients = self.shared.lock();
        // Before the good-bye: a reader that comes back at once would find the old ones.
        if let Some(segment) = self.segment.take() {
            segment.remove();
        }
        self.keys.remove();
        self.is_inside = false;
        self.semaphores = Semaphores::create(self.keys.semaphores, self.mode).map_err(io("create semaphores"))?;
        let segment = Segment::create(self.keys.segment, size, self.mode).map_err(io("create a segment"))?;
        self.segment = Some(Arc::new(segment));
        for client in mem::take(&mut *clients).connected {
            send(&client.stream, &dialect::QUIT);
        }
        Ok(())
    }

    /// Announces the frame in the segment, counts the readers who were announced, and leaves.
    fn announce(&mut self, size: usize) -> Result<Delivery> {
        let announced = self.send_update(size);
        self.leave()?;
        announced.map(Delivery::Sent)
    }

    fn leave(&mut self) -> Result<()> {
        self.is_inside = false;
        let leave = [Step::new(READERS, -1).undone().at_once(), Step::new(WRITER, -1).undone().at_once()];
        self.semaphores.operate(&leave, SLICE).map_err(Error::io(&self.path, "leave the segment"))?;
        Ok(())
    }

    fn send_update(&self, size: usize) -> Result<usize> {
        let mut clients = self.shared.lock();
        let message = dialect::update_message(size as u64);
        (clients.finishing, clients.unread, clients.reader_died) = (0, 0, false);
        clients.connected.retain_mut(|client| {
            client.announced = client.acknowledged && send(&client.stream, &message);
            client.announced || !client.acknowledged
        });
        let announced = clients.connected.iter().filter(|client| client.announced).count();
        if announced > 0 {
            let step = Step::new(READERS, announced as i16);
            self.semaphores.operate(&[step], SLICE).map_err(Error::io(&self.path, "count the readers"))?;
        }
        Ok(announced)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.is_inside {
            let _ = self.leave();
        }
        // The last frame has been announced, but perhaps not read.
        let deadline = Instant::now() + CLOSE_TIMEOUT.min(self.reader_timeout);
        while matches!(self.semaphores.operate(&[Step::new(READERS, 0)], SLICE), Ok(Outcome::TimedOut))
            && Instant::now() < deadline
        {
            let _ = self.release_dead_readers();
        }
        // Before the socket: the next file may get its inode, and so its keys.
        if let Some(segment) = self.segment.take() {
            segment.remove();
        }
        self.semaphores.remove();
        if fs::metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
        send(&self.wake, &[0]);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The writer's thread: greets readers and notices when they leave, until the wake rings.
    fn serve(&self, listener: &UnixListener, wake: &UnixStream, on_client: &dyn Fn(ClientEvent)) {
        loop {
            let mut descriptors = vec![wake.as_raw_fd(), listener.as_raw_fd()];
            descriptors.extend(self.lock().connected.iter().map(|client| client.stream.as_raw_fd()));
            let Ok(ready) = readable(&descriptors, Duration::from_secs(3600)) else { break };
            if ready[0] {
                break;
            }
            let mut events = Vec::new();
            for (descriptor, _) in descriptors.iter().zip(&ready).skip(2).filter(|&(_, &ready)| ready) {
                events.extend(self.lock().receive(*descriptor, &self.greeting));
            }
            if ready[1]
                && let Ok((stream, _)) = listener.accept()
                && stream.set_nonblocking(true).is_ok()
                && send(&stream, &self.greeting)
            {
                self.lock().connected.push(Client { stream, acknowledged: false, announced: false });
            }
            events.into_iter().for_each(on_client);
        }
        for client in mem::take(&mut *self.lock()).connected {
            send(&client.stream, &dialect::QUIT);
        }
    }
}

impl Clients {
    /// Reads what a reader has to say: its acknowledgement, its good-bye, or nothing any more.
    fn receive(&mut self, descriptor: i32, greeting: &[u8]) -> Option<ClientEvent> {
        let at = self.connected.iter().position(|client| client.stream.as_raw_fd() == descriptor)?;
        let client = &mut self.connected[at];
        let mut message = [0; CONNECT_SIZE];
        match client.stream.read(&mut message) {
            Ok(0) => self.reader_died |= client.announced,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return None;
            }
            Err(_) => self.unread += usize::from(client.announced),
            // An acknowledgement repeats the greeting; who says something else would never finish a frame.
            Ok(count) if !client.acknowledged => {
                if greeting.starts_with(&message[..count]) {
                    client.acknowledged = true;
                    return Some(ClientEvent::Connected(descriptor));
                }
            }
            Ok(_) => {
                // Anything from a connected reader is its good-bye. It still finishes what was announced to it.
                send(&client.stream, &dialect::QUIT);
                self.finishing += usize::from(client.announced);
            }
        }
        let client = self.connected.remove(at);
        client.acknowledged.then_some(ClientEvent::Disconnected(descriptor))
    }
}

/// Binds the path and creates segment and semaphores at its keys.
fn claim(path: &Path, size: usize, mode: u32) -> Result<(UnixListener, Keys, Segment, Semaphores)> {
    let limit = max_segment();
    if size as u64 > limit {
        return Err(Error::FrameTooLarge { path: path.to_owned(), size, limit });
    }
    // Placeholders that keep the inodes of unsuitable sockets in use, so that the next one gets another.
    let mut unsuitable = Placeholders(Vec::new());
    loop {
        remove_dead_writer(path)?;
        let listener = bind(path, mode).map_err(Error::io(path, "bind"))?;
        let keys = Keys::of(path).map_err(Error::io(path, "stat"))?;
        remove_if_dead(keys);
        let made = Segment::create(keys.segment, size, mode)
            .and_then(|segment| Ok((segment, Semaphores::create(keys.semaphores, mode)?)));
        match made {
            Ok((segment, semaphores)) => return Ok((listener, keys, segment, semaphores)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && unsuitable.0.len() < KEY_ATTEMPTS => {
                // A live writer elsewhere has the same keys by chance: they hold 16 bits of the inode only.
                unsuitable.put_aside(path).map_err(Error::io(path, "rename"))?;
            }
            Err(error) => {
                let _ = fs::remove_file(path);
                return Err(Error::io(path, "create segment and semaphores")(error));
            }
        }
    }
}

struct Placeholders(Vec<PathBuf>);

impl Placeholders {
    fn put_aside(&mut self, path: &Path) -> io::Result<()> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".{}", self.0.len()));
        fs::rename(path, &aside)?;
        self.0.push(aside.into());
        Ok(())
    }
}

impl Drop for Placeholders {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// Checks that a writer can have this path as far as that can be announced without disturbing anybody; true if a socket lies there.
///
/// # Errors
/// [`Error::PathTooLong`], [`Error::NotASocket`], [`Error::Io`].
pub fn check_path(path: &Path) -> Result<bool> {
    let length = path.as_os_str().len();
    if length > MAX_PATH {
        return Err(Error::PathTooLong { path: path.to_owned(), length });
    }
    let kind = match fs::symlink_metadata(path) {
        Ok(meta) => meta.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io(path, "stat")(error)),
    };
    let what = match () {
        () if kind.is_socket() => return Ok(true),
        () if kind.is_dir() => "a folder",
        () if kind.is_symlink() => "a symbolic link",
        () if kind.is_file() => "a file",
        () => "a device or pipe",
    };
    Err(Error::NotASocket { path: path.to_owned(), what })
}

/// Removes the socket of a dead writer, with the objects at its keys; refuses whatever else lies at the path.
fn remove_dead_writer(path: &Path) -> Result<()> {
    if !check_path(path)? {
        return Ok(());
    }
    // The keys are those of this inode, which is gone once the file is removed.
    let keys = Keys::of(path).map_err(Error::io(path, "stat"))?;
    match UnixStream::connect(path) {
        Ok(stream) => {
            read_greeting(stream);
            Err(Error::WriterIsAlive { path: path.to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(Error::io(path, "remove a dead writer's socket"))?;
            keys.remove();
            Ok(())
        }
        Err(error) => Err(Error::of_use(path, "connect", error)),
    }
}

/// Reads a live writer's greeting and goes, as a reader that was never there.
///
/// An acknowledgement would make the writer wait for this process at its next frame. One that is left with its greeting unread
/// never recovers (Shmdata 1.3.77).
fn read_greeting(mut stream: UnixStream) {
    let _ = stream.set_read_timeout(Some(PROBE_TIMEOUT));
    let _ = stream.read_exact(&mut [0; CONNECT_SIZE]);
}

/// Removes what a dead writer left at the keys of a new socket, whose inode it had before.
fn remove_if_dead(keys: Keys) {
    if let Ok(id) = Segment::find(keys.segment) {
        // SAFETY: `stat` is a plain C struct for which all-zero is a value, and the kernel fills it.
        let (attached, creator) = unsafe {
            let mut stat: libc::shmid_ds = mem::zeroed();
            if libc::shmctl(id, libc::IPC_STAT, &raw mut stat) < 0 {
                return;
            }
            (stat.shm_nattch, stat.shm_cpid)
        };
        // SAFETY: signal 0 only asks whether the process exists.
        let gone =
            unsafe { libc::kill(creator, 0) } == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH);
        if attached > 0 && !gone {
            return;
        }
    }
    keys.remove();
}

fn bind(path: &Path, mode: u32) -> io::Result<UnixListener> {
    // SAFETY: makes a socket of our own, which `OwnedFd` closes.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    // SAFETY: the address is a plain C struct; the path fits, with its NUL, and is copied in.
    unsafe {
        // The mode of the socket becomes the mode of its file, from the first moment on.
        libc::fchmod(socket.as_raw_fd(), mode as libc::mode_t);
        let mut address: libc::sockaddr_un = mem::zeroed();
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        for (target, &byte) in address.sun_path.iter_mut().zip(path.as_os_str().as_encoded_bytes()) {
            *target = byte as libc::c_char;
        }
        let length = mem::size_of_val(&address) as libc::socklen_t;
        if libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) < 0
            || libc::listen(socket.as_raw_fd(), 10) < 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(UnixListener::from(socket))
}
