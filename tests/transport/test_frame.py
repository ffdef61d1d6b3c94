"""Properties of a received frame, and its pixels as arrays."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gst_iceoryx2._wire.caps import parse_caps
from gst_iceoryx2.errors import UnsupportedViewError
from gst_iceoryx2.video import (
    BUFFER_FLAGS,
    CustomMeta,
    FrameParams,
    ReferenceTimestamp,
    VideoFrame,
    VideoFramePublisher,
    VideoFrameSubscriber,
    build_aux,
)
from tests import pictures
from tests.waiting import arrived


def crossed(
    pub: VideoFramePublisher, sub: VideoFrameSubscriber, format: str, width: int = 8, height: int = 6
) -> VideoFrame:
    pub.publish(pictures.planes(format, width, height), format=format)
    return arrived(sub.receive())


@pytest.mark.parametrize(
    ("format", "shape", "dtype"),
    [
        ("BGR", (6, 8, 3), "u1"),
        ("RGBA", (6, 8, 4), "u1"),
        ("xRGB", (6, 8, 4), "u1"),
        ("GRAY8", (6, 8), "u1"),
        ("GRAY16_LE", (6, 8), "<u2"),
        ("GRAY16_BE", (6, 8), ">u2"),
        ("YUY2", (6, 8, 2), "u1"),
        ("ARGB64", (6, 8, 4), "<u2"),
        ("BGR10A2_LE", (6, 8), "<u4"),
    ],
)
def test_a_single_array_format_is_seen_as_one_array(
    format: str, shape: tuple[int, ...], dtype: str, pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    frame = crossed(pub, sub, format)
    view = frame.numpy_view()
    assert (view.shape, view.dtype) == (shape, np.dtype(dtype))
    assert np.array_equal(view, pictures.planes(format, 8, 6)[0])
    assert np.array_equal(np.asarray(frame), view)


@pytest.mark.parametrize(
    ("format", "shapes", "dtype"),
    [
        ("NV12", [(6, 8), (3, 4, 2)], "u1"),
        ("I420", [(6, 8), (3, 4), (3, 4)], "u1"),
        ("P010_10LE", [(6, 8), (3, 4, 2)], "<u2"),
        ("GBR", [(6, 8)] * 3, "u1"),
    ],
)
def test_a_format_of_several_planes_has_planes_and_no_single_array(
    format: str, shapes: list[tuple[int, ...]], dtype: str, pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    frame = crossed(pub, sub, format)
    assert [plane.shape for plane in frame.planes] == shapes
    assert {plane.dtype for plane in frame.planes} == {np.dtype(dtype)}
    with pytest.raises(NotImplementedError, match=r"use \.planes, \.to_rgb\(\)") as caught:
        frame.numpy_view()
    assert isinstance(caught.value, UnsupportedViewError)
    with pytest.raises(NotImplementedError):
        np.asarray(frame)


def test_asarray_copies_when_it_is_told_to_and_only_then(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    frame = crossed(pub, sub, "BGR")
    assert np.shares_memory(np.asarray(frame), frame.numpy_view())
    copy = np.array(frame)
    assert copy.flags.writeable
    assert not np.shares_memory(copy, frame.numpy_view())
    assert np.array_equal(np.asarray(frame, dtype=np.float32), frame.numpy_view().astype(np.float32))
    assert frame.__array__(copy=True).flags.owndata
    with pytest.raises(ValueError, match="without a copy"):
        frame.__array__(np.dtype("f4"), copy=False)


def test_to_rgb_and_to_bgr_are_copies_in_the_order_they_say(
    pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    sent = pictures.planes("BGRx", 8, 6)[0]
    frame = crossed(pub, sub, "BGRx")
    rgb, bgr = frame.to_rgb(), frame.to_bgr()
    frame.release()
    assert np.array_equal(bgr, sent[..., :3])
    assert np.array_equal(rgb, sent[..., 2::-1])
    assert rgb.flags.writeable
    assert rgb.flags.c_contiguous
    assert sub.stats.held == 0


def test_to_rgb_and_to_bgr_scale_in_the_same_step(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    """Left half red, right half blue, in rows that are longer than they need to be."""
    pixels = np.zeros((8, 20, 4), np.uint8)
    pixels[:, :6, 0] = pixels[:, 6:12, 2] = 200
    pub.publish_frame(pixels.tobytes(), FrameParams(12, 8, "RGBx", stride0=80))
    with arrived(sub.receive()) as frame:
        rgb, bgr = frame.to_rgb(size=(4, 30)), frame.to_bgr((4, 30))
        assert np.array_equal(frame.to_rgb((12, 8)), frame.to_rgb())
    assert rgb.shape == (30, 4, 3)
    assert np.abs(rgb.astype(int) - np.array([[200, 0, 0]] * 2 + [[0, 0, 200]] * 2)).max() <= 1
    assert np.array_equal(bgr, rgb[..., ::-1])
    assert (rgb.flags.writeable, rgb.flags.c_contiguous) == (True, True)
    assert sub.stats.held == 0


def test_a_size_that_no_picture_can_have_is_refused(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    with crossed(pub, sub, "NV12") as frame:
        for convert in (frame.to_rgb, frame.to_bgr):
            with pytest.raises(ValueError, match=r"width of size is 0, but must be at least 1"):
                convert(size=(0, 480))
            with pytest.raises(TypeError, match=r"size is 640, but must be a pair"):
                convert(size=640)  # type: ignore[arg-type]


def test_to_rgb_follows_the_colorimetry_of_the_caps(service: str) -> None:
    planes = (np.full((4, 4), 100, np.uint8), np.full((2, 2), 90, np.uint8), np.full((2, 2), 200, np.uint8))
    colours = []
    for colorimetry in ("bt601", "bt709"):
        caps = f"video/x-raw, colorimetry=(string){colorimetry}"
        with VideoFramePublisher(service, caps=caps) as pub, VideoFrameSubscriber(service) as sub:
            pub.wait_for_subscribers(1, timeout=60)
            pub.publish(planes, format="I420")
            frame = arrived(sub.receive())
            colours.append(frame.to_rgb()[0, 0].tolist())
    assert colours[0] != colours[1]


def test_a_frame_tells_its_moments_flags_and_size(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    flags = BUFFER_FLAGS["CORRUPTED"] | BUFFER_FLAGS["INTERLACED"]
    stays_home = 1 << 4  # GST_BUFFER_FLAG_LIVE
    pub.publish(np.zeros((4, 5, 3), np.uint8), pts=1, dts=2, duration=3, offset=4, flags=flags | stays_home)
    frame = arrived(sub.receive())
    assert (frame.pts, frame.dts, frame.duration, frame.offset, frame.flags) == (1, 2, 3, 4, flags)
    assert (frame.width, frame.height, frame.format, frame.pixel_size) == (5, 4, "BGR", 60)
    assert (frame.header.pts, frame.header.flags, frame.header.width) == (1, flags, 5)
    assert not frame.is_eos()


def test_what_nobody_said_is_none(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    pub.publish(np.zeros((4, 5, 3), np.uint8))
    frame = arrived(sub.receive())
    assert (frame.pts, frame.dts, frame.duration) == (None, None, None)
    assert frame.offset == frame.sequence == 0


def test_the_header_is_a_copy_that_nothing_depends_on(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    frame = crossed(pub, sub, "BGR")
    header = frame.header
    header.width = header.stride[0] = 32768
    assert frame.header.width == 8
    assert frame.numpy_view().shape == (6, 8, 3)


def test_caps_and_metas_cross(service: str) -> None:
    metas = [
        CustomMeta("DetectionMeta", {"label": "cat", "score": 0.5, "box": (1, 2, 3, 4), "best": True}),
        ReferenceTimestamp("timestamp/x-unix", 123, 456),
    ]
    more = "video/x-raw, colorimetry=(string)bt709, pixel-aspect-ratio=(fraction)4/3"
    rate = Fraction(30000, 1001)
    with VideoFramePublisher(service, framerate=rate, caps=more) as pub, VideoFrameSubscriber(service) as sub:
        pub.wait_for_subscribers(1, timeout=60)
        pub.publish(np.zeros((4, 6, 3), np.uint8), metas=metas)
        frame = arrived(sub.receive())
        assert frame.metas == metas
        assert len(frame.parse_aux().metas) == 3
        caps = frame.caps
        assert caps == sub.caps == frame.parse_aux().caps
    assert caps is not None
    assert caps.startswith("video/x-raw, format=(string)BGR, width=(int)6, height=(int)4")
    fields = parse_caps(caps).fields
    assert fields["framerate"] == rate
    assert fields["colorimetry"] == "bt709"
    assert fields["pixel-aspect-ratio"] == Fraction(4, 3)


@pytest.mark.proves("H8")
def test_a_record_that_is_no_meta_of_ours_arrives_as_it_is(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    pub.publish(np.zeros((4, 6, 3), np.uint8), metas=[b"something else"])
    frame = arrived(sub.receive())
    assert frame.metas == [b"something else"]


def test_the_aux_blob_is_a_copy_that_outlives_the_frame(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    frame = crossed(pub, sub, "BGR")
    aux = frame.aux
    frame.release()
    assert aux.readonly
    assert bytes(aux[4:15]) == b"video/x-raw"
    assert bytes(aux)[: len(build_aux(frame.caps, []))][:-4] == build_aux(frame.caps, [])[:-4]


def test_no_aux_bytes_means_no_caps_no_time_and_no_metas(service: str) -> None:
    with VideoFramePublisher(service, aux_bytes=0, framerate=30) as pub, VideoFrameSubscriber(service) as sub:
        pub.wait_for_subscribers(1, timeout=60)
        pub.publish(np.zeros((4, 6, 3), np.uint8))
        with pub.loan(6, 4) as loan:
            loan.numpy_view()[...] = 1
        for _ in range(2):
            frame = arrived(sub.receive())
            assert frame.header.aux_size == 0
            assert (frame.caps, frame.captured_at, frame.age, frame.sequence, frame.metas) == (
                None,
                None,
                None,
                None,
                [],
            )
            assert len(frame.aux) == 0
            assert frame.numpy_view().shape == (4, 6, 3)
        with pytest.raises(ValueError, match="aux_bytes=0"):
            pub.publish(np.zeros((4, 6, 3), np.uint8), metas=[CustomMeta("SomeMeta")])


def test_metas_that_do_not_fit_a_loan_are_left_out(service: str) -> None:
    with VideoFramePublisher(service, aux_bytes=600) as pub, VideoFrameSubscriber(service) as sub:
        pub.wait_for_subscribers(1, timeout=60)
        with pub.loan(6, 4) as loan:
            loan.metas = [CustomMeta("BigMeta", {"text": "x" * 1000}), CustomMeta("SmallMeta")]
        frame = arrived(sub.receive())
        assert frame.metas == [CustomMeta("SmallMeta")]
        assert frame.captured_at is not None
        # Copied frames have room for all metas.
        pub.publish(np.zeros((4, 6, 3), np.uint8), metas=[CustomMeta("BigMeta", {"text": "x" * 1000})])
        frame = arrived(sub.receive())
        assert frame.metas == [CustomMeta("BigMeta", {"text": "x" * 1000})]


def test_the_end_of_the_stream_is_a_frame_without_a_picture(
    pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    assert pub.end_of_stream() == 1
    frame = arrived(sub.receive())
    assert frame.is_eos()
    assert frame.header.is_eos
    assert frame.numpy_view().shape == (0, 0, 0)
    assert frame.numpy_view().dtype == np.uint8
    assert (frame.width, frame.height, frame.format, frame.planes, len(frame.pixels)) == (0, 0, "", (), 0)
    assert (frame.caps, frame.captured_at, frame.metas) == (None, None, [])
    assert frame.to_rgb().shape == frame.to_rgb(size=(640, 640)).shape == (0, 0, 3)
    assert sub.stats[:2] == (0, 0)
    assert sub.stats.held == 0
    assert "end of stream" in repr(frame)


def test_a_frame_describes_itself(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    pub.publish(np.zeros((4, 6, 3), np.uint8))
    sub.receive()
    pub.publish(np.zeros((4, 6, 3), np.uint8), pts=12)
    assert repr(sub.receive()) == "<VideoFrame #1 6x4 BGR pts=12, held 1/10>"
