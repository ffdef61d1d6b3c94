"""Errors of this package, in one tree; each class is also the built-in error that you would expect.

    Iox2VideoError
    ├── DomainError (ValueError)                IOX2_VIDEO_DOMAIN or an iceoryx2 configuration file is unusable
    ├── InvalidServiceNameError (ValueError)
    ├── ServiceError                            a problem of a service, which the message names
    │   ├── ServiceNotFoundError (LookupError)
    │   ├── ServiceMismatchError (TypeError)    the service carries other data than frames
    │   ├── VersionMismatchError (RuntimeError) another release of iceoryx2 created the service
    │   ├── ServicePermissionError (PermissionError)
    │   ├── ServiceBrokenError (RuntimeError)   a crash left the service half created, and clean-up did not help
    │   ├── QosError (ValueError)               the existing service does not meet an explicit setting
    │   └── TooManyPortsError (RuntimeError)    the service has its maximum of publishers, subscribers or participants
    ├── FormatError (ValueError)                pixels, sizes, caps or metas that do not fit together
    │   └── UnsupportedViewError (NotImplementedError)   this format has no such array
    ├── FrameReleasedError (ValueError)         a frame was used after it was released or sent
    ├── FrameTimeoutError (TimeoutError)
    ├── BorrowLimitError (BufferError)          a subscriber holds too many received frames
    ├── LoanLimitError (BufferError)            a publisher has too many loaned frames
    ├── OutOfSharedMemoryError (MemoryError)
    ├── ClosedError (ValueError)                a port was used after close()
    │   └── ForkedError (RuntimeError)          a port of the parent was used in a forked child
    ├── TransportError (RuntimeError)           iceoryx2 reports any other failure
    └── MissingExtraError (ImportError)         an optional dependency is not installed

A message says what failed, on which service, with both numbers of a limit, and what to do.
"""

from __future__ import annotations

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
    """Base class of this package's errors. The text is one line without control characters."""

    def __str__(self) -> str:
        return printable(super().__str__())


class DomainError(Iox2VideoError, ValueError):
    """The iceoryx2 domain that the environment or a configuration file names cannot be used."""


class InvalidServiceNameError(Iox2VideoError, ValueError):
    """A service name is empty, longer than 255 bytes, or not printable ASCII."""


class ServiceError(Iox2VideoError):
    """A problem of a service; the message names the service."""


class ServiceNotFoundError(ServiceError, LookupError):
    """No service of this name exists."""


class ServiceMismatchError(ServiceError, TypeError):
    """The service carries other data than video frames."""


class VersionMismatchError(ServiceError, RuntimeError):
    """The service or the installed iceoryx2 package belongs to another release of iceoryx2."""


class ServicePermissionError(ServiceError, PermissionError):
    """The operating system denies access to the service or its domain."""


class ServiceBrokenError(ServiceError, RuntimeError):
    """A crash left the service half created or damaged, and clean-up did not help."""


class QosError(ServiceError, ValueError):
    """The existing service does not meet a setting that the program asked for."""


class TooManyPortsError(ServiceError, RuntimeError):
    """The service has its maximum number of publishers, subscribers or participants."""


class FormatError(Iox2VideoError, ValueError):
    """Pixels, size, format, caps or metas do not fit together."""


class UnsupportedViewError(FormatError, NotImplementedError):
    """This format has no array view of the requested kind."""


class FrameReleasedError(Iox2VideoError, ValueError):
    """A frame was used after it was released or sent."""


class FrameTimeoutError(Iox2VideoError, TimeoutError):
    """A wait timed out."""


class BorrowLimitError(Iox2VideoError, BufferError):
    """The subscriber holds as many frames as its service allows (`borrowed_max`)."""


class LoanLimitError(Iox2VideoError, BufferError):
    """The publisher has as many loaned frames as it allows."""


class OutOfSharedMemoryError(Iox2VideoError, MemoryError):
    """Shared memory has no room for the frames that the publisher may need."""


class ClosedError(Iox2VideoError, ValueError):
    """A publisher or subscriber was used after it was closed."""


class ForkedError(ClosedError, RuntimeError):
    """A publisher, subscriber or frame of the parent process was used in a forked child."""


class TransportError(Iox2VideoError, RuntimeError):
    """iceoryx2 reports a failure that has no class of its own."""


class MissingExtraError(Iox2VideoError, ImportError):
    """An optional dependency is not installed; the message says how to install it."""


def printable(text: str) -> str:
    r"""Return the text as one line without control characters: an escape character becomes `\x1b`.

    A byte of a file name that is not UTF-8 becomes `\xe9`, and a lone surrogate `\ud800`.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # Python's form of a byte that is not UTF-8. Source: PEP 383.
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
