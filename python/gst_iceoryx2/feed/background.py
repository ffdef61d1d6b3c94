"""Runs an iterator that waits for a server in a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")

# Longest wait for an item before the reader looks whether it should stop, in seconds.
_STEP: Final = 0.1


class Background(Generic[Item]):
    """Runs an iterator in a thread, because nothing can wake FFmpeg while it waits for data.

    Args:
        items: The iterator.
        room: Number of items that may wait for the reader.
        release: Called in the thread when the iterator has ended, also after `close`.
        keeps_up: Whether a slow reader loses the oldest items, so that delays do not add up. Otherwise, the iterator
            waits for the reader.

    Attributes:
        lost: Number of items that a slow reader has lost.
    """

    def __init__(
        self, items: Iterator[Item], room: int, release: Callable[[], None], *, keeps_up: bool = False
    ) -> None:
        self.lost = 0
        self._items = items
        self._room = room
        self._release = release
        self._keeps_up = keeps_up
        self._lock = threading.Condition()
        self._waiting: deque[Item] = deque()
        self._is_closed = False
        self._is_finished = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="iox2-video network", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item | None]:
        """Yield the items; None if none came for 0.1 s. Raise the error of the iterator after the last one."""
        while True:
            with self._lock:
                if not self._waiting and not self._is_finished:
                    self._lock.wait(_STEP)
                item = self._waiting.popleft() if self._waiting else None
                is_over = item is None and self._is_finished
                self._lock.notify_all()
            if is_over and self._error is not None:
                raise self._error
            if is_over:
                return
            yield item

    def close(self) -> None:
        """Stop. If the server is silent, the thread ends later."""
        with self._lock:
            self._is_closed = True
            self._waiting.clear()
            self._lock.notify_all()
        self._thread.join(_STEP)

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._offer(item):
                    return
        except Exception as exc:
            self._error = exc
        finally:
            self._release()
            with self._lock:
                self._is_finished = True
                self._lock.notify_all()

    def _offer(self, item: Item) -> bool:
        """Queue an item; return False if the reader has closed this."""
        with self._lock:
            while len(self._waiting) >= self._room and not self._is_closed:
                if self._keeps_up:
                    self._waiting.popleft()
                    self.lost += 1
                else:
                    self._lock.wait()
            self._waiting.append(item)
            self._lock.notify_all()
            return not self._is_closed
