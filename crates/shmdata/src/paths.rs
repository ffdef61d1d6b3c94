//! The address of a stream: a socket path, given directly or as label and group.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Longest socket path in bytes.
const MAX_PATH: usize = 107;
/// Group of a stream that is addressed only by its label.
pub const DEFAULT_GROUP: &str = "default";

/// Returns the path of the stream with this label and group.
///
/// The path is `$XDG_RUNTIME_DIR/sh4lt/GROUP/LABEL`, or `/tmp/sh4lt-UID/GROUP/LABEL` if the variable is not set. This rule is our own,
/// because Sh4lt's rule is not known. Bytes other than letters, digits, `-`, `_` and `.` are escaped as `%` and two hex digits.
///
/// # Errors
/// [`Error::Name`] if a name is empty or names a folder.
pub fn address(label: &str, group: &str) -> Result<PathBuf> {
    let folder = match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder).join("sh4lt"),
        None => PathBuf::from(format!("/tmp/sh4lt-{}", this_user())),
    };
    Ok(folder.join(file_name("group", group)?).join(file_name("label", label)?))
}

/// Creates the folders of an [`address`] with mode 0700.
///
/// # Errors
/// [`Error::Io`] if a folder cannot be created, or if it belongs to another user, because that user could replace the socket.
pub fn prepare_folder(address: &Path) -> Result<()> {
    let folder = address.parent().unwrap_or(address);
    let created = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    created.map_err(Error::io(folder, "create the folder"))?;
    for folder in [Some(folder), folder.parent()].into_iter().flatten() {
        let meta = fs::metadata(folder).map_err(Error::io(folder, "stat"))?;
        if meta.uid() != this_user() {
            let foreign = io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user");
            return Err(Error::io(folder, "use the folder")(foreign));
        }
    }
    Ok(())
}

/// Checks that a socket can have this path, and returns whether a socket exists there. Does not connect to it.
///
/// # Errors
/// [`Error::PathTooLong`], [`Error::NotASocket`], [`Error::Io`].
pub fn check_path(path: &Path) -> Result<bool> {
    check_length(path)?;
    is_socket(path)
}

/// Whether a socket exists at the path.
///
/// # Errors
/// [`Error::NotASocket`], [`Error::Io`].
pub(crate) fn is_socket(path: &Path) -> Result<bool> {
    let kind = match fs::symlink_metadata(path) {
        Ok(meta) => meta.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io(path, "stat")(error)),
    };
    let what = match () {
        () if kind.is_socket() => return Ok(true),
        () if kind.is_dir() => "a folder",
        () if kind.is_symlink() => "a symbolic link",
        () if kind.is_file() => "a file",
        () => "a device or pipe",
    };
    Err(Error::NotASocket { path: path.to_owned(), what })
}

/// Checks that a path is short enough for a socket.
///
/// # Errors
/// [`Error::PathTooLong`].
pub(crate) fn check_length(path: &Path) -> Result<()> {
    let length = path.as_os_str().len();
    if length > MAX_PATH {
        return Err(Error::PathTooLong { path: path.to_owned(), length });
    }
    Ok(())
}

fn this_user() -> libc::uid_t {
    // SAFETY: `getuid` cannot fail and does not access memory.
    unsafe { libc::getuid() }
}

fn file_name(what: &'static str, name: &str) -> Result<String> {
    if matches!(name, "" | "." | "..") {
        return Err(Error::Name { what, name: name.to_owned() });
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
    fn a_name_becomes_one_component_of_a_path() {
        assert_eq!(file_name("label", "cam 0/a").unwrap(), "cam%200%2fa");
        assert!(file_name("label", "").is_err() && file_name("group", "..").is_err());
    }
}
