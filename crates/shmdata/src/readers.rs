//! The readers that are connected to a writer: greeting, acknowledgement, announcements, disconnection.

use std::io::{self, Read};
use std::mem;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::dialect::{self, CONNECT_SIZE};
use crate::lockstep;
use crate::poll::{readable, send};
use crate::sysv::Semaphores;

/// The connection or disconnection of a reader, with its connection number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEvent {
    /// The reader is connected and receives frames from now on.
    Connected(i32),
    /// The reader has disconnected.
    Disconnected(i32),
}

/// The readers of a writer. Until this value is dropped, a thread greets new readers and detects when readers disconnect.
pub(crate) struct Readers {
    connected: Arc<Mutex<Connected>>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
}

/// The state of the readers, protected by a lock.
#[derive(Default)]
pub(crate) struct Connected {
    readers: Vec<Reader>,
    /// Number of readers that received the last announcement and have since sent a QUIT message. They still release the frame themselves.
    finishing: usize,
    /// Number of readers that died before they read the last announcement. The kernel does not release the frame for them.
    unread: usize,
    /// Whether a reader died after it had read the last announcement.
    pub reader_died: bool,
}

struct Reader {
    stream: UnixStream,
    is_acknowledged: bool,
    is_announced: bool,
}

impl Readers {
    /// Starts the thread that accepts readers.
    pub fn start(
        listener: UnixListener,
        greeting: Vec<u8>,
        on_client: impl Fn(ClientEvent) + Send + 'static,
    ) -> io::Result<Self> {
        let (wake, woken) = UnixStream::pair()?;
        let connected = Arc::<Mutex<Connected>>::default();
        let served = connected.clone();
        let serve = move || serve(&served, &listener, &woken, &greeting, &on_client);
        let thread = thread::Builder::new().name("shmdata".into()).spawn(serve)?;
        Ok(Self { connected, wake, thread: Some(thread) })
    }

    /// Locks the readers.
    pub fn lock(&self) -> MutexGuard<'_, Connected> {
        lock(&self.connected)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        send(&self.wake, &[0]);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(connected: &Mutex<Connected>) -> MutexGuard<'_, Connected> {
    connected.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Greets readers and handles their messages until `woken` is readable.
fn serve(
    connected: &Mutex<Connected>,
    listener: &UnixListener,
    woken: &UnixStream,
    greeting: &[u8],
    on_client: &dyn Fn(ClientEvent),
) {
    loop {
        let mut descriptors = vec![woken.as_raw_fd(), listener.as_raw_fd()];
        descriptors.extend(lock(connected).readers.iter().map(|reader| reader.stream.as_raw_fd()));
        let Ok(ready) = readable(&descriptors, Duration::from_secs(3600)) else { break };
        if ready[0] {
            break;
        }
        let mut events = Vec::new();
        for (descriptor, _) in descriptors.iter().zip(&ready).skip(2).filter(|&(_, &ready)| ready) {
            events.extend(lock(connected).receive(*descriptor, greeting));
        }
        if ready[1]
            && let Ok((stream, _)) = listener.accept()
            && stream.set_nonblocking(true).is_ok()
            && send(&stream, greeting)
        {
            lock(connected).readers.push(Reader { stream, is_acknowledged: false, is_announced: false });
        }
        events.into_iter().for_each(on_client);
    }
    lock(connected).dismiss();
}

impl Connected {
    /// Number of readers that have acknowledged the greeting.
    pub fn count(&self) -> usize {
        self.readers.iter().filter(|reader| reader.is_acknowledged).count()
    }

    /// Announces a frame of `size` bytes. Returns the number of readers that received the announcement.
    pub fn announce(&mut self, size: usize, semaphores: &Semaphores) -> io::Result<usize> {
        let message = dialect::update_message(size as u64);
        (self.finishing, self.unread, self.reader_died) = (0, 0, false);
        self.readers.retain_mut(|reader| {
            reader.is_announced = reader.is_acknowledged && send(&reader.stream, &message);
            reader.is_announced || !reader.is_acknowledged
        });
        let announced = self.announced();
        if announced > 0 {
            semaphores.operate(&lockstep::count(announced))?;
        }
        Ok(announced)
    }

    /// Releases the frame on behalf of readers that are certainly dead.
    ///
    /// Their number is the larger of two counts: the readers that died before they read the announcement, and the excess of the counter
    /// over the readers that can still release the frame themselves.
    pub fn release_dead(&mut self, semaphores: &Semaphores) -> io::Result<()> {
        let alive = self.announced() + self.finishing;
        let readers = semaphores.readers()?;
        let surplus = (readers - alive as i32).max(mem::take(&mut self.unread) as i32).min(readers);
        if surplus > 0 && !semaphores.has_writer()? {
            semaphores.operate(&lockstep::discount(surplus))?;
        }
        Ok(())
    }

    /// Sends a QUIT message to every reader.
    pub fn dismiss(&mut self) {
        for reader in mem::take(self).readers {
            send(&reader.stream, &dialect::QUIT);
        }
    }

    fn announced(&self) -> usize {
        self.readers.iter().filter(|reader| reader.is_announced).count()
    }

    /// Handles an acknowledgement, a QUIT message or the end of a connection.
    fn receive(&mut self, descriptor: i32, greeting: &[u8]) -> Option<ClientEvent> {
        let at = self.readers.iter().position(|reader| reader.stream.as_raw_fd() == descriptor)?;
        let reader = &mut self.readers[at];
        let mut message = [0; CONNECT_SIZE];
        match reader.stream.read(&mut message) {
            Ok(0) => self.reader_died |= reader.is_announced,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return None;
            }
            Err(_) => self.unread += usize::from(reader.is_announced),
            // An acknowledgement repeats the greeting. A reader that sends anything else would never release a frame.
            Ok(count) if !reader.is_acknowledged => {
                if greeting.starts_with(&message[..count]) {
                    reader.is_acknowledged = true;
                    return Some(ClientEvent::Connected(descriptor));
                }
            }
            Ok(_) => {
                // The only message from an acknowledged reader is QUIT. The reader still releases the frame that was announced to it.
                send(&reader.stream, &dialect::QUIT);
                self.finishing += usize::from(reader.is_announced);
            }
        }
        let reader = self.readers.remove(at);
        reader.is_acknowledged.then_some(ClientEvent::Disconnected(descriptor))
    }
}
