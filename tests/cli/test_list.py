"""`iox2-video list`: it finds all streams, and changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gst_iceoryx2.discovery import sh4lt, streams
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.cli.conftest import CommandLine, described_by_another_release, stop
from tests.conftest import Place
from tests.processes.children import Child
from tests.waiting import arrived, wait_until

CAM0 = "video/cam0/frame/v2"

Source = Callable[..., Child]
KEYS = {
    "name",
    "short_name",
    "kind",
    "format",
    "width",
    "height",
    "fps",
    "framerate",
    "publishers",
    "max_publishers",
    "subscribers",
    "max_subscribers",
    "age",
    "has_ended",
    "caps",
    "problem",
    "served",
}


def services(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The services of a document. Sh4lt paths are left out, because they may belong to other tests."""
    return [stream for stream in document["streams"] if stream["kind"] == "iceoryx2"]


def only(document: dict[str, Any]) -> dict[str, Any]:
    (stream,) = services(document)
    return stream


def until_known(iox2_video: CommandLine) -> dict[str, Any]:
    """Look until the only stream has a format: a publisher on a busy machine may pause during a look."""
    looks: list[dict[str, Any]] = []
    wait_until(lambda: looks.append(iox2_video.json("list", "--json")) or only(looks[-1])["format"])
    return looks[-1]


def row_of(name: str, text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"{name} "))


def test_a_stream_is_listed_with_what_it_carries_and_who_takes_part(
    iox2_video: CommandLine, source: Source, child: Source
) -> None:
    source(CAM0, fps=25, width=96, height=32, format="GRAY8")
    watcher = child("watch", CAM0, 2)
    assert watcher.told() == "watching"
    looks: list[subprocess.CompletedProcess[str]] = []
    # A publisher on a busy machine may pause during a look.
    wait_until(lambda: looks.append(iox2_video("list")) or "GRAY8" in looks[-1].stdout)
    done = looks[-1]
    assert (done.returncode, done.stderr) == (0, "")
    head, row = done.stdout.splitlines()[0], row_of("cam0", done.stdout)
    assert head.split() == ["NAME", "FORMAT", "SIZE", "FPS", "PUB", "SUB", "AGE", "NOTE"]
    assert row.split()[:3] == ["cam0", "GRAY8", "96x32"]
    assert row.split()[4:6] == ["1", "2/8"]
    assert "\x1b" not in done.stdout


def test_the_json_has_these_keys_and_no_others(iox2_video: CommandLine, source: Source, domain: Place) -> None:
    source(CAM0, fps=25, width=96, height=32)
    document = until_known(iox2_video)
    assert document.keys() == {"domain", "streams"}
    assert document["domain"] == {"root": str(domain.root), "prefix": domain.prefix}
    stream = only(document)
    assert stream.keys() == KEYS
    assert stream["name"] == CAM0
    assert stream["short_name"] == "cam0"
    assert stream["kind"] == "iceoryx2"
    assert (stream["format"], stream["width"], stream["height"]) == ("BGR", 96, 32)
    assert stream["framerate"] == "25/1"
    # On a busy machine a probe may get only one frame, and no rate.
    wait_until(lambda: only(iox2_video.json("list", "--json"))["fps"] == pytest.approx(25, rel=0.5))
    assert 0 <= stream["age"] < 60
    assert (stream["publishers"], stream["subscribers"]) == (1, 0)
    assert (stream["max_publishers"], stream["max_subscribers"]) == (1, 8)
    assert stream["caps"].startswith("video/x-raw, format=(string)BGR")
    assert stream["has_ended"] is False
    assert stream["problem"] is None


def test_a_publisher_that_pauses_shows_its_newest_frame_and_no_rate(iox2_video: CommandLine, source: Source) -> None:
    source(CAM0, count=1)
    stream = only(until_known(iox2_video))
    assert stream["format"] == "BGR"
    assert stream["age"] > 0
    assert stream["fps"] is None


def test_the_end_of_a_stream_is_told(iox2_video: CommandLine, source: Source) -> None:
    source(CAM0, count=2, end=True)
    wait_until(lambda: only(iox2_video.json("list", "--json"))["has_ended"])
    wait_until(lambda: "end of stream" in iox2_video("list").stdout)


