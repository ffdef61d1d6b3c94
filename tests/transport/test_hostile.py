"""A publisher breaks every rule of SPEC.md section 7. Its frames are dropped, counted and logged once per rule."""

from __future__ import annotations

import ctypes
import logging
import struct
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from gst_iceoryx2._wire.auxblob import MAX_AUX
from gst_iceoryx2._wire.header import NONE_U64
from gst_iceoryx2._wire.metas import encode_meta
from gst_iceoryx2.video import (
    HEADER_FLAG_EOS,
    CustomMeta,
    ReferenceTimestamp,
    VideoFrameHeader,
    VideoFrameSubscriber,
    build_aux,
)
from gst_iceoryx2.video._segments import shared_mapping
from tests.pictures import noise
from tests.processes.children import Child
from tests.transport.raw import RawPublisher
from tests.transport.toggling import NUMBERS, TEXTS
from tests.waiting import arrived, wait_until

WIDTH, HEIGHT = 16, 8
PIXELS = noise(WIDTH * HEIGHT * 3 // 2)


def header() -> VideoFrameHeader:
    """Return a valid NV12 frame without an aux blob, for a test to break in one place."""
    sound = VideoFrameHeader()
    sound.pts = sound.dts = sound.duration = sound.offset = NONE_U64
    sound.width, sound.height, sound.n_planes = WIDTH, HEIGHT, 2
    sound.stride[:2] = [WIDTH, WIDTH]
    sound.plane_offsets[:2] = [0, WIDTH * HEIGHT]
    sound.format_name = "NV12"
    return sound


Break = Callable[[VideoFrameHeader], None]


def setting(**values: int) -> Break:
    def change(of: VideoFrameHeader) -> None:
        for name, value in values.items():
            setattr(of, name, value)

    return change


def entry(array: str, index: int, value: int) -> Break:
    return lambda of: getattr(of, array).__setitem__(index, value)


def format_bytes(raw: bytes) -> Break:
    return lambda of: ctypes.memmove(ctypes.addressof(of) + 88, raw, 16)


BROKEN: dict[str, tuple[Break, int, str]] = {
    "aux beyond the payload": (setting(aux_size=193), 192, "aux-size"),
    "aux far beyond the payload": (setting(aux_size=2**32 - 1), 192, "aux-size"),
    "end of stream with aux beyond the payload": (setting(aux_size=2, flags=HEADER_FLAG_EOS), 1, "aux-size"),
    "format without NUL": (format_bytes(b"N" * 16), 192, "format"),
    "format of nothing": (format_bytes(b"\0" * 16), 192, "format"),
    "format not ASCII": (format_bytes(b"NV\xff2".ljust(16, b"\0")), 192, "format"),
    "format unknown": (format_bytes(b"NV99".ljust(16, b"\0")), 192, "format"),
    "no width": (setting(width=0), 192, "size"),
    "no height": (setting(height=0), 192, "size"),
    "width too large": (setting(width=32769), 192, "size"),
    "height too large": (setting(height=2**32 - 1), 192, "size"),
    "no pixels": (setting(aux_size=192), 192, "size"),
    "no planes": (setting(n_planes=0), 192, "planes"),
    "another format's planes": (setting(n_planes=3), 192, "planes"),
    "planes beyond the arrays": (setting(n_planes=5), 192, "planes"),
    "stride below a row": (entry("stride", 0, WIDTH - 1), 192, "stride"),
    "stride 0 of the second plane": (entry("stride", 1, 0), 192, "stride"),
    "stride that overflows": (entry("stride", 0, 2**32 - 1), 192, "bounds"),
    "offset beyond the pixels": (entry("plane_offsets", 1, 192), 192, "bounds"),
    "offset that overflows": (entry("plane_offsets", 1, 2**32 - 1), 192, "bounds"),
    "one byte missing": (lambda of: None, 191, "bounds"),
    "pixels eaten by the aux blob": (setting(aux_size=1), 192, "bounds"),
    "larger than it has bytes": (setting(width=32768, height=32768), 192, "stride"),
}

CAPS_GOOD = "video/x-raw, format=(string)NV12, width=(int)16, height=(int)8"
CAPS_BAD = {
    "another format": CAPS_GOOD.replace("NV12", "BGR"),
    "another width": CAPS_GOOD.replace("16", "17"),
    "another height": CAPS_GOOD.replace("8", "9"),
    "no size": "video/x-raw, format=(string)NV12",
    "a list": CAPS_GOOD.replace("(int)16", "{ (int)16, (int)17 }"),
    "a range": CAPS_GOOD.replace("(int)16", "[ 1, 100 ]"),
    "not raw video": CAPS_GOOD.replace("x-raw", "x-h264"),
    "memory of a GPU": CAPS_GOOD.replace("x-raw", "x-raw(memory:DMABuf)"),
    "no caps": "]]]]",
    "too deep": "video/x-raw, a=" + "{" * 100_000 + "}" * 100_000,
    "too long": CAPS_GOOD + ", note=(string)" + "x" * 17_000,
}


@pytest.fixture
def raw(service: str) -> Iterator[RawPublisher]:
    publisher = RawPublisher(service, 1 << 20, buffer_size=10)
    yield publisher
    publisher.close()


@pytest.fixture
def victim(service: str, raw: RawPublisher) -> Iterator[VideoFrameSubscriber]:
    with VideoFrameSubscriber(service) as sub:
        yield sub


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.proves("H1")
def test_a_broken_header_is_dropped_and_the_stream_goes_on(
    case: str, service: str, raw: RawPublisher, victim: VideoFrameSubscriber, caplog: pytest.LogCaptureFixture
) -> None:
    change, size, rule = BROKEN[case]
    broken = header()
    change(broken)
    for _ in range(3):
        raw.send(broken, PIXELS[:1] * size)
        raw.send(header(), PIXELS)
        frame = arrived(victim.receive())
        assert bytes(frame.pixels) == PIXELS
        assert victim.receive() is None
    stats = victim.stats
    assert (stats.invalid, stats.received) == (3, 3)
    # The valid frame that is still held.
    assert stats.held == 1
    (line,) = faults(caplog)
    assert rule in line
    assert service in line


@pytest.mark.parametrize("case", CAPS_BAD)
def test_caps_that_are_wrong_are_dropped_and_the_stream_goes_on(
    case: str, raw: RawPublisher, victim: VideoFrameSubscriber, caplog: pytest.LogCaptureFixture
) -> None:
    for caps in (CAPS_GOOD, CAPS_BAD[case], CAPS_GOOD, CAPS_BAD[case]):
        aux = build_aux(caps, [])
        with_caps = header()
        with_caps.aux_size = len(aux)
        raw.send(with_caps, PIXELS + aux)
    assert arrived(victim.receive()).caps == CAPS_GOOD
    assert arrived(victim.receive()).caps == CAPS_GOOD
    assert victim.receive() is None
    assert (victim.stats.invalid, victim.stats.received) == (2, 2)
    (line,) = faults(caplog)
    assert "caps" in line
    assert len(line) < 500


@pytest.mark.proves("H1")
def test_a_fault_of_another_kind_gets_a_line_of_its_own(
    raw: RawPublisher, victim: VideoFrameSubscriber, caplog: pytest.LogCaptureFixture
) -> None:
    for width in range(40_000, 40_010):
        raw.send(wide(width), PIXELS)
        raw.send(planes(3 + width % 2), PIXELS)
        assert victim.receive() is None
    assert victim.stats.invalid == 20
    assert len(faults(caplog)) == 2


def wide(width: int) -> VideoFrameHeader:
    broken = header()
    broken.width = width
    return broken


def planes(count: int) -> VideoFrameHeader:
    broken = header()
    broken.n_planes = count
    return broken


def test_names_made_up_by_a_sender_do_not_fill_the_log(
    raw: RawPublisher, victim: VideoFrameSubscriber, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(300):
        broken = header()
        broken.format_name = f"F{chr(65 + number % 26)}{chr(65 + number // 26)}"
        raw.send(broken, PIXELS)
        assert victim.receive() is None
    assert victim.stats.invalid == 300
    assert len(faults(caplog)) == 1


def test_a_queue_full_of_broken_frames_hides_no_sound_one(raw: RawPublisher, victim: VideoFrameSubscriber) -> None:
    for _ in range(50):
        raw.send(wide(0), PIXELS)
    raw.send(header(), PIXELS)
    frame = arrived(victim.receive_blocking(60_000))
    assert bytes(frame.pixels) == PIXELS


@pytest.mark.proves("H10")
def test_a_header_that_changes_after_it_was_judged_changes_nothing(
    raw: RawPublisher, victim: VideoFrameSubscriber
) -> None:
    """The publisher can still write to the header, so a received header must be a private copy."""
    loan = raw.publisher.loan_slice_uninit(len(PIXELS))
    ctypes.memmove(loan.payload_ptr, PIXELS, len(PIXELS))
    address = loan.user_header_ptr
    ctypes.memmove(address, bytes(header()), 104)
    loan.assume_init().send()
    frame = arrived(victim.receive())
    ctypes.memset(address, 0xFF, 104)
    assert frame.header.format_name == "NV12"
    assert [plane.shape for plane in frame.planes] == [(8, 16), (4, 8, 2)]
    assert (frame.width, frame.height, frame.flags) == (16, 8, 0)


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\1",
        b"\xff\xff\xff\xff",
        struct.pack("<I", 100) + b"short",
        struct.pack("<II", 0, 2**32 - 1),
        struct.pack("<III", 0, 1, 2**32 - 1),
        struct.pack("<IIII", 0, 2, 0, 5) + b"abc",
        build_aux(None, [b"\xff" * 40, b"", b"\0" * 9]),
        build_aux(None, [encode_meta(ReferenceTimestamp("timestamp/x-unix", 1))[:-5]]),
        b"\3\0\0\0\xff\xfe\xfd" + struct.pack("<I", 0),
        noise(500),
        build_aux(None, [encode_meta(CustomMeta("SomeMeta", {"a": 1}))] * 1000),
    ],
)
def test_a_blob_of_nonsense_harms_neither_the_frame_nor_the_reader(
    blob: bytes, raw: RawPublisher, victim: VideoFrameSubscriber
) -> None:
    with_aux = header()
    with_aux.aux_size = len(blob)
    raw.send(with_aux, PIXELS + blob)
    frame = arrived(victim.receive())
    assert bytes(frame.pixels) == PIXELS
    assert frame.caps is None
    assert bytes(frame.aux) == blob
    assert len(frame.metas) == len(frame.parse_aux().metas) <= 64
    assert (frame.captured_at, frame.age, frame.sequence) == (None, None, None)


