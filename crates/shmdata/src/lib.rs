//! Shmdata's shared-memory protocol: one writer, any number of readers, one frame at a time.
//!
//! A writer waits until every reader has finished with a frame before it writes the next one (lock-step). [`Writer`] and [`Follower`]
//! work with Shmdata 1.3 and with each other. Unlike Shmdata's own library, they continue if the other side is killed or stopped.
//! Linux only.
//!
//! The Python package `gst_iceoryx2.sh4lt` is the twin of this crate, with the same file names.

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
