//! Files of a domain that belong to nobody any more.
//!
//! iceoryx2 removes a dead node with what its tags name. A participant that dies while it starts or ends leaves what no
//! tag names: half a node, a service without its counterpart in shared memory, a segment without a size. Some of it only
//! lies around, some of it keeps everybody from a service of that name.
//!
//! A participant keeps each file open from its creation until after its removal, so what no process has open is left over
//! — as long as all participants can be seen. One in another pid namespace cannot; the lock on its node's monitor can.

use std::collections::HashSet;
use std::fs::{self, Metadata, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::description::{FINISHED, version};
use crate::domain::Domain;
use crate::service::IOX2_VERSION;

const SHARED_MEMORY: &str = "/dev/shm";

/// Files as a pair of device and inode.
type Identity = (u64, u64);

/// One file of a domain.
#[derive(Clone, Debug)]
struct Entry {
    path: PathBuf,
    identity: Identity,
    mode: u32,
    size: u64,
    owner: Owner,
}

/// What a file lives with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owner {
    /// With those who have it open or mapped.
    Holders,
    /// With the node of this id, which has some of its files open.
    Node(String),
    /// With the port of this id, a socket that cannot be seen in `/proc`: it has a tag in its node's folder.
    Port(String),
}

/// All files of a domain, and who has which of them, at one moment.
#[derive(Debug)]
pub(crate) struct Look {
    entries: Vec<Entry>,
    held: HashSet<Identity>,
    living_nodes: HashSet<String>,
    living_ports: HashSet<String>,
    sees_everybody: bool,
}

impl Look {
    /// Looks around. Not in a process that has a node: opening a file of a node drops the locks of this process on it.
    pub fn at(domain: &Domain) -> Self {
        // Files first, then their holders: whoever makes one in between has it open by then.
        let entries = list(domain);
        let held = held_files(domain);
        let is_held = |entry: &Entry| held.contains(&entry.identity);
        let mut living_nodes = HashSet::new();
        for entry in entries.iter().filter(|entry| is_held(entry)) {
            if let Owner::Node(id) = &entry.owner {
                living_nodes.insert(id.clone());
            }
        }
        let living_ports = entries
            .iter()
            .filter(|entry| matches!(&entry.owner, Owner::Node(id) if living_nodes.contains(id)))
            .filter_map(|entry| Some(entry.name(domain)?.strip_suffix(".port_tag")?.to_owned()))
            .collect();
        let sees_everybody = Path::new("/proc/self/fd").is_dir()
            && entries
                .iter()
                .filter(|entry| entry.is_monitor() && !is_held(entry))
                .all(|entry| !is_locked(&entry.path));
        Self { entries, held, living_nodes, living_ports, sees_everybody }
    }

    /// Shared memory of the domain, without looking who has it.
    pub fn at_segments(domain: &Domain) -> impl Iterator<Item = (PathBuf, Metadata)> {
        let beginning = format!("{SHARED_MEMORY}/{}", domain.prefix());
        files(Path::new(SHARED_MEMORY))
            .filter(move |(path, _)| path.as_os_str().as_encoded_bytes().starts_with(beginning.as_bytes()))
    }

    /// Whether every participant that lives can be seen, so that [`litter`](Self::litter) is what it says.
    pub fn sees_everybody(&self) -> bool {
        self.sees_everybody
    }

    /// Shared memory without a size: to root, a trap that whoever opens it does not get out of.
    pub fn unsized_segments(&self) -> Litter {
        self.select(|entry| entry.size == 0 && entry.path.starts_with(SHARED_MEMORY))
    }

    /// Tags that were not finished. What they were to name does not exist, but iceoryx2 does not get past them.
    pub fn unfinished_tags(&self) -> Litter {
        let is_tag =
            |entry: &Entry| entry.path.extension().is_some_and(|end| end == "service_tag" || end == "port_tag");
        self.select(|entry| is_tag(entry) && entry.mode != FINISHED)
    }

    /// Everything that belongs to nobody. Only after iceoryx2's own clean-up, which needs some of it.
    pub fn litter(&self) -> Litter {
        // A description by another release may have holders that do not keep it open.
        let is_foreign = |entry: &Entry| {
            entry.path.extension().is_some_and(|end| end == "service")
                && entry.mode == FINISHED
                && fs::read_to_string(&entry.path).is_ok_and(|text| version(&text) != IOX2_VERSION)
        };
        self.select(|entry| !is_foreign(entry))
    }

    fn select(&self, which: impl Fn(&Entry) -> bool) -> Litter {
        let belongs_to_nobody = |entry: &&Entry| match &entry.owner {
            Owner::Holders => !self.held.contains(&entry.identity),
            Owner::Node(id) => !self.living_nodes.contains(id),
            Owner::Port(id) => !self.living_ports.contains(id),
        };
        Litter(self.entries.iter().filter(belongs_to_nobody).filter(|entry| which(entry)).cloned().collect())
    }
}

/// Files that can be removed.
#[derive(Debug)]
pub(crate) struct Litter(Vec<Entry>);

