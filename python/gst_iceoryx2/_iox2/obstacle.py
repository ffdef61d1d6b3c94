"""What keeps this process from taking part in a domain.

iceoryx2 has few names for failures, and each name has many causes. So this module looks for the cause: in the folders
of the domain, in shared memory, and in the limits of this process. Both languages report a cause with the same text.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..contract import limit
from .domain import Domain
from .explain import Obstacle
from .folders import in_folders, reading, writing
from .limits import HOUSEKEEPING, address_space, descriptors, file_size
from .shared_memory import in_shared_memory

# What iceoryx2 maps beside frames, and what this process needs to go on.
_MAPPED: Final = limit("start_mapped_bytes")


def before_start(domain: Domain) -> Obstacle | None:
    """Return why no participant must start: it would hang, end by SIGBUS, or follow another user's links.

    Costs some ten µs.
    """
    return in_folders(domain) or in_shared_memory(domain) or file_size(HOUSEKEEPING)


def after_failure(domain: Domain, memory: int = 0, file: str | None = None) -> Obstacle | None:
    """Look for the cause of a failure by trying what iceoryx2 does.

    Args:
        domain: Domain in which it happened.
        memory: Bytes of shared memory that iceoryx2 had to map, beside its own.
        file: File that iceoryx2 had to read.

    Returns:
        None if nothing is found now.
    """
    tried: tuple[Callable[[], Obstacle | None], ...] = (
        lambda: before_start(domain),
        descriptors,
        lambda: address_space(memory + _MAPPED),
        lambda: None if file is None else reading(Path(file)),
        lambda: writing(domain),
    )
    return next(filter(None, (attempt() for attempt in tried)), None)


def check_folders(domain: Domain, doing: str) -> None:
    """Refuse a domain whose folders belong to another user, or are links: that user would choose what is removed there.

    Args:
        domain: The domain.
        doing: What fails, as verb and object: from `taking_part`, or similar.

    Raises:
        DomainError: One of the folders is not a folder.
        ServicePermissionError: One of the folders belongs to another user.
    """
    found = in_folders(domain)
    if found is not None:
        raise found.error(doing)
