"""Reads the values of `streams.toml`. All functions raise WrongValueError for a wrong value."""

from __future__ import annotations

import math
import os
import re
import shlex
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from .._iox2.service_name import check_service_name
from .._plugin import launch_words
from .._wire.rendition import RenditionName, codec_of
from ..codec.settings import PRESETS
from ..contract import contract, limit
from ..discovery.names import SCHEMES, full_name, short_name
from ..errors import FormatError, InvalidServiceNameError, printable, without_passwords
from .clip_rule import ClipRule
from .clip_settings import wrong_pattern
from .words import listed, nearest_word, not_this

_MAX_SIDE: Final = limit("max_dimension_pixels")
_MAX_FPS: Final = 1000
# As in feed.flip and feed.network, which need numpy.
_FLIPS: Final = ("180", "horizontal", "vertical")
_URL_SCHEMES: Final = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "rtp", "udp", "tcp")
_FORMATS: Final[tuple[str, ...]] = tuple(row["name"] for row in contract("formats")["formats"])

_SIZE: Final = re.compile(r"([0-9]{1,6}) ?[xX×] ?([0-9]{1,6})")
_RATE: Final = re.compile(r"[0-9]{1,7}(?:\.[0-9]{1,6}|/[0-9]{1,7})?")
_TIME: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|min|h|)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "": 1.0, "min": 60.0, "h": 3600.0}
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*)://[^/\s]\S*", re.IGNORECASE)
_MAX_CRF: Final = 51
_BYTES: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([kMG])B?")
_BITRATE: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([kM])(?:bit/s)?")


class WrongValueError(Exception):
    """A value is wrong. The text follows the name of the key: "must be …"."""


def preset_of(value: Any) -> str:
    """Return the name of a preset of x264."""
    if value not in PRESETS:
        raise WrongValueError(f"must be {listed(PRESETS)}, {not_this(value)}")
    return str(value)


def crf_of(value: Any) -> float:
    """Return a quality of x264."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_CRF:
        raise WrongValueError(f"must be a number from 0 (best) to {_MAX_CRF}, {not_this(value)}")
    return float(value)


def bitrate_of(value: Any) -> int:
    """Return a rate in bits per second."""
    match = _BITRATE.fullmatch(value.strip()) if isinstance(value, str) else None
    bits = 0 if match is None else int(float(match[1]) * {"k": 1_000, "M": 1_000_000}[match[2]])
    if not 10_000 <= bits <= 1_000_000_000:
        raise WrongValueError(f'must be a text such as "4M" or "800k" (bits per second), {not_this(value)}')
    return bits


def keyint_of(value: Any) -> float:
    """Return the time between two keyframes in seconds."""
    seconds = seconds_of(value)
    if not 0.1 <= seconds <= 60:
        raise WrongValueError(f'must be a time from "100ms" to "60s", {not_this(value)}')
    return seconds


def keep_of(value: Any) -> float:
    """Return the time for which packets are kept, in seconds."""
    seconds = seconds_of(value)
    if not 1 <= seconds <= 3600:
        raise WrongValueError(f'must be a time from "1s" to "1h", {not_this(value)}')
    return seconds


def span_of(value: Any) -> float:
    """Return the time before or after a trigger, in seconds."""
    seconds = seconds_of(value)
    if seconds > 3600:
        raise WrongValueError(f'must be a time up to "1h", {not_this(value)}')
    return seconds


def bytes_of(value: Any) -> int:
    """Return a number of bytes, at least a megabyte."""
    match = _BYTES.fullmatch(value.strip()) if isinstance(value, str) else None
    number = 0 if match is None else int(float(match[1]) * {"k": 1e3, "M": 1e6, "G": 1e9}[match[2]])
    if number < 1_000_000:
        raise WrongValueError(f'must be a text such as "64M" or "2G" (bytes, at least "1M"), {not_this(value)}')
    return number


def encoder_of(value: Any) -> str:
    """Return a GStreamer encoder as GStreamer reads it."""
    text = text_of(value, "\n\t")
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise WrongValueError(f"cannot be split into words: {str(exc).lower()}") from None
    if "!" in (words[0], words[-1]):
        raise WrongValueError('begins or ends with "!"; leave it out, because source and sink are added')
    return text


def clip_name_of(value: Any) -> str:
    """Return a pattern for the names of clips."""
    name = text_of(value)
    wrong = wrong_pattern(name)
    if wrong is not None:
        raise WrongValueError(wrong)
    return name


def rule_of(value: Any) -> str:
    """Return a rule that triggers clips."""
    text = text_of(value)
    try:
        ClipRule.parse(text)
    except ValueError as exc:
        raise WrongValueError(str(exc)) from None
    return text


def wrong_name(name: str) -> str | None:
    """Return what is wrong with the name of a stream; None if nothing is."""
    if name.startswith(SCHEMES):
        return f'"{name}" is not a service; choose a name without "{name.partition(":")[0]}:"'
    full = full_name(name)
    short = short_name(full)
    codec = codec_of(short)
    if codec is not None:
        return f'"{name}" is reserved for video that is encoded with {codec}; choose another name'
    try:
        check_service_name(full)
        rendition = RenditionName.parse(short)
    except (InvalidServiceNameError, FormatError) as exc:
        return str(exc)
    if rendition is None:
        return None
    source = rendition.source
    return f'"{name}" is a rendition, which is made from "{source}" when a reader asks for it; declare "{source}"'


def text_of(value: Any, allowed: str = "") -> str:
    """Return a text that can be printed, and is not empty."""
    if not isinstance(value, str):
        raise WrongValueError(f"must be a text in quotes, {not_this(value)}")
    if not value.strip():
        raise WrongValueError("is empty")
    odd = next((character for character in value if not character.isprintable() and character not in allowed), None)
    if odd is not None:
        raise WrongValueError(f"contains the control character {printable(odd)}")
    return value


def is_true(value: Any) -> bool:
    """Return a truth value."""
    if not isinstance(value, bool):
        raise WrongValueError(f"must be true or false without quotes, {not_this(value)}")
    return value


def path_of(text: str, folder: Path) -> str:
    """Return a path as an absolute one."""
    return os.path.join(folder, os.path.expanduser(text))


def camera_of(value: Any, folder: Path) -> str:
    """Return the path or number of a camera."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 20:
        return str(value)
    if not isinstance(value, str):
        raise WrongValueError(f'must be a path such as "/dev/video0", or a number, {not_this(value)}')
    text = text_of(value)
    if text.isascii() and text.isdecimal():
        return text
    if not text.startswith(("/", "~", ".")):
        raise WrongValueError(f'is "{text}"; write a path such as "/dev/video0", or a number')
    return path_of(text, folder)


