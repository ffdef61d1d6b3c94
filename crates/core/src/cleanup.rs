//! Clean-up after crashed participants, always in a process of its own.
//!
//! iceoryx2 decides by POSIX file locks whether a node lives, and those belong to the process: closing any descriptor of a
//! locked file drops the lock. In a process with two copies of iceoryx2 a clean-up by one copy would therefore remove the live
//! nodes of the other. `run_helper` starts the small program `iceoryx2-cleanup`; [`clean`] is what that program does.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, TryLockError};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path as FsPath, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use iceoryx2::prelude::*;

use crate::domain::Domain;
use crate::liveness::is_gone;
use crate::remains::Look;
use crate::service::{check_folders, create_node_in};

/// Name of the helper program.
pub const HELPER: &str = "iceoryx2-cleanup";

/// Age at which an unfinished file counts as left behind: creating one takes milliseconds.
const STALE_AGE: Duration = Duration::from_secs(5);
/// How long another process is waited for that cleans the same domain, and one that cleans the same node.
const TURN_PATIENCE: Duration = Duration::from_secs(10);
const CLEANING_PATIENCE: Duration = Duration::from_secs(1);
/// How long until a second attempt to clean up behind the same node; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(4);
/// How long a process that was killed may take to end.
const LAST_BREATH: Duration = Duration::from_millis(300);
/// How long the helper may take: more than it waits for its turn.
const HELPER_PATIENCE: Duration = Duration::from_secs(20);

static HELPER_PATH: OnceLock<PathBuf> = OnceLock::new();

/// Tells where the helper program lies. The first call counts; a plugin knows its own folder, a program its own.
pub fn set_helper_path(path: PathBuf) {
    let _ = HELPER_PATH.set(path);
}

/// Whether the files of a node whose process has gone lie in the domain.
pub fn may_have_stale_nodes(domain: &Domain) -> bool {
    !stale_nodes(domain.config()).is_empty()
}

/// Names of what nodes have left whose process has gone.
fn stale_nodes(config: &Config) -> HashSet<String> {
    let prefix = config.global.prefix.to_string();
    let names = fs::read_dir(config.global.node_dir().to_string()).into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| node_of(name, &prefix).is_some_and(|node| is_gone(node, config)))
        .collect()
}

/// Before a node of ours is made: has the helper remove what crashed participants left.
///
/// Without it an opening can take a second, or for ever as root, where a participant died while it started.
pub(crate) fn clean_up_if_stale(domain: &Domain) {
    static ATTEMPTS: Mutex<Attempts<String>> = Mutex::new(Attempts(BTreeMap::new()));
    let stale = stale_nodes(domain.config());
    let is_due = ATTEMPTS.lock().unwrap_or_else(PoisonError::into_inner).are_due(stale);
    if is_due || has_trap(domain) {
        run_helper(domain.config());
    }
}

/// Whether there is shared memory without a size, which nobody but root can open, and which root never gets out of.
fn has_trap(domain: &Domain) -> bool {
    // SAFETY: asks for a number.
    let is_root = unsafe { libc::geteuid() } == 0;
    is_root && Look::at_segments(domain).any(|(_, meta)| meta.len() == 0)
}

