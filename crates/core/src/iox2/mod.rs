//! Everything about iceoryx2: the domain, services, who lives, and what crashed programs leave.

pub mod cleanup;
pub mod description;
pub(crate) mod domain;
pub(crate) mod fork;
pub(crate) mod leftovers;
pub(crate) mod liveness;
pub(crate) mod obstacle;
pub(crate) mod service;
pub(crate) mod wait;
