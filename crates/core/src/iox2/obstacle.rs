//! Finds out why this process cannot take part in a domain.
//!
//! iceoryx2 has few error names, and each name has many causes. This module looks for the cause in the folders of the domain, in shared
//! memory and in the limits of this process.

use std::path::{Path, PathBuf};

use crate::contract::{limits, messages};
use crate::error::{Error, Obstacle, Result};
use crate::iox2::domain::Domain;
use crate::iox2::folders::{in_folders, reading, writing};
use crate::iox2::limits::{address_space, descriptors, file_size};
use crate::iox2::shared_memory::in_shared_memory;
use crate::iox2::system::HOUSEKEEPING;

/// Returns the failed operation, as verb and object: taking part in a domain, or opening a service in it.
pub(crate) fn taking_part(root: &Path, service: Option<&str>) -> String {
    let root = root.display();
    service.map_or_else(|| messages::take_part(&root), |service| messages::open_service(service, &root))
}

/// Finds a reason why a participant must not start: it would hang, end with SIGBUS, or follow another user's links. Takes about 10 µs.
pub(crate) fn before_start(domain: &Domain) -> Option<Obstacle> {
    in_folders(domain).or_else(|| in_shared_memory(domain)).or_else(|| file_size(HOUSEKEEPING))
}

/// Looks for the cause of a failure by trying the steps that iceoryx2 takes, such as mapping `memory` bytes for frames and reading `files`.
pub(crate) fn after_failure(domain: &Domain, memory: usize, files: &[PathBuf]) -> Option<Obstacle> {
    before_start(domain)
        .or_else(descriptors)
        .or_else(|| address_space(memory + limits::START_MAPPED_BYTES))
        .or_else(|| files.iter().find_map(|file| reading(file)))
        .or_else(|| writing(domain))
}

/// Refuses a domain whose folders are links or belong to another user, who could choose what a clean-up removes.
///
/// # Errors
/// [`Error::Obstacle`] names the folder.
pub(crate) fn check_folders(domain: &Domain, doing: &str) -> Result<()> {
    in_folders(domain).map_or(Ok(()), |obstacle| Err(Error::Obstacle { doing: doing.to_owned(), obstacle }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn place(name: &str) -> (Domain, PathBuf) {
        let root = std::env::temp_dir().join(format!("ob{}{name}", std::process::id()));
        (Domain::at(root.to_str().unwrap(), &format!("ob{name}_")).unwrap(), root)
    }

    #[test]
    fn a_domain_that_does_not_exist_yet_is_not_an_obstacle_and_can_be_created() {
        let (domain, root) = place("new");
        assert_eq!(before_start(&domain), None);
        assert_eq!(after_failure(&domain, 1 << 20, &[]), None);
        assert!(domain.node_dir().is_dir() && fs::read_dir(&root).unwrap().count() == 2);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_link_where_a_folder_belongs_is_refused_before_anything_is_opened() {
        let (domain, root) = place("link");
        fs::create_dir_all(&root).unwrap();
        std::os::unix::fs::symlink("/tmp", root.join("services")).unwrap();
        let found = in_folders(&domain).unwrap();
        assert!(found.to_string().contains("services is a symbolic link, but must be a folder"), "{found}");
        fs::remove_dir_all(root).unwrap();
    }
}
