"""Loans, refused arguments, exhausted memory, and the counters of publishers."""

from __future__ import annotations

import gc
import threading
import time

import numpy as np
import pytest

from gst_iceoryx2.errors import (
    BorrowLimitError,
    ClosedError,
    FormatError,
    FrameReleasedError,
    FrameTimeoutError,
    OutOfSharedMemoryError,
    QosError,
    UnsupportedViewError,
)
from gst_iceoryx2.video import FrameParams, LoanedFrame, Qos, VideoFramePublisher, VideoFrameSubscriber, _pool, _sender
from tests.transport import raw
from tests.waiting import arrived, wait_until


def picture(value: int = 0, side: int = 8) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


@pytest.mark.proves("P5")
def test_a_loan_is_sent_on_leaving_the_block(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    with pub.loan(8, 6, "BGR") as loan:
        loan.numpy_view()[...] = 3
        loan.pts, loan.dts, loan.duration, loan.offset = 1, 2, 3, 4
        assert sub.receive() is None
    frame = arrived(sub.receive())
    assert (frame.numpy_view() == 3).all()
    assert (frame.pts, frame.dts, frame.duration, frame.offset) == (1, 2, 3, 4)
    assert repr(loan) == "<LoanedFrame 8x6 BGR, sent>"


@pytest.mark.proves("P5")
def test_a_loan_is_shared_memory_and_not_a_copy(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    """A slice of a loan stays writable. What it writes after sending appears in the received frame."""
    with pub.loan(8, 6) as loan:
        loan.numpy_view()[...] = 3
        part = loan.numpy_view()[:1]
    frame = arrived(sub.receive())
    part[...] = 4
    assert (frame.numpy_view()[0] == 4).all()
    assert (frame.numpy_view()[1:] == 3).all()


@pytest.mark.proves("P5")
def test_a_loan_goes_back_on_an_exception(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    for _ in range(100):  # More loans than there is memory for.
        with pytest.raises(RuntimeError, match="no picture"):
            fill_and_fail(pub)
    assert sub.receive() is None
    assert pub.stats == (0, 0)


def fill_and_fail(pub: VideoFramePublisher) -> None:
    with pub.loan(8, 6) as loan:
        loan.numpy_view()[...] = 1
        raise RuntimeError("no picture")


def test_a_loan_that_is_forgotten_goes_back(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    for _ in range(100):
        pub.loan(8, 6)
    gc.collect()
    assert sub.receive() is None


def test_a_loan_can_be_sent_or_discarded_by_hand(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    with pub.loan(8, 6) as loan:
        assert loan.send() == 1
    with pub.loan(8, 6) as loan:
        loan.discard()
        loan.discard()
    assert sub.receive() is not None
    assert sub.receive() is None
    with pytest.raises(FrameReleasedError, match="discarded"):
        loan.send()


def test_after_sending_the_arrays_of_a_loan_are_read_only(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    with pub.loan(8, 6, "NV12") as loan:
        arrays = [*loan.planes, loan.bytes(), np.asarray(loan.planes[0])]
        for array in arrays:
            array[...] = 5
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 6
    for use in (lambda: loan.planes, loan.bytes, loan.numpy_view, loan.send, lambda: loan.__enter__()):
        with pytest.raises(FrameReleasedError, match="sent"):
            use()
    frame = arrived(sub.receive())
    assert all((plane == 5).all() for plane in frame.planes)


def test_arrays_of_a_loan_stay_readable_after_publisher_and_service_are_gone(service: str) -> None:
    with VideoFramePublisher(service) as pub:
        with pub.loan(640, 480) as loan:
            view = loan.numpy_view()
            view[...] = 9
        del loan
    del pub
    gc.collect()
    assert (view == 9).all()


def test_a_kept_array_of_a_loan_does_not_occupy_the_publishers_place(service: str) -> None:
    with VideoFramePublisher(service) as pub, pub.loan(8, 6) as loan:
        view = loan.numpy_view()
    with VideoFramePublisher(service) as pub:
        assert pub.publish(picture()) == 0
    del view


def test_numpy_view_of_a_planar_loan_says_what_to_use(pub: VideoFramePublisher) -> None:
    with pub.loan(8, 6, "I420") as loan:
        with pytest.raises(UnsupportedViewError, match=r"use \.planes"):
            loan.numpy_view()
        loan.discard()


def test_asarray_of_a_loan_is_its_memory(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    with pub.loan(8, 6) as loan:
        np.asarray(loan)[...] = 7
        with pytest.raises(ValueError, match="cannot view"):
            np.asarray(loan, dtype=np.float32)
    frame = arrived(sub.receive())
    assert (frame.numpy_view() == 7).all()


def test_loans_of_several_threads_are_sent_whole(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    def work(value: int) -> None:
        for _ in range(50):
            with pub.loan(32, 32) as loan:
                loan.numpy_view()[...] = value

    threads = [threading.Thread(target=work, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    received = 0
    while received < 200 and (frame := sub.receive_blocking(2000)) is not None:
        assert frame.numpy_view().min() == frame.numpy_view().max()
        received = (frame.sequence or 0) + 1
    for thread in threads:
        thread.join()
    assert pub.stats == (200, 0)


def test_a_loan_that_was_begun_before_the_memory_grew_is_sent(
    pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    with pub.loan(8, 6) as small:
        small.numpy_view()[...] = 3
        with pub.loan(1920, 1080) as large:
            large.numpy_view()[...] = 4
    frames = [sub.receive(), sub.receive()]
    assert [frame and frame.width for frame in frames] == [1920, 8]
    assert [bool(frame and (frame.numpy_view() == value).all()) for frame, value in zip(frames, (4, 3), strict=True)]
    assert [frame and frame.sequence for frame in frames] == [0, 1]


@pytest.mark.parametrize(
    ("array", "format", "words"),
    [
        (np.zeros((4, 6, 4), np.uint8), "BGR", r"BGR at 6x4 needs uint8 \(4, 6, 3\), but got uint8 \(4, 6, 4\)"),
        (np.zeros((4, 6, 3), np.uint16), "BGR", r"uint8 \(4, 6, 3\), but got uint16"),
        (np.zeros((4, 6), np.uint8), "BGR", r"but got uint8 \(4, 6\)"),
        (np.zeros((4, 6), np.uint8), "NV12", r"uint8 \(4, 6\) and uint8 \(2, 3, 2\), but got uint8 \(4, 6\)"),
        (np.zeros((4, 6, 3), np.uint8), "BRG", "did you mean"),
        (np.zeros((4, 6, 3), np.uint8), "NV12_64Z32", "tiled or uses a palette"),
        (np.zeros((4, 16), np.uint8), "v210", "pass width="),
        (np.zeros((0, 6, 3), np.uint8), "BGR", r"shape \(0, 6, 3\) is not a picture"),
        (np.zeros(6, np.uint8), "BGR", "is not a picture"),
        ((), "BGR", "is not a picture"),
    ],
)
def test_arrays_that_are_no_such_picture_are_refused(
    array: np.ndarray, format: str, words: str, pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    with pytest.raises(FormatError, match=words) as caught:
        pub.publish(array, format=format)
    assert isinstance(caught.value, ValueError)
    assert sub.receive() is None
    assert pub.stats == (0, 0)


@pytest.mark.parametrize(
    ("pixels", "params", "words"),
    [
        (b"x" * 71, FrameParams(6, 4), "is 72 bytes, but got 71"),
        (b"x" * 68, FrameParams(6, 4), "is 72 bytes, but got 68"),
        (b"x" * 73, FrameParams(6, 4), "is 72 bytes, but got 73"),
        (b"x" * 48, FrameParams(6, 4, "NV12"), "is 36 bytes, but got 48; .* stride0"),
        (b"x" * 72, FrameParams(6, 4, stride0=20), "rows of 20 bytes needs 78 bytes, but got 72"),
        (b"x" * 72, FrameParams(6, 4, stride0=17), "stride0 is 17"),
        (b"x" * 72, FrameParams(6, 4, n_planes=2), "has 1 planes, but n_planes is 2"),
        (b"x" * 36, FrameParams(6, 4, "NV12", n_planes=3), "has 2 planes, but n_planes is 3"),
        (b"x" * 36, FrameParams(0, 4), "0x4"),
        (b"x" * 36, FrameParams(40000, 4), "40000x4"),
        (b"x" * 36, FrameParams(6, 4, "bgr"), "did you mean 'BGR'"),
        (np.zeros((4, 12, 3), np.uint8)[:, ::2], FrameParams(6, 4), r"use publish\(\)"),
        ("text", FrameParams(6, 4), "not contiguous in memory"),
        (b"x" * 72, FrameParams(6, 4, pts=-1), "pts -1"),
        (b"x" * 72, FrameParams(6, 4, offset=2**64), "offset 18446744073709551616"),
    ],
)
def test_raw_bytes_that_do_not_fit_are_refused_with_numbers(
    pixels: object, params: FrameParams, words: str, pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    with pytest.raises(FormatError, match=words):
        pub.publish_frame(pixels, params)
    assert sub.receive() is None


def test_the_padding_of_the_last_row_may_be_missing(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    pub.publish_frame(b"x" * 78, FrameParams(6, 4, stride0=20))
    frame = arrived(sub.receive())
    assert frame.numpy_view().strides == (20, 3, 1)


def test_a_frame_that_is_refused_takes_no_number(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    pub.publish(picture())
    with pytest.raises(FormatError):
        pub.publish(picture(), pts=-1)
    with pytest.raises(FormatError, match="captured_at"):
        pub.publish(picture(), captured_at=-1)
    pub.publish(picture())
    assert [sub.receive().sequence for _ in range(2)] == [0, 1]  # type: ignore[union-attr]
    assert sub.receive() is None


@pytest.mark.parametrize(
    "arguments",
    [{"max_bytes": -1}, {"max_frames": -1}, {"aux_bytes": -1}, {"max_subscribers": 0}, {"max_publishers": 0}],
)
def test_settings_below_their_least_value_are_refused(arguments: dict[str, int], service: str) -> None:
    """Zero subscribers would abort the process inside iceoryx2 0.10.0."""
    (name,) = arguments
    with pytest.raises(ValueError, match=f"{name} is"):
        VideoFramePublisher(service, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [
        {"caps": "video/x-raw("},
        {"caps": "audio/x-raw, rate=(int)48000"},
        {"caps": "video/x-raw(memory:DMABuf)"},
        {"framerate": "fast"},
        {"framerate": -1},
        {"framerate": "1/0"},
        {"framerate": float("inf")},
    ],
)
def test_caps_without_a_form_are_refused(arguments: dict[str, str], service: str) -> None:
    with pytest.raises(FormatError, match="cannot publish with caps"):
        VideoFramePublisher(service, **arguments)  # type: ignore[arg-type]


def test_lossless_is_refused_with_a_sentence(service: str) -> None:
    with pytest.raises(QosError, match=r"cannot be lossless .* iceoryx2sink lossless=true") as caught:
        VideoFramePublisher(service, lossless=True)
    assert service in str(caught.value)


@pytest.mark.proves("L14")
def test_a_listener_that_does_not_connect_costs_its_time_once(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that is not a reader looks like a waiting reader. Only the first port waits for it."""
    listener = raw.event_service(raw.node(), service).listener_builder().create()
    waits: list[float] = []
    sleep = time.sleep

    def counting(seconds: float) -> None:
        if seconds == _sender._CONNECTING_STEP:
            waits.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", counting)
    with VideoFramePublisher(service) as pub:
        pub.publish(picture())
        assert waits
        waits.clear()
        for number in range(5):
            # Each frame is larger and takes another port.
            pub.publish(picture(side=600 + 200 * number))
        assert waits == []
    del listener


@pytest.mark.proves("L14")
def test_closing_ends_the_wait_for_readers_to_connect(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other threads run during the wait: this thread closes the publisher."""
    monkeypatch.setattr(_sender, "_CONNECTING", 60.0)
    listener = raw.event_service(raw.node(), service).listener_builder().create()
    pub = VideoFramePublisher(service)
    ended: list[str] = []

    def publish() -> None:
        with pytest.raises(ClosedError):
            pub.publish(np.zeros((8, 8, 3), np.uint8))
        ended.append("ClosedError")

    thread = threading.Thread(target=publish)
    # The publisher's own arrival was notified.
    wait_until(lambda: not listener.try_wait())
    thread.start()
    wait_until(listener.try_wait)
    pub.close()
    thread.join(30)
    assert ended == ["ClosedError"]


def test_a_closed_publisher_says_so(service: str) -> None:
    pub = VideoFramePublisher(service)
    loan = pub.loan(8, 6)
    pub.close()
    pub.close()
    assert pub.is_closed
    uses = (
        lambda: pub.publish(picture()),
        lambda: pub.loan(8, 6),
        pub.end_of_stream,
        lambda: pub.num_subscribers,
        pub.wait_for_subscribers,
        loan.send,
    )
    for use in uses:
        with pytest.raises(ClosedError, match=service):
            use()
    assert "closed" in repr(pub)


def test_waiting_for_subscribers_ends_when_they_are_there(service: str, pub: VideoFramePublisher) -> None:
    assert pub.num_subscribers == 0
    subs: list[VideoFrameSubscriber] = []
    timer = threading.Timer(0.05, lambda: subs.extend(VideoFrameSubscriber(service) for _ in range(2)))
    timer.start()
    assert pub.wait_for_subscribers(2, timeout=60) == 2
    timer.join()
    subs.pop().close()
    assert pub.num_subscribers == 1
    subs.pop().close()
    assert pub.num_subscribers == 0


def test_waiting_for_subscribers_gives_up_in_words(service: str, pub: VideoFramePublisher) -> None:
    with pytest.raises(FrameTimeoutError, match=r"0 of 3 subscribers .* after 0\.02 s") as caught:
        pub.wait_for_subscribers(3, timeout=0.02)
    assert isinstance(caught.value, TimeoutError)
    assert service in str(caught.value)


@pytest.mark.proves("M6")
def test_hoarding_subscribers_starve_nobody(service: str) -> None:
    """Seven that hold ten frames each need far more than a publisher has at first."""
    with VideoFramePublisher(service) as pub:
        hoarders = [VideoFrameSubscriber(service) for _ in range(7)]
        with VideoFrameSubscriber(service) as sub:
            pub.wait_for_subscribers(8, timeout=60)
            held = []
            for value in range(200):
                pub.publish(picture(value), pts=value)
                frame = arrived(sub.receive())
                assert frame.pts == value
                hoarder = hoarders[value // 10 % 7]
                while (kept := keep(hoarder)) is not None:
                    held.append((kept.pts, kept.numpy_view()))
            assert pub.stats == (200, 0)
            assert len(held) == 70
            assert all((view == pts).all() for pts, view in held)
        for hoarder in hoarders:
            hoarder.close()


@pytest.mark.proves("M6")
def test_a_subscriber_that_holds_all_it_may_costs_no_other_a_frame(service: str) -> None:
    """Also with a larger buffer than usual."""
    with (
        VideoFramePublisher(service, qos=Qos(buffer_size=30, borrowed_max=20)) as pub,
        VideoFrameSubscriber(service) as hoarder,
        VideoFrameSubscriber(service) as sub,
    ):
        pub.wait_for_subscribers(2, timeout=60)
        held = []
        for value in range(100):
            assert pub.publish(picture(value), pts=value) == 2
            frame = arrived(sub.receive())
            assert frame.pts == value
            held.append(keep(hoarder))
        assert pub.stats.dropped == 0


def keep(sub: VideoFrameSubscriber) -> object:
    try:
        return sub.receive()
    except BorrowLimitError:
        return None


@pytest.mark.proves("M2")
def test_without_memory_for_more_frames_are_dropped_and_counted(service: str, caplog: pytest.LogCaptureFixture) -> None:
    with VideoFramePublisher(service, max_frames=24) as pub:
        subs = [VideoFrameSubscriber(service) for _ in range(3)]
        pub.wait_for_subscribers(3, timeout=60)
        held: list[object] = []
        for value in range(100):
            pub.publish(picture(value))
            while (frame := keep(subs[value // 10 % 3])) is not None:
                held.append(frame)
        sent, dropped = pub.stats
        assert sent + dropped == 100
        assert dropped > 0
        with pub.loan(8, 8) as loan:
            loan.numpy_view()[...] = 1
        assert pub.stats == (sent, dropped + 1)
        # One log line for the whole episode.
        (line,) = [record.message for record in caplog.records if "subscribers hold all" in record.message]
        assert "dropped: subscribers hold all 24 frames" in line
        assert pub.end_of_stream() == 0
        assert pub.end_of_stream() == 0
        del frame
        held.clear()
        for sub in subs:
            assert [frame for frame in drain(sub) if frame.is_eos()]  # type: ignore[attr-defined]
            sub.close()


def drain(sub: VideoFrameSubscriber) -> list[object]:
    """Return every frame until the end of the stream."""
    frames = []
    while not frames or not frames[-1].is_eos():
        frame = arrived(sub.receive_blocking(60_000))
        frames.append(frame)
        frame.release()
    return frames


class FreeMemory:
    f_blocks = 1 << 40
    f_frsize = 1
    f_files = 0
    f_flag = 0

    def __init__(self, size: int) -> None:
        self.f_bavail = size


def free_memory(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(_pool.os, "statvfs", lambda _: FreeMemory(size))
    monkeypatch.setattr(_pool, "_promised", lambda: 0)


def test_too_little_shared_memory_is_refused_before_it_is_written_to(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_memory(monkeypatch, 64 * 10**6)
    with pytest.raises(
        OutOfSharedMemoryError, match=r"149\.\d MB .*24 frames of 6\.2 MB.* has only 64\.0 MB free"
    ) as caught:
        VideoFramePublisher(service, max_bytes=1920 * 1080 * 3)
    assert isinstance(caught.value, MemoryError)
    assert service in str(caught.value)
    assert "--shm-size" in str(caught.value)
    with VideoFramePublisher(service) as pub:
        with pytest.raises(OutOfSharedMemoryError, match=r"149\.\d MB"):
            pub.loan(1920, 1080)
        assert pub.publish(picture()) == 0


def test_qos_values_that_cannot_be_are_refused() -> None:
    for arguments in ({"buffer_size": 0}, {"borrowed_max": 0}, {"history_size": -1}):
        with pytest.raises(ValueError, match="must be at least"):
            Qos(**arguments)
    with pytest.raises(ValueError, match="must fit into the buffer"):
        Qos(buffer_size=2, history_size=3, safe_overflow=False)


def test_loaned_frame_is_public() -> None:
    assert LoanedFrame.__module__.startswith("gst_iceoryx2.video")


def test_an_idle_publisher_does_not_keep_itself_alive(service: str) -> None:
    import weakref

    reference = weakref.ref(VideoFramePublisher(service))
    wait_until(lambda: reference() is None)
