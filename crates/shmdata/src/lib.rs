//! Shmdata's shared-memory protocol: one writer, any number of readers, one frame at a time, in lock-step.
//!
//! A [`Writer`] and a [`Follower`] speak with Shmdata 1.3 and with each other, and survive what its own library does not: a
//! killed or stopped peer never stops the other side. Linux only.

#![cfg(target_os = "linux")]

pub mod dialect;
mod error;
mod follower;
mod poll;
pub mod score;
mod sysv;
mod writer;

pub use dialect::{DEFAULT_GROUP, address, prepare_folder};
pub use error::{Error, Result};
pub use follower::{Event, Follower, Frame};
pub use poll::Wakeup;
pub use writer::{ClientEvent, Delivery, Lent, Writer, WriterOptions, check_path};
