"""Capture times of another machine become times of this one, right to half a round trip."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

zenoh = pytest.importorskip("zenoh", reason="Zenoh is not installed: pip install 'iox2-video[bridge]'")

from gst_iceoryx2 import jpeg
from gst_iceoryx2._wire.clock import CLOCK_META, Origin
from gst_iceoryx2._wire.stamp import Stamp, boot_id, monotonic_ns
from gst_iceoryx2.bridge.clocks import Clocks, Moments
from gst_iceoryx2.bridge.message import pack, unpack
from gst_iceoryx2.bridge.parcel import Parcel
from gst_iceoryx2.video import CustomMeta, VideoFrame, VideoFrameSubscriber
from tests.cli.bridges import FAR, Bridge, Pair, flat, local_session
from tests.cli.other_machine import AHEAD, camera, other_machine, slow_link
from tests.conftest import Place
from tests.waiting import arrived

MS, S = 1_000_000, 1_000_000_000
PEER, THEIR_BOOT = "00000000000000aa", bytes(range(16))
NOW = 700 * S


def answer(told: int, boot: bytes = THEIR_BOOT, bridge: str = PEER, magic: bytes = b"IOX2CLK\x01") -> bytes:
    return struct.pack("<8s8s16sQ", magic, bytes.fromhex(bridge), boot, told)


def clocks_that_heard(*answers: tuple[int, int, int], boot: bytes = THEIR_BOOT) -> Clocks:
    """Clocks with answers of one bridge: when it was asked, what it told, when the answer arrived."""
    clocks = Clocks()
    for asked, told, received in answers:
        assert clocks.note(answer(told, boot), asked, received)
    return clocks


def taken_at(capture: int, boot: bytes = THEIR_BOOT, due: int | None = None) -> Stamp:
    return Stamp(boot, 7, 8, capture, due)


def test_a_time_is_translated_with_the_error_of_half_a_round_trip() -> None:
    clocks = clocks_that_heard((NOW, 5 * S, NOW + 40 * MS))
    # At 5 s there, it was NOW + 20 ms here.
    moments = clocks.translate(taken_at(5 * S, due=6 * S), PEER, NOW + 40 * MS)
    assert moments == Moments(NOW + 20 * MS, NOW + 1020 * MS, 20 * MS)


def test_the_shortest_round_trip_counts_until_drift_makes_it_worse_than_a_newer_one() -> None:
    clocks = clocks_that_heard((NOW, 5 * S, NOW + 10 * MS), (NOW + S, 6 * S, NOW + S + 40 * MS))
    arrived = NOW + 2 * S
    assert clocks.translate(taken_at(5 * S), PEER, arrived)[2] == 5 * MS + (2 * S - 10 * MS) // 5000
    # The first answer is 30 ms better, which drift uses up in 150 s; answers are not used for that long.
    assert clocks.translate(taken_at(5 * S), PEER, NOW + 30 * S + 20 * MS)[2] == 20 * MS + (29 * S - 20 * MS) // 5000
    assert clocks.translate(taken_at(5 * S), PEER, NOW + 32 * S) == Moments(NOW + 32 * S, None, None)


def test_a_clock_that_jumps_is_followed_at_once() -> None:
    """A machine that was suspended has lost time."""
    clocks = clocks_that_heard((NOW, 5 * S, NOW + 10 * MS), (NOW + S, 3 * S, NOW + S + 40 * MS))
    assert clocks.translate(taken_at(3 * S), PEER, NOW + S + 40 * MS) == Moments(NOW + S + 20 * MS, None, 20 * MS)


def test_a_clock_that_drifts_does_not_count_as_one_that_jumps() -> None:
    answers = [(NOW + n * S, 5 * S + n * (S + 100_000), NOW + n * S + 10 * MS) for n in range(30)]
    clocks = clocks_that_heard(*answers)
    captured, _, error = clocks.translate(taken_at(answers[-1][1]), PEER, answers[-1][2])
    assert error == 5 * MS
    assert abs(captured - (answers[-1][0] + 5 * MS)) <= 5 * MS


@pytest.mark.parametrize(
    ("capture", "arrived"),
    [
        pytest.param(5 * S + 100 * MS, NOW + 10 * MS, id="later than its arrival"),
        pytest.param((1 << 64) - 2, NOW + 10 * MS, id="at the end of time"),
        pytest.param(0, NOW + 10 * MS + 2000 * S, id="answers long ago"),
    ],
)
def test_a_time_that_cannot_be_is_the_time_of_arrival(capture: int, arrived: int) -> None:
    clocks = clocks_that_heard((NOW, 5 * S, NOW + 10 * MS))
    assert clocks.translate(taken_at(capture), PEER, arrived) == Moments(arrived, None, None)


def test_a_time_before_this_machine_started_is_unknown() -> None:
    clocks = clocks_that_heard((NOW, 900 * S, NOW + 10 * MS))
    assert clocks.translate(taken_at(S), PEER, NOW + 10 * MS) == Moments(NOW + 10 * MS, None, None)


def test_a_picture_is_never_younger_than_its_message() -> None:
    """Half a round trip may make the translated time later than the arrival."""
    clocks = clocks_that_heard((NOW, 5 * S, NOW + 40 * MS))
    assert clocks.translate(taken_at(5 * S), PEER, NOW + 5 * MS) == Moments(
        NOW + 5 * MS, None, 20 * MS + 35 * MS // 5000
    )


@pytest.mark.parametrize(
    "message",
    [
        *(b"", b"x", answer(5 * S)[:-1], answer(5 * S) + b"x", answer(5 * S, magic=b"IOX2CLK\x02")),
        *(answer(1 << 63), answer((1 << 64) - 1), bytes(40)),
    ],
)
@pytest.mark.proves("B4")
def test_an_answer_that_is_none_is_ignored(message: bytes) -> None:
    clocks = Clocks()
    assert not clocks.note(message, NOW, NOW + 10 * MS)
    assert clocks.translate(taken_at(5 * S), PEER, NOW)[2] is None


@pytest.mark.parametrize("trip", [-1, 2 * S + 1])
def test_an_answer_after_too_long_or_before_the_question_is_ignored(trip: int) -> None:
    assert not Clocks().note(answer(5 * S), NOW, NOW + trip)


def test_another_bridge_or_another_boot_is_not_translated_with_this_clock() -> None:
    clocks = clocks_that_heard((NOW, 5 * S, NOW + 40 * MS))
    unknown = Moments(NOW + 40 * MS, None, None)
    assert clocks.translate(taken_at(5 * S), "00000000000000bb", NOW + 40 * MS) == unknown
    assert clocks.translate(taken_at(5 * S), None, NOW + 40 * MS) == unknown
    assert clocks.translate(taken_at(5 * S, bytes(16)), PEER, NOW + 40 * MS) == unknown
    # The machine was restarted.
    clocks.note(answer(S, bytes(16)), NOW + S, NOW + S + 10 * MS)
    assert clocks.translate(taken_at(5 * S), PEER, NOW + S + 10 * MS)[2] is None
    assert clocks.translate(taken_at(S, bytes(16)), PEER, NOW + S + 10 * MS)[2] == 5 * MS


def test_answers_of_many_bridges_need_no_memory() -> None:
    clocks = Clocks()
    for number in range(1000):
        clocks.note(answer(5 * S, bridge=f"{number:016x}"), NOW, NOW + MS)
    known = [
        number
        for number in range(1000)
        if clocks.translate(taken_at(5 * S), f"{number:016x}", NOW + MS).error is not None
    ]
    assert known == list(range(984, 1000))


def test_times_of_this_machine_are_kept_whether_it_answers_or_not() -> None:
    ours = taken_at(NOW - 3, boot_id(), due=NOW + 5)
    assert Clocks().translate(ours, None, NOW) == Moments(NOW - 3, NOW + 5, 0)
    # The answer was given some time between question and arrival.
    clocks = clocks_that_heard((NOW - 10, NOW - 1, NOW), boot=boot_id())
    assert clocks.translate(ours, PEER, NOW) == Moments(NOW - 3, NOW + 5, 0)


def test_another_time_namespace_of_this_boot_is_another_clock() -> None:
    clocks = clocks_that_heard((NOW, NOW + 5000 * S, NOW + 2 * MS), boot=boot_id())
    moments = clocks.translate(taken_at(NOW + 5000 * S, boot_id()), PEER, NOW + 2 * MS)
    assert moments == Moments(NOW + MS, None, MS)


# -- the meta --------------------------------------------------------------------------------------------------------


def test_an_origin_is_the_same_after_its_meta_was_read() -> None:
    most = 2**64 - 1
    for stamp in (Stamp(THEIR_BOOT, 7, 8, 9), Stamp(), Stamp(THEIR_BOOT, most, most, 2**63 - 1)):
        for error in (0, 1_500_000, None):
            origin = Origin(stamp, error)
            assert Origin.find([CustomMeta("Lens", {}), origin.meta()]) == origin
    assert Origin(Stamp(THEIR_BOOT, 7, 8, 2**63), 0).meta().fields.keys() == {
        *("boot-id", "publisher", "sequence", "error")
    }
    assert Origin.find([CustomMeta("Lens", {}), b"x"]) is None


@pytest.mark.parametrize("boot", [None, "", 5, "0" * 31, "0" * 33, "G" * 32, "A" * 32])
def test_a_meta_with_an_invalid_boot_id_is_ignored(boot: Any) -> None:
    fields = {"boot-id": boot, "error": 5} if boot is not None else {"error": 5}
    assert Origin.find([CustomMeta(CLOCK_META, fields)]) is None


@pytest.mark.parametrize("value", ["", "x" * 16, -1, 0.5, (1, 2), True])
def test_a_number_that_cannot_be_is_unknown(value: Any) -> None:
    fields = {"boot-id": THEIR_BOOT.hex()} | dict.fromkeys(("publisher", "sequence", "capture", "error"), value)
    assert Origin.find([CustomMeta(CLOCK_META, fields)]) == Origin(Stamp(THEIR_BOOT), None)


# -- with a link and another clock -----------------------------------------------------------------------------------


@pytest.fixture
def far_domain() -> Iterator[Place]:
    place = Place()
    yield place
    place.remove()


def error_of(frame: VideoFrame) -> float:
    """Return the true error of a frame's capture time, in seconds."""
    assert frame.captured_at is not None
    assert frame.origin.capture is not None
    return abs(frame.captured_at - (frame.origin.capture - AHEAD * S)) / S


