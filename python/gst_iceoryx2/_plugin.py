"""Locate the compiled GStreamer plugin, register it in this process, and query the host's GStreamer.

Only this module imports `gi`, and it does so inside functions, because the SDK also works without GStreamer.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import sys
from pathlib import Path
from typing import Any

PLUGIN_NAME = "iceoryx2"
"""Name of the GStreamer plugin."""
SINK_ELEMENT_NAME = "iceoryx2sink"
"""Name of the publishing element."""
SRC_ELEMENT_NAME = "iceoryx2src"
"""Name of the receiving element."""
ELEMENT_NAMES = (SINK_ELEMENT_NAME, SRC_ELEMENT_NAME)
"""Names of both elements."""
ELEMENT_NAME = SINK_ELEMENT_NAME
"""Alias of `SINK_ELEMENT_NAME` from the first releases."""

MIN_GSTREAMER = (1, 22)

_FOLDER = Path(__file__).parent / "plugins"
_ON_MAC = sys.platform == "darwin"
_LIBRARY_NAME = "libgsticeoryx2.dylib" if _ON_MAC else "libgsticeoryx2.so"
_LIBGSTREAMER = "libgstreamer-1.0.0.dylib" if _ON_MAC else "libgstreamer-1.0.so.0"
# hatch_build.py writes this file if it does not build the plugin.
_REASON_FILE = "NOT_BUILT.txt"

if _ON_MAC:
    _GET_BUILD_TOOLS = "brew install rust pkg-config gstreamer"
    _GET_BINDINGS = "brew install pygobject3 gstreamer"
else:
    _GET_BUILD_TOOLS = (
        "apt install gcc pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev, "
        "and Rust from https://rustup.rs (on Debian also: apt install rustc-web cargo-web)"
    )
    _GET_BINDINGS = (
        "apt install python3-gi gir1.2-gstreamer-1.0, and a Python that sees them: /usr/bin/python3, "
        "or a virtual environment made with /usr/bin/python3 -m venv --system-site-packages"
    )


def plugin_path() -> Path:
    """Return the folder that contains the compiled plugin, for GST_PLUGIN_PATH.

    Raises:
        RuntimeError: This installation does not contain the plugin; the message says why and how to get it.
    """
    return plugin_library().parent


def plugin_library() -> Path:
    """Return the path of the compiled plugin.

    Raises:
        RuntimeError: This installation does not contain the plugin; the message says why and how to get it.
    """
    library = _FOLDER / _LIBRARY_NAME
    if library.is_file():
        return library
    try:
        reason = (_FOLDER / _REASON_FILE).read_text().strip()
    except FileNotFoundError:
        reason = "its build has not run"
    raise RuntimeError(
        f"this installation of iox2-video does not contain the GStreamer plugin ({library}): {reason}. "
        f"To build it, you need: {_GET_BUILD_TOOLS}. Then install again from the source tree: `make develop`, "
        "or `pip install --force-reinstall --no-deps .`. The Python SDK (gst_iceoryx2.video) works without it."
    )


def launch_words(pipeline: str) -> list[str]:
    """Return the words of a pipeline for `gst-launch-1.0`, split as by a shell.

    Args:
        pipeline: A pipeline to which `! iceoryx2sink` will be added.

    Raises:
        ValueError: It cannot be such a pipeline; the message begins with a verb.
    """
    try:
        words = shlex.split(pipeline)
    except ValueError as exc:
        raise ValueError(f"cannot be split into words: {str(exc).lower()}") from None
    if not words:
        raise ValueError('is empty; write what to publish, such as "videotestsrc is-live=true"')
    # The name of the last element, which its properties follow.
    last = words[-1] if words[-1] == "!" else [*" ".join(words).rpartition(" ! ")[2].split(), ""][0]
    if last in ("!", SINK_ELEMENT_NAME):
        raise ValueError(f'ends with "{last}"; leave it out, because "! {SINK_ELEMENT_NAME}" is added')
    return words


def setup_gstreamer(*, verify: bool = True) -> None:
    """Register ``iceoryx2sink`` and ``iceoryx2src`` with the GStreamer of this process.

    This initialises GStreamer if necessary. You can call it before or after ``Gst.init()``, any number of times.

    Args:
        verify: Also create one element of each kind, to detect a plugin that loads but does not work.

    Raises:
        RuntimeError: The plugin is missing or does not load, GStreamer's Python bindings are missing, GStreamer is too
            old, an element is not registered, or another file provides elements with these names.
    """
    library = plugin_library()
    gst = _initialised_gst()
    origins = {name: _origin(gst, name) for name in ELEMENT_NAMES}
    for name, origin in origins.items():
        if origin is not None and not _same_file(origin, library):
            raise RuntimeError(
                f"the element {name} is already provided by {origin}, but this package provides {library}. "
                "Two builds of one plugin cannot be used in one process: remove the other file, or take its folder "
                f"out of GST_PLUGIN_PATH (now: {os.environ.get('GST_PLUGIN_PATH', '')!r})."
            )
    if None in origins.values():
        _load(gst, library)
    if verify:
        for name in ELEMENT_NAMES:
            _verify(gst, name, library)


def _initialised_gst() -> Any:
    try:
        import gi

        gi.require_version("Gst", "1.0")
        from gi.repository import Gst
    except (ImportError, ValueError) as exc:
        raise RuntimeError(
            f"{sys.executable} cannot import GStreamer's Python bindings ({exc}). How to get them: {_GET_BINDINGS}."
        ) from exc
    if not Gst.is_initialized():
        Gst.init(None)
    if tuple(Gst.version())[:2] < MIN_GSTREAMER:
        wanted = ".".join(map(str, MIN_GSTREAMER))
        raise RuntimeError(f"iox2-video needs GStreamer {wanted} or newer, but this is {Gst.version_string()}.")
    return Gst


def _origin(gst: Any, element: str) -> str | None:
    """Return the file of the plugin that provides an element; None if the element does not exist."""
    factory = gst.ElementFactory.find(element)
    if factory is None:
        return None
    plugin = factory.get_plugin()
    # A Rust program may have linked the plugin statically. Then it is ours and does not have a file.
    return None if plugin is None else plugin.get_filename() or str(_FOLDER / _LIBRARY_NAME)


def _same_file(origin: str, library: Path) -> bool:
    try:
        return os.path.samefile(origin, library)
    except FileNotFoundError:
        return False


def _load(gst: Any, library: Path) -> None:
    from gi.repository import GLib

    try:
        gst.Plugin.load_file(str(library))
    except GLib.Error as exc:
        raise RuntimeError(
            f"{gst.version_string()} cannot load {library}: {exc.message}. "
            "If a symbol is undefined, the plugin was built against a newer GStreamer: build it again on this machine."
        ) from exc


def _verify(gst: Any, element: str, library: Path) -> None:
    if gst.ElementFactory.find(element) is None:
        raise RuntimeError(
            f"{library} was loaded, but did not register the element {element}: the library is from another release."
        )
    if gst.ElementFactory.make(element, None) is None:
        raise RuntimeError(f"{library} registered {element}, but GStreamer cannot create one; GST_DEBUG=*:3 shows why.")


def gstreamer_version() -> str | None:
    """Return the version of the host's GStreamer without using its Python bindings; None if it is not installed."""
    try:
        library = ctypes.CDLL(_LIBGSTREAMER)
    except OSError:
        return None
    parts = [ctypes.c_uint() for _ in range(4)]
    library.gst_version(*(ctypes.byref(part) for part in parts))
    return ".".join(str(part.value) for part in parts[:3])


