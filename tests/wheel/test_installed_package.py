"""The package that pip installed outside the source tree: command, GStreamer's scanner, `setup_gstreamer()`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# The first test builds the wheel.
pytestmark = pytest.mark.timeout(600)


def run(environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=120)


def python(environment: dict[str, str], program: str) -> subprocess.CompletedProcess[str]:
    # Python 3.11 warns about the way in which PyGObject 3.42 imports.
    return run(environment, sys.executable, "-W", "error", "-W", "ignore::ImportWarning", "-c", program)


def with_plugin_path(environment: dict[str, str]) -> dict[str, str]:
    folder = run(environment, sys.executable, "-m", "gst_iceoryx2", "plugin-path")
    assert folder.returncode == 0, folder.stderr
    return environment | {"GST_PLUGIN_PATH": folder.stdout.strip()}


def test_the_command_prints_the_folder_of_this_installation(clean_environment: dict[str, str], installed: Path) -> None:
    folder = with_plugin_path(clean_environment)["GST_PLUGIN_PATH"]
    assert Path(folder) == installed / "gst_iceoryx2" / "plugins"


def test_the_version_names_the_plugin_that_came_with_the_package(clean_environment: dict[str, str]) -> None:
    answer = run(clean_environment, sys.executable, "-m", "gst_iceoryx2", "--version")
    versions = dict(line.split(maxsplit=1) for line in answer.stdout.splitlines())
    assert versions["plugin"] == versions["iox2-video"]
    assert versions["GStreamer"].startswith("1.")


@pytest.mark.parametrize("element", ["iceoryx2sink", "iceoryx2src"])
def test_gst_inspect_finds_the_element_through_the_ordinary_scanner(
    clean_environment: dict[str, str], element: str
) -> None:
    answer = run(with_plugin_path(clean_environment), "gst-inspect-1.0", element)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stderr == ""
    assert "libgsticeoryx2.so" in answer.stdout


def test_gst_launch_plays_into_the_sink(clean_environment: dict[str, str]) -> None:
    description = (
        "videotestsrc num-buffers=3 ! video/x-raw,format=BGR,width=64,height=48 ! iceoryx2sink service=video/w/frame/v2"
    )
    answer = run(with_plugin_path(clean_environment), "gst-launch-1.0", "-q", *description.split())
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stderr == ""


GST = "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; import gst_iceoryx2\n"
FIND = "print([Gst.ElementFactory.find(name) is not None for name in gst_iceoryx2.ELEMENT_NAMES])\n"


@pytest.mark.parametrize(
    "calls",
    [
        "gst_iceoryx2.setup_gstreamer(); Gst.init(None)\n",
        "Gst.init(None); gst_iceoryx2.setup_gstreamer()\n",
        "gst_iceoryx2.setup_gstreamer(); gst_iceoryx2.setup_gstreamer()\n",
        "gst_iceoryx2.setup_gstreamer(verify=False)\n",
    ],
)
def test_the_elements_register_in_any_order(clean_environment: dict[str, str], calls: str) -> None:
    answer = python(clean_environment | {"G_DEBUG": "fatal-criticals"}, GST + calls + FIND)
    assert answer.stderr == ""
    assert answer.stdout == "[True, True]\n"


def test_the_plugin_path_and_the_call_do_not_mind_each_other(clean_environment: dict[str, str]) -> None:
    environment = with_plugin_path(clean_environment) | {"G_DEBUG": "fatal-criticals"}
    answer = python(environment, GST + "gst_iceoryx2.setup_gstreamer()\n" + FIND)
    assert answer.stderr == ""
    assert answer.stdout == "[True, True]\n"


def test_another_copy_of_the_plugin_is_refused_with_both_paths(
    clean_environment: dict[str, str], installed: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(installed / "gst_iceoryx2" / "plugins", elsewhere)
    answer = python(clean_environment | {"GST_PLUGIN_PATH": str(elsewhere)}, GST + "gst_iceoryx2.setup_gstreamer()\n")
    assert answer.returncode == 1
    last = answer.stderr.splitlines()[-1]
    assert last.startswith("RuntimeError: ")
    assert str(elsewhere / "libgsticeoryx2.so") in last
    assert str(installed / "gst_iceoryx2" / "plugins" / "libgsticeoryx2.so") in last


def test_a_library_that_is_no_plugin_is_named_with_gstreamers_reason(
    clean_environment: dict[str, str], installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "libgsticeoryx2.so").write_bytes(b"no shared object")
    program = (
        GST
        + "import pathlib\nfrom gst_iceoryx2 import _plugin\n"
        + f"_plugin._FOLDER = pathlib.Path({str(tmp_path)!r})\ngst_iceoryx2.setup_gstreamer()\n"
    )
    answer = python(clean_environment, program)
    assert answer.returncode == 1
    last = answer.stderr.splitlines()[-1]
    assert last.startswith("RuntimeError: GStreamer 1.")
    assert f"cannot load {tmp_path / 'libgsticeoryx2.so'}" in last


def test_verification_finds_a_plugin_without_our_elements(clean_environment: dict[str, str], tmp_path: Path) -> None:
    """A broken installation could have another working plugin under our file name."""
    core_elements = subprocess.run(
        ["gst-inspect-1.0", "coreelements"], capture_output=True, text=True, check=True
    ).stdout
    other = next(line.split()[-1] for line in core_elements.splitlines() if line.split()[:1] == ["Filename"])
    shutil.copy(other, tmp_path / "libgsticeoryx2.so")
    program = (
        GST
        + "import pathlib\nfrom gst_iceoryx2 import _plugin\n"
        + f"_plugin._FOLDER = pathlib.Path({str(tmp_path)!r})\ngst_iceoryx2.setup_gstreamer()\n"
    )
    answer = python(clean_environment, program)
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1].startswith("RuntimeError: ")
