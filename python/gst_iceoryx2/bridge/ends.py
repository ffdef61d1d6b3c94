"""The ends of a bridge: something to take frames from, and something to hand them to."""

from __future__ import annotations

from typing import Protocol

from .parcel import Parcel


class From(Protocol):
    """Where frames come from."""

    @property
    def passed_over(self) -> int:
        """Frames that were there and too old when they could be taken."""

    def next(self, timeout: float) -> Parcel | None:
        """The newest frame; None if there was none in so many seconds. Raises Unsound for what is none."""

    def close(self) -> None:
        """Let go of everything."""


class To(Protocol):
    """Where frames go."""

    @property
    def is_wanted(self) -> bool:
        """Whether somebody is there to take them."""

    def put(self, parcel: Parcel) -> int:
        """Hand a frame over; return how many bytes that took.

        Raises:
            Unsound: The frame cannot go there; the other frames can.
            FormatError: The same.
            MemoryError: There is no memory for the frame.
        """

    def close(self) -> None:
        """Let go of everything."""
