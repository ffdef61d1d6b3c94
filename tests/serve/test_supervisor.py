"""`iox2-video serve`: streams start with their first reader and stop after their last one, whatever fails."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gst_iceoryx2.discovery.meter import Meters
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.cli.conftest import CommandLine
from tests.processes.children import Child
from tests.serve.conftest import CAM0, WAIT, WAIT_MS, Serve, first, runs
from tests.waiting import arrived, wait_until

Serves = Callable[..., Serve]
Readers = Callable[[str], Child]

CAM = "video/cam0/frame/v2"
SMALL = "cam0@64x36-RGB"
SMALL_SERVICE = f"video/{SMALL}/frame/v2"


def frames(reader: Child, count: int) -> list[list[object]]:
    """Return the next reports about frames of a reader."""
    return [reader.told(WAIT) for _ in range(count)]


def goes_on(reader: Child) -> bool:
    """Whether all frames since the last look came from one publisher, which numbers them from 0.

    A reader that does not run for a third of a second misses frames.
    """
    numbers = [reader.told(WAIT)[0] for _ in range(reader._told.qsize() or 1)]
    return numbers == sorted(set(numbers)) and numbers[0] > 0


# -- demand ----------------------------------------------------------------------------------------------------------


@pytest.mark.proves("D1")
def test_a_stream_runs_as_long_as_somebody_reads_it(serve: Serves) -> None:
    supervisor = serve()
    supervisor.wait_for("cam0", "off")
    assert supervisor.children() == set()
    with VideoFrameSubscriber(CAM) as subscriber:
        frame = arrived(subscriber.receive_blocking(WAIT_MS))
        assert (frame.width, frame.height, frame.format) == (320, 180, "NV12")
        del frame
        supervisor.wait_for("cam0", "running")
        assert len(supervisor.children()) == 1
        entry = supervisor.entry("cam0")
        assert entry is not None
        assert (entry.readers, entry.supervisor) == (1, supervisor.pid)
    supervisor.wait_for("cam0", "off")
    assert supervisor.children() == set()


@pytest.mark.proves("D1")
def test_a_rendition_starts_its_source_and_both_stop(serve: Serves) -> None:
    supervisor = serve()
    supervisor.wait_for("cam0", "off")
    frame = first(SMALL)
    assert (frame.width, frame.height, frame.format) == (64, 36, "RGB")
    assert frame.rgb.max() > 200
    supervisor.wait_for("cam0", "off")
    wait_until(lambda: not supervisor.children())
    assert supervisor.state(SMALL) is None


@pytest.mark.proves("D3")
def test_readers_of_two_names_for_one_shape_share_a_conversion(serve: Serves, reader: Readers) -> None:
    supervisor = serve()
    one, other = reader("cam0@64x-RGB"), reader("cam0@64x36-RGB+stretch")
    assert frames(one, 3)[-1][1:] == ["RGB", 64, 36] == frames(other, 3)[-1][1:]
    assert len(supervisor.children()) == 2


@pytest.mark.proves("D2")
def test_a_reader_in_the_very_moment_of_the_stop_gets_frames(serve: Serves) -> None:
    supervisor = serve(CAM0.replace('"0.5s"', "0.05"))
    supervisor.wait_for("cam0", "off")
    for number in range(8):
        first("cam0" if number % 2 else SMALL)
        # From well before the stop to well after it.
        time.sleep(0.03 * number)
    supervisor.wait_for("cam0", "off")


@pytest.mark.proves("D2")
def test_two_readers_at_once_start_it_once(serve: Serves, reader: Readers) -> None:
    supervisor = serve()
    supervisor.wait_for("cam0", "off")
    readers = [reader("cam0") for _ in range(3)]
    for one in readers:
        frames(one, 3)
    assert len(supervisor.children()) == 1


@pytest.mark.proves("D1")
def test_the_kill_of_the_last_reader_stops_it(serve: Serves, reader: Readers) -> None:
    supervisor = serve()
    one = reader(SMALL)
    frames(one, 2)
    one.kill()
    supervisor.wait_for("cam0", "off")


@pytest.mark.proves("D1")
def test_a_reader_that_is_killed_while_it_waits_starts_nothing(serve: Serves, reader: Readers) -> None:
    one = reader("cam0")
    one.kill()
    supervisor = serve()
    supervisor.wait_for("cam0", "off")
    time.sleep(1)
    assert supervisor.state("cam0") == "off"
    assert supervisor.children() == set()


@pytest.mark.proves("D1")
def test_observers_start_and_hold_nothing(serve: Serves, iox2_video: CommandLine) -> None:
    supervisor = serve()
    supervisor.wait_for("cam0", "off")
    with Meters(["video/cam0/frame/v2"]) as meters:
        for words in (("list",), ("info", "cam0"), ("doctor",)):
            iox2_video(*words)
        time.sleep(1)
        assert supervisor.state("cam0") == "off"
        first("cam0")
        wait_until(lambda: meters.readings()[0].format == "NV12")
        supervisor.wait_for("cam0", "off")


def test_a_stream_that_always_runs_needs_no_reader(serve: Serves) -> None:
    supervisor = serve(CAM0.replace('stop_after = "0.5s"', "always = true"))
    supervisor.wait_for("cam0", "running")
    first("cam0")
    time.sleep(1)
    assert supervisor.state("cam0") == "running"


# -- frames ----------------------------------------------------------------------------------------------------------


@pytest.mark.proves("D3")
def test_a_rendition_carries_the_times_of_its_source(serve: Serves) -> None:
    serve()
    with VideoFrameSubscriber(CAM) as raw, VideoFrameSubscriber(SMALL_SERVICE) as small:
        arrived(small.receive_blocking(WAIT_MS))
        sources, renditions = {}, []
        for _ in range(20):
            frame = arrived(raw.receive_blocking(WAIT_MS))
            sources[frame.pts] = (frame.captured_at, frame.duration, frame.flags)
            del frame
            frame = arrived(small.receive_blocking(WAIT_MS))
            renditions.append((frame.sequence, frame.pts, (frame.captured_at, frame.duration, frame.flags)))
            del frame
    found = [(pts, rest) for _, pts, rest in renditions if pts in sources]
    assert len(found) > 10
    assert all(sources[pts] == rest for pts, rest in found)
    numbers = [number for number, _, _ in renditions if number is not None]
    assert numbers == sorted(numbers)


def test_a_rate_leaves_frames_out(serve: Serves) -> None:
    serve()
    with VideoFrameSubscriber("video/cam0@@10/frame/v2") as subscriber:
        times = [arrived(subscriber.receive_blocking(WAIT_MS)).pts or 0 for _ in range(8)]
    steps = np.diff(times) / 1e6
    assert 60 < np.median(steps) < 140, steps


def test_the_end_of_a_file_ends_its_readers_and_starts_again_for_new_ones(serve: Serves, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for value in range(12):
            gray = np.full((48, 64), 16 + 10 * value, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gray, "gray").reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    supervisor = serve('[streams.clip]\nfile = "clip.mkv"\nloop = false\nstop_after = 0.3\n')
    for name in ("clip", "clip@32x-GRAY8", "clip"):
        with VideoFrameSubscriber(f"video/{name}/frame/v2") as subscriber:
            assert sum(1 for _ in subscriber) >= 3, name
            supervisor.wait_for("clip", "ended")
        supervisor.wait_for("clip", "off")


def test_a_source_that_changes_its_size_changes_its_renditions(serve: Serves) -> None:
    serve(None)
    with VideoFramePublisher(CAM) as publisher, VideoFrameSubscriber("video/cam0@64x-RGB/frame/v2") as subscriber:

        def send_until(height: int, shape: tuple[int, int]) -> None:
            def is_seen() -> bool:
                publisher.publish(np.zeros((*shape, 3), np.uint8))
                frame = subscriber.receive_blocking(50)
                return frame is not None and (frame.width, frame.height) == (64, height)

            wait_until(is_seen, WAIT)

        send_until(48, (480, 640))
        send_until(36, (720, 1280))


# -- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["source", "renditions"])
@pytest.mark.proves("D5")
def test_a_process_that_is_killed_is_started_again_and_its_readers_only_see_a_pause(
    serve: Serves, reader: Readers, victim: str
) -> None:
    supervisor = serve()
    small, raw = reader(SMALL), reader("cam0")
    frames(small, 2)
    frames(raw, 2)
    before = supervisor.children()
    (killed,) = (pid for pid in before if victim in Path(f"/proc/{pid}/cmdline").read_text().split("\0"))
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in supervisor.children() and len(supervisor.children()) == 2, WAIT)
    for one in (small, raw):
        while not one._told.empty():
            one.told()
        frames(one, 3)
    assert len(supervisor.children() & before) == 1


@pytest.mark.proves("D5")
def test_a_crash_costs_that_stream_only(serve: Serves, reader: Readers) -> None:
    supervisor = serve(CAM0 + CAM0.replace("cam0", "cam1"))
    others = [reader("cam1"), reader("cam1@64x36-RGB")]
    for one in others:
        frames(one, 2)
    before = supervisor.children()
    victim = reader(SMALL)
    frames(victim, 2)
    for killed in supervisor.children() - before:
        os.kill(killed, signal.SIGKILL)
    while not victim._told.empty():
        victim.told()
    frames(victim, 3)
    wait_until(lambda: len(supervisor.children() - before) == 2, WAIT)
    assert before < supervisor.children()
    for one in others:
        assert goes_on(one)


@pytest.mark.proves("D7")
def test_nothing_runs_on_when_the_supervisor_is_killed_and_the_next_one_takes_over(
    serve: Serves, reader: Readers, tmp_path: Path
) -> None:
    supervisor = serve()
    small = reader(SMALL)
    frames(small, 2)
    children = supervisor.children()
    assert len(children) == 2
    supervisor.kill()
    wait_until(lambda: not any(map(runs, children)), WAIT)
    following = serve()
    while not small._told.empty():
        small.told()
    assert "end" not in frames(small, 3)
    following.wait_for("cam0", "running")


@pytest.mark.proves("D7")
def test_a_stop_is_orderly_and_leaves_nothing(serve: Serves, reader: Readers) -> None:
    supervisor = serve()
    small = reader(SMALL)
    frames(small, 2)
    children = supervisor.children()
    supervisor.command.interrupt(signal.SIGTERM)
    supervisor.command.ends(0, WAIT)
    assert not any(map(runs, children))
    assert supervisor.entry("cam0") is None
    # The stream has not ended: the reader waits.
    assert "end" not in [small.told() for _ in range(small._told.qsize())]


@pytest.mark.proves("D8")
def test_a_name_with_another_publisher_waits_for_it(serve: Serves) -> None:
    with VideoFramePublisher(CAM) as publisher, VideoFrameSubscriber(CAM) as subscriber:
        supervisor = serve()
        supervisor.wait_for("cam0", "waiting")
        entry = supervisor.entry("cam0")
        assert entry is not None
        assert entry.error == f"process {os.getpid()} already publishes it"
        publisher.close()
        arrived(subscriber.receive_blocking(WAIT_MS))
        supervisor.wait_for("cam0", "running")


@pytest.mark.proves("D8")
def test_a_second_supervisor_leaves_the_names_of_the_first_alone(serve: Serves, tmp_path: Path) -> None:
    supervisor = serve()
    supervisor.wait_for("cam0", "off")
    (tmp_path / "b").mkdir()
    second = serve(CAM0 + CAM0.replace("cam0", "cam1"), tmp_path / "b")
    second.wait_for("cam1", "off")
    second.command.says(f"cam0: process {supervisor.pid} already serves it", WAIT)
    entry = supervisor.entry("cam0")
    assert entry is not None
    assert entry.supervisor == supervisor.pid
    first("cam1")
    assert supervisor.state("cam0") == "off"


@pytest.mark.proves("D8")
def test_only_one_supervisor_serves_all_streams(serve: Serves, tmp_path: Path) -> None:
    one = serve(None)
    second = Serve(tmp_path, None)
    assert f"process {one.pid} already serves renditions of all streams" in second.command.ends(1, WAIT)


def test_renditions_of_other_publishers_need_no_file(serve: Serves, reader: Readers) -> None:
    supervisor = serve(None)
    small = reader(SMALL)
    supervisor.wait_for(SMALL, "waiting")
    entry = supervisor.entry(SMALL)
    assert entry is not None
    assert entry.error == "nobody publishes cam0"
    with VideoFramePublisher(CAM) as publisher:
        wait_until(lambda: publisher.publish(np.zeros((180, 320, 3), np.uint8)) >= 1, WAIT)
        supervisor.wait_for(SMALL, "running")
        publisher.publish(np.zeros((180, 320, 3), np.uint8))
        assert frames(small, 1)[0][1:] == ["RGB", 64, 36]


@pytest.mark.proves("D9")
def test_a_rendition_that_cannot_be_is_told(serve: Serves, reader: Readers, iox2_video: CommandLine) -> None:
    supervisor = serve()
    reader("cam0@0x0")
    supervisor.wait_for("cam0@0x0", "waiting")
    said = iox2_video("info", "cam0@0x0").stdout
    assert 'cannot make "cam0@0x0": the width is 0; use 1 to 32768 pixels' in said
    first("cam0")


@pytest.mark.proves("D9")
def test_a_source_that_fails_is_tried_again_and_told(serve: Serves, reader: Readers, iox2_video: CommandLine) -> None:
    supervisor = serve('[streams.cam9]\ncamera = "/dev/video97"\n' + CAM0)
    reader("cam9")
    supervisor.wait_for("cam9", "waiting")
    said = iox2_video("info", "cam9").stdout
    assert "cannot use the camera /dev/video97: No such file or directory" in said
    assert "next attempt in" in said or "starting again" in said
    assert f"process {supervisor.pid}" in said
    first("cam0")
    listed = {stream["short_name"]: stream for stream in iox2_video.json("list", "--json")["streams"]}
    assert listed["cam9"]["served"]["state"] in ("waiting", "starting")
    assert listed["cam0"]["served"]["supervisor"] == supervisor.pid
    # Each attempt was told.
    assert supervisor.command.err.count("cannot use the camera") == 1


def test_a_failure_is_told_once_and_the_next_reader_starts_anew(serve: Serves, reader: Readers, tmp_path: Path) -> None:
    """Attempts that fail in the same way fill no journal, and the error is told during an attempt as well."""
    supervisor = serve(f'[streams.cam9]\ncamera = "{tmp_path}/cam9"\nstop_after = 0.2\n')
    one = reader("cam9")
    supervisor.wait_for("cam9", "waiting")
    seen = [supervisor.entry("cam9")]

    def is_tried_often() -> bool:
        entry = supervisor.entry("cam9")
        assert entry is not None
        if seen[-1] is None or entry.state != seen[-1].state:
            seen.append(entry)
        return len(seen) > 4

    wait_until(is_tried_often, WAIT)
    (note,) = {entry.note() for entry in seen if entry is not None and entry.state == "starting"}
    error = f"cannot use the camera {tmp_path}/cam9: No such file or directory"
    assert note.startswith(f"starting again; it failed: {error}")
    assert supervisor.command.err.count(error) == 1
    one.kill()
    supervisor.wait_for("cam9", "off")
    entry = supervisor.entry("cam9")
    assert entry is not None
    assert entry.error is None


def test_a_ninth_reader_is_told_and_the_others_go_on(serve: Serves) -> None:
    from gst_iceoryx2.errors import TooManyPortsError

    serve()
    subscribers = [VideoFrameSubscriber(SMALL_SERVICE) for _ in range(8)]
    try:
        for subscriber in subscribers:
            arrived(subscriber.receive_blocking(WAIT_MS))
        with pytest.raises(TooManyPortsError, match="8"):
            VideoFrameSubscriber(SMALL_SERVICE)
        arrived(subscribers[0].receive_blocking(WAIT_MS))
    finally:
        for subscriber in subscribers:
            subscriber.close()


# -- reload ----------------------------------------------------------------------------------------------------------


@pytest.mark.proves("D6")
def test_a_reload_costs_unchanged_streams_no_frame(serve: Serves, reader: Readers) -> None:
    supervisor = serve(CAM0 + CAM0.replace("cam0", "cam1"))
    kept, changed = reader("cam0"), reader("cam1")
    frames(kept, 2)
    frames(changed, 2)
    assert supervisor.file is not None
    second = CAM0.replace("cam0", "cam1").replace("320x180", "160x90")
    supervisor.file.write_text(CAM0 + second + CAM0.replace("cam0", "cam2"))
    supervisor.command.interrupt(signal.SIGHUP)
    supervisor.wait_for("cam2", "off")
    wait_until(lambda: changed.told(WAIT)[2:] == [160, 90], WAIT)
    assert goes_on(kept)
    supervisor.file.write_text("[streams.cam0\n")
    supervisor.command.interrupt(signal.SIGHUP)
    supervisor.command.says("everything goes on as before", WAIT)
    frames(kept, 3)


@pytest.mark.proves("D2")
def test_cycles_leave_no_process_and_no_descriptor(serve: Serves) -> None:
    supervisor = serve(CAM0.replace('"0.5s"', "0"))
    supervisor.wait_for("cam0", "off")

    def descriptors() -> int:
        return len(list(Path(f"/proc/{supervisor.pid}/fd").iterdir()))

    before = None
    for _ in range(6):
        first(SMALL)
        supervisor.wait_for("cam0", "off")
        wait_until(lambda: not supervisor.children())
        before = before or descriptors()
    assert before is not None
    # A look opens files for a moment.
    wait_until(lambda: descriptors() <= before)
    assert "already" not in supervisor.command.err