def until_translated(subscriber: VideoFrameSubscriber, most: float) -> VideoFrame:
    """Receive until the error of a frame's capture time is at most so many seconds."""
    deadline = time.monotonic() + 150
    while True:
        frame = arrived(subscriber.latest(150))
        if frame.captured_at_error is not None and frame.captured_at_error <= most:
            return frame
        assert time.monotonic() < deadline, (frame.captured_at_error, most)
        del frame


@pytest.mark.parametrize("codec", ["jpeg", "raw"])
@pytest.mark.parametrize("has_own_boot", [True, False], ids=["another machine", "a time namespace"])
@pytest.mark.proves("B6")
def test_the_age_of_a_frame_from_another_machine_is_right_to_half_a_round_trip(
    bridge: Bridge, key: str, domain: Place, far_domain: Place, tmp_path: Path, codec: str, has_own_boot: bool
) -> None:
    """The other clock is 5000 s ahead, and messages need 20 ms ± 5 ms."""
    prefix = other_machine(tmp_path, far_domain.variable, has_own_boot=has_own_boot)
    with slow_link() as link, camera(prefix) as publisher, VideoFrameSubscriber(FAR) as subscriber:
        sender = bridge("near", f"zenoh:{key}", "--codec", codec, "--listen", link.listen, prefix=prefix)
        try:
            bridge(f"zenoh:{key}", "far", "--connect", link.connect)
            frame = until_translated(subscriber, link.half)
            for _ in range(30):
                assert frame.captured_at is not None
                assert frame.captured_at <= monotonic_ns()
                assert frame.captured_at_error is not None
                assert frame.captured_at_error >= 0.015
                assert error_of(frame) <= frame.captured_at_error
                assert (frame.origin.boot_id == boot_id()) is not has_own_boot
                assert frame.age is not None
                # The frame needed at least 15 ms to get here, and its age may be wrong by the error.
                assert frame.age > 0.015 - frame.captured_at_error
                frame = arrived(subscriber.receive_blocking(60_000))
            del frame
        finally:
            # `unshare` ignores SIGTERM.
            publisher.kill()
            sender.process.kill()