impl Litter {
    /// Those that were left over at an earlier look, too.
    pub fn and(mut self, earlier: &Self) -> Self {
        let known: HashSet<_> = earlier.0.iter().map(|entry| (&entry.path, entry.identity)).collect();
        self.0.retain(|entry| known.contains(&(&entry.path, entry.identity)));
        self
    }

    /// Without the files of nodes.
    pub fn without_nodes(mut self) -> Self {
        self.0.retain(|entry| !matches!(entry.owner, Owner::Node(_)));
        self
    }

    /// Removes them; returns how many.
    pub fn remove(self) -> usize {
        let mut folders = HashSet::new();
        let mut removed = 0;
        for entry in self.0 {
            // The name may be another file's by now.
            let is_same = fs::symlink_metadata(&entry.path).is_ok_and(|meta| identity(&meta) == entry.identity);
            if is_same && fs::remove_file(&entry.path).is_ok() {
                removed += 1;
                if let (Owner::Node(id), Some(folder)) = (&entry.owner, entry.path.parent()) {
                    folders.extend(folder.ends_with(id).then(|| folder.to_owned()));
                }
            }
        }
        for folder in folders {
            // Not empty: something there still belongs to somebody.
            let _ = fs::remove_dir(folder);
        }
        removed
    }
}

impl Entry {
    fn new(path: PathBuf, meta: &Metadata, owner: Owner) -> Self {
        Self { path, identity: identity(meta), mode: meta.permissions().mode() & 0o777, size: meta.len(), owner }
    }

    /// Name of the file without the domain's prefix.
    fn name(&self, domain: &Domain) -> Option<&str> {
        self.path.file_name()?.to_str()?.strip_prefix(&domain.prefix())
    }

    fn is_monitor(&self) -> bool {
        self.path.extension().is_some_and(|end| end == "node_monitor")
    }
}

fn list(domain: &Domain) -> Vec<Entry> {
    let prefix = domain.prefix();
    let mut found = Vec::new();
    let mut add = |folder: &Path, owner: &dyn Fn(&str) -> Option<Owner>| {
        for (path, meta) in files(folder) {
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(&prefix));
            // What all nodes of the domain share stays for ever, once it is made.
            let is_shared_by_all = name.is_some_and(|name| name.ends_with(".global_mgmt")) && meta.len() > 0;
            if let Some(owner) = name.and_then(owner)
                && !meta.is_dir()
                && !is_shared_by_all
            {
                found.push(Entry::new(path, &meta, owner));
            }
        }
    };
    add(Path::new(SHARED_MEMORY), &|_| Some(Owner::Holders));
    add(&domain.service_dir(), &|name| name.ends_with(".service").then_some(Owner::Holders));
    add(&domain.root(), &|name| Some(Owner::Port(name.strip_suffix(".event")?.to_owned())));
    let nodes = domain.node_dir();
    for (folder, _) in files(&nodes).filter(|(_, meta)| meta.is_dir()) {
        if let Some(id) = folder.file_name().and_then(|name| name.to_str()) {
            add(&folder, &|_| Some(Owner::Node(id.to_owned())));
        }
    }
    // Last, because as long as they are there somebody else can take up the work.
    add(&nodes, &|name| name.split_once(".node_monitor").map(|(id, _)| Owner::Node(id.to_owned())));
    found
}

fn files(folder: &Path) -> impl Iterator<Item = (PathBuf, Metadata)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
}

fn identity(meta: &Metadata) -> Identity {
    (meta.dev(), meta.ino())
}

/// Files of the domain that a process which can be seen has open or mapped.
fn held_files(domain: &Domain) -> HashSet<Identity> {
    let (root, segments) = (domain.root(), format!("{SHARED_MEMORY}/{}", domain.prefix()));
    let is_ours =
        |path: &Path| path.starts_with(&root) || path.as_os_str().as_encoded_bytes().starts_with(segments.as_bytes());
    let mut held = HashSet::new();
    for (process, _) in files(Path::new("/proc")) {
        let mut takes_part = false;
        for (link, _) in links(&process.join("fd")).filter(|(_, target)| is_ours(target)) {
            held.extend(fs::metadata(link).ok().as_ref().map(identity));
            takes_part = true;
        }
        // Other releases may map a segment and close it; who maps one has other files of the domain open.
        if takes_part {
            held.extend(mapped_files(&process.join("maps"), &segments));
        }
    }
    held
}

/// Symbolic links in a folder, and what they lead to.
fn links(folder: &Path) -> impl Iterator<Item = (PathBuf, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter_map(|link| fs::read_link(&link).ok().map(|target| (link, target)))
}

/// Mapped files whose path begins like that, all of them in shared memory.
fn mapped_files(maps: &Path, beginning: &str) -> Vec<Identity> {
    let (Ok(text), Ok(meta)) = (fs::read_to_string(maps), fs::metadata(SHARED_MEMORY)) else {
        return Vec::new();
    };
    // Address, permissions, offset, device, inode, path. Source: proc(5).
    let inode = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(4);
        let inode = fields.next()?.parse().ok()?;
        fields.next()?.starts_with(beginning).then_some((meta.dev(), inode))
    };
    text.lines().filter_map(inode).collect()
}

