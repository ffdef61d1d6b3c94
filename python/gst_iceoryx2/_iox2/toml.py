"""As much TOML as iceoryx2 writes: tables of scalars on one line each.

The standard library reads TOML from Python 3.11 on; this package runs on 3.10, and neither the service descriptions
nor the two settings of iceoryx2's configuration that are of interest here use more than this.
"""

from __future__ import annotations

import json
import re
from typing import Final, TypeAlias

Scalar: TypeAlias = str | int | float | bool

_TABLE: Final = re.compile(r"\[{1,2}([^\[\]]+)\]{1,2}\s*(?:#.*)?")
_PAIR: Final = re.compile(
    r"""(?P<key>[\w.-]+)\s*=\s*
        (?: '''(?P<long>.*?)''' | '(?P<literal>[^']*)' | (?P<basic>"(?:[^"\\]|\\.)*") | (?P<bare>[^"'#\[\]{}\s]+) )
        \s*(?:\#.*)?""",
    re.VERBOSE,
)


def read_toml(text: str) -> dict[str, Scalar]:
    """Read tables of scalars into one dict with dotted keys; whatever is not that is left out."""
    values: dict[str, Scalar] = {}
    table = ""
    for line in map(str.strip, text.splitlines()):
        header = _TABLE.fullmatch(line)
        if header:
            table = header[1].strip() + "."
            continue
        pair = _PAIR.fullmatch(line)
        value = None if pair is None else _scalar(pair)
        if pair is not None and value is not None:
            values[table + pair["key"]] = value
    return values


def _scalar(pair: re.Match[str]) -> Scalar | None:
    for style in ("long", "literal"):
        if pair[style] is not None:
            return pair[style]
    try:
        # TOML's escapes that occur here, its numbers and its booleans are JSON's, but for the underscores in numbers.
        value = json.loads(pair["basic"] or pair["bare"].replace("_", ""))
    except ValueError:
        return None
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value if isinstance(value, int | float) else None
