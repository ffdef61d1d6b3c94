"""Converts, lists and suggests names of streams. Does not import iceoryx2."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from .._iox2.description import ServiceRecord, list_services
from .._iox2.domain import Domain, current_domain
from .._iox2.obstacle import check_folders
from .._iox2.service_name import is_packet_service
from .._wire.rendition import RenditionName, codec_of
from ..errors import FormatError, ServiceNotFoundError
from .served import Served, State, served, supervisors

SH4LT: Final = "sh4lt:"
"""Prefix of Sh4lt paths."""

SCHEMES: Final = (SH4LT, "zenoh:", "ros2:")
"""Prefixes of names that do not name services. These names have no short form."""

_FULL: Final = re.compile(r"video/([^/]+)/(frame/v2|packet/v1)")
_HEADER_BYTES: Final = 104


def full_name(name: str) -> str:
    """Return the full name of a stream: `video/cam0/frame/v2` for `cam0`, `video/cam0@h264/packet/v1` for `cam0@h264`.

    A name that contains a slash, or starts with `sh4lt:`, `zenoh:` or `ros2:`, is already a full name.
    """
    if not name or "/" in name or name.startswith(SCHEMES):
        return name
    return f"video/{name}/{'frame/v2' if codec_of(name) is None else 'packet/v1'}"


def service_name(name: str) -> str:
    """Return the full name of an iceoryx2 service, given its short or full name.

    Raises:
        ValueError: The name is a Sh4lt path, a Zenoh key or a ROS 2 topic.
    """
    full = full_name(name)
    if full.startswith(SCHEMES):
        raise ValueError(f"{name} is not a service; to publish it as a service, run `iox2-video bridge {name} NAME`")
    return full


def short_name(name: str) -> str:
    """Return the shortest name that `full_name` expands to this name."""
    match = _FULL.fullmatch(name)
    return match[1] if match and full_name(match[1]) == name else name


def video_records(domain: Domain) -> list[ServiceRecord]:
    """Return the descriptions of a domain's video services, whichever iceoryx2 release created them.

    Raises:
        ServicePermissionError: The domain belongs to another user.
    """
    check_folders(domain, f"read the iceoryx2 domain {domain.root}")
    return [record for record in list_services(domain) if carries_video(record)]


def carries_video(record: ServiceRecord) -> bool:
    """Return whether a service carries video, as defined by the wire contract (SPEC.md section 1)."""
    details = "messaging_pattern.PublishSubscribe.message_type_details"
    return (
        record.values.get(f"{details}.payload.type_name") == "u8"
        and record.values.get(f"{details}.user_header.type_name") == "VideoFrameHeader"
        and record.values.get(f"{details}.user_header.size") == _HEADER_BYTES
    )


def names() -> list[str]:
    """Return the full names of the video services in this process's domain, sorted.

    Services without a publisher are included.

    Reading the descriptions of ten services takes about a millisecond.

    Raises:
        DomainError: The domain of this process cannot be used.
        ServicePermissionError: The domain belongs to another user.
    """
    return sorted(record.name for record in video_records(current_domain()))


def nearest(name: str, among: Iterable[str]) -> str | None:
    """Return the existing name that is most similar to a mistyped one.

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


def served_as(domain: Domain, name: str, existing: Collection[str]) -> Served | None:
    """Return what supervisors say about a stream, also about a rendition that nobody has asked for yet.

    Args:
        domain: Domain of the stream.
        name: Full name of the stream.
        existing: Full names of the existing streams.

    Returns:
        The state; None if no supervisor starts the stream when somebody reads it.

    Raises:
        FormatError: The name is a rendition's that cannot be.
    """
    found = served(domain)
    rendition = None if name in found else RenditionName.parse(short_name(name))
    if rendition is None:
        return found.get(name)
    about = f"from {rendition.source}"
    source = full_name(rendition.source)
    declared = found.get(source)
    if declared is not None:
        state: State = "waiting" if declared.state == "waiting" else "off"
        return replace(declared, name=name, state=state, about=about, readers=0)
    everything = [pid for pid, file in supervisors(domain).items() if file is None]
    if source not in existing or not everything:
        return None
    return Served(name, "off", about, 0, everything[0], None, None, None)


def why_silent(name: str) -> str | None:
    """Return why a stream that `iox2-video serve` starts for its readers has no frames; None if nobody knows.

    Args:
        name: Name of the stream, short or in full.
    """
    try:
        declared = served_as(current_domain(), full_name(name), ())
    except FormatError as exc:
        return str(exc)
    return None if declared is None or declared.error is None else declared.note()


def require(name: str) -> str:
    """Return the full name of an existing stream, or of one that `iox2-video serve` starts for its readers.

    Args:
        name: Name of the stream, short or in full.

    Raises:
        ServiceNotFoundError: The service does not exist (the message suggests a similar name) or does not carry video.
        DomainError: The domain of this process cannot be used.
        ServicePermissionError: The domain belongs to another user.
    """
    full = full_name(name)
    existing = names()
    if full in existing or full.startswith(SCHEMES):
        return full
    domain, asked = current_domain(), short_name(full)
    if is_packet_service(full):
        raise ServiceNotFoundError(
            f'"{asked}" is a stream of {codec_of(asked)} packets, not of frames; read it with gst_iceoryx2.packets'
        )
    impossible = None
    try:
        if served_as(domain, full, existing) is not None:
            return full
    except FormatError as exc:
        impossible = str(exc)
    where = f"in {domain.root} (prefix {domain.prefix!r})"
    patterns = {record.pattern for record in list_services(domain) if record.name == full}
    if "PublishSubscribe" in patterns:
        raise ServiceNotFoundError(f'"{asked}" {where} does not carry video; `iox2-video list` shows the video streams')
    meant = nearest(name, existing)
    if impossible is not None:
        hint = impossible
    elif "Event" in patterns:
        hint = "a subscriber is waiting for it, but it has no publisher"
    elif meant is not None:
        hint = f"did you mean {meant}?"
    elif existing:
        hint = f"existing streams: {', '.join(map(short_name, existing[:8]))}{', …' if len(existing) > 8 else ''}"
    else:
        hint = "the domain has no streams; IOX2_VIDEO_DOMAIN selects another domain"
    raise ServiceNotFoundError(f'no such stream "{asked}" {where}: {hint}')
