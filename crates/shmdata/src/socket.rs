//! Creates and connects Unix sockets without waiting.

use std::fs::{Permissions, set_permissions};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use crate::sysv::check;

/// Creates a listening socket at the path, in non-blocking mode. The caller has checked that the path is short enough.
pub(crate) fn listen(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let socket = socket()?;
    // The mode of the socket becomes the mode of its file, so the file never has wider permissions. The umask can only narrow them.
    // SAFETY: changes a socket and does not access memory.
    check(unsafe { libc::fchmod(socket.as_raw_fd(), mode) })?;
    with_address(libc::bind, &socket, path)?;
    // The mode is set before `listen`, because connections are refused until then.
    set_permissions(path, Permissions::from_mode(mode))?;
    // SAFETY: changes a socket and does not access memory.
    check(unsafe { libc::listen(socket.as_raw_fd(), 10) })?;
    Ok(socket.into())
}

/// Connects to the socket at the path, in blocking mode.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] if the connection queue of the other process is full. In this case [`UnixStream::connect`] would wait
/// indefinitely.
pub(crate) fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = socket()?;
    with_address(libc::connect, &socket, path)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: this creates a socket, and `OwnedFd` closes it.
    unsafe { Ok(OwnedFd::from_raw_fd(check(libc::socket(libc::AF_UNIX, kind, 0))?)) }
}

type Call = unsafe extern "C" fn(RawFd, *const libc::sockaddr, libc::socklen_t) -> libc::c_int;

/// Calls `bind` or `connect` with the address of a path.
fn with_address(call: Call, socket: &OwnedFd, path: &Path) -> io::Result<()> {
    // SAFETY: `sockaddr_un` is a plain C struct, and all zeros are a valid value for it.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (target, &byte) in address.sun_path.iter_mut().zip(path.as_os_str().as_encoded_bytes()) {
        *target = byte as libc::c_char;
    }
    let length = mem::size_of_val(&address) as libc::socklen_t;
    // SAFETY: `address` has `length` bytes and outlives the call.
    check(unsafe { call(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
    Ok(())
}
