"""sh4ltsink and sh4ltsrc in pipelines that pause, end, change their caps, or hold frames."""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gst_iceoryx2.sh4lt import Follower
from tests.gst import scenes
from tests.gst.pairs import Stages
from tests.gst.remote import Stage
from tests.sh4lt.peers import BareReader, writing
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="SysV semaphores with time limits are Linux's")

PAUSES = 10
LIVE = "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=48,framerate=100/1"
APPSINK = "appsink name=out sync=false max-buffers=1 drop=true enable-last-sample=false"


@pytest.fixture
def path() -> Iterator[Path]:
    path = Path(f"/dev/shm/sh4lt_gst{os.getpid()}")
    yield path
    assert not path.exists(), "the socket was left behind"


def wait_for_frames(stage: Stage, name: str = "p") -> None:
    """Wait for more frames than can have been queued."""
    stage.run(scenes.pull_some, name=name, count=4)


@pytest.mark.parametrize("paused", ["iceoryx2sink", "iceoryx2src", "sh4ltsink", "sh4ltsrc"])
@pytest.mark.proves("S4")
def test_frames_go_on_after_each_of_ten_pauses(stages: Stages, service: str, path: Path, paused: str) -> None:
    """sh4ltsrc treated the end of its wait as the end of its stream."""
    protocol = paused.removesuffix("sink").removesuffix("src")
    place = f"service={service}" if protocol == "iceoryx2" else f"socket-path={path}"
    stage = stages()
    stage.launch(f"{LIVE} ! {protocol}sink {place}", "sink")
    stage.launch(f"{protocol}src {place} ! {APPSINK}", "src")
    for name in ("sink", "src"):
        stage.state("PLAYING", name, timeout=0)
    wait_for_frames(stage, "src")
    for _ in range(PAUSES):
        for state in ("PAUSED", "PLAYING"):
            stage.state(state, "sink" if paused.endswith("sink") else "src", timeout=0)
        wait_for_frames(stage, "src")
    for name in ("src", "sink"):
        stage.drop(name)


@pytest.mark.parametrize("kind", ["bare", "python"])
@pytest.mark.proves("S4")
def test_a_source_pauses_and_goes_on_beside_every_kind_of_writer(stages: Stages, path: Path, kind: str) -> None:
    with writing(kind, path):
        reader = BareReader(path)
        stage = stages()
        stage.play(f"sh4ltsrc name=src socket-path={path} ! {APPSINK}")
        for _ in range(PAUSES):
            wait_for_frames(stage)
            stage.state("PAUSED", timeout=0)
            # The writer does not wait for a paused source.
            seen = len(reader.numbers)
            wait_until(lambda seen=seen: len(reader.numbers) > seen + 10)
            stage.state("PLAYING", timeout=0)
        wait_for_frames(stage)
        stage.drop()
        assert reader.missed() == 0
        reader.close()


@pytest.mark.proves("S5")
def test_the_writer_goes_on_while_the_end_of_the_stream_is_worked_on(stages: Stages, path: Path) -> None:
    """A muxer that finished its file blocked score's renderer."""
    with writing("bare", path):
        reader = BareReader(path)
        stage = stages()
        stage.launch(f"sh4ltsrc name=src socket-path={path} ! fakesink name=out sync=false")
        stage.run(scenes.hold_the_end)
        stage.state("PLAYING", timeout=0)
        wait_until(lambda: stage.get("src", "connected"))
        stage.run(scenes.send_the_end)
        seen = len(reader.numbers)
        wait_until(lambda: len(reader.numbers) > seen + 100)
        assert not stage.get("src", "connected")
        stage.run(scenes.let_it_end)
        assert stage.message(["eos"]) is not None
        stage.drop()
        assert reader.missed() == 0
        reader.close()


def test_a_queue_that_leaks_keeps_a_slow_recording_from_holding_the_writer_up(stages: Stages, path: Path) -> None:
    """This is the recipe for recording in docs/score.md."""
    with writing("bare", path):
        reader = BareReader(path)
        stage = stages()
        # 200 frames a second arrive, and 20 are processed.
        queue, recorder = "queue leaky=downstream max-size-buffers=3", APPSINK.replace("drop=true", "drop=false")
        stage.play(f"sh4ltsrc name=src socket-path={path} ! {queue} ! identity sleep-time=50000 ! {recorder}")
        wait_until(lambda: stage.get("src", "connected"))
        stage.run(scenes.pull_some, count=1)
        seen, pulled = len(reader.numbers), itertools.count(1)

        def is_behind() -> bool:
            stage.run(scenes.pull_some, count=1)
            return len(reader.numbers) > seen + next(pulled) + 30

        wait_until(is_behind)
        stage.drop()
        assert reader.missed() == 0
        reader.close()


