"""Encoders of known pictures: the gray of each picture tells its number."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

av: Any = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")

from gst_iceoryx2.packets import Packet, PacketPublisher, PacketSubscriber
from tests.waiting import arrived

_ENCODERS = {"h264": "libx264", "h265": "libx265", "av1": "libsvtav1"}
# Readers need the parameter sets in front of each keyframe.
_QUIETLY = "repeat-headers=1:log-level=none"
WAIT_MS = 20_000


def gray(number: int) -> int:
    """A gray that identifies a picture among its neighbours, also after a lossy codec."""
    return 40 + number * 37 % 160


def number_near(frame: Any, expected: int) -> bool:
    """Whether a decoded picture is the one with this number."""
    return bool(abs(float(frame.to_ndarray()[: frame.height].mean()) - gray(expected)) < 6)


def encode(
    codec: str,
    count: int,
    size: tuple[int, int] = (320, 240),
    *,
    gop: int = 10,
    b_frames: int = 0,
    aspect: Fraction = Fraction(1),
) -> list[Any]:
    """Encode pictures in BT.709; return PyAV's packets, whose times count pictures."""
    encoder = av.CodecContext.create(_ENCODERS[codec], "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt, encoder.time_base, encoder.framerate, encoder.gop_size = "yuv420p", Fraction(1, 30), 30, gop
    encoder.color_range, encoder.colorspace, encoder.color_primaries, encoder.color_trc = 1, 1, 1, 1
    encoder.sample_aspect_ratio = aspect
    encoder.options = {
        "h264": {
            "preset": "veryfast",
            "bf": str(b_frames),
            "b_strategy": "0",
            "sc_threshold": "0",
            "forced-idr": "1",
            "crf": "20",
        },
        "h265": {
            "preset": "ultrafast",
            "x265-params": f"bframes={b_frames}:b-adapt=0:keyint={gop}:scenecut=0:open-gop=0:{_QUIETLY}",
        },
        "av1": {"preset": "12", "svtav1-params": "pred-struct=1"},
    }[codec]
    packets = []
    for number in range(count):
        picture = np.full((size[1] * 3 // 2, size[0]), 128, np.uint8)
        picture[: size[1]] = gray(number)
        frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    return packets + encoder.encode(None)


def through(
    publisher: PacketPublisher, subscriber: PacketSubscriber, packets: Sequence[Any], step: int
) -> list[Packet]:
    """Send packets whose times count pictures, `step` nanoseconds apart; return copies of what arrives."""
    received = []
    for packet in packets:
        times = {"pts": packet.pts * step, "dts": packet.dts * step + 100 * step}
        times["pts"] += 100 * step
        publisher.publish(packet, is_keyframe=packet.is_keyframe, captured_at=10**9 + packet.pts * step, **times)
        received.append(arrived(subscriber.receive_blocking(WAIT_MS)).copy())
    return received
