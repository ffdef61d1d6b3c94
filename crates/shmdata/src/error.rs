//! What can go wrong with a path that is shared.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong with a path that is shared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No socket can have this path.
    #[error("{}: the path has {length} bytes, a socket's has at most 107; choose a shorter one", printable(path))]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },

    /// Something that is no socket lies there.
    #[error("{} is {what}, not a socket; choose another path or remove it", printable(path))]
    NotASocket {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },

    /// Another writer is alive on the path.
    #[error("{} has a writer already; stop it or choose another path", printable(path))]
    WriterIsAlive {
        /// The path.
        path: PathBuf,
    },

    /// Another user's, who does not permit it.
    #[error(
        "{} belongs to user {owner} (this process runs as user {user}), and there is no permission to use it; run both as the same user",
        printable(path)
    )]
    Foreign {
        /// The path.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },

    /// Nobody writes there now.
    #[error("{} has no writer", printable(path))]
    NoWriter {
        /// The path.
        path: PathBuf,
    },

    /// The type text is too long or cannot be sent.
    #[error("the type text {reason}; it takes at most 4095 bytes without NUL")]
    Type {
        /// What is wrong with it.
        reason: String,
    },

    /// A label or group that cannot name a path.
    #[error("{what} {name:?} cannot be used: {reason}")]
    Name {
        /// Label or group.
        what: &'static str,
        /// As given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A frame larger than the kernel's limit for one segment.
    #[error(
        "{}: a frame of {size} bytes is more than one segment of shared memory can hold ({limit}, kernel.shmmax)",
        printable(path)
    )]
    FrameTooLarge {
        /// The path.
        path: PathBuf,
        /// Size of the frame.
        size: usize,
        /// The kernel's limit.
        limit: u64,
    },

    /// The operating system refused a call.
    #[error("{}: {what}: {source}", printable(path))]
    Io {
        /// The path.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Its answer.
        #[source]
        source: io::Error,
    },
}

/// A path in one line that steers no terminal: an escape character becomes `\u{1b}`.
fn printable(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_shown = |c: char| matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1;
    text.chars().map(|c| if is_shown(c) { c.to_string() } else { c.escape_debug().to_string() }).collect()
}

impl Error {
    /// For a path that could not be used: whose it is, where that was the reason.
    pub(crate) fn of_use(path: &Path, what: &'static str, source: io::Error) -> Self {
        // SAFETY: `geteuid` cannot fail and touches nothing.
        let user = unsafe { libc::geteuid() };
        match std::fs::metadata(path) {
            Ok(meta) if source.kind() == io::ErrorKind::PermissionDenied && meta.uid() != user => {
                Self::Foreign { path: path.to_owned(), owner: meta.uid(), user }
            }
            _ => Self::Io { path: path.to_owned(), what, source },
        }
    }

    /// For `map_err`: the last step on a path failed.
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
    fn a_path_steers_no_terminal_and_stays_in_its_line() {
        let path = PathBuf::from("/tmp/\u{1b}[2Ja\nb\u{202e}/é \"c\"");
        let text = Error::WriterIsAlive { path }.to_string();
        assert!(text.starts_with("/tmp/\\u{1b}[2Ja\\nb\\u{202e}/é \"c\" has a writer"), "{text}");
    }
}
