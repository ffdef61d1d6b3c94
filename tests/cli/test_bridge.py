"""`iox2-video bridge` with real processes and real Zenoh: what crosses, restarts, usage errors."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

zenoh = pytest.importorskip("zenoh", reason="Zenoh is not installed: pip install 'iox2-video[bridge]'")

from gst_iceoryx2 import jpeg
from gst_iceoryx2._wire.clock import CLOCK_META
from gst_iceoryx2._wire.header import BUFFER_FLAGS
from gst_iceoryx2._wire.stamp import monotonic_ns
from gst_iceoryx2.bridge import Bridge as VideoBridge
from gst_iceoryx2.bridge.parcel import HOPS_META
from gst_iceoryx2.sh4lt import Follower, Writer
from gst_iceoryx2.video import CustomMeta, ReferenceTimestamp, VideoFramePublisher, VideoFrameSubscriber
from tests.cli.bridges import FAR, NEAR, Bridge, Pair, flat, free_port, local_session
from tests.conftest import Place
from tests.pictures import planes as noise_planes
from tests.waiting import arrived, wait_until

# -- what crosses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["BGR", "NV12", "I420", "P010_10LE", "v210", "GRAY8", "YUY2"])
def test_raw_frames_cross_with_every_byte_and_everything_known_of_them(
    bridge: Bridge, key: str, domain: Place, format: str
) -> None:
    caps = "video/x-raw, colorimetry=(string)bt709, pixel-aspect-ratio=(fraction)4/3"
    picture = noise_planes(format, 166, 90)
    metas = [ReferenceTimestamp("timestamp/x-ntp", 77), CustomMeta("Lens", {"zoom": 2.5, "name": "wide"})]
    known: dict[str, Any] = {"pts": 5, "dts": 4, "duration": 33, "flags": BUFFER_FLAGS["MARKER"], "metas": metas}
    known |= {"captured_at": monotonic_ns() - 12345}
    bridge("near", f"zenoh:{key}", "--codec", "raw")
    bridge(f"zenoh:{key}", "far")
    with (
        VideoFramePublisher(NEAR, framerate=Fraction(30000, 1001), caps=caps) as publisher,
        VideoFrameSubscriber(FAR) as subscriber,
        VideoFrameSubscriber(NEAR) as direct,
    ):
        frame = Pair(publisher, subscriber).send(
            picture[0] if len(picture) == 1 else picture, format, width=166, **known
        )
        original = arrived(direct.latest(60))
        assert frame.caps == original.caps
        for name in ("format", "width", "height", "pts", "dts", "duration", "flags", "captured_at"):
            assert getattr(frame, name) == getattr(original, name), name
        assert frame.metas[0].name == HOPS_META
        assert frame.metas[1].name == CLOCK_META
        assert frame.metas[2:] == metas
        sequence = frame.offset - 1001
        assert frame.origin == original.origin._replace(sequence=sequence, due=None)
        assert frame.captured_at_error == original.captured_at_error == 0.0
        assert all(np.array_equal(one, other) for one, other in zip(frame.planes, picture, strict=True))
        del frame, original


def test_jpeg_frames_cross_in_their_colours_and_with_their_times(bridge: Bridge, key: str, pair: Pair) -> None:
    bridge("near", f"zenoh:{key}")
    bridge(f"zenoh:{key}", "far")
    frame = pair.send(flat((30, 120, 200)), pts=123, captured_at=monotonic_ns() - 999)
    assert (frame.format, frame.width, frame.height, frame.pts) == ("BGR", 64, 48, 123)
    assert abs(frame.numpy_view().astype(int) - (30, 120, 200)).max() < 4
    assert frame.age is not None
    assert 0 < frame.age < 20
    assert "framerate=(fraction)30/1" in frame.caps
    del frame
    # The size and the format change without a restart.
    luma, chroma = np.full((90, 120), 200, np.uint8), np.full((45, 60, 2), 128, np.uint8)
    frame = pair.send((luma, chroma), "NV12")
    while frame.width != 120:
        frame = pair.send((luma, chroma), "NV12")
    assert abs(frame.numpy_view().astype(int) - 214).max() < 6
    del frame


def test_the_end_of_a_stream_crosses_and_the_bridge_goes_on(bridge: Bridge, key: str, pair: Pair) -> None:
    bridge("near", f"zenoh:{key}")
    bridge(f"zenoh:{key}", "far")
    for _ in range(2):
        frame = pair.send(flat((1, 2, 3)))
        del frame
        pair.publisher.end_of_stream()
        deadline = time.monotonic() + 60
        while (frame := pair.subscriber.receive_blocking(60_000)) is not None and not frame.is_eos():
            assert time.monotonic() < deadline
        assert frame is not None
        del frame


def test_a_sh4lt_path_is_an_end_like_any_other(bridge: Bridge, key: str, pair: Pair, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    bridge("near", f"sh4lt:{there}")
    bridge(f"sh4lt:{there}", f"zenoh:{key}", "--codec", "raw")
    bridge(f"zenoh:{key}", f"sh4lt:{back}")
    picture = noise_planes("RGBA", 64, 48)[0]
    with Follower(back) as follower:
        deadline = time.monotonic() + 60
        frame = None
        while frame is None and time.monotonic() < deadline:
            pair.publisher.publish(picture, format="RGBA")
            frame = follower.read(0.1)
        assert frame is not None, "nothing arrived"
        assert np.array_equal(frame.numpy_view(), picture)
        assert "framerate=(fraction)30/1" in frame.datatype


def test_a_sh4lt_writer_reaches_a_service(bridge: Bridge, domain: Place, tmp_path: Path) -> None:
    path = tmp_path / "score"
    bridge(f"sh4lt:{path}", "far")
    picture = noise_planes("RGBA", 64, 48)[0]
    with (
        VideoFrameSubscriber(FAR) as subscriber,
        Writer(path, "video/x-raw, format=RGBA, width=64, height=48, framerate=30/1") as writer,
    ):
        deadline = time.monotonic() + 60
        frame = None
        while frame is None and time.monotonic() < deadline:
            writer.write(picture)
            frame = subscriber.receive_blocking(50)
        assert frame is not None
        assert np.array_equal(frame.numpy_view(), picture)
        del frame


def test_max_fps_and_frames_hold_for_bridges_too(bridge: Bridge, pair: Pair) -> None:
    command = bridge("near", "far", "--max-fps", "10", "--frames", "5")
    number = 0
    while command.process.poll() is None:
        pair.publisher.publish(flat((1, 2, 3)), captured_at=1 + number * 20_000_000)
        number += 1
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.process.wait(0.01)
    said = command.ends(0)
    assert "near to far" in said
    assert "5 frames, 46 kB" in said
    assert number > 20


def test_a_picture_of_some_other_program_is_taken(bridge: Bridge, key: str, domain: Place) -> None:
    bridge(f"zenoh:{key}", "far")
    picture = jpeg.encode_rgb(flat((200, 100, 50)))
    with VideoFrameSubscriber(FAR) as subscriber, local_session() as session:
        frame = None
        deadline = time.monotonic() + 60
        while frame is None and time.monotonic() < deadline:
            session.put(key, picture)
            frame = subscriber.receive_blocking(100)
        assert frame is not None
        assert abs(frame.to_rgb().astype(int) - (200, 100, 50)).max() < 4
        del frame


# -- kills and endpoints ---------------------------------------------------------------------------------------------


def test_both_ends_find_each_other_again_after_a_kill(bridge: Bridge, key: str, pair: Pair) -> None:
    sender, receiver = bridge("near", f"zenoh:{key}"), bridge(f"zenoh:{key}", "far")
    frame = pair.send(flat((1, 1, 1)))
    del frame
    sender.process.kill()
    sender.process.wait()
    sender = bridge("near", f"zenoh:{key}")
    frame = pair.send(flat((2, 2, 2)))
    del frame
    receiver.interrupt(signal.SIGTERM)
    receiver.ends(0)
    bridge(f"zenoh:{key}", "far")
    frame = pair.send(flat((3, 3, 3)))
    del frame


def test_endpoints_connect_in_any_order_and_after_a_restart(bridge: Bridge, key: str, pair: Pair) -> None:
    endpoint = f"tcp/127.0.0.1:{free_port()}"
    # It has failed to connect before the other bridge starts.
    bridge("near", f"zenoh:{key}", "--connect", endpoint).says("near to zenoh:")
    listener = bridge(f"zenoh:{key}", "far", "--listen", endpoint)
    frame = pair.send(flat((1, 1, 1)))
    del frame
    listener.interrupt(signal.SIGTERM)
    listener.ends(0)
    bridge(f"zenoh:{key}", "far", "--listen", endpoint)
    frame = pair.send(
        flat((2, 2, 2)),
    )
    del frame


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_receiver_that_stands_still_costs_the_sender_no_memory(bridge: Bridge, key: str, pair: Pair) -> None:
    """benchmarks/bridge.py measures this for ten minutes."""
    sender = bridge("near", f"zenoh:{key}", "--codec", "raw")
    receiver = bridge(f"zenoh:{key}", "far")
    picture = flat((5, 5, 5), (640, 480))
    frame = pair.send(picture)
    del frame
    receiver.process.send_signal(signal.SIGSTOP)
    for _ in range(60):
        pair.publisher.publish(picture)
        time.sleep(0.005)
    before = resident(sender.process.pid)
    # 500 frames of 0.9 MB.
    for _ in range(500):
        pair.publisher.publish(picture)
        time.sleep(0.004)
    assert resident(sender.process.pid) - before < 40 << 20
    receiver.process.send_signal(signal.SIGCONT)
    frame = pair.send(flat((6, 6, 6), (640, 480)))
    while frame.numpy_view()[0, 0, 0] != 6:
        frame = pair.send(flat((6, 6, 6), (640, 480)))
    del frame
    wait_until(lambda: pair.subscriber.stats.held == 0)


def test_a_bridge_ends_without_an_error_if_its_session_cannot_be_closed(
    key: str, domain: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: Ctrl-C ended with a traceback of Zenoh, after 10 s, if a receiver of large results hung."""
    bridge = VideoBridge("near", f"zenoh:{key}")
    session = bridge._session

    class Hanging:
        def close(self) -> None:
            raise zenoh.ZError("close operation timed out!")

    monkeypatch.setattr(bridge, "_session", Hanging())
    try:
        bridge.close()
    finally:
        session.close()


