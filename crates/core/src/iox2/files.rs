//! Lists, compares and removes iceoryx2's files.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Device, inode and time of a file. They distinguish it from a later file with the same name.
pub(crate) type Identity = (u64, u64, i64, i64);

/// Returns the files in a folder. Symbolic links are not followed.
pub(crate) fn files(folder: &Path) -> impl Iterator<Item = (PathBuf, Metadata)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
}

pub(crate) fn remove(path: &Path) -> usize {
    usize::from(fs::remove_file(path).is_ok())
}

/// Whether the file is writable, which means that a description or tag is unfinished.
pub(crate) fn is_writable(meta: &Metadata) -> bool {
    meta.permissions().mode() & 0o200 != 0
}

pub(crate) fn identity(meta: &Metadata) -> Identity {
    (meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec())
}
