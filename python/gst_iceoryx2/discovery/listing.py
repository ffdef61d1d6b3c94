"""Lists all streams on this machine and in this domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from .._iox2.domain import current_domain
from .names import video_records
from .served import Served, served
from .sh4lt import Sh4ltProbe
from .stream import Stream

# A paused publisher checks for new subscribers four times per second.
_SECONDS: Final = 0.4


def streams(seconds: float = _SECONDS) -> list[Stream]:
    """List the video services in this process's domain, and the Sh4lt paths with a running writer.

    Streams that a supervisor (`iox2-video serve`) starts on demand are listed, too, also while they are off.

    During the call, each service has one more participant and, if the limit allows it, one more subscriber.

    Args:
        seconds: Maximum time to wait for frames. With 0, format, size, fps and age are unknown.

    Returns:
        Services sorted by name, then Sh4lt paths sorted by path.

    Raises:
        DomainError: The domain cannot be used.
        ServicePermissionError: The domain belongs to another user.
    """
    domain = current_domain()
    others = Sh4ltProbe(seconds)
    records = sorted(video_records(domain), key=lambda record: record.name)
    found: list[Stream] = []
    if records:
        # Imported here, because importing iceoryx2 takes a tenth of a second.
        from .probe import probe

        found = probe(domain, records, seconds)
    return with_served(found, served(domain)) + others.result()


def with_served(found: list[Stream], declared: Mapping[str, Served]) -> list[Stream]:
    """Add what supervisors say about streams, and the streams that do not exist yet; sorted by name."""
    streams = [replace(stream, served=declared.get(stream.name)) for stream in found]
    missing = declared.keys() - {stream.name for stream in streams}
    streams += [Stream(name, problem=declared[name].note(), served=declared[name]) for name in missing]
    return sorted(streams, key=lambda stream: stream.name)
