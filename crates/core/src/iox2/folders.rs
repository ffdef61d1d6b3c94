//! Finds obstacles in the folders of a domain.

use std::ffi::CString;
use std::fs::{self, DirBuilder, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::contract::messages;
use crate::error::{Obstacle, ObstacleKind};
use crate::iox2::domain::Domain;
use crate::iox2::system::{may, mode, statvfs, user, words};

/// Checks that a domain's folders are real folders that belong to this user or root. Missing folders are fine.
pub(crate) fn in_folders(domain: &Domain) -> Option<Obstacle> {
    let root = domain.root();
    let existing = |path: &Path, meta: io::Result<Metadata>| match meta {
        Ok(meta) => unsuitable(path, &meta),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(refused(path, &error)),
    };
    if let Ok(link) = fs::symlink_metadata(&root)
        && link.is_symlink()
    {
        if !is_trusted(&link) {
            return Some(foreign(&root, &link));
        }
        if let Ok(target) = fs::read_link(&root)
            && matches!(fs::metadata(&root), Err(error) if error.kind() == io::ErrorKind::NotFound)
        {
            let text = messages::dangling_link(root.display(), target.display());
            return Some(Obstacle::new(ObstacleKind::Domain, text));
        }
    }
    let (services, nodes) = (domain.service_dir(), domain.node_dir());
    existing(&root, fs::metadata(&root))
        .or_else(|| existing(&services, fs::symlink_metadata(&services)))
        .or_else(|| existing(&nodes, fs::symlink_metadata(&nodes)))
        .or_else(|| {
            // iceoryx2 creates a folder for each node, which must not be a link.
            let links = fs::read_dir(&nodes).into_iter().flatten().flatten();
            let mut links = links.filter(|item| item.file_type().is_ok_and(|kind| kind.is_symlink()));
            links.find_map(|item| unsuitable(&item.path(), &item.metadata().ok()?))
        })
}

fn unsuitable(folder: &Path, meta: &Metadata) -> Option<Obstacle> {
    if meta.is_symlink() {
        return Some(Obstacle::new(ObstacleKind::Domain, messages::planted_link(folder.display())));
    }
    if !meta.is_dir() {
        return Some(Obstacle::new(ObstacleKind::Domain, messages::not_a_folder(folder.display())));
    }
    if !is_trusted(meta) {
        return Some(foreign(folder, meta));
    }
    (!may(folder, libc::R_OK | libc::X_OK)).then(|| closed(folder))
}

/// Whether a folder's owner is trusted: iceoryx2 follows its links, and a clean-up removes its files.
fn is_trusted(meta: &Metadata) -> bool {
    [user(), 0].contains(&meta.uid())
}

fn foreign(path: &Path, meta: &Metadata) -> Obstacle {
    Obstacle::new(ObstacleKind::Permission, messages::foreign_path(path.display(), meta.uid(), user()))
}

/// Tries to create everything that a participant creates: the folders, a file in each folder, and a socket.
pub(crate) fn writing(domain: &Domain) -> Option<Obstacle> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (root, services, nodes) = (domain.root(), domain.service_dir(), domain.node_dir());
    let mut missing: Vec<_> = root.ancestors().filter(|folder| fs::symlink_metadata(folder).is_err()).collect();
    missing.reverse();
    for folder in missing.into_iter().chain([services.as_path(), nodes.as_path()]) {
        // The same mode as iceoryx2. Source: 0.10.0, on disk.
        match DirBuilder::new().mode(0o750).create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(error) => return Some(refused(folder, &error)),
            Ok(()) => {}
        }
    }
    // iceoryx2 uses no such names, so no clean-up removes the file.
    let name = format!("probe{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    for folder in [&services, &nodes, &root] {
        let probe = folder.join(&name);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&probe);
        let written = opened.and_then(|mut file| {
            let written = file.write_all(&[0; 4096]);
            fs::remove_file(&probe).and(written)
        });
        if let Err(error) = written {
            return Some(refused(folder, &error));
        }
    }
    let probe = root.join(&name);
    match UnixDatagram::bind(&probe) {
        Ok(_) => fs::remove_file(&probe).err().map(|error| refused(&root, &error)),
        Err(error) => Some(refused(&root, &error)),
    }
}

pub(crate) fn reading(file: &Path) -> Option<Obstacle> {
    match fs::symlink_metadata(file) {
        Ok(meta) => (!may(file, libc::R_OK)).then(|| foreign(file, &meta)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(refused(file, &error)),
    }
}

/// Explains why the operating system refused to create, enter or write a path.
fn refused(path: &Path, error: &io::Error) -> Obstacle {
    let number = error.raw_os_error().unwrap_or_default();
    let near = nearest(path);
    let text = match number {
        libc::EACCES | libc::EPERM => return closed(path),
        libc::EROFS => messages::read_only_disk(near.display()),
        libc::ENOSPC => fullness(&near),
        libc::ENOTDIR | libc::EEXIST => messages::not_a_folder(near.display()),
        libc::ELOOP => messages::circular_link(near.display()),
        _ => messages::unusable_path(path.display(), words(number)),
    };
    Obstacle::new(ObstacleKind::Domain, text)
}

fn fullness(path: &Path) -> String {
    let shown = path.display();
    let path = CString::new(path.as_os_str().as_encoded_bytes()).unwrap_or_default();
    match statvfs(&path) {
        Ok(stat) if stat.f_files > 0 && stat.f_favail == 0 => messages::no_more_files(shown, stat.f_files),
        _ => messages::full_disk(shown),
    }
}

/// Returns the path, or its nearest existing ancestor.
fn nearest(path: &Path) -> PathBuf {
    path.ancestors().find(|one| fs::symlink_metadata(one).is_ok()).unwrap_or(path).to_owned()
}

/// Names the first folder in a path that this user cannot enter, or else the last folder, which is not writable.
fn closed(path: &Path) -> Obstacle {
    let mut way: Vec<_> = path.ancestors().collect();
    way.reverse();
    // If all folders can be entered, the last one cannot be read or written.
    let shut = way.into_iter().find(|one| one.is_dir() && !may(one, libc::X_OK));
    let shut = shut.map_or_else(|| nearest(path), Path::to_owned);
    let Ok(meta) = fs::metadata(&shut) else {
        return Obstacle::new(ObstacleKind::Permission, messages::closed_target(shut.display(), user()));
    };
    if meta.uid() != user() {
        return foreign(&shut, &meta);
    }
    Obstacle::new(ObstacleKind::Permission, messages::closed_folder(shut.display(), mode(&meta), user()))
}
