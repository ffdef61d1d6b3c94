//! Clean-up after crashed participants, always in a process of its own.
//!
//! iceoryx2 decides by POSIX file locks whether a node lives, and those belong to the process: closing any descriptor of a
//! locked file drops the lock. In a process with two copies of iceoryx2 a clean-up by one copy would therefore remove the live
//! nodes of the other. `run_helper` starts the small program `iceoryx2-cleanup`; [`clean`](crate::iox2::helper::clean) is what that program does.

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

/// How long until a second attempt to clean up behind the same node; each further pause is twice as long.
const FIRST_PAUSE: Duration = limits::CLEANUP_RETRY;
/// How long a process that was killed may take to end.
const KILL_GRACE: Duration = limits::KILL_GRACE;
/// How long the helper may take: more than it waits for its turn.
const HELPER_TIMEOUT: Duration = limits::CLEANUP_HELPER;

static HELPER_PATH: OnceLock<PathBuf> = OnceLock::new();

/// Tells where the helper program lies. The first call counts; a plugin knows its own folder, a program its own.
pub fn set_helper_path(path: PathBuf) {
    let _ = HELPER_PATH.set(path);
}

/// What this process has tried to remove, by the folder of the nodes and the prefix.
static SCHEDULES: Mutex<BTreeMap<(String, String), CleanupSchedule<u128>>> = Mutex::new(BTreeMap::new());

/// Before a node of ours is made: has the helper remove what crashed participants left.
///
/// Without it an opening can take a second, or indefinitely as root, where a participant died while it started.
pub(crate) fn clean_up_if_stale(domain: &Domain) {
    let config = domain.config();
    let dead = dead_nodes(config);
    if with_schedule(config, |schedule| schedule.is_due(dead)) || has_unfinished_counter(config) {
        run_helper(config);
    }
}

/// Has the helper remove those of these nodes whose process has gone without a word: their ports stay in a service until then.
///
/// Each port asks about its own peers, which costs a few µs for each one in another process. All ports of this process together
/// run the helper once.
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
        // Those of other ports that are still there are not forgotten.
        let others = schedule.0.keys().copied().filter(|&node| monitor_of(node, config).exists());
        let all: BTreeSet<_> = others.chain(dead).collect();
        schedule.is_due(all)
    })
}

fn with_schedule<T>(config: &Config, work: impl FnOnce(&mut CleanupSchedule<u128>) -> T) -> T {
    let key = (config.global.node_dir().to_string(), config.global.prefix.to_string());
    work(SCHEDULES.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default())
}

/// Tries again after a clean-up where crashed participants may have what there is too little of.
pub(crate) fn retry_when_full<T, E>(
    config: &Config,
    mut attempt: impl FnMut() -> Result<T, E>,
    is_full: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let deadline = Instant::now() + KILL_GRACE;
    let mut helped = false;
    loop {
        match attempt() {
            Err(error) if is_full(&error) && (!helped || Instant::now() < deadline) => {
                // The first time whoever is seen: another helper may be at it, and this one waits for its turn.
                if !helped || !dead_nodes(config).is_empty() {
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
struct CleanupSchedule<K>(BTreeMap<K, (Instant, Duration)>);

impl<K> Default for CleanupSchedule<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> CleanupSchedule<K> {
    /// Whether it is time for any of those that are there; the others are forgotten.
    fn is_due(&mut self, there: impl IntoIterator<Item = K>) -> bool {
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

/// Starts the helper for the domain of this configuration and waits for it. Without the helper nothing happens: a later
/// process cleans up.
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
    let deadline = Instant::now() + HELPER_TIMEOUT;
    while let Ok(None) = helper.try_wait() {
        if Instant::now() > deadline {
            let _ = helper.kill();
            let _ = helper.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The helper program in the first of these folders that has it. A folder that is relative to the working directory does not count:
/// anybody may have left a program there.
fn helper_among(mut folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    folders.find_map(|folder| Some(folder.join(HELPER)).filter(|file| folder.is_absolute() && file.is_file()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::iox2::node::create_node_in;

    /// Each port ran the helper for itself, as many times as there were ports.
    #[test]
    // proves: L15
    fn all_ports_of_a_process_clean_up_once_behind_the_same_dead_in_each_domain() {
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
            assert!(!is_needed(&[dead]), "another port has seen to it");
            assert!(is_needed(&[dead + 1]));
            assert!(!is_needed(&[dead]), "it was not forgotten over the other one");
        }
        for place in &places {
            assert!(!is_needed([dead, dead + 1], place.config()), "nor over those of another domain");
            fs::remove_dir_all(place.root()).unwrap();
        }
    }

    #[test]
    fn what_stays_is_tried_again_ever_more_seldom_and_what_went_is_forgotten() {
        let mut schedule = CleanupSchedule(BTreeMap::new());
        assert!(schedule.is_due([1, 2]) && !schedule.is_due([1, 2]));
        let past = Instant::now();
        schedule.0.insert(1, (past, FIRST_PAUSE * 2));
        assert!(schedule.is_due([1]) && !schedule.is_due([1]));
        assert_eq!(schedule.0[&1].1, FIRST_PAUSE * 4);
        assert!(schedule.is_due([2]), "it went and came again");
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
