"""The cameras of this machine, with names that stay the same when cameras are plugged in in another order."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import SourceError
from .device import Device, devices

_LINKS: Final = Path("/dev/v4l")
_SYSTEM: Final = Path("/sys/class/video4linux")


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera of this machine.

    Attributes:
        path: Path of the device, such as "/dev/video0". It may change when the machine starts again.
        name: The camera's name, from its driver.
        driver: Name of the driver, such as "uvcvideo".
        bus_info: Where the camera is connected, from its driver.
        by_id: Path that names the camera by its model and serial number; None if the system has none.
        by_path: Path that names the camera by its connector; None if the system has none.
        problem: Why this user cannot open the camera; None if it can.
    """

    path: str
    name: str
    driver: str
    bus_info: str
    by_id: str | None
    by_path: str | None
    problem: str | None = None


def cameras() -> list[CameraInfo]:
    """List the cameras of this machine, including cameras that this user is not permitted to open.

    Example:
        Print the stable name of each camera:

            from gst_iceoryx2.feed import cameras

            for camera in cameras():
                print(camera.by_id or camera.path, camera.name)
    """
    found = []
    for path in devices():
        links = link(path, "by-id"), link(path, "by-path")
        try:
            with Device(path) as device:
                found.append(CameraInfo(path, device.card, device.driver, device.bus_info, *links))
        except SourceError as exc:
            if isinstance(exc.__cause__, PermissionError):
                found.append(CameraInfo(path, _name(path), "", "", *links, str(exc)))
    return found


def same_cameras(now: Iterable[CameraInfo], camera: CameraInfo, others: Collection[str]) -> list[str]:
    """Return the paths that may be a camera that was unplugged, most likely first.

    The camera is at its former connector, or its name by model and serial number is there again. Cameras of the same
    model may have the same serial number, and then share that name.

    Args:
        now: The cameras of the machine.
        camera: The camera as it was.
        others: Where the other cameras were connected at that time (`bus_info`).
    """
    known = [one for one in now if one.name == camera.name and one.problem is None]
    here = [one for one in known if one.bus_info == camera.bus_info]
    # Another model of camera at the same connector has another name by model and serial number.
    here = [one for one in here if camera.by_id is None or one.by_id in (None, camera.by_id)]
    moved = [one for one in known if one.bus_info != camera.bus_info and one.bus_info not in others]
    return [one.path for one in (*here, *(one for one in moved if one.by_id is not None and one.by_id == camera.by_id))]


def link(path: str, kind: str) -> str | None:
    """Return the link of this kind ("by-id", "by-path") to a device; None if there is none."""
    target = os.path.realpath(path)
    try:
        links = sorted((_LINKS / kind).iterdir())
    except OSError:
        return None
    return next((str(one) for one in links if os.path.realpath(one) == target), None)


def path_of(device: str) -> str:
    """Return the path of a device that is given as a path or as a number."""
    return f"/dev/video{device}" if device.isdecimal() else device


def _name(path: str) -> str:
    try:
        return (_SYSTEM / Path(path).name / "name").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
