"""Reads from a keyframe what a file states about its stream: size, pixel aspect ratio, colours, parameter sets."""

from __future__ import annotations

import io
from typing import Any, Final

from .._extras.av import av, open_media
from .packet import Packet

# FFmpeg's demuxers of the byte-streams that packets consist of.
_DEMUXERS: Final = {"h264": "h264", "h265": "hevc", "av1": "obu"}
# Coded pictures are multiples of at most 64 pixels, and part of them is cut off.
_GRID: Final = 64


class StreamFormat:
    """The format of a stream's packets since a keyframe.

    Attributes:
        codec: "h264", "h265" or "av1".
        parameter_sets: The keyframe's parameter sets, or its sequence header (AV1).
        width: Width of the pictures in pixels.
        height: Height of the pictures in rows.
        pixel_format: FFmpeg's name for the pixel format.
        may_reorder: Whether packets may be in another order than their pictures, because of B-frames.
        template: PyAV's stream with this format.
    """

    __slots__ = ("codec", "height", "may_reorder", "parameter_sets", "pixel_format", "template", "width")

    def __init__(self, codec: str, parameter_sets: bytes, template: Any) -> None:
        context = template.codec_context
        self.codec = codec
        self.parameter_sets = parameter_sets
        self.width, self.height = int(context.width), int(context.height)
        self.pixel_format = str(context.pix_fmt)
        self.may_reorder = bool(context.has_b_frames)
        self.template = template


class FormatReader:
    """Reads the formats of one stream's keyframes."""

    def __init__(self) -> None:
        self._format: StreamFormat | None = None
        self._extractor: Any = None

    def read(self, packet: Packet) -> StreamFormat | None:
        """Return the format of a keyframe, which is the same object as before if its parameter sets are the same.

        Returns:
            The format; None if the packet contains no parameter sets, or none that FFmpeg understands.
        """
        before = self._format
        data = bytes(packet.data)
        if before is not None and before.codec == packet.codec:
            sets = self._parameter_sets(data)
            if sets == before.parameter_sets:
                return before
        self._format, self._extractor = None, None
        try:
            self._format = self._opened(packet, data)
        except av.FFmpegError:
            return None
        return self._format

    def _opened(self, packet: Packet, data: bytes) -> StreamFormat | None:
        pixels = (packet.width + _GRID) * (packet.height + _GRID)
        media = open_media(
            io.BytesIO(data),
            format=_DEMUXERS[packet.codec],
            # A hostile keyframe could name a size whose picture fills the memory.
            options={"max_pixels": str(pixels)},
        )
        template = media.streams.video[0]
        if not (template.codec_context.width and template.codec_context.pix_fmt):
            return None
        self._extractor = av.bitstream.BitStreamFilterContext("extract_extradata", template)
        sets = self._parameter_sets(data)
        return None if sets is None else StreamFormat(packet.codec, sets, template)

    def _parameter_sets(self, data: bytes) -> bytes | None:
        try:
            for packet in self._extractor.filter(av.Packet(data)):
                if packet.has_sidedata("new_extradata"):
                    return bytes(packet.get_sidedata("new_extradata"))
        except av.FFmpegError:
            self._extractor.flush()
        return None
