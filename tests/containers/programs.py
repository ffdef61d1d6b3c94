"""Programs for containers: ``python -m tests.containers.programs publish|receive|reside SERVICE …``."""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gst_iceoryx2._iox2 import cleanup
from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2.video import Qos, VideoFramePublisher, VideoFrameSubscriber


def publish(service: str, interval: float, buffer_size: float = 10) -> None:
    """Publish numbered frames until standard input ends, and print the number of subscribers."""
    with VideoFramePublisher(service, qos=Qos(buffer_size=int(buffer_size))) as publisher:
        print("publishing as process", os.getpid(), flush=True)
        number = counted = 0
        while not select.select([0], [], [], interval)[0]:
            publisher.publish(np.full((48, 64, 3), number % 251, np.uint8), offset=number)
            number += 1
            if counted != publisher.num_subscribers:
                counted = publisher.num_subscribers
                print("counts", counted, flush=True)
        print("subscribers", publisher.num_subscribers, flush=True)


def receive(service: str, count: float, pause: float = 0.0) -> None:
    """Print the number of each frame, and whether its pixels belong to that number."""
    with VideoFrameSubscriber(service) as subscriber:
        print("receiving as process", os.getpid(), flush=True)
        for _ in range(int(count)):
            frame = subscriber.receive_blocking()
            assert frame is not None
            if frame.is_eos():
                print("end", flush=True)
                return
            view = frame.numpy_view()
            state = "sound" if (view == (frame.offset or 0) % 251).all() else "?"
            print("frame", frame.offset, state, flush=True)
            time.sleep(pause)


def reside(service: str, kills: float, in_python: float) -> None:
    """Publish and receive; crash and start other processes of this container when standard input says so.

    ``kill`` kills a publisher and a subscriber with -9 while they run, ``kill starting`` several while they start.
    ``start`` starts a publisher, which cleans up first. ``check`` prints the files that were there at first and are
    missing now. With `in_python`, the helper in Python cleans up.
    """
    if in_python:
        cleanup._HELPER = Path("/nonexistent")  # type: ignore[misc]
    # Forked before there is a port, because children cannot use open ports.
    victim, newcomer = _forked(_run, service), _forked(_receive_one, service)
    successors = [_forked(_start, service) for _ in range(2)]
    starters = [_forked(_start_again_and_again, service) for _ in range(int(kills))]
    with VideoFramePublisher(service) as publisher, VideoFrameSubscriber(service) as subscriber:
        publisher.wait_for_subscribers(1, timeout=30)
        publisher.publish(np.full((48, 64, 3), 1, np.uint8))
        assert subscriber.receive_blocking(30_000) is not None
        before = _files()
        print("resides with", len(before), "files", flush=True)
        for command in map(str.strip, sys.stdin):
            if command == "kill":
                victim()
            elif command == "kill starting":
                for starter in starters:
                    starter()
            elif command == "start":
                successors.pop()()
            elif command == "check":
                missing = sorted(before - _files())
                publisher.publish(np.full((48, 64, 3), 2, np.uint8))
                newcomer()
                frame = subscriber.receive_blocking(30_000)
                print("missing", missing, frame is not None and bool((frame.numpy_view() == 2).all()), flush=True)
            print("did", command, flush=True)


def _files() -> set[str]:
    """Return the files of the domain and its shared memory, as this container sees them."""
    domain = current_domain()
    folders = (Path("/dev/shm"), Path(domain.root))
    return {str(path) for folder in folders for path in folder.rglob("*") if domain.prefix in path.name}


def _forked(act: Callable[[str, int], None], service: str) -> Callable[[], None]:
    """Fork a child; the returned function makes it act and waits for its end."""
    begin, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go)
        code = 1
        try:
            if os.read(begin, 1):
                act(service, os.getpid())
                code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(begin)

    def run() -> None:
        os.write(go, b"x")
        if act is _start_again_and_again:
            time.sleep(random.uniform(0, 0.12))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or status == 0, f"{act.__name__} failed"

    return run


def _run(service: str, pid: int) -> None:
    with VideoFramePublisher(f"{service}/victim") as publisher, VideoFrameSubscriber(service) as subscriber:
        publisher.publish(np.full((48, 64, 3), 3, np.uint8))
        assert subscriber.receive_blocking(30_000) is not None
        os.kill(pid, signal.SIGKILL)


def _start(service: str, pid: int) -> None:
    name = f"{service}/victim"
    with VideoFramePublisher(name) as publisher, VideoFrameSubscriber(name) as subscriber:
        publisher.wait_for_subscribers(1, timeout=30)
        publisher.publish(np.full((48, 64, 3), 4, np.uint8))
        assert subscriber.receive_blocking(30_000) is not None


def _start_again_and_again(service: str, pid: int) -> None:
    while True:
        with VideoFramePublisher(f"{service}/victim") as publisher, VideoFrameSubscriber(f"{service}/victim"):
            publisher.publish(np.full((48, 64, 3), 5, np.uint8))


def _receive_one(service: str, pid: int) -> None:
    with VideoFrameSubscriber(service) as subscriber:
        # A late subscriber gets the newest frame.
        frame = subscriber.receive_blocking(30_000)
        assert frame is not None
        assert (frame.numpy_view() == 2).all()
        del frame


if __name__ == "__main__":
    name, service, *numbers = sys.argv[1:]
    {"publish": publish, "receive": receive, "reside": reside}[name](service, *map(float, numbers))
