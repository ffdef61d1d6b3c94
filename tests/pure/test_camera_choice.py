"""Which of a camera's formats is chosen, and what an error lists when it has none."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from gst_iceoryx2.feed import CameraFormat, CameraSize, SettingError, SizeRange
from gst_iceoryx2.feed.v4l2 import api
from gst_iceoryx2.feed.v4l2.choice import choose
from gst_iceoryx2.feed.v4l2.controls import CameraControl, _number
from gst_iceoryx2.feed.v4l2.device import Mode
from gst_iceoryx2.feed.v4l2.pixel_formats import GSTREAMER, number_of


def sizes(*entries: tuple[int, int, tuple[int, ...]]) -> tuple[CameraSize, ...]:
    return tuple(CameraSize(width, height, tuple(map(Fraction, rates))) for width, height, rates in entries)


def offered(code: str, *entries: tuple[int, int, tuple[int, ...]], span: SizeRange | None = None) -> CameraFormat:
    return CameraFormat(code, code, GSTREAMER.get(code), sizes(*entries), span)


# What many USB cameras offer: uncompressed HD is slow, because the bus is.
USB = (
    offered("YUYV", (640, 480, (30, 15)), (1280, 720, (10, 5)), (1920, 1080, (5,))),
    offered("MJPG", (640, 480, (60, 30)), (1280, 720, (60, 30)), (1920, 1080, (30,))),
    offered("H264", (1920, 1080, (30,))),
)
SENSOR = (
    offered("NV12", span=SizeRange(64, 4056, 8, 64, 3040, 2)),
    offered("BGR3", span=SizeRange(64, 4056, 8, 64, 3040, 2)),
)


class Camera:
    """A camera that only says what it offers."""

    path = "/dev/video0"

    def __init__(self, formats: tuple[CameraFormat, ...], now: tuple[str, int, int]) -> None:
        self._formats = formats
        code, width, height = now
        self._pix = api.PixFormat(width=width, height=height, pixelformat=number_of(code))

    def formats(self) -> tuple[CameraFormat, ...]:
        return self._formats

    def mode(self) -> Mode:
        return Mode(self._pix, Fraction(30))

    def rates(self, code: str, width: int, height: int) -> CameraSize:
        return CameraSize(width, height, (Fraction(60), Fraction(1)), is_rate_range=True)


def usb(now: tuple[str, int, int] = ("YUYV", 640, 480)) -> Any:
    return Camera(USB, now)


@pytest.mark.parametrize(
    ("format", "size", "fps", "chosen"),
    [
        (None, None, None, ("YUYV", "YUY2", 640, 480)),
        (None, (1920, 1080), None, ("MJPG", "RGB", 1920, 1080)),
        (None, (1280, 720), 10, ("YUYV", "YUY2", 1280, 720)),
        (None, (1280, 720), 30, ("MJPG", "RGB", 1280, 720)),
        (None, None, 60, ("MJPG", "RGB", 640, 480)),
        ("YUYV", (1920, 1080), None, ("YUYV", "YUY2", 1920, 1080)),
        ("yuy2", (1920, 1080), 5, ("YUYV", "YUY2", 1920, 1080)),
        ("MJPG", None, None, ("MJPG", "RGB", 640, 480)),
        ("BGR", None, None, ("YUYV", "BGR", 640, 480)),
        ("BGR", (1920, 1080), 30, ("MJPG", "BGR", 1920, 1080)),
        ("NV12", None, None, ("YUYV", "NV12", 640, 480)),
    ],
)
def test_a_camera_of_a_usb_bus(
    format: str | None, size: tuple[int, int] | None, fps: int | None, chosen: tuple[str, str, int, int]
) -> None:
    found = choose(usb(), format, size, None if fps is None else Fraction(fps))
    assert (found.code, found.format, found.width, found.height) == chosen


def test_the_current_size_stays_and_the_current_format_if_it_is_as_good() -> None:
    found = choose(usb(("YUYV", 1280, 720)), None, None, None)
    # Uncompressed pictures of this size come at ten frames per second.
    assert (found.code, found.width, found.height) == ("MJPG", 1280, 720)
    sensor: Any = Camera(SENSOR, ("BGR3", 640, 480))
    assert choose(sensor, None, None, None).code == "BGR3"


def test_a_range_of_sizes_takes_every_size_in_it() -> None:
    sensor: Any = Camera(SENSOR, ("NV12", 640, 480))
    assert choose(sensor, None, (2000, 1500), Fraction(25)).code == "NV12"
    with pytest.raises(SettingError, match=r"has no size 2001x1501; it has 2000x1500 \(nearest first\)"):
        choose(sensor, None, (2001, 1501), None)


def test_a_range_of_rates_takes_every_rate_in_it() -> None:
    sensor: Any = Camera(SENSOR, ("NV12", 640, 480))
    assert choose(sensor, None, None, Fraction(2997, 100)).rate == Fraction(2997, 100)
    with pytest.raises(SettingError, match=r"has no 90 fps at 640x480; it has 1 to 60 \(nearest first\)"):
        choose(sensor, None, None, Fraction(90))


@pytest.mark.parametrize(
    ("format", "size", "fps", "text"),
    [
        (None, (1300, 700), None, "no size 1300x700; it has 1280x720, 640x480, 1920x1080 (nearest first)"),
        ("YUYV", (100, 100), None, "no size 100x100 in YUYV; it has 640x480, 1280x720, 1920x1080 (nearest first)"),
        (None, (1920, 1080), 25, "no 25 fps at 1920x1080; it has 30, 5 (nearest first)"),
        ("YUYV", (1920, 1080), 30, "no 30 fps at 1920x1080 in YUYV; it has 5 (nearest first)"),
        (
            "RGGB",
            None,
            None,
            "has no format 'RGGB', and GStreamer has no raw video format of this name; the camera has YUYV, MJPG",
        ),
        (
            "H264",
            None,
            None,
            "has the format 'H264', but only raw video and JPEG can be captured; use YUYV, MJPG",
        ),
    ],
)
def test_what_a_camera_does_not_have_is_told_with_what_it_has(
    format: str | None, size: tuple[int, int] | None, fps: int | None, text: str
) -> None:
    with pytest.raises(SettingError) as caught:
        choose(usb(), format, size, None if fps is None else Fraction(fps))
    assert text in str(caught.value)


def test_a_camera_without_a_usable_format_is_told() -> None:
    coder: Any = Camera((USB[2], offered("RGGB", (640, 480, (30,)))), ("H264", 1920, 1080))
    with pytest.raises(SettingError, match="offers H264, RGGB; none of these is a raw video format or JPEG"):
        choose(coder, None, None, None)


def control(**fields: Any) -> CameraControl:
    usual = {
        "name": "gain", "type": "integer", "minimum": 0, "maximum": 100, "step": 1, "default": 50, "value": 50,
        "menu": {}, "is_read_only": False, "is_inactive": False, "id": 1,
    }  # fmt: skip
    return CameraControl(**(usual | fields))


MENU = {1: "Manual Mode", 3: "Aperture Priority Mode"}
MAINS = {0: "Disabled", 1: "50 Hz", 2: "60 Hz"}


@pytest.mark.parametrize(
    ("fields", "text", "number"),
    [
        ({}, "40", 40),
        ({}, "0x10", 16),
        ({"minimum": -10}, "-5", -5),
        ({"type": "boolean", "maximum": 1}, "on", 1),
        ({"type": "boolean", "maximum": 1}, "False", 0),
        ({"type": "menu", "menu": MENU}, "3", 3),
        ({"type": "menu", "menu": MENU}, "manual", 1),
        ({"type": "menu", "menu": MENU}, "aperture_priority_mode", 3),
        ({"type": "menu", "menu": MAINS, "maximum": 2}, "50", 1),
        ({"type": "menu", "menu": MAINS, "maximum": 2}, "2", 2),
        # A menu of numbers: the number of an entry comes first.
        ({"type": "menu", "menu": {0: "1", 1: "2", 2: "30"}, "maximum": 2}, "1", 1),
        ({"type": "menu", "menu": {0: "1", 1: "2", 2: "30"}, "maximum": 2}, "30", 2),
        ({"type": "menu", "menu": {0: "a=b", 1: "-4"}, "maximum": 1}, "a=b", 0),
        ({"minimum": 3, "maximum": 2047, "step": 4}, "11", 11),
    ],
)
def test_values_of_controls(fields: dict[str, Any], text: str, number: int) -> None:
    assert _number(usb(), control(**fields), text) == number


@pytest.mark.parametrize(
    ("fields", "text", "said"),
    [
        ({}, "101", "gain of the camera /dev/video0 cannot be 101; it can be 0 to 100; the nearest is 100"),
        ({}, "-3", "cannot be -3; it can be 0 to 100; the nearest is 0"),
        ({}, "much", "cannot be 'much'; it can be 0 to 100"),
        ({"step": 16, "maximum": 90}, "89", "cannot be 89; it can be 0 to 90 in steps of 16; the nearest is 80"),
        ({"step": 16}, "30", "it can be 0 to 100 in steps of 16; the nearest is 32"),
        ({"type": "boolean", "maximum": 1}, "2", "cannot be 2; it can be 0 or 1; the nearest is 1"),
        (
            {"type": "menu", "menu": MENU},
            "2",
            "it can be 1 (Manual Mode), 3 (Aperture Priority Mode); the nearest is 1",
        ),
        ({"type": "menu", "menu": MENU}, "auto", "cannot be 'auto'; it can be 1 (Manual Mode), 3 (Aperture"),
        ({"type": "menu", "menu": MENU}, "", "cannot be ''; it can be 1 (Manual"),
        ({"is_read_only": True, "value": 7}, "1", "can only be read; it is 7"),
    ],
)
def test_a_value_that_a_control_does_not_take_is_told_with_the_nearest(
    fields: dict[str, Any], text: str, said: str
) -> None:
    with pytest.raises(SettingError) as caught:
        _number(usb(), control(**fields), text)
    assert said in str(caught.value)
