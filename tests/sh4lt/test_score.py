"""What ossia score shows, by its own rules, which are stricter than GStreamer's and ours."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from gst_iceoryx2.bridge import Bridge
from gst_iceoryx2.sh4lt import Follower, Writer, score
from gst_iceoryx2.video import VideoFramePublisher
from tests.conftest import Place
from tests.sh4lt.conftest import Launch, on_tmpfs
from tests.sh4lt.peers import BareWriter
from tests.sh4lt.score import FORMATS, shown
from tests.waiting import arrived, wait_until

ROOT = Path(__file__).parents[2]
SERVICE = "video/stage/frame/v2"
RGBA = "video/x-raw,format=RGBA,width=64,height=48"
# In the form that score writes.
FROM_SCORE = "video/x-raw,format=(string)RGBA,width=(int)64,height=(int)48,framerate=60/1"


def test_our_table_is_scores_in_both_languages() -> None:
    """Regression: BGR, which score does not know, was sent to it unchanged."""
    assert {name.upper() for name in score.FORMATS} == FORMATS
    assert score.FORMATS[0] == "RGBA"
    text = (ROOT / "crates/shmdata/src/score.rs").read_text()
    assert tuple(re.findall(r'"(\w+)"', text.partition("];")[0])) == score.FORMATS
    assert re.findall(r"FRAMERATE: i32 = (\d+);", text) == [str(score.FRAMERATE)]


def test_the_documents_list_scores_formats() -> None:
    page = (ROOT / "docs/score.md").read_text()
    assert set(score.FORMATS) <= set(re.findall(r"\w+", page.partition("What score takes")[2]))


@on_tmpfs
@pytest.mark.parametrize(
    "typed",
    [
        "video/x-raw, format=RGBA, width=64, height=48, framerate=30/1",
        "video/x-raw,format=(string)RGBA,width=(int)64,height=(int)48,framerate=60/1",
        'video/x-raw, format="RGBA", width=64, height=48',
        "video/x-raw, format=(string)RGBA, width=(int)64, height=(int)48, framerate=(fraction)0/1",
    ],
)
@pytest.mark.proves("S7")
def test_score_shows_a_writers_stream_however_its_caps_are_written(path: Path, typed: str) -> None:
    """Regression: score refused the example of the documentation, because its `framerate=30/1` lacked the type."""
    assert shown(typed) is None
    with Writer(path, typed) as writer:
        assert shown(writer.datatype) == ("RGBA", 64, 48)
        assert score.refusal(writer.datatype) is None


@on_tmpfs
def test_a_frame_rate_that_is_known_stays(path: Path) -> None:
    for rate in ("25/1", "30000/1001", "1/2"):
        with Writer(path, f"video/x-raw, format=RGBA, width=64, height=48, framerate={rate}") as writer:
            assert f"framerate=(fraction){rate}" in writer.datatype
    assert "at least 1 frame per second" in (score.refusal(writer.datatype) or "")


@on_tmpfs
@pytest.mark.parametrize("text", ["audio/x-raw, rate=48000", "application/x-count", "", "no caps {"])
def test_other_type_texts_stay_as_they_are(path: Path, text: str) -> None:
    with Writer(path, text) as writer:
        assert writer.datatype == text
        assert score.refusal(text) is not None


def snippets() -> list[str]:
    """Type texts in the Python examples of the documentation and of the package."""
    texts = [(ROOT / name).read_text() for name in ("docs/score.md", "python/gst_iceoryx2/sh4lt/__init__.py")]
    return [text for page in texts for text in re.findall(r'"(video/x-raw[^"]*)"', page)]


@on_tmpfs
def test_score_shows_what_the_documents_write(path: Path) -> None:
    assert len(snippets()) >= 2
    for text in snippets():
        with Writer(path, text) as writer:
            assert shown(writer.datatype), text


@on_tmpfs
def test_score_shows_what_the_example_makes_of_its_output(path: Path, tmp_path: Path) -> None:
    """Regression: the example wrote score's own type text, which score does not accept."""
    there = tmp_path / "back"
    program = [sys.executable, str(ROOT / "examples/sh4lt_negative.py"), str(path), str(there)]
    assert shown(FROM_SCORE) is None
    writer = BareWriter(path, 64 * 48 * 4, FROM_SCORE)
    try:
        with subprocess.Popen(program, stdout=subprocess.PIPE) as example, Follower(there) as back:
            wait_until(lambda: writer.clients)
            frame = None
            while frame is None:
                writer.write(b"\xfa" * (64 * 48 * 4))
                frame = back.read(0.05)
            # The example exits when no more frames arrive.
            example.communicate(timeout=60)
    finally:
        writer.close()
    assert shown(frame.datatype) == ("RGBA", 64, 48)
    assert frame.numpy_view()[0, 0].tolist() == [5, 5, 5, 250]


@on_tmpfs
@pytest.mark.parametrize("format", ["RGBA", "BGR"])
@pytest.mark.proves("S7")
def test_a_bridge_writes_what_score_shows_or_says_that_it_does_not(
    path: Path, domain: Place, caplog: pytest.LogCaptureFixture, format: str
) -> None:
    """A Python publisher states no frame rate, and often publishes BGR."""
    caplog.set_level(logging.WARNING, "gst_iceoryx2")
    bridge = Bridge(SERVICE, f"sh4lt:{path}")
    thread = threading.Thread(target=bridge.run)
    with VideoFramePublisher(SERVICE) as publisher, Follower(path) as follower:
        thread.start()
        try:
            picture = np.zeros((48, 64, len(format)), np.uint8)
            frame = None
            while frame is None:
                publisher.publish(picture, format=format)
                frame = follower.read(0.1)
        finally:
            bridge.stop()
            thread.join(10)
    said = [record.getMessage() for record in caplog.records if "score" in record.getMessage()]
    if format == "RGBA":
        assert shown(frame.datatype) == ("RGBA", 64, 48)
        assert said == []
    else:
        assert shown(frame.datatype) is None
        assert said == [f"ossia score cannot display {path}: it does not accept the format BGR; convert to RGBA"]


@on_tmpfs
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # The first command of the documentation. Left alone, GStreamer chooses ABGR64_LE.
        ("videotestsrc pattern=snow ! queue ! videoconvert", ("RGBA", 320, 240)),
        ("videotestsrc", ("RGBA", 320, 240)),
        ("videotestsrc ! video/x-raw,format=I420,width=64,height=48 ! videoconvert", ("I420", 64, 48)),
        # The frame rate is unknown.
        (f"videotestsrc ! {RGBA},framerate=30/1 ! capssetter caps=video/x-raw,framerate=0/1", ("RGBA", 64, 48)),
        (f"videotestsrc ! {RGBA},framerate=25/1", ("RGBA", 64, 48)),
    ],
)
@pytest.mark.proves("S7")
def test_score_shows_what_a_pipeline_negotiates(
    path: Path, launch: Launch, line: str, expected: tuple[str, int, int]
) -> None:
    launch(f"{line} ! sh4ltsink socket-path={path}")
    with Follower(path) as follower:
        frame = arrived(follower.read(60))
        assert shown(frame.datatype) == expected, frame.datatype
        assert frame.planes


@on_tmpfs
def test_every_raw_format_is_still_taken(path: Path, launch: Launch) -> None:
    """The sink prefers score's formats, but other programs accept other formats."""
    launch(f"videotestsrc ! video/x-raw,format=BGR,width=64,height=48 ! sh4ltsink socket-path={path}")
    with Follower(path) as follower:
        frame = arrived(follower.read(60))
        assert frame.caps is not None
        assert frame.caps.fields["format"] == "BGR"
