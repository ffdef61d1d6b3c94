"""Finds out why this process cannot take part in a domain.

iceoryx2 has few error names, and each name has many causes. This module looks for the cause in the folders of the
domain, in shared memory, and in the limits of this process. Python and Rust report a cause with the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from ..contract import limit
from .domain import Domain
from .explain import Obstacle
from .folders import in_folders, reading, writing
from .limits import HOUSEKEEPING, address_space, descriptors, file_size
from .shared_memory import in_shared_memory

# Address space that iceoryx2 maps in addition to frames, plus a reserve for this process.
_MAPPED: Final = limit("start_mapped_bytes")


def before_start(domain: Domain) -> Obstacle | None:
    """Find a reason why a participant must not start: it would hang, end with SIGBUS, or follow another user's links.

    Takes about 10 µs.
    """
    return in_folders(domain) or in_shared_memory(domain) or file_size(HOUSEKEEPING)


def after_failure(domain: Domain, memory: int = 0, files: Iterable[str] = ()) -> Obstacle | None:
    """Look for the cause of a failure by trying the steps that iceoryx2 takes.

    Args:
        domain: Domain in which the failure happened.
        memory: Bytes of shared memory that iceoryx2 had to map for frames.
        files: Paths of the files that iceoryx2 had to read.

    Returns:
        The first obstacle; None if there is none now.
    """
    tried: tuple[Callable[[], Obstacle | None], ...] = (
        lambda: before_start(domain),
        descriptors,
        lambda: address_space(memory + _MAPPED),
        lambda: next(filter(None, (reading(Path(file)) for file in files)), None),
        lambda: writing(domain),
    )
    return next(filter(None, (attempt() for attempt in tried)), None)


def check_folders(domain: Domain, doing: str) -> None:
    """Refuse a domain whose folders are links or belong to another user, who could choose what a clean-up removes.

    Args:
        domain: The domain.
        doing: The failed operation, as verb and object, such as the result of `taking_part`.

    Raises:
        DomainError: A file or a link is in the place of a folder.
        ServicePermissionError: One of the folders belongs to another user.
    """
    found = in_folders(domain)
    if found is not None:
        raise found.error(doing)
