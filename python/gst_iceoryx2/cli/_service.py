"""Names of services and of streams of this machine, for commands that take nothing else."""

from __future__ import annotations

from typing import Any

import click

from gst_iceoryx2.cli._naming import StreamName
from gst_iceoryx2.discovery.names import SCHEMES, SH4LT


class ServiceName(StreamName):
    """A stream that is no Sh4lt path and no Zenoh key.

    Args:
        is_source: Whether the command takes frames from it, or brings frames there.
    """

    def __init__(self, *, is_source: bool) -> None:
        self._is_source = is_source

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As for any stream; another kind of end is refused with the way around."""
        if isinstance(value, str) and value.startswith(SCHEMES):
            way = f"{value} NAME" if self._is_source else f"NAME {value}"
            self.fail(f"{value} is no service: `iox2-video bridge {way}` goes between the two", param, ctx)
        return super().convert(value, param, ctx)


class LocalStream(StreamName):
    """A stream of this machine: a service or a Sh4lt path."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As for any stream; a key is refused with the way around."""
        if isinstance(value, str) and value.startswith(SCHEMES) and not value.startswith(SH4LT):
            self.fail(f"{value} is no stream of this machine: `iox2-video bridge {value} NAME` makes one", param, ctx)
        return super().convert(value, param, ctx)
