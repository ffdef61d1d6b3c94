"""Rerun's SDK, if it is installed. No other module imports it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import MissingExtraError

try:
    import rerun
    from rerun import Box2DFormat, Boxes2D, Clear, EncodedImage, RecordingStream, VideoCodec, VideoStream
except ImportError as exc:
    raise MissingExtraError(
        f"Rerun recordings need Rerun's SDK, which cannot be imported ({exc}); "
        "run `pip install 'iox2-video[rerun]'` (in a clone: `pip install '.[rerun]'`)"
    ) from exc

RERUN_VERSION: Final[str] = rerun.__version__
"""Version of the SDK."""

_CODECS: Final = {"h264": VideoCodec.H264, "h265": VideoCodec.H265, "av1": VideoCodec.AV1}

CAPTURE_TIME: Final = "capture_time"
"""Name of the timeline with capture times on the wall clock."""

FRAME: Final = "frame"
"""Name of the timeline with sequence numbers of frames."""


class RerunRecording:
    """A recording that is written to a file, or sent to a viewer.

    Paths of entities are lists of names. All methods can be called from any thread.
    """

    def __init__(self) -> None:
        self._stream: Any = RecordingStream("iox2-video", recording_id=uuid.uuid4())

    def save(self, file: Path) -> None:
        """Write to a file.

        Raises:
            RuntimeError: The file cannot be created.
        """
        self._stream.save(file)

    def connect(self, port: int) -> None:
        """Send to a viewer that listens on this port of this machine."""
        self._stream.connect_grpc(f"rerun+http://127.0.0.1:{port}/proxy")

    def at(self, time: int, frame: int | None) -> None:
        """Set the time of what this thread logs next.

        Args:
            time: Nanoseconds since 1970.
            frame: Number of the frame; None = unknown.
        """
        self._stream.reset_time()
        self._stream.set_time(CAPTURE_TIME, timestamp=np.datetime64(time, "ns"))
        if frame is not None:
            self._stream.set_time(FRAME, sequence=frame)

    def jpeg(self, path: Sequence[str], data: bytes) -> None:
        """Log a JPEG picture."""
        self._stream.log(list(path), EncodedImage(contents=data, media_type="image/jpeg"))

    def codec(self, path: Sequence[str], codec: str) -> None:
        """Log the codec of the packets that follow: "h264", "h265" or "av1"."""
        self._stream.log(list(path), VideoStream(codec=_CODECS[codec]), static=True)

    def packet(self, path: Sequence[str], data: bytes) -> None:
        """Log a packet, in byte-stream format."""
        self._stream.log(list(path), VideoStream.from_fields(sample=data))

    def boxes(
        self, path: Sequence[str], xywh: npt.NDArray[np.float32], labels: Sequence[str], classes: Sequence[int]
    ) -> None:
        """Log boxes, which replace the earlier ones.

        Args:
            path: Path of the entity.
            xywh: float32 (N, 4): left and top edges, widths and heights in pixels.
            labels: N labels.
            classes: N numbers of classes, which determine the colours.
        """
        boxes = Boxes2D(array=xywh, array_format=Box2DFormat.XYWH, labels=labels, class_ids=classes)
        self._stream.log(list(path), boxes)

    def clear(self, path: Sequence[str]) -> None:
        """Let a picture or video end."""
        self._stream.log(list(path), Clear(recursive=False))

    def flush(self, timeout: float) -> None:
        """Wait until everything was written or sent, for at most some seconds.

        Raises:
            RuntimeError: It was not.
        """
        self._stream.flush(timeout_sec=timeout)

    def close(self) -> None:
        """Close the file or the connection. Data that cannot be sent within some seconds are lost."""
        self._stream.disconnect()
