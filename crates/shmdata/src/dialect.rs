//! The protocol's messages and the keys of its kernel objects.
//!
//! The messages are native structs of a 64-bit little-endian C++ program. They do not contain a version number; Shmdata 1.0.2 to 1.3.77 use
//! the same messages.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// Size in bytes of the first message, and of the copy that the reader sends back.
pub const CONNECT_SIZE: usize = 4112;
/// Size in bytes of the message that announces a frame.
pub const UPDATE_SIZE: usize = 16;
/// The message with which either side ends the connection.
pub const QUIT: [u8; 2] = [2, 0];
/// Longest type text in bytes.
pub const MAX_TYPE: usize = 4095;
/// Index of the semaphore that counts the readers that have not released the frame.
pub const READERS: u16 = 0;
/// Index of the semaphore that is 1 while a writer is writing.
pub const WRITER: u16 = 1;
/// How long a writer may take to send its greeting or to answer a QUIT message.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(1);

const SEGMENT_PROJECT: u8 = b'n';
const SEMAPHORE_PROJECT: u8 = b'm';
const TYPE_AT: usize = 16;

/// SysV keys for the segment and semaphores of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// Key of the segment.
    pub segment: libc::key_t,
    /// Key of the semaphores.
    pub semaphores: libc::key_t,
}

impl Keys {
    /// Returns the keys that glibc's `ftok` derives from the socket at `path`. The socket must exist.
    pub fn of(path: &Path) -> io::Result<Self> {
        let meta = std::fs::metadata(path)?;
        let file = ((meta.dev() as u32 & 0xff) << 16) | (meta.ino() as u32 & 0xffff);
        let key = |project: u8| ((u32::from(project) << 24) | file) as libc::key_t;
        Ok(Self { segment: key(SEGMENT_PROJECT), semaphores: key(SEMAPHORE_PROJECT) })
    }
}

/// A received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Announces a frame of this many bytes.
    Update(u64),
    /// The other side disconnects, or confirms that this side disconnects.
    Quit,
    /// Any other message; ignore it.
    Unknown,
}

impl Message {
    /// Decodes the bytes that one `read` on an established connection returned.
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

/// Builds a writer's first message, the greeting. It contains the type text and the segment size; readers only log the size.
pub fn connect_message(type_text: &str, segment_size: u64) -> Vec<u8> {
    let mut message = vec![0; CONNECT_SIZE];
    message[8..16].copy_from_slice(&segment_size.to_le_bytes());
    message[TYPE_AT..TYPE_AT + type_text.len()].copy_from_slice(type_text.as_bytes());
    message
}

/// Receives a writer's complete greeting.
///
/// # Errors
/// The greeting is not complete within [`HANDSHAKE_TIMEOUT`], or the writer disconnects.
pub fn receive_greeting(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut greeting = vec![0; CONNECT_SIZE];
    let mut count = 0;
    let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
    while count < CONNECT_SIZE {
        // A timeout of zero is an error, which ends this loop.
        stream.set_read_timeout(Some(deadline.saturating_duration_since(Instant::now())))?;
        match stream.read(&mut greeting[count..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(greeting)
}

/// Returns the type text from a writer's greeting. Bytes that are not UTF-8 are replaced.
pub fn type_text_of(greeting: &[u8]) -> String {
    let text = greeting.get(TYPE_AT..).unwrap_or_default();
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    String::from_utf8_lossy(&text[..end]).into_owned()
}

/// Builds the message that announces a frame of `size` bytes.
pub fn update_message(size: u64) -> [u8; UPDATE_SIZE] {
    let mut message = [0; UPDATE_SIZE];
    message[0] = 1;
    message[8..].copy_from_slice(&size.to_le_bytes());
    message
}

/// Checks a type text.
///
/// # Errors
/// [`Error::Type`] if it is longer than [`MAX_TYPE`] or contains a NUL.
pub fn check_type(text: &str) -> Result<()> {
    if text.len() > MAX_TYPE {
        return Err(Error::Type { reason: format!("has {} bytes; at most {MAX_TYPE} are possible", text.len()) });
    }
    if text.contains('\0') {
        return Err(Error::Type { reason: "contains a NUL".into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_equal_those_of_a_captured_session() {
        // These bytes were captured from shmdatasink 1.3.77, with 64×48 RGBA video and a segment of 12,288 bytes.
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
    fn a_message_that_is_short_or_unknown_is_ignored() {
        for bytes in [&b""[..], b"\x01", b"\x01\0\0\0", b"\x03\0", b"hello"] {
            assert_eq!(Message::read(bytes), Message::Unknown, "{bytes:?}");
        }
        assert_eq!(type_text_of(b"short"), "");
        assert_eq!(type_text_of(&[0xff; CONNECT_SIZE]).chars().next(), Some('\u{fffd}'));
    }

    #[test]
    fn a_type_text_has_at_most_4095_bytes_and_no_nul() {
        assert!(check_type(&"x".repeat(4095)).is_ok());
        assert!(check_type(&"x".repeat(4096)).unwrap_err().to_string().contains("4096 bytes"));
        assert!(check_type("a\0b").is_err());
    }
}
