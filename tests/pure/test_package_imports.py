"""Which room may import which, and what importing the package loads."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "gst_iceoryx2"

# Rooms are the files and folders of the package. A room imports only from the floors below its own.
FLOORS = (
    {"_at_end", "contract", "errors", "_namesake", "_plugin", "work"},
    {"__init__", "_extras", "_iox2", "_launch", "_wire"},
    {"sh4lt", "video"},
    {"discovery", "jpeg", "packets", "results"},
    {"codec", "doctor", "feed", "preview"},
    {"bridge", "foxglove", "record", "rerun", "serve"},
    {"cli"},
    {"__main__"},
)
MAX_FLOORS = 8

# Third-party library -> the one module that imports it.
ONLY_IMPORTER = {"iceoryx2": "_iox2.binding", "gi": "_plugin", "tomli": "_iox2.domain"}
AT_MOST_ONE_IMPORTER = (
    "av",
    "foxglove",
    "foxglove_schemas_protobuf",
    "google",
    "lz4",
    "mcap",
    "rerun",
    "simplejpeg",
    "yaml",
    "zenoh",
    "zstandard",
)


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported_names(module: str) -> set[str]:
    """Return every dotted name that a module imports, also in functions, but not for type checking."""
    names: set[str] = set()
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve(module, node)
            names.update(f"{origin}.{alias.name}" for alias in node.names)
    return names


def resolve(module: str, node: ast.ImportFrom) -> str:
    """Return the full name of the module in a `from … import`, relative or not."""
    if node.level == 0:
        assert node.module is not None
        return node.module
    package = MODULES[module].relative_to(PACKAGE.parent).parent.parts
    base = package[: len(package) - node.level + 1]
    return ".".join(base) + (f".{node.module}" if node.module else "")


def own_imports(module: str) -> set[str]:
    """Return the modules of this package that a module imports."""
    found = set()
    for name in imported_names(module):
        top, _, rest = name.partition(".")
        if top != "gst_iceoryx2":
            continue
        # `from gst_iceoryx2._wire.header import X` names a module and an object in it; the longest module counts.
        while rest and rest not in MODULES:
            rest = rest.rpartition(".")[0]
        found.add(rest or "__init__")
    return found - {module}


def room_of(module: str) -> str:
    return module.partition(".")[0]


ROOMS = sorted({room_of(module) for module in MODULES})


def arrows_from(room: str) -> set[str]:
    """Return the other rooms that a room imports from."""
    found = {room_of(name) for module in MODULES if room_of(module) == room for name in own_imports(module)}
    return found - {room}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_the_floors_below(room: str) -> None:
    floors = [number for number, rooms in enumerate(FLOORS) if room in rooms]
    assert len(floors) == 1, f"{room} must stand on one floor of FLOORS"
    below = set[str]().union(*FLOORS[: floors[0]])
    assert arrows_from(room) <= below


def test_the_house_is_no_higher_than_its_chain_of_imports(record_property) -> None:
    height: dict[str, int] = {}
    for floor in FLOORS:
        for room in floor:
            height[room] = 1 + max((height[other] for other in arrows_from(room)), default=0)
    record_property("arrows", sum(len(arrows_from(room)) for room in ROOMS))
    assert height.keys() == set(ROOMS)
    assert max(height.values()) == len(FLOORS) <= MAX_FLOORS


def test_no_module_imports_itself_by_way_of_others() -> None:
    remaining = {module: own_imports(module) for module in MODULES}
    while free := {module for module, imports in remaining.items() if not imports & remaining.keys()}:
        for module in free:
            del remaining[module]
    assert not remaining, f"these import each other: {sorted(remaining)}"


def importers(library: str) -> set[str]:
    return {module for module in MODULES if library in {name.partition(".")[0] for name in imported_names(module)}}


@pytest.mark.parametrize(("library", "module"), ONLY_IMPORTER.items())
def test_one_module_imports_the_library(library: str, module: str) -> None:
    assert importers(library) == {module}


@pytest.mark.parametrize("library", AT_MOST_ONE_IMPORTER)
def test_at_most_one_module_imports_the_optional_library(library: str) -> None:
    assert len(importers(library)) <= 1


def loaded_by(statement: str) -> set[str]:
    """Return top-level modules after a statement in a fresh interpreter, and libraries of GStreamer that it mapped."""
    program = f"{statement}\nimport sys; print(*sys.modules)\nprint(open('/proc/self/maps').read())"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules, _, maps = answer.stdout.partition("\n")
    return {name.partition(".")[0] for name in modules.split()} | set(re.findall(r"lib(?:gst|gstreamer)\w+", maps))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import gst_iceoryx2", {"iceoryx2", "numpy", "gi", "click", "av", "simplejpeg", "zenoh"}),
        ("import gst_iceoryx2.cli", {"iceoryx2", "numpy", "gi", "av", "rerun", "simplejpeg", "zenoh"}),
        ("import gst_iceoryx2.discovery", {"iceoryx2", "numpy", "gi", "click", "av", "simplejpeg", "zenoh"}),
        ("import gst_iceoryx2.doctor", {"iceoryx2", "numpy", "gi", "click", "av", "simplejpeg", "zenoh"}),
        ("import gst_iceoryx2.serve", {"iceoryx2", "numpy", "gi", "click", "av", "simplejpeg", "zenoh"}),
        (
            "from gst_iceoryx2.serve import RenditionName, load, StreamConfig",
            {"iceoryx2", "numpy", "gi", "click", "av", "simplejpeg", "zenoh"},
        ),
        ("import gst_iceoryx2.video", {"gi", "av", "simplejpeg", "zenoh"}),
        ("import gst_iceoryx2.packets", {"gi", "av", "simplejpeg", "zenoh"}),
        ("import gst_iceoryx2.results", {"gi", "av", "simplejpeg", "zenoh"}),
    ],
)
def test_importing_loads_neither_the_plugin_nor_what_it_does_not_need(statement: str, forbidden: set[str]) -> None:
    loaded = loaded_by(statement)
    assert "gst_iceoryx2" in loaded
    assert not loaded & (forbidden | {"libgsticeoryx2", "libgstreamer"})
