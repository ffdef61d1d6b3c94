"""Arrays of a received frame are read-only and keep its memory, which is freed with the last array."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

from gst_iceoryx2.errors import FrameReleasedError
from gst_iceoryx2.video import Qos, VideoFramePublisher, VideoFrameSubscriber
from tests.interrupts import python_calls
from tests.waiting import arrived, wait_until


def picture(value: int, side: int = 16) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def test_a_frame_holds_a_loan_until_it_goes(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    pub.publish(picture(1))
    frame = arrived(sub.receive())
    assert sub.stats.held == 1
    del frame
    assert sub.stats.held == 0


def test_a_frame_goes_without_python_code(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    """Ctrl-C was lost when it came while a frame was freed: Python discards exceptions in `__del__`."""
    pub.publish(picture(1))
    held = [arrived(sub.receive()).numpy_view()]
    assert python_calls(held.clear) == []
    assert sub.stats.held == 0


@pytest.mark.proves("P2")
def test_a_slice_of_a_view_keeps_the_loan(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    pub.publish(picture(7))
    part = arrived(sub.receive()).numpy_view()[3:5][::-1, 1:, 0]
    assert not part.flags.owndata
    overwrite(pub, sub)
    assert (part == 7).all()
    assert sub.stats.held == 1
    del part
    assert sub.stats.held == 0


@pytest.mark.parametrize("view", ["pixels", "planes", "numpy_view", "asarray", "slice of pixels", "dlpack"])
@pytest.mark.proves("P2")
def test_every_kind_of_view_keeps_the_loan_by_itself(
    view: str, pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    pub.publish(picture(9))
    made = {
        "pixels": lambda frame: frame.pixels,
        "planes": lambda frame: frame.planes[0],
        "numpy_view": lambda frame: frame.numpy_view(),
        "asarray": np.asarray,
        "slice of pixels": lambda frame: frame.pixels[10:20],
        # Some versions of numpy cannot export read-only arrays. The error must not leak the frame.
        "dlpack": lambda frame: _dlpack(frame.numpy_view()),
    }[view](arrived(sub.receive()))
    gc.collect()
    assert sub.stats.held == 1
    overwrite(pub, sub)
    assert set(bytes(memoryview(made).cast("B") if isinstance(made, memoryview) else made.tobytes())) == {9}
    del made
    assert sub.stats.held == 0


def _dlpack(array: np.ndarray) -> np.ndarray:
    try:
        return np.from_dlpack(array)
    except BufferError:
        return array


def overwrite(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    """Send more frames than there are chunks, so that every free chunk is overwritten."""
    for value in range(100, 140):
        pub.publish(picture(value))
        while (frame := sub.receive()) is not None:
            frame.release()


@pytest.mark.proves("P1")
def test_views_are_read_only_and_stay_so(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    """Shared memory is mapped read-only, so a write would raise SIGSEGV, not an exception."""
    pub.publish(picture(1))
    frame = arrived(sub.receive())
    views = [frame.numpy_view(), np.asarray(frame), frame.planes[0], frame.numpy_view()[1:], np.asarray(frame.pixels)]
    for view in views:
        assert not view.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            view.flags.writeable = True
        with pytest.raises(ValueError, match="read-only"):
            view[...] = 0
    assert frame.pixels.readonly
    with pytest.raises(TypeError, match="read-only"):
        frame.pixels[0] = 0


@pytest.mark.proves("P2")
def test_a_view_outlives_frame_subscriber_and_publisher(service: str) -> None:
    pub = VideoFramePublisher(service)
    sub = VideoFrameSubscriber(service)
    pub.publish(picture(42))
    view = arrived(sub.receive()).numpy_view()
    sub.close()
    # Without its port the publisher would take the held frame back and overwrite it.
    for value in range(100, 160):
        pub.publish(picture(value))
    assert (view == 42).all()
    pub.close()
    ledger = sub
    del pub
    assert (view == 42).all()
    assert ledger.stats.held == 1
    del view
    assert ledger.stats.held == 0


def test_after_release_the_frame_is_of_no_use_and_its_views_still_are(
    pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    pub.publish(picture(5), pts=77)
    frame = arrived(sub.receive())
    view = frame.numpy_view()
    frame.release()
    frame.release()
    for use in (frame.numpy_view, lambda: frame.pixels, lambda: frame.planes, lambda: np.asarray(frame), frame.to_rgb):
        with pytest.raises(FrameReleasedError, match="released"):
            use()
    assert (view == 5).all()
    assert sub.stats.held == 1
    assert (frame.pts, frame.width, frame.format) == (77, 16, "BGR")
    assert "released" in repr(frame)


def test_leaving_a_with_block_releases_the_frame(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    pub.publish(picture(5))
    with arrived(sub.receive()) as frame:
        assert sub.stats.held == 1
    assert sub.stats.held == 0
    with pytest.raises(FrameReleasedError):
        frame.numpy_view()


def test_a_view_made_twice_is_the_same_memory(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    pub.publish(picture(5))
    frame = arrived(sub.receive())
    assert np.shares_memory(frame.numpy_view(), frame.planes[0])
    assert frame.numpy_view().ctypes.data == np.asarray(frame.pixels).ctypes.data


def test_the_last_view_may_go_in_any_thread(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    pub.publish(picture(5))
    views = [arrived(sub.receive()).numpy_view()]
    thread = threading.Thread(target=views.clear)
    thread.start()
    thread.join()
    assert sub.stats.held == 0


def test_a_frame_can_be_referred_to_weakly(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    pub.publish(picture(5))
    frame = arrived(sub.receive())
    reference = weakref.ref(frame)
    assert reference() is frame
    del frame
    assert reference() is None


@pytest.mark.proves("M4")
def test_held_frames_do_not_change_while_the_publisher_goes_on(service: str) -> None:
    with (
        VideoFramePublisher(service, qos=Qos(buffer_size=2, borrowed_max=6)) as pub,
        VideoFrameSubscriber(service) as sub,
    ):
        pub.wait_for_subscribers()
        held = []
        for value in range(6):
            pub.publish(picture(value, 64))
            held.append(arrived(sub.receive()).numpy_view())
        for value in range(6, 250):
            pub.publish(picture(value, 64))
        assert [int(view.min()) for view in held] == [int(view.max()) for view in held] == list(range(6))


def test_loans_come_back_to_the_publisher(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    """A thousand frames fit through 24 chunks only if every chunk comes back."""
    for value in range(1000):
        pub.publish(picture(value % 256))
        assert (arrived(sub.receive()).numpy_view() == value % 256).all()
    assert pub.stats == (1000, 0)
    assert sub.stats[:2] == (1000, 0)


def test_the_shared_memory_goes_when_the_last_view_does(service: str, domain: object) -> None:
    pub = VideoFramePublisher(service)
    sub = VideoFrameSubscriber(service)
    pub.publish(picture(1))
    view = arrived(sub.receive()).numpy_view()
    pub.close()
    sub.close()
    assert domain.leftovers()  # type: ignore[attr-defined]
    del view
    wait_until(lambda: not domain.leftovers())  # type: ignore[attr-defined]
