//! Reads iceoryx2's service descriptions, `<root>/services/*.service`. There is one TOML file for each service.
//!
//! Reading these files is always safe. Listing services through iceoryx2 is not safe if the process contains a second copy of iceoryx2 (see
//! [`cleanup`](crate::iox2::cleanup)).

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use iceoryx2::prelude::{Config, MessagingPattern, ServiceName};
use iceoryx2::service::Service;
use iceoryx2::service::service_hash::ServiceHash;

use crate::iox2::types::Iox;

/// File mode of a finished description. Source: iceoryx2-cal/src/static_storage/file.rs.
const FINISHED_MODE: u32 = 0o400;

/// A service in a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Name of the service.
    pub name: String,
    /// Release of iceoryx2 that created the service.
    pub version: String,
    /// Largest number of participants, if known.
    pub max_nodes: Option<usize>,
    /// Description of the types in a publish/subscribe service; `None` for other services.
    pub types: Option<String>,
}

/// Returns the paths of the descriptions for the video service and the event service with this name.
pub(crate) fn description_files(config: &Config, name: &str) -> Vec<PathBuf> {
    let (folder, prefix) = (config.global.service_dir(), config.global.prefix);
    hashes(name).iter().map(|hash| format!("{folder}/{prefix}{hash}.service").into()).collect()
}

/// Whether the video service with this name has a finished description. It does not while its creator is still working, or if its creator
/// died before it finished.
pub(crate) fn is_described(config: &Config, name: &ServiceName) -> bool {
    let is_finished = |meta: fs::Metadata| meta.permissions().mode() & 0o777 == FINISHED_MODE;
    description_files(config, name.as_str()).first().is_some_and(|file| fs::metadata(file).is_ok_and(is_finished))
}

/// Returns the hashes of the video service and the event service with this name.
pub(crate) fn hashes(name: &str) -> Vec<String> {
    type Hasher = <Iox as Service>::ServiceNameHasher;
    let hash = |pattern| Some(ServiceHash::new::<Hasher>(&ServiceName::new(name).ok()?, pattern).as_str().to_owned());
    [MessagingPattern::PublishSubscribe, MessagingPattern::Event].into_iter().filter_map(hash).collect()
}

/// Returns the services in the domain with this configuration.
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
        let table = |part| text.split_once(&format!("message_type_details.{part}]")).map_or("", |(_, table)| table);
        let type_in = |table| (value(table, "type_name").unwrap_or("?"), value(table, "size").unwrap_or("?"));
        let is_publish_subscribe = text.contains("[messaging_pattern.PublishSubscribe");
        Some(Self {
            name: value(text, "service_name")?.to_owned(),
            version: version(text),
            max_nodes: value(text, "max_nodes").and_then(|number| number.parse().ok()),
            types: is_publish_subscribe
                .then(|| types_in_words(type_in(table("payload")), type_in(table("user_header")))),
        })
    }
}

/// Describes the payload type and the user header type of a service, with name and size in bytes.
pub(crate) fn types_in_words(payload: (&str, impl Display), header: (&str, impl Display)) -> String {
    format!("payload {} of {} bytes, user header {} of {} bytes", payload.0, payload.1, header.0, header.1)
}

/// Returns the release of iceoryx2 that wrote a description.
pub(crate) fn version(text: &str) -> String {
    let Some((_, table)) = text.split_once("[iceoryx2_version]") else {
        // Releases before 0.10 do not write a version.
        return "0.9 or older".into();
    };
    let number = |key| value(table, key).unwrap_or("?");
    format!("{}.{}.{}", number("major"), number("minor"), number("patch"))
}

/// Returns the ID of a described service. It is part of the names of the service's shared memory.
pub(crate) fn service_id(text: &str) -> Option<u128> {
    let (_, table) = text.split_once("[unique_service_id]")?;
    let part = |key| value(table, key)?.parse::<u64>().ok().map(u128::from);
    Some(part("unique_value")? << 64 | part("payload_value")?)
}

/// Returns the value from the first line `key = value`, without quotes.
pub(crate) fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim_start().strip_prefix('=')?.trim().trim_matches('"')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_without_a_version_is_from_an_older_release() {
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
