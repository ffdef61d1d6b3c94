"""What can go wrong with a path that is shared.

    Iox2VideoError
    └── Sh4ltError
        ├── AddressError (ValueError)        path, label or group that cannot be used
        ├── TypeTextError (ValueError)       a type text that cannot be sent
        ├── WriterIsAliveError (FileExistsError)
        ├── FrameSizeError (BufferError)     more than one segment of shared memory holds, or other than the caps say
        └── Sh4ltClosedError (ValueError)    a writer or follower used after close()

What the operating system refuses stays an OSError.
"""

from __future__ import annotations

from ..errors import Iox2VideoError


class Sh4ltError(Iox2VideoError):
    """Base of what this package raises on purpose."""


class AddressError(Sh4ltError, ValueError):
    """A path, label or group cannot be used."""


class TypeTextError(Sh4ltError, ValueError):
    """A type text is too long or contains a NUL."""


class WriterIsAliveError(Sh4ltError, FileExistsError):
    """Another writer is alive on the path; it was not disturbed."""


class FrameSizeError(Sh4ltError, BufferError):
    """A frame has more bytes than a segment can hold, or fewer than its caps ask for."""


class Sh4ltClosedError(Sh4ltError, ValueError):
    """A writer or follower was used after it was closed."""
