"""Foxglove's types of messages, if foxglove-schemas-protobuf is installed. No other module imports it or protobuf."""

from __future__ import annotations

from typing import Any, Final

from ..errors import MissingExtraError

try:
    from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage as CompressedImage
    from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo as CompressedVideo
    from foxglove_schemas_protobuf.ImageAnnotations_pb2 import ImageAnnotations as ImageAnnotations
    from foxglove_schemas_protobuf.PointsAnnotation_pb2 import PointsAnnotation as PointsAnnotation
    from foxglove_schemas_protobuf.RawImage_pb2 import RawImage as RawImage
    from google.protobuf.descriptor_pb2 import FileDescriptorSet
    from google.protobuf.message import DecodeError
except ImportError as exc:
    raise MissingExtraError(
        "MCAP files and Foxglove need the package foxglove-schemas-protobuf, which cannot be imported "
        f"({exc}); run `pip install 'iox2-video[mcap]'` (in a clone: `pip install '.[mcap]'`)"
    ) from exc

_NS: Final = 1_000_000_000

IMAGES: Final = {kind.DESCRIPTOR.full_name: kind for kind in (CompressedVideo, CompressedImage, RawImage)}
"""The types of pictures by their full names."""


def name_of(kind: Any) -> str:
    """Return the full name of a type, such as "foxglove.RawImage"."""
    return str(kind.DESCRIPTOR.full_name)


def definition_of(kind: Any) -> bytes:
    """Return the definition of a type and of the types that it uses, as a serialised FileDescriptorSet."""
    files = FileDescriptorSet()
    seen: set[str] = set()

    def add(file: Any) -> None:
        if file.name in seen:
            return
        seen.add(file.name)
        for each in file.dependencies:
            add(each)
        file.CopyToProto(files.file.add())

    add(kind.DESCRIPTOR.file)
    return bytes(files.SerializeToString())


def set_time(timestamp: Any, nanoseconds: int) -> None:
    """Set a timestamp to a time in nanoseconds since 1970."""
    timestamp.seconds, timestamp.nanos = divmod(nanoseconds, _NS)


def decoded(kind: Any, data: bytes) -> Any:
    """Decode a message.

    Raises:
        ValueError: It is not a message of this type.
    """
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as exc:
        raise ValueError(str(exc)) from exc
    return message