def test_errors_add_up_from_bridge_to_bridge() -> None:
    """The capture time of the second message is right to the first error, and its translation to the second one."""
    first = Origin(Stamp(THEIR_BOOT, 7, 8, 9), 20 * MS)
    parcel = Parcel("BGR", 64, 48, (flat((9, 8, 7)),), captured_at=NOW, origin=first)
    message = pack(parcel, "raw", 80, (PEER,))
    clocks = clocks_that_heard((NOW, NOW + 5 * S, NOW + 40 * MS), boot=boot_id())
    again = unpack(bytes(message.payload), message.attachment, NOW + 40 * MS, clocks)
    assert again.captured_at == NOW - 5 * S + 20 * MS
    assert again.origin == Origin(first.stamp, 40 * MS)
    unknown = Parcel("BGR", 64, 48, (flat((9, 8, 7)),), captured_at=NOW, origin=Origin(first.stamp, None))
    message = pack(unknown, "raw", 80, (PEER,))
    assert unpack(bytes(message.payload), message.attachment, NOW, clocks).origin == Origin(first.stamp, None)


def test_a_frame_of_another_program_has_no_known_age(bridge: Bridge, key: str, domain: Place) -> None:
    """Its time is that of its arrival."""
    bridge(f"zenoh:{key}", "far").says(" to ")
    picture = jpeg.encode_rgb(flat((200, 100, 50)))
    with VideoFrameSubscriber(FAR) as subscriber, local_session() as session:
        frame = None
        deadline = time.monotonic() + 60
        before = monotonic_ns()
        while frame is None and time.monotonic() < deadline:
            session.put(key, picture)
            frame = subscriber.receive_blocking(100)
        assert frame is not None
        assert frame.captured_at is not None
        assert before < frame.captured_at < monotonic_ns()
        assert frame.captured_at_error is None
        assert frame.origin == Stamp()
        del frame


