"""Encodes the frames of a stream with a GStreamer encoder, for machines that have one in hardware."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shlex
import time
from typing import Any, Final

from .._iox2 import binding
from .._launch import Launch, Launcher
from .._wire.rendition import codec_of
from .._wire.stamp import Stamp
from ..discovery.names import full_name, short_name
from ..errors import FormatError
from ..packets import PacketPublisher
from ..results.key import packet_stamp
from ..video.frame import VideoFrame
from ..video.subscriber import VideoFrameSubscriber
from .errors import EncoderError
from .gdp import GdpBuffer, GdpReader

# Longest wait for a packet before the commands are read, in milliseconds.
_WAIT_MS: Final = 50
# Frames whose packets may still come.
_REMEMBERED_MAX: Final = 512
# A pipe of this size takes most keyframes at once.
_PIPE_BYTES: Final = 1 << 20
_READ_BYTES: Final = 1 << 18
_F_SETPIPE_SZ: Final = 1031
# Parameter sets in front of each keyframe, and whole pictures.
_FORM: Final = (
    "h264parse", "config-interval=-1", "!", "video/x-h264,stream-format=byte-stream,alignment=au", "!", "gdppay"
)  # fmt: skip


class PipelineEncoder:
    """Encodes a stream in a GStreamer pipeline, and publishes the packets.

    The pipeline receives the frames itself. This process receives them, too, to know which frame has which timestamp:
    each packet has the identity of the frame with its timestamp. If frames have no timestamps, packets have no frame,
    and the time at which they came as their capture time. The encoder cannot be asked for a keyframe.

    Args:
        name: Short name of the encoded stream: "cam0@h264".
        encoder: The encoder as typed behind `gst-launch-1.0`: "v4l2h264enc ! h264parse".

    Attributes:
        pid: Process ID of the pipeline; None if it does not run.

    Raises:
        EncoderError: `gst-launch-1.0` or the plugin is not installed.
    """

    def __init__(self, name: str, encoder: str) -> None:
        self.pid: int | None = None
        self._codec = codec_of(name)
        self._source = full_name(name.rpartition("@")[0])
        self._service = full_name(name)
        self._encoder = shlex.split(encoder)
        try:
            self._launcher = Launcher()
        except RuntimeError as exc:
            raise EncoderError(str(exc)) from exc
        self._launch: Launch | None = None
        self._pipe = -1
        self._reader = GdpReader()
        self._publisher: PacketPublisher | None = None
        self._size = (0, 0)
        self._frames: dict[int, Stamp] = {}
        self._is_over = False
        self._subscriber = VideoFrameSubscriber(self._source)
        self._sent = 0
        self._since = time.monotonic()

    @property
    def is_publishing(self) -> bool:
        """Whether the pipeline has given a packet, and this process publishes packets since."""
        return self._publisher is not None

    def step(self) -> None:
        """Wait for packets for a moment, and publish them.

        Raises:
            EncoderError: The pipeline failed; the message says why in GStreamer's words.
        """
        if self._launch is None:
            self._wait_for_a_frame()
            return
        ready = select.select([self._pipe], [], [], _WAIT_MS / 1000)[0]
        # Before the packets: a frame arrives here before it is encoded there.
        self._remember_frames()
        data = os.read(self._pipe, _READ_BYTES) if ready else None
        for packet in self._reader.read(data or b""):
            self._publish(packet)
        if data == b"":
            self._ended(self._launch)

    def report(self) -> dict[str, Any]:
        """Return the rate since the last report, and the process of the pipeline."""
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        sent, self._sent = self._sent, 0
        return {"fps": sent / seconds, "pid": self.pid}

    def close(self) -> None:
        """Leave all services without ending the stream, because readers wait for the next start."""
        self._stop()
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close()
        self._subscriber.close()

    # -- frames ------------------------------------------------------------------------------------------------------

    def _wait_for_a_frame(self) -> None:
        """Start the pipeline with the first frame, because a pipeline that ends must not start again without one."""
        frame = self._subscriber.receive_blocking(_WAIT_MS)
        if frame is None:
            return
        with frame:
            self._remember(frame)
            if not self._is_over:
                self._start(has_times=frame.pts is not None)

    def _remember_frames(self) -> None:
        while (frame := self._subscriber.receive()) is not None:
            with frame:
                self._remember(frame)

    def _remember(self, frame: VideoFrame) -> None:
        self._is_over = frame.is_eos()
        if self._is_over or frame.pts is None:
            return
        pts = frame.pts
        # A stream may begin anew with the same timestamps.
        self._frames.pop(pts, None)
        self._frames[pts] = packet_stamp(frame)
        if len(self._frames) > _REMEMBERED_MAX:
            del self._frames[next(iter(self._frames))]

    # -- the pipeline ------------------------------------------------------------------------------------------------

    def _start(self, *, has_times: bool) -> None:
        self._pipe, end = os.pipe()
        # The limit for this user may be lower: pipe(7).
        with contextlib.suppress(OSError):
            fcntl.fcntl(end, _F_SETPIPE_SZ, _PIPE_BYTES)
        quoted = self._source.replace("\\", "\\\\").replace('"', '\\"')
        mode = "original" if has_times else "arrival"
        source = ["iceoryx2src", f'service="{quoted}"', f"timestamp-mode={mode}", "!", "videoconvert", "!"]
        words = [*source, *self._encoder, "!", *_FORM, "!", "fdsink", f"fd={end}", "sync=false"]
        self._reader = GdpReader()
        try:
            self._launch = self._launcher.start(words, (end,))
        finally:
            os.close(end)
        self.pid = self._launch.pid

    def _stop(self) -> None:
        launch, self._launch, self.pid = self._launch, None, None
        if launch is not None:
            os.close(self._pipe)
            launch.end()

    def _ended(self, launch: Launch) -> None:
        launch.end()
        failure = launch.failure()
        self._stop()
        if failure is not None or not self._is_over:
            reason = "its pipeline has ended" if failure is None else failure.text
            raise EncoderError(f"cannot encode {short_name(self._service)}: {reason}")
        if self._publisher is not None:
            self._publisher.end_of_stream()

    # -- packets -----------------------------------------------------------------------------------------------------

    def _publish(self, packet: GdpBuffer) -> None:
        publisher = self._publisher_for(packet.size)
        stamp = None if packet.pts is None else self._frames.get(packet.pts)
        try:
            publisher.publish(
                packet.data,
                is_keyframe=packet.is_keyframe,
                pts=packet.pts,
                dts=packet.dts,
                duration=packet.duration,
                stamp=stamp,
            )
        except FormatError as exc:
            raise EncoderError(f"cannot encode {short_name(self._service)}: {exc}") from exc
        self._sent += 1

    def _publisher_for(self, size: tuple[int, int]) -> PacketPublisher:
        publisher = self._publisher
        if publisher is None or size != self._size:
            if publisher is not None:
                publisher.close()
            node = binding.create_node_for(self._service, about=f"packets of {self._source}")
            publisher = self._publisher = PacketPublisher(self._service, self._codec, *size, iox2_node=node)
            self._size = size
        return publisher
