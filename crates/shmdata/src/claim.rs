//! Claiming a path for a writer: socket, segment and semaphores, after a dead writer's are removed.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::{fs, mem};

use crate::dialect::{self, Keys};
use crate::error::{Error, Result};
use crate::paths::check_path;
use crate::sysv::{self, Segment, Semaphores};

/// Attempts to get a socket file whose keys no other writer uses.
const KEY_ATTEMPTS: usize = 16;

/// Binds the path and creates segment and semaphores with its keys.
///
/// # Errors
/// [`Error::PathTooLong`], [`Error::NotASocket`], [`Error::WriterIsAlive`], [`Error::FrameTooLarge`], [`Error::Foreign`], [`Error::Io`].
pub(crate) fn claim(path: &Path, size: usize, mode: u32) -> Result<(UnixListener, Keys, Segment, Semaphores)> {
    check_size(path, size)?;
    let mut unsuitable = Placeholders(Vec::new());
    loop {
        remove_dead_writer(path)?;
        let listener = bind(path, mode).map_err(Error::io(path, "bind"))?;
        let keys = Keys::of(path).map_err(Error::io(path, "stat"))?;
        sysv::remove_if_dead(keys);
        let created = Segment::create(keys.segment, size, mode)
            .and_then(|segment| Ok((segment, Semaphores::create(keys.semaphores, mode)?)));
        match created {
            Ok((segment, semaphores)) => return Ok((listener, keys, segment, semaphores)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && unsuitable.0.len() < KEY_ATTEMPTS => {
                // A writer on another path has the same keys, which contain only 16 bits of the inode number.
                unsuitable.put_aside(path).map_err(Error::io(path, "rename"))?;
            }
            Err(error) => {
                let _ = fs::remove_file(path);
                return Err(Error::io(path, "create segment and semaphores")(error));
            }
        }
    }
}

/// Checks that one segment can hold `size` bytes.
///
/// # Errors
/// [`Error::FrameTooLarge`].
pub(crate) fn check_size(path: &Path, size: usize) -> Result<()> {
    let limit = sysv::max_segment();
    if size as u64 > limit {
        return Err(Error::FrameTooLarge { path: path.to_owned(), size, limit });
    }
    Ok(())
}

/// Sockets with unsuitable inode numbers. They keep their inodes in use, so that the next socket gets another one.
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

/// Removes the socket of a dead writer, with its segment and semaphores. Refuses anything else that exists at the path.
fn remove_dead_writer(path: &Path) -> Result<()> {
    if !check_path(path)? {
        return Ok(());
    }
    // Before the file is removed: the keys contain its inode number.
    let keys = Keys::of(path).map_err(Error::io(path, "stat"))?;
    match UnixStream::connect(path) {
        Ok(mut stream) => {
            // An acknowledgement would make the writer wait for this process at its next frame. A writer of Shmdata 1.3.77 never
            // recovers if its greeting stays unread.
            let _ = dialect::receive_greeting(&mut stream);
            Err(Error::WriterIsAlive { path: path.to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(Error::io(path, "remove a dead writer's socket"))?;
            sysv::remove(keys);
            Ok(())
        }
        Err(error) => Err(Error::of_use(path, "connect", error)),
    }
}

fn bind(path: &Path, mode: u32) -> io::Result<UnixListener> {
    // SAFETY: creates a socket, which `OwnedFd` closes.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    // SAFETY: the address is a plain C struct. `check_path` has checked that the path fits with its NUL.
    unsafe {
        // `bind` creates the file with the mode of the socket.
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
    // The umask may have removed bits.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(UnixListener::from(socket))
}
