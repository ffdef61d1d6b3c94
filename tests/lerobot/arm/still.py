"""The robot, whose only joint is at the number that its camera shows, and the teleoperator, which never moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from lerobot.cameras import CameraConfig, make_cameras_from_configs
from lerobot.robots import Robot, RobotConfig
from lerobot.teleoperators import Teleoperator, TeleoperatorConfig

from tests.lerobot.numbered import number_in

JOINTS = {"joint.pos": float}
# Larger than LeRobot's 500 ms, because the machine may be busy.
_MAX_AGE_MS = 20_000


@RobotConfig.register_subclass("still_arm")
@dataclass(kw_only=True)
class StillArmConfig(RobotConfig):
    cameras: dict[str, CameraConfig] = field(default_factory=dict)


@TeleoperatorConfig.register_subclass("still_hand")
@dataclass(kw_only=True)
class StillHandConfig(TeleoperatorConfig):
    pass


class _Still:
    """What both have: nothing to connect and to calibrate."""

    is_calibrated = True
    is_connected = True

    def connect(self, calibrate: bool = True) -> None:
        pass

    def calibrate(self) -> None:
        pass

    def configure(self) -> None:
        pass

    def disconnect(self) -> None:
        pass


class StillArm(_Still, Robot):
    config_class = StillArmConfig
    name = "still_arm"
    action_features = JOINTS

    def __init__(self, config: StillArmConfig) -> None:
        super().__init__(config)
        self.cameras = make_cameras_from_configs(config.cameras)

    @property
    def observation_features(self) -> dict[str, Any]:
        return JOINTS | {name: (camera.height, camera.width, 3) for name, camera in self.cameras.items()}

    @property
    def is_connected(self) -> bool:
        return all(camera.is_connected for camera in self.cameras.values())

    def connect(self, calibrate: bool = True) -> None:
        for camera in self.cameras.values():
            camera.connect()

    def get_observation(self) -> dict[str, Any]:
        pictures = {name: camera.read_latest(_MAX_AGE_MS) for name, camera in self.cameras.items()}
        return pictures | {"joint.pos": float(max(map(number_in, pictures.values())))}

    def send_action(self, action: dict[str, Any]) -> dict[str, Any]:
        return action

    def disconnect(self) -> None:
        for camera in self.cameras.values():
            camera.disconnect()


class StillHand(_Still, Teleoperator):
    config_class = StillHandConfig
    name = "still_hand"
    action_features = JOINTS
    feedback_features: ClassVar[dict[str, Any]] = {}

    def get_action(self) -> dict[str, Any]:
        return {"joint.pos": 0.0}

    def send_feedback(self, feedback: dict[str, Any]) -> None:
        pass
