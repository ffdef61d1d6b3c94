"""The wire contract in Python: header, formats, text, caps, metas, times; no transport, no I/O."""
