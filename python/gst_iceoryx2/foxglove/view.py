"""A server to which Foxglove connects."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from .._extras.foxglove import FoxgloveServer
from ..discovery import short_name
from ..video.wall_clock import WallClock
from .channels import ResultsTopic, Topic, VideoTopic

DEFAULT_PORT: Final = 8765
"""The TCP port that Foxglove suggests."""

# Time between two looks for new problems, in seconds.
_LOOK_EVERY: Final = 0.5


class FoxgloveView:
    """Offers streams to Foxglove, until `close`.

    Each stream is a topic of `foxglove.CompressedVideo`. Packets that are published already are sent as they are.
    Otherwise this process encodes the stream while a client has subscribed to it. The results of each detector are a
    topic of `foxglove.ImageAnnotations`. The server listens only on 127.0.0.1.

    Args:
        names: Names of the streams, short or in full. They may start later.
        port: TCP port; 0 = a free port.
        results: Names of detectors.

    Raises:
        OSError: The port is in use, for example.
        InvalidServiceNameError: A name cannot be used, or `results` are given and a stream is a rendition.
        MissingExtraError: The Foxglove SDK is not installed. Raised when this class is imported.

    Example:
        Show a camera and what a detector finds in it:

            with FoxgloveView(["cam0"], results=["yolo"]) as view:
                print(view.url)
                view.wait(print)
    """

    def __init__(self, names: Sequence[str], *, port: int = DEFAULT_PORT, results: Sequence[str] = ()) -> None:
        self._clock = WallClock()
        self._topics: dict[str, Topic[Any]] = {}
        self._ended = threading.Event()
        try:
            self._server = FoxgloveServer("iox2-video", port, self._note)
        except OSError as exc:
            taken = "in use" in str(exc)
            raise OSError(
                errno.EADDRINUSE if taken else errno.EIO,
                f"cannot listen on 127.0.0.1:{port}: "
                + ("another process uses this port; choose another one with --port" if taken else str(exc)),
            ) from exc
        try:
            for name in dict.fromkeys(map(short_name, names)):
                self._add(VideoTopic(name, self._clock, self._server.send))
            for source in list(self._topics):
                for detector in dict.fromkeys(results):
                    self._add(ResultsTopic(source, detector, self._clock, self._server.send))
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """Address to enter in Foxglove."""
        return self._server.url

    @property
    def topics(self) -> tuple[str, ...]:
        """Names of the topics."""
        return tuple(self._topics)

    def wait(self, tell: Callable[[str], object]) -> None:
        """Block until another thread calls `close`, or until Ctrl-C.

        Args:
            tell: Called with each problem, as a sentence, once.
        """
        told: dict[str, str | None] = {}
        while not self._ended.wait(_LOOK_EVERY):
            for name, topic in self._topics.items():
                problem = topic.problem
                if problem is not None and problem != told.get(name):
                    tell(f"{name}: {problem}")
                told[name] = problem

    def close(self) -> None:
        """Disconnect all clients, and leave all services. Idempotent."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._server.close()
        for topic in self._topics.values():
            topic.close()

    def __enter__(self) -> FoxgloveView:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _add(self, topic: Topic[Any]) -> None:
        # Clients may subscribe at once.
        self._topics[topic.topic] = topic
        self._server.add_channel(topic.topic, *topic.schema)

    def _note(self, topic: str, has_joined: bool) -> None:
        self._topics[topic].note(has_joined=has_joined)
