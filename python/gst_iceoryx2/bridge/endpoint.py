"""Parses the names of ends. Does not import numpy or Zenoh."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from ..discovery.names import SH4LT, full_name, short_name
from .errors import EndpointError

Kind: TypeAlias = Literal["service", "path", "key"]

_ZENOH: Final = "zenoh:"


class Endpoint(NamedTuple):
    """One end of a bridge.

    Attributes:
        kind: "service", "path" (Sh4lt) or "key" (Zenoh).
        name: Full name of the service, the path, or the key.
    """

    kind: Kind
    name: str

    @classmethod
    def of(cls, text: str) -> Endpoint:
        """Parse `cam0`, `video/cam0/frame/v2`, `sh4lt:/tmp/cam0` or `zenoh:site/cam0`.

        Raises:
            EndpointError: The name is empty.
        """
        kind: Kind = "path" if text.startswith(SH4LT) else "key" if text.startswith(_ZENOH) else "service"
        name = full_name(text) if kind == "service" else text.partition(":")[2]
        if not name:
            raise EndpointError(f"{text!r} lacks a name; use NAME, sh4lt:PATH or zenoh:KEY")
        return cls(kind, name)

    def __str__(self) -> str:
        if self.kind == "service":
            return short_name(self.name)
        return f"{SH4LT if self.kind == 'path' else _ZENOH}{self.name}"


def check_pair(source: Endpoint, target: Endpoint) -> None:
    """Refuse a bridge from an end to itself.

    Raises:
        EndpointError: Both ends are the same.
    """
    if source == target:
        raise EndpointError(f"both ends are {source}; a bridge needs two different ends")
