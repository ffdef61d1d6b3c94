"""A publisher breaks each rule of SPEC.md section 9. Its packets are dropped, counted and logged once per rule."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gst_iceoryx2._wire.header import NONE_U64
from gst_iceoryx2.packets import PacketSubscriber, VideoPacketHeader
from tests.packets.conftest import WAIT_MS, numbers, rest
from tests.packets.units import unit
from tests.transport.raw import RawPublisher
from tests.waiting import arrived

SERVICE = "video/cam0@h264/packet/v1"
DATA = unit(0, is_keyframe=True)


def header(sequence: int = 0, **changes: int | bytes) -> VideoPacketHeader:
    """Return a valid header of a keyframe, with changes."""
    fields = {"pts": 0, "dts": NONE_U64, "duration": NONE_U64, "stream": 5, "sequence": sequence}
    fields |= {"frame_publisher": 7, "frame_sequence": 8, "capture": 9, "due": 10, "width": 640, "height": 480}
    return VideoPacketHeader(**fields | {"flags": 1, "version": 1, "codec": b"h264"} | changes)


@pytest.fixture
def raw() -> Iterator[RawPublisher]:
    publisher = RawPublisher(SERVICE, 1 << 20, 10, VideoPacketHeader)
    yield publisher
    publisher.close()


@pytest.fixture
def sub(raw: RawPublisher) -> Iterator[PacketSubscriber]:
    """Return a subscriber that has joined."""
    with PacketSubscriber("cam0") as subscriber:
        raw.send(header(), DATA)
        assert numbers(subscriber, 1) == [0]
        yield subscriber


BROKEN: dict[str, tuple[dict[str, int | bytes], str]] = {
    "another version": ({"version": 2}, "version"),
    "another codec": ({"codec": b"h265"}, "codec"),
    "no codec": ({"codec": b""}, "codec"),
    "a codec without NUL": ({"codec": b"h264h264"}, "codec"),
    "no width": ({"width": 0}, "size"),
    "no height": ({"height": 0}, "size"),
    "too wide": ({"width": 32769}, "size"),
    "too high": ({"height": 2**32 - 1}, "size"),
    "an end of another codec": ({"codec": b"av1", "flags": 2}, "codec"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.proves("K8")
def test_a_packet_that_breaks_a_rule_is_dropped_and_counted(
    case: str, raw: RawPublisher, sub: PacketSubscriber, caplog: pytest.LogCaptureFixture
) -> None:
    changes, rule = BROKEN[case]
    with caplog.at_level(logging.WARNING, "gst_iceoryx2"):
        for sequence in (1, 2):
            raw.send(header(sequence, **changes), DATA)
        raw.send(header(1), DATA)
        assert numbers(sub, 1) == [0]
    assert sub.stats[:4] == (2, 0, 0, 2)
    assert [record.message.split(": ")[1] for record in caplog.records] == [rule]
    assert SERVICE in caplog.text


@pytest.mark.parametrize("length", [0, 1 << 30, 1 << 40, (1 << 64) - 1])
@pytest.mark.proves("K8", "H11")
def test_a_length_that_does_not_fit_into_the_memory_is_not_believed(
    length: int, raw: RawPublisher, sub: PacketSubscriber
) -> None:
    """1 GB announced, or nothing."""
    raw.send(header(1), DATA, number=length)
    raw.send(header(1), DATA)
    assert numbers(sub, 1) == [0]
    assert sub.stats.invalid == 1


@pytest.mark.proves("K8")
def test_a_joiner_survives_what_a_publisher_of_nonsense_has_kept(raw: RawPublisher) -> None:
    for changes, _ in BROKEN.values():
        raw.send(header(**changes), DATA)
    raw.send(header(3), DATA)
    with PacketSubscriber("cam0") as sub:
        raw.send(header(4, version=9), DATA)
        raw.send(header(5), DATA)
        assert numbers(sub, 1) == [0]
        assert sub.stats.invalid >= 1


@pytest.mark.proves("K7", "K8")
def test_a_group_that_is_larger_than_a_joiner_collects_is_withheld(
    raw: RawPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gst_iceoryx2.packets import _intake

    monkeypatch.setattr(_intake, "_BACKLOG_BYTES", 1000)
    with PacketSubscriber("cam0") as sub:
        for sequence in range(9):
            raw.send(header(sequence, flags=int(sequence == 0)), unit(sequence, is_keyframe=sequence == 0, size=200))
        assert rest(sub) == []
        assert sub.stats.withheld == 9
        raw.send(header(9), unit(9, is_keyframe=True))
        assert numbers(sub, 1) == [9]


@pytest.mark.proves("K8")
def test_numbers_that_jump_and_repeat_are_survived(raw: RawPublisher, sub: PacketSubscriber) -> None:
    for sequence, stream in ((NONE_U64, 5), (0, 5), (1, 5), (NONE_U64, NONE_U64), (0, 6)):
        raw.send(header(sequence, stream=stream), DATA)
    assert len(rest(sub)) == 3
    assert sub.stats.invalid == 0


@pytest.mark.proves("K8")
def test_unknown_flags_and_odd_stamps_are_passed_over(raw: RawPublisher, sub: PacketSubscriber) -> None:
    raw.send(header(1, flags=0xFFFFFFF9, capture=NONE_U64, due=0, frame_publisher=NONE_U64), DATA)
    packet = arrived(sub.receive_blocking(WAIT_MS))
    assert (packet.publisher, packet.captured_at, packet.age, packet.due_at) == (None, None, None, None)
    assert packet.is_keyframe


def test_an_end_with_a_payload_is_an_end(raw: RawPublisher, sub: PacketSubscriber) -> None:
    raw.send(header(1, flags=3, width=0), DATA)
    assert arrived(sub.receive_blocking(WAIT_MS)).is_eos()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw_header=st.binary(min_size=112, max_size=112), payload=st.binary(min_size=1, max_size=300))
@pytest.mark.proves("K8")
def test_any_header_with_any_payload_is_survived(
    raw_header: bytes, payload: bytes, raw: RawPublisher, sub: PacketSubscriber
) -> None:
    for bytes_ in (raw_header, raw_header[:100] + bytes(header())[100:]):
        raw.send(VideoPacketHeader.from_buffer_copy(bytes_), payload)
        while (packet := sub.receive()) is not None:
            assert packet.is_eos() or bytes(packet.data) == payload
            repr(packet)


@pytest.mark.proves("K8", "H10")
def test_a_header_that_changes_after_the_check_is_not_read_again(raw: RawPublisher, sub: PacketSubscriber) -> None:
    """A publisher can write to what it has sent."""
    loan = raw.publisher.loan_slice_uninit(len(DATA))
    place, address = loan.user_header_ptr, loan.payload_ptr
    ctypes.memmove(address, DATA, len(DATA))
    ctypes.memmove(place, bytes(header(1)), 112)
    loan.assume_init().send()
    raw.notifier.notify()
    packet = arrived(sub.receive_blocking(WAIT_MS))
    ctypes.memset(place, 0xFF, 112)
    ctypes.memset(place - 16, 0xFF, 8)
    assert (packet.width, packet.codec, len(packet.data)) == (640, "h264", len(DATA))
