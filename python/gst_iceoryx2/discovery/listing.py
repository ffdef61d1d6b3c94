"""All streams of a domain, with one short look at all of them together."""

from __future__ import annotations

from typing import Final

from .._iox2.domain import current_domain
from .names import video_records
from .sh4lt import Sh4ltProbe
from .stream import Stream

# A publisher that pauses looks for newcomers four times a second.
_LOOK: Final = 0.4


def streams(seconds: float = _LOOK) -> list[Stream]:
    """Every stream of this process's domain, by name, then every Sh4lt path with a live writer.

    Takes part in each service for the look: one more participant and, where there is room, one more subscriber.

    Args:
        seconds: How long to look for frames at most; 0 asks for none: then format, size, fps and age are unknown.

    Raises:
        DomainError: The domain cannot be used.
        ServicePermissionError: It belongs to another user.
    """
    domain = current_domain()
    others = Sh4ltProbe(seconds)
    records = sorted(video_records(domain), key=lambda record: record.name)
    found: list[Stream] = []
    if records:
        # Only now: it takes a tenth of a second.
        from .probe import probe

        found = probe(domain, records, seconds)
    return found + others.result()
