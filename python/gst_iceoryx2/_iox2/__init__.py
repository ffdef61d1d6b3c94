"""Access to iceoryx2: the domain, nodes, services, and the files that crashed programs leave behind.

The Rust counterpart is `crates/core/src/iox2/`, where each file has the same name, with these exceptions:

- `binding` creates nodes, services and ports, because only this module imports iceoryx2. In Rust, `node.rs` creates
  nodes, `video_service.rs` opens services, and `publisher/` and `subscriber/` create ports.
- `types` contains protocols, because iceoryx2's Python package is not annotated. In Rust, it contains aliases of
  iceoryx2's types.
- `explain` converts causes and iceoryx2's errors to errors of this package. In Rust, `error.rs` does this.
- `system.rs` only exists in Rust. It queries the operating system, for which Python has `os` and `resource`.
- `wait.rs` corresponds to `video/_waiting.py`, which also supports asyncio.
"""
