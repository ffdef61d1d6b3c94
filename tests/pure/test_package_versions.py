"""Numbers that stand in two files because two tools read them."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import tomllib

import gst_iceoryx2
from gst_iceoryx2 import _plugin

ROOT = Path(__file__).parents[2]
CARGO = tomllib.loads((ROOT / "Cargo.toml").read_text())
LOCK = tomllib.loads((ROOT / "Cargo.lock").read_text())
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked(crate: str) -> str:
    return next(package["version"] for package in LOCK["package"] if package["name"] == crate)


def test_crate_and_python_package_are_pinned_to_one_release_of_iceoryx2() -> None:
    crate = CARGO["workspace"]["dependencies"]["iceoryx2"]
    distribution = next(line for line in PYPROJECT["project"]["dependencies"] if line.startswith("iceoryx2"))
    assert re.fullmatch(r"=\d+\.\d+\.\d+", crate)
    assert distribution == f"iceoryx2={crate}"
    assert locked("iceoryx2") == crate.removeprefix("=")
    assert version("iceoryx2") == crate.removeprefix("=")


def test_all_parts_carry_the_workspace_version() -> None:
    wanted = CARGO["workspace"]["package"]["version"]
    assert version("iox2-video") == wanted
    assert gst_iceoryx2.__version__ == wanted
    crates = [tomllib.loads((ROOT / member / "Cargo.toml").read_text()) for member in CARGO["workspace"]["members"]]
    for crate in crates:
        assert locked(crate["package"]["name"]) == wanted
        tables = [crate, *crate.get("target", {}).values()]
        dependencies = [item for table in tables for item in table.get("dependencies", {}).values()]
        assert {item["version"] for item in dependencies if isinstance(item, dict) and "path" in item} <= {wanted}


def test_build_hook_scripts_and_package_ask_for_the_same_gstreamer() -> None:
    wanted = ".".join(map(str, _plugin.MIN_GSTREAMER))
    assert f'\nMIN_GSTREAMER = "{wanted}"\n' in (ROOT / "hatch_build.py").read_text()
    assert f"\nGSTREAMER_WANTED={wanted}\n" in (ROOT / "scripts" / "environment.sh").read_text()


def test_the_gst_extra_brings_nothing_from_pip() -> None:
    """PyGObject from pip needs headers and may bring a second libgstreamer."""
    assert PYPROJECT["project"]["optional-dependencies"]["gst"] == []