def test_a_stream_without_room_for_another_subscriber_is_still_listed(
    iox2_video: CommandLine, source: Source, child: Source
) -> None:
    source(CAM0)
    watcher = child("watch", CAM0, 8)
    assert watcher.told() == "watching"
    stream = only(iox2_video.json("list", "--json"))
    assert (stream["publishers"], stream["subscribers"]) == (1, 8)
    assert (stream["format"], stream["fps"], stream["age"]) == (None, None, None)
    assert "all 8 subscriber slots are in use" in stream["problem"]
    row = row_of("cam0", iox2_video("list").stdout)
    assert row.split()[:6] == ["cam0", "-", "-", "-", "1", "8/8"]
    assert "all 8 subscriber slots" in row


def test_a_service_of_another_type_is_no_stream(iox2_video: CommandLine, domain: Place) -> None:
    import ctypes

    import iceoryx2 as iox2

    from gst_iceoryx2.video import create_node

    node = create_node()
    pose = node.service_builder(iox2.ServiceName.new(CAM0)).publish_subscribe(ctypes.c_uint64).open_or_create()
    assert services(iox2_video.json("list", "--json")) == []
    done = iox2_video("info", "cam0")
    assert done.returncode == 3
    assert done.stderr == f"Error: \"cam0\" in {domain.root} (prefix '{domain.prefix}') does not carry video; " + (
        "`iox2-video list` shows the video streams\n"
    )
    del pose


def test_a_service_of_another_release_is_listed_and_left_alone(
    iox2_video: CommandLine, source: Source, domain: Place
) -> None:
    source(CAM0)
    with described_by_another_release(domain, "old"):
        listed = {stream["short_name"]: stream for stream in services(iox2_video.json("list", "--json"))}
    assert listed.keys() == {"cam0", "old"}
    assert "created by iceoryx2 0.9.0, but this is 0.10.0" in listed["old"]["problem"]
    assert listed["old"]["publishers"] is None


def test_nothing_there_is_an_empty_list_and_a_word_on_stderr(iox2_video: CommandLine, domain: Place) -> None:
    document = iox2_video.json("list", "--json")
    assert services(document) == []
    assert not domain.root.exists(), "looking has made the domain"
    if document["streams"]:
        pytest.skip("another program writes to a Sh4lt path")
    done = iox2_video("list")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"no video streams in {domain.root}" in done.stderr


def test_looking_leaves_no_node_and_no_service_behind(domain: Place, source: Source, child: Source) -> None:
    publisher = source(CAM0)

    def files() -> set[str]:
        return {str(path) for path in (*domain.root.rglob("*"), *domain.shared_memory()) if not path.is_dir()}

    before = files()
    for _ in range(3):
        assert streams()[0].format == "BGR"
    # The publisher removes its end of a connection when it sends the next frame.
    wait_until(lambda: files() == before)
    stop(publisher)


def test_a_look_is_no_reason_for_a_lossless_publisher_to_wait(iox2_video: CommandLine, source: Source) -> None:
    """Without safe overflow, a subscriber that does not take frames would block the publisher."""
    source(CAM0, fps=200, safe_overflow=False)
    with VideoFrameSubscriber(CAM0) as subscriber:
        first = arrived(subscriber.receive_blocking(60_000))
        iox2_video("list")
        last = arrived(subscriber.latest(60))
        assert last.sequence is not None
        assert first.sequence is not None
        assert last.sequence > first.sequence


def test_a_probe_of_ten_streams_ends_as_soon_as_all_are_known(source: Source, domain: Place) -> None:
    """Otherwise it would exceed the time limit of tests. `benchmarks.commands` measures the time on an idle machine."""
    source(*(f"video/cam{number}/frame/v2" for number in range(10)), fps=15)
    found = [stream for stream in streams(3600) if stream.kind == "iceoryx2"]
    assert [stream.short_name for stream in found] == [f"cam{number}" for number in range(10)]
    assert {stream.format for stream in found} == {"BGR"}
    assert all(stream.fps for stream in found)


def test_watching_goes_on_until_ctrl_c(iox2_video: CommandLine, source: Source) -> None:
    source(CAM0)
    process = iox2_video.start("list", "--watch", "--json")
    assert process.stdout is not None
    documents = [json.loads(process.stdout.readline()) for _ in range(2)]
    assert [only(document)["name"] for document in documents] == [CAM0, CAM0]
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_an_interrupt_in_the_middle_of_a_look_leaves_nothing_behind(iox2_video: CommandLine, domain: Place) -> None:
    with VideoFramePublisher(CAM0):
        nodes = domain.root / "nodes"
        alone = len(list(nodes.glob("*.node_monitor")))
        process = iox2_video.start("list", "--watch")
        wait_until(lambda: len(list(nodes.glob("*.node_monitor"))) > alone)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert len(list(nodes.glob("*.node_monitor"))) == alone


