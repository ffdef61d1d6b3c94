//! What iceoryx2 writes about its services: `<root>/services/*.service`, one TOML text each.
//!
//! Reading these files is harmless; listing services through iceoryx2 is not where a second copy of it lives (see
//! [`cleanup`](crate::iox2::cleanup)).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use iceoryx2::prelude::{Config, MessagingPattern, ServiceName};
use iceoryx2::service::Service;
use iceoryx2::service::service_hash::ServiceHash;

use crate::iox2::domain::Domain;
use crate::iox2::service::Iox;
use crate::wire::header::{HEADER_SIZE, HEADER_TYPE_NAME};

/// Mode of a service's description that is finished. Source: iceoryx2-cal/src/static_storage/file.rs.
const FINISHED: u32 = 0o400;

/// One service of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Name of the service.
    pub name: String,
    /// Release of iceoryx2 that created it.
    pub version: String,
    /// Participants that it admits, where told.
    pub max_nodes: Option<usize>,
    /// For publish/subscribe: what it carries, in words.
    pub types: Option<String>,
    /// Whether that is video by the wire contract.
    pub carries_video: bool,
}

/// The video services of a domain, whether or not a publisher is there.
pub fn video_services(domain: &Domain) -> Vec<Description> {
    descriptions(domain.config()).filter(|description| description.carries_video).collect()
}

/// Path at which the video service of that name is described while it exists.
pub(crate) fn description_file(config: &Config, name: &ServiceName) -> String {
    type Hasher = <Iox as Service>::ServiceNameHasher;
    let hash = ServiceHash::new::<Hasher>(name, MessagingPattern::PublishSubscribe);
    format!("{}/{}{}.service", config.global.service_dir(), config.global.prefix, hash.as_str())
}

/// Whether a video service of that name is described to its end; while its creator is at work, or after it died over it, it is not.
pub(crate) fn is_described(config: &Config, name: &ServiceName) -> bool {
    fs::metadata(description_file(config, name)).is_ok_and(|meta| meta.permissions().mode() & 0o777 == FINISHED)
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
        let types = text.contains("[messaging_pattern.PublishSubscribe").then(|| {
            let payload = Type::read(text, "payload");
            let header = Type::read(text, "user_header");
            let is_video =
                payload.name == "u8" && header.name == HEADER_TYPE_NAME && header.size == HEADER_SIZE.to_string();
            (format!("payload {payload}, user header {header}"), is_video)
        });
        Some(Self {
            name: value(text, "service_name")?.to_owned(),
            version: version(text),
            max_nodes: value(text, "max_nodes").and_then(|number| number.parse().ok()),
            carries_video: types.as_ref().is_some_and(|&(_, is_video)| is_video),
            types: types.map(|(words, _)| words),
        })
    }
}

struct Type<'a> {
    name: &'a str,
    size: &'a str,
}

impl<'a> Type<'a> {
    fn read(text: &'a str, part: &str) -> Self {
        let table = text.split_once(&format!("message_type_details.{part}]")).map_or("", |(_, table)| table);
        let value = |key| value(table, key).unwrap_or("?");
        Self { name: value("type_name"), size: value("size") }
    }
}

impl std::fmt::Display for Type<'_> {
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
    fn video_is_told_from_other_payloads() {
        let text = |header: &str| {
            format!(
                "service_name = \"a b\"\n[messaging_pattern.PublishSubscribe]\nmax_nodes = 20\n\
                 [messaging_pattern.PublishSubscribe.message_type_details.user_header]\ntype_name = \"{header}\"\nsize = 104\n\
                 [messaging_pattern.PublishSubscribe.message_type_details.payload]\ntype_name = \"u8\"\nsize = 1\n"
            )
        };
        let video = Description::read(&text("VideoFrameHeader")).unwrap();
        assert!(video.carries_video && video.name == "a b" && video.max_nodes == Some(20));
        let other = Description::read(&text("Pose")).unwrap();
        assert!(!other.carries_video);
        assert_eq!(other.types.unwrap(), "payload u8 of 1 bytes, user header Pose of 104 bytes");
    }
}
