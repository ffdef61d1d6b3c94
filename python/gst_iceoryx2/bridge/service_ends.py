"""Services as ends of a bridge."""

from __future__ import annotations

from .._wire.clock import Origin
from .._wire.formats import get_format
from .._wire.stamp import UNSTAMPED, read_stamp
from ..video.publisher import VideoFramePublisher
from ..video.subscriber import VideoFrameSubscriber
from .ends import FramesOnly
from .message import Unsound
from .parcel import Parcel, own_metas, split_own


class FromService(FramesOnly):
    """Receives frames from a service, without copying."""

    def __init__(self, service: str) -> None:
        self._subscriber = VideoFrameSubscriber(service)

    @property
    def passed_over(self) -> int:
        """Number of frames that were skipped in favour of newer ones, or dropped because the buffer was full."""
        stats = self._subscriber.stats
        return stats.skipped + (stats.dropped or 0)

    def next(self, timeout: float) -> Parcel | None:
        """Wait for the newest frame (see `From.next`)."""
        frame = self._subscriber.latest(timeout)
        if frame is None:
            return None
        if frame.is_eos():
            return Parcel(is_end=True)
        metas, hops, origin = split_own(frame.metas)
        if origin is None:
            stamp = read_stamp(frame.aux)
            origin = None if stamp == UNSTAMPED else Origin(stamp, None if frame.captured_at is None else 0)
        try:
            planes = frame.planes
        except ValueError as exc:
            frame.release()
            raise Unsound("tiled or palette format", str(exc)) from exc
        return Parcel(
            frame.format,
            frame.width,
            frame.height,
            planes,
            frame.caps,
            frame.pts,
            frame.dts,
            frame.duration,
            frame.offset,
            frame.flags,
            frame.captured_at,
            origin,
            metas,
            hops,
            frame=frame,
            give_back=frame.release,
        )

    def close(self) -> None:
        """Close the subscriber."""
        self._subscriber.close()


class ToService(FramesOnly):
    """Publishes frames as a service, with one copy."""

    is_wanted = True

    def __init__(self, service: str) -> None:
        self._service = service
        self._publisher: VideoFramePublisher | None = None
        self._caps: str | None = None

    def put(self, parcel: Parcel) -> int:
        """Publish a frame (see `To.put`)."""
        publisher = self._publisher
        if parcel.is_end:
            if publisher is not None:
                publisher.end_of_stream()
            return 0
        if publisher is None or parcel.caps != self._caps:
            self.close()
            size = get_format(parcel.format).tight_layout(parcel.width, parcel.height).size
            publisher = VideoFramePublisher(self._service, max_bytes=size, caps=parcel.caps)
            self._publisher, self._caps = publisher, parcel.caps
        planes = parcel.planes
        publisher.publish(
            planes if len(planes) > 1 else planes[0],
            format=parcel.format,
            width=parcel.width,
            pts=parcel.pts,
            dts=parcel.dts,
            duration=parcel.duration,
            offset=parcel.offset,
            flags=parcel.flags,
            captured_at=parcel.captured_at,
            # These come first, because receivers read at most 64 metas.
            metas=[*own_metas(parcel.hops, parcel.origin), *parcel.metas],
        )
        return sum(plane.nbytes for plane in planes)

    def close(self) -> None:
        """Close the publisher."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close()
