//! Reads the tags of a node. A node has one tag for each of its services and ports.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use iceoryx2::prelude::Config;

use crate::iox2::files::{Identity, files, identity, is_writable};
use crate::iox2::liveness::folder_of;

/// The tags of one node.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    /// Service tags, by the hash of the service.
    pub services: BTreeMap<String, Identity>,
    pub ports: BTreeSet<u128>,
    /// Unfinished tags. The objects that they refer to were not created yet.
    pub unfinished: Vec<PathBuf>,
}

impl Tags {
    pub fn of(node: u128, config: &Config) -> Self {
        let prefix = config.global.prefix.to_string();
        let mut tags = Self::default();
        for (path, meta) in files(&folder_of(node, config)) {
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(&prefix));
            match name.and_then(|name| name.split_once('.')) {
                Some((hash, "service_tag")) => drop(tags.services.insert(hash.to_owned(), identity(&meta))),
                Some((port, "port_tag")) => tags.ports.extend(port.parse::<u128>()),
                _ => continue,
            }
            if is_writable(&meta) {
                tags.unfinished.push(path);
            }
        }
        tags
    }
}
