//! Finds iceoryx2's objects in shared memory.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use iceoryx2::prelude::Config;

use crate::contract::limits;
use crate::iox2::files::{files, remove};
use crate::iox2::liveness::is_old;
use crate::iox2::system::user;
use crate::iox2::types::IOX2_VERSION;

pub(crate) const SHARED_MEMORY: &str = "/dev/shm";
/// File mode of shared memory that is still being created. Source: iceoryx2-cal/src/dynamic_storage/posix_shared_memory.rs.
pub(crate) const UNFINISHED_MODE: u32 = 0o200;

/// Start of the node counter's name: the SHA-1 of `iceoryx2::node::global_management_segment::State`. Source:
/// iceoryx2-cal/src/dynamic_storage/mod.rs.
const COUNTER: &str = "9204dd183d1c4d8e1ff592a30766ffa6765aa8b5";

/// A shared memory object with a name in iceoryx2's format.
#[derive(Debug)]
pub(crate) struct Object {
    pub path: PathBuf,
    pub meta: Metadata,
    /// IDs of the service or ports in its name; empty for the node counter.
    pub ids: Vec<u128>,
}

/// Removes shared memory objects whose creator died before they were finished. Returns the number of removed objects.
///
/// No participant can start without a finished node counter. So if the counter is unfinished, this waits until it is finished or old enough
/// to be removed.
pub(crate) fn remove_left_behind(config: &Config) -> usize {
    let deadline = Instant::now() + limits::NODE_COUNTER_TIMEOUT;
    let mut removed = 0;
    loop {
        removed += objects(config).filter(Object::is_left_behind).map(|object| remove(&object.path)).sum::<usize>();
        if !has_unfinished_counter(config) || Instant::now() > deadline {
            return removed;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the node counter is unfinished and belongs to this user. If so, no participant can start.
pub(crate) fn has_unfinished_counter(config: &Config) -> bool {
    fs::symlink_metadata(node_counter(config)).is_ok_and(|meta| is_unfinished(&meta) && meta.uid() == user())
}

/// Returns the path of the object that counts the nodes of all domains with the same prefix. Every participant opens it first.
pub(crate) fn node_counter(config: &Config) -> PathBuf {
    let (prefix, suffix) = (config.global.prefix, config.global.node.global_mgmt_suffix);
    let release = IOX2_VERSION.replace('.', "_");
    format!("{SHARED_MEMORY}/{prefix}{COUNTER}_node.{release}{suffix}").into()
}

impl Object {
    pub fn is_finished(&self) -> bool {
        !is_unfinished(&self.meta)
    }

    /// Whether a process of this user died while creating the object, before it wrote anything to it.
    fn is_left_behind(&self) -> bool {
        let holds_nothing = !self.is_finished() && (self.meta.len() == 0 || self.ids.is_empty());
        holds_nothing && self.meta.uid() == user() && is_old(&self.meta)
    }
}

/// Returns the shared memory objects with this prefix and a name in iceoryx2's format. They may belong to domains with other folders.
pub(crate) fn objects(config: &Config) -> impl Iterator<Item = Object> {
    let prefix = config.global.prefix.to_string();
    files(Path::new(SHARED_MEMORY)).filter_map(move |(path, meta)| {
        let ids = ids(path.file_name()?.to_str()?.strip_prefix(&prefix)?)?;
        meta.is_file().then_some(Object { path, meta, ids })
    })
}

/// Returns the IDs in a name such as HASH_SERVICE.dynamic, HASH_PORT.data, HASH_PORT__SEGMENT.data or HASH_PORT_PORT.connection.
fn ids(name: &str) -> Option<Vec<u128>> {
    let (hash, rest) = name.split_at_checked(40)?;
    let (stem, end) = rest.strip_prefix('_')?.rsplit_once('.')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| if is_number(text) { text.parse::<u128>().ok() } else { None };
    let is_hash = hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_hash || end.is_empty() || !end.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_')) {
        return None;
    }
    if let Some(release) = stem.strip_prefix("node.") {
        let is_release = release.split('_').count() == 3 && release.split('_').all(is_number);
        return is_release.then(Vec::new);
    }
    match stem.split_once('_') {
        None => Some(vec![number(stem)?]),
        Some((port, other)) => match other.strip_prefix('_') {
            Some(segment) => (segment == "mgmt" || is_number(segment)).then_some(vec![number(port)?]),
            None => Some(vec![number(port)?, number(other)?]),
        },
    }
}

fn is_unfinished(memory: &Metadata) -> bool {
    memory.permissions().mode() & 0o777 == UNFINISHED_MODE
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::iox2::domain::Domain;
    use crate::iox2::node::create_node_in;

    const HASH: &str = "0123456789012345678901234567890123456789";

    /// As root, iceoryx2 waits indefinitely for an unfinished counter.
    #[test]
    fn an_unfinished_node_counter_is_found_by_its_name() {
        let root = format!("/tmp/oc{}", std::process::id());
        let domain = Domain::at(&root, &format!("oc{}_", std::process::id())).unwrap();
        let node = create_node_in(&domain).unwrap();
        let counter = node_counter(domain.config());
        assert!(counter.is_file() && !has_unfinished_counter(domain.config()));
        fs::set_permissions(&counter, PermissionsExt::from_mode(UNFINISHED_MODE)).unwrap();
        assert!(has_unfinished_counter(domain.config()));
        drop(node);
        fs::remove_file(counter).unwrap();
        assert!(!has_unfinished_counter(domain.config()));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    // proves: L13
    fn only_names_of_the_exact_form_belong_to_iceoryx2() {
        let of = |name: &str| ids(&format!("{HASH}_{name}"));
        assert_eq!(of("12.data"), Some(vec![12]));
        assert_eq!(of("12__0.data"), Some(vec![12]));
        assert_eq!(of("12__mgmt.data"), Some(vec![12]));
        assert_eq!(of("12_34.connection"), Some(vec![12, 34]));
        assert_eq!(of("node.0_10_0.global_mgmt"), Some(vec![]));
        for other in ["12", "12.", ".data", "12_.data", "_12.data", "+12.data", "12_x.data", "12.Data", "node.data"] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(ids("calibration"), None);
        assert_eq!(ids(&format!("{}_12.data", HASH.replace('0', "A"))), None);
    }
}
