"""Argument and option types shared by several commands."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2._iox2.service_name import check_name, check_service_name
from gst_iceoryx2.cli._outcome import Misused
from gst_iceoryx2.discovery import detectors
from gst_iceoryx2.discovery.names import SCHEMES, SH4LT, full_name, names, short_name
from gst_iceoryx2.discovery.served import served
from gst_iceoryx2.errors import Iox2VideoError
from gst_iceoryx2.serve.values import WrongValueError, span_of

if TYPE_CHECKING:
    _TextType = click.ParamType[str]
else:
    # In older releases of click, ParamType is not generic at run time.
    _TextType = click.ParamType

# A shell may interpret other characters, such as a newline or `$(…)`.
_PLAIN: Final = re.compile(r"[\w./:@%+=,-]+", re.ASCII)


class StreamName(_TextType):
    """A stream, given by its short or full name; the command receives the full name."""

    name = "stream"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Expand a short name, and reject an invalid service name."""
        full = full_name(value)
        # Different rules apply to Sh4lt paths and Zenoh keys.
        return full if full.startswith(SCHEMES) else self._check(full)

    def _check(self, name: str) -> str:
        return check_service_name(name)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete short names, and full names if the input has a slash; omit names that a shell would interpret."""
        try:
            existing = [*names(), *served(current_domain())]
        except Iox2VideoError:
            return []
        known = sorted({short_name(name) for name in existing} | set(existing if "/" in incomplete else ()))
        return [CompletionItem(name) for name in known if name.startswith(incomplete) and _PLAIN.fullmatch(name)]


STREAM: Final = StreamName()


class ServiceName(StreamName):
    """A stream given as a service name, not as a Sh4lt path or Zenoh key.

    Args:
        is_source: True if the command receives frames from the service, False if it publishes them there.
    """

    def __init__(self, *, is_source: bool) -> None:
        self._is_source = is_source

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Expand a short name; reject a path or key with an error that shows the bridge command to use."""
        if isinstance(value, str) and value.startswith(SCHEMES):
            ends = f"{value} NAME" if self._is_source else f"NAME {value}"
            self.fail(f"{value} is not a service; to connect it to one, run `iox2-video bridge {ends}`", param, ctx)
        return super().convert(value, param, ctx)


def only_services(names: Iterable[str], used: str) -> None:
    """Refuse Sh4lt paths and Zenoh keys with an option that needs services.

    Args:
        names: Full names of streams.
        used: The option.
    """
    for name in names:
        if name.startswith(SCHEMES):
            raise Misused(f"{used} shows services, not {name}; first run `iox2-video bridge {name} NAME`")


class ServiceOrPackets(ServiceName):
    """A service of frames, or the packets of a stream: `cam0@h264`."""

    def _check(self, name: str) -> str:
        return check_name(name)


class LocalStream(StreamName):
    """A stream on this machine: a service or a Sh4lt path."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Expand a short name; reject a key with an error that shows the bridge command to use."""
        if isinstance(value, str) and value.startswith(SCHEMES) and not value.startswith(SH4LT):
            remedy = f"to publish it as a service, run `iox2-video bridge {value} NAME`"
            self.fail(f"{value} is not a stream on this machine; {remedy}", param, ctx)
        return super().convert(value, param, ctx)


class AnyEnd(StreamName):
    """A stream on this machine, which may be an encoded one, a Zenoh key, or a ROS 2 topic."""

    def _check(self, name: str) -> str:
        return check_name(name)


class LocalOrEncodedStream(LocalStream):
    """A stream on this machine, which may be an encoded one."""

    def _check(self, name: str) -> str:
        return check_name(name)


class Seconds(_TextType):
    """A time as in a file of `iox2-video serve`: "20s", "1min", "500ms", or a number of seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert the time to seconds."""
        try:
            return span_of(value)
        except WrongValueError as exc:
            self.fail(str(exc), param, ctx)


class Detector(_TextType):
    """Name of a detector."""

    name = "detector"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete the detectors of the streams that are already typed; without one, of all streams."""
        given = ctx.params.get("names") or [ctx.params.get("name")]
        try:
            known = sorted({found for name in given for found in detectors(name)})
        except Iox2VideoError:
            return []
        return [CompletionItem(name) for name in known if name.startswith(incomplete)]


DETECTOR: Final = Detector()


class Above0(click.FloatRange):
    """A number greater than 0. Click's range check alone would accept "nan"."""

    def __init__(self, most: float | None = None) -> None:
        super().__init__(0, most, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Convert the value to a number in the range; reject "nan"."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number.", param, ctx)
        return number
