"""`iox2-video top`, as seen on a terminal (tmux), as lines, and as JSON."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2.discovery.meter import Meters
from tests.cli.conftest import CommandLine, stop
from tests.cli.test_list import CAM0
from tests.conftest import Place
from tests.processes.children import Child
from tests.waiting import wait_until

Source = Callable[..., Child]
CAM1 = "video/cam1/frame/v2"


class Terminal:
    """A terminal of 110 columns and 12 rows, in a tmux server for this test."""

    def __init__(self, name: str) -> None:
        self._tmux = ["tmux", "-L", name, "-f", "/dev/null"]

    def run(self, command: CommandLine, *arguments: str, **environment: str) -> None:
        """Start `iox2-video` in the terminal. Its exit code is printed when it ends."""
        words = shlex.join([*command.command, *arguments])
        subprocess.run(
            [*self._tmux, "new-session", "-d", "-x", "110", "-y", "12", f"{words}; echo ended with $?; cat"],
            env=command.environment | {"TERM": "xterm-256color"} | environment,
            check=True,
        )

    def screen(self, *options: str) -> str:
        """The text on the screen."""
        done = subprocess.run([*self._tmux, "capture-pane", "-p", *options], capture_output=True, text=True, check=True)
        return done.stdout

    def keys(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

    def resize(self, columns: int, rows: int) -> None:
        subprocess.run([*self._tmux, "resize-window", "-x", str(columns), "-y", str(rows)], check=True)

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], stderr=subprocess.DEVNULL, check=False)


@pytest.fixture
def terminal(domain: Place) -> Iterator[Terminal]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed: scripts/setup does that")
    opened = Terminal(f"iox2-video-{os.getpid()}")
    yield opened
    opened.close()


def row_of(screen: str, name: str) -> list[str]:
    return next((line.split() for line in screen.splitlines() if line.split()[:1] == [name]), [])


def test_a_row_a_stream_is_redrawn_in_place_until_ctrl_c(
    iox2_video: CommandLine, source: Source, terminal: Terminal
) -> None:
    source(CAM0, fps=20, width=64, height=48)
    terminal.run(iox2_video, "top")
    wait_until(lambda: row_of(terminal.screen(), "cam0")[3:4] not in ([], ["-"], ["0.0"]))
    seen = set()

    def moves() -> bool:
        seen.add(terminal.screen())
        return len(seen) > 3

    wait_until(moves)
    for screen in seen:
        lines = screen.rstrip().splitlines()
        assert len(lines) == 2, "the old rows are still to be seen"
        heads = ["NAME", "FORMAT", "SIZE", "FPS", "JITTER", "MB/S", "GAPS", "P50", "P99", "PUB", "SUB", "NOTE"]
        assert lines[0].split() == heads
    name, form, size, *_ = row_of(terminal.screen(), "cam0")
    assert (name, form, size) == ("cam0", "BGR", "64x48")

    # A stream that starts later appears. A stream that ends vanishes or gets a note.
    other = source(CAM1, fps=10)
    wait_until(lambda: "BGR" in row_of(terminal.screen(), "cam1"))
    stop(other)

    def is_gone() -> bool:
        row = row_of(terminal.screen(), "cam1")
        return not row or "waiting" in row

    wait_until(is_gone)
    terminal.keys("C-c")
    wait_until(lambda: "ended with 130" in terminal.screen())
    assert "Traceback" not in terminal.screen()
    assert "Abort" not in terminal.screen()


def test_no_colour_leaves_no_styles_on_the_screen(iox2_video: CommandLine, source: Source, terminal: Terminal) -> None:
    source(CAM0, fps=20)
    terminal.run(iox2_video, "top", NO_COLOR="1")
    wait_until(lambda: row_of(terminal.screen(), "cam0"))
    assert "\x1b[1m" not in terminal.screen("-e")


def test_a_terminal_gets_a_bold_heading(iox2_video: CommandLine, source: Source, terminal: Terminal) -> None:
    source(CAM0, fps=20)
    terminal.run(iox2_video, "top")
    wait_until(lambda: row_of(terminal.screen(), "cam0"))
    assert "\x1b[1mNAME" in terminal.screen("-e")


def test_a_small_terminal_gets_what_fits(iox2_video: CommandLine, source: Source, terminal: Terminal) -> None:
    source(*(f"video/cam{number}/frame/v2" for number in range(6)), fps=5)
    terminal.run(iox2_video, "top")
    wait_until(lambda: row_of(terminal.screen(), "cam5"))
    terminal.resize(40, 5)
    wait_until(lambda: "more" in terminal.screen())
    screen = terminal.screen().rstrip().splitlines()
    assert screen[0].startswith("NAME")
    assert len(screen) <= 5
    terminal.resize(60, 12)
    wait_until(lambda: row_of(terminal.screen(), "cam5"))
    assert terminal.screen().count("NAME") == 1, "what a narrower terminal had wrapped is still there"


def test_without_a_terminal_there_is_a_line_a_second_for_each_stream(iox2_video: CommandLine, source: Source) -> None:
    source(CAM0, CAM1, fps=20)
    done = iox2_video("top", "--count", "2")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["cam0", "cam1"] * 2
    assert "\x1b" not in done.stdout
    assert "fps" in lines[0]


def until_rated(iox2_video: CommandLine, *arguments: str) -> list[Any]:
    """Return the documents of `top` when the last stream has a rate; a publisher on a busy machine may pause."""
    found: list[list[Any]] = []

    def is_rated() -> bool:
        done = iox2_video("top", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        found.append([json.loads(line) for line in done.stdout.splitlines()])
        return (found[-1][-1]["streams"][-1]["fps"] or 0) > 0

    wait_until(is_rated)
    return found[-1]


def test_the_json_has_these_keys_and_no_others(iox2_video: CommandLine, source: Source, child: Source) -> None:
    source(CAM0, fps=20, width=64, height=48)
    assert child("watch", CAM0, 2).told() == "watching"
    documents = until_rated(iox2_video, "cam0", "--count", "3")
    assert len(documents) == 3
    assert documents[0].keys() == {"streams"}
    (stream,) = documents[-1]["streams"]
    assert stream.keys() == {
        "name",
        "short_name",
        "format",
        "width",
        "height",
        "fps",
        "jitter",
        "bytes_per_second",
        "gaps",
        "latency_p50",
        "latency_p99",
        "publishers",
        "subscribers",
        "max_subscribers",
        "has_ended",
        "problem",
    }
    assert stream["name"] == CAM0
    assert (stream["publishers"], stream["subscribers"], stream["max_subscribers"]) == (1, 2, 8)
    assert stream["fps"] > 0
    # Both values are computed from the same frames.
    assert stream["bytes_per_second"] == pytest.approx(stream["fps"] * 64 * 48 * 3, rel=0.01)
    assert 0 < stream["latency_p50"] <= stream["latency_p99"] < 10
    assert stream["jitter"] >= 0
    assert stream["gaps"] is not None


def test_frames_that_the_publisher_dropped_are_gaps(domain: Place) -> None:
    from gst_iceoryx2.video import VideoFramePublisher

    picture = np.zeros((8, 8, 3), np.uint8)
    with VideoFramePublisher(CAM0) as publisher, Meters([CAM0]) as meters:
        publisher.wait_for_subscribers(1, timeout=60)
        publisher.publish(picture)
        wait_until(lambda: meters.readings()[0].gaps == 0)
        # Bursts beyond the buffer of the subscriber, so the meter must miss some frames.
        for _ in range(3):
            for _ in range(400):
                publisher.publish(picture)
        wait_until(lambda: meters.readings()[0].gaps)


def test_a_stream_without_room_says_so_and_the_others_go_on(
    iox2_video: CommandLine, source: Source, child: Source
) -> None:
    source(CAM0, fps=20, subscribers=2)
    source(CAM1, fps=20)
    assert child("watch", CAM0, 2).told() == "watching"
    full, other = until_rated(iox2_video, "--count", "2")[-1]["streams"]
    assert "already has 2, which is its limit; close a subscriber" in full["problem"]
    assert (full["publishers"], full["subscribers"], full["fps"]) == (1, 2, None)
    assert other["problem"] is None
    assert other["fps"] > 0


def test_a_stream_that_is_not_there_is_an_error_with_a_suggestion(iox2_video: CommandLine, source: Source) -> None:
    source(CAM0)
    done = iox2_video("top", "cam9")
    assert done.returncode == 3
    assert "did you mean cam0?" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_leaves_nothing_behind(
    iox2_video: CommandLine, source: Source, domain: Place, number: signal.Signals
) -> None:
    source(CAM0, fps=20)
    nodes = domain.root / "nodes"
    alone = len(list(nodes.glob("*.node_monitor")))
    process = iox2_video.start("top")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("cam0")
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert len(list(nodes.glob("*.node_monitor"))) == alone


def test_a_sh4lt_writer_is_not_slowed_down_by_watching_it(iox2_video: CommandLine) -> None:
    done = iox2_video("top", "sh4lt:/tmp/nowhere")
    assert done.returncode == 2
    assert "cannot be watched" in done.stderr
