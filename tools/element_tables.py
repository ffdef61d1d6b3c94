"""Writes the tables of properties and signals in docs/elements.md, from the descriptions in the elements.

Usage: python tools/element_tables.py           prints them
       python tools/element_tables.py --write   writes them between the markers of the page

Needs GStreamer, PyGObject and the built plugin.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GObject, Gst  # noqa: E402

from gst_iceoryx2 import ELEMENT_NAMES, setup_gstreamer  # noqa: E402

PAGE = Path(__file__).parents[1] / "docs" / "elements.md"
# Source: GST_PARAM_MUTABLE_PLAYING in gst/gstparamspecs.h.
_MUTABLE_PLAYING = 1 << (GObject.PARAM_USER_SHIFT + 4)
_TYPES = {"gchararray": "string", "gboolean": "boolean", "guint": "uint", "gint": "int", "guint64": "uint64"}


def markers(element: str) -> tuple[str, str]:
    """The lines around an element's tables."""
    return f"<!-- {element}: written by tools/element_tables.py -->", f"<!-- {element}: end -->"


def tables(element: str) -> str:
    """An element's own properties and signals as Markdown, without inherited ones."""
    made = Gst.ElementFactory.make(element)
    lines = ["| property | type | default | meaning |", "|---|---|---|---|"]
    specs = [spec for spec in made.list_properties() if spec.owner_type == made.__gtype__]
    # Writable properties first, then the counters.
    for spec in sorted(specs, key=lambda spec: not spec.flags & GObject.ParamFlags.WRITABLE):
        default = f"`{_value(made, spec)}`" if spec.flags & GObject.ParamFlags.WRITABLE else "read-only"
        lines.append(f"| `{spec.name}` | {_type(spec)} | {default} | {_meaning(made, spec)} |")
    signals = GObject.signal_list_names(made.__gtype__)
    if signals:
        lines += ["", "| signal | arguments |", "|---|---|"]
        for name in signals:
            query = GObject.signal_query(name, made.__gtype__)
            kinds = ", ".join(_TYPES.get(kind.name, kind.name) for kind in query.param_types)
            lines.append(f"| `{name}` | {kinds}: subscribers now |")
    return "\n".join(lines)


def _type(spec: Any) -> str:
    name = _TYPES.get(spec.value_type.name, "enum")
    return f"{name}, also in PLAYING" if spec.flags & _MUTABLE_PLAYING else name


def _value(element: Any, spec: Any) -> str:
    # A new element has the default values. PyGObject's own default of an enum differs between releases.
    value = element.get_property(spec.name)
    if isinstance(value, bool):
        return str(value).lower()
    return str(getattr(value, "value_nick", value))


def _meaning(element: Any, spec: Any) -> str:
    text = spec.blurb
    if hasattr(spec, "enum_class"):
        # PyGObject 3.50 wraps spec.enum_class in another way.
        values = type(element.get_property(spec.name)).__enum_values__.values()
        text += ": " + "; ".join(f"`{value.value_nick}` = {value.value_name}" for value in values)
    return text.replace("|", "\\|")


def with_tables(page: str) -> str:
    """The page with current tables."""
    for element in ELEMENT_NAMES:
        first, last = markers(element)
        pattern = re.compile(f"{re.escape(first)}\n.*?{re.escape(last)}", re.DOTALL)
        if len(pattern.findall(page)) != 1:
            raise ValueError(f"{PAGE}: the markers of {element} must be there exactly once")
        page = pattern.sub("\n\n".join([first, tables(element), last]).replace("\\", r"\\"), page)
    return page


if __name__ == "__main__":
    setup_gstreamer()
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(with_tables(PAGE.read_text()))
    else:
        print("\n\n".join(map(tables, ELEMENT_NAMES)))
