//! Checks whether the process that created a node is alive.
//!
//! A node ID contains a process ID. In another PID namespace, this number belongs to a different process or to none. But a live process
//! holds a lock on its node's monitor, and a lock is visible across namespaces.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::contract::limits;

use iceoryx2::prelude::Config;

use crate::iox2::files::files;

/// The monitors of this process's own nodes. Closing a monitor would drop its lock, so each one stays open until its file is removed.
static OWN: Mutex<BTreeMap<u128, File>> = Mutex::new(BTreeMap::new());

/// Whether the process that created a node has exited. The check is safe in a process that has nodes, even with several copies of iceoryx2.
///
/// Returns false if the answer is unknown, because the monitor is missing, unfinished or belongs to another user. Repeated checks for a
/// node of this process do not need a system call.
pub(crate) fn is_gone(node: u128, config: &Config) -> bool {
    is_unlocked(node, config).unwrap_or(false)
}

/// Closes the monitors of removed nodes of this process. Nodes for which `was_seen` returns true are not checked.
pub(crate) fn forget_ended(was_seen: impl Fn(u128) -> bool) {
    use std::os::unix::fs::MetadataExt;

    let is_there = |monitor: &File| monitor.metadata().is_ok_and(|meta| meta.nlink() > 0);
    // A new node, or a node in another domain, was not seen but may still exist.
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    own.retain(|&node, monitor| was_seen(node) || is_there(monitor));
}

/// Whether an unfinished file is old enough to conclude that its creator has died.
pub(crate) fn is_old(meta: &fs::Metadata) -> bool {
    let age = meta.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
    age.is_some_and(|age| age > limits::UNFINISHED_FILE)
}

/// Returns the file on which the node's process holds a lock.
pub(crate) fn monitor_of(node: u128, config: &Config) -> PathBuf {
    PathBuf::from(config.global.node_dir().to_string()).join(format!("{}{node}.node_monitor", config.global.prefix))
}

/// Whether the lock on a node's monitor is free; `None` if this is unknown.
#[cfg(target_os = "linux")]
fn is_unlocked(node: u128, config: &Config) -> Option<bool> {
    use std::fs::OpenOptions;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::PermissionsExt;

    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    if own.contains_key(&node) {
        return Some(false);
    }
    let monitor = monitor_of(node, config);
    let meta = fs::metadata(&monitor).ok()?;
    if meta.permissions().mode() & 0o400 == 0 && !is_old(&meta) {
        // Another thread of this process may be creating the monitor, and closing our descriptor would drop its lock.
        return None;
    }
    let file = OpenOptions::new().write(true).open(&monitor).ok()?;
    // SAFETY: flock is a plain C struct, and all zeros are a valid value: a lock on the whole file.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    // An open file description lock conflicts with the locks of all processes, including this one. A single query is used, because the
    // lock's owner could exit between two queries.
    // SAFETY: the descriptor is open, and the struct outlives the call.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    let is_locked = (asked == 0).then_some(lock.l_type != libc::F_UNLCK as libc::c_short)?;
    if is_locked && u32::try_from(lock.l_pid) == Ok(std::process::id()) {
        own.insert(node, file);
    }
    Some(!is_locked)
}

/// Without open file description locks, the query itself would drop a lock held by this process. Only Linux has PID namespaces, so the
/// process ID is enough on other systems.
#[cfg(not(target_os = "linux"))]
fn is_unlocked(node: u128, _: &Config) -> Option<bool> {
    let pid = i32::try_from(pid_of(node)).ok().filter(|&pid| pid > 0)?;
    // SAFETY: signal 0 only checks whether the process exists.
    let is_missing = unsafe { libc::kill(pid, 0) } == -1;
    Some(is_missing && std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH))
}

/// Returns the process ID in the ID of a node, port or service, which is its third 32-bit word.
pub(crate) fn pid_of(id: u128) -> u32 {
    (id >> 64) as u32
}

/// Returns the nodes whose process has exited. This needs one directory listing, and a few µs for each node of another process.
///
/// A node without a monitor counts as dead when its files are old, because its process was killed before it created anything else.
pub(crate) fn dead_nodes(config: &Config) -> Vec<u128> {
    let found = node_ids(config);
    forget_ended(|node| found.contains_key(&node));
    let is_dead =
        |&(node, has_monitor): &_| if has_monitor { is_gone(node, config) } else { is_old_node(node, config) };
    found.into_iter().filter(is_dead).map(|(node, _)| node).collect()
}

