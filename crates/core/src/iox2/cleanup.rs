//! Decides when this process starts a clean-up after crashed participants. The clean-up runs in a separate process.
//!
//! iceoryx2 uses POSIX file locks to determine whether a node is alive. Such a lock belongs to the process, and closing any descriptor for
//! the locked file drops it. So in a process with two copies of iceoryx2, a clean-up by one copy would remove the other copy's live nodes.
//! [`clean`](crate::iox2::helper::clean) implements the helper program `iceoryx2-cleanup`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use iceoryx2::prelude::Config;

use crate::contract::limits;
use crate::iox2::domain::Domain;
use crate::iox2::liveness::{dead_nodes, is_gone, monitor_of};
use crate::iox2::objects::has_unfinished_counter;

/// Name of the helper program.
pub const HELPER: &str = "iceoryx2-cleanup";

static HELPER_PATH: OnceLock<PathBuf> = OnceLock::new();

/// One schedule for each pair of node folder and prefix.
static SCHEDULES: Mutex<BTreeMap<(String, String), CleanupSchedule>> = Mutex::new(BTreeMap::new());

/// Sets the path of the helper program. Only the first call has an effect. If no path is set, this process searches `PATH` for the helper.
pub fn set_helper_path(path: PathBuf) {
    let _ = HELPER_PATH.set(path);
}

/// Call this before a node is created. Runs the helper if crashed participants left files behind.
///
/// If a participant died while starting, opening a service could otherwise take a second, or hang indefinitely for root.
pub(crate) fn clean_up_if_stale(domain: &Domain) {
    let config = domain.config();
    let dead = dead_nodes(config);
    if with_schedule(config, |schedule| schedule.is_due(dead)) || has_unfinished_counter(config) {
        run_helper(config);
    }
}

/// Runs the helper if the process of one of these nodes was killed. Until the clean-up, its ports stay in their services.
///
/// Each port checks its own peers, which takes a few µs for each peer in another process. The helper runs once for all ports in this
/// process.
pub(crate) fn clean_up_behind(peers: impl IntoIterator<Item = u128>, config: &Config) {
    if is_needed(peers, config) {
        run_helper(config);
    }
}

fn is_needed(peers: impl IntoIterator<Item = u128>, config: &Config) -> bool {
    let dead: Vec<_> = peers.into_iter().filter(|&node| is_gone(node, config)).collect();
    if dead.is_empty() {
        return false;
    }
    with_schedule(config, |schedule| {
        // Dead peers of other ports remain scheduled.
        let others = schedule.0.keys().copied().filter(|&node| monitor_of(node, config).exists());
        let all: BTreeSet<_> = others.chain(dead).collect();
        schedule.is_due(all)
    })
}

fn with_schedule<T>(config: &Config, work: impl FnOnce(&mut CleanupSchedule) -> T) -> T {
    let key = (config.global.node_dir().to_string(), config.global.prefix.to_string());
    work(SCHEDULES.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default())
}

