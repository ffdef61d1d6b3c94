"""Frames can be pickled and copied; ports and loans cannot."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.queues import Queue
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2 import sh4lt
from gst_iceoryx2._wire.fault import Fault
from gst_iceoryx2._wire.validate import geometry_of
from gst_iceoryx2.errors import FormatError, FrameReleasedError
from gst_iceoryx2.video import (
    CustomMeta,
    FrameParams,
    Qos,
    ReferenceTimestamp,
    SinkConfig,
    VideoFrame,
    VideoFrameHeader,
    VideoFramePublisher,
    VideoFrameSubscriber,
    validate_geometry,
)
from tests import pictures
from tests.waiting import arrived

WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "pickle protocol 2": lambda thing: pickle.loads(pickle.dumps(thing, 2)),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
}
METAS = [ReferenceTimestamp("timestamp/x-unix", 123, 4), CustomMeta("Boxes", {"count": 2, "label": "a b"})]


@pytest.fixture(params=WAYS)
def copied(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return WAYS[request.param]


def told(frame: VideoFrame) -> dict[str, Any]:
    """Return all properties of a frame as plain values."""
    names = "format width height pts dts duration offset flags captured_at due_at sequence caps metas pixel_size"
    said = {name: getattr(frame, name) for name in names.split()}
    said |= {"header": bytes(frame.header), "aux": bytes(frame.aux), "parsed": frame.parse_aux()}
    return said | {"eos": frame.is_eos(), "pixels": bytes(frame.pixels), "rgb": frame.to_rgb().tolist()}


@pytest.mark.parametrize("format", ["BGR", "NV12", "P010_10LE", "v210"])
def test_a_copied_frame_says_what_the_original_says(
    format: str, copied: Callable[[Any], Any], pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    """`pickle` failed on it, and the failure printed to standard error."""
    planes = pictures.planes(format, 34, 6)
    pub.publish(planes, format=format, width=34, pts=5, dts=6, duration=7, offset=8, flags=1 << 20, metas=METAS)
    frame = arrived(sub.receive())
    twin = copied(frame)
    assert type(twin) is VideoFrame
    assert told(twin) == told(frame)
    assert [plane.tobytes() for plane in twin.planes] == [plane.tobytes() for plane in frame.planes]
    assert "copied" in repr(twin)


@pytest.mark.proves("P6")
def test_a_copied_frame_has_its_own_pixels_and_holds_nothing(
    copied: Callable[[Any], Any], pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    with pub.loan(30, 20, "BGR", stride0=96) as loan:
        loan.numpy_view()[...] = 5
    frame = arrived(sub.receive())
    twin = copied(frame)
    address = frame.numpy_view().ctypes.data
    del frame
    gc.collect()
    assert sub.stats.held == 0
    for _ in range(60):
        pub.publish(np.full((20, 30, 3), 9, np.uint8))
        sub.latest()
    view = twin.numpy_view()
    assert (view == 5).all()
    assert view.strides == (96, 3, 1)
    assert view.ctypes.data != address
    assert not view.flags.writeable
    with pytest.raises(ValueError, match="WRITEABLE"):
        view.flags.writeable = True
    assert twin.pixels.readonly
    assert np.array(twin).flags.writeable
    assert copied(twin).numpy_view().tolist() == view.tolist()


def test_a_copy_is_usable_in_a_forked_child(pub: VideoFramePublisher, sub: VideoFrameSubscriber) -> None:
    """Borrowed memory belongs to the parent process; a copy is ordinary memory."""
    pub.publish(np.full((4, 4, 3), 7, np.uint8))
    frame = arrived(sub.receive())
    twin = copy.copy(frame)
    with warnings.catch_warnings(action="ignore"):
        child = os.fork()
    if child == 0:
        try:
            os._exit(int(twin.numpy_view()[0, 0, 0]))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.proves("P6")
def test_a_released_frame_cannot_be_copied(
    copied: Callable[[Any], Any],
    pub: VideoFramePublisher,
    sub: VideoFrameSubscriber,
    capfd: pytest.CaptureFixture[str],
) -> None:
    pub.publish(np.zeros((4, 4, 3), np.uint8))
    frame = arrived(sub.receive())
    twin = copied(frame)
    for each in (frame, twin):
        each.release()
        with pytest.raises(FrameReleasedError, match="4x4 BGR"):
            copied(each)
    gc.collect()
    assert capfd.readouterr().err == ""


def test_the_end_of_the_stream_can_be_copied(
    copied: Callable[[Any], Any], pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    pub.end_of_stream()
    frame = arrived(sub.receive())
    twin = copied(frame)
    assert twin.is_eos()
    assert told(twin) == told(frame)
    assert twin.numpy_view().shape == (0, 0, 0)
    assert twin.planes == ()


def test_views_and_values_are_copied_as_usual(
    copied: Callable[[Any], Any], pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    pub.publish(np.full((4, 4, 3), 7, np.uint8), metas=METAS)
    frame = arrived(sub.receive())
    view = frame.numpy_view()
    twin = copied(view)
    assert (twin == view).all()
    assert not np.shares_memory(twin, view)
    assert bytes(copied(frame.header)) == bytes(frame.header)
    assert copied(frame.metas) == frame.metas == METAS
    values = [Qos(2, 3), SinkConfig("x", 4), FrameParams(5, 6, "NV12"), sub.stats, pub.stats, frame.parse_aux()]
    for value in values:
        assert copied(value) == value


def test_an_error_about_geometry_reaches_another_process(copied: Callable[[Any], Any]) -> None:
    """The exception has an attribute for the reason, and its constructor takes two arguments."""
    header = VideoFrameHeader()
    fault = validate_geometry(header, 10)
    assert isinstance(fault, Fault)
    assert (copied(fault), copied(fault).rule) == (fault, "format")
    with pytest.raises(FormatError) as caught:
        geometry_of(header)
    assert str(copied(caught.value)) == str(caught.value)


@pytest.mark.proves("P6")
def test_ports_and_loans_are_refused_in_words(
    copied: Callable[[Any], Any],
    pub: VideoFramePublisher,
    sub: VideoFrameSubscriber,
    service: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The error named a class of iceoryx2, or a lock."""
    loan = pub.loan(4, 4)
    for thing, instead in (
        (pub, rf"VideoFramePublisher '{service}', sent 0.*create VideoFramePublisher\('{service}'\) in the process"),
        (sub, rf"VideoFrameSubscriber '{service}'.*create VideoFrameSubscriber\('{service}'\) in the process"),
        (loan, "LoanedFrame 4x4 BGR, being filled.*copy its arrays"),
    ):
        with pytest.raises(TypeError, match=rf"^cannot pickle or copy <{instead}"):
            copied(thing)
    gc.collect()
    assert capfd.readouterr().err == ""
    loan.discard()
    pub.publish(np.zeros((4, 4, 3), np.uint8))
    assert arrived(sub.receive()).width == 4


