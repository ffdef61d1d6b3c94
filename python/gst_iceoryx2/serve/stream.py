"""A stream as declared in `streams.toml`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from ..discovery.names import full_name
from ..errors import without_passwords
from .words import duration

if TYPE_CHECKING:
    from ..feed import Feeder, PipelineFeeder, Source

Kind: TypeAlias = Literal["camera", "file", "image", "test", "url", "pipeline"]

_STOP_AFTER: Final = 5.0
DEFAULT_KEEP_BYTES: Final = 64_000_000


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """A stream as declared in the file.

    Attributes:
        name: Short name of the stream, such as "cam0".
        kind: Kind of its source.
        value: Device, path, address or pipeline; "" for a test pattern. An address may contain a password.
        size: Width and height in pixels; None = those of the source.
        fps: Frames per second; None = those of the source.
        format: Format to publish, or for a camera its own format; None = that of the source.
        controls: Values of the camera's controls, to be set in this order.
        flip: How to flip a camera's pictures: "180", "horizontal" or "vertical".
        loop: Whether a file starts again at its end.
        stop_after: Seconds from the end of the last reader to the stop of the source.
        always: Whether the source runs without readers, too.
        h264: Settings of the encoder that makes its packets: `preset`, `crf` or `bitrate` in bits per second, and
            `keyint` in seconds; or `encoder`, a GStreamer encoder.
        keep: Seconds of packets that are kept; None = none are.
        keep_bytes: Bytes of packets that are kept at most.
        clip: Settings of clips that are triggered; see `ClipSettings`.
        line: Line of the table in the file. Streams that only differ in it are equal.
    """

    name: str
    kind: Kind
    value: str = field(repr=False)
    size: tuple[int, int] | None = None
    fps: Fraction | None = None
    format: str | None = None
    controls: Mapping[str, str] = field(default_factory=dict)
    flip: str | None = None
    loop: bool = False
    stop_after: float = _STOP_AFTER
    always: bool = False
    h264: Mapping[str, Any] = field(default_factory=dict)
    keep: float | None = None
    keep_bytes: int = DEFAULT_KEEP_BYTES
    clip: Mapping[str, Any] = field(default_factory=dict)
    line: int = field(default=0, compare=False)

    @property
    def service(self) -> str:
        """Full name of the service."""
        return full_name(self.name)

    @property
    def source(self) -> str:
        """The source in words, without passwords: "camera /dev/video0"."""
        return "test pattern" if self.kind == "test" else f"{self.kind} {without_passwords(self.value)}"

    @property
    def plan(self) -> str:
        """What will run, as a line of text: "cam0: camera /dev/video0, 1280x720 at 30 fps, on demand, …"."""
        rate = "" if self.fps is None else f"{float(self.fps):.4g} fps"
        size = "" if self.size is None else "{}x{}".format(*self.size)
        parts = [f"{self.name}: {' '.join(self.source.split())}", " at ".join(filter(None, (size, rate)))]
        parts += [self.format or "", ", ".join(f"{name} {value}" for name, value in self.controls.items())]
        if self.flip is not None:
            parts.append("turned by 180 degrees" if self.flip == "180" else f"flipped {self.flip}ly")
        if self.kind == "file":
            parts.append("in a loop" if self.loop else "once")
        stop = f"stops {duration(self.stop_after)} after the last reader"
        parts += ["always on"] if self.always or self.keep is not None else ["on demand", stop]
        if self.h264:
            parts.append(f"h264 with {' and '.join(f'{key} {value}' for key, value in self.h264.items())}")
        parts.append(self.kept)
        return ", ".join(filter(None, parts))

    @property
    def may_send_packets(self) -> bool:
        """Whether its source may send packets that are published as they come."""
        # With another size, the packets would not be those of this stream.
        return self.kind == "url" and self.size is None

    def takes_as_it_comes(self, codec: str) -> bool:
        """Return whether packets of this codec are published as they come if the source sends them."""
        return self.may_send_packets and not (codec == "h264" and self.h264)

    @property
    def kept(self) -> str:
        """What is kept, in words; empty if nothing is."""
        return (
            "" if self.keep is None else f"the last {duration(self.keep)} kept (at most {self.keep_bytes / 1e6:g} MB)"
        )

    def to_json(self) -> str:
        """Return the stream as one line of JSON, with its password if it has one."""
        return json.dumps(asdict(self) | {"fps": None if self.fps is None else str(self.fps)})

    @classmethod
    def from_json(cls, text: str) -> StreamConfig:
        """Return the stream that `to_json` wrote."""
        values = json.loads(text)
        size, fps = values.pop("size"), values.pop("fps")
        size = None if size is None else (size[0], size[1])
        return cls(**values, size=size, fps=None if fps is None else Fraction(fps))


def source_of(stream: StreamConfig) -> Source:
    """Open the source of a stream, which must not be a pipeline.

    Raises:
        FeedError: The source cannot be opened, or a setting is invalid.
        MissingExtraError: The source needs PyAV.
        FormatError: The format is unknown.
        ValueError: The source is a pipeline.
    """
    from .. import feed

    size, fps, format = stream.size, stream.fps, stream.format
    if stream.kind == "test":
        width, height = size or (1280, 720)
        return feed.TestPattern(width, height, format or "I420", fps or Fraction(30))
    if stream.kind == "camera":
        return feed.Camera(stream.value, format=format, size=size, fps=fps, controls=stream.controls, flip=stream.flip)
    if stream.kind == "file":
        return feed.VideoFile(stream.value, format=format, size=size, fps=fps, loop=stream.loop)
    if stream.kind == "image":
        return feed.Image(stream.value, format=format, size=size, fps=fps)
    if stream.kind == "url":
        return feed.NetworkStream(stream.value, format=format, size=size)
    raise ValueError(f"{stream.name} is a pipeline, which runs in a process of its own; use feed_of()")


def feed_of(stream: StreamConfig) -> Feeder | PipelineFeeder:
    """Return the work that publishes a stream. When it is stopped, its readers wait for the next start.

    Raises:
        Iox2VideoError: As `source_of`, `Feeder` and `PipelineFeeder` do.
    """
    from .. import feed

    if stream.kind == "pipeline":
        return feed.PipelineFeeder(stream.service, stream.value)
    return feed.Feeder(stream.service, source_of(stream), is_resumable=True)
