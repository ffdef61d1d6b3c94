//! The parts of iceoryx2 that do not depend on video: domains, nodes, liveness, and the clean-up after crashed programs.

pub mod cleanup;
pub mod description;
pub(crate) mod domain;
mod files;
mod folders;
pub(crate) mod fork;
pub mod helper;
mod leftovers;
pub(crate) mod limits;
pub(crate) mod liveness;
pub(crate) mod node;
mod objects;
pub(crate) mod obstacle;
pub(crate) mod service_name;
pub(crate) mod shared_memory;
mod system;
mod tags;
pub(crate) mod types;
pub(crate) mod wait;
