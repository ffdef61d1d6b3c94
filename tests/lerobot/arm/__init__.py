"""A robot without motors and its teleoperator, for `lerobot-record`."""

from __future__ import annotations

from .still import StillArm, StillArmConfig, StillHand, StillHandConfig

__all__ = ["StillArm", "StillArmConfig", "StillHand", "StillHandConfig"]