/// Whether a process, visible or not, holds the lock of a node's monitor.
fn is_locked(monitor: &Path) -> bool {
    // While it is being made it can only be written to.
    let Ok(file) = OpenOptions::new().write(true).open(monitor) else {
        return false;
    };
    // SAFETY: flock is a plain C struct for which all-zero is a value: a lock of the whole file.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    // SAFETY: the descriptor is open, and the struct lives through the call.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) };
    asked == 0 && lock.l_type != libc::F_UNLCK as libc::c_short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cleanup::clean;
    use crate::{FrameParams, VideoFramePublisher, VideoFrameSubscriber, create_node_in};

    /// A domain of a test's own, removed with everything in it.
    struct Place(Domain);

    impl Place {
        fn new(name: &str) -> Self {
            let root = format!("/tmp/r{}{name}", std::process::id());
            fs::create_dir_all(format!("{root}/services")).unwrap();
            fs::create_dir_all(format!("{root}/nodes")).unwrap();
            Self(Domain::at(&root, &format!("r{}{name}_", std::process::id())).unwrap())
        }

        fn put(&self, folder: &Path, name: &str, mode: u32) -> PathBuf {
            fs::create_dir_all(folder).unwrap();
            let path = folder.join(format!("{}{name}", self.0.prefix()));
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let entries = list(&self.0);
            entries.iter().for_each(|entry| fs::remove_file(&entry.path).unwrap());
            fs::remove_dir_all(self.0.root()).unwrap();
            for (path, _) in files(Path::new(SHARED_MEMORY)) {
                if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&self.0.prefix())) {
                    fs::remove_file(path).unwrap();
                }
            }
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_participants_leave_that_die_at_odd_moments_is_removed() {
        let place = Place::new("a");
        let nodes = place.0.node_dir();
        let id = "1234567890123456789";
        let left = [
            // A service that was not finished, and one whose shared memory was not made yet.
            place.put(&place.0.service_dir(), "aaaa.service", 0o600),
            place.put(Path::new(SHARED_MEMORY), "bbbb_1.dynamic", 0o200),
            place.put(Path::new(SHARED_MEMORY), "node.0_10_0.global_mgmt", 0o200),
            place.put(Path::new(SHARED_MEMORY), "cccc_77__0.data", 0o600),
            // Half a node: iceoryx2 does not take it for one.
            place.put(&nodes, &format!("{id}.node_monitor_context"), 0o200),
            place.put(&nodes.join(id), "node.details", 0o400),
            place.put(&nodes.join(id), "99.port_tag", 0o600),
            place.put(&place.0.root(), "99.event", 0o600),
        ];
        let report = clean(&place.0).unwrap();
        assert_eq!((report.files, report.failed_nodes), (left.len(), 0));
        assert!(left.iter().all(|path| !path.exists()) && !nodes.join(id).exists());
        assert_eq!(clean(&place.0).unwrap(), crate::cleanup::Report::default());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn nothing_of_the_living_is_litter() {
        let place = Place::new("b");
        let publisher = VideoFramePublisher::with_node("cam", 12, create_node_in(&place.0).unwrap()).unwrap();
        let subscriber = VideoFrameSubscriber::with_node("cam", create_node_in(&place.0).unwrap()).unwrap();
        publisher.publish_frame(&[7; 12], &FrameParams { width: 2, height: 2, ..Default::default() }).unwrap();
        let frame = subscriber.receive().unwrap().unwrap();
        place.put(&place.0.node_dir().join("5"), "node.details", 0o400);
        let look = Look::at(&place.0);
        assert!(look.sees_everybody());
        let litter = look.litter();
        assert_eq!(litter.0.len(), 1, "{litter:?}");
        assert!(litter.0[0].path.ends_with(format!("5/{}node.details", place.0.prefix())));
        assert!(look.unsized_segments().0.is_empty() && look.unfinished_tags().0.is_empty());
        drop((frame, subscriber, publisher));
    }

    /// iceoryx2 has not seen that node as a dead one: without its tags, nobody would ever take its ports out of the services.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_files_of_one_who_died_between_two_looks_are_not_litter_in_both() {
        let place = Place::new("d");
        let path = place.put(&place.0.node_dir().join("5"), "77.port_tag", 0o600);
        let open = fs::File::open(&path).unwrap();
        let before = Look::at(&place.0).litter();
        drop(open);
        let after = Look::at(&place.0).litter();
        assert_eq!((before.0.len(), after.0.len()), (0, 1));
        assert_eq!(after.and(&before).remove(), 0);
        assert!(path.exists());
    }

    #[test]
    fn a_file_that_took_the_name_meanwhile_stays() {
        let place = Place::new("c");
        let path = place.put(&place.0.service_dir(), "aaaa.service", 0o600);
        let litter = Look::at(&place.0).litter();
        let other = place.put(&place.0.service_dir(), "bbbb.service", 0o600);
        fs::rename(&other, &path).unwrap();
        assert_eq!(litter.remove(), 0);
        assert!(path.exists());
    }
}
