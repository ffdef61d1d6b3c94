"""`iox2-video bridge --results`: results of a detector cross keys, and match the frames on both sides."""

from __future__ import annotations

import contextlib
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

zenoh = pytest.importorskip("zenoh", reason="Zenoh is not installed: pip install 'iox2-video[bridge]'")

from gst_iceoryx2._wire.result_payload import encode_tables
from gst_iceoryx2._wire.result_tables import BOX, Tables
from gst_iceoryx2._wire.results import VideoResultsHeader
from gst_iceoryx2._wire.stamp import Stamp, boot_id, monotonic_ns
from gst_iceoryx2.bridge import Bridge as VideoBridge
from gst_iceoryx2.bridge import EndpointError
from gst_iceoryx2.bridge.clocks import Clocks
from gst_iceoryx2.bridge.message import MAGIC, Unsound, pack, unpack
from gst_iceoryx2.bridge.parcel import HOPS_MAX, Parcel, add_hops, cut_hops
from gst_iceoryx2.bridge.results_ends import ToResults
from gst_iceoryx2.bridge.results_key import FromResultsKey, unpack_results
from gst_iceoryx2.cli.bridge import command
from gst_iceoryx2.errors import InvalidServiceNameError, TooManyPortsError
from gst_iceoryx2.results import Box, FrameKey, Results, ResultsPublisher, ResultsSubscriber
from gst_iceoryx2.video import VideoFrame, VideoFramePublisher, VideoFrameSubscriber
from tests.cli.bridges import NEAR, Bridge, Pair, flat, local_session
from tests.cli.other_machine import AHEAD, other_machine, why_not
from tests.cli.test_bridge_clocks import MS, NOW, PEER, THEIR_BOOT, S, clocks_that_heard
from tests.conftest import Place
from tests.waiting import arrived, wait_until

PEER_HOP = (PEER,)


def a_result(number: int = 0, boxes: int = 1, **fields: int) -> Parcel:
    """Results with the number as the place of the first box, from a publisher with the ID 9."""
    rows = np.zeros(boxes, BOX)
    rows["x"], rows["label"] = number, (1 << 32) - 1
    encoded = encode_tables(Tables(boxes=rows))
    assert isinstance(encoded, tuple)
    header = VideoResultsHeader(stream=9, sequence=number, width=64, height=48, entries=encoded[1], version=1)
    header.stamp = Stamp(boot_id(), 7, number, monotonic_ns())
    for name, value in fields.items():
        setattr(header, name, value)
    return Parcel(results=header, data=encoded[0])


def a_message(number: int = 0, hops: tuple[str, ...] = PEER_HOP, boxes: int = 1, **fields: int) -> tuple[bytes, bytes]:
    message = pack(a_result(number, boxes, **fields), "raw", 80, hops)
    return bytes(message.payload), message.attachment


def unpacked(payload: bytes, attachment: bytes | None) -> Parcel:
    return unpack_results(payload, attachment, monotonic_ns(), Clocks())


# -- between two machines --------------------------------------------------------------------------------------------

_DETECTOR = """
from gst_iceoryx2.cli.bridge import command
from gst_iceoryx2.errors import InvalidServiceNameError, TooManyPortsError
from gst_iceoryx2.results import Box, ResultsPublisher
from gst_iceoryx2.video import VideoFrameSubscriber
with VideoFrameSubscriber("video/cam0/frame/v2") as frames, ResultsPublisher("cam0", "yolo") as out:
    while True:
        frame = frames.receive_blocking()
        number = int.from_bytes(frame.numpy_view()[0, :8].tobytes(), "little")
        out.publish(frame, [Box("number", 0.5, number, 2, 3, 4)])
"""


