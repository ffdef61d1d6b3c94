//! Claims a path for a writer: removes what a dead writer left there, then creates the socket, segment and semaphores.

use std::fs;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::dialect::{self, Keys};
use crate::error::{Error, Result};
use crate::paths::check_path;
use crate::socket;
use crate::sysv::{self, Segment, Semaphores};

/// Number of attempts to create a socket file with keys that no other writer uses.
const KEY_ATTEMPTS: usize = 16;

/// Binds a socket to the path, and creates the segment and the semaphores with the path's keys.
///
/// # Errors
/// [`Error::PathTooLong`], [`Error::NotASocket`], [`Error::WriterIsAlive`], [`Error::FrameTooLarge`], [`Error::Foreign`], [`Error::Io`].
pub(crate) fn claim(path: &Path, size: usize, mode: u32) -> Result<(UnixListener, Keys, Segment, Semaphores)> {
    check_size(path, size)?;
    attempt(path, size, mode, 0)
}

fn attempt(path: &Path, size: usize, mode: u32, number: usize) -> Result<(UnixListener, Keys, Segment, Semaphores)> {
    remove_dead_writer(path)?;
    let listener = socket::listen(path, mode).map_err(Error::io(path, "bind"))?;
    let keys = Keys::of(path).map_err(Error::io(path, "stat"))?;
    sysv::remove_if_dead(keys);
    let created = Segment::create(keys.segment, size, mode)
        .and_then(|segment| Ok((segment, Semaphores::create(keys.semaphores, mode)?)));
    match created {
        Ok((segment, semaphores)) => Ok((listener, keys, segment, semaphores)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < KEY_ATTEMPTS => {
            // A writer on another path has the same keys, because keys contain only 16 bits of the inode number. The renamed socket keeps
            // its inode in use, so the next socket gets a different inode.
            let aside = path.with_added_extension(number.to_string());
            fs::rename(path, &aside).map_err(Error::io(path, "rename"))?;
            let claimed = attempt(path, size, mode, number + 1);
            let _ = fs::remove_file(aside);
            claimed
        }
        Err(error) => {
            let _ = fs::remove_file(path);
            Err(Error::io(path, "create segment and semaphores")(error))
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

/// Removes a dead writer's socket, segment and semaphores. Returns an error if anything else exists at the path.
fn remove_dead_writer(path: &Path) -> Result<()> {
    if !check_path(path)? {
        return Ok(());
    }
    // The keys contain the file's inode number, so they must be read before the file is removed.
    let keys = Keys::of(path).map_err(Error::io(path, "stat"))?;
    match socket::connect(path) {
        Ok(mut stream) => {
            // No acknowledgement is sent, because the writer would then wait for this process at its next frame. The greeting is read,
            // because a Shmdata 1.3.77 writer never recovers if it stays unread.
            let _ = dialect::receive_greeting(&mut stream);
            Err(Error::WriterIsAlive { path: path.to_owned() })
        }
        // Its connection queue is full, so the writer exists but is stopped.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Error::WriterIsAlive { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(Error::io(path, "remove a dead writer's socket"))?;
            sysv::remove(keys);
            Ok(())
        }
        Err(error) => Err(Error::of_use(path, "connect", error)),
    }
}
