"""What a ring keeps: the newest packets, from a keyframe on, bounded in seconds and bytes."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gst_iceoryx2._wire.ring import RingRequest, RingStatus, refusal
from gst_iceoryx2.serve.ring import Kept, Ring

S = 1_000_000_000


def packet(at: float, *, is_keyframe: bool = False, size: int = 100) -> Kept:
    return Kept(int(at * S), is_keyframe, bytes(112), bytes(size))


def filled(ring: Ring, count: int, gop: int = 10, begin: float = 0.0, size: int = 100) -> Ring:
    """Add packets, ten per second, with a keyframe every `gop` packets."""
    for index in range(count):
        ring.add(packet(begin + index / 10, is_keyframe=index % gop == 0, size=size))
    return ring


def test_it_holds_the_wanted_seconds_and_the_begin_of_the_group_they_begin_in() -> None:
    ring = filled(Ring(5.0, 1_000_000), 200)
    # The newest is 19.9 s, so that 14.9 s is in the group from 14.0 s on.
    assert ring.span() == (14 * S, int(19.9 * S))
    assert ring.at(ring.first).is_keyframe
    assert (ring.first, ring.end, len(ring)) == (140, 200, 60)
    assert not ring.is_full


def test_its_bytes_are_bounded_and_it_tells_that_they_decide() -> None:
    ring = filled(Ring(60.0, 30_000), 200)
    assert ring.bytes <= 30_000
    assert ring.bytes == sum(ring.at(position).cost for position in range(ring.first, ring.end))
    assert ring.at(ring.first).is_keyframe
    assert ring.is_full
    # 60 packets of 500 bytes: five groups and the newest one, which is complete.
    assert (len(ring), ring.end) == (60, 200)


def test_packets_without_bytes_are_bounded_too() -> None:
    ring = filled(Ring(3600.0, 100_000), 10_000, size=0)
    assert len(ring) <= 100_000 // 400


def test_a_group_that_does_not_fit_is_left_out_until_the_next_keyframe() -> None:
    ring = Ring(60.0, 10_000)
    assert ring.add(packet(0, is_keyframe=True, size=5000))
    assert not ring.add(packet(1, size=5000))
    assert not ring.add(packet(2, size=10))
    assert (len(ring), ring.bytes, ring.left_out, ring.span()) == (0, 0, 1, None)
    assert ring.add(packet(3, is_keyframe=True, size=10))
    assert ring.span() == (3 * S, 3 * S)


def test_packets_before_the_first_keyframe_are_left_out() -> None:
    ring = Ring(60.0, 10_000)
    assert not ring.add(packet(0))
    assert (len(ring), ring.left_out) == (0, 1)


def test_a_position_is_that_of_the_keyframe_at_or_before_a_time() -> None:
    ring = filled(Ring(5.0, 1_000_000), 200)
    assert ring.position_at(int(15.0 * S)) == 150
    assert ring.position_at(int(14.9 * S)) == 140
    assert ring.position_at(int(99 * S)) == 190
    # It is older than the ring.
    assert ring.position_at(0) == 140


def test_a_pause_of_the_stream_removes_nothing_before_new_packets_come() -> None:
    ring = filled(Ring(5.0, 1_000_000), 50)
    filled(ring, 30, begin=60.0)
    assert ring.span() == (60 * S, int(62.9 * S))
    ring = filled(Ring(60.0, 1_000_000), 50)
    filled(ring, 30, begin=20.0)
    assert ring.span() == (0, int(22.9 * S))


def test_times_that_jump_back_do_not_confuse_it() -> None:
    ring = filled(Ring(5.0, 1_000_000), 100, begin=100.0)
    filled(ring, 100, begin=0.0)
    assert ring.span() == (104 * S, int(109.9 * S))
    assert ring.at(ring.first).is_keyframe


def test_smaller_limits_apply_at_once() -> None:
    ring = filled(Ring(60.0, 1_000_000), 200)
    ring.limit(2.0, 1_000_000)
    assert ring.span() == (17 * S, int(19.9 * S))
    ring.limit(60.0, 5_000)
    assert ring.bytes <= 5_000


@given(
    st.lists(st.tuples(st.integers(-2 * S, 20 * S), st.booleans(), st.integers(0, 4000)), max_size=200),
    st.floats(0.5, 20),
    st.integers(1000, 50_000),
)
def test_whatever_comes_it_begins_at_a_keyframe_and_keeps_its_limits(
    steps: list[tuple[int, bool, int]], seconds: float, max_bytes: int
) -> None:
    ring, at, kept = Ring(seconds, max_bytes), 0, 0
    for step, is_keyframe, size in steps:
        at += step
        ring.add(Kept(at, is_keyframe, bytes(112), bytes(size)))
        kept = max(kept, ring.end)
        assert ring.bytes <= max_bytes
        assert ring.bytes == sum(ring.at(position).cost for position in range(ring.first, ring.end))
        if len(ring):
            assert ring.at(ring.first).is_keyframe
            times = [ring.at(position).at for position in range(ring.first, ring.end)]
            assert times == sorted(times)
            keyframes = [position for position in range(ring.first, ring.end) if ring.at(position).is_keyframe]
            # Only the oldest group has a packet that is older than the limit.
            for position in keyframes[1:]:
                assert times[-1] - ring.at(position - 1).at <= seconds * S + 1
            assert ring.position_at(times[-1]) == keyframes[-1]


# -- requests and answers --------------------------------------------------------------------------------------------


def test_a_request_and_an_answer_come_back_as_they_were() -> None:
    for request in (RingRequest(), RingRequest(None, 0), RingRequest(20, 50)):
        assert RingRequest.of(request.to_line()) == request
    status = RingStatus("h264", 3, 400, 2 * S, 3 * S + S // 2, 30.0, 64_000_000, "not all")
    assert RingStatus.of(status.to_line()) == status
    assert status.seconds == 1.5
    with pytest.raises(ValueError, match="too many"):
        RingStatus.of(refusal("too many"))


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"", "not an object in JSON"),
        (b"GET / HTTP/1.1\r\n", "not an object in JSON"),
        (b"\xff\xfe\n", "not an object in JSON"),
        (b"[" * 4000 + b"\n", "not an object in JSON"),
        (b"[1]\n", "not an object in JSON"),
        (b"{}\n", "version None, but this ring has 1"),
        (b'{"version": 2, "begin": -1, "end": 0}\n', "version 2"),
        (b'{"version": 1, "begin": "x", "end": 0}\n', '"begin" must be a whole number'),
        (b'{"version": 1, "begin": NaN, "end": 0}\n', '"begin" must be a whole number'),
        (b'{"version": 1, "begin": -1, "end": 0}\n', '"begin" must be a whole number'),
        (b'{"version": 1, "begin": 0, "end": 1e7}\n', '"end" must be a whole number'),
        (b'{"version": 1, "begin": 0, "end": 9223372036854775808}\n', '"end" must be a whole number'),
        (b'{"version": 1, "begin": true, "end": 1}\n', '"begin" must be a whole number'),
        (b'{"version": 1, "begin": 3, "end": 2}\n', "is after"),
    ],
)
def test_a_wrong_request_is_refused_with_a_reason(line: bytes, error: str) -> None:
    with pytest.raises(ValueError, match=re.escape(error)):
        RingRequest.of(line)


@given(st.binary(max_size=300))
def test_no_bytes_make_a_request_or_an_answer_fail_otherwise(line: bytes) -> None:
    for kind in (RingRequest, RingStatus):
        with contextlib.suppress(ValueError):
            kind.of(line)
