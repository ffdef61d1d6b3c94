"""Encodes the frames of one video track."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

from .._extras.av import VideoReformatter, av, filter_graph
from .._wire.caps import parse_caps
from .._wire.formats import get_format
from ..video.frame import VideoFrame
from ..video.shape import FrameShape, shape_of
from .colour_tags import FULL, LIMITED, ColourTags, colour_tags_of
from .errors import NotLosslessError
from .picture import picture_of
from .settings import CODECS, EncoderSettings

_log: Final = logging.getLogger("gst_iceoryx2")

_RGB_BYTES: Final = {"rgb24": "bgr0", "bgr24": "bgr0", "gbrp": "bgr0"}
_RGBA_BYTES: Final = dict.fromkeys(("rgba", "bgra", "argb", "abgr", "gbrap"), "bgra")
# Used for rate control if the caps do not state a rate.
_USUAL_RATE: Final = Fraction(30)
_NS: Final = 1_000_000_000


class Encoder:
    """Encodes the frames of one stream with the size, pixel aspect ratio and colours of the first frame.

    Frames of a different size are scaled to the first frame's size, with black borders if the aspect ratio differs. A
    lossless track refuses such frames.

    Attributes:
        stream: The track in the container.
        pixel_format: FFmpeg's name for the encoded pixel format.
        resized: Whether a frame of a different size was encoded.
    """

    def __init__(self, container: Any, first: VideoFrame, target: EncoderSettings) -> None:
        """Add a track to a container.

        Args:
            container: PyAV's output container.
            first: The first frame. It is inspected, but not yet encoded.
            target: Codec and settings.

        Raises:
            NotLosslessError: The codec is lossless and cannot represent the pixels.
            UnsupportedViewError: The format is tiled or uses a palette.
        """
        self._lossless = target.is_lossless
        self._size = first.width, first.height
        self._apart = target.codec == "ffv1"
        self._format = first.format
        self._width_of_tick = target.tick
        self._last_tick = -1
        self._reformatter = VideoReformatter()
        self._fitting: Any = None
        self._shape = shape = shape_of(first)
        self._marks: dict[tuple[Any, ...], Any] = {}
        self.resized = False
        self._colours = colour_tags_of(first)
        source = picture_of(first, apart=self._apart).format.name
        self.pixel_format = self._chosen(first, source, target)
        if target.codec == "prores" or (get_format(first.format).is_rgb and not self._stays_rgb):
            self._encoded = self._colours._replace(range=LIMITED)
        else:
            self._encoded = self._colours
        rate = rate_of(first) or _USUAL_RATE
        options = target.codec_options(self.pixel_format)
        if shape.may_have_fields:
            options |= {"flags": "+ildct+ilme", "field_order": "tt" if shape.top_first else "bb"}
        stream = container.add_stream(CODECS[target.codec], rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, self.pixel_format
        context = stream.codec_context
        context.time_base = stream.time_base = target.tick
        if shape.pixel_aspect_ratio != 1:
            context.sample_aspect_ratio = shape.pixel_aspect_ratio
            if not target.keeps_pixel_aspect_ratio:
                _log.warning(
                    "%s cannot store the pixel aspect ratio %s, so players will show it too narrow or too wide; use "
                    "a .mov file, or x264",
                    target.name,
                    shape.pixel_aspect_ratio,
                )
        # A key frame every two seconds: players can seek to it, and a truncated file plays up to the last one.
        context.gop_size = max(1, round(2 * rate))
        if not self._stays_rgb:
            context.color_range, context.colorspace = self._encoded.range, self._encoded.space
            context.color_primaries, context.color_trc = self._encoded.primaries, self._encoded.transfer
        self.stream = stream

    @property
    def _stays_rgb(self) -> bool:
        return self.pixel_format.startswith(("gbr", "bgr", "rgb"))

    def encode(self, frame: VideoFrame, moment: int, *, is_keyframe: bool = False) -> Sequence[Any]:
        """Encode a frame.

        Args:
            frame: The frame. It is released before this returns, but the encoder may use its pixels until a later call.
            moment: Presentation time, in nanoseconds from the start of the file.
            is_keyframe: Whether to make a keyframe in any case.

        Returns:
            Packets to write. They may contain earlier frames.

        Raises:
            NotLosslessError: The size, format or pixel aspect ratio has changed, and the codec is lossless.
        """
        return self.encode_picture(self.convert(frame), moment, is_keyframe=is_keyframe)

    def convert(self, frame: VideoFrame) -> Any:
        """Return the picture of a frame as the track needs it, to pass it to `encode_picture`.

        Args:
            frame: The frame. It is released before this returns, but the picture may borrow its pixels.

        Raises:
            NotLosslessError: The size, format or pixel aspect ratio has changed, and the codec is lossless.
            UnsupportedViewError: The format has changed to one that is tiled or uses a palette.
        """
        colours, shape = self._colours, shape_of(frame)
        # Width of one of the frame's pixels, in units of the track's pixel width.
        wider = shape.pixel_aspect_ratio / self._shape.pixel_aspect_ratio
        is_another = ((frame.width, frame.height), frame.format) != (self._size, self._format) or wider != 1
        if self._lossless and is_another:
            raise NotLosslessError(
                f"the stream changed from {self._size[0]}x{self._size[1]} {self._format} to "
                f"{frame.width}x{frame.height} {frame.format}, and its pixel aspect ratio from "
                f"{self._shape.pixel_aspect_ratio} to {shape.pixel_aspect_ratio}; a lossless track cannot change, so "
                "record to a new file"
            )
        if frame.format != self._format:
            colours = colour_tags_of(frame)
        picture = picture_of(frame, apart=self._apart)
        frame.release()
        if (picture.width, picture.height) != self._size or wider != 1:
            self.resized = True
            picture = self._fitted(picture, colours, wider)
        elif picture.format.name != self.pixel_format or self._changes_range(picture, colours):
            picture = self._converted(picture, colours)
        return self._marked(picture, shape)

    def encode_picture(self, picture: Any, moment: int, *, is_keyframe: bool = False) -> Sequence[Any]:
        """Encode a picture that `convert` returned; see `encode`."""
        tick = max(int(Fraction(moment, _NS) / self._width_of_tick + Fraction(1, 2)), self._last_tick + 1)
        self._last_tick = tick
        picture.pts, picture.time_base = tick, self._width_of_tick
        if is_keyframe:
            picture.pict_type = av.video.frame.PictureType.I
        return list(self.stream.encode(picture))

    @property
    def time(self) -> float:
        """Presentation time of the latest frame in the file, in seconds."""
        return float(self._last_tick * self._width_of_tick)

    def finish(self) -> Sequence[Any]:
        """Finish encoding, and return the encoder's last packets."""
        return list(self.stream.encode(None))

    def _chosen(self, first: VideoFrame, source: str, target: EncoderSettings) -> str:
        format = get_format(first.format)
        even = first.width % 2 == 0 and first.height % 2 == 0
        if target.codec == "x264":
            # All players support 4:2:0, but odd sizes need 4:4:4.
            if not even:
                return "yuv444p"
            return "nv12" if source == "nv12" else "yuv420p"
        if target.codec == "prores":
            if format.has_alpha:
                return "yuva444p10le"
            return "yuv444p10le" if format.is_rgb or "444" in source else "yuv422p10le"
        holds = {each.name for each in av.Codec(CODECS[target.codec], "w").video_formats or ()}
        chosen = _RGB_BYTES.get(source) or _RGBA_BYTES.get(source) or source
        # Formats that FFmpeg does not support were converted to 8-bit RGB, which is not lossless.
        made_up = source == "rgb24" and first.format not in ("RGB", "BGR")
        if chosen not in holds or made_up:
            raise NotLosslessError(f"{target.codec} cannot store {first.format} without loss; use x264 or prores")
        return chosen

    def _changes_range(self, picture: Any, colours: ColourTags) -> bool:
        return not picture.format.is_rgb and colours.range != self._encoded.range

    def _converted(self, picture: Any, colours: ColourTags) -> Any:
        is_rgb = picture.format.is_rgb
        return self._reformatter.reformat(
            picture,
            format=self.pixel_format,
            src_colorspace=colours.sws_space,
            dst_colorspace=self._encoded.sws_space,
            src_color_range=FULL if is_rgb else colours.range,
            dst_color_range=FULL if self._stays_rgb else self._encoded.range,
        )

    def _marked(self, picture: Any, shape: FrameShape) -> Any:
        """Return the picture with its fields and pixel aspect ratio set. PyAV can set them only with filters."""
        filters = []
        if self._shape.pixel_aspect_ratio != 1:
            filters.append(("setsar", str(self._shape.pixel_aspect_ratio)))
        if self._shape.may_have_fields and shape.has_fields:
            filters.append(("setfield", "tff" if shape.top_first else "bff"))
        if not filters:
            return picture
        key = (picture.format.name, *filters)
        if key not in self._marks:
            self._marks[key] = filter_graph(picture, self._width_of_tick, filters)
        return self._through(self._marks[key], picture)

    def _through(self, graph: Any, picture: Any) -> Any:
        picture.pts, picture.time_base = 0, self._width_of_tick
        graph.push(picture)
        return graph.pull()

    def _fitted(self, picture: Any, colours: ColourTags, wider: Fraction) -> Any:
        """Return the picture scaled to the track's size, with its aspect ratio kept and black borders added."""
        width, height = self._size
        sides = float(picture.width * wider), float(picture.height)
        scale = min(width / sides[0], height / sides[1])
        # Even offsets and sizes, because chroma may be subsampled.
        inner = [
            max(2, min(whole, round(side * scale) // 2 * 2)) for whole, side in zip(self._size, sides, strict=True)
        ]
        if inner == [width, height] or min(width, height) < 4:
            return self._reformatter.reformat(picture, width, height, self.pixel_format)
        key = (picture.width, picture.height, picture.format.name, wider)
        if self._fitting is None or self._fitting[0] != key:
            self._fitting = (key, self._fitting_graph(picture, inner))
        picture.color_range, picture.colorspace = colours.range, colours.space
        return self._through(self._fitting[1], picture)

    def _fitting_graph(self, picture: Any, inner: list[int]) -> Any:
        width, height = self._size
        left, top = (width - inner[0]) // 4 * 2, (height - inner[1]) // 4 * 2
        filters = [
            # Interlaced pictures are scaled field by field.
            ("scale", f"{inner[0]}:{inner[1]}:interl={int(self._shape.may_have_fields)}"),
            ("format", self.pixel_format),
            ("pad", f"{width}:{height}:{left}:{top}:black"),
            ("format", self.pixel_format),
        ]
        return filter_graph(picture, self._width_of_tick, filters)


def rate_of(frame: VideoFrame) -> Fraction | None:
    """Return the frame rate in the caps; None = unknown."""
    value = parse_caps(frame.caps).fields.get("framerate") if frame.caps else None
    return value if isinstance(value, Fraction) and 0 < value <= 1000 else None
