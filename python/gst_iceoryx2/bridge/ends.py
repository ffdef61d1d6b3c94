"""The interfaces of a bridge's source and target."""

from __future__ import annotations

from typing import Protocol

from .parcel import Parcel


class From(Protocol):
    """The source of a bridge."""

    @property
    def passed_over(self) -> int:
        """Number of frames that were skipped because a newer one had arrived."""

    def next(self, timeout: float) -> Parcel | None:
        """Wait for the newest frame.

        Args:
            timeout: Maximum time to wait, in seconds.

        Returns:
            The frame, or None if no frame arrived in time.

        Raises:
            Unsound: A message or frame arrived that cannot be forwarded.
        """

    def close(self) -> None:
        """Release everything."""


class To(Protocol):
    """The target of a bridge."""

    @property
    def is_wanted(self) -> bool:
        """Whether the target has a receiver for a frame."""

    def put(self, parcel: Parcel) -> int:
        """Send a frame, or the end of a stream.

        Returns:
            Number of bytes sent.

        Raises:
            Unsound: The target cannot carry this frame. Other frames can still be sent.
            FormatError: The target cannot carry this frame. Other frames can still be sent.
            MemoryError: There is not enough memory for the frame.
        """

    def close(self) -> None:
        """Release everything."""
