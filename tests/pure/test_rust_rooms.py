"""Who may import whom inside the Rust crates, read from the text of their sources."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CRATES = Path(__file__).parents[2] / "crates"

# The rooms of the core crate: files and folders directly under `src`. A room imports only from floors below its own.
FLOORS = (
    {"contract"},
    {"wire"},
    {"config", "error", "view"},
    {"iox2"},
    {"video_service"},
    {"publisher", "raw", "subscriber"},
    {"results"},
)
"""From the bottom up. `lib.rs`, which only declares and re-exports, is on none of them."""
MAX_FLOORS = 7

Imports = dict[str, set[str]]


def code_of(path: Path) -> str:
    """The text of a source file without comments and without its module of tests."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"^ *#\[cfg\(test\)\]\n(?: *#\[.*\]\n)*mod tests \{.*?^\}", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"//.*", "", text)


def paths_of_use(tree: str) -> list[str]:
    """The paths that `use a::{b, c::{d, e}}` names."""
    head, brace, rest = tree.partition("{")
    if not brace:
        return [re.sub(r"\s+as \w+", "", tree).strip()]
    names, depth, start = [], 0, 0
    inner = rest[: rest.rindex("}")] + ","
    for at, sign in enumerate(inner):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if sign == "," and depth == 0:
            names.append(inner[start:at])
            start = at + 1
    return [path for name in names if name.strip() for path in paths_of_use(f"{head.strip()}{name.strip()}")]


def imports_of(sources: Path) -> Imports:
    """For each module of a crate, the other modules of the crate that its text names. The crate's root is `lib`."""
    modules = {}
    for path in sorted(sources.rglob("*.rs")):
        parts = path.relative_to(sources).with_suffix("").parts
        if parts[0] != "bin":
            modules["::".join(parts[:-1] if parts[-1] == "mod" else parts)] = path
    return {module: named_modules(module, code_of(path), modules.keys()) for module, path in modules.items()}


def named_modules(module: str, code: str, modules: set[str] | dict[str, Path].keys) -> set[str]:
    a_use = r"^ *(?:pub(?:\(\w+\))? )?use ([^;]+);"
    uses = re.findall(a_use, code, re.MULTILINE)
    paths = [path for tree in uses for path in paths_of_use(tree)]
    paths += re.findall(r"\b(?:crate|super|self)(?:::\w+)+", re.sub(a_use, "", code, flags=re.MULTILINE))
    children = re.findall(r"\bmod (\w+);", code)
    paths += [f"self::{child}" for child in children if re.search(rf"\b{child}::", code)]
    named = set()
    for path in paths:
        target = absolute(path.split("::"), [] if module == "lib" else module.split("::"))
        if target is None:
            continue
        while target and "::".join(target) not in modules:
            target = target[:-1]
        named.add("::".join(target) or "lib")
    return named - {module}


def absolute(path: list[str], module: list[str]) -> list[str] | None:
    """The path from the root of the crate; None if it leads to another crate."""
    first, *rest = path
    if first == "crate":
        return rest
    if first == "self":
        return module + rest
    if first != "super":
        return None
    while rest and rest[0] == "super":
        module, rest = module[:-1], rest[1:]
    return module[:-1] + rest


def without_declarations(imports: Imports, sources: Path) -> Imports:
    """Leave out the `lib.rs` and `mod.rs` that only declare and re-export their modules."""
    bare = set()
    for module in imports:
        path = sources / f"{module.replace('::', '/')}.rs"
        code = code_of(path if path.exists() else sources / module.replace("::", "/") / "mod.rs")
        if not re.sub(r"#!?\[[^]]*\]|\b(pub(\([^)]*\))? )?(mod \w+|use [^;]+);", "", code).strip():
            bare.add(module)
    return {module: named - bare for module, named in imports.items() if module not in bare}


def in_circles(imports: Imports) -> set[str]:
    """What remains when everything that imports nothing of the remaining has gone."""
    remaining = dict(imports)
    while free := {module for module, named in remaining.items() if not named & remaining.keys()}:
        remaining = {module: named for module, named in remaining.items() if module not in free}
    return set(remaining)


def room_imports() -> Imports:
    rooms: Imports = {}
    for module, named in imports_of(CRATES / "core" / "src").items():
        room = module.partition("::")[0]
        rooms.setdefault(room, set()).update(name.partition("::")[0] for name in named)
    return {room: named - {room} for room, named in rooms.items() if room != "lib"}


def floor_of(room: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if room in rooms:
            return number
    pytest.fail(f"the room {room} has no floor: decide which rooms may import it")


def test_a_room_imports_only_from_floors_below_its_own() -> None:
    upwards = {
        f"{room} imports {name}"
        for room, named in room_imports().items()
        for name in named
        if name == "lib" or floor_of(name) >= floor_of(room)
    }
    assert not upwards


def test_the_house_has_at_most_six_floors() -> None:
    assert len(FLOORS) <= MAX_FLOORS


def test_the_wire_format_and_the_transport_do_not_know_each_other() -> None:
    rooms = room_imports()
    assert "iox2" not in rooms["wire"]
    assert "wire" not in rooms["iox2"]


@pytest.mark.parametrize(("crate", "elsewhere"), [("core", "wire"), ("shmdata", "")])
def test_no_file_imports_itself_by_way_of_others(crate: str, elsewhere: str) -> None:
    """The room `wire` holds one grammar in several files, which import each other."""
    sources = CRATES / crate / "src"
    imports = without_declarations(imports_of(sources), sources)
    circle = in_circles({module: named for module, named in imports.items() if module.partition("::")[0] != elsewhere})
    assert len(imports) > 5
    assert not circle, {module: imports[module] & circle for module in sorted(circle)}
