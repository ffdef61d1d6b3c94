//! Questions to the operating system.

use std::ffi::{CStr, CString};
use std::io;
use std::path::Path;

use crate::contract::limits;

/// Bytes of shared memory that must be free for a participant to start: several times of what nodes, services and connections take,
/// because iceoryx2's writes into a full file system would be an uncatchable SIGBUS.
pub(crate) const HOUSEKEEPING: u64 = limits::START_MEMORY_BYTES as u64;

pub(crate) fn user() -> u32 {
    // SAFETY: asks for a number.
    unsafe { libc::geteuid() }
}

pub(crate) fn words(number: i32) -> String {
    io::Error::from_raw_os_error(number).to_string()
}

/// Whether the operating system lets this process do that with a path.
pub(crate) fn may(path: &Path, what: i32) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_encoded_bytes()) else { return false };
    // SAFETY: the path is NUL-terminated and lives through the call.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), what, 0) == 0 }
}

pub(crate) fn statvfs(path: &CStr) -> io::Result<libc::statvfs> {
    // SAFETY: statvfs is a plain C struct for which all-zero is a value; the path is NUL-terminated.
    let (status, stat) = unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &raw mut stat), stat)
    };
    if status == 0 { Ok(stat) } else { Err(io::Error::last_os_error()) }
}