@pytest.mark.skipif(not os.path.exists("/proc/net/unix"), reason="Linux only")
def test_a_sh4lt_path_with_a_live_writer_is_listed_and_its_writer_not_held_up(
    iox2_video: CommandLine, child: Source, runtime: Path
) -> None:
    path = runtime / "sh4lt" / "stage" / "cam0"
    writer = child("write_sh4lt", str(path))
    assert writer.told() == "writing"
    for _ in range(3):
        listed = {stream["name"]: stream for stream in iox2_video.json("list", "--json")["streams"]}
        stream = listed[f"sh4lt:{path}"]
        assert stream["kind"] == "sh4lt"
        assert (stream["format"], stream["width"], stream["height"]) == ("RGBA", 32, 16)
        assert (stream["framerate"], stream["publishers"], stream["subscribers"]) == ("30/1", 1, 0)
        assert stream["fps"] is None
    info = iox2_video("info", f"sh4lt:{path}")
    assert f"pid {writer.pid}" in info.stdout
    # `info` reads for a second, which is enough to measure the frame rate.
    assert 5 < iox2_video.json("info", f"sh4lt:{path}", "--json")["fps"] < 34
    writer.tell()
    # The writer waits ten seconds for a reader that leaves without a message.
    assert writer.told() < 9


@pytest.mark.skipif(not os.path.exists("/proc/net/unix"), reason="Linux only")
def test_a_sh4lt_path_of_ones_own_choice_is_listed_and_not_asked(
    iox2_video: CommandLine, child: Source, tmp_path: Path, runtime: Path
) -> None:
    path = tmp_path / "elsewhere"
    writer = child("write_sh4lt", str(path))
    assert writer.told() == "writing"
    listed = {stream["name"]: stream for stream in iox2_video.json("list", "--json")["streams"]}
    stream = listed[f"sh4lt:{path}"]
    assert (stream["format"], stream["caps"]) == (None, None)
    assert stream["problem"] == f"not queried; run `iox2-video info sh4lt:{path}`"
    assert iox2_video.json("info", f"sh4lt:{path}", "--json")["format"] == "RGBA"


@pytest.mark.skipif(not os.path.exists("/proc/net/unix"), reason="Linux only")
def test_a_socket_that_nobody_listens_on_is_no_stream(iox2_video: CommandLine, child: Source, runtime: Path) -> None:
    path = runtime / "sh4lt" / "stage" / "cam1"
    writer = child("write_sh4lt", str(path))
    assert writer.told() == "writing"
    writer.kill()
    assert f"sh4lt:{path}" not in {stream["name"] for stream in iox2_video.json("list", "--json")["streams"]}
    from gst_iceoryx2.sh4lt import Writer

    # The next writer on the path removes the memory of the dead one.
    Writer(path, "video/x-raw, format=RGBA, width=32, height=16").close()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_domain_of_another_user_is_an_error_and_not_an_empty_list(iox2_video: CommandLine, source: Source) -> None:
    source(CAM0)
    become = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    program = f"{become}; from gst_iceoryx2.cli import main; main(['list'])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=iox2_video.environment | {"HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: cannot read the iceoryx2 domain ")
    assert "belongs to user 0 (this process runs as user 65534)" in done.stderr


def test_paused_sh4lt_writers_are_asked_at_the_same_time(
    child: Source, runtime: Path, domain: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers = child("write_sh4lt_once", [str(runtime / "sh4lt" / f"cam{number}") for number in range(5)])
    assert writers.told() == "writing"
    # Each of the five waits here until all of them have begun.
    barrier, ask = threading.Barrier(5, timeout=30), sh4lt.sh4lt_stream
    monkeypatch.setattr(sh4lt, "sh4lt_stream", lambda *given: (barrier.wait(), ask(*given))[1])
    listed = {stream.name: stream for stream in streams(5)}
    for number in range(5):
        assert listed[f"sh4lt:{runtime}/sh4lt/cam{number}"].format == "RGBA"


def test_one_node_on_several_streams_is_not_guessed_about(domain: Place) -> None:
    from gst_iceoryx2._iox2.domain import current_domain
    from gst_iceoryx2.discovery.participants import participants
    from gst_iceoryx2.video import create_node

    node = create_node()
    with VideoFramePublisher(CAM0, iox2_node=node):
        (alone,) = participants(current_domain(), CAM0)
        assert alone.roles == ("publisher",)
        assert alone.memory_reserved
        with VideoFramePublisher("other", iox2_node=node):
            (shared,) = participants(current_domain(), CAM0)
            assert (shared.pid, shared.roles, shared.memory_reserved) == (os.getpid(), (), None)
    del node
