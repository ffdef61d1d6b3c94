"""Fixtures: a wheel built by the build hook, and its installation outside the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gst_iceoryx2 import _plugin
from tests.conftest import Place
from tests.wheel.builds import BUILD_TIMEOUT, built_wheel


@pytest.fixture(scope="session")
def plugin_in_tree() -> Path:
    """The plugin of the source tree. Without it the tests are skipped, unless the plugin is required."""
    try:
        return _plugin.plugin_library()
    except RuntimeError:
        if os.environ.get("IOX2_VIDEO_NATIVE") == "require":
            raise
        pytest.skip("this source tree has no plugin; iox2-video plugin-path gives the reason")


@pytest.fixture(scope="session")
def wheel(plugin_in_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel with the plugin."""
    return built_wheel("require", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder into which pip has installed the wheel; for PYTHONPATH."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*command, str(wheel)], check=True, timeout=BUILD_TIMEOUT)
    return folder


@pytest.fixture
def clean_environment(installed: Path, tmp_path: Path, domain: Place) -> dict[str, str]:
    """The environment of a new user's shell: the installed package, an empty registry and a domain of its own."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(installed),
        "GST_REGISTRY_1_0": str(tmp_path / "registry.bin"),
        "IOX2_VIDEO_DOMAIN": domain.variable,
    }
