"""Names of streams: short and full, those that exist, and the one that was meant. Needs no iceoryx2."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from .._iox2.description import ServiceRecord, list_services
from .._iox2.domain import Domain, current_domain
from .._iox2.obstacle import check_folders
from ..errors import ServiceNotFoundError

SH4LT: Final = "sh4lt:"
"""Begins the name of a stream that is a Sh4lt path."""

SCHEMES: Final = (SH4LT, "zenoh:")
"""Begin names of what is no service: they are never short."""

_FULL: Final = re.compile(r"video/([^/]+)/frame/v2")
_HEADER_BYTES: Final = 104


def full_name(name: str) -> str:
    """The name of a stream in full: `cam0` is `video/cam0/frame/v2`.

    What contains a slash, or begins with `sh4lt:` or `zenoh:`, is full already.
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
    """The shortest name that `full_name` turns into this one."""
    match = _FULL.fullmatch(name)
    return match[1] if match and not match[1].startswith(SCHEMES) else name


def video_records(domain: Domain) -> list[ServiceRecord]:
    """Descriptions of the services of a domain that carry frames, of whatever release of iceoryx2.

    Raises:
        ServicePermissionError: The domain belongs to another user.
    """
    check_folders(domain, f"look into the iceoryx2 domain {domain.root}")
    return [record for record in list_services(domain) if carries_video(record)]


def carries_video(record: ServiceRecord) -> bool:
    """Whether a service is video by the wire contract (SPEC.md section 1)."""
    details = "messaging_pattern.PublishSubscribe.message_type_details"
    return (
        record.values.get(f"{details}.payload.type_name") == "u8"
        and record.values.get(f"{details}.user_header.type_name") == "VideoFrameHeader"
        and record.values.get(f"{details}.user_header.size") == _HEADER_BYTES
    )


def names() -> list[str]:
    """Full names of the video services of this process's domain, whether or not a publisher is there; sorted.

    Reads the descriptions of services, a millisecond for some ten of them.

    Raises:
        DomainError: The domain of this process cannot be used.
        ServicePermissionError: It belongs to another user.
    """
    return sorted(record.name for record in video_records(current_domain()))


def nearest(name: str, among: Iterable[str]) -> str | None:
    """The name that was probably meant.

    Args:
        name: What was asked for, short or in full.
        among: What exists, short or in full.

    Returns:
        One of `among`, in its short form; None if nothing comes near.
    """
    import difflib

    shorts = [short_name(one) for one in among]
    asked = short_name(full_name(name))
    by_case = {short.casefold(): short for short in reversed(shorts)}
    found = difflib.get_close_matches(asked.casefold(), by_case, n=1, cutoff=0.6)
    return by_case[found[0]] if found else None


def require(name: str) -> str:
    """The full name of a stream that exists.

    Args:
        name: Short or in full.

    Raises:
        ServiceNotFoundError: There is no service of this name, or it carries no video; the message names what is near.
        DomainError: The domain of this process cannot be used.
        ServicePermissionError: It belongs to another user.
    """
    full = full_name(name)
    existing = names()
    if full in existing or full.startswith(SCHEMES):
        return full
    domain, asked = current_domain(), short_name(full)
    where = f"in {domain.root} (prefix {domain.prefix!r})"
    patterns = {record.pattern for record in list_services(domain) if record.name == full}
    if "PublishSubscribe" in patterns:
        raise ServiceNotFoundError(f'"{asked}" {where} carries no video: `iox2-video list` shows what does')
    meant = nearest(name, existing)
    if "Event" in patterns:
        hint = "somebody waits for it, and nobody publishes"
    elif meant is not None:
        hint = f"did you mean {meant}?"
    elif existing:
        hint = f"there is {', '.join(map(short_name, existing[:8]))}{', …' if len(existing) > 8 else ''}"
    else:
        hint = "nobody publishes there; IOX2_VIDEO_DOMAIN chooses another domain"
    raise ServiceNotFoundError(f'no such stream "{asked}" {where}: {hint}')
