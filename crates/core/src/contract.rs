//! Numbers and texts of `contract/`, which the Python package reads as well. `build.rs` generates the code.

#![allow(dead_code, reason = "some entries are for the Python package; a test checks the use of each")]

include!(concat!(env!("OUT_DIR"), "/contract.rs"));
