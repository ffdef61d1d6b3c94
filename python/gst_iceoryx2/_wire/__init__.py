"""The wire contract of SPEC.md, without transport or I/O.

Each module has a counterpart with the same name in `crates/core/src/wire`, with three exceptions: `samples`, because
the Rust side does not convert colours, `rendition`, because it does not serve renditions, and `numbers`, because Rust's
types check numbers. The crate's `shared` module has no counterpart here, because Python copies a blob before reading
it.
"""
