//! Finds limits of this process that keep it from taking part in a domain.

use std::fs::File;

use crate::contract::{limits, messages};
use crate::error::{Obstacle, ObstacleKind};
use crate::iox2::system::words;

const DESCRIPTORS: usize = limits::START_DESCRIPTORS;

/// Returns a limit of this process; `None` means unlimited.
#[allow(clippy::unnecessary_cast, reason = "the types differ between C libraries")]
fn limit(what: libc::__rlimit_resource_t) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the struct is valid during the call.
    let status = unsafe { libc::getrlimit(what, &raw mut limit) };
    (status == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur as u64)
}

/// Checks the limit on file sizes, which also applies to shared memory. Beyond it, SIGXFSZ ends the program.
pub(crate) fn file_size(needed: u64) -> Option<Obstacle> {
    let limit = limit(libc::RLIMIT_FSIZE).filter(|&limit| limit < needed)?;
    Some(Obstacle::new(ObstacleKind::Limit, messages::file_size_limit(limit, needed)))
}

/// Checks that this process can open as many files as a participant needs.
pub(crate) fn descriptors() -> Option<Obstacle> {
    let mut opened = Vec::with_capacity(DESCRIPTORS);
    let text = loop {
        match File::open("/") {
            Ok(_) if opened.len() + 1 == DESCRIPTORS => return None,
            Ok(file) => opened.push(file),
            Err(error) => match error.raw_os_error() {
                Some(libc::ENFILE) => break messages::machine_descriptor_limit(),
                Some(libc::EMFILE) => {
                    let limit = limit(libc::RLIMIT_NOFILE).unwrap_or_default();
                    break messages::descriptor_limit(limit, opened.len(), DESCRIPTORS);
                }
                _ => return None,
            },
        }
    };
    Some(Obstacle::new(ObstacleKind::Limit, text))
}

/// Checks that this process can map this many bytes.
pub(crate) fn address_space(needed: usize) -> Option<Obstacle> {
    // SAFETY: the system chooses the address of the new mapping, and no code uses the mapping.
    let mapped = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let place = libc::mmap(std::ptr::null_mut(), needed, libc::PROT_READ, flags, -1, 0);
        place != libc::MAP_FAILED && libc::munmap(place, needed) == 0
    };
    if mapped {
        return None;
    }
    let text = limit(libc::RLIMIT_AS).map_or_else(
        || messages::no_more_memory(needed, words(libc::ENOMEM)),
        |limit| messages::address_space_limit(limit, needed),
    );
    Some(Obstacle::new(ObstacleKind::Limit, text))
}
