"""A Video4Linux2 camera as a source of pictures."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Final

from .._wire.formats import get_format
from .._wire.header import BUFFER_FLAGS
from ..errors import FormatError
from .errors import FeedError, SettingError, SourceError
from .filling import filler, published_colorimetry
from .flip import check_flip
from .source import Lend, Picture, Shape
from .v4l2 import api
from .v4l2.capture import Capture, Captured, LoanCapture, MappedCapture, accepts_user_memory
from .v4l2.choice import Choice, choose
from .v4l2.controls import set_controls
from .v4l2.device import Device, Mode
from .v4l2.listing import CameraInfo, cameras, link, path_of, same_cameras

_log: Final = logging.getLogger("gst_iceoryx2")

# Longest wait for a picture before the feed looks whether it should stop, in seconds.
_STEP: Final = 0.1
# A camera that sends no picture for so long has failed, in seconds. Long exposures take less.
_SILENCE_MAX: Final = 10.0
# Time between two attempts to find a camera again, in seconds.
_RETRY: Final = 0.25
_CORRUPTED: Final = BUFFER_FLAGS["CORRUPTED"]
_INTERLACED: Final = BUFFER_FLAGS["INTERLACED"]
_TOP_FIRST: Final = BUFFER_FLAGS["TFF"]
_FIELD_ORDERS: Final = {
    api.FIELD_INTERLACED: None, api.FIELD_INTERLACED_TB: True, api.FIELD_INTERLACED_BT: False
}  # fmt: skip


class Camera:
    """A Video4Linux2 camera.

    If the driver can write into memory that is not its own (USERPTR), it writes each picture directly into the
    published frame, and nothing copies it. Otherwise, and for JPEG cameras, `flip` and a `format` that the camera does
    not have, each picture is copied, decoded or converted once. `capture` tells which it is.

    Args:
        device: "/dev/video0", a link to it such as "/dev/v4l/by-id/…", or "0".
        format: The camera's own format by its four-character code ("YUYV", "MJPG"), or GStreamer's name for the format
            to publish ("BGR", "NV12"); None selects the best one that the camera has. JPEG is published as RGB.
            Converting needs PyAV, except to RGB and BGR.
        size: Width and height to request from the camera; None keeps the camera's setting.
        fps: Frames per second to request from the camera; None keeps the camera's setting.
        controls: Values of controls by name, as in `iox2-video cameras DEVICE`; set in this order.
        flip: "180", "horizontal" or "vertical"; None = as the camera sends it. Flipping costs a copy.
        reconnect: Whether to wait for the same camera after it was unplugged. Otherwise, the stream ends.

    Attributes:
        damaged: Number of pictures that the driver reported as damaged, or that could not be decoded completely. They
            are sent with the flag CORRUPTED; those without any picture are left out.
        lost: Number of pictures that the driver lost, because it had no free buffer or the bus failed.

    Raises:
        SourceError: The camera does not exist, or cannot be used.
        SettingError: The camera does not have the format, size, rate or control.
        MissingExtraError: Converting to `format` needs PyAV, which is not installed.
    """

    is_live = True

    def __init__(
        self,
        device: str,
        *,
        format: str | None = None,
        size: tuple[int, int] | None = None,
        fps: Fraction | None = None,
        controls: Mapping[str, str] | None = None,
        flip: str | None = None,
        reconnect: bool = False,
    ) -> None:
        self.damaged = 0
        self.lost = 0
        self._path = path_of(device)
        self._wanted = (format, size, fps)
        self._controls = dict(controls or {})
        self._reconnect = reconnect
        self._capture: Capture | None = None
        self._told: set[str] = set()
        # Why the latest picture without any content was left out.
        self._reason = ""
        self._began: int | None = None
        self._device = Device(self._path)
        try:
            card, bus_info, driver = self._device.card, self._device.bus_info, self._device.driver
            self._info = CameraInfo(self._path, card, driver, bus_info, link(self._path, "by-id"), None)
            self._others = {one.bus_info for one in cameras()} - {bus_info} if reconnect else set()
            self._choice, self._mode = self._configure(self._device)
            self._known = get_format(self._choice.format)
            self._flip = None if flip is None else check_flip(flip, self._known, self._choice.width)
            self._fill, self._least = filler(self._choice, self._mode.pix, self._flip)
            self._is_direct = self._is_accepted()
        except BaseException:
            self._device.close()
            raise

    @property
    def shape(self) -> Shape:
        """Size, format and rate of the frames."""
        choice, pix = self._choice, self._mode.pix
        fields = {}
        colorimetry = published_colorimetry(choice, pix)
        if colorimetry is not None:
            fields["colorimetry"] = f"(string){colorimetry}"
        if pix.field in _FIELD_ORDERS:
            fields["interlace-mode"] = "(string)interleaved"
        caps = ", ".join(["video/x-raw", *(f"{name}={value}" for name, value in fields.items())])
        return Shape(choice.width, choice.height, choice.format, self._mode.rate, caps if fields else None)

    @property
    def capture(self) -> str:
        """How pictures get from the driver into the frame, in words."""
        code, format = self._choice.code.strip(), self._choice.format
        if self._is_direct:
            return f"{code}, written by the driver into shared memory, no copy"
        if self._choice.captured is None:
            return f"{code}, decoded to {format} into shared memory"
        if self._choice.captured != format:
            return f"{code}, converted to {format}"
        reason = "it is flipped" if self._flip else "the driver only writes into its own memory"
        return f"{code}, one copy per frame, because {reason}"

    @property
    def about(self) -> str:
        """Where the pictures come from, in words."""
        return f"camera {self._info.name}, {self.capture}; {self._path}"

    def pictures(self, lend: Lend) -> Iterator[Picture | None]:
        """Yield pictures until the camera is unplugged, which raises SourceError; None if none arrived for 0.1 s."""
        while True:
            try:
                yield from self._stream(lend)
            except SourceError as exc:
                self._stop()
                # A camera that never worked is not waited for.
                if not self._reconnect or self._began is None:
                    raise
                self._tell(f"{exc}; waiting for it")
            yield from self._wait_for_return()

    def close(self) -> None:
        """Stop streaming, then give back the frames that the driver could write into, and close the device."""
        self._stop()
        self._device.close()

    # -- opening -----------------------------------------------------------------------------------------------------

    def _configure(self, device: Device) -> tuple[Choice, Mode]:
        choice = choose(device, *self._wanted)
        mode = device.configure(choice.code, choice.width, choice.height, choice.rate)
        if mode.pix.field not in (api.FIELD_ANY, api.FIELD_NONE, *_FIELD_ORDERS):
            raise device.error("it sends the two fields of a picture one after the other, which raw video cannot be")
        set_controls(device, self._controls)
        return choice, mode

    def _is_accepted(self) -> bool:
        """Return whether the driver can write pictures as they are published into a frame."""
        pix, choice = self._mode.pix, self._choice
        if self._flip is not None or choice.captured != choice.format:
            return False
        size = self._known.tight_layout(pix.width, pix.height, pix.bytesperline or None).size
        # The driver writes `sizeimage` bytes, which must not be more than a frame has.
        return pix.sizeimage <= size and accepts_user_memory(self._device, size)

    # -- streaming ---------------------------------------------------------------------------------------------------

    def _stream(self, lend: Lend) -> Iterator[Picture | None]:
        stride = self._mode.pix.bytesperline or None
        if self._is_direct:
            capture: Capture = LoanCapture(self._device, lambda: lend(stride))
            # Noted before the start, so that `close` stops it after an interrupt.
            self._capture = capture
            try:
                capture.start()
            except SourceError:
                # Some drivers accept the memory and fail when they have to use it.
                if self._device.fd < 0:
                    raise
                self._is_direct = False
                _log.warning("%s; pictures are copied from now on", self.about)
        if not self._is_direct:
            self._capture = capture = MappedCapture(self._device)
            capture.start()
        expected: int | None = None
        heard_at = time.monotonic()
        while True:
            captured = capture.next(_STEP)
            if captured is not None:
                if expected is not None and captured.sequence > expected:
                    self.lost += captured.sequence - expected
                expected = captured.sequence + 1
            picture = None if captured is None else self._picture(captured, lend)
            if picture is not None:
                self._told.clear()
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > _SILENCE_MAX:
                why = f": {self._reason}" if captured is not None else ""
                raise SourceError(f"the camera {self._path} has sent no picture for {_SILENCE_MAX:.0f} s{why}")
            yield picture

    def _picture(self, captured: Captured, lend: Lend) -> Picture | None:
        """Return the picture in a frame; None if there is nothing in it."""
        is_damaged = captured.is_damaged or captured.used < self._least
        frame = captured.frame
        try:
            if captured.used == 0:
                raise FormatError(f"the camera {self._path} sent an empty picture")
            if frame is None:
                assert captured.memory is not None
                frame = lend(None)
                is_damaged |= not self._fill(captured.memory, captured.used, frame)
        except FormatError as exc:
            self._reason = str(exc)
            self.damaged += 1
            if frame is not None:
                frame.discard()
            return None
        self.damaged += is_damaged
        self._began = captured.captured_at if self._began is None else self._began
        flags = (_CORRUPTED if is_damaged else 0) | self._field_flags()
        pts = max(captured.captured_at - self._began, 0)
        is_by_reference = captured.frame is not None
        return Picture(pts, None, captured.captured_at, None, flags, frame, is_by_reference)

    def _field_flags(self) -> int:
        field = self._mode.pix.field
        if field not in _FIELD_ORDERS:
            return 0
        # The order of FIELD_INTERLACED depends on the television standard: bottom first with 525 lines only.
        is_top = _FIELD_ORDERS[field]
        return _INTERLACED | (_TOP_FIRST if is_top or (is_top is None and self._mode.pix.height > 480) else 0)

    def _stop(self) -> None:
        if self._capture is not None:
            self._capture.stop()
            self._capture = None

    # -- coming back -------------------------------------------------------------------------------------------------

    def _wait_for_return(self) -> Iterator[None]:
        """Yield None until the camera is there again."""
        self._device.close()
        while True:
            yield None
            time.sleep(_RETRY)
            for path in same_cameras(cameras(), self._info, self._others):
                try:
                    self._device = self._opened_again(path)
                except FeedError as exc:
                    self._tell(f"{exc}; waiting for it")
                else:
                    self._tell(f"the camera {path} is back")
                    return

    def _opened_again(self, path: str) -> Device:
        """Open the camera with its former settings.

        Raises:
            FeedError: It cannot be used yet, or it is another one.
        """
        device, choice = Device(path), self._choice
        try:
            # Not as in the constructor: what was not asked for has the camera's defaults again.
            mode = device.configure(choice.code, choice.width, choice.height, self._mode.rate)
            if (mode.rate, bytes(mode.pix)) != (self._mode.rate, bytes(self._mode.pix)):
                raise device.error("it came back with another layout of its pictures")
            try:
                set_controls(device, self._controls)
            except SettingError as exc:
                self._tell(str(exc))
        except BaseException:
            device.close()
            raise
        return device

    def _tell(self, text: str) -> None:
        """Log a warning, but not again before the next picture: a camera may fail again and again."""
        if text not in self._told:
            self._told.add(text)
            _log.warning("%s", text)
