"""An open camera: what it offers, and which format, size and rate it uses."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import grp
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

from ..._at_end import CALL_AT_END, NOTHING
from ..._iox2.fork import guard_kind
from ..errors import SettingError, SourceError
from . import api
from .pixel_formats import GSTREAMER, code_of, number_of

LIST_MAX: Final = 512
"""Longest list of formats, sizes, rates or controls that a driver is asked for."""
_GROUP_ACCESS: Final = stat.S_IRGRP | stat.S_IWGRP
_NO_LIST: Final = (errno.EINVAL, errno.ENOTTY)


@dataclass(frozen=True, slots=True)
class CameraSize:
    """A size that a camera offers in one of its formats.

    Attributes:
        width: Width in pixels.
        height: Height in rows.
        rates: Frames per second, highest first; empty if the driver does not list them.
        is_rate_range: Whether every rate between the first and the last one is possible, too.
    """

    width: int
    height: int
    rates: tuple[Fraction, ...]
    is_rate_range: bool = False

    def has_rate(self, rate: Fraction) -> bool:
        """Return whether the camera offers this rate at this size. Lists that the driver does not give match."""
        if not self.rates or any(_is_near(rate, offered) for offered in self.rates):
            return True
        return self.is_rate_range and self.rates[-1] <= rate <= self.rates[0]


@dataclass(frozen=True, slots=True)
class SizeRange:
    """The sizes of a format that offers every size between two limits.

    Attributes:
        min_width: Smallest width in pixels.
        max_width: Largest width in pixels.
        step_width: Step between two widths.
        min_height: Smallest height in rows.
        max_height: Largest height in rows.
        step_height: Step between two heights.
    """

    min_width: int
    max_width: int
    step_width: int
    min_height: int
    max_height: int
    step_height: int

    def nearest(self, width: int, height: int) -> tuple[int, int]:
        """Return the size in the range that is nearest to this one."""
        return (
            _nearest_step(width, self.min_width, self.max_width, self.step_width),
            _nearest_step(height, self.min_height, self.max_height, self.step_height),
        )


@dataclass(frozen=True, slots=True)
class CameraFormat:
    """A pixel format that a camera offers.

    Attributes:
        code: Video4Linux2's four-character code, such as "YUYV" or "MJPG".
        description: The driver's name for it.
        format: GStreamer's name for it; None for compressed formats, and for those that GStreamer does not have.
        sizes: The sizes, in the driver's order; empty if the driver does not list them.
        size_range: The sizes, if every size between two limits is possible.
    """

    code: str
    description: str
    format: str | None
    sizes: tuple[CameraSize, ...]
    size_range: SizeRange | None = None


class Mode(NamedTuple):
    """The format, size and rate that a camera uses.

    Attributes:
        pix: The driver's description.
        rate: Frames per second; None if the driver does not state it.
    """

    pix: api.PixFormat
    rate: Fraction | None


@guard_kind
class Device:
    """An open Video4Linux2 capture device.

    Args:
        path: Path of the device, such as "/dev/video0" or a link to it.

    Attributes:
        path: The path as given.
        card: The camera's name, from the driver.
        driver: Name of the driver.
        bus_info: Where the camera is connected, from the driver.
        fd: File descriptor, opened without blocking.

    Raises:
        SourceError: The path does not exist, cannot be opened, or is not a camera.
    """

    __del__ = CALL_AT_END
    # Another thread may fork before the device is open.
    fd = -1

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._at_end: Callable[[], object] = NOTHING
        self.path = os.fspath(path)
        try:
            self.fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        except (OSError, ValueError) as exc:
            raise self.error(_reason(self.path, exc)) from exc
        self._at_end = partial(os.close, self.fd)
        try:
            found = api.Capability()
            api.QUERY_CAPABILITY(self.fd, found)
            has_own = found.capabilities & api.CAP_DEVICE_CAPS
            capabilities = found.device_caps if has_own else found.capabilities
            if not capabilities & api.CAP_VIDEO_CAPTURE:
                raise self.error(_not_a_camera(capabilities))
            if not capabilities & api.CAP_STREAMING:
                raise self.error("its driver cannot stream into memory, only read()")
        except SourceError:
            self.close()
            raise
        except OSError as exc:
            self.close()
            raise self.error("it is not a camera") from exc
        self.card = _text(found.card)
        self.driver = _text(found.driver)
        self.bus_info = _text(found.bus_info)

    def error(self, reason: str) -> SourceError:
        """Return the error that this camera cannot be used."""
        return SourceError(f"cannot use the camera {self.path}: {reason}")

    def close(self) -> None:
        """Close the device. Idempotent."""
        fd, self.fd = self.fd, -1
        self._at_end = NOTHING
        if fd >= 0:
            os.close(fd)

    def _abandon(self) -> None:
        # The driver of an unplugged camera only stops when every process has closed the device.
        self.close()

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def formats(self) -> tuple[CameraFormat, ...]:
        """List the formats with their sizes and rates, in the driver's order."""
        found = []
        for index in range(LIST_MAX):
            description = api.FormatDescription(index=index, type=api.VIDEO_CAPTURE)
            if not self._listed(api.ENUM_FORMAT, description):
                break
            number = description.pixelformat
            code = code_of(number)
            sizes, size_range = self._sizes(number)
            found.append(CameraFormat(code, _text(description.description), GSTREAMER.get(code), sizes, size_range))
        return tuple(found)

    def rates(self, code: str, width: int, height: int) -> CameraSize:
        """Return this size with the rates that the camera offers at it."""
        rates: list[Fraction] = []
        for index in range(LIST_MAX):
            interval = api.FrameInterval(index=index, pixel_format=number_of(code), width=width, height=height)
            if not self._listed(api.ENUM_FRAME_INTERVALS, interval):
                break
            values = interval.values
            if interval.type != api.SIZE_DISCRETE:
                ends = [_rate(values[0], values[1]), _rate(values[2], values[3])]
                known = sorted({rate for rate in ends if rate is not None}, reverse=True)
                return CameraSize(width, height, tuple(known), is_rate_range=True)
            rate = _rate(values[0], values[1])
            if rate is not None:
                rates.append(rate)
        return CameraSize(width, height, tuple(sorted(rates, reverse=True)))

    def mode(self) -> Mode:
        """Return the current format, size and rate."""
        current = api.Format(type=api.VIDEO_CAPTURE)
        self._ask(api.GET_FORMAT, current)
        return Mode(current.fmt.pix, self._rate())

    def configure(self, code: str, width: int, height: int, rate: Fraction | None) -> Mode:
        """Set format, size and rate.

        Args:
            code: Four-character code of the format.
            width: Width in pixels.
            height: Height in rows.
            rate: Frames per second; None keeps the driver's choice.

        Returns:
            What the driver set. Format and size are as wanted.

        Raises:
            SettingError: The driver sets something else.
            SourceError: The camera is busy, or was unplugged.
        """
        wanted = api.Format(type=api.VIDEO_CAPTURE)
        pix = wanted.fmt.pix
        pix.width, pix.height, pix.pixelformat, pix.field = width, height, number_of(code), api.FIELD_NONE
        pix.priv = api.EXTENDED_FIELDS
        self._ask(api.SET_FORMAT, wanted)
        if (pix.width, pix.height, code_of(pix.pixelformat)) != (width, height, code):
            given = f"{pix.width}x{pix.height} {code_of(pix.pixelformat).strip()}"
            raise self._other(f"{width}x{height} {code.strip()}", f"set {given}: ask for that instead")
        if rate is not None:
            self._set_rate(rate)
        return Mode(pix, self._rate())

    def _set_rate(self, rate: Fraction) -> None:
        wanted = api.StreamParameters(type=api.VIDEO_CAPTURE, numerator=rate.denominator, denominator=rate.numerator)
        with contextlib.suppress(OSError):
            api.SET_PARAMETERS(self.fd, wanted)
        given = self._rate()
        if given is None or not _is_near(rate, given):
            done = "does not state its rate" if given is None else f"set {float(given):.4g} fps: ask for that instead"
            raise self._other(f"{float(rate):.4g} fps", done)

    def _other(self, wanted: str, done: str) -> SettingError:
        return SettingError(f"the camera {self.path} was asked for {wanted} and {done}")

    def _rate(self) -> Fraction | None:
        current = api.StreamParameters(type=api.VIDEO_CAPTURE)
        try:
            api.GET_PARAMETERS(self.fd, current)
        except OSError:
            return None
        return _rate(current.numerator, current.denominator) if current.capability & api.CAP_TIME_PER_FRAME else None

    def _sizes(self, number: int) -> tuple[tuple[CameraSize, ...], SizeRange | None]:
        sizes = []
        for index in range(LIST_MAX):
            size = api.FrameSize(index=index, pixel_format=number)
            if not self._listed(api.ENUM_FRAME_SIZES, size):
                break
            values = tuple(size.values)
            if size.type != api.SIZE_DISCRETE:
                return (), SizeRange(*values)
            sizes.append(self.rates(code_of(number), values[0], values[1]))
        return tuple(sizes), None

    def _listed(self, ioctl: api.Ioctl, argument: ctypes.Structure) -> bool:
        try:
            ioctl(self.fd, argument)
        except OSError as exc:
            if exc.errno in _NO_LIST:
                return False
            raise self._refused(exc) from exc
        return True

    def _ask(self, ioctl: api.Ioctl, argument: ctypes.Structure) -> None:
        try:
            ioctl(self.fd, argument)
        except OSError as exc:
            raise self._refused(exc) from exc

    def _refused(self, exc: OSError) -> SourceError:
        if exc.errno == errno.ENODEV:
            return self.error("it was unplugged")
        if exc.errno == errno.EBUSY:
            return self.busy()
        return self.error(os.strerror(exc.errno or 0))

    def busy(self) -> SourceError:
        """Return the error that another program uses the camera; it names the program if it is visible."""
        users = ", ".join(f"{name} (process {pid})" for pid, name in _users(self.path))
        return self.error(f"{users or 'another program'} uses it; a camera gives its pictures to one program at a time")


