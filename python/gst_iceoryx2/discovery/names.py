"""Short and full names of streams, existing names, and suggestions. Needs no iceoryx2."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from .._iox2.description import ServiceRecord, list_services
from .._iox2.domain import Domain, current_domain
from .._iox2.obstacle import check_folders
from ..errors import ServiceNotFoundError

SH4LT: Final = "sh4lt:"
"""Prefix of Sh4lt paths."""

SCHEMES: Final = (SH4LT, "zenoh:")
"""Prefixes of names that are not services. Such names are always full names."""

_FULL: Final = re.compile(r"video/([^/]+)/frame/v2")
_HEADER_BYTES: Final = 104


def full_name(name: str) -> str:
    """The full name of a stream: `video/cam0/frame/v2` for `cam0`.

    A name with a slash, or with the prefix `sh4lt:` or `zenoh:`, is a full name already.
    """
    return name if not name or "/" in name or name.startswith(SCHEMES) else f"video/{name}/frame/v2"


def service_name(name: str) -> str:
    """The full name of an iceoryx2 service, from its short or full name.

    Raises:
        ValueError: The name is a Sh4lt path or a Zenoh key.
    """
    full = full_name(name)
    if full.startswith(SCHEMES):
        raise ValueError(f"{name} is not a service; `iox2-video bridge {name} NAME` makes a service of it")
    return full


def short_name(name: str) -> str:
    """The shortest name for which `full_name` returns this name."""
    match = _FULL.fullmatch(name)
    return match[1] if match and not match[1].startswith(SCHEMES) else name


def video_records(domain: Domain) -> list[ServiceRecord]:
    """Descriptions of the services of a domain that carry video, of all releases of iceoryx2.

    Raises:
        ServicePermissionError: The domain belongs to another user.
    """
    check_folders(domain, f"look into the iceoryx2 domain {domain.root}")
    return [record for record in list_services(domain) if carries_video(record)]


def carries_video(record: ServiceRecord) -> bool:
    """Whether a service carries video, by the wire contract (SPEC.md section 1)."""
    details = "messaging_pattern.PublishSubscribe.message_type_details"
    return (
        record.values.get(f"{details}.payload.type_name") == "u8"
        and record.values.get(f"{details}.user_header.type_name") == "VideoFrameHeader"
        and record.values.get(f"{details}.user_header.size") == _HEADER_BYTES
    )


def names() -> list[str]:
    """Full names of the video services of this process's domain, sorted, with or without a publisher.

    Reading the descriptions of ten services takes about a millisecond.

    Raises:
        DomainError: The domain of this process cannot be used.
        ServicePermissionError: The domain belongs to another user.
    """
    return sorted(record.name for record in video_records(current_domain()))


def nearest(name: str, among: Iterable[str]) -> str | None:
    """The existing name that is most similar to a mistyped one.

    Args:
        name: The mistyped name, short or in full.
        among: Existing names, short or in full.

    Returns:
        One of `among`, as a short name; None if no name is similar.
    """
    import difflib

    shorts = [short_name(one) for one in among]
    asked = short_name(full_name(name))
    by_case = {short.casefold(): short for short in reversed(shorts)}
    found = difflib.get_close_matches(asked.casefold(), by_case, n=1, cutoff=0.6)
    return by_case[found[0]] if found else None


def require(name: str) -> str:
    """The full name of an existing stream.

    Args:
        name: Name of the stream, short or in full.

    Raises:
        ServiceNotFoundError: There is no such service, or it carries no video; the message suggests a similar name.
        DomainError: The domain of this process cannot be used.
        ServicePermissionError: The domain belongs to another user.
    """
    full = full_name(name)
    existing = names()
    if full in existing or full.startswith(SCHEMES):
        return full
    domain, asked = current_domain(), short_name(full)
    where = f"in {domain.root} (prefix {domain.prefix!r})"
    patterns = {record.pattern for record in list_services(domain) if record.name == full}
    if "PublishSubscribe" in patterns:
        raise ServiceNotFoundError(f'"{asked}" {where} carries no video; `iox2-video list` shows the video streams')
    meant = nearest(name, existing)
    if "Event" in patterns:
        hint = "a subscriber waits for it, but it has no publisher"
    elif meant is not None:
        hint = f"did you mean {meant}?"
    elif existing:
        hint = f"existing streams: {', '.join(map(short_name, existing[:8]))}{', …' if len(existing) > 8 else ''}"
    else:
        hint = "the domain has no streams; IOX2_VIDEO_DOMAIN selects another domain"
    raise ServiceNotFoundError(f'no such stream "{asked}" {where}: {hint}')