def test_the_end_of_a_stream_needs_no_geometry(raw: RawPublisher, victim: VideoFrameSubscriber) -> None:
    end = VideoFrameHeader()
    end.flags = HEADER_FLAG_EOS | 0xFFFFFFFF
    raw.send(end, b"\0")
    frame = arrived(victim.receive())
    assert frame.is_eos()
    assert frame.numpy_view().shape == (0, 0, 0)


def test_tiled_formats_are_checked_for_their_offsets_and_have_no_arrays(
    raw: RawPublisher, victim: VideoFrameSubscriber
) -> None:
    tiled = header()
    tiled.format_name = "NV12_64Z32"
    raw.send(tiled, PIXELS)
    frame = arrived(victim.receive())
    assert bytes(frame.pixels) == PIXELS
    for use in (lambda: frame.planes, frame.numpy_view, frame.to_rgb, lambda: np.asarray(frame)):
        with pytest.raises(NotImplementedError, match="is tiled"):
            use()
    tiled.plane_offsets[1] = 10_000
    raw.send(tiled, PIXELS)
    assert victim.receive() is None
    assert victim.stats.invalid == 1


@pytest.fixture
def writer(service: str, request: pytest.FixtureRequest) -> Iterator[Child]:
    """A second process that keeps writing to the frames that it sent."""
    child = Child("send_and_toggle", service, list(request.param), acts="tests.transport.toggling")
    child.told()
    yield child
    assert child.process.stdin is not None
    child.process.stdin.close()
    assert child.ends() == 0, child.complaint()
    child.close()


