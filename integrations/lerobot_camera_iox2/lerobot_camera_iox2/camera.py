"""A stream as a camera of LeRobot."""

from __future__ import annotations

from typing import Any

from lerobot.cameras import Camera, ColorMode
from lerobot.utils.errors import DeviceAlreadyConnectedError, DeviceNotConnectedError

from .config_iox2 import Iox2CameraConfig
from .newest import NewestPicture, Picture, listing


class Iox2Camera(Camera):
    """A stream as a camera of LeRobot.

    Pictures are uint8 arrays (height, width, 3), copies that stay valid. There is no thread: a frame is converted when
    it is read, and frames that nobody reads are skipped.

    Args:
        config: The settings.

    Example:
        Read a picture:

            from lerobot_camera_iox2 import Iox2Camera, Iox2CameraConfig

            with Iox2Camera(Iox2CameraConfig(service="cam0")) as camera:
                print(camera.async_read().shape)
    """

    def __init__(self, config: Iox2CameraConfig) -> None:
        super().__init__(config)
        self.config = config
        self.color_mode = config.color_mode
        self._newest: NewestPicture | None = None

    def __str__(self) -> str:
        return f"Iox2Camera({self.config.service})"

    @staticmethod
    def find_cameras() -> list[dict[str, Any]]:
        """Return all streams; `id` is the name to use as `service`."""
        return listing()

    @property
    def is_connected(self) -> bool:
        """Whether `connect` was called. The stream need not have a publisher at the moment."""
        return self._newest is not None

    def connect(self, warmup: bool = True) -> None:
        """Subscribe to the stream.

        Args:
            warmup: Whether to wait for the first frame, at most `timeout_ms`, and to check it.

        Raises:
            DeviceAlreadyConnectedError: The camera is connected.
            ConnectionError: There is no such stream, or it cannot be opened; the message says why.
            TimeoutError: No frame arrived in time; the message says why.
            RuntimeError: Size or frame rate are not the configured ones (the message states both numbers), or the
                format of the stream cannot be converted to RGB.
        """
        if self.is_connected:
            raise DeviceAlreadyConnectedError(f"{self} is already connected")
        config = self.config
        newest = NewestPicture(config.service, config.expected, is_bgr=self.color_mode == ColorMode.BGR)
        try:
            if warmup:
                newest.next(config.timeout_ms / 1000)
        except BaseException:
            newest.close()
            raise
        self._newest = newest

    def read(self) -> Picture:
        """Wait for the next frame, at most `timeout_ms`, and return its picture.

        Raises:
            DeviceNotConnectedError: The camera is not connected.
            TimeoutError: No frame arrived in time; the message says why.
            RuntimeError: Size or frame rate have changed; the message states both numbers.
        """
        newest = self._connected()
        newest.skip()
        return newest.next(self.config.timeout_ms / 1000)

    def async_read(self, timeout_ms: float = 200) -> Picture:
        """Return the newest picture that this method has not returned yet. If there is none, wait for it.

        Args:
            timeout_ms: Maximum wait in milliseconds.

        Raises:
            DeviceNotConnectedError: The camera is not connected.
            TimeoutError: No frame arrived in time; the message says why.
            RuntimeError: Size or frame rate have changed; the message states both numbers.
        """
        return self._connected().next(timeout_ms / 1000)

    def read_latest(self, max_age_ms: int = 500) -> Picture:
        """Return the newest picture, without waiting. It may be one that was returned before.

        Args:
            max_age_ms: Milliseconds that may have passed since the picture was taken, not since it arrived.

        Raises:
            DeviceNotConnectedError: The camera is not connected.
            TimeoutError: The newest picture is older; the message says how old, and why.
            RuntimeError: No frame has arrived yet, frames carry no capture time, or size or frame rate have changed.
        """
        return self._connected().latest(max_age_ms)

    def disconnect(self) -> None:
        """Leave the stream.

        Raises:
            DeviceNotConnectedError: The camera is not connected.
        """
        self._connected().close()
        self._newest = None

    def _connected(self) -> NewestPicture:
        if self._newest is None:
            raise DeviceNotConnectedError(f"{self} is not connected; call connect() first")
        return self._newest
