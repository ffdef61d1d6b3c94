"""Everything this package raises on purpose, in one tree; each class is also the built-in that one would catch.

    Iox2VideoError
    ├── DomainError (ValueError)                IOX2_VIDEO_DOMAIN or an iceoryx2 configuration file is unusable
    ├── InvalidServiceNameError (ValueError)
    ├── ServiceError                            something about the service, always named in the message
    │   ├── ServiceNotFoundError (LookupError)
    │   ├── ServiceMismatchError (TypeError)    the name carries other data than frames
    │   ├── VersionMismatchError (RuntimeError) made by another release of iceoryx2
    │   ├── ServicePermissionError (PermissionError)
    │   ├── ServiceBrokenError (RuntimeError)   left half-made by a crash, and clean-up did not help
    │   ├── QosError (ValueError)               an explicit setting that the existing service cannot meet
    │   └── TooManyPortsError (RuntimeError)    the publisher, subscriber or participant too many
    ├── FormatError (ValueError)                pixels, sizes, caps or metas that do not fit together
    │   └── UnsupportedViewError (NotImplementedError)   this format has no such array
    ├── FrameReleasedError (ValueError)         a frame used after it was given back or sent
    ├── FrameTimeoutError (TimeoutError)
    ├── BorrowLimitError (BufferError)          too many received frames held
    ├── LoanLimitError (BufferError)            too many frames being filled at once
    ├── OutOfSharedMemoryError (MemoryError)
    ├── ClosedError (ValueError)                a port used after close()
    │   └── ForkedError (RuntimeError)          a port of the parent used in a forked child
    ├── TransportError (RuntimeError)           anything else that iceoryx2 reports
    └── MissingExtraError (ImportError)         an optional dependency is not installed

A message says what failed, on which service, with both numbers where there are two, and what to do.
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
    """Base of every error that this package raises on purpose. Its text is one line that steers no terminal."""

    def __str__(self) -> str:
        return printable(super().__str__())


class DomainError(Iox2VideoError, ValueError):
    """The iceoryx2 domain that the environment or a configuration file names cannot be used."""


class InvalidServiceNameError(Iox2VideoError, ValueError):
    """A service name is empty, too long or not printable ASCII."""


class ServiceError(Iox2VideoError):
    """Something is wrong with a service as a whole."""


class ServiceNotFoundError(ServiceError, LookupError):
    """No service of this name exists."""


class ServiceMismatchError(ServiceError, TypeError):
    """The service carries other data than video frames."""


class VersionMismatchError(ServiceError, RuntimeError):
    """The service, or the installed package, belongs to another release of iceoryx2."""


class ServicePermissionError(ServiceError, PermissionError):
    """The operating system refuses access to the service or its domain."""


class ServiceBrokenError(ServiceError, RuntimeError):
    """The service was left half-made or damaged, and clean-up did not help."""


class QosError(ServiceError, ValueError):
    """A setting that was asked for by name cannot be met by the service that exists."""


class TooManyPortsError(ServiceError, RuntimeError):
    """The service has as many publishers, subscribers or participants as it admits."""


class FormatError(Iox2VideoError, ValueError):
    """Pixels, size, format, caps or metas do not fit together."""


class UnsupportedViewError(FormatError, NotImplementedError):
    """This format cannot be seen as the array that was asked for."""


class FrameReleasedError(Iox2VideoError, ValueError):
    """The pixels of a frame were asked for after it was given back or sent."""


class FrameTimeoutError(Iox2VideoError, TimeoutError):
    """What was waited for did not happen in time."""


class BorrowLimitError(Iox2VideoError, BufferError):
    """This subscriber holds as many frames as its service allows."""


class LoanLimitError(Iox2VideoError, BufferError):
    """This publisher has as many frames in the making as it allows."""


class OutOfSharedMemoryError(Iox2VideoError, MemoryError):
    """Shared memory cannot hold the frames that this publisher may need."""


class ClosedError(Iox2VideoError, ValueError):
    """A publisher or subscriber was used after it was closed."""


class ForkedError(ClosedError, RuntimeError):
    """A publisher, subscriber or frame of the parent process was used in a forked child."""


class TransportError(Iox2VideoError, RuntimeError):
    """iceoryx2 reports a failure that has no class of its own here."""


class MissingExtraError(Iox2VideoError, ImportError):
    """An optional dependency is needed and not installed."""


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
