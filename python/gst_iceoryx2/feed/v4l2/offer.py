"""Everything that a camera offers."""

from __future__ import annotations

from dataclasses import dataclass

from .controls import CameraControl, controls
from .device import CameraFormat, Device
from .listing import path_of


@dataclass(frozen=True, slots=True)
class CameraOffer:
    """What a camera offers.

    Attributes:
        path: Path of the device.
        name: The camera's name, from its driver.
        formats: The formats, with their sizes and rates.
        controls: The controls, with their values.
    """

    path: str
    name: str
    formats: tuple[CameraFormat, ...]
    controls: tuple[CameraControl, ...]


def camera_offer(device: str) -> CameraOffer:
    """Return what a camera offers. This also works while another program uses the camera.

    Args:
        device: "/dev/video0", a link to it such as "/dev/v4l/by-id/…", or "0".

    Raises:
        SourceError: The camera does not exist, or cannot be opened.
    """
    with Device(path_of(device)) as opened:
        return CameraOffer(opened.path, opened.card, opened.formats(), tuple(controls(opened)))
