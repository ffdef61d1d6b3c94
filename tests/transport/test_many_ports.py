"""Many ports in one process: the work of each does not grow with their number. Looks are counted, not timed."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2._iox2 import cleanup, liveness
from gst_iceoryx2._iox2.domain import Domain, current_domain
from gst_iceoryx2.errors import TransportError
from gst_iceoryx2.video import (
    VideoFrameHeader,
    VideoFramePublisher,
    VideoFrameSubscriber,
    _keeper,
    _receiver,
    _waiting,
    create_node,
)
from tests.conftest import Place
from tests.transport.conftest import is_waiting
from tests.transport.raw import RawPublisher
from tests.waiting import wait_until

PICTURE = np.zeros((4, 4, 3), np.uint8)
LONG = 60.0


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the looks of this thread at files and descriptors, by function."""
    counted: Counter[str] = Counter()
    me = threading.get_ident()

    def count(module: Any, name: str) -> None:
        original = getattr(module, name)

        def counting(*arguments: Any, **named: Any) -> Any:
            if threading.get_ident() == me:
                counted[name] += 1
            return original(*arguments, **named)

        monkeypatch.setattr(module, name, counting)

    for name in ("stat", "lstat", "fstat", "open", "listdir", "scandir"):
        count(os, name)
    count(fcntl, "fcntl")
    return counted


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], VideoFrameSubscriber]]:
    """Return a function that makes a subscriber whose thread waits for frames and does not wake up by itself."""
    monkeypatch.setattr(_receiver, "_SAFETY_INTERVAL", LONG)
    subscribers: list[VideoFrameSubscriber] = []
    threads: list[threading.Thread] = []

    def make(name: str) -> VideoFrameSubscriber:
        sub = VideoFrameSubscriber(name)
        subscribers.append(sub)
        threads.append(threading.Thread(target=deque, args=(sub, 0)))
        threads[-1].start()
        wait_until(lambda: is_waiting(sub))
        return sub

    yield make
    for sub in subscribers:
        sub.close()
    for thread in threads:
        thread.join()


def opened(number: int) -> tuple[VideoFrameSubscriber, VideoFramePublisher]:
    return VideoFrameSubscriber(f"video/{number}"), VideoFramePublisher(f"video/{number}")


def close(ports: list[tuple[VideoFrameSubscriber, VideoFramePublisher]]) -> None:
    for port in (port for pair in ports for port in pair):
        port.close()


@pytest.mark.proves("L15")
def test_opening_a_port_looks_at_no_more_where_there_are_many(calls: Counter[str]) -> None:
    """Each port checked every node of the process, and opened and closed files for it."""
    ports = [opened(number) for number in range(3)]
    calls.clear()
    ports.append(opened(3))
    few = calls.copy()
    ports += [opened(number) for number in range(4, 20)]
    calls.clear()
    ports.append(opened(20))
    # The descriptor may be found a few looks later.
    assert calls.total() <= few.total() + 8, (few, calls)
    close(ports)


def test_a_look_for_the_dead_asks_nothing_of_the_nodes_of_this_process(calls: Counter[str]) -> None:
    nodes = [create_node() for _ in range(10)]
    domain = current_domain()
    liveness.dead_nodes(domain)
    calls.clear()
    assert not cleanup.clean_up_if_stale(domain)
    # The lstat is for the counter of nodes, which is found by its name.
    assert calls == {"listdir": 1, "lstat": 1}
    del nodes


def test_a_listeners_descriptor_is_found_beside_many(calls: Counter[str], service: str) -> None:
    """Another thread may free a low descriptor at the same moment, so the best of three counts."""
    pipes = [os.pipe() for _ in range(200)]
    looks = []
    try:
        for _ in range(3):
            calls.clear()
            with VideoFrameSubscriber(service):
                looks.append(calls["fstat"])
        assert min(looks) < 40
    finally:
        for descriptor in (one for pair in pipes for one in pair):
            os.close(descriptor)


