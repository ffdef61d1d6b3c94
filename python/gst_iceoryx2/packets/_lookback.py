"""Asks a ring for the packets of the last seconds, and decodes or saves them (SPEC.md section 12)."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BufferedReader
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .._iox2.domain import Domain, current_domain
from .._iox2.ring_files import remove_dead_ring, ring_socket
from .._wire.numbers import real
from .._wire.packet import PACKET_FLAG_DISCONT, VideoPacketHeader, packet_service, validate_packet
from .._wire.rendition import CODECS, RenditionName
from .._wire.ring import LATEST_END, MAX_LINE_BYTES, RECORD, RingRequest, RingStatus
from .._wire.stamp import monotonic_ns
from ..errors import InvalidServiceNameError, ServiceNotFoundError, ServicePermissionError
from .clip import Clip, write_clip
from .errors import LookbackError
from .packet import Packet, _copied

_log: Final = logging.getLogger("gst_iceoryx2")

# Longest time that a ring needs to answer, in seconds.
_PATIENCE: Final = 10.0
_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PastPicture:
    """A picture of the past. `numpy.asarray` returns its pixels.

    Attributes:
        rgb: Its pixels, a uint8 array of shape (height, width, 3).
        captured_at: Its capture time in nanoseconds of CLOCK_MONOTONIC.
    """

    rgb: npt.NDArray[np.uint8]
    captured_at: int

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return the pixels, as a copy only if `dtype` or `copy` asks for it."""
        pixels = self.rgb if dtype is None else self.rgb.astype(dtype, copy=False)
        return pixels.copy() if copy and pixels is self.rgb else pixels


