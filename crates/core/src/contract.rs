//! Numbers and texts from `contract/`, which the Python package also reads. `build.rs` generates this code.

#![allow(dead_code, reason = "some entries are used only by the Python package; a test checks that each entry is used")]

include!(concat!(env!("OUT_DIR"), "/contract.rs"));
