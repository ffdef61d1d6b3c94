"""What publishers of frames, packets and results have in common: their subscribers, their state, and their end."""

from __future__ import annotations

from typing import Any, TypeVar

from . import _keeper
from ._sender import Sender

Self = TypeVar("Self", bound="Publishing")


class Publishing:
    """The public side of a sender. A subclass sets both attributes in its constructor.

    Attributes:
        _name: Name of the service.
        _sender: The sending side of the service.
    """

    _name: str
    _sender: Sender

    @property
    def num_subscribers(self) -> int:
        """Number of connected subscribers. A killed subscriber is counted for up to two seconds."""
        return self._sender.subscribers()

    def wait_for_subscribers(self, n: int = 1, timeout: float | None = None) -> int:
        """Wait until at least `n` subscribers are connected.

        Args:
            n: Number of subscribers to wait for.
            timeout: Maximum wait in seconds; None or infinity = wait indefinitely.

        Returns:
            Number of connected subscribers.

        Raises:
            FrameTimeoutError: Fewer than `n` subscribers were connected after `timeout`.
            ClosedError: This publisher is closed, or was closed by another thread during the wait.
            ValueError: `n` is negative, or `timeout` is NaN.
            TypeError: An argument is not a number.

        Example:
            Start once a subscriber is connected:

                with VideoFramePublisher("video/cam0/frame/v2") as publisher:
                    publisher.wait_for_subscribers(1, timeout=10)
                    publisher.publish(np.zeros((480, 640, 3), np.uint8))
        """
        return self._sender.wait_for_subscribers(n, timeout)

    @property
    def service_name(self) -> str:
        """Name of the service."""
        return self._name

    @property
    def stats(self) -> Any:
        """Counters so far."""
        raise NotImplementedError

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._sender.is_closed

    def close(self) -> None:
        """Leave the service without ending the stream. What was sent is still delivered. Idempotent.

        If the memory was replaced for something larger, this may take up to 0.5 s, so that the subscribers can map the
        new memory.
        """
        _keeper.dismiss(self)
        self._sender.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        stats = self.stats
        state = ", closed" if self.is_closed else ""
        return f"<{type(self).__name__} {self._name!r}, sent {stats.sent}, dropped {stats.dropped}{state}>"

    def _tend(self) -> None:
        self._sender.tend()

    def _abandon(self) -> None:
        self._sender.abandon()
