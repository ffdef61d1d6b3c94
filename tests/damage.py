"""Sound frames and what can go wrong with their bytes; how often a test tries."""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Callable, Sequence
from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st

from gst_iceoryx2._wire.caps import video_caps
from gst_iceoryx2._wire.formats import FORMATS
from gst_iceoryx2._wire.metas import encode_meta
from gst_iceoryx2._wire.stamp import Stamp, boot_id
from gst_iceoryx2.video import CustomMeta, ReferenceTimestamp, VideoFrameHeader, build_aux

FACTOR = int(os.environ.get("FUZZ_FACTOR", "1"))

PIECES = (
    b"{",
    b"<" * 9,
    b"[" * 9,
    b'"',
    b"\\",
    b"\0",
    b";",
    b", a=(int)1",
    b'=(string)"\\303"',
    b"(memory:DMABuf)",
    b"\xff\xfe",
    b'(structure)"x, a=[a,a=[a"',
    b"(GstCaps)[",
    b"nan",
    b"-9223372036854775809",
    b"(fraction)1/0",
)
"""What parsers look for."""

NUMBERS = (0, 1, 4, 8, 40, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFB, 0xFFFFFFFF)
"""Lengths and counts that are wrong in most places."""


def examples(count: int) -> settings:
    """Settings that try `count` times, and as many times more as FUZZ_FACTOR says."""
    return settings(max_examples=count * FACTOR)


def sound_frame(name: str, width: int, height: int) -> tuple[VideoFrameHeader, int]:
    """A header of a frame without an aux blob, and the number of its pixel bytes."""
    fmt = FORMATS[name]
    layout = fmt.tight_layout(width, height)
    header = VideoFrameHeader()
    header.pts = header.dts = header.duration = header.offset = 2**64 - 1
    header.width, header.height, header.n_planes = width, height, fmt.n_planes
    header.stride[: fmt.n_planes] = layout.strides
    header.plane_offsets[: fmt.n_planes] = layout.offsets
    header.format_name = name
    return header, layout.size


def sound_blob(name: str, width: int, height: int, custom: str = "FrameInfo") -> bytes:
    """An aux blob as publishers write it, with metas of every kind."""
    caps = video_caps(name, width, height, Fraction(30), colorimetry="bt709", note='a "b" é')
    metas = [
        Stamp(boot_id(), 7, 3, 2, 1).record(),
        encode_meta(CustomMeta(custom, {"speed": 0.5, "name": "a b", "list": [1, 2], "on": True})),
        encode_meta(ReferenceTimestamp("timestamp/x-unix, a=(int)1", 5, 1, "info, a=(int)1;")),
        encode_meta(ReferenceTimestamp("timestamp/x-monotonic,kind=(string)due, boot-id=x", 6)),
        struct.pack("<II", 34 + 9, 19) + b"GstVideoCaptionMeta\0\0" + bytes(14),
        struct.pack("<II", 10 + 12, 12) + b"GstAudioMeta\0\0",
    ]
    return build_aux(caps, metas)


FORMAT_NAMES = sorted(name for name, fmt in FORMATS.items() if fmt.kind != "tiled")


def damaged(data: bytes, seed: int, times: int) -> bytes:
    """The bytes with some changes, the same ones for the same seed."""
    rng = random.Random(seed)
    changed = bytearray(data)
    for _ in range(times):
        at = rng.randrange(len(changed) + 1)
        kind = rng.randrange(8)
        if kind < 2:
            changed[at : at + 1] = bytes([rng.randrange(256)])
        elif kind < 4:
            changed[at : at + 4] = struct.pack("<I", rng.choice(NUMBERS))
        elif kind < 6:
            changed[at:at] = rng.choice(PIECES)
        elif kind == 6:
            end = at + rng.randrange(1, 60)
            changed[end:end] = changed[at:end] * rng.randrange(1, 12)
        else:
            del changed[at : at + rng.randrange(1, 20)]
    return bytes(changed)


def damages(data: Sequence[bytes] | st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Sound bytes with up to five changes."""
    sound = data if isinstance(data, st.SearchStrategy) else st.sampled_from(data)
    return st.builds(damaged, sound, st.integers(0, 2**32), st.integers(0, 5))


def passes(read: Callable[[str], object], text: str) -> float:
    """Processor time to read a text, in multiples of the time for one pass over its characters."""
    begin = time.process_time()
    read(text)
    middle = time.process_time()
    list(map(ord, text))
    return (middle - begin) / (time.process_time() - middle)
