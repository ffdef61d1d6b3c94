"""A camera that publishes the test pattern as packets of H.264."""

from __future__ import annotations

import threading
import time

from gst_iceoryx2._wire.stamp import Stamp, boot_id, monotonic_ns
from gst_iceoryx2.packets import PacketPublisher
from tests.pattern_encoder import PatternEncoder

WIDTH, HEIGHT = 320, 240
MS = 1_000_000


class Camera:
    """Publishes `near@h264` in a thread, 30 pictures per second, until it is paused or closed.

    Attributes:
        packets: Each packet, by the sequence of its frame.
        stamps: The stamp of each frame.
    """

    def __init__(self, gop: int = 30, noise: int = 0, *, answers: bool = True) -> None:
        self.packets: dict[int, bytes] = {}
        self.stamps: dict[int, Stamp] = {}
        self._encoder = PatternEncoder(gop, WIDTH, HEIGHT, noise=noise)
        self._answers = answers
        self._publisher = PacketPublisher("near", "h264", WIDTH, HEIGHT)
        self._runs, self._rests, self._is_closed = threading.Event(), threading.Event(), False
        self._runs.set()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_closed:
            if not self._runs.is_set():
                self._rests.set()
                self._runs.wait()
                continue
            is_wanted = self._answers and self._publisher.is_keyframe_wanted
            number = self._encoder.count
            packet = self._encoder.encode(is_keyframe=is_wanted)
            data = self.packets[number] = bytes(packet)
            stamp = self.stamps[number] = Stamp(boot_id(), 7, number, monotonic_ns() - 5 * MS, monotonic_ns())
            self._publisher.publish(data, is_keyframe=packet.is_keyframe, pts=number * MS, duration=33, stamp=stamp)
            time.sleep(1 / 30)

    def pause(self) -> int:
        """Pause; return the sequence of the last packet."""
        self._runs.clear()
        assert self._rests.wait(60)
        return self._encoder.count - 1

    def end(self) -> None:
        """End the stream."""
        self.pause()
        self._publisher.end_of_stream()

    def resume(self) -> None:
        self._rests.clear()
        self._runs.set()

    def close(self) -> None:
        self._is_closed = True
        self.resume()
        self._thread.join()
        self._publisher.close()
