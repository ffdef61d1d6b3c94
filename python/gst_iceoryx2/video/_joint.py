"""Iterate over what several receivers give together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Generic, TypeVar

from ..errors import ClosedError, ForkedError
from ._receiver import Receiver
from ._waiting import Watch, readable

Joined = TypeVar("Joined")
Self = TypeVar("Self", bound="JointReader[Any]")

END: Final = object()
"""What `JointReader._step` returns at the end."""


class JointReader(Generic[Joined]):
    """Waits for several receivers at once, in a `for` or an `async for` loop.

    Subclasses receive in `_step`, which gives what is complete.

    Args:
        receivers: The receivers.
    """

    def __init__(self, receivers: Sequence[Receiver[Any]]) -> None:
        self._receivers = tuple(receivers)
        self._watch: Watch | None = None

    def __iter__(self: Self) -> Self:
        return self

    def __next__(self) -> Joined:
        try:
            while (item := self._step()) is None:
                self._watching().wait(self._pause())
        except ForkedError:
            raise
        except ClosedError:
            self.close()
            raise StopIteration from None
        if item is END:
            self.close()
            raise StopIteration
        return item  # type: ignore[no-any-return]

    async def __aiter__(self) -> AsyncIterator[Joined]:
        """Iterate asynchronously."""
        # Each `yield` empties this list, so that no frame is held here while the loop body runs.
        items: list[Any] = []
        try:
            while True:
                if (item := self._step()) is not None:
                    items.append(item)
                    del item
                if not items:
                    watch = self._watching()
                    with watch.watched():
                        await readable(watch.descriptors, min(watch.longest, self._pause()))
                elif items[0] is END:
                    return
                else:
                    yield items.pop()
        except ForkedError:
            raise
        except ClosedError:
            return
        finally:
            self.close()

    def close(self) -> None:
        """End the iteration. Idempotent."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _step(self) -> Any:
        """Return the next item, `END` at the end, or None if it is not there yet."""
        raise NotImplementedError

    def _deadline(self) -> float | None:
        """Return the monotonic time of the next `_step` if nothing arrives until then; None = not needed."""
        return None

    def _drain(self) -> bool:
        """Take pending notifications; return whether to check for frames again.

        Call it only when nothing is left: until then, publishers can notify without a system call.
        """
        return any(receiver._drain(receiver._open_waiter()) for receiver in self._receivers)

    def _pause(self) -> float:
        pause = min(receiver._pause() for receiver in self._receivers)
        deadline = self._deadline()
        return pause if deadline is None else min(pause, max(0.0, deadline - time.monotonic()))

    def _watching(self) -> Watch:
        if self._watch is None:
            self._watch = Watch(receiver._open_waiter() for receiver in self._receivers)
        return self._watch