@pytest.mark.parametrize("writer", [TEXTS, NUMBERS], ids=["texts", "numbers"], indirect=True)
@pytest.mark.proves("H10")
def test_frames_that_change_while_they_are_read_harm_nobody(service: str, writer: Child) -> None:
    """The number of bytes in iceoryx2's header was trusted: SIGSEGV."""
    with VideoFrameSubscriber(service) as sub:
        while sub.stats.invalid < 50:
            frame = arrived(sub.receive_blocking(60_000))
            if frame.is_eos():
                continue
            assert frame.planes[0].shape == (8, 16)
            assert len(frame.pixels) >= 128
            assert frame.caps is None or frame.caps.startswith("video/x-raw, format=(string)GRAY8")
            assert len(frame.metas) <= 1
            del frame
        assert sub.stats.received > 0


NUMBERS_OF_BYTES = {
    "one more than the memory has": lambda room: room + 1,
    "a tebibyte": lambda room: 1 << 40,
    "beyond a pointer": lambda room: 1 << 63,
    "the largest number": lambda room: 2**64 - 1,
    "what wraps an address": lambda room: 2**64 - (1 << 32),
}


@pytest.mark.parametrize("case", NUMBERS_OF_BYTES)
@pytest.mark.proves("H11")
def test_a_number_of_bytes_beyond_the_publishers_memory_is_refused(
    case: str, raw: RawPublisher, victim: VideoFrameSubscriber, caplog: pytest.LogCaptureFixture
) -> None:
    """iceoryx2's own header lies in the publisher's memory, too, and was read unchecked: SIGSEGV."""
    raw.send(header(), PIXELS)
    frame = arrived(victim.receive())
    address = frame._memory._address  # type: ignore[union-attr]
    room = shared_mapping(address).end - address
    for number in (NUMBERS_OF_BYTES[case](room), len(PIXELS)):
        raw.send(header(), PIXELS, number=number)
    assert bytes(arrived(victim.receive()).pixels) == PIXELS
    assert (victim.stats.invalid, victim.stats.received) == (1, 2)
    (line,) = faults(caplog)
    assert "length: the payload is" in line


