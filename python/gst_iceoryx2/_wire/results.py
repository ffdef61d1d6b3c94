"""The header of a result, its checks, and the names of services of results (SPEC.md section 11).

This module does not import numpy, so that a process can list names without it.
"""

from __future__ import annotations

import ctypes
import re
from typing import ClassVar, Final

from ..contract import contract, limit
from ..errors import FormatError, InvalidServiceNameError
from .fault import Fault
from .header import MAX_DIMENSION, NONE_U64
from .rendition import RenditionName, codec_of
from .stamp import Stamp, frame_stamp, set_frame_stamp

_CONSTANTS: Final = contract("layout")["constants"]

RESULTS_HEADER_SIZE: Final[int] = _CONSTANTS["RESULTS_HEADER_SIZE"]
"""Size of `VideoResultsHeader` in bytes."""
RESULTS_HEADER_TYPE_NAME: Final[str] = _CONSTANTS["RESULTS_HEADER_TYPE_NAME"]
RESULTS_VERSION: Final[int] = _CONSTANTS["RESULTS_VERSION"]
MAX_RESULTS_BYTES: Final = limit("max_results_bytes")

_DETECTOR: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SERVICE: Final = re.compile(rf"video/(?P<source>.+)/results/(?P<detector>{_DETECTOR.pattern})/v1")
_FULL: Final = re.compile(r"video/(.+)/(?:frame/v2|packet/v1)")
_SCHEME: Final = re.compile(r"(sh4lt|zenoh):")


class VideoResultsHeader(ctypes.Structure):
    """Identity of one result and of the frame that it belongs to, sent as iceoryx2's user header.

    The struct is little-endian, has 88 bytes and an alignment of 8. A publisher can still modify a header that you
    received, so check and use a private copy (`VideoResultsHeader.from_buffer_copy`).
    """

    stream: int
    sequence: int
    boot_id: ctypes.Array[ctypes.c_uint8]
    frame_publisher: int
    frame_sequence: int
    capture: int
    due: int
    width: int
    height: int
    entries: int
    flags: int
    version: int
    reserved: int

    _fields_: ClassVar = [
        ("stream", ctypes.c_uint64),
        ("sequence", ctypes.c_uint64),
        ("boot_id", ctypes.c_uint8 * 16),
        ("frame_publisher", ctypes.c_uint64),
        ("frame_sequence", ctypes.c_uint64),
        ("capture", ctypes.c_uint64),
        ("due", ctypes.c_uint64),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("entries", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("version", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]

    @staticmethod
    def type_name() -> str:
        """Type name of the header, which iceoryx2 compares between publisher and subscriber."""
        return RESULTS_HEADER_TYPE_NAME

    @property
    def stamp(self) -> Stamp:
        """Stamp of the frame that the result belongs to."""
        return frame_stamp(self)

    @stamp.setter
    def stamp(self, stamp: Stamp) -> None:
        set_frame_stamp(self, stamp)


def validate_results(header: VideoResultsHeader, payload: int) -> Fault | None:
    """Check rules 2 to 5 of SPEC.md section 11; `decode_tables` checks the other rules.

    Args:
        header: A private copy of the header.
        payload: Number of payload bytes.

    Returns:
        The first broken rule; None if the header is valid.
    """
    if header.version != RESULTS_VERSION:
        return Fault.of("results_version", version=header.version, expected=RESULTS_VERSION)
    if NONE_U64 in (header.frame_publisher, header.frame_sequence):
        return Fault.of("results_key")
    for field in ("width", "height"):
        value = getattr(header, field)
        if not 1 <= value <= MAX_DIMENSION:
            return Fault.of("size", field=field, value=value, most=MAX_DIMENSION)
    if not 1 <= payload <= MAX_RESULTS_BYTES:
        return Fault.of("results_bytes", payload=payload, most=MAX_RESULTS_BYTES)
    return None


def results_service(source: str, detector: str) -> str:
    """Return the full name of a service of results.

    Args:
        source: Name of the stream whose frames are analysed: `cam0`, or `video/cam0/frame/v2`. The name of a rendition
            or of an encoded stream stands for its source: `cam0@640x640` and `cam0@h264` for `cam0`.
        detector: Name of the detector: 1 to 64 letters, digits or `_.-`.

    Raises:
        InvalidServiceNameError: A name cannot be used.
    """
    return f"video/{source_name(source)}/results/{check_detector(detector)}/v1"


def check_detector(detector: str) -> str:
    """Return the name of a detector unchanged if it can be used.

    Raises:
        InvalidServiceNameError: The name cannot be used.
    """
    if not isinstance(detector, str) or not _DETECTOR.fullmatch(detector):
        raise InvalidServiceNameError(
            f"{detector!r} cannot be the name of a detector; use 1 to 64 letters, digits or _.-, such as 'yolo'"
        )
    return detector


def parse_results_service(name: str) -> tuple[str, str] | None:
    """Return the short name of the source, and the detector, of a service of results; None for any other name."""
    match = _SERVICE.fullmatch(name)
    return None if match is None else (match["source"], match["detector"])


def source_name(name: str) -> str:
    """Return the short name of the source that a stream is made from: `cam0` for `video/cam0@640x640/frame/v2`.

    Raises:
        InvalidServiceNameError: The name is not a str, is empty, or does not name a service of frames or packets.
    """
    if not isinstance(name, str) or not name or _SCHEME.match(name) or _SERVICE.fullmatch(name):
        raise InvalidServiceNameError(
            f"results belong to the frames of a service, but {name!r} does not name one; use a name such as 'cam0'"
        )
    match = _FULL.fullmatch(name)
    short = name if match is None else match[1]
    while True:
        codec = codec_of(short)
        if codec is not None:
            short = short.removesuffix(f"@{codec}")
            continue
        try:
            rendition = RenditionName.parse(short)
        except FormatError as exc:
            raise InvalidServiceNameError(f"{name!r} cannot be the name of a stream: {exc}") from exc
        if rendition is None:
            return short
        short = rendition.source
