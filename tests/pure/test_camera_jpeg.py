"""A camera that sends JPEG pictures, some of them damaged. No virtual camera sends JPEG, so its driver is replaced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2 import jpeg
from gst_iceoryx2.errors import MissingExtraError
from gst_iceoryx2.feed import Camera, CameraFormat, CameraSize, SourceError
from gst_iceoryx2.feed import camera as module
from gst_iceoryx2.feed.v4l2 import api
from gst_iceoryx2.feed.v4l2.capture import Captured
from gst_iceoryx2.feed.v4l2.device import Mode
from gst_iceoryx2.feed.v4l2.pixel_formats import number_of
from gst_iceoryx2.video import BUFFER_FLAGS, VideoFramePublisher
from tests.conftest import Place

WIDTH, HEIGHT = 64, 48
CORRUPTED = BUFFER_FLAGS["CORRUPTED"]


def picture(level: int, height: int = HEIGHT) -> bytes:
    return jpeg.encode_rgb(np.random.default_rng(level).integers(0, 255, (height, WIDTH, 3), np.uint8), 95)


class Device:
    """A device with one format and no controls."""

    card, driver, bus_info = "Webcam", "uvcvideo", "usb-1"

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = os.open(os.devnull, os.O_RDWR)

    def formats(self) -> tuple[CameraFormat, ...]:
        return (CameraFormat("MJPG", "Motion-JPEG", None, (CameraSize(WIDTH, HEIGHT, (Fraction(30),)),)),)

    def mode(self) -> Mode:
        fields = {"width": WIDTH, "height": HEIGHT, "pixelformat": number_of("MJPG"), "field": api.FIELD_NONE}
        return Mode(api.PixFormat(**fields), Fraction(30))

    def configure(self, *_: object) -> Mode:
        return self.mode()

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


class Capture:
    """Captures the test's pictures; then nothing, or the last one again and again."""

    sent: tuple[bytes, ...] = ()
    is_repeated = False

    def __init__(self, _: Device) -> None:
        self._number = 0

    def start(self) -> None: ...

    def next(self, _: float) -> Captured | None:
        number, self._number = self._number, self._number + 1
        if number >= len(self.sent) and not self.is_repeated:
            return None
        data = self.sent[min(number, len(self.sent) - 1)]
        return Captured(None, np.frombuffer(data + bytes(64), np.uint8), len(data), False, number, number)

    def stop(self) -> None: ...


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch, domain: Place) -> type[Capture]:
    class Own(Capture):
        """The class of this test."""

    monkeypatch.setattr(module, "Device", Device)
    monkeypatch.setattr(module, "MappedCapture", Own)
    monkeypatch.setattr(module, "_SILENCE_MAX", 0.3)
    return Own


def pictures_of(camera: Camera, publisher: VideoFramePublisher) -> Iterator[Any]:
    shape = camera.shape
    return camera.pictures(lambda stride0: publisher.loan(shape.width, shape.height, shape.format, stride0=stride0))


@pytest.mark.parametrize("format", [None, "I420"])
def test_damaged_pictures_are_flagged_or_left_out_and_the_stream_goes_on(
    capture: type[Capture], format: str | None
) -> None:
    whole, tall = picture(1), picture(2, HEIGHT + 16)
    capture.sent = (whole, whole[: len(whole) * 2 // 3], b"", b"no picture at all", tall, picture(3))
    try:
        camera = Camera("/dev/video0", format=format)
    except MissingExtraError:
        pytest.skip("PyAV is not installed")
    with closing(camera), VideoFramePublisher() as publisher:
        pictures = pictures_of(camera, publisher)
        found = [next(pictures) for _ in capture.sent]
    assert [None if one is None else one.flags for one in found] == [0, CORRUPTED, None, None, None, 0]
    assert (camera.damaged, camera.lost) == (4, 0)


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ((), "$"),
        ((picture(1, HEIGHT + 16),), ": a JPEG picture has 64x64 pixels instead of 64x48"),
        ((picture(1), b"nothing"), ": cannot decode 7 bytes as a JPEG picture"),
    ],
)
def test_a_camera_that_sends_nothing_to_show_is_told_with_the_reason(
    capture: type[Capture], sent: tuple[bytes, ...], why: str
) -> None:
    """Without the reason, a camera whose pictures have another size than it says looks like one that is broken."""
    capture.sent, capture.is_repeated = sent, bool(sent)
    failed = pytest.raises(SourceError, match=f"has sent no picture for 0 s{why}")
    with closing(Camera("/dev/video0")) as camera, VideoFramePublisher() as publisher, failed:
        list(pictures_of(camera, publisher))


def test_a_camera_that_never_worked_is_not_waited_for(capture: type[Capture]) -> None:
    failed = pytest.raises(SourceError, match="has sent no picture")
    with closing(Camera("/dev/video0", reconnect=True)) as camera, VideoFramePublisher() as publisher, failed:
        list(pictures_of(camera, publisher))


def test_a_camera_that_fails_again_and_again_is_told_once(
    capture: type[Capture], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    capture.sent = (picture(1),)
    found = module.CameraInfo("/dev/video2", "Webcam", "uvcvideo", "usb-1", None, None)
    with closing(Camera("/dev/video0", reconnect=True)) as camera, VideoFramePublisher() as publisher:
        pictures = pictures_of(camera, publisher)
        assert next(pictures) is not None
        monkeypatch.setattr(module, "cameras", lambda: [found])
        capture.sent = ()
        monkeypatch.setattr(module, "_RETRY", 0.01)
        monkeypatch.setattr(module, "_SILENCE_MAX", 0.02)
        starts = []
        monkeypatch.setattr(capture, "start", lambda self: starts.append(self))
        while len(starts) < 5:
            next(pictures)
        assert len(caplog.messages) == 2
        assert caplog.messages[0].endswith("waiting for it")
        assert caplog.messages[1] == "the camera /dev/video2 is back"
        # A picture makes the next failure worth telling.
        capture.sent = (picture(2),)
        while next(pictures) is None:
            pass
        capture.sent = ()
        starts.clear()
        while len(starts) < 3:
            next(pictures)
        assert len(caplog.messages) == 4
