"""A publisher of packets in this process; each test has its own domain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gst_iceoryx2.packets import PacketPublisher, PacketSubscriber
from tests.conftest import Place
from tests.packets.units import number_of
from tests.processes.children import Child
from tests.waiting import arrived

WAIT_MS = 20_000


@pytest.fixture(autouse=True)
def _private(domain: Place) -> None:
    """Give every test here its own domain."""


@pytest.fixture
def pub() -> Iterator[PacketPublisher]:
    """Return a publisher of the stream cam0."""
    with PacketPublisher("cam0", "h264", 640, 480) as publisher:
        yield publisher


@pytest.fixture
def start() -> Iterator[Callable[..., Child]]:
    """Return a function that starts a process with an act of tests.packets.acts."""
    children: list[Child] = []

    def begin(act: str, *arguments: Any) -> Child:
        children.append(Child(act, *arguments, acts="tests.packets.acts"))
        return children[-1]

    yield begin
    for child in children:
        child.close()


def numbers(subscriber: PacketSubscriber, count: int) -> list[int]:
    """Receive packets; return the numbers in them."""
    return [number_of(arrived(subscriber.receive_blocking(WAIT_MS))) for _ in range(count)]


def rest(subscriber: PacketSubscriber, pause_ms: float = 100) -> list[int]:
    """Receive packets until none comes; return the numbers in them."""
    found = []
    while True:
        packet = subscriber.receive_blocking(pause_ms)
        if packet is not None:
            found.append(number_of(packet))
        # None comes also if the time was over while packets were withheld.
        elif not subscriber._has_waiting() and not subscriber._backlog:
            return found