class Robot:
    """Publishes `cam0` with numbers in the pixels, and reads each frame with its results.

    Attributes:
        numbers: The number in each result that arrived.
    """

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._shot = 0
        self._camera = VideoFramePublisher("video/cam0/frame/v2")
        self._watch = ResultsSubscriber("cam0", "yolo")

    def restart(self) -> None:
        """Restart the camera, whose sequence begins at 0 again."""
        self._camera.close()
        self._camera = VideoFramePublisher("video/cam0/frame/v2")

    def shoot(self) -> None:
        picture = np.zeros((48, 64), np.uint8)
        picture[0, :8] = np.frombuffer(self._shot.to_bytes(8, "little"), np.uint8)
        self._camera.publish(picture, format="GRAY8")
        self._shot += 1

    def until_results_come(self) -> None:
        """Publish frames until results of a new one arrive."""
        first, deadline = self._shot, time.monotonic() + 60
        while not self.numbers or self.numbers[-1] < first:
            assert time.monotonic() < deadline, "no results arrive"
            self.shoot()
            while (results := self._watch.receive_blocking(50)) is not None:
                self.numbers.append(int(results.boxes[0].x))

    def until_matched(self, count: int = 3) -> tuple[Any, Results]:
        """Publish frames until some have come with results, which must be their own; return the last ones."""
        self.until_results_come()
        first, deadline, matched = self._shot, time.monotonic() + 60, 0
        with ResultsSubscriber("cam0", "yolo") as subscriber, subscriber.joined(wait=3) as joined:
            for frame, results in joined:
                number = number_of(frame)
                if results is not None:
                    assert [box.x for box in results.boxes] == [number]
                    assert (results.publisher, results.sequence) == (frame.stamp.publisher, frame.sequence)
                    matched += number >= first
                if matched >= count:
                    return frame, results
                assert time.monotonic() < deadline, joined
                self.shoot()
        raise AssertionError("the stream has ended")

    def close(self) -> None:
        self._watch.close()
        self._camera.close()


def number_of(frame: VideoFrame) -> int:
    return int.from_bytes(frame.numpy_view()[0, :8].tobytes(), "little")


@pytest.fixture
def robot(domain: Place) -> Iterator[Robot]:
    there = Robot()
    yield there
    there.close()


Start = Callable[..., "subprocess.Popen[Any]"]


@pytest.fixture
def far(bridge: Bridge, tmp_path: Path) -> Iterator[Start]:
    """Starts bridges, or a detector, on another machine. It has another boot and clock, if that is permitted here."""
    place = Place()
    running = []
    own_clock = other_machine if why_not() is None else None
    prefix = own_clock(tmp_path, place.variable) if own_clock else ("env", f"IOX2_VIDEO_DOMAIN={place.variable}")

    def start(*arguments: str) -> subprocess.Popen[Any]:
        if arguments:
            running.append(bridge(*arguments, prefix=prefix).process)
        else:
            running.append(subprocess.Popen([*prefix, sys.executable, "-c", _DETECTOR]))
        return running[-1]

    yield start
    # `unshare` ignores SIGTERM.
    for process in running:
        process.kill()
        process.wait()
    place.remove()


@pytest.mark.timeout(180)
@pytest.mark.proves("R1", "R4", "R5")
def test_results_of_another_machine_match_the_frames_that_were_sent_to_it(
    bridge: Bridge, key: str, robot: Robot, far: Start
) -> None:
    """The robot sends frames to a machine with a detector, and its results come back, whatever is restarted."""
    bridge("cam0", f"zenoh:{key}", "--codec", "raw")
    far(f"zenoh:{key}", "cam0")
    detector = far()
    back = far("cam0", f"zenoh:{key}", "--results", "yolo")
    here = bridge(f"zenoh:{key}", "cam0", "--results", "yolo")
    frame, results = robot.until_matched()
    while results.captured_at is None:
        frame, results = robot.until_matched()
    # Translated to the other clock and back, each time right to half a round trip.
    assert abs(results.captured_at - frame.captured_at) < 2 * S < AHEAD * S
    assert (results.stamp.boot_id, results.detector) == (boot_id(), "yolo")
    assert results.boxes[0][:2] == ("number", 0.5)
    del frame
    robot.restart()
    robot.until_matched()
    detector.kill()
    detector.wait()
    far()
    robot.until_matched()
    # A new bridge first receives what the service has kept. These results crossed before.
    back.kill()
    far("cam0", f"zenoh:{key}", "--results", "yolo")
    robot.until_matched()
    assert len(set(robot.numbers)) == len(robot.numbers)
    here.interrupt()
    assert " results, " in here.ends(130).splitlines()[-1]
    bridge(f"zenoh:{key}", "cam0", "--results", "yolo")
    robot.until_matched()


@pytest.mark.proves("R5")
def test_results_go_from_service_to_service_and_match_bridged_frames(bridge: Bridge, domain: Place) -> None:
    bridge("near", "far")
    bridge("near", "far", "--results", "yolo")
    with (
        VideoFramePublisher(NEAR) as camera,
        VideoFrameSubscriber(NEAR) as eye,
        ResultsPublisher("near", "yolo") as out,
        ResultsSubscriber("far", "yolo") as subscriber,
        subscriber.joined(wait=3) as joined,
    ):
        camera.wait_for_subscribers(2, timeout=30)
        out.wait_for_subscribers(1, timeout=30)
        Pair(camera, joined.frames).send(flat((1, 2, 3)))
        for number in range(10):
            camera.publish(flat((number, 2, 3)))
            with arrived(eye.latest(20)) as seen:
                out.publish(seen, [Box("number", 1, seen.numpy_view()[0, 0, 0], 2, 3, 4)], json={"a": [1]})
            frame, results = next(joined)
            with frame:
                if results is not None:
                    assert results.boxes[0].x == frame.numpy_view()[0, 0, 0]
                    assert (results.publisher, results.json) == (frame.origin.publisher, {"a": [1]})
        assert joined.stats.joined >= 8


