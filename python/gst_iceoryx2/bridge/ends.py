"""What a bridge needs of its source and of its target."""

from __future__ import annotations

from typing import Protocol

from .parcel import Parcel


class From(Protocol):
    """The source of a bridge."""

    @property
    def passed_over(self) -> int:
        """Number of frames that were skipped because a newer one had come."""

    def next(self, timeout: float) -> Parcel | None:
        """Wait for the newest frame.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            The frame, or None if none came in time.

        Raises:
            Unsound: What came is not a frame that can be passed on.
        """

    def close(self) -> None:
        """Release everything."""


class To(Protocol):
    """The target of a bridge."""

    @property
    def is_wanted(self) -> bool:
        """Whether a frame would be received by anyone."""

    def put(self, parcel: Parcel) -> int:
        """Send a frame, or the end of the stream.

        Returns:
            Number of bytes sent.

        Raises:
            Unsound: The target cannot carry this frame. Other frames can still be sent.
            FormatError: The target cannot carry this frame. Other frames can still be sent.
            MemoryError: There is not enough memory for the frame.
        """

    def close(self) -> None:
        """Release everything."""
