"""Motion between frames, computed on every fourth pixel of a borrowed view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEP = 4
# Smaller changes in grey level are codec noise.
_NOISE = 6
_AFTERGLOW = 0.6


class MotionMeter:
    """Keeps the previous frame and a heat map that fades slowly."""

    def __init__(self) -> None:
        self._before: NDArray[np.int16] | None = None
        self._heat: NDArray[np.float32] | None = None

    def see(self, pixels: NDArray[np.uint8]) -> float:
        """Take the next BGR frame, (H, W, 3) uint8, keep a copy, and return the share of changed pixels, 0 to 1."""
        small = pixels[::STEP, ::STEP].astype(np.int16)
        grey = (small[..., 0] + 2 * small[..., 1] + small[..., 2]) >> 2
        if self._before is None or self._heat is None:
            change = np.zeros_like(grey)
            self._heat = np.zeros(grey.shape, dtype=np.float32)
        else:
            change = np.abs(grey - self._before)
        self._before = grey
        np.maximum(self._heat * _AFTERGLOW, np.clip(change - _NOISE, 0, None) / 48, out=self._heat)
        return float(np.mean(change > _NOISE))

    def draw(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the last frame and its motion as new RGB pictures, (H/4, W/4, 3) uint8.

        Colours range from dark grey (no motion) through red and yellow to white.
        """
        frame = np.ascontiguousarray(pixels[::STEP, ::STEP, ::-1])
        assert self._heat is not None
        heat = np.clip(self._heat, 0, 1)[..., np.newaxis]
        glow = np.clip(heat * 3 - np.array([0, 1, 2], dtype=np.float32), 0, 1)
        dim = frame.mean(axis=2, keepdims=True) * 0.3
        return frame, (dim * (1 - heat) + 255 * glow * np.minimum(1, heat * 4)).clip(0, 255).astype(np.uint8)