@pytest.mark.parametrize("missing", [("/proc/self/fd",), ("/proc/self/fd", "/dev/fd")])
def test_a_listeners_descriptor_is_found_where_the_system_lists_none(
    missing: tuple[str, ...], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bare chroot has no /dev/fd, and opening a subscriber there was a bare FileNotFoundError."""
    listdir = os.listdir

    def without(folder: Any = ".") -> list[str]:
        if folder in missing:
            raise FileNotFoundError(2, "No such file or directory", folder)
        return listdir(folder)

    monkeypatch.setattr(_waiting.os, "listdir", without)
    with VideoFrameSubscriber(service) as sub:
        assert sub._waiter is not None
        assert sub._waiter._descriptor is not None


@pytest.mark.proves("L15")
def test_the_ports_of_a_process_look_for_the_dead_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Domain] = []
    ports = [opened(number) for number in range(5)]
    monkeypatch.setattr(cleanup, "dead_nodes", lambda domain: looks.append(domain) or [])
    monkeypatch.setattr(cleanup, "_INTERVAL", LONG)
    monkeypatch.setattr(cleanup.schedule_of(current_domain()), "_next_look", 0.0)
    for _ in range(3):
        _keeper.look_around()
    assert len(looks) == 1
    close(ports)


def test_the_dead_of_one_domain_are_remembered_beside_another(
    domain: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A look at the second domain forgot the attempts in the first, whose helper then ran at every look."""
    runs: list[str] = []
    monkeypatch.setattr(cleanup, "run_helper", lambda place: runs.append(place.root))
    places = [current_domain(), Domain(f"{domain.root}b", domain.prefix)]
    monkeypatch.setattr(cleanup, "dead_nodes", lambda place: [place.root])
    for _ in range(3):
        for place in places:
            cleanup.clean_up_if_stale(place)
    assert runs == [place.root for place in places]


@pytest.mark.proves("L15")
def test_subscribers_that_wait_do_not_wake_up_to_look(
    waiting: Callable[[str], VideoFrameSubscriber], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each subscriber woke twice a second; together they used a third of a processor."""
    rounds: list[None] = []
    look_around = _keeper.look_around
    monkeypatch.setattr(_keeper, "look_around", lambda *given: (look_around(*given), rounds.append(None)))
    for number in range(5):
        waiting(f"video/{number}")
    waits: list[None] = []
    wait = _waiting.Waiter.wait
    monkeypatch.setattr(_waiting.Waiter, "wait", lambda *given: (waits.append(None), wait(*given)))
    already = len(rounds)
    wait_until(lambda: len(rounds) >= already + 3, 60)
    assert waits == []


class Silent(RawPublisher):
    """A publisher that sends no notifications."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.notifier = SimpleNamespace(notify=lambda: 0)

    def send_picture(self) -> None:
        header = VideoFrameHeader(width=4, height=4, n_planes=1)
        header.stride[0] = 12
        header.format_name = "BGR"
        self.send(header, bytes(48))


@pytest.mark.proves("L15")
def test_a_subscriber_that_waits_is_woken_for_what_was_not_announced(
    waiting: Callable[[str], VideoFrameSubscriber], service: str
) -> None:
    """A notification can be lost. The thread that visits all ports wakes the subscriber."""
    sub = waiting(service)
    publisher = Silent(service)
    for number in range(3):
        wait_until(lambda: sub.is_connected and is_waiting(sub), 30)
        publisher.send_picture()
        wait_until(lambda expected=number + 1: sub.stats.received == expected, 30)
    publisher.close()


@pytest.mark.asyncio
async def test_an_event_loop_is_woken_for_what_was_not_announced(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_receiver, "_SAFETY_INTERVAL", LONG)
    received: list[None] = []
    with VideoFrameSubscriber(service) as sub:

        async def read() -> None:
            async for _ in sub:
                received.append(None)

        task = asyncio.create_task(read())
        publisher = Silent(service)
        for number in range(3):
            while not sub.is_connected:
                await asyncio.sleep(0.01)
            publisher.send_picture()
            deadline = time.monotonic() + 30
            while len(received) <= number:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
        sub.close()
        await task
        publisher.close()


def test_a_port_is_refused_where_no_thread_can_be_started_and_the_next_one_tries_again(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first port raised, and no later port was visited."""
    wait_until(lambda: _keeper._keeper._thread is None)

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        for kind in (VideoFrameSubscriber, VideoFramePublisher):
            with pytest.raises(TransportError, match=r"cannot take part in 'video/test cam 0/frame/v2'.*cannot start"):
                kind(service)
    with VideoFramePublisher(service, max_publishers=1), VideoFrameSubscriber(service) as sub:
        thread = _keeper._keeper._thread
        assert thread is not None
        assert thread.is_alive()
        assert sub is not None
