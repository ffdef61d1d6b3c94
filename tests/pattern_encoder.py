"""The test pattern as packets of H.264."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

av: Any = pytest.importorskip("av")

from gst_iceoryx2.feed import TestPattern


class PatternEncoder:
    """Encodes the test pattern with x264, without delay. Each keyframe has its parameter sets.

    Args:
        gop: Pictures from a keyframe to the next one.
        width: Width in pixels.
        height: Height in pixels.
        noise: Largest noise added to the pattern, which makes packets larger.

    Attributes:
        count: Number of encoded pictures.
        luma: The luma of the newest picture.
    """

    def __init__(self, gop: int, width: int = 320, height: int = 240, *, noise: int = 0) -> None:
        self._width, self._height = width, height
        self._pattern = TestPattern(width, height, "I420")
        self._encoder = av.CodecContext.create("libx264", "w")
        self._encoder.width, self._encoder.height, self._encoder.pix_fmt = width, height, "yuv420p"
        self._encoder.time_base, self._encoder.framerate = Fraction(1, 30), Fraction(30)
        self._encoder.gop_size = gop
        self._encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "12", "forced-idr": "1"}
        self._random = np.random.default_rng(1)
        self._noise = noise
        self.count = 0
        self.luma = np.empty((0, 0), np.uint8)

    def encode(self, *, is_keyframe: bool = False) -> Any:
        """Encode the next picture; return its packet."""
        width, height = self._width, self._height
        picture = np.zeros((height * 3 // 2, width), np.uint8)
        self.luma = picture[:height]
        self._pattern.draw((self.luma, *picture[height:].reshape(2, height // 2, width // 2)), self.count)
        if self._noise:
            # Not at the bottom, where the number is.
            self.luma[: height // 2] = self._random.integers(16, 16 + self._noise, (height // 2, width), np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
        frame.pts, self.count = self.count, self.count + 1
        if is_keyframe:
            frame.pict_type = av.video.frame.PictureType.I
        (packet,) = self._encoder.encode(frame)
        return packet