@pytest.mark.proves("S8")
def test_a_sink_that_changes_its_caps_waits_for_its_readers(stages: Stages, path: Path) -> None:
    """New caps need a new writer. Readers missed 2 to 4 frames before they were connected again."""
    stage = stages()
    # The sink waits for 0.3 s. On a busy machine readers may need longer; then it is started again.
    for _ in range(20):
        stage.play(f"appsrc name=in format=time ! sh4ltsink name=sink socket-path={path} sync=false")
        readers = [BareReader(path) for _ in range(2)]
        stage.run(scenes.push_numbers, parts=4, frames=20, readers=len(readers))
        stage.message(["eos"])
        stage.drop()
        for reader in readers:
            reader.close()
        if all(len(reader.numbers) == 80 for reader in readers):
            break
    for reader in readers:
        assert reader.numbers == list(range(1, 81))
        assert reader.types == [f"application/x-count, part=(int){part}" for part in range(4)]


FORTY = (
    "videotestsrc num-buffers=40 pattern=chroma-zone-plate kx2=20 ky2=20 kt=1 "
    "! video/x-raw,format=I420,width=320,height=240,framerate=100/1"
)
ENCODER = "x264enc speed-preset=ultrafast tune=fastdecode bframes=2 ! matroskamux"


@pytest.mark.parametrize(
    ("line", "zero_copy"),
    [
        (FORTY, range(37, 38)),
        (f"{FORTY} ! videobalance brightness=0.1", range(37, 38)),
        # The queue sometimes holds two frames at a time.
        (f"{FORTY} ! queue max-size-buffers=3", range(38)),
        # The decoder holds frames that it has pushed, and pushes them in another order.
        ("filesrc location={movie} ! matroskademux ! avdec_h264", range(38)),
        (f"{FORTY} ! identity drop-allocation=true", range(1)),
    ],
    ids=["from a source", "from a filter", "through a queue", "from a decoder", "without a pool"],
)
@pytest.mark.proves("S9")
def test_upstream_renders_into_the_segment_while_no_reader_looks_at_it(
    stages: Stages, path: Path, tmp_path: Path, line: str, zero_copy: range
) -> None:
    """Each frame was rendered elsewhere and copied, which gave a third of the frames per second."""
    stage = stages()
    if "{movie}" in line:
        # Encoded once, because x264 does not write the same stream each time.
        line = line.format(movie=(movie := tmp_path / "movie.mkv"))
        stage.run(scenes.run_to_the_end, text=f"{FORTY} ! {ENCODER} ! filesink location={movie}")
    expected = stage.run(scenes.frames_of, text=line)
    assert len(expected) == 40
    stage.launch(f"{line} ! sh4ltsink name=sink socket-path={path} sync=true reader-timeout=3600000000000")
    # Paused, the sink has a writer, which sends nothing.
    assert stage.state("PAUSED") == "success"
    seen = []
    with Follower(path) as follower:
        while stage.get("sink", "num-clients") == 0:
            with follower.borrow(0.1) as frame:
                assert frame is None
        stage.state("PLAYING", timeout=0)
        while len(seen) < 40:
            with follower.borrow(60) as frame:
                assert frame is not None
                first = hashlib.sha1(frame.data).hexdigest()
                if len(seen) % 10 == 0:
                    # The duration of three frames.
                    time.sleep(0.03)
                assert hashlib.sha1(frame.data).hexdigest() == first
                seen.append(first)
    assert seen == expected
    assert stage.message(["eos"]) is not None
    counts = {kind: stage.get("sink", f"frames-{kind}") for kind in ("zero-copy", "copied")}
    assert counts["zero-copy"] in zero_copy
    assert sum(counts.values()) == 40
    stage.drop()


def test_a_sink_whose_segment_is_lent_stops(stages: Stages, path: Path) -> None:
    """Upstream waits in the pool for a reader that holds its frame; a change of state ends the wait."""
    stage = stages()
    stage.play(f"{LIVE} ! sh4ltsink name=sink socket-path={path} reader-timeout=3600000000000")
    stage.run(scenes.wait_for, element="sink", prop="frames-zero-copy", value=5)
    with Follower(path) as follower, follower.borrow(60) as frame:
        assert frame is not None
        time.sleep(0.1)
        for state in ("PAUSED", "PLAYING", "READY"):
            stage.state(state, timeout=0)
        stage.drop()
