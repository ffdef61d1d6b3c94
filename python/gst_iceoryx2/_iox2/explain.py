"""Translates iceoryx2's errors into this package's errors; `obstacle` finds causes in the operating system."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from ..contract import contract, message
from ..errors import (
    DomainError,
    Iox2VideoError,
    OutOfSharedMemoryError,
    ServiceBrokenError,
    ServiceMismatchError,
    ServicePermissionError,
    TooManyPortsError,
    TransportError,
    VersionMismatchError,
)
from .description import read_service
from .domain import Domain, Pattern
from .service_name import is_packet_service, is_results_service

RELEASE: Final = "0.10.0"
"""Release of iceoryx2, which refuses any other release, even another patch level (SPEC.md section 1)."""

HANGS: Final = "HangsInCreation"
HALF_CREATED: Final = (HANGS, "ServiceInCorruptedState")
"""Errors that occur after a process crashed while it was creating a service."""

FULL: Final[Mapping[str, tuple[str, Pattern, str]]] = {
    "ExceedsMaxSupportedPublishers": ("publisher", "PublishSubscribe", "max_publishers"),
    "ExceedsMaxSupportedSubscribers": ("subscriber", "PublishSubscribe", "max_subscribers"),
    "ExceedsMaxSupportedListeners": ("listener", "Event", "max_listeners"),
    "ExceedsMaxSupportedNotifiers": ("notifier", "Event", "max_notifiers"),
    "ExceedsMaxNumberOfNodes": ("participant", "PublishSubscribe", "max_nodes"),
}
"""Errors of a full service: the kind of port, the kind of service, and the setting with the limit."""

_ADVICE: Final = {"publisher": "close_publisher", "subscriber": "close_subscriber"}

# A socket's name is <root>/<prefix><a number of up to 34 digits>.event, at most 107 bytes. Source: unix(7).
_MAX_PLACE: Final = 66

_ERRORS: Final[Mapping[str, type[Iox2VideoError]]] = {
    "permission": ServicePermissionError,
    "domain": DomainError,
    "memory": OutOfSharedMemoryError,
    "limit": TransportError,
}


class Obstacle(NamedTuple):
    """A reason why this process cannot take part in a domain. Its text is the same in Python and Rust.

    Attributes:
        kind: Selects the class of the exception.
        text: The problem, with paths and numbers; then, after a semicolon, the remedy.
    """

    kind: Literal["permission", "domain", "memory", "limit"]
    text: str

    def parts(self) -> tuple[str, str]:
        """Return the problem and the remedy."""
        fault, _, remedy = self.text.partition("; ")
        return fault, remedy

    def error(self, doing: str) -> Iox2VideoError:
        """Return the error to raise.

        Args:
            doing: The failed operation, as verb and object, such as the result of `taking_part`.
        """
        return _ERRORS[self.kind](message("obstacle", doing=doing, obstacle=self.text))


def taking_part(domain: Domain, service: str | None = None) -> str:
    """Return the failed operation, as verb and object: taking part in a domain, or opening a service in it."""
    if service is None:
        return message("take_part", root=domain.root)
    return message("open_service", service=service, root=domain.root)


def words_of(number: int) -> str:
    """Return the operating system's text for an errno."""
    return f"{os.strerror(number)} (os error {number})"


def explain(exc: Exception, domain: Domain, name: str, doing: str) -> Iox2VideoError:
    """Return the error to raise for an iceoryx2 error.

    Args:
        exc: The iceoryx2 binding's exception; its text is the name of a Rust enum variant.
        domain: Domain of the service.
        name: Name of the service.
        doing: The failed operation, as verb and object: "create a publisher".
    """
    problem = str(exc)
    patterns: tuple[Pattern, ...] = ("PublishSubscribe", "Event")
    records = {pattern: read_service(domain.service_file(name, pattern)) for pattern in patterns}
    for record in records.values():
        if record is not None and record.version != RELEASE:
            return VersionMismatchError(message("version_mismatch", service=name, theirs=record.version, ours=RELEASE))
    there = records["PublishSubscribe"]
    if "IncompatibleTypes" in problem and there is not None:
        found = f"{there.type_of('payload')} with the header {there.type_of('user_header')}"
        part, kind = _expected(name)
        wanted = contract("layout")[part]
        if found.startswith("slices of u8 (") and f"header {wanted['type_name']} ({wanted['size']} bytes" in found:
            # It carries what its name says, so it was opened for frames.
            wanted, kind = contract("layout")["header"], "video frames"
        return ServiceMismatchError(
            message(
                "type_mismatch", service=name, found=found, kind=kind, size=wanted["size"], header=wanted["type_name"]
            )
        )
    for word, (port, pattern, setting) in FULL.items():
        if word in problem:
            record = records[pattern]
            limit = "all" if record is None else record.values.get(f"messaging_pattern.{pattern}.{setting}", "all")
            advice = _advice(port, name, setting)
            return TooManyPortsError(message("too_many_ports", port=port, service=name, limit=limit, advice=advice))
    if any(word in problem for word in (*HALF_CREATED, "SystemInFlux", "FailedToDeserialize")):
        files = " and ".join(domain.service_files(name))
        return ServiceBrokenError(message("half_created", service=name, state=problem, files=files))
    if "ResourceCreationFailed" in problem and len(domain.root) + len(domain.prefix) > _MAX_PLACE:
        return DomainError(
            f"cannot {doing} {name!r}: root path and prefix of the iceoryx2 domain, {domain.root!r} and "
            f"{domain.prefix!r}, have {len(domain.root) + len(domain.prefix)} bytes together, and sockets with names "
            f"made of them are limited to 107 bytes; use at most {_MAX_PLACE}"
        )
    return TransportError(message("iceoryx2_failed", operation=doing, service=name, cause=problem))


def _advice(port: str, name: str, setting: str) -> str:
    """Return what to do if a service admits no more ports."""
    if port == "publisher" and (is_packet_service(name) or is_results_service(name)):
        return message("close_only_publisher")
    return message(_ADVICE[port], setting=setting) if port in _ADVICE else message("close_participant")


def _expected(name: str) -> tuple[str, str]:
    """Return the entry of `layout.json` with the header of a service, and what the service carries."""
    if is_packet_service(name):
        return "packet", "packets"
    return ("results", "results") if is_results_service(name) else ("header", "video frames")
