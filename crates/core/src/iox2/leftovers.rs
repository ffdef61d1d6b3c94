//! Files and objects that the dead nodes of a domain left behind. They are found by the IDs in the nodes' tags.
//!
//! Each node has a folder with a tag for each of its services and ports. iceoryx2 0.10.0 creates the tag before the service or port and
//! removes it afterwards. The exception is a service that is being removed: its tag is removed just before its memory and its description.
//! A node is dead if no process holds the lock on its monitor. This check works across PID namespaces.
//!
//! All other files are kept, because this process cannot tell who uses them. A name in /dev/shm does not identify its owner's folder, and
//! processes of other users or in other PID namespaces are not visible.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use iceoryx2::prelude::Config;

use crate::contract::limits;
use crate::iox2::description::{hashes, service_id, value, version};
use crate::iox2::files::{Identity, files, identity, is_writable, remove};
use crate::iox2::liveness::{dead_nodes, folder_of, monitors, node_ids, pid_of};
use crate::iox2::objects::{Object, objects};
use crate::iox2::tags::Tags;
use crate::iox2::types::IOX2_VERSION;

/// A snapshot of what the dead nodes of a domain left behind.
#[derive(Debug)]
pub(crate) struct Remains<'a> {
    config: &'a Config,
    descriptions: BTreeMap<String, DescriptionFile>,
    /// Dead nodes that may be removed.
    dead: BTreeMap<u128, Tags>,
    /// Hashes of the services for which a dead node has a tag.
    left: BTreeSet<String>,
    /// For each service, the tags of all other nodes.
    used: BTreeMap<String, Vec<(u128, Identity)>>,
}

/// A service's description file.
#[derive(Debug)]
struct DescriptionFile {
    path: PathBuf,
    identity: Identity,
    is_finished: bool,
    /// Name and ID of the service, if it was created by this release of iceoryx2.
    service: Option<(String, u128)>,
}

impl<'a> Remains<'a> {
    /// Finds dead nodes and everything that their tags refer to.
    pub fn of(config: &'a Config) -> Self {
        // Descriptions are listed before tags, because a tag is created before its description.
        let descriptions = description_files(config);
        let gone: BTreeSet<_> = dead_nodes(config).into_iter().collect();
        let (mut dead, mut used) = (BTreeMap::new(), BTreeMap::<_, Vec<_>>::new());
        for node in node_ids(config).into_keys() {
            let tags = Tags::of(node, config);
            if gone.contains(&node) {
                dead.insert(node, tags);
            } else {
                for (hash, identity) in tags.services {
                    used.entry(hash).or_default().push((node, identity));
                }
            }
        }
        let left = dead.values().flat_map(|tags| tags.services.keys().cloned()).collect();
        let mut remains = Self { config, descriptions, dead, left, used };
        remains.keep_what_is_elsewhere();
        remains
    }

    /// Leaves out dead nodes from containers with another /dev/shm, because their service may still be in use there.
    ///
    /// iceoryx2 would consider such a service unfinished and remove its description.
    fn keep_what_is_elsewhere(&mut self) {
        let there: BTreeSet<_> =
            objects(self.config).filter(Object::is_finished).flat_map(|object| object.ids).collect();
        let is_doubtful = |hash: &&String| {
            let service = self.descriptions.get(*hash).and_then(|description| description.service.as_ref());
            self.left.contains(*hash) && service.is_some_and(|(_, id)| !there.contains(id))
        };
        let doubtful: Vec<_> = self.used.keys().filter(is_doubtful).cloned().collect();
        if doubtful.is_empty() {
            return;
        }
        // A live node that is only waiting for the service's memory renews its tag.
        std::thread::sleep(limits::TAG_RENEWAL);
        let is_used = |hash: &&String| {
            let is_kept = |(node, identity): &_| Tags::of(*node, self.config).services.get(*hash) == Some(identity);
            self.used[*hash].iter().any(is_kept)
        };
        let used: BTreeSet<_> = doubtful.iter().filter(is_used).collect();
        self.dead.retain(|_, tags| !tags.services.keys().any(|hash| used.contains(hash)));
    }

    /// Whether there are no dead nodes.
    pub fn is_empty(&self) -> bool {
        self.dead.is_empty()
    }

    /// Whether a node is dead and may be removed.
    pub fn has(&self, node: u128) -> bool {
        self.dead.contains_key(&node)
    }