def url_of(text: str) -> str:
    """Return an address."""
    match = _URL.fullmatch(text)
    if match is None:
        # What precedes the "@" may be a password.
        shown = without_passwords(re.sub(r".*@", "***@", text))
        raise WrongValueError(f'is "{shown}"; write an address such as "rtsp://192.168.1.20/stream1"')
    if match[1].lower() not in _URL_SCHEMES:
        raise WrongValueError(f'begins with "{match[1]}"; {nearest_word(match[1].lower(), _URL_SCHEMES)}')
    return text


def pipeline_of(value: Any) -> str:
    """Return a pipeline as GStreamer reads it."""
    text = text_of(value, "\n\t")
    try:
        launch_words(text)
    except ValueError as exc:
        raise WrongValueError(str(exc)) from None
    return text


def size_of(value: Any) -> tuple[int, int]:
    """Return width and height."""
    wanted = '"1920x1080"'
    if not isinstance(value, str):
        raise WrongValueError(f"must be a text such as {wanted}, {not_this(value)}")
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise WrongValueError(f'is "{value}"; write width and height in pixels, such as {wanted}')
    width, height = int(match[1]), int(match[2])
    if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE):
        raise WrongValueError(f'is "{value}"; width and height can be 1 to {_MAX_SIDE}')
    return width, height


def fps_of(value: Any) -> Fraction:
    """Return a frame rate."""
    wanted = 'a number such as 30 or 29.97, or a fraction such as "30000/1001"'
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _MAX_FPS
    is_text = isinstance(value, str) and _RATE.fullmatch(value.strip()) is not None
    try:
        # A fraction suitable for caps. Very low rates become 0.
        rate = Fraction(value).limit_denominator(1001) if is_number or is_text else Fraction(0)
    except ZeroDivisionError:
        rate = Fraction(0)
    if not 0 < rate <= _MAX_FPS:
        raise WrongValueError(f"must be {wanted}, at most {_MAX_FPS}, {not_this(value)}")
    return rate


def format_of(text: str, is_camera: bool) -> str:
    """Return the name of a format."""
    if text in _FORMATS or (is_camera and len(text) == 4 and text.isascii()):
        return text
    own = "; a camera's own formats have four characters, such as MJPG" if is_camera else ""
    raise WrongValueError(f'is "{text}", which is not a raw video format; {nearest_word(text, _FORMATS, 6)}{own}')


def flip_of(value: Any) -> str:
    """Return how to flip pictures."""
    text = str(value) if value == 180 and not isinstance(value, bool) else value
    if text not in _FLIPS:
        raise WrongValueError(f"must be {listed(_FLIPS)}, {not_this(value)}")
    return str(text)


def seconds_of(value: Any) -> float:
    """Return a time in seconds."""
    seconds = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        seconds = float(value)
    elif isinstance(value, str) and (match := _TIME.fullmatch(value.strip())) is not None:
        seconds = float(match[1]) * _UNITS[match[2]]
    if math.isnan(seconds):
        raise WrongValueError(f'must be a time such as "5s", "2min" or "1h", or a number of seconds, {not_this(value)}')
    return seconds
