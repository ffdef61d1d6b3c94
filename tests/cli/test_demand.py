"""Who reads a stream, by files only; observers do not count."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2.discovery.changes import FolderChanges
from gst_iceoryx2.discovery.demand import DemandFinder, Member
from gst_iceoryx2.discovery.meter import Meters
from gst_iceoryx2.discovery.served import Served, ServedFile, served, supervisors
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.cli.conftest import CommandLine
from tests.conftest import Place
from tests.gst.conftest import environment, plugin_environment, stages  # noqa: F401 (fixtures)
from tests.gst.remote import Stage
from tests.waiting import wait_until

CAM = "video/cam0/frame/v2"
OTHER = "video/cam1/frame/v2"
ME = frozenset({os.getpid()})

READER = f"""
import sys
from gst_iceoryx2.video import VideoFrameSubscriber
with VideoFrameSubscriber({CAM!r}) as subscriber:
    print("there", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _private(domain: Place) -> None:
    """Give every test its own domain."""


class Processes(NamedTuple):
    """The process IDs of the members of a service."""

    readers: frozenset[int] = frozenset()
    publishers: frozenset[int] = frozenset()


def demand() -> dict[str, Processes]:
    found = DemandFinder(current_domain()).find()
    members = [member for one in found.values() for member in (*one.readers, *one.publishers)]
    assert all(member.is_here for member in members)
    return {name: Processes(_pids(one.readers), _pids(one.publishers)) for name, one in found.items()}


def _pids(members: Iterable[Member]) -> frozenset[int]:
    return frozenset(member.pid for member in members)


def test_nobody_is_a_reader_of_nothing() -> None:
    assert demand() == {}


def test_a_subscriber_is_a_reader_before_during_and_after_its_publisher() -> None:
    with VideoFrameSubscriber(CAM) as subscriber:
        assert demand() == {CAM: Processes(readers=ME)}
        with VideoFramePublisher(CAM) as publisher:
            publisher.publish(np.zeros((48, 64, 3), np.uint8))
            assert subscriber.receive_blocking(60_000) is not None
            assert demand() == {CAM: Processes(ME, ME)}
        assert demand() == {CAM: Processes(readers=ME)}
    assert demand() == {}


def test_a_publisher_alone_is_no_reader() -> None:
    with VideoFramePublisher(CAM), VideoFramePublisher(OTHER), VideoFrameSubscriber(OTHER):
        assert demand() == {CAM: Processes(publishers=ME), OTHER: Processes(ME, ME)}


def test_the_elements_are_told_apart_and_a_lossless_sink_is_no_reader(
    stages: Callable[..., Stage],  # noqa: F811
) -> None:
    stage = stages()
    stage.play(f"videotestsrc is-live=true ! iceoryx2sink service={CAM} lossless=true", "sink")
    stage.play(f"iceoryx2src service={OTHER} ! fakesink", "source")
    # The sink has its listener a moment before its publisher.
    wait_until(lambda: demand().keys() == {CAM, OTHER} and demand()[CAM].publishers)
    found = demand()
    assert (len(found[CAM].readers), len(found[CAM].publishers)) == (0, 1)
    assert (len(found[OTHER].readers), len(found[OTHER].publishers)) == (1, 0)
    stage.play(f"iceoryx2src service={CAM} ! fakesink", "reader")
    wait_until(lambda: demand()[CAM].readers)


@pytest.mark.proves("D1")
def test_a_reader_that_is_killed_while_it_waits_counts_no_more() -> None:
    with subprocess.Popen([sys.executable, "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        assert demand() == {CAM: Processes(readers=frozenset({reader.pid}))}
        reader.send_signal(signal.SIGKILL)
        reader.wait()
        assert demand() == {}
    # The next participant removes what the reader has left behind.
    VideoFramePublisher(CAM).close()


@pytest.mark.proves("D1")
def test_observers_are_no_readers(iox2_video: CommandLine) -> None:
    """`top` had a listener, so a camera on demand would have run as long as somebody measured it."""
    with VideoFramePublisher(CAM) as publisher, Meters([CAM, OTHER]) as meters:
        picture = np.zeros((48, 64, 3), np.uint8)
        wait_until(lambda: publisher.publish(picture) is not None and (meters.readings()[0].fps or 0) > 0)
        assert demand() == {CAM: Processes(publishers=ME)}
        seen = []
        for words in (("list",), ("info", "cam0"), ("doctor",), ("top", "--json")):
            command = iox2_video.start(*words)
            end = time.monotonic() + 2
            while time.monotonic() < end and command.poll() is None:
                publisher.publish(np.zeros((48, 64, 3), np.uint8))
                seen += [one.readers for one in demand().values() if one.readers]
                time.sleep(0.02)
            command.terminate()
            command.wait()
        assert seen == []


def test_a_folder_wakes_when_a_reader_comes_and_goes() -> None:
    changes = FolderChanges([current_domain().root, current_domain().services])
    try:
        subscriber = VideoFrameSubscriber(CAM)
        found = []
        wait_until(lambda: _has_changed(changes) and found.append(demand().get(CAM)) is None and found[-1] is not None)
        changes.clear()
        subscriber.close()
        assert _has_changed(changes)
        assert demand() == {}
        changes.clear()
        assert not _has_changed(changes)
    finally:
        changes.close()


def test_other_files_beside_a_folder_wake_nobody_once_it_exists(tmp_path: Path) -> None:
    """The default domain is in /tmp: a supervisor that had started before its domain woke for every file there."""
    folder = tmp_path / "domain"
    changes = FolderChanges([folder, folder / "services"])
    try:
        folder.mkdir()
        assert _has_changed(changes)
        (tmp_path / "other").touch()
        assert not _has_changed(changes)
        (folder / "services").mkdir()
        assert _has_changed(changes)
        (folder / "services" / "a").touch()
        assert _has_changed(changes)
        shutil.rmtree(folder)
        assert _has_changed(changes)
        folder.mkdir()
        assert _has_changed(changes)
    finally:
        changes.close()


def _has_changed(changes: FolderChanges) -> bool:
    ready, _, _ = select.select([changes.fd], [], [], 0)
    changes.clear() if ready else None
    return bool(ready)


def entry(state: str = "off", error: str | None = None) -> Served:
    return Served(CAM, state, "test pattern", 0, os.getpid(), "/a/streams.toml", error, None)  # type: ignore[arg-type]


@pytest.fixture
def file() -> Iterator[ServedFile]:
    made = ServedFile(current_domain(), "/a/streams.toml")
    yield made
    made.remove()


def test_what_a_supervisor_says_is_read_while_it_lives(file: ServedFile) -> None:
    domain = current_domain()
    assert served(domain) == {}
    file.write([entry()])
    assert served(domain) == {CAM: entry()}
    file.write([entry("waiting", "no such device")])
    assert served(domain)[CAM].note() == "failed: no such device"
    assert supervisors(domain) == {os.getpid(): "/a/streams.toml"}
    file.remove()
    assert served(domain) == {}


SUPERVISOR = """
import sys, time
from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2.discovery.served import ServedFile
file = ServedFile(current_domain(), None)
print("there", flush=True)
time.sleep(60)
"""


def test_the_file_of_a_killed_supervisor_goes(domain: Place) -> None:
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert supervisors(current_domain()) == {process.pid: None}
        process.kill()
        process.wait()
    assert supervisors(current_domain()) == {}
    assert list(Path(current_domain().root).glob("*served*")) == []
