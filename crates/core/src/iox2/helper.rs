//! What the helper program does: removes what crashed participants of a domain left behind.

use std::fs::{self, TryLockError};
use std::path::Path as FsPath;
use std::time::{Duration, Instant};

use iceoryx2::node::NodeView;
use iceoryx2::prelude::*;

use crate::contract::limits;
use crate::error::Result;
use crate::iox2::domain::Domain;
use crate::iox2::leftovers::Remains;
use crate::iox2::objects::remove_left_behind;
use crate::iox2::obstacle::check_folders;
use crate::iox2::types::Iox;

/// How long another process is waited for that cleans the same domain, and one that cleans the same node.
const TURN_TIMEOUT: Duration = limits::CLEANUP_TURN;
const NODE_TIMEOUT: Duration = limits::CLEANUP_NODE;

/// What a clean-up removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Dead nodes with everything that belonged to them.
    pub nodes: u64,
    /// Dead nodes that could not be removed.
    pub failed_nodes: u64,
    /// Files that iceoryx2 does not remove: of participants that died while they started or ended.
    pub files: usize,
}

/// Removes what can be traced to dead participants of the domain. Never call it in a process that holds a node.
///
/// # Errors
/// [`Error::Obstacle`](crate::Error::Obstacle) for a domain folder that another user owns, or that holds links.
pub fn clean(domain: &Domain) -> Result<Report> {
    set_log_level_from_env_or(LogLevel::Error);
    // Another user would choose what is removed.
    check_folders(domain, &format!("clean up in the iceoryx2 domain {}", domain.root().display()))?;
    let config = domain.config();
    let _turn = Turn::wait(&domain.root());
    let mut report = Report { files: remove_left_behind(config), ..Report::default() };
    let remains = Remains::of(config);
    // What only a tag tells goes before the tag: a clean-up that is killed can be repeated.
    report.files += remains.remove_before();
    if remains.is_empty() {
        return Ok(report);
    }
    // A domain that cannot be listed keeps its nodes, which is seen below.
    let _ = Node::<Iox>::list(config, |state| {
        if let NodeState::Dead(node) = state
            && remains.has(node.id().value())
            // iceoryx2 would look for a node without details where the configuration of this process says.
            && node.details().is_some()
        {
            let _ = node.blocking_remove_stale_resources(NODE_TIMEOUT);
        }
        CallbackProgression::Continue
    });
    (report.nodes, report.failed_nodes) = remains.remove_nodes();
    Ok(report)
}

/// Being the only one of its kind that cleans a domain: a lock on its folder.
#[derive(Debug)]
struct Turn {
    _folder: Option<fs::File>,
}

impl Turn {
    /// Waits for the others. A domain without a folder is clean; without its turn in time a clean-up does less harm than none.
    fn wait(root: &FsPath) -> Self {
        let folder = fs::File::open(root).ok();
        let deadline = Instant::now() + TURN_TIMEOUT;
        while let Some(Err(TryLockError::WouldBlock)) = folder.as_ref().map(fs::File::try_lock)
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(2));
        }
        Self { _folder: folder }
    }
}
