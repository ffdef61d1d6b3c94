"""The errors that this package raises.

    Iox2VideoError
    └── Sh4ltError
        ├── AddressError (ValueError)        a path, label or group cannot be used
        ├── TypeTextError (ValueError)       a type text cannot be sent
        ├── WriterIsAliveError (FileExistsError)
        ├── FrameSizeError (BufferError)     too large for a segment, or too small for the caps
        └── Sh4ltClosedError (ValueError)    a writer or follower is used after close()

Errors from the operating system are raised as OSError.
"""

from __future__ import annotations

from ..errors import Iox2VideoError


class Sh4ltError(Iox2VideoError):
    """Base class of this package's errors."""


class AddressError(Sh4ltError, ValueError):
    """A path, label or group cannot be used."""


class TypeTextError(Sh4ltError, ValueError):
    """A type text is too long or contains a NUL."""


class WriterIsAliveError(Sh4ltError, FileExistsError):
    """Another writer is alive on the path. It is unaffected."""


class FrameSizeError(Sh4ltError, BufferError):
    """A frame is too large for a segment, or smaller than its caps require."""


class Sh4ltClosedError(Sh4ltError, ValueError):
    """A writer or follower was used after it was closed."""
