"""Plugin and Python package work in one process, each with its own copy of iceoryx2, while other processes clean up."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gst_iceoryx2._plugin import plugin_library
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.conftest import Place
from tests.gst.pairs import Stages, receive, receiver_of, send
from tests.gst.remote import Stage as RemoteStage
from tests.transport import raw
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.gst.stage import Stage


def open_in_python(stage: Stage, service: str, publish: bool) -> None:
    """Open a port of the Python package in the stage's process."""
    stage.kept[service] = [VideoFramePublisher(service) if publish else VideoFrameSubscriber(service)]


def publish_in_python(stage: Stage, service: str, value: int) -> int:
    """Publish a grey picture and return how many subscribers got it."""
    (publisher,) = stage.kept[service]
    return int(publisher.publish(np.full((16, 16), value, np.uint8), format="GRAY8"))


def receive_in_python(stage: Stage, service: str) -> Any:
    """Return the width of the next frame and the number of received frames, or None after a timeout."""
    (subscriber,) = stage.kept[service]
    frame = subscriber.receive_blocking(20_000)
    return None if frame is None else [frame.width, subscriber.stats.received]


def close_in_python(stage: Stage, service: str) -> None:
    for port in stage.kept.pop(service):
        port.close()


@pytest.fixture
def both(stages: Stages) -> RemoteStage:
    """A process with pipelines and Python ports that exchange frames."""
    stage = stages()
    send(stage, "down", "")
    stage.run(open_in_python, service="down", publish=False)
    stage.run(open_in_python, service="up", publish=True)
    stage.play("iceoryx2src name=src service=up ! appsink name=out sync=false", "q")
    return stage


def exchange(stage: RemoteStage, rounds: int) -> None:
    """Frames cross in both directions inside the process."""
    for number in range(rounds):
        stage.push("GRAY8", 10 + number, 16)
        assert stage.run(receive_in_python, service="down")[0] == 10 + number
        wait_until(lambda: stage.run(publish_in_python, service="up", value=7) > 0)
        assert stage.pull(name="q")["width"] == 16


def close(stage: RemoteStage) -> None:
    stage.drop("q")
    stage.drop("p")
    for service in ("down", "up"):
        stage.run(close_in_python, service=service)


@pytest.mark.proves("L9")
def test_frames_cross_between_plugin_and_package_in_one_process(both: RemoteStage) -> None:
    exchange(both, 20)
    close(both)


@pytest.mark.proves("L9")
def test_other_processes_do_not_take_living_ports_for_dead(both: RemoteStage, stages: Stages, domain: Place) -> None:
    exchange(both, 3)
    helper = plugin_library().parent / "iceoryx2-cleanup"
    for _ in range(3):
        # The helper, and a foreign program that cleans up when it creates or drops a node.
        told = subprocess.run([helper, domain.root, domain.prefix], capture_output=True, text=True, check=True)
        assert "removed 0 dead nodes" in told.stdout
        node = raw.node()
        del node
        exchange(both, 2)
    # Other processes still find the ports. A port that was taken for dead would have lost its files.
    receiver = receiver_of(stages, "down")
    # A late joiner gets the newest frame at once.
    assert receiver.pull() is not None
    both.push("GRAY8", 99, 16)
    assert receiver.pull()["width"] == 99
    with VideoFrameSubscriber("up") as subscriber:
        wait_until(lambda: both.run(publish_in_python, service="up", value=9) > 1)
        assert subscriber.receive_blocking(60_000) is not None
    close(both)


def test_ports_of_both_come_and_go_in_any_order(stages: Stages) -> None:
    stage = stages()
    for number in range(5):
        first, second = ("pipeline", "package") if number % 2 else ("package", "pipeline")
        for which in (first, second):
            if which == "pipeline":
                receive(stage, "up")
            else:
                stage.run(open_in_python, service="up", publish=True)
        wait_until(lambda: stage.run(publish_in_python, service="up", value=1) > 0)
        assert stage.pull()["width"] == 16
        if number % 3:
            stage.drop()
            stage.run(close_in_python, service="up")
        else:
            stage.run(close_in_python, service="up")
            stage.drop()
