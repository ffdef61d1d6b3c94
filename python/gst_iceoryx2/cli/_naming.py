"""Names of streams on the command line: short ones are expanded, TAB completes those that exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from gst_iceoryx2._iox2.service_name import check_service_name
from gst_iceoryx2.discovery.names import SCHEMES, full_name, names, short_name
from gst_iceoryx2.errors import Iox2VideoError

if TYPE_CHECKING:
    _TextType = click.ParamType[str]
else:
    # Not generic at run time in older releases of click.
    _TextType = click.ParamType


# Of other characters a shell makes something: a new line, `$(…)`.
_PLAIN: Final = re.compile(r"[\w./:@%+=,-]+", re.ASCII)


class StreamName(_TextType):
    """A stream by its short or full name; the command gets the full one."""

    name = "stream"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Expand a short name; refuse what cannot be a name."""
        full = full_name(value)
        # The rest names other things, which have rules of their own.
        return full if full.startswith(SCHEMES) else check_service_name(full)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Names that begin like this: short ones, or full ones where these are typed; none that a shell would run."""
        try:
            existing = names()
        except Iox2VideoError:
            return []
        known = sorted({short_name(name) for name in existing} | set(existing if "/" in incomplete else ()))
        return [CompletionItem(name) for name in known if name.startswith(incomplete) and _PLAIN.fullmatch(name)]


STREAM = StreamName()
