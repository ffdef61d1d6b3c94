//! The wire contract: header, formats, text, caps, metas, times. No transport, no I/O.

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
