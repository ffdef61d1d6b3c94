"""The settings of a camera. LeRobot finds the camera's class by the names of this module and its class."""

from __future__ import annotations

from dataclasses import dataclass

from lerobot.cameras import CameraConfig, ColorMode

from .newest import Shape, look


@CameraConfig.register_subclass("iox2")
@dataclass(kw_only=True)
class Iox2CameraConfig(CameraConfig):
    """The settings of an `Iox2Camera`.

    LeRobot's robots need the size and frame rate of a camera before they connect to it. Therefore, the stream must
    exist already, or be served on demand. Settings that are None are taken from it, and the others are checked.

    Attributes:
        service: Name of the stream, short or in full, such as `cam0` or `cam0@640x480-RGB`.
        width: Width in pixels.
        height: Height in rows.
        fps: Frames per second.
        color_mode: Order of the channels.
        timeout_ms: Maximum wait for the first frame, and for each frame of `read()`.

    Raises:
        ConnectionError: There is no such stream, or it cannot be opened; the message says why, and which streams exist.
        TimeoutError: No frame arrived in time; the message says why.
        RuntimeError: Size or frame rate are not the configured ones (the message states both numbers), or the format of
            the stream cannot be converted to RGB.

    Example:
        Take size and frame rate from the stream:

            from lerobot_camera_iox2 import Iox2CameraConfig

            config = Iox2CameraConfig(service="cam0")
            print(config.width, config.height, config.fps)
    """

    service: str
    width: int | None = None
    height: int | None = None
    fps: int | None = None
    color_mode: ColorMode = ColorMode.RGB
    timeout_ms: int = 5000

    def __post_init__(self) -> None:
        self.color_mode = ColorMode(self.color_mode)
        actual = look(self.service, self.expected, self.timeout_ms / 1000)
        self.width, self.height = actual.width, actual.height
        if self.fps is None:
            self.fps = actual.fps

    @property
    def expected(self) -> Shape:
        """The shape that the stream must have."""
        return Shape(self.width, self.height, self.fps)
