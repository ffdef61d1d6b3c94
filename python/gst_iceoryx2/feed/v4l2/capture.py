"""Capture: the driver writes into frames of shared memory (USERPTR), or into memory of its own that is copied (MMAP).

A driver may write into a queued buffer until streaming is switched off, or until the device is closed if it was
unplugged. So a queued frame goes back to its publisher only after that.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import select
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ..._at_end import CALL_AT_END, NOTHING
from ..._iox2.fork import guard_kind
from ..._wire.stamp import monotonic_ns
from ...video.loan import LoanedFrame
from ..errors import SourceError
from . import api
from .device import Device

# Buffers that wait for the driver to fill them. With the one that is being sent, this leaves a publisher three loans.
_QUEUED: Final = 4
# Buffer numbers with USERPTR. Each is used for one address as long as possible, because the kernel maps the memory
# again for a new address: the publisher has 24 frames at first, and the kernel allows 32 numbers.
_NUMBERS: Final = 32
# Offset of the trial buffer from the start of a page, in bytes: frames in shared memory are aligned to 8.
_TRIAL_OFFSET: Final = 8
# A timestamp older than this, in nanoseconds, is not from CLOCK_MONOTONIC.
_PLAUSIBLE: Final = 10_000_000_000


class Captured(NamedTuple):
    """A picture from the driver.

    Attributes:
        frame: The frame that the driver has written into; None if `memory` is used.
        memory: The picture's bytes in the driver's memory, valid until the next call; None if `frame` is used.
        used: Number of bytes that the driver has written.
        is_damaged: Whether the driver reports an error in the picture.
        captured_at: The driver's timestamp in nanoseconds of CLOCK_MONOTONIC.
        sequence: The driver's number of the picture. It also counts pictures that were lost.
    """

    frame: LoanedFrame | None
    memory: npt.NDArray[np.uint8] | None
    used: int
    is_damaged: bool
    captured_at: int
    sequence: int


def accepts_user_memory(device: Device, size: int) -> bool:
    """Return whether the driver writes pictures of this size into memory that is not its own."""
    try:
        granted = _request(device, api.MEMORY_USERPTR, 1)
    except OSError:
        return False
    with mmap.mmap(-1, size + _TRIAL_OFFSET) as memory:
        trial = np.frombuffer(memory, np.uint8, size, _TRIAL_OFFSET)
        try:
            api.QUEUE(device.fd, _user_buffer(0, trial))
            is_accepted = granted > 0
        except OSError:
            is_accepted = False
        finally:
            del trial
            # This takes the buffer back, also if streaming was never on.
            with contextlib.suppress(OSError):
                api.STREAM_OFF(device.fd, api.STREAM_TYPE)
            with contextlib.suppress(OSError):
                _request(device, api.MEMORY_USERPTR, 0)
    return is_accepted


class Capture(ABC):
    """Base class of both ways to capture."""

    __del__ = CALL_AT_END
    _memory: int

    def __init__(self, device: Device) -> None:
        self._at_end: Callable[[], object] = NOTHING
        self._device = device
        self._poll = select.poll()
        self._poll.register(device.fd, select.POLLIN)

    def start(self) -> None:
        """Switch streaming on.

        Raises:
            SourceError: The driver refuses.
        """
        try:
            self._prepare()
            # If this object is dropped while streaming is on, this runs before its frames are freed.
            self._at_end = partial(fcntl.ioctl, self._device.fd, api.STREAM_OFF.number, bytes(api.STREAM_TYPE))
            api.STREAM_ON(self._device.fd, api.STREAM_TYPE)
        except SourceError:
            self.stop()
            raise
        except OSError as exc:
            self.stop()
            raise self._failed(exc) from exc

    def next(self, timeout: float) -> Captured | None:
        """Return the next picture.

        Args:
            timeout: Maximum wait in seconds.

        Returns:
            The picture; None if none arrived in time.

        Raises:
            SourceError: The camera was unplugged, or failed.
        """
        self._refill()
        # Sleep until a buffer is filled. An error wakes, too, and the next call tells which.
        if not self._poll.poll(timeout * 1000):
            return None
        buffer = api.Buffer(type=api.VIDEO_CAPTURE, memory=self._memory)
        try:
            api.DEQUEUE(self._device.fd, buffer)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise self._failed(exc) from exc
        return self._taken(buffer)

    def stop(self) -> None:
        """Switch streaming off and free all buffers. If the camera was unplugged, close the device. Idempotent."""
        if self._device.fd >= 0:
            try:
                api.STREAM_OFF(self._device.fd, api.STREAM_TYPE)
            except OSError:
                # Closing the device is what stops the driver then.
                self._device.close()
        self._at_end = NOTHING
        self._free()
        if self._device.fd >= 0:
            with contextlib.suppress(OSError):
                _request(self._device, self._memory, 0)

    def _abandon(self) -> None:
        # In a forked child, the stream belongs to the parent.
        self._at_end = NOTHING

    @abstractmethod
    def _prepare(self) -> None:
        """Request buffers and queue them."""

    @abstractmethod
    def _refill(self) -> None:
        """Queue the buffers that are free."""

    @abstractmethod
    def _taken(self, buffer: api.Buffer) -> Captured:
        """Return the picture in a buffer that the driver has filled."""

    @abstractmethod
    def _free(self) -> None:
        """Give all memory back. Streaming is off."""

    def _failed(self, exc: OSError) -> SourceError:
        path = self._device.path
        if exc.errno == errno.ENODEV:
            return SourceError(f"the camera {path} was unplugged")
        if exc.errno == errno.EBUSY:
            return self._device.busy()
        if exc.errno == errno.EIO:
            return SourceError(f"the camera {path} failed: its driver reports an error (EIO); plug it in again")
        if exc.errno == errno.ENOSPC:
            return SourceError(
                f"the camera {path} cannot start: its USB bus has no bandwidth left for this size and rate; ask for "
                "less or for MJPG, or connect it to another USB controller"
            )
        return SourceError(f"the camera {path} failed: {os.strerror(exc.errno or 0)}")


@guard_kind
class LoanCapture(Capture):
    """Capture without a copy: the driver writes into loaned frames.

    Args:
        device: The camera, with its format set.
        lend: Function that returns a frame to write into.
    """

    _memory = api.MEMORY_USERPTR

    def __init__(self, device: Device, lend: Callable[[], LoanedFrame]) -> None:
        super().__init__(device)
        self._lend = lend
        # The frames that the driver may write into, by buffer number.
        self._queued: dict[int, LoanedFrame] = {}
        # The free buffer numbers with the address that each was last used for, longest unused first.
        self._numbers: dict[int, int] = {}
        self._memory_id: int | None = None

    def _prepare(self) -> None:
        granted = _request(self._device, self._memory, _NUMBERS)
        self._numbers = dict.fromkeys(range(granted), 0)
        self._memory_id = None
        self._refill()
        if not self._queued:
            raise OSError(errno.EINVAL, "no buffer could be queued")

    def _refill(self) -> None:
        while len(self._queued) < _QUEUED and self._numbers:
            frame = self._lend()
            if self._memory_id not in (None, frame.memory_id):
                frame.discard()
                self._begin_again()
                return
            self._memory_id = frame.memory_id
            memory = frame.bytes()
            address = int(memory.ctypes.data)
            number = next((one for one, used_for in self._numbers.items() if used_for == address), None)
            number = next(iter(self._numbers)) if number is None else number
            # Noted before the call, so that the frame is not given back if an interrupt comes right after it.
            self._queued[number] = frame
            try:
                api.QUEUE(self._device.fd, _user_buffer(number, memory))
            except OSError as exc:
                del self._queued[number]
                frame.discard()
                # A driver may refuse now and then; the next call tries again as long as another buffer is queued.
                if exc.errno != errno.EINVAL or not self._queued:
                    raise self._failed(exc) from exc
                return
            del self._numbers[number]

    def _begin_again(self) -> None:
        """Let the driver forget the publisher's earlier memory, whose pages it keeps although they are unmapped."""
        try:
            api.STREAM_OFF(self._device.fd, api.STREAM_TYPE)
            self._free()
            _request(self._device, self._memory, 0)
            self._prepare()
            api.STREAM_ON(self._device.fd, api.STREAM_TYPE)
        except SourceError:
            raise
        except OSError as exc:
            raise self._failed(exc) from exc

    def _taken(self, buffer: api.Buffer) -> Captured:
        frame = self._queued[buffer.index]
        self._numbers[buffer.index] = int(frame.bytes().ctypes.data)
        del self._queued[buffer.index]
        return _captured(buffer, frame, None)

    def _free(self) -> None:
        while self._queued:
            _, frame = self._queued.popitem()
            frame.discard()


