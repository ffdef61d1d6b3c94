"""Sh4lt paths as ends of a bridge."""

from __future__ import annotations

import errno

from .._wire.caps import video_caps
from .._wire.stamp import monotonic_ns
from ..sh4lt import Follower, FrameSizeError, TypeTextError, Writer
from ..sh4lt.bridge import write_planes, writer_for
from ..sh4lt.frame import Picture
from .message import Unsound
from .parcel import Parcel


class FromPath:
    """Frames of a path; copied at once, because its writer waits for us."""

    passed_over = 0

    def __init__(self, path: str) -> None:
        self._follower = Follower(path)
        self._picture: Picture | None = None
        self._datatype = ""

    def next(self, timeout: float) -> Parcel | None:
        """As `From.next`."""
        frame = self._follower.read(timeout)
        if frame is None:
            return None
        arrived = monotonic_ns()
        try:
            if self._picture is None or frame.datatype != self._datatype:
                self._picture = Picture.of(frame.datatype)
                self._datatype = frame.datatype
            planes = frame.planes
        except ValueError as exc:
            raise Unsound("a type that is no raw video", str(exc)) from exc
        except BufferError as exc:
            raise Unsound("a frame smaller than its type says", str(exc)) from exc
        picture = self._picture
        return Parcel(picture.format.name, picture.width, picture.height, planes, frame.datatype, captured_at=arrived)

    def close(self) -> None:
        """As `From.close`."""
        self._follower.close()


class ToPath:
    """Frames onto a path; copied once. Times, metas and the trail end here: the protocol has no place for them."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._writer: Writer | None = None

    # The writer has to be there for readers to come.
    is_wanted = True

    def put(self, parcel: Parcel) -> int:
        """As `To.put`."""
        if parcel.is_end:
            return 0
        try:
            return self._write(parcel)
        except (TypeTextError, FrameSizeError) as exc:
            raise Unsound("a frame that a path cannot carry", str(exc)) from exc
        except OSError as exc:
            if exc.errno not in (errno.ENOMEM, errno.ENOSPC):
                raise
            # The writer has lost its segment.
            self.close()
            raise MemoryError(f"{self._path}: {exc.strerror}") from exc

    def _write(self, parcel: Parcel) -> int:
        caps = parcel.caps or video_caps(parcel.format, parcel.width, parcel.height)
        self._writer = writer_for(caps, self._path, self._writer)
        return write_planes(self._writer, parcel.format, parcel.width, parcel.height, parcel.planes)

    def close(self) -> None:
        """As `To.close`."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
