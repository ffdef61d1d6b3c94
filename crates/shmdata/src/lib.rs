//! Shmdata's shared-memory protocol, in which one writer sends one frame at a time to any number of readers.
//!
//! A writer waits until every reader has released a frame before it writes the next one (lock-step). [`Writer`] and [`Follower`]
//! are compatible with Shmdata 1.3 and with each other. Unlike Shmdata's own library, they continue if the other side is killed or stopped.
//! This crate supports only Linux.
//!
//! The Python package `gst_iceoryx2.sh4lt` implements the same protocol, in files with the same names.

#![cfg(target_os = "linux")]

mod claim;
mod connection;
mod dialect;
mod error;
mod follower;
mod frame;
mod lockstep;
mod paths;
mod poll;
mod readers;
pub mod score;
mod socket;
mod sysv;
mod writer;

pub use error::{Error, Result};
pub use follower::{Event, Follower};
pub use frame::Frame;
pub use paths::{DEFAULT_GROUP, address, check_path, prepare_folder};
pub use poll::Wakeup;
pub use readers::ClientEvent;
pub use writer::{Delivery, Lent, Writer, WriterOptions};
