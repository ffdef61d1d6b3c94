"""Types of the arguments and options that several commands share."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from gst_iceoryx2._iox2.service_name import check_service_name
from gst_iceoryx2.discovery.names import SCHEMES, SH4LT, full_name, names, short_name
from gst_iceoryx2.errors import Iox2VideoError

if TYPE_CHECKING:
    _TextType = click.ParamType[str]
else:
    # Not generic at run time in older releases of click.
    _TextType = click.ParamType

# A shell gives other characters a meaning: a new line, `$(…)`.
_PLAIN: Final = re.compile(r"[\w./:@%+=,-]+", re.ASCII)


class StreamName(_TextType):
    """A stream by its short or full name; the command gets the full name."""

    name = "stream"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Expand a short name, and refuse what a service cannot have as name."""
        full = full_name(value)
        # Sh4lt paths and Zenoh keys have other rules.
        return full if full.startswith(SCHEMES) else check_service_name(full)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete short names, and full names if one is begun; leave out names that a shell would interpret."""
        try:
            existing = names()
        except Iox2VideoError:
            return []
        known = sorted({short_name(name) for name in existing} | set(existing if "/" in incomplete else ()))
        return [CompletionItem(name) for name in known if name.startswith(incomplete) and _PLAIN.fullmatch(name)]


STREAM: Final = StreamName()


class ServiceName(StreamName):
    """A stream that is not a Sh4lt path or a Zenoh key.

    Args:
        is_source: Whether the command takes frames from the service, or publishes them there.
    """

    def __init__(self, *, is_source: bool) -> None:
        self._is_source = is_source

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Expand a short name; refuse a path or a key, and name the bridge that leads there."""
        if isinstance(value, str) and value.startswith(SCHEMES):
            ends = f"{value} NAME" if self._is_source else f"NAME {value}"
            self.fail(f"{value} is not a service; connect it to one: iox2-video bridge {ends}", param, ctx)
        return super().convert(value, param, ctx)


class LocalStream(StreamName):
    """A stream of this machine: a service or a Sh4lt path."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Expand a short name; refuse a key, and name the bridge that leads there."""
        if isinstance(value, str) and value.startswith(SCHEMES) and not value.startswith(SH4LT):
            self.fail(f"{value} is not on this machine; make it a service: iox2-video bridge {value} NAME", param, ctx)
        return super().convert(value, param, ctx)


class Above0(click.FloatRange):
    """A number above 0.

    "nan" is neither inside nor outside of a range, so a range alone lets it pass.
    """

    def __init__(self, most: float | None = None) -> None:
        super().__init__(0, most, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Convert to a number in the range; refuse "nan"."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number.", param, ctx)
        return number
