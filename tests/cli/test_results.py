"""`iox2-video results`: lines, JSON, waiting, and odd words."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import numpy as np
import pytest

from gst_iceoryx2.discovery import detectors
from gst_iceoryx2.results import Box, Classification, FrameKey, Keypoint, Mask, ResultsPublisher, Tensor
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.cli.conftest import CommandLine
from tests.conftest import Place
from tests.waiting import arrived, wait_until

SOURCE = "video/cam0/frame/v2"


@pytest.fixture
def key(domain: Place) -> FrameKey:
    """Return the key of a frame of 64x48 pixels."""
    with VideoFramePublisher(SOURCE) as publisher, VideoFrameSubscriber(SOURCE) as frames:
        publisher.publish(np.zeros((48, 64), np.uint8), format="GRAY8")
        with arrived(frames.receive_blocking(60_000)) as frame:
            return FrameKey.of(frame)


@pytest.fixture
def out(key: FrameKey) -> Iterator[ResultsPublisher]:
    with ResultsPublisher("cam0", "yolo") as publisher:
        yield publisher


def test_each_result_is_a_line(iox2_video: CommandLine, out: ResultsPublisher, key: FrameKey) -> None:
    out.publish(key, [Box("person", 0.91, 412, 96.4, 128, 310, 7), Box(None, 0.5, 0, 0, 1, 1)])
    out.publish(
        key,
        keypoints=[Keypoint("nose", 1, 2)],
        classifications=[Classification("indoors", 0.75)],
        masks=[Mask.of([[1]])],
        tensor=Tensor("t", np.zeros((2, 3))),
    )
    out.publish(key)
    out.publish(key, [Box("a\x1b[31m", 1, number, 0, 1, 1) for number in range(50)])
    done = iox2_video("results", "cam0", "yolo", "--count", "4")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split("  ", 2) for line in done.stdout.splitlines()]
    assert all(sequence == "#0" and age.endswith(" ms") for sequence, age, _ in lines)
    assert lines[0][2] == "person 0.91 (412, 96) 128x310 track 7, object 0.50 (0, 0) 1x1"
    assert lines[1][2] == "indoors 0.75, 1 keypoints, 1 masks, tensor t 2x3"
    assert lines[2][2] == "nothing"
    assert lines[3][2].startswith("a\\x1b[31m 1.00 (0, 0) 1x1, ")
    assert lines[3][2].endswith("(19, 0) 1x1, … 50 objects in all")


def test_each_result_is_a_json_document(iox2_video: CommandLine, out: ResultsPublisher, key: FrameKey) -> None:
    out.publish(key, [Box("é", 0.9, 1, 2, 3, 4)], json={"a": [1]})
    out.publish(key)
    done = iox2_video("results", SOURCE, "yolo", "--json", "--count", "2")
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["boxes"] == [{"label": "é", "score": 0.9, "x": 1, "y": 2, "width": 3, "height": 4}]
    assert (first["json"], first["detector"], first["sequence"], first["width"]) == ({"a": [1]}, "yolo", 0, 64)
    assert first["age"] > 0
    assert (second["boxes"], "json" in second) == ([], False)


def test_a_long_label_is_shortened_in_a_line(iox2_video: CommandLine, out: ResultsPublisher, key: FrameKey) -> None:
    """A label of 4 kB was printed in full."""
    out.publish(key, [Box("x" * 4096, 0.5, 1, 2, 3, 4)])
    done = iox2_video("results", SOURCE, "yolo", "--count", "1")
    assert f" {'x' * 60}… 0.50 (1, 2) 3x4\n" in done.stdout


def test_it_waits_for_a_detector_and_says_which_there_are(
    iox2_video: CommandLine, out: ResultsPublisher, key: FrameKey
) -> None:
    assert detectors("cam0@64x") == detectors() == ["yolo"]
    assert detectors("cam1") == []
    process = iox2_video.start("results", "cam0", "pose")
    with ResultsPublisher("cam0", "pose") as pose:
        pose.wait_for_subscribers(timeout=60)
        pose.publish(key)
        assert process.stdout is not None
        assert process.stdout.readline().endswith("nothing\n")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    done = iox2_video("results", "cam0", "yol0", "--timeout", "0.1")
    assert done.returncode == 3
    assert "waiting for results of yol0 on cam0; cam0 has yolo\n" in done.stderr
    assert "no result arrived on video/cam0/results/yol0/v1 for 0.1 s; check that the detector runs" in done.stderr


def test_a_name_that_cannot_be_is_misuse(iox2_video: CommandLine, domain: Place) -> None:
    for arguments, words in (
        (("cam0", "a/b"), "cannot be the name of a detector"),
        (("sh4lt:/tmp/x", "yolo"), "is not a service"),
        (("cam0",), "DETECTOR"),
    ):
        done = iox2_video("results", *arguments)
        assert done.returncode == 2
        assert words in done.stderr


def test_detectors_are_completed(iox2_video: CommandLine, out: ResultsPublisher) -> None:
    with ResultsPublisher("cam1", "pose"):
        words = {"_IOX2_VIDEO_COMPLETE": "bash_complete", "COMP_WORDS": "iox2-video results cam0 ", "COMP_CWORD": "3"}
        wait_until(lambda: detectors() == ["pose", "yolo"])
        done = iox2_video(**words)
        assert "yolo" in done.stdout, done.stderr
        assert "pose" not in done.stdout
