"""Pictures with known bytes: noise that depends on publisher and number, after a stamp.

The bytes of a torn frame belong to two numbers. Each number and each publisher has other noise at every place, so one
comparison finds a torn frame, and tells which frame the wrong bytes belong to.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

_NOISE: Final = np.random.default_rng(20100).integers(0, 256, 1 << 22, np.uint8)
_NOISE.setflags(write=False)
# Odd steps, so that successive numbers share nothing; multiples of 8 bytes, so that words are compared.
_STEP: Final = 8 * 104_729
_LAYOUT: Final = struct.Struct("<8sQQQQQQ")
_CHECKSUM: Final = struct.Struct("<I4x")
STAMP_BYTES: Final = _LAYOUT.size + _CHECKSUM.size
_MAGIC: Final = b"chaos\r\n\x1a"


class Stamp(NamedTuple):
    """The first pixels of a frame.

    Attributes:
        publisher: A random number of the publisher.
        number: Count of frames that the publisher filled, including frames that it could not send.
        lost: Number of earlier frames that could not be sent.
        born: Time at which the publisher filled its first frame, ns of CLOCK_MONOTONIC.
        filled: Time at which this frame was filled, ns of CLOCK_MONOTONIC.
        size: Bytes of pixels.
    """

    publisher: int
    number: int
    lost: int
    born: int
    filled: int
    size: int


class TornFrameError(AssertionError):
    """A frame has bytes that its publisher did not write; the message says where, and which frame they belong to."""


def fill(pixels: Bytes, stamp: Stamp) -> None:
    """Fill a one-dimensional array of a multiple of 8 bytes, at least `STAMP_BYTES`, with a picture."""
    head = _LAYOUT.pack(_MAGIC, *stamp)
    head += _CHECKSUM.pack(zlib.crc32(head))
    pixels[:STAMP_BYTES] = np.frombuffer(head, np.uint8)
    pixels[STAMP_BYTES:] = _noise(stamp.publisher, stamp.number, stamp.size)[STAMP_BYTES:]


def check(pixels: Bytes) -> Stamp:
    """Read the stamp and compare every byte of a picture.

    Raises:
        TornFrameError: A byte differs.
    """
    head = pixels[:STAMP_BYTES].tobytes()
    stamp = read_stamp(head)
    if stamp.size != len(pixels):
        raise TornFrameError(f"{_name(stamp)} has {stamp.size} bytes, received were {len(pixels)}")
    expected = _noise(stamp.publisher, stamp.number, stamp.size)
    if not np.array_equal(_words(pixels), _words(expected)):
        raise TornFrameError(f"{_name(stamp)}: {_difference(pixels[STAMP_BYTES:], expected[STAMP_BYTES:], stamp)}")
    # The stamp may have been overwritten during the comparison.
    if pixels[:STAMP_BYTES].tobytes() != head:
        raise TornFrameError(f"{_name(stamp)} changed while it was looked at")
    return stamp


def read_stamp(head: bytes) -> Stamp:
    """Read the stamp only.

    Raises:
        TornFrameError: It is not a stamp.
    """
    magic, *fields = _LAYOUT.unpack_from(head)
    (checksum,) = _CHECKSUM.unpack_from(head, _LAYOUT.size)
    if magic != _MAGIC or checksum != zlib.crc32(head[: _LAYOUT.size]):
        raise TornFrameError(f"no stamp: {head.hex()}")
    return Stamp(*fields)


def _noise(publisher: int, number: int, size: int) -> Bytes:
    room = (len(_NOISE) - size) // 8 * 8
    start = (publisher * 8 + number * _STEP) % room
    return _NOISE[start // 8 * 8 :][:size]


def _words(pixels: Bytes) -> npt.NDArray[np.uint64]:
    return pixels[STAMP_BYTES:].view(np.uint64)


def _difference(pixels: Bytes, expected: Bytes, stamp: Stamp) -> str:
    wrong = np.flatnonzero(pixels != expected)
    text = f"{len(wrong)} of {len(pixels)} bytes are different, first at {wrong[0] + STAMP_BYTES}"
    # A single byte may be right by chance; a run of bytes identifies the frame.
    run = slice(wrong[0], wrong[0] + 16)
    for number in range(max(0, stamp.number - 200), stamp.number + 200):
        if np.array_equal(_noise(stamp.publisher, number, stamp.size)[STAMP_BYTES:][run], pixels[run]):
            return f"{text}, where number {number} begins"
    return f"{text}: {pixels[run].tobytes().hex()} instead of {expected[run].tobytes().hex()}"


def _name(stamp: Stamp) -> str:
    return f"number {stamp.number} of publisher {stamp.publisher:x}"
