//! Errors of this crate.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Result type of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors of writers and followers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The path is too long for a socket.
    #[error(
        "{}: the path has {length} bytes, but a socket path can have at most 107; choose a shorter path",
        printable(path)
    )]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Length of the path in bytes.
        length: usize,
    },

    /// Something other than a socket exists at the path.
    #[error("{} is {what}, not a socket; choose another path or remove it", printable(path))]
    NotASocket {
        /// The path.
        path: PathBuf,
        /// What exists at the path, for example "a file".
        what: &'static str,
    },

    /// The path already has a live writer.
    #[error("{} already has a writer; stop it or choose another path", printable(path))]
    WriterIsAlive {
        /// The path.
        path: PathBuf,
    },

    /// The path belongs to another user, and this user does not have permission to use it.
    #[error(
        "{}: permission denied: the path belongs to user {owner} (this process runs as user {user}); run both as the same user",
        printable(path)
    )]
    Foreign {
        /// The path.
        path: PathBuf,
        /// User ID of the owner.
        owner: u32,
        /// User ID of this process.
        user: u32,
    },

    /// The type text is too long or contains a NUL, so it cannot be sent.
    #[error("the type text {reason}")]
    Type {
        /// The reason.
        reason: String,
    },

    /// A label or group cannot be used in a path.
    #[error("{what} {name:?} cannot be used in a path: it is empty, '.' or '..'; choose another name")]
    Name {
        /// "label" or "group".
        what: &'static str,
        /// The label or group as given.
        name: String,
    },

    /// A frame is larger than the kernel's limit for one segment.
    #[error(
        "{}: a frame of {size} bytes exceeds the size limit for a shared memory segment ({limit} bytes); raise kernel.shmmax",
        printable(path)
    )]
    FrameTooLarge {
        /// The path.
        path: PathBuf,
        /// Size of the frame in bytes.
        size: usize,
        /// The kernel's limit in bytes.
        limit: u64,
    },

    /// A system call failed.
    #[error("{}: {what}: {source}", printable(path))]
    Io {
        /// The path.
        path: PathBuf,
        /// The operation that failed.
        what: &'static str,
        /// The error from the operating system.
        #[source]
        source: io::Error,
    },
}

/// Formats the path for one line of a terminal. Control characters are escaped, for example as `\u{1b}`.
fn printable(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_shown = |c: char| matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1;
    text.chars().map(|c| if is_shown(c) { c.to_string() } else { c.escape_debug().to_string() }).collect()
}

impl Error {
    /// Returns the error for a failed attempt to use a path. If the path belongs to another user, this is [`Error::Foreign`].
    pub(crate) fn of_use(path: &Path, what: &'static str, source: io::Error) -> Self {
        // SAFETY: `geteuid` cannot fail and does not access memory.
        let user = unsafe { libc::geteuid() };
        match std::fs::metadata(path) {
            Ok(meta) if source.kind() == io::ErrorKind::PermissionDenied && meta.uid() != user => {
                Self::Foreign { path: path.to_owned(), owner: meta.uid(), user }
            }
            _ => Self::Io { path: path.to_owned(), what, source },
        }
    }

    /// Returns a function that wraps a system error in [`Error::Io`], for use with `map_err`.
    pub(crate) fn io(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, what, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    // proves: W1
    fn control_characters_of_a_path_are_escaped() {
        let path = PathBuf::from("/tmp/\u{1b}[2Ja\nb\u{202e}/é \"c\"");
        let text = Error::WriterIsAlive { path }.to_string();
        assert!(text.starts_with("/tmp/\\u{1b}[2Ja\\nb\\u{202e}/é \"c\" already has a writer"), "{text}");
    }
}