def devices() -> list[str]:
    """Return the paths of all video devices in numeric order, including devices that are not cameras."""
    found = [path for path in Path("/dev").glob("video*") if path.name[5:].isdecimal()]
    return [str(path) for path in sorted(found, key=lambda path: int(path.name[5:]))]


def devices_here() -> str:
    """Describe the video devices of this machine for an error message."""
    found = devices()
    return f"video devices here: {', '.join(found)}" if found else "there is no /dev/video* on this machine"


def _reason(path: str, exc: OSError | ValueError) -> str:
    if isinstance(exc, PermissionError):
        with contextlib.suppress(OSError, KeyError):
            found = os.stat(path)
            group = grp.getgrgid(found.st_gid).gr_name
            if found.st_gid != 0 and found.st_mode & _GROUP_ACCESS == _GROUP_ACCESS:
                return (
                    f"you are not permitted to open it; add yourself to its group {group} "
                    f"(`sudo usermod -aG {group} $USER`) and log in again"
                )
        return "you are not permitted to open it"
    if isinstance(exc, FileNotFoundError):
        return f"{exc.strerror}; {devices_here()}"
    if isinstance(exc, OSError) and exc.errno in (errno.ENODEV, errno.ENXIO):
        return "it was unplugged"
    return exc.strerror or str(exc) if isinstance(exc, OSError) else str(exc)


