//! What is said on the wire, and where: messages, type text, address rule.
//!
//! Everything that Sh4lt's own dialect would change is here. The layouts are those of a 64-bit little-endian C++ program, native and
//! without version: Shmdata 1.0.2 to 1.3.77.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Bytes of the first message, and of its echo.
pub const CONNECT_SIZE: usize = 4112;
/// Bytes of the message before each frame.
pub const UPDATE_SIZE: usize = 16;
/// Bytes of the last message.
pub const QUIT_SIZE: usize = 2;
/// Longest type text in bytes.
pub const MAX_TYPE: usize = 4095;
/// Longest path of a socket in bytes.
pub const MAX_PATH: usize = 107;
/// Project numbers that make the keys of segment and semaphores from the socket's path.
pub const SEGMENT_PROJECT: u8 = b'n';
/// See [`SEGMENT_PROJECT`].
pub const SEMAPHORE_PROJECT: u8 = b'm';
/// Index of the counter of readers that have not finished.
pub const READERS: u16 = 0;
/// Index of the flag of a writer inside.
pub const WRITER: u16 = 1;

const TYPE_AT: usize = 16;

/// A message as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// A frame of that many bytes follows.
    Update(u64),
    /// The other side leaves, or confirms that we do.
    Quit,
    /// Anything else; to be ignored.
    Unknown,
}

impl Message {
    /// Reads what one `read` of an established connection gave.
    pub fn read(bytes: &[u8]) -> Self {
        match bytes {
            [1, 0, ..] if bytes.len() >= UPDATE_SIZE => {
                Self::Update(u64::from_le_bytes(std::array::from_fn(|i| bytes[8 + i])))
            }
            [2, 0, ..] => Self::Quit,
            _ => Self::Unknown,
        }
    }
}

/// The first message of a writer: type text and the segment's size, which readers only log.
pub fn connect_message(type_text: &str, segment_size: u64) -> Vec<u8> {
    let mut message = vec![0; CONNECT_SIZE];
    message[8..16].copy_from_slice(&segment_size.to_le_bytes());
    message[TYPE_AT..TYPE_AT + type_text.len()].copy_from_slice(type_text.as_bytes());
    message
}

/// The type text in a writer's first message; lossy where it is not UTF-8.
pub fn type_text_of(connect: &[u8]) -> String {
    let text = connect.get(TYPE_AT..).unwrap_or_default();
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    String::from_utf8_lossy(&text[..end]).into_owned()
}

/// The message before a frame.
pub fn update_message(size: u64) -> [u8; UPDATE_SIZE] {
    let mut message = [0; UPDATE_SIZE];
    message[0] = 1;
    message[8..].copy_from_slice(&size.to_le_bytes());
    message
}

/// The last message of either side.
pub const QUIT: [u8; QUIT_SIZE] = [2, 0];

/// Checks a type text.
///
/// # Errors
/// [`Error::Type`].
pub fn check_type(text: &str) -> Result<()> {
    if text.len() > MAX_TYPE {
        return Err(Error::Type { reason: format!("has {} bytes", text.len()) });
    }
    if text.contains('\0') {
        return Err(Error::Type { reason: "contains a NUL".into() });
    }
    Ok(())
}

/// Group that a stream belongs to unless told otherwise.
pub const DEFAULT_GROUP: &str = "default";

/// The path of a stream that is named by label and group instead of a path.
///
/// `$XDG_RUNTIME_DIR/sh4lt/GROUP/LABEL`, or `/tmp/sh4lt-UID/…` without such a directory. This rule is this project's own: Sh4lt's is not
/// known. Bytes other than letters, digits, `-`, `_` and `.` are written as `%` and two hex digits.
///
/// # Errors
/// [`Error::Name`] for an empty name or one that no path can hold.
pub fn address(label: &str, group: &str) -> Result<PathBuf> {
    let folder = match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder).join("sh4lt"),
        // SAFETY: `getuid` cannot fail and touches nothing.
        None => PathBuf::from(format!("/tmp/sh4lt-{}", unsafe { libc::getuid() })),
    };
    Ok(folder.join(file_name("group", group)?).join(file_name("label", label)?))
}

/// Makes the folders of an [`address`], for this user alone.
///
/// # Errors
/// [`Error::Io`] when they cannot be made, or belong to somebody else who could then take the socket away.
pub fn prepare_folder(address: &Path) -> Result<()> {
    let folder = address.parent().unwrap_or(address);
    let make = || DirBuilder::new().recursive(true).mode(0o700).create(folder);
    make().map_err(Error::io(folder, "make the folder"))?;
    for folder in [Some(folder), folder.parent()].into_iter().flatten() {
        let meta = std::fs::metadata(folder).map_err(Error::io(folder, "stat"))?;
        // SAFETY: `getuid` cannot fail and touches nothing.
        if meta.uid() != unsafe { libc::getuid() } {
            let foreign = io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user");
            return Err(Error::io(folder, "use the folder")(foreign));
        }
    }
    Ok(())
}

fn file_name(what: &'static str, name: &str) -> Result<String> {
    let refused = |reason| Err(Error::Name { what, name: name.to_owned(), reason });
    if name.is_empty() {
        return refused("it is empty");
    }
    if name == "." || name == ".." {
        return refused("it names a folder");
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    Ok(name
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_a_captured_session() {
        // Captured from shmdatasink 1.3.77: a segment of 12288 bytes, 64x48 RGBA.
        let greeting = connect_message("video/x-raw, format=(string)RGBA", 12288);
        assert_eq!(greeting.len(), 4112);
        assert_eq!(&greeting[..16], b"\0\0\0\0\0\0\0\0\0\x30\0\0\0\0\0\0");
        assert_eq!(&greeting[16..32], b"video/x-raw, for");
        assert_eq!(type_text_of(&greeting), "video/x-raw, format=(string)RGBA");
        assert_eq!(update_message(12288), *b"\x01\0\0\0\0\0\0\0\0\x30\0\0\0\0\0\0");
        assert_eq!(QUIT, *b"\x02\0");
        assert_eq!(Message::read(&update_message(12288)), Message::Update(12288));
        assert_eq!(Message::read(&QUIT), Message::Quit);
    }

    #[test]
    fn nonsense_is_no_message_and_never_read_beyond_its_end() {
        for bytes in [&b""[..], b"\x01", b"\x01\0\0\0", b"\x03\0", b"greeting"] {
            assert_eq!(Message::read(bytes), Message::Unknown, "{bytes:?}");
        }
        assert_eq!(type_text_of(b"short"), "");
        assert_eq!(type_text_of(&[0xff; CONNECT_SIZE]).chars().next(), Some('\u{fffd}'));
    }

    #[test]
    fn a_type_text_has_its_limits() {
        assert!(check_type(&"x".repeat(4095)).is_ok());
        assert!(check_type(&"x".repeat(4096)).unwrap_err().to_string().contains("4096 bytes"));
        assert!(check_type("a\0b").is_err());
    }

    #[test]
    fn names_become_paths_that_stay_where_they_belong() {
        assert_eq!(file_name("label", "cam 0/a").unwrap(), "cam%200%2fa");
        assert!(file_name("label", "").is_err() && file_name("group", "..").is_err());
    }
}