@guard_kind
class MappedCapture(Capture):
    """Capture into the driver's own memory, from which each picture is copied or decoded."""

    _memory = api.MEMORY_MMAP

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self._maps: list[mmap.mmap] = []
        # Numbers of the buffers that the driver does not have.
        self._free_numbers: list[int] = []

    def _prepare(self) -> None:
        for number in range(_request(self._device, self._memory, _QUEUED)):
            buffer = api.Buffer(index=number, type=api.VIDEO_CAPTURE, memory=self._memory)
            api.QUERY_BUFFER(self._device.fd, buffer)
            self._maps.append(mmap.mmap(self._device.fd, buffer.length, prot=mmap.PROT_READ, offset=buffer.m.offset))
            api.QUEUE(self._device.fd, buffer)

    def _refill(self) -> None:
        while self._free_numbers:
            buffer = api.Buffer(index=self._free_numbers[-1], type=api.VIDEO_CAPTURE, memory=self._memory)
            try:
                api.QUEUE(self._device.fd, buffer)
            except OSError as exc:
                # As with loans, the next call tries again as long as another buffer is queued.
                if exc.errno != errno.EINVAL or len(self._free_numbers) == len(self._maps):
                    raise self._failed(exc) from exc
                return
            self._free_numbers.pop()

    def _taken(self, buffer: api.Buffer) -> Captured:
        self._free_numbers.append(buffer.index)
        return _captured(buffer, None, np.frombuffer(self._maps[buffer.index], np.uint8))

    def _free(self) -> None:
        # A map is freed with the last array over it.
        self._maps, self._free_numbers = [], []


def _request(device: Device, memory: int, count: int) -> int:
    wanted = api.BufferRequest(count=count, type=api.VIDEO_CAPTURE, memory=memory)
    api.REQUEST_BUFFERS(device.fd, wanted)
    return min(wanted.count, count)


def _user_buffer(number: int, memory: npt.NDArray[np.uint8]) -> api.Buffer:
    buffer = api.Buffer(index=number, type=api.VIDEO_CAPTURE, memory=api.MEMORY_USERPTR, length=len(memory))
    buffer.m.userptr = int(memory.ctypes.data)
    return buffer


def _captured(buffer: api.Buffer, frame: LoanedFrame | None, memory: npt.NDArray[np.uint8] | None) -> Captured:
    now = monotonic_ns()
    stamp = buffer.seconds * 1_000_000_000 + buffer.microseconds * 1000
    is_monotonic = buffer.flags & api.BUFFER_CLOCK_MASK == api.BUFFER_CLOCK_MONOTONIC
    is_plausible = is_monotonic and 0 <= now - stamp < _PLAUSIBLE
    return Captured(
        frame,
        memory,
        buffer.bytesused,
        bool(buffer.flags & api.BUFFER_ERROR),
        stamp if is_plausible else now,
        buffer.sequence,
    )
