//! Queries the operating system.

use std::ffi::{CStr, CString};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::contract::limits;

/// Free shared memory in bytes that a participant needs to start. If shared memory were full, iceoryx2's writes would cause a SIGBUS that
/// cannot be caught.
pub(crate) const HOUSEKEEPING: u64 = limits::START_MEMORY_BYTES as u64;

pub(crate) fn user() -> u32 {
    // SAFETY: the call does not take arguments and cannot fail.
    unsafe { libc::geteuid() }
}

pub(crate) fn words(number: i32) -> String {
    io::Error::from_raw_os_error(number).to_string()
}

/// The permissions as four octal digits, as chmod(1) takes them.
pub(crate) fn mode(meta: &Metadata) -> String {
    format!("{:04o}", meta.permissions().mode() & 0o7777)
}

/// Whether this process may access a path with the given mode, as in access(2).
pub(crate) fn may(path: &Path, what: i32) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_encoded_bytes()) else { return false };
    // SAFETY: the path is NUL-terminated and outlives the call.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), what, 0) == 0 }
}

pub(crate) fn statvfs(path: &CStr) -> io::Result<libc::statvfs> {
    // SAFETY: statvfs is a plain C struct, and all zeros are a valid value; the path is NUL-terminated.
    let (status, stat) = unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &raw mut stat), stat)
    };
    if status == 0 { Ok(stat) } else { Err(io::Error::last_os_error()) }
}
