"""Read iox2-video streams as LeRobot cameras.

LeRobot imports this package when a command starts, because its name begins with `lerobot_camera_`. Then cameras can
have the type `iox2`:

    lerobot-record --robot.cameras='{front: {type: iox2, service: cam0}}' …
"""

from __future__ import annotations

from .camera import Iox2Camera
from .config_iox2 import Iox2CameraConfig

__all__ = ["Iox2Camera", "Iox2CameraConfig"]