class _DlInfo(ctypes.Structure):
    """Source: dladdr(3)."""

    _fields_ = (
        ("dli_fname", ctypes.c_char_p),
        ("dli_fbase", ctypes.c_void_p),
        ("dli_sname", ctypes.c_char_p),
        ("dli_saddr", ctypes.c_void_p),
    )


def library_folders() -> list[Path]:
    """Return the existing folders where the host's GStreamer searches for plugins; empty without GStreamer.

    Source: gst_update_registry() in gst/gstregistry.c, and gst-running in GStreamer's documentation.
    """
    try:
        library = ctypes.CDLL(_LIBGSTREAMER)
    except OSError:
        return []
    environ = os.environ

    def listed(name: str) -> list[str] | None:
        text = environ.get(f"{name}_1_0", environ.get(name))
        return None if text is None else [part for part in text.split(os.pathsep) if part]

    folders = listed("GST_PLUGIN_PATH") or []
    system = listed("GST_PLUGIN_SYSTEM_PATH")
    if system is None:
        data = environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
        system = [f"{data}/gstreamer-1.0/plugins"]
        info = _DlInfo()
        if ctypes.CDLL(None).dladdr(library.gst_version, ctypes.byref(info)) and info.dli_fname:
            system.append(os.path.join(os.path.dirname(os.path.realpath(os.fsdecode(info.dli_fname))), "gstreamer-1.0"))
    return [Path(path) for path in dict.fromkeys([*folders, *system]) if os.path.isdir(path)]


class _PluginDesc(ctypes.Structure):
    """The first fields of GstPluginDesc, up to the version. Source: gst/gstplugin.h."""

    _fields_ = (
        ("major_version", ctypes.c_int),
        ("minor_version", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("plugin_init", ctypes.c_void_p),
        ("version", ctypes.c_char_p),
    )


def plugin_version() -> str:
    """Return the version of the compiled plugin, without initialising GStreamer.

    Raises:
        RuntimeError: The plugin is missing, or it cannot be opened because GStreamer is missing or too old.
    """
    path = plugin_library()
    try:
        describe = ctypes.CDLL(str(path)).gst_plugin_iceoryx2_get_desc
    except (OSError, AttributeError) as exc:
        raise RuntimeError(f"the GStreamer plugin cannot be opened: {exc}") from exc
    describe.restype = ctypes.POINTER(_PluginDesc)
    version: bytes = describe().contents.version
    return version.decode()
