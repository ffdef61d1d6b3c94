"""What a Rerun recording receives: pictures or packets of a stream, and boxes of detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from .. import jpeg
from .._wire.packet import packet_service
from .._wire.results import results_service
from .._wire.stamp import Stamp, monotonic_ns
from ..discovery.names import short_name
from ..discovery.thinning import Thinning
from ..discovery.watched import Newest, Watched, WatchedFrames
from ..errors import FormatError, printable
from ..packets import Packet, PacketSubscriber
from ..packets.picture_order import PictureOrder
from ..results import FrameKey, Results, ResultsSubscriber
from ..video import VideoFrame
from ..video.rendition import Rendition

if TYPE_CHECKING:
    from .log import RerunLog

# Boxes of one result that are shown, and characters of a label.
_MAX_BOXES: Final = 2000
_MAX_LABEL: Final = 40


class RerunPictures(WatchedFrames):
    """Logs the frames of a stream as JPEG pictures.

    Args:
        name: Full name of the stream.
        log: The recording.
        max_fps: Maximum number of pictures per second.
        quality: JPEG quality, 1 to 100.

    Attributes:
        what: What is logged.
        logged: Pictures that were logged.
        behind: Pictures that were not logged, because the viewer was too slow.
        rendition: How the newest frame shows its source; None if it is the source's frame.
    """

    what: Final = "JPEG pictures"

    def __init__(self, name: str, log: RerunLog, *, max_fps: float, quality: int) -> None:
        super().__init__(name, skips=False)
        self._path = [short_name(name)]
        self._log = log
        self._thinning = Thinning(max_fps)
        self._quality = quality
        self.logged = self.behind = 0
        self.rendition: Rendition | None = None
        self._start()

    @property
    def skipped(self) -> int:
        """Pictures that were not logged because of `max_fps`."""
        return self._thinning.skipped

    def _take(self, frame: VideoFrame, *, is_new: bool) -> None:
        self.has_ended = False
        stamp = self._stamp(frame)
        if not self._thinning.takes(monotonic_ns() if stamp.capture is None else stamp.capture):
            return
        data = jpeg.encode(frame, self._quality)
        frame.release()
        if not self._log.admits(len(data)):
            self.behind += 1
            return
        self._log.jpeg(self._path, data, stamp.capture, stamp.sequence)
        self.logged += 1

    def _stamp(self, frame: VideoFrame) -> Stamp:
        try:
            key = FrameKey.of(frame)
        except FormatError:
            return frame.stamp
        self.rendition = key.rendition
        return key.stamp


class RerunPackets(Watched[Packet]):
    """Logs the packets of a stream that another process encodes.

    Rerun stores one size for each entity. If the size or the codec changes, another entity continues.

    Args:
        name: Full name of the stream's frames.
        codec: "h264", "h265" or "av1".
        log: The recording.

    Attributes:
        what: What is logged.
        logged: Packets that were logged.
        behind: Packets that were not logged, because the viewer was too slow: up to the next keyframe.
        skipped: 0, because each packet depends on earlier ones.
        has_b_frames: Whether a packet was shown before an earlier one, which Rerun does not support.
    """

    def __init__(self, name: str, codec: str, log: RerunLog) -> None:
        self.service: Final = packet_service(short_name(name), codec)[0]
        super().__init__(self.service)
        self._codec = codec
        self.what: Final = f"packets of {short_name(self.service)}"
        self._path = [short_name(name)]
        self._log = log
        self._size: tuple[int, int] | None = None
        self._sizes = 0
        self._needs_keyframe = True
        self._order = PictureOrder()
        self.logged = self.behind = self.skipped = 0
        self.rendition = None
        self.has_b_frames = False
        self._start()

    def _subscribe(self) -> PacketSubscriber:
        return PacketSubscriber(self.service)

    def _describe(self, frame: Packet) -> tuple[Newest, int]:
        return Newest(frame.codec, frame.width, frame.height, None), len(frame.data)

    def _take(self, frame: Packet, *, is_new: bool) -> None:
        self.has_ended = False
        self.has_b_frames = self.has_b_frames or self._order.goes_back(frame)
        self._needs_keyframe = (self._needs_keyframe or frame.is_discont) and not frame.is_keyframe
        data = bytes(frame.data)
        if self.has_b_frames or self._needs_keyframe or not self._log.admits(len(data)):
            self._needs_keyframe = True
            self.behind += 1
            return
        if (frame.width, frame.height) != self._size:
            self._begin(frame)
        self._log.packet(self._path, data, frame.captured_at, frame.sequence)
        self.logged += 1

    def _begin(self, packet: Packet) -> None:
        if self._size is not None:
            self._log.clear(self._path, packet.captured_at, packet.sequence)
        self._sizes += 1
        if self._sizes > 1:
            self._path = [self._path[0], f"{packet.width}x{packet.height} ({self._sizes})"]
        self._size = packet.width, packet.height
        self._log.codec(self._path, self._codec)


class RerunBoxes(Watched[Results]):
    """Logs the boxes that a detector finds, at the times of their frames.

    Args:
        stream: What logs the pictures.
        name: Full name of the stream.
        detector: Name of the detector.
        log: The recording.

    Attributes:
        detector: Name of the detector.
        logged: Results that were logged.
    """

    def __init__(self, stream: RerunPictures | RerunPackets, name: str, detector: str, log: RerunLog) -> None:
        super().__init__(results_service(name, detector))
        self.detector: Final = detector
        self._source = name
        self._path = [short_name(name), detector]
        self._stream = stream
        self._log = log
        self._classes: dict[str | None, int] = {}
        self.logged = 0
        self._start()

    def _subscribe(self) -> ResultsSubscriber:
        return ResultsSubscriber(self._source, self.detector)

    def _describe(self, frame: Results) -> tuple[Newest, int]:
        return Newest("results", frame.width, frame.height, None), 0

    def _take(self, frame: Results, *, is_new: bool) -> None:
        boxes = frame.boxes[:_MAX_BOXES]
        xywh = boxes.xywh
        labels, classes = [], []
        for label, score, *_, track in boxes:
            labels.append(_text(label, score, track))
            classes.append(self._classes.setdefault(label, len(self._classes)) if len(self._classes) < 65_000 else 0)
        shown = self._stream.rendition
        if shown is not None:
            xywh, kept = _in_rendition(boxes.xyxy, shown)
            labels, classes = [labels[at] for at in kept], [classes[at] for at in kept]
        self._log.boxes(self._path, xywh, labels, classes, frame.captured_at, frame.sequence)
        self.logged += 1


def _text(label: str | None, score: float, track: int | None) -> str:
    name = "object" if label is None else printable(label)
    short = name if len(name) <= _MAX_LABEL else f"{name[: _MAX_LABEL - 1]}…"
    return f"{short} {score:.2f}" if track is None else f"{short} {score:.2f} #{track}"


def _in_rendition(edges: npt.NDArray[np.float32], shown: Rendition) -> tuple[npt.NDArray[np.float32], list[int]]:
    """Return the boxes in pixels of a rendition, and the positions of those that are inside."""
    mapped = [shown.from_source_box((x, y, right, bottom)) for x, y, right, bottom in edges.tolist()]
    kept = [at for at, box in enumerate(mapped) if box is not None]
    found = np.array([mapped[at] for at in kept], np.float32).reshape(-1, 4)
    found[:, 2:] -= found[:, :2]
    return found, kept
