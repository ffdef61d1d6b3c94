"""Unusual times: none, backwards, extreme, or from pipelines without a clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from gst_iceoryx2._wire.header import NONE_U64
from gst_iceoryx2._wire.stamp import Stamp, boot_id
from gst_iceoryx2.video import VideoFrameHeader, build_aux
from tests.gst import clocks
from tests.gst.remote import Stage
from tests.transport.raw import RawPublisher

SECOND = 1_000_000_000
LAST = NONE_U64 - 1
PICTURE = {"format": "GRAY8", "width": 16, "height": 16}


def receiving(stages: Callable[..., Stage], service: str, *, clock: str = "system", options: str = "") -> Stage:
    stage = stages()
    stage.launch(f"iceoryx2src name=in service={service} {options} ! appsink name=out sync=false")
    stage.run(clocks.use_clock, kind=clock)
    stage.state("PLAYING", timeout=0)
    return stage


def sending(stages: Callable[..., Stage], service: str, *, clock: str = "system") -> Stage:
    stage = stages()
    stage.launch(f"appsrc name=in format=time ! iceoryx2sink service={service} sync=false wait-for-connection=true")
    stage.run(clocks.use_clock, kind=clock)
    stage.state("PLAYING", timeout=0)
    return stage


def test_a_frame_without_a_time_is_due_when_it_is_sent(stages: Callable[..., Stage], service: str) -> None:
    receiver, sender = receiving(stages, service), sending(stages, service)
    before = time.monotonic_ns()
    sender.push(**PICTURE)
    frame = receiver.pull()
    start = receiver.run(clocks.base_time, element="in")
    assert before <= frame["pts"] + start <= time.monotonic_ns()
    assert (frame["dts"], frame["duration"]) == (None, None)


@pytest.mark.proves("H4")
def test_times_that_jump_back_are_kept(stages: Callable[..., Stage], service: str) -> None:
    receiver, sender = receiving(stages, service), sending(stages, service)
    for number, seconds in enumerate([110, 105, 105, 100, 107]):
        sender.push(**PICTURE, number=number, pts=seconds * SECOND)
        frame = receiver.pull()
        apart = sender.run(clocks.base_time, element="in") - receiver.run(clocks.base_time, element="in")
        assert frame["pts"] == seconds * SECOND + apart


@pytest.mark.parametrize("clock", ["system", "realtime", "none"])
@pytest.mark.proves("T6")
def test_times_at_the_ends_of_their_range_cross(stages: Callable[..., Stage], service: str, clock: str) -> None:
    receiver, sender = receiving(stages, service, clock=clock), sending(stages, service, clock=clock)
    times = [LAST, 0, 2**63, 2**63 - 1, LAST]
    for mode in ("converted", "original", "arrival"):
        receiver.set("in", "timestamp-mode", mode)
        frames = []
        for number, at in enumerate(times):
            sender.push(**PICTURE, number=number, pts=at, dts=LAST - at, duration=LAST)
            frames.append(receiver.pull())
        if mode == "original":
            assert [frame["pts"] for frame in frames] == times
            assert [frame["dts"] for frame in frames] == [LAST - at for at in times]
        else:
            assert {frame["pts"] is None for frame in frames} == {clock == "none"}
        assert {frame["duration"] for frame in frames} == {LAST}


@pytest.fixture
def liar(environment: dict[str, str], service: str) -> Iterator[RawPublisher]:
    """A publisher that sends any bytes."""
    publisher = RawPublisher(service, buffer_size=10)
    yield publisher
    publisher.close()


@pytest.mark.parametrize("clock", ["system", "realtime"])
@pytest.mark.proves("H4")
def test_times_at_the_ends_of_their_range_are_received(
    stages: Callable[..., Stage], service: str, liar: RawPublisher, clock: str
) -> None:
    receiver = stages()
    receiver.launch(f"iceoryx2src name=in service={service} ! appsink name=out sync=false")
    receiver.run(clocks.use_clock, kind=clock)
    # Base time 0, as in pipelines that share a clock, so that running time is as large as clock time.
    receiver.run(clocks.start_at_zero)
    receiver.state("PLAYING", timeout=0)
    header = VideoFrameHeader()
    header.format_name = "GRAY8"
    header.width, header.height, header.n_planes = 16, 16, 1
    header.stride[0] = 16
    moments = [LAST, 2**63, 0, 1, LAST]
    for number, due in enumerate(moments):
        header.pts, header.dts, header.duration = (0, LAST, LAST) if number % 2 else (LAST, 0, 0)
        blob = build_aux(None, [Stamp(boot_id(), 7, LAST, LAST - due, due).record()])
        header.aux_size = len(blob)
        liar.send(header, bytes(256) + blob)
        frame = receiver.pull()
        assert frame["pts"] is not None
        assert [when for _, _, when in frame["metas"]][-2:] == [due, LAST - due]
    assert receiver.get("in", "frames-invalid") == 0


@pytest.mark.proves("H4")
def test_a_consumer_without_a_clock_shows_frames_at_once(stages: Callable[..., Stage], service: str) -> None:
    receiver = stages()
    receiver.launch(f"iceoryx2src name=in service={service} ! appsink name=out sync=true")
    receiver.run(clocks.use_clock, kind="none")
    receiver.state("PLAYING", timeout=0)
    sender = sending(stages, service)
    for number in range(5):
        sender.push(**PICTURE, number=number, pts=3600 * SECOND)
        assert receiver.pull()["pts"] is None


def test_a_publisher_without_a_clock_sends_frames_that_are_due_now(stages: Callable[..., Stage], service: str) -> None:
    receiver, sender = receiving(stages, service), sending(stages, service, clock="none")
    before = time.monotonic_ns()
    sender.push(**PICTURE, pts=3600 * SECOND)
    frame = receiver.pull()
    start = receiver.run(clocks.base_time, element="in")
    assert before <= frame["pts"] + start <= time.monotonic_ns()


@pytest.mark.parametrize("framerate", ["0/1", "1/2147483647", "2147483647/1"])
@pytest.mark.proves("H4")
def test_any_framerate_crosses(stages: Callable[..., Stage], service: str, framerate: str) -> None:
    receiver, sender = receiving(stages, service), sending(stages, service)
    sender.push(**PICTURE, caps=f"framerate=(fraction){framerate}")
    frame = receiver.pull()
    assert f"framerate=(fraction){framerate}" in frame["caps"]
    assert frame["digest"]