# -- what cannot be done ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("cam0", "cam0"), "both ends are cam0; a bridge needs two different ends"),
        (("cam0", "zenoh:"), "'zenoh:' lacks a name; use NAME, sh4lt:PATH, zenoh:KEY or ros2:/TOPIC"),
        (("cam0", "zenoh:/x//y"), "'/x//y' is not a valid key"),
        (("zenoh:site/**", "cam0"), "'site/**' is a pattern; name one key"),
        (("cam0", "cam1", "--listen", "tcp/0.0.0.0:7447"), "--listen and --connect require one end to be a zenoh:KEY"),
        (
            ("cam0", "zenoh:x", "--connect", "nonsense"),
            "Error: invalid Zenoh endpoint: Endpoints must be of the form",
        ),
        (("cam0", "zenoh:x", "--quality", "0"), "0 is not in the range"),
        (("cam0", "zenoh:x", "--codec", "png"), "'png' is not one of"),
        (("cam0",), "Missing argument 'TO'"),
    ],
)
def test_ends_that_make_no_bridge_are_usage_errors(bridge: Bridge, arguments: tuple[str, ...], text: str) -> None:
    assert text in bridge(*arguments).ends(2)


def test_an_endpoint_that_cannot_be_listened_on_is_told(bridge: Bridge) -> None:
    said = bridge("cam0", "zenoh:x", "--listen", "tcp/203.0.113.9:7447").ends(1)
    assert "Error: Zenoh cannot use tcp/203.0.113.9:7447" in said
    assert "Traceback" not in said
    assert ".rs:" not in said, "where Zenoh noticed it helps nobody"


