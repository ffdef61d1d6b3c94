"""iceoryx2: the domain, nodes, services, and the files that crashed programs leave behind.

`crates/core/src/iox2/` is the same room in Rust, and a file has the same name there. These differ:

- `binding` makes nodes, services and ports, because it is the one module that imports iceoryx2. Rust has `node.rs`
  here, and opens services in `video_service.rs` and ports in `publisher/` and `subscriber/`.
- `types` holds protocols, because iceoryx2's Python package has no annotations. Rust's has its names of iceoryx2's
  types.
- `explain` turns causes and iceoryx2's errors into errors of this package. In Rust, `error.rs` does.
- `system.rs` asks the operating system what Python's `os` and `resource` know.
- `wait.rs` is `video/_waiting.py`, which also serves asyncio.
"""
