"""The interfaces of a bridge's source and target."""

from __future__ import annotations

from typing import Protocol

from .parcel import Parcel


class From(Protocol):
    """The source of a bridge."""

    @property
    def passed_over(self) -> int:
        """Number of frames that were skipped because a newer one had arrived."""

    def want(self, is_wanted: bool) -> None:
        """Say whether the target has a receiver. Called before each wait."""

    def request_keyframe(self) -> None:
        """Ask for a keyframe, if packets come from here. Has no effect if the last request was less than 1 s ago."""

    def next(self, timeout: float) -> Parcel | None:
        """Wait for the newest frame, or the next packet.

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

    @property
    def is_keyframe_wanted(self) -> bool:
        """Whether a receiver of packets waits for a keyframe."""

    def tend(self) -> None:
        """Do what is due. Called after each wait without a frame."""

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


class FramesOnly:
    """What ends do that neither send nor receive packets: nothing."""

    is_keyframe_wanted = False

    def want(self, is_wanted: bool) -> None:
        """See `From.want`."""

    def request_keyframe(self) -> None:
        """See `From.request_keyframe`."""

    def tend(self) -> None:
        """See `To.tend`."""
