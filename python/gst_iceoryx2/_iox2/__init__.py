"""iceoryx2: the domain, nodes, services, and the files that crashed programs leave behind.

`crates/core/src/iox2/` is the same room in Rust, and a file has the same name there. These differ:

- `binding` makes nodes, services and ports, because it is the one module that imports iceoryx2. Rust has `node.rs`,
  `service.rs`, and its ports in `publisher/` and `subscriber/`.
- `types` holds protocols: iceoryx2's Python package has no type annotations.
- `explain` turns iceoryx2's errors into ours. In Rust, `error.rs` and `service.rs` do.
- `system.rs` is Python's `os`, and `wait.rs` is `video/_waiting.py`, which also serves asyncio.
"""
