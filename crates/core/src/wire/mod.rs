//! The wire contract in SPEC.md. It does not contain transport or I/O code.
//!
//! Each module has a counterpart with the same name in the Python package's `_wire`. The exceptions are [`shared`], because Python copies a
//! blob before it reads it, and `fields`, because ctypes reads them in Python.

pub mod auxblob;
pub mod caps;
pub mod clock;
pub mod fault;
pub(crate) mod fields;
pub mod formats;
pub mod header;
pub mod metas;
pub mod packet;
pub mod rendition;
pub mod result_payload;
mod result_tables;
pub mod results;
pub mod shared;
pub mod stamp;
pub mod text;
pub mod validate;
pub mod value;
