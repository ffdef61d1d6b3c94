//! What iceoryx2 writes about its services: `<root>/services/*.service`, one TOML text each.
//!
//! Reading these files is harmless; listing services through iceoryx2 is not where a second copy of it lives (see
//! [`cleanup`](crate::iox2::cleanup)).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use iceoryx2::prelude::{Config, MessagingPattern, ServiceName};
use iceoryx2::service::Service;
use iceoryx2::service::service_hash::ServiceHash;

use crate::iox2::types::Iox;

/// Mode of a service's description that is finished. Source: iceoryx2-cal/src/static_storage/file.rs.
const FINISHED_MODE: u32 = 0o400;

/// One service of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Name of the service.
    pub name: String,
    /// Release of iceoryx2 that created it.
    pub version: String,
    /// Participants that it admits, where told.
    pub max_nodes: Option<usize>,
    /// For publish/subscribe: what it carries.
    pub types: Option<Types>,
}

/// The types of a publish/subscribe service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Types {
    /// The payload's.
    pub payload: Type,
    /// The user header's.
    pub user_header: Type,
}

/// A type, as iceoryx2 names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: String,
}

/// Path at which the video service of that name is described while it exists.
pub(crate) fn description_file(config: &Config, name: &ServiceName) -> String {
    type Hasher = <Iox as Service>::ServiceNameHasher;
    let hash = ServiceHash::new::<Hasher>(name, MessagingPattern::PublishSubscribe);
    format!("{}/{}{}.service", config.global.service_dir(), config.global.prefix, hash.as_str())
}

/// Whether a video service of that name is described to its end; while its creator is at work, or after it died over it, it is not.
pub(crate) fn is_described(config: &Config, name: &ServiceName) -> bool {
    fs::metadata(description_file(config, name)).is_ok_and(|meta| meta.permissions().mode() & 0o777 == FINISHED_MODE)
}

/// Hashes of the video and the event service of a name.
pub(crate) fn hashes(name: &str) -> Vec<String> {
    type Hasher = <Iox as Service>::ServiceNameHasher;
    let hash = |pattern| Some(ServiceHash::new::<Hasher>(&ServiceName::new(name).ok()?, pattern).as_str().to_owned());
    [MessagingPattern::PublishSubscribe, MessagingPattern::Event].into_iter().filter_map(hash).collect()
}

pub(crate) fn descriptions(config: &Config) -> impl Iterator<Item = Description> {
    let prefix = config.global.prefix.to_string();
    let entries = fs::read_dir(config.global.service_dir().to_string());
    entries.into_iter().flatten().flatten().filter_map(move |entry| {
        let file = entry.file_name();
        let ours = file.to_str().is_some_and(|file| file.starts_with(&prefix) && file.ends_with(".service"));
        ours.then(|| fs::read_to_string(entry.path()).ok().as_deref().and_then(Description::read)).flatten()
    })
}

impl Description {
    fn read(text: &str) -> Option<Self> {
        let is_publish_subscribe = text.contains("[messaging_pattern.PublishSubscribe");
        Some(Self {
            name: value(text, "service_name")?.to_owned(),
            version: version(text),
            max_nodes: value(text, "max_nodes").and_then(|number| number.parse().ok()),
            types: is_publish_subscribe
                .then(|| Types { payload: Type::read(text, "payload"), user_header: Type::read(text, "user_header") }),
        })
    }
}

impl Type {
    fn read(text: &str, part: &str) -> Self {
        let table = text.split_once(&format!("message_type_details.{part}]")).map_or("", |(_, table)| table);
        let value = |key| value(table, key).unwrap_or("?").to_owned();
        Self { name: value("type_name"), size: value("size") }
    }
}

impl std::fmt::Display for Types {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "payload {}, user header {}", self.payload, self.user_header)
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} bytes", self.name, self.size)
    }
}

pub(crate) fn version(text: &str) -> String {
    let Some((_, table)) = text.split_once("[iceoryx2_version]") else {
        // Releases before 0.10 wrote no version.
        return "0.9 or older".into();
    };
    let number = |key| value(table, key).unwrap_or("?");
    format!("{}.{}.{}", number("major"), number("minor"), number("patch"))
}

/// Id of a service in names of shared memory, from its description.
pub(crate) fn service_id(text: &str) -> Option<u128> {
    let (_, table) = text.split_once("[unique_service_id]")?;
    let part = |key| value(table, key)?.parse::<u64>().ok().map(u128::from);
    Some(part("unique_value")? << 64 | part("payload_value")?)
}

/// Value of the first line `key = value`, without quotes.
pub(crate) fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim_start().strip_prefix('=')?.trim().trim_matches('"')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_without_a_version_is_an_older_release() {
        assert_eq!(version("service_name = \"x\"\n[unique_service_id]\npid = 3\n"), "0.9 or older");
        assert_eq!(version("[iceoryx2_version]\nmajor = 0\nminor = 9\npatch = 3\n"), "0.9.3");
    }

    #[test]
    fn the_types_of_a_service_are_told() {
        let text = "service_name = \"a b\"\n[messaging_pattern.PublishSubscribe]\nmax_nodes = 20\n\
             [messaging_pattern.PublishSubscribe.message_type_details.user_header]\ntype_name = \"Pose\"\nsize = 104\n\
             [messaging_pattern.PublishSubscribe.message_type_details.payload]\ntype_name = \"u8\"\nsize = 1\n";
        let found = Description::read(text).unwrap();
        assert_eq!((found.name.as_str(), found.max_nodes), ("a b", Some(20)));
        assert_eq!(found.types.unwrap().to_string(), "payload u8 of 1 bytes, user header Pose of 104 bytes");
    }
}
