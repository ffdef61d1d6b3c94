"""Errors of the package if the plugin or GStreamer's Python bindings are missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gst_iceoryx2
from gst_iceoryx2 import _plugin


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the installation's plugin folder empty."""
    monkeypatch.setattr(_plugin, "_FOLDER", tmp_path)
    return tmp_path


def test_the_published_names_stand() -> None:
    assert gst_iceoryx2.SINK_ELEMENT_NAME == "iceoryx2sink"
    assert gst_iceoryx2.SRC_ELEMENT_NAME == "iceoryx2src"
    assert gst_iceoryx2.ELEMENT_NAMES == ("iceoryx2sink", "iceoryx2src")
    assert gst_iceoryx2.ELEMENT_NAME == "iceoryx2sink"
    assert gst_iceoryx2.PLUGIN_NAME == "iceoryx2"
    for name in gst_iceoryx2.__all__:
        assert getattr(gst_iceoryx2, name)


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"gst_iceoryx2.*nothing_of_ours"):
        gst_iceoryx2.nothing_of_ours  # noqa: B018


def test_the_path_is_the_folder_that_holds_the_library(folder: Path) -> None:
    (folder / _plugin._LIBRARY_NAME).touch()
    assert gst_iceoryx2.plugin_path() == folder


@pytest.mark.parametrize("ask", [gst_iceoryx2.plugin_path, gst_iceoryx2.setup_gstreamer, _plugin.plugin_version])
def test_a_missing_plugin_is_explained_with_the_reason_of_the_build(folder: Path, ask: object) -> None:
    (folder / _plugin._REASON_FILE).write_text("this machine lacks Rust 1.92 or newer (cargo: 1.63)\n")
    assert callable(ask)
    with pytest.raises(RuntimeError) as caught:
        ask()
    message = str(caught.value)
    assert str(folder / _plugin._LIBRARY_NAME) in message
    assert "this machine lacks Rust 1.92 or newer (cargo: 1.63)." in message
    assert "libgstreamer1.0-dev" in message or sys.platform == "darwin"
    assert "https://rustup.rs" in message or sys.platform == "darwin"


def test_a_plugin_that_was_never_built_is_explained_too(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="its build has not run"):
        gst_iceoryx2.plugin_path()


def test_missing_bindings_name_the_interpreter_and_the_packages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / _plugin._LIBRARY_NAME).touch()
    monkeypatch.setitem(sys.modules, "gi", None)  # `import gi` now raises ImportError
    with pytest.raises(RuntimeError) as caught:
        gst_iceoryx2.setup_gstreamer()
    assert sys.executable in str(caught.value)
    assert "python3-gi" in str(caught.value) or sys.platform == "darwin"
    assert isinstance(caught.value.__cause__, ImportError)


def test_a_library_that_cannot_be_opened_has_no_version(folder: Path) -> None:
    (folder / _plugin._LIBRARY_NAME).write_text("no shared object")
    with pytest.raises(RuntimeError, match="cannot be opened"):
        _plugin.plugin_version()


def test_a_process_without_gstreamer_has_no_gstreamer_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plugin, "_LIBGSTREAMER", "libgstreamer-of-nowhere.so.0")
    assert _plugin.gstreamer_version() is None


def test_the_package_runs_as_a_module() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "gst_iceoryx2", "--help"], capture_output=True, text=True, check=True
    )
    assert "plugin-path" in answer.stdout