# -- times and hops --------------------------------------------------------------------------------------------------


def test_the_times_of_a_result_become_times_of_this_machine_and_its_key_stays() -> None:
    clocks = clocks_that_heard((NOW, 5 * S, NOW + 40 * MS))
    parcel = a_result(8)
    assert parcel.results is not None
    parcel.results.stamp = Stamp(THEIR_BOOT, 7, 8, 5 * S, 6 * S)
    message = pack(parcel, "raw", 80, PEER_HOP)
    got = unpack_results(bytes(message.payload), message.attachment, NOW + 40 * MS, clocks)
    assert got.results is not None
    assert got.results.stamp == Stamp(boot_id(), 7, 8, NOW + 20 * MS, NOW + 1020 * MS)
    # Without an answer, the time of capture is unknown, because results do not state its error.
    got = unpack_results(bytes(message.payload), message.attachment, NOW, Clocks())
    assert got.results is not None
    assert got.results.stamp == Stamp(boot_id(), 7, 8)


@pytest.mark.proves("B5")
def test_hops_cross_a_service_of_results(domain: Place) -> None:
    """Regression: a result that two bridges passed to each other over two services would never have stopped."""
    hops = ("00000000000000aa", "00000000000000bb")
    parcel = a_result()
    assert cut_hops(parcel.data) is None
    assert cut_hops(add_hops(bytes(parcel.data), hops)) == (parcel.data, hops)
    payload = add_hops(b"12345678", hops)
    for at in range(16):
        # Any program can publish such a section.
        cut_hops(payload[:at] + b"\xff" + payload[at + 1 :])
        cut_hops(payload[:at])


@pytest.mark.proves("B5")
def test_two_bridges_of_results_in_a_loop_are_told_and_pass_each_result_once(
    bridge: Bridge, key: str, domain: Place
) -> None:
    bridge("near", f"zenoh:{key}", "--results", "yolo")
    second = bridge(f"zenoh:{key}", "near", "--results", "yolo")
    heard: list[int] = []
    with local_session() as session:
        there = f"{key}/@results/yolo"
        listening = session.declare_subscriber(there, lambda sample: heard.append(sample.attachment.to_bytes()[9]))
        numbers = iter(range(10_000))
        wait_until(lambda: _put(session, there, *a_message(next(numbers), ())) or "bridge loop" in second.err, 30)
        listening.undeclare()
    said = f"results sent to video/near/results/yolo/v1 come back to zenoh:{there} through another bridge"
    assert said in second.err
    assert set(heard) == {0, 2}


def _put(session: Any, key: str, payload: bytes, attachment: bytes | None) -> None:
    session.put(key, payload, attachment=attachment)
    time.sleep(0.02)


# -- hostile messages ------------------------------------------------------------------------------------------------


