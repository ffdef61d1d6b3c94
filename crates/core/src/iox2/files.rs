//! Files of iceoryx2, as far as this crate looks at them itself.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What tells a file from the next one of its name: device, inode, time.
pub(crate) type Identity = (u64, u64, i64, i64);

/// Files in a folder; nothing follows symbolic links.
pub(crate) fn files(folder: &Path) -> impl Iterator<Item = (PathBuf, Metadata)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
}

pub(crate) fn remove(path: &Path) -> usize {
    usize::from(fs::remove_file(path).is_ok())
}

/// Whether a description or a tag is not finished.
pub(crate) fn is_writable(meta: &Metadata) -> bool {
    meta.permissions().mode() & 0o200 != 0
}

pub(crate) fn identity(meta: &Metadata) -> Identity {
    (meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec())
}
