"""`keep` in the file: the supervisor keeps the last seconds of a stream, and readers decode them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2.errors import FormatError, ServiceNotFoundError
from gst_iceoryx2.feed import read_number
from gst_iceoryx2.packets import Lookback, LookbackError, PacketPublisher, PastPicture, lookback
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.serve.conftest import WAIT_MS, Serve
from tests.serve.rings import WAIT, Film, RingProcess
from tests.serve.test_ring import ring as ring
from tests.waiting import arrived, wait_until

av: Any = pytest.importorskip("av")

FILE = """
[streams.cam0]
test = true
size = "320x240"
fps = 30
stop_after = "0.5s"
keep = "4s"
h264 = { preset = "ultrafast", keyint = "500ms" }
"""
# What a test looks for does not leave this ring meanwhile.
LONG = FILE.replace('"4s"', '"60s"')
Start = Callable[..., Serve]


def kept(seconds: float = 0.0) -> Lookback:
    """Return the ring of cam0 when it has so many seconds."""
    found: list[Lookback] = []

    def has_enough() -> bool:
        try:
            found[:] = [lookback("cam0")]
            return found[0].seconds >= seconds
        except (ServiceNotFoundError, LookbackError):
            # It starts, or was killed while it answered.
            return False

    wait_until(has_enough, WAIT)
    return found[0]


def child_of(served: Serve, kind: bytes) -> int:
    (pid,) = (pid for pid in served.children() if kind in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))
    return pid


def picture_of(past: Lookback, captured_at: int) -> PastPicture:
    """Return the picture with this capture time."""
    found: list[PastPicture] = []

    def is_found() -> bool:
        # If this process is not running for a moment before the call, the call means a later picture.
        found[:] = [past.at((captured_at - time.monotonic_ns()) / 1e9 + 0.005)]
        return found[0].captured_at == captured_at

    wait_until(is_found, WAIT)
    return found[0]


def luma(rgb: np.ndarray) -> np.ndarray:
    return np.round(16 + rgb.astype(float) @ np.array([0.2568, 0.5041, 0.0979])).astype(np.uint8)


def test_a_stream_that_is_kept_is_encoded_without_readers_and_its_past_can_be_seen(serve: Start) -> None:
    served = serve(LONG)
    past = kept(2.0)
    served.wait_for("cam0@h264", "running")
    served.wait_for("cam0", "running")
    assert len(served.children()) == 3
    now = time.monotonic_ns()
    picture = past.at(seconds=-1.0)
    assert (picture.rgb.shape, picture.rgb.dtype) == ((240, 320, 3), np.uint8)
    # It is the last one that was captured before that time.
    assert 0.95e9 < now - picture.captured_at < WAIT * 1e9
    found = {packet.captured_at: packet.sequence for packet in past.packets()}
    assert read_number(luma(picture.rgb)) == found[picture.captured_at]
    assert np.asarray(picture) is picture.rgb
    assert np.asarray(picture, np.float32).dtype == np.float32


def test_a_past_picture_has_the_colours_of_its_frame(serve: Start) -> None:
    serve(LONG.replace("keyint", "crf = 1, keyint"))
    past = kept(0.5)
    with VideoFrameSubscriber("video/cam0/frame/v2") as subscriber:
        frame = arrived(subscriber.receive_blocking(WAIT_MS))
        rgb, captured_at = frame.to_rgb(), frame.captured_at
        assert captured_at is not None
        del frame
        wait_until(lambda: any(packet.captured_at == captured_at for packet in past.packets()), WAIT)
        picture = picture_of(past, captured_at)
        assert np.mean(np.abs(picture.rgb.astype(int) - rgb)) < 1.5


def test_what_is_older_than_the_ring_is_an_error_that_says_so(serve: Start) -> None:
    serve(FILE)
    past = kept(1.0)
    with pytest.raises(LookbackError, match=r"has no picture from 60 s ago: it begins .* s ago"):
        past.at(-60)
    for wrong in (float("nan"), float("inf"), -1e12):
        with pytest.raises(ValueError, match="seconds"):
            past.at(wrong)
        with pytest.raises(ValueError, match="before"):
            past.packets(before=wrong)
    with pytest.raises(ValueError, match="the end is before the begin"):
        past.packets(before=-3, after=2)
    with pytest.raises(ValueError, match="at most"):
        past.packets(before=1, after=4000)


def test_a_killed_encoder_leaves_what_was_kept_and_the_ring_goes_on(serve: Start) -> None:
    served = serve(LONG)
    past = kept(1.0)
    before = list(past.packets())
    os.kill(child_of(served, b"packets"), signal.SIGKILL)
    wait_until(lambda: list(past.packets())[-1].stream != before[-1].stream, WAIT)
    packets = list(past.packets())
    assert before[-1].number in [packet.number for packet in packets if packet.stream == before[-1].stream]
    change = next(index for index, packet in enumerate(packets) if packet.stream != packets[0].stream)
    assert packets[change].is_keyframe
    assert packets[change].is_discont
    # Both sides of the gap can be decoded.
    for packet in (packets[change - 1], packets[-1]):
        picture = picture_of(past, packet.captured_at or 0)
        assert read_number(luma(picture.rgb)) == packet.sequence


def test_a_killed_ring_is_started_again_and_begins_anew(serve: Start) -> None:
    served = serve(FILE)
    kept(1.0)
    pid = child_of(served, b"ring")
    begin = time.monotonic_ns()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid not in served.children(), WAIT)
    packets = list(kept(0.3).packets())
    # A reader that joins starts at the newest keyframe, which may be a second old.
    assert (packets[0].captured_at or 0) > begin - 2_000_000_000


def test_a_reload_changes_what_is_kept_without_losing_it(serve: Start) -> None:
    served = serve(FILE)
    past = kept(2.0)
    assert served.file is not None
    ring = child_of(served, b"ring")
    served.file.write_text(LONG)
    served.command.interrupt(signal.SIGHUP)
    wait_until(lambda: past._status().keep == 60, WAIT)
    # A ring that began anew would have no seconds yet.
    assert child_of(served, b"ring") == ring
    first = next(iter(past.packets())).captured_at
    wait_until(lambda: past.seconds > 6, WAIT)
    assert next(iter(past.packets())).captured_at == first
    served.file.write_text(FILE.replace('keep = "4s"', ""))
    served.command.interrupt(signal.SIGHUP)
    served.wait_for("cam0@h264", None)
    served.wait_for("cam0", "off")
    with pytest.raises(ServiceNotFoundError):
        lookback("cam0")


def test_list_and_info_tell_what_is_kept(
    serve: Start, iox2_video: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    served = serve(FILE)
    kept()
    served.wait_for("cam0@h264", "running")
    entry = served.entry("cam0@h264")
    assert entry is not None
    assert entry.about == "from cam0, the last 4 s kept (at most 64 MB)"
    assert "from cam0, the last 4 s kept (at most 64 MB)" in iox2_video("info", "cam0@h264").stdout


def test_a_stream_that_is_not_kept_is_an_error_that_says_what_to_do(serve: Start, domain: Any) -> None:
    served = serve(FILE.replace('keep = "4s"', ""))
    served.wait_for("cam0", "off")
    with pytest.raises(ServiceNotFoundError) as caught:
        lookback("cam0")
    assert str(caught.value) == (
        f'no process keeps the packets of "cam0@h264" in {domain.root} (prefix {domain.prefix!r}); add keep = "30s" to '
        "[streams.cam0] in the file of `iox2-video serve`, and let it run"
    )
    with pytest.raises(FormatError):
        lookback("cam0", "h266")


def test_packets_that_cannot_be_decoded_are_an_error(ring: Callable[..., RingProcess]) -> None:
    ring().wait()
    with PacketPublisher("cam0", "h264", 640, 480) as publisher:
        Film(publisher).fill(1)
        with pytest.raises((FormatError, LookbackError)):
            lookback("cam0").at(0)