    /// Removes the files that iceoryx2's own clean-up would skip or wait for. Returns the number of removed files.
    pub fn remove_before(&self) -> usize {
        let ports: BTreeSet<u128> = self.dead.values().flat_map(|tags| tags.ports.iter().copied()).collect();
        let mut ids = ports.clone();
        let mut removed = 0;
        for (hash, description) in &self.descriptions {
            let is_theirs =
                !self.used.contains_key(hash) && self.dead.values().any(|tags| tags.services.contains_key(hash));
            if is_theirs && description.is_finished {
                ids.extend(description.service.as_ref().map(|(_, id)| *id));
            } else if is_theirs || self.has_ended(hash, description) {
                removed += description.remove(self.config);
            }
        }
        for object in objects(self.config) {
            // As root, iceoryx2 waits indefinitely for the memory to get a size.
            let is_unsized = !object.is_finished() && object.meta.len() == 0;
            let is_listener = object.path.extension().is_some_and(|end| end == "event_mgmt");
            if (is_unsized || is_listener) && object.ids.iter().any(|id| ids.contains(id)) {
                removed += remove(&object.path);
            }
        }
        let root = PathBuf::from(self.config.global.root_path().to_string());
        // If a listener was not registered yet, the service does not have an entry for it.
        let sockets = ports.iter().map(|port| root.join(format!("{}{port}.event", self.config.global.prefix)));
        removed += sockets.map(|path| remove(&path)).sum::<usize>();
        removed + self.dead.values().flat_map(|tags| &tags.unfinished).map(|path| remove(path)).sum::<usize>()
    }

    /// Whether a process died while removing a service, after it removed the tag but before it removed the description.
    fn has_ended(&self, hash: &str, description: &DescriptionFile) -> bool {
        let Some((name, id)) = description.service.as_ref().filter(|_| description.is_finished) else {
            return false;
        };
        if self.used.contains_key(hash) || self.left.contains(hash) {
            return false;
        }
        if !objects(self.config).any(|object| object.ids == [*id]) {
            return true;
        }
        // The service still has its memory. So the node of its creator, or of another process that uses the name, still exists.
        let hashes = hashes(name);
        let is_theirs = |tags: &Tags| hashes.iter().any(|hash| tags.services.contains_key(hash));
        self.dead.iter().any(|(node, tags)| is_theirs(tags) || pid_of(*node) == pid_of(*id))
    }

    /// Removes the dead nodes themselves. Returns the numbers of removed and remaining nodes.
    ///
    /// A node is not removed while it has a tag, because the object that the tag refers to still exists.
    pub fn remove_nodes(&self) -> (u64, u64) {
        let mut failed = 0;
        for &node in self.dead.keys() {
            let folder = folder_of(node, self.config);
            let left = || files(&folder).map(|(path, _)| path);
            if left().any(|path| path.extension().is_some_and(|end| end == "service_tag" || end == "port_tag")) {
                failed += 1;
                continue;
            }
            for path in left() {
                remove(&path);
            }
            let _ = fs::remove_dir(&folder);
            for path in monitors(node, self.config) {
                remove(&path);
            }
        }
        self.remove_connections();
        (self.dead.len() as u64 - failed, failed)
    }

    /// Removes connections if neither end has a tag. iceoryx2 does not remove a connection if one end died while connecting.
    fn remove_connections(&self) {
        let is_theirs = |id: &u128| self.dead.values().any(|tags| tags.ports.contains(id));
        let found = objects(self.config).filter(|object| object.ids.len() == 2 && object.ids.iter().any(is_theirs));
        let found: Vec<_> = found.collect();
        if found.is_empty() {
            return;
        }
        let ports: BTreeSet<u128> =
            node_ids(self.config).into_keys().flat_map(|node| Tags::of(node, self.config).ports).collect();
        for object in found.iter().filter(|object| object.ids.iter().all(|id| !ports.contains(id))) {
            remove(&object.path);
        }
    }
}

impl DescriptionFile {
    /// If this is still the same file, removes it and the memory of its service. Returns the number of removed files.
    fn remove(&self, config: &Config) -> usize {
        if fs::symlink_metadata(&self.path).ok().as_ref().map(identity) != Some(self.identity) {
            return 0;
        }
        let id = self.service.as_ref().map(|(_, id)| *id);
        let memory = objects(config).filter(|object| id.is_some_and(|id| object.ids == [id]));
        memory.map(|object| remove(&object.path)).sum::<usize>() + remove(&self.path)
    }
}

