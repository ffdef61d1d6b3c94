"""One video track: pictures in, packets out."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

from .._av import VideoReformatter, av
from ..video.caps import parse_caps
from ..video.formats import get_format
from ..video.frame import VideoFrame
from .colour import FULL, LIMITED, Colours, colours_of
from .errors import NotLosslessError
from .picture import picture_of
from .target import CODECS, Target

_RGB_BYTES: Final = {"rgb24": "bgr0", "bgr24": "bgr0", "gbrp": "bgr0"}
_RGBA_BYTES: Final = dict.fromkeys(("rgba", "bgra", "argb", "abgr", "gbrap"), "bgra")
# For rate control, where the caps name no rate.
_USUAL_RATE: Final = Fraction(30)
_NS: Final = 1_000_000_000


class Encoder:
    """Encodes the frames of one stream, all in the size and colours of the first.

    Frames of another size are scaled into the first one's, with black borders where the shape differs, so that the
    recording goes on; a lossless file cannot do that.

    Attributes:
        stream: The track in the container.
        pixel_format: FFmpeg's name of what is encoded.
        resized: Whether a frame of another size has come.
    """

    def __init__(self, container: Any, first: VideoFrame, target: Target) -> None:
        """Add a track for frames like this one.

        Args:
            container: PyAV's output container.
            first: The first frame; only looked at.
            target: Codec and its settings.

        Raises:
            NotLosslessError: The codec is lossless and has no form for such pixels.
            UnsupportedViewError: The format is made of tiles or has a palette.
        """
        self._lossless = target.is_lossless
        self._size = first.width, first.height
        self._apart = target.codec == "ffv1"
        self._format = first.format
        self._width_of_tick = target.tick
        self._last_tick = -1
        self._reformatter = VideoReformatter()
        self._fitting: Any = None
        self.resized = False
        self._colours = colours_of(first)
        source = picture_of(first, apart=self._apart).format.name
        self.pixel_format = self._chosen(first, source, target)
        if target.codec == "prores" or (get_format(first.format).is_rgb and not self._stays_rgb):
            self._encoded = self._colours._replace(range=LIMITED)
        else:
            self._encoded = self._colours
        rate = _rate_of(first) or _USUAL_RATE
        stream = container.add_stream(CODECS[target.codec], rate=rate, options=target.codec_options(self.pixel_format))
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, self.pixel_format
        context = stream.codec_context
        context.time_base = stream.time_base = target.tick
        # A place to seek to every other second; fragments of a file that is cut off end there, too.
        context.gop_size = max(1, round(2 * rate))
        if not self._stays_rgb:
            context.color_range, context.colorspace = self._encoded.range, self._encoded.space
            context.color_primaries, context.color_trc = self._encoded.primaries, self._encoded.transfer
        self.stream = stream

    @property
    def _stays_rgb(self) -> bool:
        return self.pixel_format.startswith(("gbr", "bgr", "rgb"))

    def encode(self, frame: VideoFrame, moment: int) -> Sequence[Any]:
        """Encode a frame.

        Args:
            frame: The frame; released before this returns, its pixels are at the latest given back with a later call.
            moment: When to show it, nanoseconds from the beginning of the file.

        Returns:
            Packets to write, maybe of earlier frames.

        Raises:
            NotLosslessError: Size or format has changed, and the codec is lossless.
        """
        if self._lossless and ((frame.width, frame.height), frame.format) != (self._size, self._format):
            raise NotLosslessError(
                f"the stream changed from {self._size[0]}x{self._size[1]} {self._format} to "
                f"{frame.width}x{frame.height} {frame.format}, which a lossless track cannot follow: record that to "
                "another file"
            )
        colours = self._colours
        if frame.format != self._format:
            colours = colours_of(frame)
        picture = picture_of(frame, apart=self._apart)
        frame.release()
        if (picture.width, picture.height) != self._size:
            self.resized = True
            picture = self._fitted(picture, colours)
        elif picture.format.name != self.pixel_format or self._changes_range(picture, colours):
            picture = self._converted(picture, colours)
        tick = max(int(Fraction(moment, _NS) / self._width_of_tick + Fraction(1, 2)), self._last_tick + 1)
        self._last_tick = tick
        picture.pts, picture.time_base = tick, self._width_of_tick
        return list(self.stream.encode(picture))

    def finish(self) -> Sequence[Any]:
        """What the encoder still has."""
        return list(self.stream.encode(None))

    def _chosen(self, first: VideoFrame, source: str, target: Target) -> str:
        format = get_format(first.format)
        even = first.width % 2 == 0 and first.height % 2 == 0
        if target.codec == "x264":
            # What every player shows; sizes with an odd side exist only with a colour for every pixel.
            if not even:
                return "yuv444p"
            return "nv12" if source == "nv12" else "yuv420p"
        if target.codec == "prores":
            if format.has_alpha:
                return "yuva444p10le"
            return "yuv444p10le" if format.is_rgb or "444" in source else "yuv422p10le"
        holds = {each.name for each in av.Codec(CODECS[target.codec], "w").video_formats or ()}
        chosen = _RGB_BYTES.get(source) or _RGBA_BYTES.get(source) or source
        # As 8-bit RGB comes what has no planes of its own in FFmpeg: something would be lost.
        made_up = source == "rgb24" and first.format not in ("RGB", "BGR")
        if chosen not in holds or made_up:
            raise NotLosslessError(f"{target.codec} has no lossless form for {first.format}: use x264 or prores")
        return chosen

    def _changes_range(self, picture: Any, colours: Colours) -> bool:
        return not picture.format.is_rgb and colours.range != self._encoded.range

    def _converted(self, picture: Any, colours: Colours) -> Any:
        is_rgb = picture.format.is_rgb
        return self._reformatter.reformat(
            picture,
            format=self.pixel_format,
            src_colorspace=colours.sws_space,
            dst_colorspace=self._encoded.sws_space,
            src_color_range=FULL if is_rgb else colours.range,
            dst_color_range=FULL if self._stays_rgb else self._encoded.range,
        )

    def _fitted(self, picture: Any, colours: Colours) -> Any:
        """The picture scaled into the first one's size, its shape kept, black around it."""
        width, height = self._size
        scale = min(width / picture.width, height / picture.height)
        # Even places and sizes, because chroma may have half as many samples.
        inner = [
            max(2, min(whole, round(side * scale) // 2 * 2))
            for whole, side in zip(self._size, (picture.width, picture.height), strict=True)
        ]
        if inner == [width, height] or min(width, height) < 4:
            return self._reformatter.reformat(picture, width, height, self.pixel_format)
        key = (picture.width, picture.height, picture.format.name)
        if self._fitting is None or self._fitting[0] != key:
            self._fitting = (key, self._fitting_graph(picture, inner))
        graph = self._fitting[1]
        picture.pts, picture.time_base = 0, self._width_of_tick
        picture.color_range, picture.colorspace = colours.range, colours.space
        graph.push(picture)
        return graph.pull()

    def _fitting_graph(self, picture: Any, inner: list[int]) -> Any:
        width, height = self._size
        left, top = (width - inner[0]) // 4 * 2, (height - inner[1]) // 4 * 2
        graph = av.filter.Graph()
        nodes = [
            graph.add_buffer(
                width=picture.width, height=picture.height, format=picture.format, time_base=self._width_of_tick
            ),
            graph.add("scale", f"{inner[0]}:{inner[1]}"),
            graph.add("format", self.pixel_format),
            graph.add("pad", f"{width}:{height}:{left}:{top}:black"),
            graph.add("format", self.pixel_format),
            graph.add("buffersink"),
        ]
        for one, other in pairwise(nodes):
            one.link_to(other)
        graph.configure()
        return graph


def _rate_of(frame: VideoFrame) -> Fraction | None:
    value = parse_caps(frame.caps).fields.get("framerate") if frame.caps else None
    return value if isinstance(value, Fraction) and 0 < value <= 1000 else None
