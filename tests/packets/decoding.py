"""A decoder that accepts nothing that is damaged."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from gst_iceoryx2.packets import Packet

# AV_CODEC_FLAG_LOW_DELAY: each packet gives its picture at once.
_LOW_DELAY = 0x80000


class Decoder:
    """Decodes H.264 packet by packet; fails if a packet does not give exactly one picture, or a damaged one."""

    def __init__(self) -> None:
        # Imported here, so that modules with tests that need PyAV can skip them.
        self._av: Any = import_module("av")
        self._decoder: Any = self._av.CodecContext.create("h264", "r")
        self._decoder.options = {"err_detect": "explode"}
        self._decoder.thread_count = 1
        self._decoder.flags |= _LOW_DELAY

    def decode(self, packet: Packet) -> np.ndarray:
        """Return the luma of the picture, uint8 of shape (H, W)."""
        (frame,) = self._decoder.decode(self._av.Packet(packet.data))
        assert not frame.is_corrupt
        rows = np.frombuffer(frame.planes[0], np.uint8).reshape(frame.height, -1)
        return rows[:, : frame.width].copy()
