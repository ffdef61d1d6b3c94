"""The wire contract of SPEC.md. No transport, no I/O.

Each module has a twin of the same name in `crates/core/src/wire`, except `samples`, because Rust converts no colours,
and `numbers`, because Rust's types check numbers. `shared` of the crate has no twin here: Python copies a blob before
it reads it.
"""