/// Tries again after a clean-up where crashed participants may have what there is too little of.
pub(crate) fn with_room<T, E>(
    config: &Config,
    mut attempt: impl FnMut() -> Result<T, E>,
    is_full: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let deadline = Instant::now() + LAST_BREATH;
    let mut helped = false;
    loop {
        match attempt() {
            Err(error) if is_full(&error) && (!helped || Instant::now() < deadline) => {
                // The first time whoever is seen: another helper may be at it, and this one waits for its turn.
                if !helped || !stale_nodes(config).is_empty() {
                    run_helper(config);
                }
                helped = true;
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

/// When to try again what an earlier attempt did not remove: at once what is new, then ever more seldom.
#[derive(Debug)]
struct Attempts<K>(BTreeMap<K, (Instant, Duration)>);

impl<K: Ord> Attempts<K> {
    /// Whether it is time for any of those that are there; the others are forgotten.
    fn are_due(&mut self, there: impl IntoIterator<Item = K>) -> bool {
        let now = Instant::now();
        let mut is_due = false;
        let mut remaining = BTreeMap::new();
        for key in there {
            let (next, pause) = self.0.remove(&key).unwrap_or((now, FIRST_PAUSE));
            let mut planned = (next, pause);
            if next <= now {
                is_due = true;
                planned = (now + pause, pause * 2);
            }
            remaining.insert(key, planned);
        }
        self.0 = remaining;
        is_due
    }
}

/// Notices participants whose process has gone without a word, and has them cleaned up.
///
/// Their ports stay in a service until then.
#[derive(Debug)]
pub(crate) struct Undertaker(Attempts<u128>);

impl Default for Undertaker {
    fn default() -> Self {
        Self(Attempts(BTreeMap::new()))
    }
}

impl Undertaker {
    /// Whether it is time for [`run_helper`] because of somebody gone among these nodes.
    pub fn is_needed(&mut self, nodes: impl Iterator<Item = u128>, config: &Config) -> bool {
        self.0.are_due(nodes.filter(|&node| is_gone(node, config)))
    }
}

/// Id of a node in the name of a file or folder of it, which begins with the number.
fn node_of(name: &str, prefix: &str) -> Option<u128> {
    let id = name.strip_prefix(prefix).and_then(|name| name.split_once(".node_monitor")).map_or(name, |(id, _)| id);
    id.parse().ok()
}

/// Starts the helper for the domain of this configuration and waits for it. Without the helper nothing happens: a later
/// process cleans up.
pub(crate) fn run_helper(config: &Config) {
    let program = HELPER_PATH.get().filter(|path| path.is_file()).cloned().unwrap_or_else(|| PathBuf::from(HELPER));
    let started = Command::new(program)
        .arg(config.global.root_path().to_string())
        .arg(config.global.prefix.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut helper) = started else {
        return;
    };
    let deadline = Instant::now() + HELPER_PATIENCE;
    while let Ok(None) = helper.try_wait() {
        if Instant::now() > deadline {
            let _ = helper.kill();
            let _ = helper.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What a clean-up removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Dead nodes with everything that belonged to them.
    pub nodes: u64,
    /// Dead nodes that could not be removed.
    pub failed_nodes: u64,
    /// Files that belonged to nobody: of participants that died while they started or ended.
    pub files: usize,
}

/// Removes what dead participants of the domain left behind. Never call it in a process that holds a node.
///
/// # Errors
/// As [`create_node_in`].
pub fn clean(domain: &Domain) -> crate::Result<Report> {
    let mut report = Report::default();
    // Somebody else would choose what is removed.
    check_folders(domain, &format!("clean up in the iceoryx2 domain {}", domain.root().display()))?;
    let _turn = Turn::wait(&domain.root());
    // Before any node exists: on a zero-size segment the creation of a node waits for ever when run as root.
    let before = Look::at(domain);
    report.files += if before.sees_everybody() {
        before.unsized_segments().remove() + before.unfinished_tags().remove()
    } else {
        remove_unfinished_segments(domain)
    };
    let node = create_node_in(domain)?;
    let state = node.blocking_cleanup_dead_nodes(CLEANING_PATIENCE);
    report.nodes = state.cleanups;
    report.failed_nodes = state.failed_cleanups;
    drop(node);
    let after = Look::at(domain);
    report.files += if before.sees_everybody() && after.sees_everybody() {
        // What was nobody's before already: iceoryx2 has had its turn. Who died meanwhile needs his tags for the next clean-up, and
        // so does a node that could not be removed.
        let litter = after.litter().and(&before.litter());
        if report.failed_nodes == 0 { litter } else { litter.without_nodes() }.remove()
    } else {
        remove_unfinished_services(domain)
    };
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
        let deadline = Instant::now() + TURN_PATIENCE;
        while let Some(Err(TryLockError::WouldBlock)) = folder.as_ref().map(fs::File::try_lock)
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(2));
        }
        Self { _folder: folder }
    }
}

/// Unlinks shared memory objects that were created but never sized (mode 0200, 0 bytes, old).
fn remove_unfinished_segments(domain: &Domain) -> usize {
    let prefix = domain.prefix();
    remove(FsPath::new("/dev/shm"), |name, meta| {
        name.starts_with(&prefix) && meta.len() == 0 && meta.permissions().mode() & 0o777 == 0o200
    })
}

/// Unlinks service descriptions that were never finished (not yet read-only), are old, and that no live process has open.
fn remove_unfinished_services(domain: &Domain) -> usize {
    let prefix = domain.prefix();
    let open = open_files(&domain.service_dir());
    remove(&domain.service_dir(), |name, meta| {
        name.starts_with(&prefix)
            && name.ends_with(".service")
            && meta.permissions().mode() & 0o777 != 0o400
            && !open.contains(&(meta.dev(), meta.ino()))
    })
}

fn remove(folder: &FsPath, matches: impl Fn(&str, &fs::Metadata) -> bool) -> usize {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let old = |meta: &fs::Metadata| {
        meta.modified()
            .ok()
            .and_then(|time| SystemTime::now().duration_since(time).ok())
            .is_some_and(|age| age > STALE_AGE)
    };
    entries
        .flatten()
        .filter(|entry| {
            entry.metadata().is_ok_and(|meta| {
                meta.is_file() && old(&meta) && entry.file_name().to_str().is_some_and(|name| matches(name, &meta))
            })
        })
        .filter(|entry| fs::remove_file(entry.path()).is_ok())
        .count()
}

/// Device and inode of every file below `folder` that a process visible here has open.
fn open_files(folder: &FsPath) -> HashSet<(u64, u64)> {
    let mut open = HashSet::new();
    let Ok(processes) = fs::read_dir("/proc") else {
        return open;
    };
    for process in processes.flatten() {
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        for descriptor in descriptors.flatten() {
            if fs::read_link(descriptor.path()).is_ok_and(|target| target.starts_with(folder))
                && let Ok(meta) = fs::metadata(descriptor.path())
            {
                open.insert((meta.dev(), meta.ino()));
            }
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::liveness::pid_of;
    use crate::service::Iox;

    #[test]
    fn the_name_of_a_nodes_file_or_folder_tells_the_node() {
        let node = 237632171656900591485863;
        assert_eq!(pid_of(node), Some(12882));
        assert_eq!(node_of("xq_237632171656900591485863.node_monitor", "xq_"), Some(node));
        assert_eq!(node_of("xq_237632171656900591485863.node_monitor_context", "xq_"), Some(node));
        assert_eq!(node_of("237632171656900591485863", "xq_"), Some(node));
        assert_eq!(node_of("yy_237632171656900591485863.node_monitor", "xq_"), None);
        assert_eq!(node_of("xq_nonsense.node_monitor", "xq_"), None);
    }

    #[test]
    fn the_undertaker_is_called_at_once_for_each_who_has_gone_and_not_again_at_once() {
        let id = |pid: i32| u128::from(pid as u32) << 64;
        let (alive, dead) = (id(std::process::id() as i32), id(dead_pid()));
        let mut undertaker = Undertaker::default();
        let nowhere = Domain::at("/tmp/nowhere", "nw_").unwrap();
        let mut is_needed = |nodes: &[u128]| undertaker.is_needed(nodes.iter().copied(), nowhere.config());
        assert!(!is_needed(&[alive]));
        assert!(is_needed(&[alive, dead]));
        assert!(!is_needed(&[dead]));
        assert!(is_needed(&[dead, dead + 1]));
    }

    #[test]
    fn what_stays_is_tried_again_ever_more_seldom_and_what_went_is_forgotten() {
        let mut attempts = Attempts(BTreeMap::new());
        assert!(attempts.are_due([1, 2]) && !attempts.are_due([1, 2]));
        let past = Instant::now();
        attempts.0.insert(1, (past, FIRST_PAUSE * 2));
        assert!(attempts.are_due([1]) && !attempts.are_due([1]));
        assert_eq!(attempts.0[&1].1, FIRST_PAUSE * 4);
        assert!(attempts.are_due([2]), "it went and came again");
    }

    #[test]
    fn a_node_in_this_process_is_not_stale() {
        let root = format!("/tmp/iox2c{}", std::process::id());
        let domain = Domain::at(&root, "cl_").unwrap();
        assert!(!may_have_stale_nodes(&domain));
        let node = NodeBuilder::new().config(domain.config()).create::<Iox>().unwrap();
        assert!(!may_have_stale_nodes(&domain));
        let pid = dead_pid();
        let id = u128::from(pid as u32) << 64;
        let file = domain.node_dir().join(format!("cl_{id}.node_monitor"));
        fs::write(&file, "").unwrap();
        assert!(may_have_stale_nodes(&domain));
        drop(node);
        fs::remove_dir_all(root).unwrap();
    }

    /// Pid of a child that has ended and been waited for.
    fn dead_pid() -> i32 {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id() as i32
    }
}
