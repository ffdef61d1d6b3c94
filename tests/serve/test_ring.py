"""The process of a ring, its readers, and what happens when either of them or the encoder fails."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2._iox2.ring_files import dead_rings, ring_socket
from gst_iceoryx2._wire.ring import RingRequest, refusal
from gst_iceoryx2.doctor import examine
from gst_iceoryx2.errors import ServiceNotFoundError
from gst_iceoryx2.packets import LookbackError, PacketPublisher, _lookback, lookback
from tests.conftest import Place
from tests.packets.units import number_of
from tests.processes.children import Child
from tests.serve.rings import SERVICE, WAIT, Film, RingProcess
from tests.waiting import wait_until

Start = Callable[..., RingProcess]


@pytest.fixture
def ring(_cleaned: None, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts the process of a ring."""
    started: list[RingProcess] = []

    def start(*arguments: float, **settings: object) -> RingProcess:
        started.append(RingProcess(tmp_path, *arguments, **settings))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture
def pub(_cleaned: None) -> Iterator[PacketPublisher]:
    with PacketPublisher("cam0", "h264", 640, 480) as publisher:
        yield publisher


def numbers(before: float | None = None, after: float = 0.0) -> list[int]:
    return [number_of(packet) for packet in lookback("cam0").packets(before, after)]


