"""The Python side of this suite: reads a command as one line of JSON, does it, answers in one line of JSON.

`crates/core/examples/behaviour_peer.rs` speaks the same commands.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from typing import Any

import numpy as np

from gst_iceoryx2._wire.formats import FORMATS
from gst_iceoryx2.errors import Iox2VideoError
from gst_iceoryx2.video import FrameParams, Qos, VideoFrame, VideoFramePublisher, VideoFrameSubscriber

QOS = ("buffer_size", "borrowed_max", "history_size", "safe_overflow")
SETTINGS = ("max_bytes", "max_frames", "max_subscribers", "max_publishers", "aux_bytes", "lossless")


def pattern(size: int, value: int) -> bytes:
    """The pixels with which a frame of this value is filled."""
    return ((np.arange(size) % 251).astype(np.uint8) ^ np.uint8(value % 256)).tobytes()


class Peer:
    """What a test has made here, by name."""

    def __init__(self) -> None:
        self.ends: dict[str, Any] = {}
        self.held: list[VideoFrame] = []
        self.loans: list[Any] = []

    def act(self, do: str, **command: Any) -> Any:
        """Do a command."""
        return getattr(self, f"do_{do}")(**command)

    def do_domain(self, root: str, prefix: str) -> None:
        self.do_release()
        self.do_discard()
        for name in list(self.ends):
            self.do_close(name)
        # What a refused end still refers to.
        gc.collect()
        os.environ["IOX2_VIDEO_DOMAIN"] = f"{root}:{prefix}"

    def do_publisher(self, id: str, service: str, **settings: Any) -> None:
        qos = Qos(**{name: settings[name] for name in QOS if name in settings})
        rest = {name: settings[name] for name in SETTINGS if name in settings}
        self.ends[id] = VideoFramePublisher(service, qos=qos, **rest)

    def do_publish(
        self,
        id: str,
        width: int = 8,
        height: int = 8,
        format: str = "BGR",
        value: int = 0,
        count: int = 1,
        pts: int | None = None,
        captured_at: int | None = None,
        metas: tuple[str, ...] = (),
        **fields: int,
    ) -> int:
        publisher: VideoFramePublisher = self.ends[id]
        before = publisher.stats.sent
        for number in range(value, value + count):
            if captured_at is None:
                params = FrameParams(width, height, format, offset=number, **({} if pts is None else {"pts": pts}))
                size = FORMATS[format].tight_layout(width, height).size
                publisher.publish_frame(pattern(size, number), params)
            else:
                array = np.frombuffer(pattern(width * height * 3, number), np.uint8).reshape(height, width, 3)
                records = [bytes.fromhex(meta) for meta in metas]
                publisher.publish(
                    array, format=format, pts=pts, offset=number, captured_at=captured_at, metas=records, **fields
                )
        return publisher.stats.sent - before

    def do_loan(self, id: str, size: int = 1) -> None:
        self.loans.append(self.ends[id].loan(size, 1, "GRAY8"))

    def do_discard(self) -> None:
        for loan in self.loans:
            loan.discard()
        self.loans.clear()

    def do_end(self, id: str) -> None:
        self.ends[id].end_of_stream()

    def do_wait_for_subscribers(self, id: str, count: int = 1) -> int:
        deadline = time.monotonic() + 60
        while self.ends[id].num_subscribers != count and time.monotonic() < deadline:
            time.sleep(0.002)
        there: int = self.ends[id].num_subscribers
        return there

    def do_subscriber(self, id: str, service: str) -> None:
        self.ends[id] = VideoFrameSubscriber(service)

    def do_receive(self, id: str, timeout_ms: int, hold: bool = False) -> dict[str, Any] | None:
        frame = self.ends[id].receive_blocking(timeout_ms)
        if frame is not None and hold:
            self.held.append(frame)
        return None if frame is None else described(frame)

    def do_values(self, id: str, timeout_ms: int) -> list[Any]:
        values: list[Any] = []
        while (frame := self.ends[id].receive_blocking(timeout_ms)) is not None:
            if frame.is_eos():
                values.append("end")
                break
            values.append(value_of(frame))
            del frame
        return values

    def do_held(self) -> list[int | None]:
        return [value_of(frame) for frame in self.held]

    def do_release(self) -> None:
        for frame in self.held:
            frame.release()
        self.held.clear()

    def do_stats(self, id: str) -> dict[str, Any]:
        stats = self.ends[id].stats
        return {name: getattr(stats, name) for name in ("received", "dropped", "invalid", "held", "limit")}

    def do_qos(self, id: str) -> list[Any] | None:
        qos = self.ends[id].qos
        return None if qos is None else [getattr(qos, name) for name in QOS]

    def do_close(self, id: str) -> None:
        self.ends.pop(id).close()


def value_of(frame: VideoFrame) -> int | None:
    """The value with which a frame's pixels are filled; None if they are not all of one pattern."""
    pixels = bytes(frame.pixels)
    return pixels[0] if pixels == pattern(len(pixels), pixels[0]) else None


def described(frame: VideoFrame) -> dict[str, Any]:
    """A frame in the words of the tests."""
    if frame.is_eos():
        return {"end": True}
    aux = frame.parse_aux()
    return {
        "end": False,
        "value": value_of(frame),
        "header": bytes(frame.header).hex(),
        "caps": aux.caps,
        "metas": [meta.hex() for meta in aux.metas[1:]],
        "stamp": aux.metas[0].hex() if aux.metas else None,
        "sequence": frame.sequence,
        "captured_at": frame.captured_at,
        "due_at": frame.due_at,
    }


def main() -> None:
    """Answer until there are no more commands."""
    peer = Peer()
    for line in sys.stdin:
        try:
            answer = {"ok": peer.act(**json.loads(line))}
        except Iox2VideoError as error:
            answer = {"error": type(error).__name__, "text": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