@pytest.mark.proves("B4", "R6")
def test_garbage_on_a_key_of_results_is_counted_told_once_a_kind_and_harmless(
    bridge: Bridge, key: str, domain: Place
) -> None:
    there = f"{key}/@results/yolo"
    payload, attachment = a_message()
    frame = pack(Parcel("BGR", 64, 48, (flat((9, 8, 7)),)), "raw", 80, ())
    end = pack(Parcel(is_end=True), "raw", 80, ())
    # A section that announces 100,000 boxes, and one of a gigabyte.
    lies = [struct.pack("<IIQ", 2, 100_000, 32) + payload[16:], struct.pack("<IIQ", 2, 1, 1 << 30) + payload[16:]]
    nan = payload[:16] + struct.pack("<f", float("nan")) + payload[20:]
    garbage: dict[str, list[tuple[bytes, bytes | None]]] = {
        "message without results": [(b"hello", None), (b"\xff\xd8\xff" + bytes(9), None)],
        "attachment from another program": [(payload, b""), (payload, b"something else")],
        "message in another version": [(payload, MAGIC[:-1] + b"\x09" + attachment[8:])],
        "attachment with wrong length": [(payload, attachment[:-1]), (payload, attachment + b"x")],
        "invalid attachment": [(payload, attachment[:8] + b"\x07" + attachment[9:])],
        "attachment too long": [(payload, bytes(100_000))],
        "message of frames on a key of results": [
            (bytes(frame.payload), frame.attachment),
            (b"", end.attachment),
        ],
        "invalid results": [
            *((lie, attachment) for lie in (*lies, nan, payload[:-8], b"")),
            a_message(version=2),
            a_message(width=0),
            a_message(frame_publisher=(1 << 64) - 1),
            a_message(entries=1 << 31),
        ],
        "too many hops": [a_message(1 << 32, tuple(f"{number:016x}" for number in range(HOPS_MAX)))],
    }
    attacked = bridge(f"zenoh:{key}", "far", "--results", "yolo", "--frames", "2")
    with ResultsSubscriber("far", "yolo") as subscriber, local_session() as session:
        for kind, messages in garbage.items():
            for message in messages:
                _put(session, there, *message)
            wait_until(lambda: _put(session, there, *messages[0]) or f"{kind}: " in attacked.err, 30)  # noqa: B023
        # Zenoh drops it on arrival: a bridge of results takes 16 MiB.
        _put(session, there, bytes(20 << 20), attachment)
        # Many boxes are passed on. A forged number does not make smaller ones count as repeated.
        wait_until(lambda: _put(session, there, *a_message(2, boxes=100_000)) or subscriber.is_connected, 30)
        results = arrived(subscriber.receive_blocking(60_000))
        assert (len(results.boxes), results.boxes[0].x) == (100_000, 2)
        wait_until(lambda: _put(session, there, *a_message(3)) or attacked.process.poll() is not None, 30)
    said = attacked.ends(0)
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if line.startswith("refused from zenoh:")]
    assert len(lines) == len(garbage), said
    assert said.splitlines()[-1].startswith("2 results, 3.2 MB, ")
    assert " refused" in said.splitlines()[-1]


@settings(max_examples=100)
@given(st.data())
@pytest.mark.proves("B4")
def test_unpack_refuses_or_accepts_any_message_of_results(data: st.DataObject) -> None:
    for message in (list(a_message(hops=("0123456789abcdef",))),):
        part = data.draw(st.integers(0, 1))
        whole = message[part]
        at = data.draw(st.integers(0, len(whole) - 1))
        message[part] = whole[:at] + data.draw(st.binary(max_size=12)) + whole[at + data.draw(st.integers(0, 12)) :]
        with contextlib.suppress(Unsound):
            assert unpacked(*message).data == message[0]


@pytest.mark.proves("B4")
def test_results_on_a_key_of_frames_are_refused() -> None:
    with pytest.raises(Unsound, match="results on a key of frames"):
        unpack(*a_message(), monotonic_ns(), Clocks())


def test_results_without_room_for_hops_are_refused(domain: Place) -> None:
    end = ToResults("video/far/results/yolo/v1")
    try:
        parcel = a_result(entries=64)
        with pytest.raises(Unsound, match=r"results too large: .* 65 sections \(limit 64\)"):
            end.put(parcel)
        parcel = a_result()
        parcel.data = bytes(1 << 24)
        with pytest.raises(Unsound, match=r"16777232 bytes \(limit 16777216\)"):
            end.put(parcel)
    finally:
        end.close()


# -- what is dropped -------------------------------------------------------------------------------------------------


def test_the_oldest_results_are_dropped_and_both_bridges_count_them(bridge: Bridge, key: str, domain: Place) -> None:
    """A bridge that hangs, or waits for its network, has the newest 64 results when it continues."""
    sender = bridge("near", f"zenoh:{key}", "--results", "yolo")
    receiver = bridge(f"zenoh:{key}", "far", "--results", "yolo")
    with ResultsPublisher("near", "yolo") as out, ResultsSubscriber("far", "yolo") as subscriber:
        frame_key = FrameKey(Stamp(boot_id(), 7, 0, monotonic_ns()), 64, 48)
        out.wait_for_subscribers(1, timeout=30)
        wait_until(lambda: out.publish(frame_key) and subscriber.receive_blocking(50), 30)
        out.publish(frame_key, [Box("last", 1, 1, 2, 3, 4)])
        while not arrived(subscriber.receive_blocking(60_000)).boxes:
            pass
        sender.process.send_signal(signal.SIGSTOP)
        for number in range(200):
            out.publish(frame_key, [Box("number", 1, number, 2, 3, 4)])
        sender.process.send_signal(signal.SIGCONT)
        got = [int(arrived(subscriber.receive_blocking(60_000)).boxes[0].x) for _ in range(64)]
        assert got == list(range(136, 200))
    for end in (sender, receiver):
        end.interrupt()
        assert ", 136 dropped" in end.ends(130).splitlines()[-1]


