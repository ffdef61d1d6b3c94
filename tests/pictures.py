"""Pictures in which no two rows, planes or components are alike, in every format."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gst_iceoryx2._wire.formats import VideoFormat, get_format
from gst_iceoryx2.video import FrameParams

WIDTH, HEIGHT = 333, 177


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that repeat at no stride."""
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8).tobytes()


def padded(format: str, width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> tuple[bytes, FrameParams]:
    """Raw bytes with rows that are longer than they need to be, and what they are."""
    known = get_format(format)
    stride0 = stride_beyond(known, width)
    layout = known.tight_layout(width, height, stride0)
    return noise(layout.size, seed), FrameParams(width, height, format, known.n_planes, stride0, offset=seed, pts=seed)


def stride_beyond(format: VideoFormat, width: int) -> int:
    """A stride of the first plane that leaves some bytes between rows, a multiple of 64."""
    return (format.row_bytes(0, width) // 64 + 2) * 64


def planes(format: str, width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> tuple[npt.NDArray[Any], ...]:
    """One array a plane, as `VideoFrame.planes` gives them."""
    known = get_format(format)
    layout = known.tight_layout(width, height)
    pixels = np.frombuffer(noise(layout.size, seed), np.uint8)
    return known.views(pixels, width, height, layout.strides, layout.offsets)
