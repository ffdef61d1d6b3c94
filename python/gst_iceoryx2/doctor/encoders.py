"""Checks that streams can be encoded and decoded, and that the encoders of `iox2-video serve` work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from .._iox2.domain import Domain
from .._wire.rendition import codec_of
from ..discovery.names import short_name
from ..discovery.served import served
from ..errors import MissingExtraError
from .finding import Finding, note, ok, problem

_NEEDED: Final[tuple[tuple[str, Literal["r", "w"], str], ...]] = (
    ("libx264", "w", "encode H.264 (`record`, cam0@h264)"),
    ("h264", "r", "decode H.264"),
)
_REMEDY: Final = "pip install 'iox2-video[record]'"


def check(domain: Domain, fix: bool) -> Iterator[Finding]:
    """Look for PyAV and its codecs, and for encoders that fail."""
    yield from _codecs()
    for stream in served(domain).values():
        name = short_name(stream.name)
        if codec_of(name) is not None and stream.error is not None:
            table = f"correct the table of {name.partition('@')[0]} in {stream.file}" if stream.file else None
            yield problem(
                f"{name} is wanted, but is not encoded by process {stream.supervisor}: {stream.error}",
                _REMEDY if _REMEDY in stream.error else table,
            )


def _codecs() -> Iterator[Finding]:
    try:
        from .._extras.av import av
    except MissingExtraError as exc:
        yield note(f"`record` and encoded streams (cam0@h264) cannot be used: {exc}")
        return
    missing = []
    for codec, mode, purpose in _NEEDED:
        try:
            av.Codec(codec, mode)
        except ValueError:
            missing.append(f"{codec}, which is needed to {purpose}")
    if missing:
        yield problem(f"PyAV {av.__version__} was built without {', and without '.join(missing)}", _REMEDY)
    else:
        yield ok(f"PyAV {av.__version__} encodes and decodes H.264")