fn description_files(config: &Config) -> BTreeMap<String, DescriptionFile> {
    let prefix = config.global.prefix.to_string();
    let folder = PathBuf::from(config.global.service_dir().to_string());
    let found = files(&folder).filter(|(_, meta)| meta.is_file());
    found
        .filter_map(|(path, meta)| {
            let hash = path.file_name()?.to_str()?.strip_prefix(&prefix)?.strip_suffix(".service")?.to_owned();
            let text = fs::read_to_string(&path).ok().filter(|text| version(text) == IOX2_VERSION);
            let service = text.and_then(|text| Some((value(&text, "service_name")?.to_owned(), service_id(&text)?)));
            Some((hash, DescriptionFile { path, identity: identity(&meta), is_finished: !is_writable(&meta), service }))
        })
        .collect()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use crate::iox2::domain::Domain;
    use crate::iox2::helper::{Report, clean};
    use crate::iox2::objects::SHARED_MEMORY;
    use crate::{FrameParams, VideoFramePublisher, VideoFrameSubscriber, create_node_in};

    const HASH: &str = "0123456789012345678901234567890123456789";

    /// The domain for one test. Dropping it removes the domain and its files.
    struct Place(Domain);

    impl Place {
        fn new(name: &str) -> Self {
            let root = format!("/tmp/r{}{name}", std::process::id());
            fs::create_dir_all(format!("{root}/services")).unwrap();
            fs::create_dir_all(format!("{root}/nodes")).unwrap();
            Self(Domain::at(&root, &format!("r{}{name}_", std::process::id())).unwrap())
        }

        fn put(&self, folder: impl AsRef<Path>, name: &str, mode: u32, text: &str) -> PathBuf {
            fs::create_dir_all(&folder).unwrap();
            let path = folder.as_ref().join(format!("{}{name}", self.0.prefix()));
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }

        /// Creates the files of a dead node, without a lock.
        fn dead_node(&self, id: u128) -> PathBuf {
            let folder = folder_of(id, self.0.config());
            let model = create_node_in(&self.0).unwrap();
            let details = format!("{}node.details", self.0.prefix());
            let text = fs::read_to_string(folder_of(model.id().value(), self.0.config()).join(details)).unwrap();
            self.put(&folder, "node.details", 0o400, &text);
            for (end, text) in [("", ""), ("_owner_lock", ""), ("_context", "of another run..")] {
                self.put(self.0.node_dir(), &format!("{id}.node_monitor{end}"), 0o600, text);
            }
            folder
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            fs::remove_dir_all(self.0.root()).unwrap();
            for (path, _) in files(Path::new(SHARED_MEMORY)) {
                if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&self.0.prefix())) {
                    fs::remove_file(path).unwrap();
                }
            }
        }
    }

    fn make_old(path: &Path) {
        fs::File::open(path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }

    #[test]
    // proves: L8
    fn only_what_the_tags_of_a_dead_node_name_is_removed() {
        let place = Place::new("a");
        let (services, shm) = (place.0.service_dir(), Path::new(SHARED_MEMORY));
        let folder = place.dead_node(123);
        let named = [
            place.put(&folder, "aaaa.service_tag", 0o400, ""),
            place.put(&services, "aaaa.service", 0o600, ""),
            place.put(&folder, "99.port_tag", 0o400, ""),
            place.put(place.0.root(), "99.event", 0o600, ""),
            place.put(shm, &format!("{HASH}_99.event_mgmt"), 0o600, "x"),
            place.put(shm, &format!("{HASH}_99_98.connection"), 0o200, ""),
            place.put(shm, &format!("{HASH}_95_99.connection"), 0o600, "without an end that has a tag"),
            place.put(&folder, "97.port_tag", 0o600, ""),
        ];
        let left_behind = [
            place.put(shm, &format!("{HASH}_1.dynamic"), 0o200, ""),
            place.put(shm, &format!("{HASH}_node.0_10_0.global_mgmt"), 0o200, "counter"),
            place.put(place.0.node_dir(), "45.node_monitor_context", 0o200, ""),
        ];
        left_behind.iter().for_each(|path| make_old(path));
        let unknown = [
            place.put(&services, "bbbb.service", 0o600, ""),
            place.put(shm, "calibration", 0o600, "x"),
            place.put(shm, "calibration_2", 0o200, ""),
            place.put(shm, &format!("{HASH}_96.data"), 0o600, "x"),
            place.put(shm, &format!("{HASH}_96_94.connection"), 0o600, "x"),
            place.put(shm, &format!("{HASH}_96.dynamic"), 0o200, "x"),
        ];
        unknown.iter().for_each(|path| make_old(path));
        let young = place.put(shm, &format!("{HASH}_2.dynamic"), 0o200, "");
        let report = clean(&place.0).unwrap();
        assert_eq!((report.nodes, report.failed_nodes), (2, 0));
        assert_eq!(named.iter().chain(&left_behind).filter(|path| path.exists()).count(), 0, "{report:?}");
        assert!(unknown.iter().chain([&young]).all(|path| path.exists()));
        assert_eq!(files(&place.0.node_dir()).count(), 0);
        assert_eq!(clean(&place.0).unwrap(), Report::default());
    }

    #[test]
    fn nothing_of_living_nodes_is_removed() {
        let place = Place::new("b");
        let publisher = VideoFramePublisher::with_node(create_node_in(&place.0).unwrap(), "cam", 12).unwrap();
        let subscriber = VideoFrameSubscriber::with_node(create_node_in(&place.0).unwrap(), "cam").unwrap();
        publisher.publish_frame(&[7; 12], &FrameParams { width: 2, height: 2, ..Default::default() }).unwrap();
        let frame = subscriber.receive().unwrap().unwrap();
        let folder = place.dead_node(5);
        let before = || objects(place.0.config()).count() + files(&place.0.service_dir()).count();
        let count = before();
        for hash in hashes("cam") {
            place.put(&folder, &format!("{hash}.service_tag"), 0o400, "");
        }
        let remains = Remains::of(place.0.config());
        assert_eq!(remains.dead.keys().copied().collect::<Vec<_>>(), [5]);
        assert_eq!((remains.remove_before(), before()), (0, count));
        drop((frame, subscriber, publisher));
    }

    #[test]
    // proves: L13
    fn the_unfinished_description_of_a_living_node_stays() {
        let place = Place::new("c");
        let node = create_node_in(&place.0).unwrap();
        let file = place.put(place.0.service_dir(), "aaaa.service", 0o600, "");
        for folder in [place.dead_node(5), folder_of(node.id().value(), place.0.config())] {
            place.put(folder, "aaaa.service_tag", 0o400, "");
        }
        assert_eq!(Remains::of(place.0.config()).remove_before(), 0);
        assert!(file.exists());
    }

    /// The service's memory is in another container's /dev/shm, and a node in that container keeps its tag.
    #[test]
    // proves: L13
    fn a_dead_node_whose_service_is_alive_in_another_container_stays() {
        let place = Place::new("d");
        let node = create_node_in(&place.0).unwrap();
        let text = "service_name = \"cam\"\n[iceoryx2_version]\nmajor = 0\nminor = 10\npatch = 0\n\
                    [unique_service_id]\npayload_value = 5\nunique_value = 6\n";
        let file = place.put(place.0.service_dir(), "aaaa.service", 0o400, text);
        let dead = place.dead_node(5);
        place.put(&dead, "aaaa.service_tag", 0o400, "");
        assert!(Remains::of(place.0.config()).has(5));
        let tag = place.put(folder_of(node.id().value(), place.0.config()), "aaaa.service_tag", 0o400, "");
        assert!(Remains::of(place.0.config()).is_empty());
        // A node that is only waiting for the memory renews its tag.
        let is_renewed = || {
            std::thread::scope(|scope| {
                let looking = scope.spawn(|| Remains::of(place.0.config()).has(5));
                while !looking.is_finished() {
                    fs::remove_file(&tag).unwrap();
                    fs::write(&tag, "").unwrap();
                }
                looking.join().unwrap()
            })
        };
        // This thread may not run for the 0.2 s of a look.
        assert!((0..20).any(|_| is_renewed()) && file.exists());
    }

    /// When a service is removed, its tag is removed just before its memory and its description.
    #[test]
    // proves: L8
    fn a_service_is_removed_if_its_last_user_died_while_removing_it() {
        let place = Place::new("e");
        let id = 6_u128 << 64 | 5;
        let text = "service_name = \"cam\"\n[iceoryx2_version]\nmajor = 0\nminor = 10\npatch = 0\n\
                    [unique_service_id]\npayload_value = 5\nunique_value = 6\n";
        let hash = &hashes("cam")[0];
        let put = || {
            let memory = place.put(SHARED_MEMORY, &format!("{HASH}_{id}.dynamic"), 0o600, "x");
            (place.put(place.0.service_dir(), &format!("{hash}.service"), 0o400, text), memory)
        };
        let (file, memory) = put();
        fs::remove_file(memory).unwrap();
        Remains::of(place.0.config()).remove_before();
        assert!(!file.exists(), "a description without memory is useless");
        for (node, tag, goes) in [(7, "bbbb", false), (6 << 64, "bbbb", true), (7, &*hashes("cam")[1], true)] {
            let (file, memory) = put();
            let folder = place.dead_node(node);
            place.put(&folder, &format!("{tag}.service_tag"), 0o400, "");
            Remains::of(place.0.config()).remove_before();
            assert_eq!((file.exists(), memory.exists()), (!goes, !goes), "{node} {tag}");
            let _ = fs::remove_file(file);
            fs::remove_dir_all(folder).unwrap();
            for path in monitors(node, place.0.config()) {
                remove(&path);
            }
        }
    }

    #[test]
    fn a_new_description_of_the_same_name_stays() {
        let place = Place::new("f");
        place.put(place.dead_node(5), "aaaa.service_tag", 0o400, "");
        let path = place.put(place.0.service_dir(), "aaaa.service", 0o600, "");
        let remains = Remains::of(place.0.config());
        let other = place.put(place.0.service_dir(), "bbbb.service", 0o600, "");
        fs::rename(&other, &path).unwrap();
        assert_eq!(remains.remove_before(), 0);
        assert!(path.exists());
    }
}
