//! Creates nodes, which are the participants in an iceoryx2 domain.

use iceoryx2::prelude::*;

use crate::contract::messages;
use crate::error::{Error, Result};
use crate::iox2::cleanup;
use crate::iox2::domain::Domain;
use crate::iox2::obstacle::{after_failure, before_start, check_folders, taking_part};
use crate::iox2::types::{Iox, Iox2Node};

/// Creates a node in the process's domain. It does not affect a second copy of iceoryx2 in the process.
///
/// # Errors
/// [`Error::Domain`] if the configuration is invalid, [`Error::Obstacle`] if something outside iceoryx2 prevents it, such as a folder that
/// belongs to another user.
pub fn create_node() -> Result<Iox2Node> {
    create_node_for(None)
}

/// Like [`create_node`], but errors mention the service.
pub(crate) fn create_node_for(service: Option<&str>) -> Result<Iox2Node> {
    let domain = Domain::from_env()?;
    check_folders(&domain, &taking_part(&domain.root(), service))?;
    cleanup::clean_up_if_stale(&domain);
    make_node(&domain, service)
}

/// Creates a node in the given domain.
///
/// # Errors
/// The errors of [`create_node`].
pub fn create_node_in(domain: &Domain) -> Result<Iox2Node> {
    make_node(domain, None)
}

fn make_node(domain: &Domain, service: Option<&str>) -> Result<Iox2Node> {
    set_log_level_from_env_or(LogLevel::Error);
    let doing = taking_part(&domain.root(), service);
    if let Some(obstacle) = before_start(domain) {
        return Err(Error::Obstacle { doing, obstacle });
    }
    let created =
        NodeBuilder::new().config(domain.config()).signal_handling_mode(SignalHandlingMode::Disabled).create::<Iox>();
    created.map_err(|e| match after_failure(domain, 0, &[]) {
        Some(obstacle) => Error::Obstacle { doing, obstacle },
        None => Error::Domain(messages::no_node(doing, format_args!("{e:?}"))),
    })
}