def _not_a_camera(capabilities: int) -> str:
    if capabilities & api.CAP_VIDEO_CAPTURE_MPLANE:
        return (
            "its driver only has the multi-planar interface, which this command does not use; "
            "publish it with `gst-launch-1.0 v4l2src device=… ! … ! iceoryx2sink`"
        )
    return "it does not capture video (cameras often have a second device for metadata)"


def _users(path: str) -> Iterator[tuple[int, str]]:
    """Yield process ID and name of the visible processes, apart from this one, that have the device open."""
    target = os.path.realpath(path)
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if any(os.path.realpath(link) == target for link in (process / "fd").iterdir()):
                yield int(process.name), (process / "comm").read_text(encoding="utf-8", errors="replace").strip()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").strip()


def _rate(numerator: int, denominator: int) -> Fraction | None:
    """Return the rate of a frame interval in seconds; None if it is not a number above 0."""
    return Fraction(denominator, numerator) if numerator and denominator else None


def _is_near(one: Fraction, other: Fraction) -> bool:
    # Drivers count intervals in units of up to 0.1 ms, so 29.97 may come as 30 or as 29.98.
    return abs(one - other) <= other / 200


def _nearest_step(value: int, least: int, most: int, step: int) -> int:
    step = max(step, 1)
    return min(max(least + round((value - least) / step) * step, least), most - (most - least) % step)
