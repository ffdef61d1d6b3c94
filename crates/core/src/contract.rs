//! Numbers and texts of `contract/`, which the Python package reads as well; `build.rs` makes Rust of them.

#![allow(clippy::useless_format, reason = "generated")]
#![allow(dead_code, reason = "what only the Python package uses; a test compares both")]

include!(concat!(env!("OUT_DIR"), "/contract.rs"));