@contextlib.contextmanager
def receiving(key: str) -> Iterator[tuple[Any, str, FromResultsKey]]:
    """A session that sends, the key of results, and the end of a bridge there, which has received number 0."""
    there = f"{key}/@results/yolo"
    with local_session() as near, local_session() as far, contextlib.closing(FromResultsKey(far, there)) as end:
        wait_until(lambda: _put(near, there, *a_message(0)) or end.next(0.0) is not None)
        yield near, there, end


def holds_last(end: FromResultsKey, payload: bytes) -> bool:
    """Whether the newest message that waits has this payload."""
    return bool(end._waiting) and end._waiting[-1][0].payload.to_bytes() == payload


def test_a_receiver_keeps_the_newest_64_results(key: str) -> None:
    with receiving(key) as (near, there, end):
        for number in range(1, 201):
            payload, attachment = a_message(number)
            near.put(there, payload, attachment=attachment, congestion_control=zenoh.CongestionControl.BLOCK)
        wait_until(lambda: holds_last(end, a_message(200)[0]))
        numbers = []
        while (parcel := end.next(0.0)) is not None:
            assert parcel.results is not None
            numbers.append(parcel.results.sequence)
        assert numbers == list(range(137, 201))
        assert end.passed_over == 136


@pytest.mark.proves("B4", "R6")
def test_attachments_count_as_memory_of_messages_that_wait(key: str) -> None:
    """Regression: 64 messages with attachments of 16 MiB waited in 1 GB, because only payloads were counted."""
    with receiving(key) as (near, there, end):
        for _ in range(6):
            near.put(there, b"", attachment=bytes(15 << 20), congestion_control=zenoh.CongestionControl.BLOCK)
        wait_until(lambda: _put(near, there, b"last", None) or holds_last(end, b"last"))
        assert sum(len(sample.attachment or b"") for sample, _ in end._waiting) <= 64 << 20


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        (("cam0", "ros2:/cam0"), "ros2:/cam0 cannot carry results of detectors; with --results, use NAME or zenoh:KEY"),
        (("sh4lt:/tmp/x", "cam0"), "sh4lt:/tmp/x cannot carry results of detectors"),
        (("cam0", "cam0@h264"), "both ends are video/cam0/results/yolo/v1; a bridge needs two different ends"),
        (("cam0", "cam0@640x640"), "both ends are video/cam0/results/yolo/v1"),
        (("cam0", "zenoh:a/*"), "is a pattern; name one key"),
    ],
)
def test_results_need_two_different_services_or_keys(ends: tuple[str, str], text: str) -> None:
    with pytest.raises(EndpointError, match=re.escape(text)):
        VideoBridge(*ends, results="yolo")


@pytest.mark.parametrize("detector", [None, "yolo"])
@pytest.mark.parametrize(
    ("name", "source"),
    [("video/cam0/results/yolo/v1", "cam0"), ("zenoh:site/cam0/@results/yolo", "zenoh:site/cam0")],
)
def test_the_full_name_of_results_is_not_an_end(name: str, source: str, detector: str | None) -> None:
    """Regression: such a bridge waited forever, or sent frames under a name for results. Bridges print these names."""
    text = f"{name} carries results of a detector; use {source} with --results yolo"
    for ends in ((name, "zenoh:a"), ("cam1", name)):
        with pytest.raises(EndpointError, match=f"^{text}$"):
            VideoBridge(*ends, results=detector)


def test_a_name_that_is_not_that_of_a_detector_is_refused() -> None:
    with pytest.raises(InvalidServiceNameError, match="'a/b' cannot be the name of a detector; use 1 to 64 letters"):
        VideoBridge("zenoh:a", "zenoh:b", results="a/b")


@pytest.mark.parametrize(
    "option", ["--codec=h264", "--quality=80", "--max-fps=5", "--frame-id=a", f"--camera-info={__file__}"]
)
def test_options_of_pictures_do_not_go_with_results(option: str) -> None:
    said = CliRunner().invoke(command, ["cam0", "zenoh:x", "--results", "yolo", option])
    assert said.exit_code == 2
    assert f"{option.partition('=')[0]} cannot be combined with --results" in said.output


def test_a_bridge_does_not_publish_beside_a_detector(domain: Place) -> None:
    end = ToResults("video/far/results/yolo/v1")
    with ResultsPublisher("far", "yolo"), pytest.raises(TooManyPortsError, match='"video/far/results/yolo/v1" already'):
        end.put(a_result())
    end.close()