@pytest.mark.proves("H11")
def test_memory_is_told_apart_by_its_publisher(service: str) -> None:
    """The memory of a previous publisher may have been larger at the same address."""
    with VideoFrameSubscriber(service) as sub:
        for invalid, max_len in enumerate((1 << 20, 1 << 12, 1 << 14), 1):
            raw = RawPublisher(service, max_len, buffer_size=10)
            wait_until(lambda: sub.receive() is None and sub.is_connected)
            for number in (None, 1 << 23 if invalid > 1 else 1 << 40, None):
                raw.send(header(), PIXELS, number=number)
            for _ in range(2):
                frame = arrived(sub.receive_blocking(60_000))
                assert bytes(frame.pixels) == PIXELS
                del frame
            assert sub.stats.invalid == invalid
            raw.close()
            wait_until(lambda: sub.receive() is None and not sub.is_connected)


def test_of_a_blob_no_more_is_copied_than_can_be_read(service: str) -> None:
    """The publisher chooses the size of the blob, and each held frame has a copy of it."""
    raw = RawPublisher(service, 1 << 24, buffer_size=10)
    with VideoFrameSubscriber(service) as sub:
        blob = build_aux(CAPS_GOOD, [b"\xff" * (3 << 20)])
        with_aux = header()
        with_aux.aux_size = len(blob)
        raw.send(with_aux, PIXELS + blob)
        frame = arrived(sub.receive())
        assert frame.caps == CAPS_GOOD
        assert len(frame.aux) == MAX_AUX
        assert bytes(frame.pixels) == PIXELS
        del frame
    raw.close()
