//! Implements the clean-up, which removes files that crashed participants in a domain left behind.

use std::fs::{File, TryLockError};
use std::path::Path as FsPath;
use std::time::{Duration, Instant};

use iceoryx2::node::NodeView;
use iceoryx2::prelude::*;

use crate::contract::{limits, messages};
use crate::error::Result;
use crate::iox2::domain::Domain;
use crate::iox2::leftovers::Remains;
use crate::iox2::objects::remove_left_behind;
use crate::iox2::obstacle::check_folders;
use crate::iox2::types::Iox;

/// Result of a clean-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Number of dead nodes that were removed together with everything that belonged to them.
    pub nodes: u64,
    /// Number of dead nodes that could not be removed.
    pub failed_nodes: u64,
    /// Number of other removed files. They belonged to participants that died while starting or exiting, and iceoryx2 does not remove them.
    pub files: usize,
}

/// Removes what dead participants in the domain left behind. Never call this in a process that has a node.
///
/// # Errors
/// [`Error::Obstacle`](crate::Error::Obstacle) if a folder of the domain belongs to another user or is a symbolic link.
pub fn clean(domain: &Domain) -> Result<Report> {
    set_log_level_from_env_or(LogLevel::Error);
    check_folders(domain, &messages::clean_up(domain.root().display()))?;
    let config = domain.config();
    let _lock = lock(&domain.root());
    let mut report = Report { files: remove_left_behind(config), ..Report::default() };
    let remains = Remains::of(config);
    // Files are removed before the tags that refer to them, so that a killed clean-up can be repeated.
    report.files += remains.remove_before();
    if remains.is_empty() {
        return Ok(report);
    }
    // If the nodes cannot be listed, they are kept and counted as failed below.
    let _ = Node::<Iox>::list(config, |state| {
        if let NodeState::Dead(node) = state
            && remains.has(node.id().value())
            // For a node without details, iceoryx2 would search in the domain of this process's own configuration.
            && node.details().is_some()
        {
            let _ = node.blocking_remove_stale_resources(limits::CLEANUP_NODE);
        }
        CallbackProgression::Continue
    });
    (report.nodes, report.failed_nodes) = remains.remove_nodes();
    Ok(report)
}

/// Locks the folder of a domain, so that only one clean-up runs at a time. If the lock takes too long, the clean-up runs without it,
/// because this is less harmful than not cleaning up.
fn lock(root: &FsPath) -> Option<File> {
    let folder = File::open(root).ok()?;
    let deadline = Instant::now() + limits::CLEANUP_TURN;
    while let Err(TryLockError::WouldBlock) = folder.try_lock()
        && Instant::now() < deadline
    {
        std::thread::sleep(Duration::from_millis(2));
    }
    Some(folder)
}
