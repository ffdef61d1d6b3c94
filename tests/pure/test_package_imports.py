"""Who may import whom inside the package, and what importing it costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "gst_iceoryx2"

# From the bottom up, as patterns; a module belongs to the first layer that names it. It may import from its own layer
# (without a cycle) and from those below.
LAYERS = {
    "errors": ("errors", "_contract", "_numbers", "_text"),
    "wire": ("_wire", "_wire.*"),
    "base": ("_[!_]*",),
    "transport": ("_iox2.binding", "_iox2.helper"),
    "sdk": ("video.*",),
    "sdk's door": ("video",),
    "sh4lt": ("sh4lt.*",),
    "sh4lt's door": ("sh4lt",),
    "tools": ("jpeg", "discovery*", "doctor*", "preview*", "record*", "feed*", "bridge*"),
    "package's door": ("__init__",),
    "command line": ("cli", "cli.*", "__main__"),
}
ORDER = list(LAYERS)

# Third-party library -> the one module that imports it.
ONLY_IMPORTER = {"iceoryx2": "_iox2.binding", "gi": "_plugin"}
AT_MOST_ONE_IMPORTER = ("av", "simplejpeg", "zenoh")


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported_names(module: str) -> set[str]:
    """Every dotted name that a module imports anywhere in its text, functions included, type checking excluded."""
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
    """Full name of what a `from … import` names, relative or not."""
    if node.level == 0:
        assert node.module is not None
        return node.module
    package = MODULES[module].relative_to(PACKAGE.parent).parent.parts
    base = package[: len(package) - node.level + 1]
    return ".".join(base) + (f".{node.module}" if node.module else "")


def own_imports(module: str) -> set[str]:
    """The modules of this package that a module imports."""
    found = set()
    for name in imported_names(module):
        top, _, rest = name.partition(".")
        if top != "gst_iceoryx2":
            continue
        # `from gst_iceoryx2._wire.header import X` names a module and a thing in it; the longest module counts.
        while rest and rest not in MODULES:
            rest = rest.rpartition(".")[0]
        found.add(rest or "__init__")
    return found - {module}


def height(module: str) -> int:
    for layer, patterns in {"transport": LAYERS["transport"], **LAYERS}.items():
        if any(fnmatchcase(module, pattern) for pattern in patterns):
            return ORDER.index(layer)
    pytest.fail(f"{module} has no place in LAYERS: decide which modules may import it")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_its_own_layer_and_those_below(module: str) -> None:
    upwards = {name for name in own_imports(module) if height(name) > height(module)}
    assert not upwards


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
    """Top-level names in sys.modules after a statement in a fresh interpreter, and shared objects of ours it mapped."""
    program = f"{statement}\nimport sys; print(*sys.modules)\nprint(open('/proc/self/maps').read())"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules, _, maps = answer.stdout.partition("\n")
    return {name.partition(".")[0] for name in modules.split()} | set(re.findall(r"lib(?:gst|gstreamer)\w+", maps))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import gst_iceoryx2", {"iceoryx2", "numpy", "gi", "click", "av", "simplejpeg", "zenoh"}),
        ("import gst_iceoryx2.cli", {"iceoryx2", "numpy", "gi", "av", "simplejpeg", "zenoh"}),
        ("import gst_iceoryx2.discovery", {"iceoryx2", "numpy", "gi", "click", "av", "simplejpeg", "zenoh"}),
        ("import gst_iceoryx2.doctor", {"iceoryx2", "numpy", "gi", "click", "av", "simplejpeg", "zenoh"}),
        ("import gst_iceoryx2.video", {"gi", "av", "simplejpeg", "zenoh"}),
    ],
)
def test_importing_loads_neither_the_plugin_nor_what_it_does_not_need(statement: str, forbidden: set[str]) -> None:
    loaded = loaded_by(statement)
    assert "gst_iceoryx2" in loaded
    assert not loaded & (forbidden | {"libgsticeoryx2", "libgstreamer"})
