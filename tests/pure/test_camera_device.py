"""Devices that are not cameras, and forks meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gst_iceoryx2.feed import SourceError
from gst_iceoryx2.feed.v4l2.device import Device


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/dev/null", "it is not a camera"),
        ("file with spaces", "it is not a camera"),
        ("gone\udcff", "No such file or directory; "),
        (".", "Is a directory"),
        ("a\0b", "embedded null byte"),
    ],
)
def test_what_is_not_a_camera_is_told_and_closed(name: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "file with spaces").touch()
    path = os.path.join(tmp_path, name)
    before = descriptors()
    with pytest.raises(SourceError, match=f"cannot use the camera .*: {why}"):
        Device(path)
    assert descriptors() == before


def test_a_fork_does_not_stumble_over_a_device_that_was_not_opened() -> None:
    """An error in one object would leave the parent's frames unprotected in the child."""
    devices = [Device.__new__(Device)]
    with pytest.raises(SourceError) as caught:
        Device("/dev/none")
    child = os.fork()
    if child == 0:
        os._exit(0 if devices[0].fd == -1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    devices[0]._abandon()
    devices[0].close()
    assert caught.tb is not None
