//! The wire contract of SPEC.md. No transport, no I/O.
//!
//! Each module has a twin of the same name in the Python package's `_wire`, except [`shared`]: Python copies a blob before it reads it.

pub mod auxblob;
pub mod caps;
pub mod fault;
pub mod formats;
pub mod header;
pub mod metas;
pub mod shared;
pub mod stamp;
pub mod text;
pub mod validate;
pub mod value;
