"""Lists all streams of this machine and domain."""

from __future__ import annotations

from typing import Final

from .._iox2.domain import current_domain
from .names import video_records
from .sh4lt import Sh4ltProbe
from .stream import Stream

# A publisher that pauses looks for new subscribers four times a second.
_SECONDS: Final = 0.4


def streams(seconds: float = _SECONDS) -> list[Stream]:
    """List the services of this process's domain that carry video, and the Sh4lt paths with a live writer.

    Meanwhile each service has one more participant and, if there is room, one more subscriber.

    Args:
        seconds: Seconds to wait for frames at most. With 0, format, size, fps and age are unknown.

    Returns:
        Services by name, then Sh4lt paths by path.

    Raises:
        DomainError: The domain cannot be used.
        ServicePermissionError: The domain belongs to another user.
    """
    domain = current_domain()
    others = Sh4ltProbe(seconds)
    records = sorted(video_records(domain), key=lambda record: record.name)
    found: list[Stream] = []
    if records:
        # Importing iceoryx2 takes a tenth of a second.
        from .probe import probe

        found = probe(domain, records, seconds)
    return found + others.result()
