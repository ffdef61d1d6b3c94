"""Which camera is the one that was unplugged, when cameras have the same model and the same serial number."""

from __future__ import annotations

import pytest

from gst_iceoryx2.feed.v4l2.listing import CameraInfo, same_cameras

LINK = "/dev/v4l/by-id/usb-Maker_Webcam_SN0001-video-index0"
OTHER_LINK = "/dev/v4l/by-id/usb-Maker_Webcam_SN0002-video-index0"


def camera(
    path: str, bus_info: str, by_id: str | None = None, name: str = "Webcam", why: str | None = None
) -> CameraInfo:
    return CameraInfo(path, name, "uvcvideo", bus_info, by_id, None, why)


@pytest.mark.parametrize(
    ("now", "paths"),
    [
        ([], []),
        ([camera("/dev/video0", "usb-1", LINK)], ["/dev/video0"]),
        ([camera("/dev/video3", "usb-1", LINK)], ["/dev/video3"]),
        # At another connector.
        ([camera("/dev/video0", "usb-2", LINK)], ["/dev/video0"]),
        # The other camera of the same model, with the same serial number, which has been there all the time.
        ([camera("/dev/video2", "usb-9", LINK)], []),
        ([camera("/dev/video2", "usb-9", LINK), camera("/dev/video0", "usb-1")], ["/dev/video0"]),
        ([camera("/dev/video2", "usb-9", LINK), camera("/dev/video0", "usb-3", LINK)], ["/dev/video0"]),
        # Another camera at the same connector.
        ([camera("/dev/video0", "usb-1", OTHER_LINK)], []),
        ([camera("/dev/video0", "usb-1", LINK, name="Microscope")], []),
        # The permissions are not set yet.
        ([camera("/dev/video0", "", LINK, why="you are not permitted to open it")], []),
        # Two devices of one camera.
        ([camera("/dev/video2", "usb-1"), camera("/dev/video0", "usb-1", LINK)], ["/dev/video2", "/dev/video0"]),
    ],
)
def test_a_camera_is_found_again(now: list[CameraInfo], paths: list[str]) -> None:
    """Two cameras with the same serial number share their link, which leads to the other one after an unplug."""
    assert same_cameras(now, camera("/dev/video0", "usb-1", LINK), {"usb-9"}) == paths


def test_a_camera_without_a_serial_number_is_found_at_its_connector_only() -> None:
    lost = camera("/dev/video0", "usb-1")
    assert same_cameras([camera("/dev/video1", "usb-1")], lost, set()) == ["/dev/video1"]
    assert same_cameras([camera("/dev/video1", "usb-2")], lost, set()) == []