@pytest.mark.proves("B4")
def test_a_peer_that_lies_about_its_clock_makes_no_frame_younger_than_it_is(
    bridge: Bridge, key: str, domain: Place
) -> None:
    """It answers with any bytes and any time, and sends frames with any capture time."""
    bridge(f"zenoh:{key}", "far").says(" to ")
    lies = [b"", b"x" * 100, answer(0), answer((1 << 64) - 1), answer(1 << 62), answer(monotonic_ns(), boot_id())]
    told: list[bytes] = []

    def lie(query: Any) -> None:
        told.append(lies[len(told) % len(lies)])
        query.reply(f"{key}/@clock", told[-1])

    with VideoFrameSubscriber(FAR) as subscriber, local_session() as session:
        answering = session.declare_queryable(f"{key}/@clock", lie)
        deadline = time.monotonic() + 60
        number = seen = 0
        while (len(told) < 2 * len(lies) or seen < 20) and time.monotonic() < deadline:
            number += 1
            capture = (0, 1 << 62, monotonic_ns() + 5 * S, (1 << 63) - 1)[number % 4]
            parcel = Parcel("BGR", 64, 48, (flat((9, 8, 7)),), captured_at=capture)
            message = pack(parcel, "raw", 80, (PEER,))
            session.put(key, bytes(message.payload), attachment=message.attachment)
            frame = subscriber.receive_blocking(50)
            if frame is not None:
                seen += 1
                assert frame.captured_at is not None
                assert 0 <= frame.captured_at <= monotonic_ns()
            del frame
        answering.undeclare()
        assert len(told) >= 2 * len(lies)
        assert seen >= 20


def test_bridged_frames_of_this_machine_keep_identity_and_time_over_two_services(
    bridge: Bridge, key: str, pair: Pair
) -> None:
    bridge("near", "middle")
    bridge("middle", f"zenoh:{key}", "--codec", "raw")
    bridge(f"zenoh:{key}", "far")
    moment = monotonic_ns() - 5
    frame = pair.send(flat((1, 2, 3)), captured_at=moment)
    assert frame.captured_at == frame.origin.capture == moment
    assert frame.captured_at_error == 0.0
    assert frame.origin.publisher != frame.stamp.publisher
    assert frame.origin.sequence == frame.offset - 1001
    del frame