/// If an attempt fails because a limit is reached, cleans up and repeats it, because crashed participants may occupy the places.
pub(crate) fn retry_when_full<T, E>(
    config: &Config,
    attempt: impl Fn() -> Result<T, E>,
    is_full: impl Fn(&E) -> bool,
) -> Result<T, E> {
    // A killed process may take this long to exit.
    let deadline = Instant::now() + limits::KILL_GRACE;
    let mut has_cleaned = false;
    loop {
        match attempt() {
            Err(error) if is_full(&error) && (!has_cleaned || Instant::now() < deadline) => {
                // The helper runs the first time even without dead nodes, because another helper may be removing them and this one waits
                // for it.
                if !has_cleaned || !dead_nodes(config).is_empty() {
                    run_helper(config);
                }
                has_cleaned = true;
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

/// Times at which to clean up after each dead node: immediately for a new one, then at growing intervals if the node remains.
#[derive(Debug, Default)]
struct CleanupSchedule(BTreeMap<u128, (Instant, Duration)>);

impl CleanupSchedule {
    /// Whether a clean-up is due for any of these nodes. Nodes that are not in `nodes` are removed from the schedule.
    fn is_due(&mut self, nodes: impl IntoIterator<Item = u128>) -> bool {
        let now = Instant::now();
        let mut is_due = false;
        let mut planned = BTreeMap::new();
        for node in nodes {
            let (mut next, mut pause) = self.0.remove(&node).unwrap_or((now, limits::CLEANUP_RETRY));
            if next <= now {
                is_due = true;
                (next, pause) = (now + pause, pause * 2);
            }
            planned.insert(node, (next, pause));
        }
        self.0 = planned;
        is_due
    }
}

/// Runs the helper for the domain with this configuration and waits for it. If the helper is not found, a later process cleans up.
pub(crate) fn run_helper(config: &Config) {
    let on_path = || std::env::var_os("PATH").and_then(|path| helper_among(std::env::split_paths(&path)));
    let Some(program) = HELPER_PATH.get().filter(|path| path.is_file()).cloned().or_else(on_path) else {
        return;
    };
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
    let deadline = Instant::now() + limits::CLEANUP_HELPER;
    while let Ok(None) = helper.try_wait() {
        if Instant::now() > deadline {
            let _ = helper.kill();
            let _ = helper.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Returns the helper program in the first of these folders that contains it. Relative folders are skipped, because any user may have put a
/// program into the working directory.
fn helper_among(mut folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    folders.find_map(|folder| Some(folder.join(HELPER)).filter(|file| folder.is_absolute() && file.is_file()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::iox2::node::create_node_in;

    /// In an earlier version, each port ran the helper separately.
    #[test]
    // proves: L15
    fn all_ports_of_a_process_clean_up_once_after_the_same_dead_nodes_in_each_domain() {
        let places =
            ["a", "b"].map(|end| Domain::at(&format!("/tmp/iox2u{}{end}", std::process::id()), "un_").unwrap());
        let put = |domain: &Domain, node| fs::write(monitor_of(node, domain.config()), "").unwrap();
        let (alive, dead) = (1, 2);
        for place in &places {
            fs::create_dir_all(place.node_dir()).unwrap();
            put(place, dead);
            put(place, dead + 1);
            let is_needed = |nodes: &[u128]| is_needed(nodes.iter().copied(), place.config());
            assert!(!is_needed(&[alive]));
            assert!(is_needed(&[alive, dead]));
            assert!(!is_needed(&[dead]), "another port has cleaned up");
            assert!(is_needed(&[dead + 1]));
            assert!(!is_needed(&[dead]), "the other dead node does not replace it");
        }
        for place in &places {
            assert!(!is_needed([dead, dead + 1], place.config()), "nor do dead nodes of another domain");
            fs::remove_dir_all(place.root()).unwrap();
        }
    }

    #[test]
    fn a_node_that_stays_is_tried_at_growing_intervals_and_one_that_went_is_forgotten() {
        let mut schedule = CleanupSchedule::default();
        assert!(schedule.is_due([1, 2]) && !schedule.is_due([1, 2]));
        let past = Instant::now();
        schedule.0.insert(1, (past, limits::CLEANUP_RETRY * 2));
        assert!(schedule.is_due([1]) && !schedule.is_due([1]));
        assert_eq!(schedule.0[&1].1, limits::CLEANUP_RETRY * 4);
        assert!(schedule.is_due([2]), "it was forgotten and is new again");
    }

    #[test]
    fn a_node_in_this_process_is_not_stale() {
        let root = format!("/tmp/iox2c{}", std::process::id());
        let domain = Domain::at(&root, "cl_").unwrap();
        assert_eq!(dead_nodes(domain.config()), []);
        let node = create_node_in(&domain).unwrap();
        assert_eq!(dead_nodes(domain.config()), []);
        fs::write(monitor_of(7, domain.config()), "").unwrap();
        assert_eq!(dead_nodes(domain.config()), [7]);
        drop(node);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    // proves: W4
    fn a_program_in_the_working_directory_is_not_the_helper() {
        let folder = std::env::temp_dir().join(format!("iox2h{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(HELPER), "").unwrap();
        let up = "../".repeat(std::env::current_dir().unwrap().components().count());
        let relative = PathBuf::from(up).join(folder.strip_prefix("/").unwrap());
        assert!(relative.join(HELPER).is_file());
        assert_eq!(helper_among([PathBuf::new(), relative].into_iter()), None);
        assert_eq!(helper_among([folder.clone()].into_iter()), Some(folder.join(HELPER)));
        fs::remove_dir_all(folder).unwrap();
    }
}
