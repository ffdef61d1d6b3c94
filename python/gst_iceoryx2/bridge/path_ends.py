"""Sh4lt paths as ends of a bridge."""

from __future__ import annotations

import errno
import logging
from contextlib import ExitStack
from typing import Final

import numpy as np
import numpy.typing as npt

from .._wire.caps import video_caps
from .._wire.formats import get_format
from .._wire.stamp import monotonic_ns
from ..sh4lt import Follower, FrameSizeError, TypeTextError, Writer, score
from ..sh4lt.frame import RawVideo, default_layout
from .ends import FramesOnly
from .message import Unsound
from .parcel import Parcel

_log: Final = logging.getLogger("gst_iceoryx2")


class FromPath(FramesOnly):
    """Receives frames from a path.

    Args:
        path: Path of the socket.
        borrows: Whether frames stay in the writer's memory until the parcel is released. The writer waits until then,
            so frames that take a long time to forward should be copied instead.
    """

    passed_over = 0

    def __init__(self, path: str, *, borrows: bool) -> None:
        self._follower = Follower(path)
        self._borrows = borrows
        self._picture: RawVideo | None = None
        self._datatype = ""

    def next(self, timeout: float) -> Parcel | None:
        """Wait for a frame (see `From.next`)."""
        with ExitStack() as stack:
            frame = stack.enter_context(self._follower.borrow(timeout))
            if frame is None:
                return None
            parcel = Parcel(captured_at=monotonic_ns(), caps=frame.datatype)
            if not self._borrows:
                frame = frame.copy()
                stack.close()
            try:
                if self._picture is None or frame.datatype != self._datatype:
                    self._picture = RawVideo.of(frame.datatype)
                    self._datatype = frame.datatype
                parcel.planes = frame.planes
            except ValueError as exc:
                raise Unsound("not raw video", str(exc)) from exc
            except BufferError as exc:
                raise Unsound("frame is too small for its caps", str(exc)) from exc
            picture = self._picture
            parcel.format, parcel.width, parcel.height = picture.format.name, picture.width, picture.height
            parcel.give_back = stack.pop_all().close
            return parcel

    def close(self) -> None:
        """Leave the path."""
        self._follower.close()


class ToPath(FramesOnly):
    """Writes frames to a path, with one copy. Drops timestamps, metas and hops, which the protocol cannot carry."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._writer: Writer | None = None

    # Always wanted, because readers can connect only after the first frame has created the writer.
    is_wanted = True

    def put(self, parcel: Parcel) -> int:
        """Write a frame (see `To.put`)."""
        if parcel.is_end:
            return 0
        if parcel.header is not None:
            raise Unsound("packet for a Sh4lt path", "paths carry raw video; send the packets to a service first")
        try:
            return self._write(parcel)
        except (TypeTextError, FrameSizeError) as exc:
            raise Unsound("frame cannot be sent over a Sh4lt path", str(exc)) from exc
        except OSError as exc:
            if exc.errno not in (errno.ENOMEM, errno.ENOSPC):
                raise
            # The writer no longer has a segment.
            self.close()
            raise MemoryError(f"{self._path}: {exc.strerror}") from exc

    def _write(self, parcel: Parcel) -> int:
        writer = self._writer_for(parcel.caps or video_caps(parcel.format, parcel.width, parcel.height))
        format = get_format(parcel.format)
        layout = default_layout(format, parcel.width, parcel.height)

        def fill(target: npt.NDArray[np.uint8]) -> None:
            views = format.views(target, parcel.width, parcel.height, layout.strides, layout.offsets)
            for view, plane in zip(views, parcel.planes, strict=True):
                view[...] = plane

        writer.write_with(layout.size, fill)
        return layout.size

    def _writer_for(self, caps: str) -> Writer:
        writer = Writer(self._path, caps) if self._writer is None else self._writer.retyped(caps)
        if writer is not self._writer and (reason := score.refusal(writer.datatype)):
            _log.warning("ossia score cannot display %s: %s", self._path, reason)
        self._writer = writer
        return writer

    def close(self) -> None:
        """Close the writer."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
