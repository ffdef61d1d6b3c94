"""Published frames arrive byte for byte, in every format, with their padding."""

from __future__ import annotations

import numpy as np
import pytest

from gst_iceoryx2._wire.formats import FORMATS
from gst_iceoryx2.video import SUPPORTED_FORMATS, FrameParams, VideoFramePublisher, VideoFrameSubscriber
from tests import pictures
from tests.waiting import arrived

WITH_ROWS = [name for name in SUPPORTED_FORMATS if FORMATS[name].planes]


@pytest.mark.parametrize("format", WITH_ROWS)
def test_a_padded_odd_picture_crosses_with_its_strides(
    format: str, pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    pixels, params = pictures.padded(format)
    assert pub.publish_frame(pixels, params) == 1
    frame = arrived(sub.receive())
    layout = FORMATS[format].tight_layout(params.width, params.height, params.stride0)
    assert bytes(frame.pixels) == pixels
    assert frame.header.format_name == frame.format == format
    assert (frame.width, frame.height) == (params.width, params.height)
    assert tuple(frame.header.stride[: frame.header.n_planes]) == layout.strides
    assert tuple(frame.header.plane_offsets[: frame.header.n_planes]) == layout.offsets
    for plane, stride, offset in zip(frame.planes, layout.strides, layout.offsets, strict=True):
        assert plane.strides[0] == stride
        row = FORMATS[format].row_bytes(0, params.width) if plane.nbytes == 0 else plane[-1].tobytes()
        start = offset + stride * (plane.shape[0] - 1)
        assert row == pixels[start : start + len(row)]


@pytest.mark.parametrize("format", WITH_ROWS)
def test_planes_published_as_arrays_arrive_as_the_same_arrays(
    format: str, pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    sent = pictures.planes(format)
    width = pictures.WIDTH if FORMATS[format].kind == "opaque" else None
    pub.publish(sent, format=format, width=width)
    frame = arrived(sub.receive())
    assert len(frame.planes) == len(sent)
    for ours, theirs in zip(frame.planes, sent, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("format", ["BGR", "NV12", "I420", "GRAY16_LE", "YUY2", "P010_10LE", "RGBA", "v210"])
def test_planes_filled_in_a_loan_arrive(format: str, pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    stride0 = pictures.stride_beyond(FORMATS[format], pictures.WIDTH)
    sent = pictures.planes(format)
    with pub.loan(pictures.WIDTH, pictures.HEIGHT, format, stride0=stride0) as loan:
        for target, plane in zip(loan.planes, sent, strict=True):
            target[...] = plane
    frame = arrived(sub.receive())
    assert frame.header.stride[0] == stride0
    assert [plane.tobytes() for plane in frame.planes] == [plane.tobytes() for plane in sent]


def test_an_array_of_any_strides_is_published_as_it_looks(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    base = np.frombuffer(pictures.noise(60 * 80 * 4), np.uint8).reshape(60, 80, 4)
    for seen in (base[::-1, :, :3], base[:, ::-1, 2::-1], base[::2, 1::3, :3], base[..., 1:].transpose(1, 0, 2)):
        pub.publish(seen)
        frame = arrived(sub.receive())
        assert np.array_equal(frame.numpy_view(), seen)


def test_numbers_of_the_other_byte_order_keep_their_value(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    picture = np.arange(12, dtype="<u2").reshape(3, 4)
    pub.publish(picture, format="GRAY16_BE")
    frame = arrived(sub.receive())
    assert frame.numpy_view().dtype == np.dtype(">u2")
    assert np.array_equal(frame.numpy_view(), picture)
    assert bytes(frame.pixels)[:4] == b"\0\0\0\1"


def test_a_single_channel_may_have_an_axis_of_its_own(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    pub.publish(picture, format="GRAY8")
    frame = arrived(sub.receive())
    assert np.array_equal(frame.numpy_view(), picture[..., 0])


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 3), (33, 17)])
@pytest.mark.proves("C1")
def test_small_and_odd_sizes_work_in_subsampled_formats(
    size: tuple[int, int], pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    for format in ("I420", "NV12", "Y42B", "YUY2", "Y41B", "YUV9", "P010_10LE", "A420"):
        pixels, params = pictures.padded(format, *size)
        pub.publish_frame(pixels, params)
        frame = arrived(sub.receive())
        assert bytes(frame.pixels) == pixels


def test_any_buffer_of_bytes_can_be_published(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    pixels = pictures.noise(12)
    params = FrameParams(2, 2, "BGR")
    array = np.frombuffer(pixels, np.uint8)
    for buffer in (pixels, bytearray(pixels), memoryview(pixels), array, array.reshape(2, 2, 3), array.view("<u2")):
        pub.publish_frame(buffer, params)
        frame = arrived(sub.receive())
        assert bytes(frame.pixels) == pixels


def test_more_bytes_than_the_picture_needs_are_sent_along(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    pub.publish_frame(pictures.noise(100), FrameParams(4, 2, "BGR", stride0=12))
    frame = arrived(sub.receive())
    assert bytes(frame.pixels) == pictures.noise(100)
    assert frame.numpy_view().tobytes() == pictures.noise(100)[:24]


@pytest.mark.parametrize(
    ("format", "width", "stride"), [("BGR", 1366, 4100), ("GRAY8", 641, 644), ("RGBA", 5, 64), ("v210", 9, 128)]
)
@pytest.mark.proves("C2")
def test_padded_rows_are_told_from_the_length(
    pub: VideoFramePublisher, sub: VideoFrameSubscriber, format: str, width: int, stride: int
) -> None:
    """Padded rows of 4,100 bytes were read as rows of 4,098, which sheared the picture."""
    pixels = pictures.noise(stride * 8)
    pub.publish_frame(pixels, FrameParams(width, 8, format))
    frame = arrived(sub.receive())
    assert frame.header.stride[0] == stride
    rows = np.frombuffer(pixels, np.uint8).reshape(8, stride)[:, : FORMATS[format].row_bytes(0, width)]
    assert np.array_equal(frame.planes[0].view(np.uint8).reshape(8, -1), rows)


def test_frames_of_before_a_growth_are_received_after_it(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    for number, side in enumerate((8, 300, 1000)):
        pub.publish(np.full((side, side, 3), number, np.uint8))
    received = [sub.receive() for _ in range(3)]
    assert [frame and frame.width for frame in received] == [8, 300, 1000]
    assert [frame and frame.numpy_view()[-1, -1, -1] for frame in received] == [0, 1, 2]
