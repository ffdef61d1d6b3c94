"""Helpers for tests of bridges: a publisher and a subscriber at the ends, and a Zenoh session."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.cli.commands import Command

Bridge = Callable[..., Command]
NEAR, FAR = "video/near/frame/v2", "video/far/frame/v2"


class Pair:
    """A publisher before some bridges and a subscriber behind them; lost frames are sent again."""

    def __init__(self, publisher: VideoFramePublisher, subscriber: VideoFrameSubscriber) -> None:
        self.publisher = publisher
        self.subscriber = subscriber
        self._number = 1000

    def send(self, picture: Any, format: str = "BGR", timeout: float = 60.0, **known: Any) -> Any:
        """Send a picture under new numbers until it has arrived; return the frame."""
        deadline = time.monotonic() + timeout
        first = self._number
        while time.monotonic() < deadline:
            self._number += 1
            self.publisher.publish(picture, format=format, offset=self._number, **known)
            while (frame := self.subscriber.receive_blocking(100)) is not None:
                if not frame.is_eos() and frame.offset is not None and frame.offset > first:
                    return frame
        raise AssertionError(f"nothing arrived within {timeout} s")


def flat(colour: tuple[int, int, int], size: tuple[int, int] = (64, 48)) -> npt.NDArray[np.uint8]:
    return np.full((size[1], size[0], 3), colour, np.uint8)


@contextlib.contextmanager
def local_session() -> Iterator[Any]:
    """A Zenoh session that is connected to the bridges of this user."""
    from gst_iceoryx2._extras.zenoh import open_session
    from gst_iceoryx2.bridge.message import MESSAGE_MAX
    from gst_iceoryx2.bridge.sockets import meeting, own_folder

    with meeting(own_folder()) as (own, others):
        session = open_session([own], others, MESSAGE_MAX)
    try:
        yield session
    finally:
        session.close()


def free_port() -> int:
    """A TCP port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
