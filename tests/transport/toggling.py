"""A hostile second process that keeps writing to the frames that it sent, while they are read.

Each change toggles one place of every frame between two contents, as fast as possible.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
import time
from typing import Any, Final, NamedTuple

from gst_iceoryx2._wire.metas import encode_meta
from gst_iceoryx2.video import ReferenceTimestamp, VideoFrameHeader, build_aux
from tests.transport.raw import RawPublisher

WIDTH, HEIGHT = 16, 8
PIXELS: Final = bytes(range(WIDTH * HEIGHT))
NOTE: Final = 12_000
CAPS: Final = (
    "video/x-raw, format=(string)GRAY8, width=(int)16, height=(int)8, count=(int)10000000, note=(string)" + "x" * NOTE
)
RECORD: Final = encode_meta(ReferenceTimestamp("timestamp/x-unix, note=(string)" + "x" * NOTE, 1))
AUX: Final = build_aux(CAPS, [RECORD])
# Offsets in the payload.
CAPS_AT: Final = len(PIXELS) + 4
RECORD_AT: Final = CAPS_AT + len(CAPS) + 8
# iceoryx2's own header lies before the user header and ends with the number of elements and an offset.
COUNT_AT: Final = -16


class Change(NamedTuple):
    """A place and the two contents that are written there in turn.

    Attributes:
        at: Bytes from the start of the user header, or of the payload.
        payload: Whether `at` counts from the payload.
        contents: Two contents of equal length; the first is the right one.
    """

    at: int
    payload: bool
    contents: tuple[bytes, bytes]


def _field(name: str, wrong: int, size: int = 4) -> Change:
    field = getattr(VideoFrameHeader, name)
    right = bytes(header())[field.offset : field.offset + size]
    return Change(field.offset, False, (right, wrong.to_bytes(size, "little")))


def header() -> VideoFrameHeader:
    """Return the header of a valid frame."""
    sound = VideoFrameHeader()
    sound.width, sound.height, sound.n_planes, sound.aux_size = WIDTH, HEIGHT, 1, len(AUX)
    sound.stride[0] = WIDTH
    sound.format_name = "GRAY8"
    return sound


NOTE_AT: Final = CAPS_AT + len(CAPS) - NOTE
TEXTS: Final = {
    "a bracket ends the caps": Change(NOTE_AT + NOTE - 1, True, (b"x", b"(")),
    "half a character ends the caps": Change(NOTE_AT + NOTE - 1, True, (b"x", b"\x80")),
    "brackets in the caps": Change(NOTE_AT, True, (b"x" * NOTE, b"()" * (NOTE // 2))),
    "quotes in the caps": Change(NOTE_AT, True, (b"x" * NOTE, b'"' * NOTE)),
    "characters of two bytes in the caps": Change(NOTE_AT, True, (b"x" * NOTE, "é".encode() * (NOTE // 2))),
    "the length of the caps": Change(len(PIXELS), True, (struct.pack("<I", len(CAPS)), b"\xff\xff\xff\x7f")),
    "a bracket in a meta": Change(RECORD_AT + len(RECORD) - 2, True, (b"x", b"(")),
    "characters of two bytes in a meta": Change(RECORD_AT + 100, True, (b"x" * 10_000, "é".encode() * 5_000)),
    "no end of a meta": Change(RECORD_AT + len(RECORD) - 1, True, (b"\0", b"\x80")),
    "the length of a meta": Change(RECORD_AT - 4, True, (struct.pack("<I", len(RECORD)), b"\xff\xff\xff\x7f")),
}
NUMBERS: Final = {
    "the height": _field("height", 2**15),
    "the stride": _field("stride", 2**31 - 1),
    "the plane's place": _field("plane_offsets", 2**32 - 1),
    "the size of the blob": _field("aux_size", 2**32 - 1),
    "the end of the stream": _field("flags", 1 << 32, 8),
    "the format's end": Change(88 + 5, False, (b"\0", b"\xff")),
    "the number of bytes": Change(
        COUNT_AT, False, (struct.pack("<Q", len(PIXELS) + len(AUX)), struct.pack("<Q", 1 << 40))
    ),
}
CHANGES: Final = TEXTS | NUMBERS


def run(act: str, *arguments: Any) -> None:
    globals()[act](*arguments)


def send_and_toggle(service: str, changes: list[str]) -> None:
    """Send frames that keep changing in each of these ways, until standard input ends."""
    publisher = RawPublisher(service, 1 << 15, buffer_size=10)
    frame = PIXELS + AUX
    sent: dict[int, int] = {}
    toggler = count = number = 0
    os.set_blocking(0, False)
    print(1, flush=True)
    while sys.stdin.buffer.raw.read(1) is None:  # type: ignore[attr-defined]
        for _ in range(10):
            loan = publisher.publisher.loan_slice_uninit(len(frame))
            sent[loan.payload_ptr] = loan.user_header_ptr
            # New caps for each frame, so that they are checked.
            number += 1
            ctypes.memmove(loan.payload_ptr, frame.replace(b"10000000", b"1%07d" % number), len(frame))
            ctypes.memmove(loan.user_header_ptr, bytes(header()), ctypes.sizeof(VideoFrameHeader))
            loan.assume_init().send()
        publisher.notifier.notify()
        # Leaves one processor to the reader and one to the child that writes.
        time.sleep(0.001)
        count += 1
        if count in (1, 10):
            # Toggle the chunks known so far, in a child: it shares their memory, but not the interpreter.
            _stop(toggler)
            toggler = _toggle([CHANGES[change] for change in changes], sent)
    _stop(toggler)
    publisher.close()


def _toggle(changes: list[Change], sent: dict[int, int]) -> int:
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    rounds = [
        [
            ((payload if change.payload else user_header) + change.at, content, len(content))
            for content in reversed(change.contents)
            for payload, user_header in sent.items()
        ]
        for change in changes
    ]
    while os.getppid() == parent:
        for writes in rounds:
            for _ in range(20):
                for write in writes:
                    ctypes.memmove(*write)
    os._exit(0)


def _stop(child: int) -> None:
    if child:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
