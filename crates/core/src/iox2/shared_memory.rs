//! Finds obstacles in shared memory.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::contract::{limits, messages};
use crate::error::{Obstacle, ObstacleKind};
use crate::iox2::domain::Domain;
use crate::iox2::objects::{SHARED_MEMORY, node_counter};
use crate::iox2::system::{HOUSEKEEPING, may, mode, statvfs, user};
use crate::iox2::types::IOX2_VERSION;

/// The node counter consists of two 8-byte numbers. The first is the release: major, minor and patch, 16 bits each, from bit 32 down.
const COUNTER_SIZE: u64 = 16;
const COUNTER_RELEASE: u64 = 10 << 16;

/// Returns the free bytes in shared memory; `None` if its size is unlimited (a tmpfs with size=0) or /dev/shm is absent (macOS).
pub(crate) fn free_shared_memory() -> Option<u64> {
    let stat = statvfs(c"/dev/shm").ok()?;
    (stat.f_blocks > 0).then_some(stat.f_bavail * stat.f_frsize)
}

/// Checks that /dev/shm exists, is writable and not full, and that its node counter for this prefix is usable.
pub(crate) fn in_shared_memory(domain: &Domain) -> Option<Obstacle> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let memory = |text: String| Some(Obstacle::new(ObstacleKind::Memory, text));
    let stat = match statvfs(c"/dev/shm") {
        Ok(stat) => stat,
        Err(error) => return memory(messages::no_shared_memory(error)),
    };
    if stat.f_flag & libc::ST_RDONLY != 0 {
        return memory(messages::read_only_shared_memory());
    }
    let folder = Path::new(SHARED_MEMORY);
    if !may(folder, libc::R_OK | libc::W_OK | libc::X_OK) {
        let mode = fs::metadata(folder).map(|meta| mode(&meta)).unwrap_or_default();
        return memory(messages::closed_shared_memory(mode, user()));
    }
    let free = stat.f_bavail * stat.f_frsize;
    // A tmpfs without a limit has neither blocks nor inodes.
    if stat.f_blocks > 0 && free < HOUSEKEEPING {
        return memory(messages::full_shared_memory(HOUSEKEEPING, free));
    }
    if stat.f_files > 0 && stat.f_favail == 0 {
        return memory(messages::no_more_shared_memory_files(stat.f_files));
    }
    in_node_counter(domain)
}

/// Checks the object that all participants with this prefix open: iceoryx2 waits indefinitely while it is empty.
fn in_node_counter(domain: &Domain) -> Option<Obstacle> {
    let path = node_counter(domain.config());
    let deadline = Instant::now() + limits::FIRST_PARTICIPANT;
    let (meta, fault) = loop {
        let meta = fs::symlink_metadata(&path).ok()?;
        let fault = fault_of(&path, &meta)?;
        let age = meta.modified().ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > limits::FIRST_PARTICIPANT) || !meta.is_file() || Instant::now() > deadline {
            break (meta, fault);
        }
        // The first participant may be creating it.
        std::thread::sleep(Duration::from_millis(5));
    };
    let (path, root, owner) = (path.display(), domain.root(), meta.uid());
    let kind = if owner == user() { ObstacleKind::Domain } else { ObstacleKind::Permission };
    let text = messages::node_counter(path, domain.prefix(), fault, owner, user(), root.display());
    Some(Obstacle::new(kind, text))
}

fn fault_of(path: &Path, meta: &Metadata) -> Option<String> {
    if !meta.is_file() {
        return Some(messages::counter_is_no_file());
    }
    if meta.len() < COUNTER_SIZE {
        return Some(messages::counter_is_short(meta.len(), COUNTER_SIZE));
    }
    let opened = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Some(messages::counter_is_closed(mode(meta)));
        }
        // The file was removed, or there is another problem, such as too few file descriptors.
        Err(_) => return None,
    };
    let mut content = [0; COUNTER_SIZE as usize];
    let release = file.read_exact(&mut content).ok().and_then(|()| content.first_chunk().copied());
    (release.map(u64::from_ne_bytes) != Some(COUNTER_RELEASE)).then(|| messages::counter_is_foreign(IOX2_VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_counter_has_the_name_that_iceoryx2_gives_it() {
        let root = std::env::temp_dir().join(format!("ob{}name", std::process::id()));
        let domain = Domain::at(root.to_str().unwrap(), "obname_").unwrap();
        let node = crate::iox2::node::create_node_in(&domain).unwrap();
        let path = node_counter(domain.config());
        assert!(path.exists(), "{}", path.display());
        assert_eq!(fault_of(&path, &fs::metadata(&path).unwrap()), None);
        drop(node);
        fs::remove_file(path).unwrap();
        fs::remove_dir_all(root).unwrap();
    }
}
