"""`iox2-video info`: one stream in full."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from gst_iceoryx2.discovery import Stream, streams
from gst_iceoryx2.video import VideoFramePublisher
from tests.cli.conftest import CommandLine, described_by_another_release
from tests.cli.test_list import CAM0, KEYS, services
from tests.conftest import Place
from tests.processes.children import Child
from tests.waiting import arrived, wait_until

Source = Callable[..., Child]


def test_info_tells_caps_qos_strides_metas_processes_and_memory(
    iox2_video: CommandLine, source: Source, child: Source, domain: Place
) -> None:
    publisher = source(CAM0, fps=50, width=50, height=20, meta="Detection")
    watcher = child("watch", CAM0, 1)
    assert watcher.told() == "watching"
    found: list[Any] = []
    # On a busy machine, a look may see only one frame.
    wait_until(lambda: found.append(iox2_video.json("info", "cam0", "--json")) or found[-1]["frames_seen"] > 1)
    info = found[-1]
    assert info.keys() == KEYS | {
        "iceoryx2_version",
        "qos",
        "max_nodes",
        "planes",
        "frame_bytes",
        "frames_seen",
        "metas",
        "memory",
        "participants",
    }
    assert info["iceoryx2_version"] == "0.10.0"
    assert info["qos"] == {"buffer_size": 10, "borrowed_max": 10, "history_size": 1, "safe_overflow": True}
    assert info["planes"] == [{"offset": 0, "stride": 150}]
    assert info["frame_bytes"] == 150 * 20
    assert info["metas"]["Detection"] == info["frames_seen"]
    assert "width=(int)50" in info["caps"]
    assert (info["publishers"], info["subscribers"]) == (1, 1)
    reserved = sum(path.stat().st_size for path in domain.shared_memory() if path.suffix == ".data")
    assert info["memory"]["reserved"] == reserved
    assert info["memory"]["touched"] > 0
    assert [(one["pid"], one["roles"], one["is_alive"]) for one in info["participants"]] == [
        (publisher.pid, ["publisher"], True),
        (watcher.pid, ["subscriber"], True),
    ]
    assert info["participants"][0].keys() == {
        "pid",
        "name",
        "command",
        "roles",
        "about",
        "is_alive",
        "memory_reserved",
        "memory_touched",
    }
    assert info["participants"][0]["name"].startswith("python")
    assert "tests.cli.acts" in info["participants"][0]["command"]

    text = iox2_video("info", CAM0)
    assert text.stderr == ""
    for words in ("video/x-raw, format=(string)BGR", "stride 150", "Detection on ", "buffer_size 10", " reserved, "):
        assert words in text.stdout
    assert str(publisher.pid) in text.stdout


def test_a_publisher_that_was_killed_is_no_stream(iox2_video: CommandLine, source: Source) -> None:
    publisher = source(CAM0)
    publisher.kill()
    done = iox2_video("info", "cam0")
    # A starting participant cleans up, and so does this command.
    assert done.returncode == 3
    assert done.stderr == 'Error: the stream "cam0" has just ended, or is left over from a crash\n'
    assert services(iox2_video.json("list", "--json")) == []


def test_a_name_that_is_nearly_right_gets_a_suggestion(iox2_video: CommandLine, source: Source) -> None:
    source(CAM0)
    done = iox2_video("info", "cam1")
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith('Error: no such stream "cam1" in ')
    assert done.stderr.endswith("did you mean cam0?\n")
    assert done.stderr.count("\n") == 1


def test_a_stream_with_a_waiting_subscriber_differs_from_an_unknown_one(iox2_video: CommandLine, domain: Place) -> None:
    from gst_iceoryx2.video import VideoFrameSubscriber

    with VideoFrameSubscriber(CAM0):
        done = iox2_video("info", "cam0")
    assert done.returncode == 3
    assert "a subscriber is waiting for it, but it has no publisher" in done.stderr
    done = iox2_video("info", "entirely-different")
    assert done.returncode == 3
    assert "the domain has no streams" in done.stderr


def test_a_stream_of_another_release_is_told_as_far_as_it_is_known(
    iox2_video: CommandLine, source: Source, domain: Place
) -> None:
    source(CAM0)
    with described_by_another_release(domain, "old"):
        info = iox2_video.json("info", "old", "--json")
    assert info["iceoryx2_version"] == "0.9.0"
    assert info["qos"]["buffer_size"] == 10
    assert info["participants"] == []
    assert "participants need the same release" in info["problem"]


def test_the_rate_of_two_publishers_on_one_stream_is_that_of_both_together(domain: Place) -> None:
    """Two publishers count their own frames, so their counts cannot be compared with each other."""
    with (
        VideoFramePublisher(CAM0, max_publishers=2) as one,
        VideoFramePublisher(CAM0, max_publishers=2) as other,
    ):
        picture = np.zeros((8, 8, 3), np.uint8)
        for _ in range(500):
            one.publish(picture)
        stop = threading.Event()

        def send() -> None:
            while not stop.wait(0.02):
                one.publish(picture)
                other.publish(picture)

        thread = threading.Thread(target=send)
        thread.start()
        found: list[Stream] = []
        try:
            # On a busy machine, a look may see too few frames for a rate.
            wait_until(lambda: found.extend(one for one in streams() if one.name == CAM0) or found[-1].fps is not None)
        finally:
            stop.set()
            thread.join()
        assert {stream.publishers for stream in found} == {2}
        assert arrived(found[-1].fps) < 250
