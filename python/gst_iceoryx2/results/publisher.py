"""Publish results of a detector, each for the frame in which it was found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple, NoReturn

from .._iox2.service_name import check_name
from .._iox2.types import Node
from .._wire.fault import Fault
from .._wire.result_payload import encode_tables
from .._wire.results import RESULTS_VERSION, VideoResultsHeader, results_service, source_name
from ..contract import limit
from ..errors import FormatError
from ..video import _keeper
from ..video._copying import CopyingSender
from ..video._ports import open_ports
from ..video._publishing import Publishing
from ..video._service import DEFAULT_MAX_SUBSCRIBERS
from ..video.config import Qos
from ..video.frame import VideoFrame
from ._content import NO_VALUE, tables_of
from .boxes import Box, Boxes
from .key import FrameKey
from .parts import Classification, Keypoint, Mask, Tensor

_QOS: Final = Qos(limit("results_buffer_size"), limit("results_borrowed_max"), limit("results_history_size"))
# Room for 500 boxes.
_FIRST_BYTES: Final = 1 << 14


class ResultsPublisherStats(NamedTuple):
    """Counters of a `ResultsPublisher` since it was created.

    Attributes:
        sent: Results sent.
        dropped: Results not sent because subscribers held all memory.
    """

    sent: int
    dropped: int


class ResultsPublisher(Publishing):
    """Publish what a detector finds in the frames of one source.

    Each result carries the identity of its frame, so that a reader can show it on this frame, however long the detector
    took. The publisher never waits for a subscriber. You can call every method from any thread. A publisher cannot be
    used in a forked child, where it raises ForkedError: create a new one there.

    Args:
        source: Name of the source: `cam0`, or `video/cam0/frame/v2`. The name of a rendition stands for its source.
        detector: Name of the detector: 1 to 64 letters, digits or `_.-`.
        max_subscribers: Subscribers that a new service admits, 1 to 65,536.
        iox2_node: `iceoryx2.Node` to use, from `create_node()`; None creates one.

    Raises:
        InvalidServiceNameError: A name cannot be used.
        TooManyPortsError: The service already has its publisher.
        OutOfSharedMemoryError: There is not enough shared memory.
        ServiceError: The service exists but cannot be opened; the subclass and the message say why.
        ValueError: A number is out of range.
        TypeError: A numeric argument is not a number.

    Example:
        Find the brightest pixel of each frame:

            import numpy as np

            from gst_iceoryx2.results import Box, ResultsPublisher
            from gst_iceoryx2.video import VideoFrameSubscriber

            with VideoFrameSubscriber("video/cam0@320x240-GRAY8/frame/v2") as frames:
                with ResultsPublisher("cam0", "brightest") as results:
                    for frame in frames:
                        y, x = np.unravel_index(frame.numpy_view().argmax(), (240, 320))
                        results.publish(frame, [Box("bright", 1.0, x, y, 1, 1)])
    """

    def __init__(
        self,
        source: str,
        detector: str,
        *,
        max_subscribers: int = DEFAULT_MAX_SUBSCRIBERS,
        iox2_node: Node | None = None,
    ) -> None:
        self._name = check_name(results_service(source, detector))
        self._source = source_name(source)
        self._detector = detector
        self._sender: _ResultsSender = _ResultsSender(
            open_ports(
                self._name,
                _QOS,
                iox2_node,
                max_subscribers=max_subscribers,
                header=VideoResultsHeader,
                default=_QOS,
                first_bytes=_FIRST_BYTES,
            )
        )
        _keeper.adopt(self)
        # Connect subscribers that live in this thread: they cannot connect by themselves before the first result.
        _keeper.look_around(self._name)

    def publish(
        self,
        frame: VideoFrame | FrameKey,
        boxes: Boxes | Iterable[Box] = (),
        *,
        keypoints: Iterable[Keypoint] = (),
        classifications: Iterable[Classification] = (),
        masks: Iterable[Mask] = (),
        tensor: Tensor | tuple[str, Any] | None = None,
        json: object = NO_VALUE,
    ) -> int:
        """Publish the results for one frame. Publish empty results if nothing was found, so that readers do not wait.

        Args:
            frame: The frame of the source, or of one of its renditions, that was analysed; or its key
                (`FrameKey.of`), if the frame was released.
            boxes: Detected objects. All coordinates are in pixels of `frame`; they are sent in pixels of the source.
                Boxes may lie outside the picture, and their width and height may be 0.
            keypoints: Points of objects or of the picture.
            classifications: Classes of objects or of the picture.
            masks: Areas of objects.
            tensor: A named array, at most 16 MiB together with everything else.
            json: A value that `json.dumps` can write, at most 1 MiB.

        Returns:
            Number of subscribers that receive the results. Also 0 if they were dropped because no memory was free.

        Raises:
            FormatError: The frame has no stamp or does not belong to the source, a number is NaN or infinite, a width
                is negative, a label is longer than 4096 bytes, a reference to a box does not exist, or a value cannot
                be represented.
            OutOfSharedMemoryError: The results are larger than all previous ones, and there is not enough shared
                memory.
            ClosedError: This publisher is closed.

        Example:
            Publish everything that a result can contain:

                import numpy as np

                from gst_iceoryx2.results import Box, Classification, Keypoint, Mask, ResultsPublisher, Tensor
                from gst_iceoryx2.video import VideoFrameSubscriber

                with VideoFrameSubscriber("video/cam0/frame/v2") as frames, ResultsPublisher("cam0", "all") as results:
                    frame = frames.receive_blocking()
                    results.publish(
                        frame,
                        [Box("person", 0.91, 10, 20, 64, 128, track=7)],
                        keypoints=[Keypoint("nose", 40, 30, box=0)],
                        classifications=[Classification("indoors", 0.8)],
                        masks=[Mask.of(np.ones((16, 8)), 10, 20, 64, 128, box=0)],
                        tensor=Tensor("embedding", np.zeros(128, np.float32)),
                        json={"model": "yolo11n"},
                    )
        """
        key = frame if isinstance(frame, FrameKey) else FrameKey.of(frame)
        if key.rendition is not None:
            self._check_source(key.rendition.service)
        encoded = encode_tables(tables_of(key.rendition, boxes, keypoints, classifications, masks, tensor, json))
        if isinstance(encoded, Fault):
            raise FormatError(f"cannot publish results on service {self._name!r}: {encoded}")
        payload, entries = encoded
        header = VideoResultsHeader(width=key.width, height=key.height, entries=entries, version=RESULTS_VERSION)
        header.stamp = key.stamp
        return self._send(payload, header)

    # -- state -------------------------------------------------------------------------------------------------------

    @property
    def detector(self) -> str:
        """Name of the detector."""
        return self._detector

    @property
    def stream(self) -> int:
        """Random 64-bit ID of this publisher."""
        return self._sender.stream

    @property
    def stats(self) -> ResultsPublisherStats:
        """Counters so far."""
        return ResultsPublisherStats(self._sender.sent, self._sender.dropped)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _send(self, payload: bytes, header: VideoResultsHeader) -> int:
        """Send a payload that breaks no rule. Sets the header's stream and sequence."""
        header.stream = self._sender.stream
        return self._sender.send(payload, header)

    def _check_source(self, service: str) -> None:
        if service not in (f"video/{self._source}/frame/v2", self._source):
            raise FormatError(
                f"cannot publish results on service {self._name!r}: the frame was made from {service!r}, but results "
                f"need a frame of {self._source!r} or of one of its own renditions"
            )

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle or copy {self!r}: create ResultsPublisher({self._source!r}, {self._detector!r}) in the "
            "process that publishes"
        )


class _ResultsSender(CopyingSender):
    """The sending side of a service of results."""

    _operation = "send results"
