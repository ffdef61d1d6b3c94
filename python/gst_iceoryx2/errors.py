"""The errors of this package, in one class hierarchy. Most classes also derive from the matching built-in error.

    Iox2VideoError
    ├── DomainError (ValueError)                IOX2_VIDEO_DOMAIN or an iceoryx2 configuration file is unusable
    ├── InvalidServiceNameError (ValueError)
    ├── ServiceError                            a problem with a service, which the message names
    │   ├── ServiceNotFoundError (LookupError)
    │   ├── ServiceMismatchError (TypeError)    the service carries data other than frames
    │   ├── VersionMismatchError (RuntimeError) another release of iceoryx2 created the service
    │   ├── ServicePermissionError (PermissionError)
    │   ├── ServiceBrokenError (RuntimeError)   a crash left the service incomplete, and the clean-up did not help
    │   ├── QosError (ValueError)               the existing service does not meet an explicit setting
    │   └── TooManyPortsError (RuntimeError)    the service has no room for another publisher or subscriber
    ├── FormatError (ValueError)                pixels, sizes, caps or metas are invalid or do not match
    │   └── UnsupportedViewError (NotImplementedError)   the format does not support this array view
    ├── FrameReleasedError (ValueError)         a frame was used after it was released or sent
    ├── FrameTimeoutError (TimeoutError)
    ├── BorrowLimitError (BufferError)          a subscriber holds too many received frames
    ├── LoanLimitError (BufferError)            a publisher has too many loaned frames
    ├── OutOfSharedMemoryError (MemoryError)
    ├── ClosedError (ValueError)                a port was used after close()
    │   └── ForkedError (RuntimeError)          a port of the parent was used in a forked child
    ├── TransportError (RuntimeError)           iceoryx2 reported any other failure
    └── MissingExtraError (ImportError)         an optional dependency is not installed

Each message says what failed, on which service, and what to do. If a limit is exceeded, it states both numbers.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "BorrowLimitError",
    "ClosedError",
    "DomainError",
    "ForkedError",
    "FormatError",
    "FrameReleasedError",
    "FrameTimeoutError",
    "InvalidServiceNameError",
    "Iox2VideoError",
    "LoanLimitError",
    "MissingExtraError",
    "OutOfSharedMemoryError",
    "QosError",
    "ServiceBrokenError",
    "ServiceError",
    "ServiceMismatchError",
    "ServiceNotFoundError",
    "ServicePermissionError",
    "TooManyPortsError",
    "TransportError",
    "UnsupportedViewError",
    "VersionMismatchError",
]


class Iox2VideoError(Exception):
    """Base class of this package's errors. The text is a single line without control characters."""

    def __str__(self) -> str:
        return printable(super().__str__())


class DomainError(Iox2VideoError, ValueError):
    """The iceoryx2 domain set in the environment or in a configuration file cannot be used."""


class InvalidServiceNameError(Iox2VideoError, ValueError):
    """A service name is empty, longer than 255 bytes, not printable ASCII, or reserved for an encoded stream."""


class ServiceError(Iox2VideoError):
    """A problem with a service; the message names the service."""


class ServiceNotFoundError(ServiceError, LookupError):
    """No service with this name exists."""


class ServiceMismatchError(ServiceError, TypeError):
    """The service carries data other than video frames."""


class VersionMismatchError(ServiceError, RuntimeError):
    """The service or the installed iceoryx2 package belongs to a different release of iceoryx2."""


class ServicePermissionError(ServiceError, PermissionError):
    """The operating system denies access to the service or its domain."""


class ServiceBrokenError(ServiceError, RuntimeError):
    """A crash left the service incomplete or damaged, and the clean-up did not help."""


class QosError(ServiceError, ValueError):
    """The existing service does not meet a setting that the program requested."""


class TooManyPortsError(ServiceError, RuntimeError):
    """The service already has its maximum number of publishers, subscribers or participants."""


class FormatError(Iox2VideoError, ValueError):
    """Pixels, size, format, caps or metas are invalid or do not match each other."""


class UnsupportedViewError(FormatError, NotImplementedError):
    """The format does not support the requested kind of array view."""


class FrameReleasedError(Iox2VideoError, ValueError):
    """A frame was used after it was released or sent."""


class FrameTimeoutError(Iox2VideoError, TimeoutError):
    """A wait timed out."""


class BorrowLimitError(Iox2VideoError, BufferError):
    """The subscriber holds as many frames as its service allows (`borrowed_max`)."""


class LoanLimitError(Iox2VideoError, BufferError):
    """The publisher has as many loaned frames as it allows."""


class OutOfSharedMemoryError(Iox2VideoError, MemoryError):
    """There is not enough shared memory for the frames that the publisher may need."""


class ClosedError(Iox2VideoError, ValueError):
    """A publisher or subscriber was used after it was closed."""


class ForkedError(ClosedError, RuntimeError):
    """A publisher, subscriber or frame of the parent process was used in a forked child."""


class TransportError(Iox2VideoError, RuntimeError):
    """iceoryx2 reported a failure that none of the other classes covers."""


class MissingExtraError(Iox2VideoError, ImportError):
    """An optional dependency is not installed; the message says how to install it."""


def printable(text: str) -> str:
    r"""Return the text as one line, with control characters escaped: ESC becomes `\x1b`.

    File-name bytes that are not valid UTF-8 are escaped like `\xe9`, and lone surrogates like `\ud800`.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # Python represents bytes that are not valid UTF-8 like this. Source: PEP 383.
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


# Passwords in URLs, in their queries, and in the properties of GStreamer elements (rtspsrc has user-pw).
_USER: Final = re.compile(r"(?<=://)(?:[^/\s]*@|[^/\s:]*:(?!\d*/)[^\s@]*@)")
_SECRET: Final = re.compile(
    r"""((?:^|[?&;\s,])(?:[\w-]*(?:pass|pwd|user-pw|token|secret)[\w-]*|(?:api|access)?[-_]?key|auth)=)"""
    r"""("[^"]*"|'[^']*'|[^&;\s"',]+)""",
    re.IGNORECASE,
)


def without_passwords(text: str) -> str:
    """Return a text with user names, passwords and tokens in URLs and launch lines replaced by `***`."""
    return _SECRET.sub(r"\1***", _USER.sub("***@", text))