class Lookback:
    """The last seconds of a stream, which `iox2-video serve` keeps if its file says so (`keep = "30s"`).

    All times are capture times. Each call asks the ring again.

    Args:
        name: Name of the stream: `cam0`, `cam0@h264`, or the full name `video/cam0@h264/packet/v1`.
        codec: "h264", "h265" or "av1"; None = the one in `name`, or else the one that is kept.

    Raises:
        InvalidServiceNameError: The name cannot be used as the name of a stream.
        FormatError: The codec is unknown.
        ServiceNotFoundError: No process keeps the packets of this stream.
        LookbackError: The ring does not answer.
        DomainError: The domain of this process cannot be used.

    Example:
        What was there two seconds ago:

            from gst_iceoryx2.packets import lookback

            picture = lookback("cam0").at(seconds=-2.0)
            print(picture.rgb.shape, picture.captured_at)
    """

    def __init__(self, name: str, codec: str | None = None) -> None:
        self._domain = current_domain()
        found = _services(name, codec)
        there = [one for one in found if ring_socket(self._domain, one[0]).exists()]
        self._service, self._codec = (there or found)[0]
        self._status()

    @property
    def service_name(self) -> str:
        """Full name of the service whose packets are kept."""
        return self._service

    @property
    def seconds(self) -> float:
        """Seconds from the first to the last packet that is kept at present.

        Raises:
            ServiceNotFoundError: No process keeps the packets any more.
            LookbackError: The ring does not answer.
        """
        return self._status().seconds

    @property
    def bytes(self) -> int:
        """Bytes that are kept at present.

        Raises:
            ServiceNotFoundError: No process keeps the packets any more.
            LookbackError: The ring does not answer.
        """
        return self._status().total_bytes

    def packets(self, before: float | None = None, after: float = 0.0) -> Iterator[Packet]:
        """Return the packets of a time, oldest first. The first one is a keyframe at or before the begin.

        If the ring has less than was asked for, it returns what is there, and logs a warning.

        Args:
            before: Seconds before now; None = everything that is kept.
            after: Seconds after now, for which the iterator waits; at most an hour.

        Returns:
            An iterator of packets, which own their bytes. `is_discont` marks where packets are missing.

        Raises:
            ServiceNotFoundError: No process keeps the packets any more.
            LookbackError: The ring does not answer. The iterator raises it if the ring fails, or if it has removed the
                last of these packets because they were read too slowly.
            ValueError: `before` or `after` is not a time.

        Example:
            Write the last ten seconds as a file of H.264:

                with open("last.h264", "wb") as file:
                    for packet in lookback("cam0").packets(before=10):
                        file.write(packet.data)
        """
        answer = self._answer(self._request(before, after))
        if answer.status.note is not None:
            _log.warning("%s: %s", self._service, answer.status.note)
        return iter(answer)

    def at(self, seconds: float) -> PastPicture:
        """Decode the picture that was visible at a time. Needs PyAV.

        Args:
            seconds: Seconds from now, such as -2.0.

        Returns:
            The last picture that was captured at or before this time.

        Raises:
            ServiceNotFoundError: No process keeps the packets any more.
            LookbackError: The ring has nothing from this time, or does not answer.
            FormatError: The packets cannot be decoded.
            MissingExtraError: PyAV is not installed.
            ValueError: `seconds` is not a time.
        """
        from ._decoding import decoded

        moment = monotonic_ns() + _nanoseconds(seconds, "seconds")
        with self._answer(RingRequest(max(0, moment), max(0, moment))) as answer:
            found = decoded(answer)
        if found is None:
            first = answer.status.first
            begin = "it is empty" if first is None else f"it begins {(monotonic_ns() - first) / 1e9:.1f} s ago"
            raise LookbackError(f"the ring of {self._service} has no picture from {-seconds:g} s ago: {begin}")
        return PastPicture(found[1], found[0])

    def save(
        self, path: str | os.PathLike[str], before: float | None = None, after: float = 0.0, *, overwrite: bool = False
    ) -> Clip:
        """Write a clip, without decoding or encoding it. Needs PyAV.

        The clip begins at the keyframe at or before the begin. Its presentation times are capture times, from 0. If the
        size of the pictures changes, it continues in a second file: `crash.mp4`, `crash-2.mp4`.

        Args:
            path: The file, which ends in .mp4, .mkv or .mov.
            before: Seconds before now; None = everything that is kept.
            after: Seconds after now, for which this waits; at most an hour.
            overwrite: Whether to replace an existing file.

        Returns:
            What was written. Its `note` says what is missing of what you asked for.

        Raises:
            ServiceNotFoundError: No process keeps the packets any more.
            LookbackError: The ring has nothing from this time, or does not answer.
            TargetError: The container is unknown, or cannot hold the codec.
            RecordFileError: The file exists, or cannot be written. It keeps what was written before.
            MissingExtraError: PyAV is not installed.
            ValueError: `before` or `after` is not a time.

        Example:
            Save what happened:

                clip = lookback("cam0").save("crash.mp4", before=20, after=5)
                print(clip, clip.note or "")
        """
        return self._save(path, self._request(before, after), overwrite=overwrite)

    def _save(self, path: str | os.PathLike[str], request: RingRequest, *, overwrite: bool = False) -> Clip:
        """Write a clip between two times; see `save`."""
        from .file import PacketFile

        with PacketFile(path, overwrite=overwrite) as file, self._answer(request) as answer:
            clip = write_clip(answer, file)
        note = clip.note or answer.status.note
        if not clip.frames:
            raise LookbackError(f"the ring of {self._service} has nothing from this time{(note and f': {note}') or ''}")
        return replace(clip, note=note)

    def _answer(self, request: RingRequest) -> _Answer:
        return _Answer(self._domain, self._service, self._codec, request)

    def _request(self, before: float | None, after: float) -> RingRequest:
        now = monotonic_ns()
        begin = None if before is None else max(0, now - _nanoseconds(before, "before"))
        end = max(0, now + _nanoseconds(after, "after"))
        if end > now + LATEST_END * _S:
            raise ValueError(f"after is {after:g}, but can be {LATEST_END} seconds at most; use `iox2-video record`")
        if begin is not None and begin > end:
            raise ValueError(f"before is {before:g} and after is {after:g}, so the end is before the begin")
        return RingRequest(begin, end)

    def _status(self) -> RingStatus:
        with self._answer(RingRequest()) as answer:
            return answer.status

    def __repr__(self) -> str:
        return f"<Lookback {self._service!r}>"


def lookback(name: str, codec: str | None = None) -> Lookback:
    """Return access to the last seconds of a stream; see `Lookback`."""
    return Lookback(name, codec)