/// Returns the IDs of all nodes that have a folder or a monitor file, and whether the monitor exists.
pub(crate) fn node_ids(config: &Config) -> BTreeMap<u128, bool> {
    let prefix = config.global.prefix.to_string();
    let nodes = PathBuf::from(config.global.node_dir().to_string());
    let entries = fs::read_dir(&nodes).into_iter().flatten().flatten();
    let names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let monitor = |name: &String| {
        let (id, end) = name.strip_prefix(&prefix)?.split_once(".node_monitor")?;
        let id = ["", "_owner_lock", "_context"].contains(&end).then(|| id.parse().ok())?;
        Some((id?, end.is_empty()))
    };
    let mut found = BTreeMap::new();
    for (id, is_monitor) in names.iter().filter_map(monitor) {
        *found.entry(id).or_default() |= is_monitor;
    }
    for name in names {
        // Folder names do not contain the prefix, and two domains may share a root.
        let is_ours =
            |(path, _): (PathBuf, _)| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&prefix));
        if let Ok(id) = name.parse()
            && !found.contains_key(&id)
            && files(&nodes.join(name)).all(is_ours)
        {
            found.insert(id, false);
        }
    }
    found
}

/// Whether all files of a node that does not have a monitor are old.
fn is_old_node(node: u128, config: &Config) -> bool {
    let [_, others @ ..] = monitors(node, config);
    let folder = folder_of(node, config);
    let mut found: Vec<_> = files(&folder).map(|(_, meta)| meta).collect();
    if found.is_empty() {
        found.extend(fs::metadata(folder));
    }
    found.extend(others.iter().filter_map(|path| fs::metadata(path).ok()));
    !found.is_empty() && found.iter().all(is_old)
}

/// Returns the paths of a node's monitor and the two related files. Source: iceoryx2-bb/posix/src/process_state.rs.
pub(crate) fn monitors(node: u128, config: &Config) -> [PathBuf; 3] {
    ["", "_owner_lock", "_context"].map(|end| {
        let mut path = monitor_of(node, config).into_os_string();
        path.push(end);
        path.into()
    })
}

pub(crate) fn folder_of(node: u128, config: &Config) -> PathBuf {
    PathBuf::from(config.global.node_dir().to_string()).join(node.to_string())
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::iox2::domain::Domain;
    use crate::iox2::node::create_node_in;

    struct Place(Domain);

    impl Place {
        fn new(name: &str) -> Self {
            Self(Domain::at(&format!("/tmp/l{}{name}", std::process::id()), &format!("l{name}_")).unwrap())
        }

        fn monitor(&self, node: u128) -> PathBuf {
            monitor_of(node, self.0.config())
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(self.0.root());
        }
    }

    /// Returns a node ID that contains this process ID.
    fn id(pid: u32) -> u128 {
        u128::from(pid) << 64 | 7
    }

    fn ended() -> Child {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child
    }

    #[test]
    #[cfg(target_os = "linux")]
    // proves: L9
    fn a_node_of_this_process_is_alive_and_asking_keeps_its_lock() {
        let place = Place::new("own");
        let node = create_node_in(&place.0).unwrap();
        let number = node.id().value();
        for _ in 0..3 {
            assert!(!is_gone(number, place.0.config()));
        }
        // Another process still finds the lock. No standard tool can query a lock, so `python3` does it.
        let ask = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)";
        let asked = Command::new("python3").args(["-c", ask]).arg(place.monitor(number)).stderr(Stdio::null()).status();
        if let Ok(status) = asked {
            assert!(!status.success(), "the lock of a living node was dropped");
        }
        // After the node was closed, none of its files are open.
        let open = || fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
        let of_it = || open().filter(|file| file.to_string_lossy().contains(&number.to_string())).count();
        assert!(of_it() > 0);
        drop(node);
        forget_ended(|_| false);
        assert_eq!(of_it(), 0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_node_without_a_lock_is_dead_even_if_its_process_id_exists() {
        let place = Place::new("dead");
        fs::create_dir_all(place.0.node_dir()).unwrap();
        let node = id(std::process::id());
        fs::write(place.monitor(node), "").unwrap();
        assert!(is_gone(node, place.0.config()));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_node_with_a_lock_is_alive_even_if_its_process_cannot_be_seen() {
        let place = Place::new("far");
        fs::create_dir_all(place.0.node_dir()).unwrap();
        // This process ID does not exist here, as with a process in another container.
        let node = id(ended().id());
        fs::write(place.monitor(node), "").unwrap();
        let hold = "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX); sys.stdin.read()";
        let holder = Command::new("python3").args(["-c", hold]).arg(place.monitor(node)).stdin(Stdio::piped()).spawn();
        let Ok(mut holder) = holder else {
            // Without Python, there is no second process that could hold a lock.
            return;
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while is_gone(node, place.0.config()) {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(5));
        }
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert!(is_gone(node, place.0.config()));
    }

    /// The process may be about to create its monitor, so the node is not dead yet.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_node_without_a_monitor_is_not_known_to_be_dead() {
        let place = Place::new("none");
        assert!(!is_gone(id(ended().id()), place.0.config()));
        fs::create_dir_all(place.0.node_dir()).unwrap();
        let unfinished = id(std::process::id());
        fs::write(place.monitor(unfinished), "").unwrap();
        fs::set_permissions(place.monitor(unfinished), std::os::unix::fs::PermissionsExt::from_mode(0o200)).unwrap();
        assert!(!is_gone(unfinished, place.0.config()));
        let file = fs::File::options().write(true).open(place.monitor(unfinished)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(is_gone(unfinished, place.0.config()));
    }
}