def connected() -> socket.socket:
    """Return a connection to the ring that does what a test wants."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(WAIT)
    connection.connect(str(ring_socket(current_domain(), SERVICE)))
    return connection


# -- what a reader gets ----------------------------------------------------------------------------------------------


def test_packets_begin_at_the_keyframe_at_or_before_the_wanted_time_and_none_is_missing(
    ring: Start, pub: PacketPublisher
) -> None:
    ring().wait()
    film = Film(pub)
    film.fill(12)
    # Keyframes are one second apart.
    earliest = time.monotonic_ns() - 5_000_000_000
    packets = list(lookback("cam0").packets(before=5))
    assert packets[0].is_keyframe
    first, last = packets[0].captured_at, packets[-1].captured_at
    assert first is not None
    assert last is not None
    assert first <= time.monotonic_ns() - 5_000_000_000
    assert [number_of(packet) for packet in packets] == list(range(number_of(packets[0]), 360))
    assert [packet.is_discont for packet in packets[1:]] == [False] * (len(packets) - 1)
    assert {packet.codec for packet in packets} == {"h264"}
    assert (packets[0].width, packets[0].height, packets[0].sequence) == (640, 480, None)
    # The next keyframe would have been too late.
    assert next(packet.captured_at or 0 for packet in packets[1:] if packet.is_keyframe) > earliest
    assert list(range(360)) == numbers()


def test_a_reader_waits_for_the_packets_after_now(ring: Start, pub: PacketPublisher) -> None:
    ring().wait()
    film = Film(pub)

    def has_later_ones() -> bool:
        film.fill(2)
        before = film.number
        following = iter(lookback("cam0").packets(before=0.5, after=0.8))
        first = next(following)
        begin = time.monotonic()
        while time.monotonic() < begin + 1.0:
            film.publish(1)
            time.sleep(0.02)
        film.publish(1)
        assert first.is_keyframe
        whole = [number_of(first), *map(number_of, following)]
        assert whole == list(range(whole[0], whole[-1] + 1))
        # The last ones were captured after the end.
        assert whole[-1] < film.number - 1
        return whole[-1] > before

    # If this process does not run for a second after the request, nothing is captured before the end.
    wait_until(has_later_ones, WAIT)


def test_a_reader_does_not_wait_for_ever_if_no_more_packets_come(ring: Start, pub: PacketPublisher) -> None:
    ring().wait()
    film = Film(pub)
    film.fill(2)
    begin = time.monotonic()
    assert numbers(1, 0.2)[-1] == 59
    assert 1.0 < time.monotonic() - begin < WAIT


def test_what_is_missing_is_told(ring: Start, pub: PacketPublisher, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    ring(30.0, 1_000_000).wait()
    film = Film(pub)
    assert list(lookback("cam0").packets()) == []
    assert "the ring is empty, because no packet has arrived yet" in caplog.text
    film.fill(4)

    def told(before: float) -> str:
        """Return what is told about the last seconds."""
        while True:
            # Two seconds after the newest packet, only this is told.
            film.fill(1 / 30)
            caplog.clear()
            found = numbers(before)
            if "no packet has arrived for" not in caplog.text:
                assert found == list(range(found[0], film.number))
                assert before == 1 or found[0] == 0 or len(found) <= 100
                return caplog.text

    assert " s are missing: the ring has started since" in told(20)
    assert " s are missing: keep is 30 s" in told(60)
    assert told(1) == ""
    assert film.number < 130
    film.fill(4, size=10_000)
    assert lookback("cam0").bytes <= 1_000_000
    assert " s are missing: keep_bytes is 1 MB, and they are full" in told(20)
    assert len(numbers()) <= 100


def test_a_stream_that_has_stopped_is_told(ring: Start, pub: PacketPublisher, caplog: pytest.LogCaptureFixture) -> None:
    ring().wait()
    film = Film(pub)
    film.fill(2, ago=5)
    numbers(20)
    assert "no packet has arrived for" in caplog.text


def test_a_packet_without_capture_time_gets_that_of_its_arrival(ring: Start, pub: PacketPublisher) -> None:
    one = ring().wait()
    before = time.monotonic_ns()
    data = b"\0\0\0\1\x67sps\0\0\1\x68pps\0\0\1\x65number 7 "
    from gst_iceoryx2.packets import Stamp

    pub.publish(data, is_keyframe=True, stamp=Stamp(bytes(range(16)), publisher=5, sequence=9, capture=1))
    wait_until(lambda: one.packets == 1, WAIT)
    (packet,) = lookback("cam0").packets()
    assert (packet.publisher, packet.sequence, bytes(packet.data)) == (5, 9, data)
    assert packet.captured_at is not None
    assert before < packet.captured_at < time.monotonic_ns()


def test_times_of_a_liar_do_not_confuse_the_ring(ring: Start, pub: PacketPublisher) -> None:
    one = ring(5.0).wait()
    now = time.monotonic_ns()
    film = Film(pub)
    film.fill(1 / 30)
    film.publish(9, ago=-1e6)
    film.publish(10, ago=now / 1e9 - 1)
    film.publish(100)
    wait_until(lambda: one.packets == 120, WAIT)
    assert 0 <= lookback("cam0").seconds < WAIT
    assert len(numbers(1)) >= 20


# -- failures of others ----------------------------------------------------------------------------------------------


def test_a_killed_encoder_costs_nothing_of_what_was_kept(ring: Start) -> None:
    one = ring().wait()
    # 100 is in the middle of a group.
    for _ in range(2):
        child = Child("publish", 40, 100, acts="tests.packets.acts")
        stream = child.told()
        before = one.packets
        # The ring joins at the newest keyframe.
        wait_until(lambda before=before: one.packets >= before + 25, WAIT)  # type: ignore[misc]
        child.kill(signal.SIGKILL)
        child.process.wait(WAIT)
        child.close()
    packets = list(lookback("cam0").packets())
    streams = [packet.stream for packet in packets]
    assert streams[-1] == stream
    assert len(set(streams)) == 2
    change = streams.index(stream)
    assert [packet.stream for packet in packets] == [streams[0]] * change + [stream] * (len(packets) - change)
    assert (packets[change].is_keyframe, packets[change].is_discont) == (True, True)


def test_another_size_is_kept_beside_the_former_one(ring: Start, pub: PacketPublisher) -> None:
    ring().wait()
    film = Film(pub)
    film.fill(2)
    pub.close()
    with PacketPublisher("cam0", "h264", 320, 240) as other:
        Film(other).fill(1)
        sizes = [(packet.width, packet.height) for packet in lookback("cam0").packets()]
        assert sizes == [(640, 480)] * 60 + [(320, 240)] * 30


def test_a_killed_ring_is_found_dead_and_its_successor_begins_anew(
    ring: Start, pub: PacketPublisher, domain: Place
) -> None:
    one, film = ring().wait(), Film(pub)
    film.fill(2)
    one.process.kill()
    one.process.wait()
    path = ring_socket(current_domain(), SERVICE)
    assert dead_rings(current_domain()) == [path]
    # A successor takes the name over without any cleaning.
    other = ring().wait()
    assert dead_rings(current_domain()) == []
    film.publish(31)
    wait_until(lambda: other.packets > 0, WAIT)
    # It joined at the newest keyframe.
    assert numbers()[0] in (30, 60, 90)
    other.process.kill()
    other.process.wait()
    with pytest.raises(ServiceNotFoundError, match=r'no process keeps the packets of "cam0@h264".*add keep = "30s"'):
        lookback("cam0")
    assert not [name for name in domain.leftovers() if "ring_" in name]


def test_doctor_finds_and_removes_what_a_killed_ring_left(ring: Start, domain: Place) -> None:
    one = ring().wait()
    assert not [finding for finding in examine() if finding.check == "leftovers" and finding.status == "problem"]
    one.process.kill()
    one.process.wait()
    (finding,) = [finding for finding in examine() if finding.check == "leftovers"]
    assert (finding.status, finding.can_fix) == ("problem", True)
    (finding,) = [finding for finding in examine(fix=True) if finding.check == "leftovers"]
    assert finding.was_fixed
    assert not [name for name in domain.leftovers() if "ring_" in name]


def test_a_ring_leaves_no_files_and_others_of_the_user_only_may_ask_it(ring: Start, domain: Place) -> None:
    one = ring().wait()
    path = ring_socket(current_domain(), SERVICE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.with_suffix(".lock").stat().st_mode) == 0o600
    one.end()
    assert one.process.returncode == 0
    assert not [name for name in domain.leftovers() if "ring_" in name]


def test_two_rings_of_one_name_do_not_fight(ring: Start, pub: PacketPublisher) -> None:
    one = ring().wait()
    other = ring()
    assert other.process.wait(WAIT) == 1
    assert other.report["error"] == "another process already keeps the packets of cam0@h264"
    Film(pub).fill(1)
    assert one.packets == 30


def test_a_ring_that_is_suspended_is_told_by_its_readers(ring: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    one = ring().wait()
    one.process.send_signal(signal.SIGSTOP)
    try:
        with monkeypatch.context() as patch:
            patch.setattr("gst_iceoryx2.packets._lookback._PATIENCE", 0.3)
            with pytest.raises(LookbackError, match="did not answer"):
                lookback("cam0")
    finally:
        one.process.send_signal(signal.SIGCONT)
    wait_until(lambda: one.packets == 0, WAIT)


# -- readers that do not keep to the protocol ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_line",
    [
        b"\n",
        b'{"version": 1, "end": 9000000000000000000}\n',
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 100_000,
        b'{"version": 7}\n',
        b"[" * 3000 + b"\n",
    ],
)
def test_a_hostile_request_is_refused_and_counted(ring: Start, pub: PacketPublisher, request_line: bytes) -> None:
    one, film = ring().wait(), Film(pub)
    film.fill(1)
    with connected() as connection, connection.makefile("rb") as file:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request_line)
        with contextlib.suppress(ConnectionResetError):
            answer = json.loads(file.readline())
            assert answer["version"] == 1
            assert answer["error"]
            assert file.read() == b""
    wait_until(lambda: one.counted("refused") == 1, WAIT)
    film.fill(1)
    assert numbers() == list(range(60))


def test_connections_that_ask_for_nothing_are_limited_and_do_not_block_the_ring(
    ring: Start, pub: PacketPublisher
) -> None:
    one, film = ring().wait(), Film(pub)
    film.fill(1)
    idle = [connected() for _ in range(8)]
    wait_until(lambda: one.counted("readers") == 8, WAIT)
    with pytest.raises(LookbackError, match="the ring already has 8 readers"):
        lookback("cam0")
    film.publish(30)
    for connection in idle:
        connection.close()
    wait_until(lambda: one.counted("readers") == 0, WAIT)
    wait_until(lambda: one.packets == 60, WAIT)


def test_a_reader_that_leaves_early_is_forgotten(ring: Start, pub: PacketPublisher) -> None:
    one, film = ring().wait(), Film(pub)
    film.fill(4, size=20_000)
    for _ in range(20):
        with connected() as connection:
            connection.sendall(RingRequest(None, time.monotonic_ns()).to_line())
            connection.recv(10)
    wait_until(lambda: one.counted("readers") == 0, WAIT)
    wait_until(lambda: one.counted("dropped") == 20, WAIT)
    assert len(numbers()) == 120


def test_a_slow_reader_continues_at_a_keyframe_and_the_ring_grows_no_larger(ring: Start, pub: PacketPublisher) -> None:
    one, film = ring(30.0, 3_000_000).wait(), Film(pub)
    film.fill(3, size=20_000)
    late, packets = lookback("cam0").packets(), lookback("cam0").packets(after=600)
    got = [next(packets)]
    # What the socket holds is less than a tenth of what comes.
    for _ in range(20):
        film.fill(1, size=20_000)
    while number_of(got[-1]) < film.number - 1:
        got.append(next(packets))
    packets.close()  # type: ignore[attr-defined]
    order = [number_of(packet) for packet in got]
    assert order[0] == 0
    gaps = [index for index, (one_, other) in enumerate(pairwise(order), 1) if other != one_ + 1]
    assert len(gaps) == 1
    assert (got[gaps[0]].is_keyframe, got[gaps[0]].is_discont) == (True, True)
    status = one.status
    assert status is not None
    assert status.total_bytes <= 3_000_000
    # Everything that this reader wanted is gone.
    first = []
    with pytest.raises(LookbackError, match="this reader was too slow"):
        first += [number_of(packet) for packet in late]


def test_a_ring_that_stops_ends_what_it_sends(ring: Start, pub: PacketPublisher) -> None:
    one, film = ring().wait(), Film(pub)
    film.fill(2)
    packets = lookback("cam0").packets(before=1, after=600)
    first = next(packets)
    begin = time.monotonic()
    one.end()
    rest = [number_of(packet) for packet in packets]
    assert time.monotonic() - begin < WAIT
    assert [number_of(first), *rest][-1] == 59
    assert one.process.returncode == 0


# -- rings that do not keep to the protocol --------------------------------------------------------------------------

_STATUS = (
    b'{"version": 1, "codec": "h264", "packets": 1, "total_bytes": 1, "first": 1, "last": 1, "keep": 1, '
    b'"keep_bytes": 1, "note": null}\n'
)
_HEADER = bytes(100) + b"\1\0\0\0h264\0\0\0\0"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "did not answer"),
        (b"garbage\n", "did not answer"),
        (b"x" * 100_000, "did not answer"),
        (b'{"version": 9}\n', "belongs to another release"),
        (b'{"version": 1, "codec": 7}\n', "did not answer"),
        (_STATUS, "has ended"),
        (_STATUS + b"\0" * 50, "has ended"),
        # A gigabyte is announced, and a packet without size.
        (_STATUS + bytes(88) + b"\1\0\0\0\1\0\0\0" + _HEADER[96:] + b"\0\0\0\x40", "sent an invalid packet"),
        (_STATUS + _HEADER + b"\1\0\0\0x", "sent an invalid packet"),
    ],
)
def test_a_hostile_ring_is_an_error_for_its_reader(domain: Place, answer: bytes, error: str) -> None:
    import threading

    path = ring_socket(current_domain(), SERVICE)
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    with connection:
                        connection.recv(1000)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(LookbackError, match=error):
            list(lookback("cam0").packets())
        server.shutdown(socket.SHUT_RDWR)
        thread.join(WAIT)
    path.unlink()


def test_a_ring_that_refuses_before_it_has_read_the_request_is_heard(
    domain: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ninth reader was told about a broken pipe if it was slower than the ring."""
    path = ring_socket(current_domain(), SERVICE)
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def refused(*arguments: Any) -> socket.socket:
            connection = connect(*arguments)
            with server.accept()[0] as answering:
                answering.sendall(refusal("the ring already has 8 readers"))
            return connection

        connect = _lookback._connected
        monkeypatch.setattr(_lookback, "_connected", refused)
        with pytest.raises(LookbackError, match="did not answer: the ring already has 8 readers"):
            lookback("cam0")
    path.unlink()
