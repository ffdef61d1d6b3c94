"""Checks that the GStreamer plugin exists, loads, can be found, and is the only plugin with its element names."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

from .._iox2.domain import Domain
from .._namesake import namesake
from .._plugin import MIN_GSTREAMER, gstreamer_version, library_folders, plugin_library, plugin_version
from .finding import Finding, note, ok, problem

_ELEMENTS: Final = (b"iceoryx2sink", b"iceoryx2src", b"sh4ltsink", b"sh4ltsrc")
_MISSING: Final = re.compile(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object file")
_PACKAGES: Final = {
    "libgstreamer-1.0.so.0": "libgstreamer1.0-0",
    "libgstbase-1.0.so.0": "libgstreamer1.0-0",
    "libgstvideo-1.0.so.0": "libgstreamer-plugins-base1.0-0",
    "libgstallocators-1.0.so.0": "libgstreamer-plugins-base1.0-0",
    "libgstaudio-1.0.so.0": "libgstreamer-plugins-base1.0-0",
    "libgobject-2.0.so.0": "libglib2.0-0",
    "libglib-2.0.so.0": "libglib2.0-0",
}


def check(domain: Domain, fix: bool) -> Iterator[Finding]:
    """Check GStreamer, the plugin and its dependencies, and whether pipelines find the plugin."""
    sentence = namesake()
    if sentence is not None:
        what, _, how = sentence.rpartition("; ")
        yield problem(what, how)
    gstreamer = gstreamer_version()
    if gstreamer is None:
        yield note(
            "GStreamer is not installed on this machine; the Python SDK and these commands do not need it",
            "to use the elements: apt install libgstreamer1.0-0 gstreamer1.0-plugins-base",
        )
    elif tuple(map(int, gstreamer.split(".")[:2])) < MIN_GSTREAMER:
        wanted = ".".join(map(str, MIN_GSTREAMER))
        yield problem(
            f"GStreamer is {gstreamer}, but the elements need {wanted} or newer",
            "use a newer distribution",
        )
    try:
        library = plugin_library()
    except RuntimeError as exc:
        what, _, how = str(exc).partition(". To build it, you need: ")
        yield note(f"{what}. The Python SDK works without it", f"what it needs: {how}" if how else None)
        return
    if gstreamer is None:
        return
    try:
        stated = plugin_version()
    except RuntimeError as exc:
        missing = _MISSING.search(str(exc))
        package = _PACKAGES.get(missing[1]) if missing else None
        yield problem(
            f"{library} does not load: {exc}",
            f"apt install {package}" if package else "rebuild it on this machine: pip install --force-reinstall .",
        )
        return
    own = version("iox2-video")
    if stated != own:
        yield problem(
            f"the plugin is version {stated}, but the package is {own}, so one of them belongs to another installation",
            "pip install --force-reinstall --no-deps .",
        )
        return
    text = f"version {stated} in {library.parent}, loads into GStreamer {gstreamer}"
    if any(_is_same(folder, library.parent) for folder in library_folders()):
        yield ok(f"{text}; pipelines find it")
    else:
        yield note(
            f"{text}; pipelines find it only through setup_gstreamer() or GST_PLUGIN_PATH, which is now "
            f"{os.environ.get('GST_PLUGIN_PATH', '')!r}",
            "export GST_PLUGIN_PATH=$(iox2-video plugin-path)",
        )
    if importlib.util.find_spec("gi") is None:
        yield note(
            f"{sys.executable} does not have PyGObject, so setup_gstreamer() will not work in it",
            "apt install python3-gi gir1.2-gstreamer-1.0, and use a virtual environment created with "
            "--system-site-packages",
        )


def check_names(domain: Domain, fix: bool) -> Iterator[Finding]:
    """Search GStreamer's plugin folders for other plugins with our element names."""
    try:
        own: Path | None = plugin_library()
    except RuntimeError:
        own = None
    others = []
    count = 0
    for folder in library_folders():
        # GStreamer also searches deeper folders, but distributions do not install plugins there.
        for file in sorted(
            found for end in ("so", "dylib") for found in (*folder.glob(f"*.{end}"), *folder.glob(f"*/*.{end}"))
        ):
            if own is not None and _is_same(file, own):
                continue
            count += 1
            names = _names_in(file)
            if names:
                others.append((file, names))
    for file, names in others:
        yield problem(
            f"{file} also provides {', '.join(names)}; if two plugins provide the same element, GStreamer uses the one "
            "that it loaded last",
            "remove this file, or remove its folder from GST_PLUGIN_PATH; gst-inspect-1.0 ELEMENT shows which plugin "
            "is used (Filename)",
        )
    if not others:
        yield ok(f"none of the {count} other plugins provides elements with these names")


def _names_in(file: Path) -> list[str]:
    try:
        content = file.read_bytes()
    except OSError:
        return []
    return [name.decode() for name in _ELEMENTS if name in content]


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
