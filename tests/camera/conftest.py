"""Cameras of the kernel's vivid driver, in the virtual machine of `make test-camera`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.commands import Command
from tests.conftest import Place
from tests.gst.conftest import environment, plugin_environment, service, stages  # noqa: F401 (fixtures)
from tests.waiting import wait_until

# The virtual machine sets this to the cameras' names in sysfs. Elsewhere, no test of this folder is collected.
CAMERAS = os.environ.get("IOX2_VIDEO_CAMERAS")
if CAMERAS is None:
    collect_ignore_glob = ["test_*.py"]

DRIVER = Path("/sys/bus/platform/drivers/vivid")


class Camera:
    """A camera of vivid.

    Attributes:
        name: Its name in sysfs, which stays the same when its device gets another number.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def path(self) -> str:
        """Its device; LookupError while it is unplugged."""
        for folder in Path("/sys/class/video4linux").glob("video*"):
            try:
                if (folder / "name").read_text().strip() == self.name:
                    return f"/dev/{folder.name}"
            except FileNotFoundError:
                continue
        raise LookupError(f"no camera {self.name}")

    @property
    def is_plugged(self) -> bool:
        """Whether its device exists and can be opened. udev sets the permissions a moment after the device appears."""
        try:
            os.close(os.open(self.path, os.O_RDWR))
        except (LookupError, OSError):
            return False
        return True

    def set(self, **controls: int) -> None:
        """Set controls by the names that `v4l2-ctl --list-ctrls` prints; buttons take any number.

        The buttons `inject_…` cause one error. The button `disconnect` makes this camera unusable, although its device
        stays, until all programs have closed it and unmapped its buffers.
        """
        words = ",".join(f"{name}={value}" for name, value in controls.items())
        subprocess.run(["v4l2-ctl", "-d", self.path, "-c", words], check=True, timeout=60)

    def paint(self, pattern: int) -> None:
        """Show a test pattern without text: 5 black, 6 white, 7 red, 8 green, 9 blue."""
        self.set(test_pattern=pattern, osd_text_mode=2)

    def configure(self, width: int, height: int, format: str, fps: int) -> None:
        """Set the format (a fourcc) and rate that programs find."""
        words = ["-v", f"width={width},height={height},pixelformat={format}", "-p", str(fps)]
        subprocess.run(["v4l2-ctl", "-d", self.path, *words], check=True, timeout=60, stdout=subprocess.DEVNULL)


def unplug() -> None:
    """Remove all cameras with their devices; they are one device of the kernel."""
    (DRIVER / "unbind").write_text("vivid.0")


def plug() -> None:
    """Add all cameras, with the controls and formats that they have at first."""
    (DRIVER / "bind").write_text("vivid.0")


@pytest.fixture
def cameras() -> Iterator[tuple[Camera, Camera]]:
    """Both cameras, with the controls and formats that they have at first: 640×360, YUYV, 5 frames per second."""
    assert CAMERAS is not None
    left, right = map(Camera, CAMERAS.split(":"))
    wait_until(lambda: left.is_plugged and right.is_plugged, 60)
    yield left, right
    if (DRIVER / "vivid.0").exists():
        unplug()
    plug()


@pytest.fixture
def camera(cameras: tuple[Camera, Camera]) -> Camera:
    """The first camera."""
    return cameras[0]


@pytest.fixture
def command(domain: Place, tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Starts `iox2-video` with arguments, in the test's domain and folder."""
    started: list[Command] = []

    def start(*arguments: str) -> Command:
        started.append(Command(tmp_path, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.close()