def test_a_name_with_a_publisher_is_refused(bridge: Bridge, pair: Pair) -> None:
    with VideoFramePublisher("video/taken/frame/v2"):
        command = bridge("near", "taken")
        deadline = time.monotonic() + 60
        while command.process.poll() is None and time.monotonic() < deadline:
            pair.publisher.publish(flat((1, 1, 1)))
            with contextlib.suppress(subprocess.TimeoutExpired):
                command.process.wait(0.05)
        assert "already has 1, which is its limit; close the other publisher" in command.ends(1)


@pytest.mark.parametrize(
    ("library", "arguments", "extra"),
    [
        ("zenoh", ("bridge", "cam0", "zenoh:x"), "bridge"),
        ("av", ("record", "cam0", "a.mkv"), "record"),
        ("av", ("publish", "cam0", "--file", "a.mkv"), "record"),
        ("rerun", ("view", "cam0", "--rerun-file", "a.rrd"), "rerun"),
    ],
)
def test_a_missing_extra_says_what_to_install(
    domain: Place, tmp_path: Path, library: str, arguments: tuple[str, ...], extra: str
) -> None:
    program = (
        f"import sys; sys.modules[{library!r}] = None; from gst_iceoryx2.cli import main; main({list(arguments)!r})"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 2, ended.stderr
    assert f"pip install 'iox2-video[{extra}]'" in ended.stderr
    assert "Traceback" not in ended.stderr