def test_ends_of_a_path_are_refused_in_words_and_their_frames_are_copied(
    copied: Callable[[Any], Any], tmp_path: Any
) -> None:
    path = tmp_path / "s"
    with sh4lt.Writer(path, "video/x-raw, format=RGB, width=4, height=2") as writer, sh4lt.Follower(path) as follower:
        for end in (writer, follower):
            with pytest.raises(TypeError, match=f"cannot pickle or copy <{type(end).__name__} .* on the same path"):
                copied(end)
    data = np.arange(24, dtype=np.uint8)
    twin = copied(sh4lt.Frame(data, "video/x-raw, format=RGB, width=4, height=2"))
    data[:] = 0
    assert twin.numpy_view().tolist() == np.arange(24).reshape(2, 4, 3).tolist()
    assert not twin.data.flags.writeable


# -- another process -----------------------------------------------------------------------------------------------


def answer(questions: Queue[VideoFrame], answers: Queue[Any]) -> None:
    """In the child: send back each frame and its properties until the stream ends."""
    while not (frame := questions.get()).is_eos():
        answers.put((told(frame), frame))
    answers.put((told(frame), frame))


@pytest.fixture
def child() -> Iterator[tuple[Queue[VideoFrame], Queue[Any]]]:
    spawn = multiprocessing.get_context("spawn")
    questions, answers = spawn.Queue(), spawn.Queue()
    process = spawn.Process(target=answer, args=(questions, answers))
    process.start()
    yield questions, answers
    process.terminate()
    process.join(20)
    for queue in (questions, answers):
        queue.close()
        queue.join_thread()


@pytest.mark.proves("P6")
def test_frames_cross_a_queue_between_processes(
    child: tuple[Queue[VideoFrame], Queue[Any]], pub: VideoFramePublisher, sub: VideoFrameSubscriber
) -> None:
    """Nothing arrived, and only the queue's own thread printed the reason."""
    questions, answers = child
    pub.publish(pictures.planes("NV12", 34, 6), format="NV12", pts=5, metas=METAS)
    frame = arrived(sub.receive())
    questions.put(frame)
    said, back = answers.get(timeout=60)
    assert said == told(frame) == told(back)
    pub.end_of_stream()
    end = arrived(sub.receive())
    questions.put(end)
    said, back = answers.get(timeout=60)
    assert said == told(end)
    assert back.is_eos()