class _Answer:
    """The answer of a ring to one request.

    Args:
        domain: The domain of the ring.
        service: Full name of the service of packets.
        codec: Codec of the packets.
        request: The request.

    Attributes:
        status: What the ring contains.
    """

    def __init__(self, domain: Domain, service: str, codec: str, request: RingRequest) -> None:
        self._service = service
        self._codec = codec
        self._socket = _connected(domain, service)
        try:
            self._socket.settimeout(_PATIENCE + max(0.0, ((request.end or 0) - monotonic_ns()) / _S))
            self._file: BufferedReader = self._socket.makefile("rb")
            try:
                # A ring that refuses all readers may have closed the connection already, after it has told why.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self._socket.sendall(request.to_line())
                self.status = RingStatus.of(self._file.readline(MAX_LINE_BYTES))
            except (OSError, ValueError) as exc:
                raise LookbackError(f"the ring of {service} did not answer: {exc}") from exc
        except BaseException:
            self._socket.close()
            raise

    def __iter__(self) -> Iterator[Packet]:
        """Return the packets; ends with the connection."""
        with self:
            while True:
                header, length = RECORD.unpack(self._read(RECORD.size))
                fields = VideoPacketHeader.from_buffer_copy(header)
                if fields.is_eos:
                    if fields.flags & PACKET_FLAG_DISCONT:
                        raise LookbackError(
                            f"the ring of {self._service} has removed packets that were asked for, because this reader "
                            "was too slow"
                        )
                    return
                fault = validate_packet(fields, length, self._codec)
                if fault is not None:
                    raise LookbackError(f"the ring of {self._service} sent an invalid packet: {fault}")
                yield _copied(header, self._read(length), is_discont=False)

    def _read(self, size: int) -> bytes:
        try:
            data = self._file.read(size)
        except OSError as exc:
            raise LookbackError(f"the ring of {self._service} does not answer any more: {exc}") from exc
        if len(data) < size:
            raise LookbackError(f"the ring of {self._service} has ended, or dropped this reader, which read too slowly")
        return data

    def __enter__(self) -> _Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()


def _connected(domain: Domain, service: str) -> socket.socket:
    """Return a connection to the ring of a service."""
    path = ring_socket(domain, service)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_PATIENCE)
    try:
        connection.connect(os.fspath(path))
    except (FileNotFoundError, ConnectionRefusedError) as exc:
        connection.close()
        remove_dead_ring(path)
        raise ServiceNotFoundError(_not_kept(domain, service)) from exc
    except PermissionError as exc:
        connection.close()
        raise ServicePermissionError(f"cannot read the ring of {service}: {path} belongs to another user") from exc
    except OSError as exc:
        connection.close()
        raise LookbackError(f"cannot read the ring of {service} at {path}: {exc.strerror or exc}") from exc
    return connection


def _not_kept(domain: Domain, service: str) -> str:
    """Return a sentence that says that no process keeps the packets of a service, and what to do."""
    encoded = service.removeprefix("video/").removesuffix("/packet/v1")
    short = encoded.rpartition("@")[0]
    rendition = RenditionName.parse(short)
    kept = [one for one in CODECS if ring_socket(domain, packet_service(short, one)[0]).exists()]
    if kept:
        remedy = f'use "{short}@{kept[0]}", which is kept'
    elif rendition is not None:
        remedy = f'renditions are not kept, so use "{rendition.source}"'
    else:
        remedy = f'add keep = "30s" to [streams.{short}] in the file of `iox2-video serve`, and let it run'
    return f'no process keeps the packets of "{encoded}" in {domain.root} (prefix {domain.prefix!r}); {remedy}'


def _services(name: str, codec: str | None) -> list[tuple[str, str]]:
    """Return the services of packets that a name may mean, and their codecs."""
    found = [packet_service(name, codec)]
    for one in CODECS if codec is None else ():
        # The name may state another codec.
        with contextlib.suppress(InvalidServiceNameError):
            found.append(packet_service(name, one))
    return found


def _nanoseconds(value: object, name: str) -> int:
    seconds = real(value, name, "seconds")
    if not abs(seconds) < 1e9:
        raise ValueError(f"{name} is {value} seconds, which is not a time that a ring can have")
    return int(seconds * _S)
