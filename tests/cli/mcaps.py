"""Reads MCAP files with the package mcap, and decodes their messages with Foxglove's types and PyAV."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

av: Any = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[mcap]'")
mcap_reader: Any = pytest.importorskip("mcap.reader", reason="mcap is not installed: pip install 'iox2-video[mcap]'")

from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo
from foxglove_schemas_protobuf.ImageAnnotations_pb2 import ImageAnnotations
from foxglove_schemas_protobuf.RawImage_pb2 import RawImage
from google.protobuf.descriptor_pb2 import FileDescriptorSet as FileDescriptorSet
from mcap.records import Message
from mcap.stream_reader import StreamReader

KINDS = {kind.DESCRIPTOR.full_name: kind for kind in (CompressedVideo, ImageAnnotations, RawImage)}
NS = 1_000_000_000


def messages(path: Path, topic: str) -> list[tuple[int, Any]]:
    """Return log time and decoded message of each message of a topic, in order of the log times."""
    with path.open("rb") as file:
        found = []
        for schema, channel, message in mcap_reader.make_reader(file, validate_crcs=True).iter_messages(topic):
            assert (channel.message_encoding, schema.encoding) == ("protobuf", "protobuf")
            decoded = KINDS[schema.name].FromString(message.data)
            assert message.log_time == decoded.timestamp.seconds * NS + decoded.timestamp.nanos
            found.append((message.log_time, decoded))
    return found


def summary(path: Path) -> Any:
    """Return the index of a file."""
    with path.open("rb") as file:
        return mcap_reader.make_reader(file).get_summary()


def topics(path: Path) -> dict[str, str]:
    """Return the type of each topic."""
    index = summary(path)
    return {one.topic: index.schemas[one.schema_id].name for one in index.channels.values()}


def offset(path: Path) -> int:
    """Return the difference of the clocks that is stored in a file."""
    with path.open("rb") as file:
        (metadata,) = mcap_reader.make_reader(file).iter_metadata()
    return int(metadata.metadata["wall_minus_monotonic_ns"])


def wall_minus_monotonic() -> int:
    """Measure the difference of the clocks."""
    readings = []
    for _ in range(50):
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        readings.append((after - before, wall - (before + after) // 2))
    return min(readings)[1]


def whole_messages(path: Path) -> Iterator[Any]:
    """Yield the messages of a file that may be cut off."""
    with path.open("rb") as file:
        try:
            for record in StreamReader(file).records:
                if isinstance(record, Message):
                    yield record
        except Exception:
            # The package has many errors for the end of a file that is missing.
            return


def units(data: bytes) -> list[int]:
    """Return the types of the units of H.264 in byte-stream format."""
    assert data.startswith((b"\0\0\1", b"\0\0\0\1"))
    return [part[0] & 31 for part in data.split(b"\0\0\1")[1:]]


def pictures(videos: list[Any]) -> list[Any]:
    """Decode messages of video one by one; each must give its picture at once, and must be complete."""
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    decoder.flags |= 0x80000  # AV_CODEC_FLAG_LOW_DELAY
    found = []
    for number, video in enumerate(videos):
        assert video.format == "h264"
        kinds = units(video.data)
        if 5 in kinds or number == 0:
            assert {7, 8} <= set(kinds[: kinds.index(5)]), "a keyframe without parameter sets"
        packet = av.Packet(video.data)
        packet.pts, packet.time_base = number, Fraction(1, 30)
        (picture,) = decoder.decode(packet)
        assert picture.pts == number
        found.append(picture)
    return found
