"""A detector and a subscriber in one process: what arrives, what is refused, and whose pixels coordinates count."""

from __future__ import annotations

import json
import logging
import math
import pickle
import threading
import time
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2._wire.header import NONE_U64
from gst_iceoryx2.errors import (
    ClosedError,
    FormatError,
    InvalidServiceNameError,
    ServiceMismatchError,
    TooManyPortsError,
)
from gst_iceoryx2.results import (
    Box,
    Boxes,
    Classification,
    FrameKey,
    Keypoint,
    Mask,
    Results,
    ResultsPublisher,
    ResultsSubscriber,
    Tensor,
    VideoResultsHeader,
)
from gst_iceoryx2.serve import Rendition, RenditionName, rendition_meta
from gst_iceoryx2.video import CustomMeta, VideoFrame, VideoFramePublisher, VideoFrameSubscriber
from gst_iceoryx2.video.rendition import RENDITION_META
from tests.results.conftest import SOURCE, WAIT_MS, Camera
from tests.transport.raw import RawPublisher
from tests.vectors.notation import load
from tests.waiting import arrived, wait_until


def test_results_arrive_as_they_were_published(
    out: ResultsPublisher, sub: ResultsSubscriber, frame: VideoFrame
) -> None:
    cells = np.array([[0, 1, 1], [1, 0, 0]])
    assert (
        out.publish(
            frame,
            [Box("person", 0.5, 1.25, 2.5, 3, 4, track=7), Box(None, 1, -9, 90, 0, 0)],
            keypoints=[Keypoint("nose", 5, 6, box=0), Keypoint("tail", 1, 2, 0.25)],
            classifications=[Classification("indoors", 0.75), Classification("adult", 0.5, box=1)],
            masks=[Mask.of(cells, 8, 9, 6, 4, label="person", box=0), Mask.of([[True]])],
            tensor=Tensor("embedding", np.arange(6, dtype=np.float32).reshape(2, 3)),
            json={"model": "tiny", "é": [1, None]},
        )
        == 1
    )
    found = arrived(sub.receive_blocking(WAIT_MS))
    assert found.boxes == [Box("person", 0.5, 1.25, 2.5, 3, 4, 7), Box(None, 1, -9, 90, 0, 0)]
    assert found.keypoints == [Keypoint("nose", 5, 6, 1, 0), Keypoint("tail", 1, 2, 0.25, None)]
    assert found.classifications == [Classification("indoors", 0.75), Classification("adult", 0.5, 1)]
    first, second = found.masks
    assert (first.label, first.box, first.x, first.y, first.width, first.height) == ("person", 0, 8, 9, 6, 4)
    assert first.pixels().tolist() == cells.astype(bool).tolist()
    assert second.pixels().tolist() == [[True]]
    assert (second.x, second.y, second.width, second.height) == (0, 0, 1, 1)
    assert found.tensor is not None
    assert (found.tensor.name, found.tensor.data.dtype, found.tensor.data.tolist()) == (
        "embedding",
        np.float32,
        [[0, 1, 2], [3, 4, 5]],
    )
    assert found.json == {"model": "tiny", "é": [1, None]}
    assert (found.stamp, found.publisher, found.sequence) == (frame.stamp, frame.stamp.publisher, frame.sequence)
    assert (found.captured_at, found.width, found.height) == (frame.captured_at, 64, 48)
    assert (found.stream, found.number, found.detector) == (out.stream, 0, "yolo")
    assert (found.age or 0) > 0
    assert not found.is_eos()
    assert out.stats == (1, 0)
    assert sub.stats == (1, 0, 0)


def test_a_result_without_objects_arrives(out: ResultsPublisher, sub: ResultsSubscriber, frame: VideoFrame) -> None:
    out.publish(frame)
    found = arrived(sub.receive_blocking(WAIT_MS))
    assert (len(found.boxes), found.keypoints, found.classifications, found.masks) == (0, [], [], [])
    assert (found.tensor, found.json) == (None, None)
    assert found.boxes.xyxy.shape == (0, 4)


def test_a_value_of_null_is_a_value(out: ResultsPublisher, sub: ResultsSubscriber, frame: VideoFrame) -> None:
    out.publish(frame, json=None)
    out.publish(frame)
    assert [arrived(sub.receive_blocking(WAIT_MS)).as_dict().get("json", "none") for _ in range(2)] == [None, "none"]


def test_results_are_kept_as_json(out: ResultsPublisher, sub: ResultsSubscriber, frame: VideoFrame) -> None:
    out.publish(
        frame,
        [Box("a", 0.91, 1, 2, 3, 4), Box("b", 0.1, 0.1, 2, 3, 4, 8)],
        masks=[Mask.of([[0, 1]])],
        tensor=("t", np.zeros((2, 3))),
    )
    plain = json.loads(json.dumps(arrived(sub.receive_blocking(WAIT_MS)).as_dict()))
    assert plain["boxes"] == [
        {"label": "a", "score": 0.91, "x": 1, "y": 2, "width": 3, "height": 4},
        {"label": "b", "score": 0.1, "x": 0.1, "y": 2, "width": 3, "height": 4, "track": 8},
    ]
    assert plain["masks"][0]["runs"] == [1, 1]
    assert plain["tensor"] == {"name": "t", "dtype": "float64", "shape": [2, 3]}
    assert (plain["sequence"], plain["width"], plain["detector"]) == (0, 64, "yolo")
    assert plain["publisher"] == f"{frame.stamp.publisher:016x}"


def test_results_stay_valid_when_their_publisher_has_gone(sub: ResultsSubscriber, frame: VideoFrame) -> None:
    with ResultsPublisher("cam0", "pose") as out, ResultsSubscriber("cam0", "pose") as pose:
        found = []
        for number in range(200):
            out.publish(frame, [Box("a", 1, number, 0, 1, 1)])
            found.append(arrived(pose.receive_blocking(WAIT_MS)))
    assert [results.boxes[0].x for results in found] == list(range(200))


# -- boxes as arrays -------------------------------------------------------------------------------------------------


def test_boxes_are_given_and_taken_as_arrays(out: ResultsPublisher, sub: ResultsSubscriber, frame: VideoFrame) -> None:
    boxes = Boxes.of(
        xyxy=np.array([[1, 2, 4, 6], [0, 0, 1, 1], [5, 5, 5, 5]]),
        scores=np.array([0.5, 0.25, 1]),
        labels=["b", None, "a"],
        tracks=[None, 3, 2**64 - 2],
    )
    out.publish(frame, boxes, classifications=[Classification("a", 1)])
    found = arrived(sub.receive_blocking(WAIT_MS)).boxes
    assert found == boxes
    assert found.xyxy.tolist() == [[1, 2, 4, 6], [0, 0, 1, 1], [5, 5, 5, 5]]
    assert found.xywh.tolist() == [[1, 2, 3, 4], [0, 0, 1, 1], [5, 5, 0, 0]]
    assert (found.xyxy.dtype, found.scores.dtype) == (np.float32, np.float32)
    assert found.scores.tolist() == [0.5, 0.25, 1]
    assert found.labels == ["b", None, "a"]
    assert found.tracks == [None, 3, 2**64 - 2]
    assert found[-1] == Box("a", 1, 5, 5, 0, 0, 2**64 - 2)
    assert found[1:] == list(found)[1:]
    assert len(found) == 3
    # What was received can be published again, also in part.
    out.publish(frame, found[2:], keypoints=[Keypoint("c", 0, 0)])
    again = arrived(sub.receive_blocking(WAIT_MS))
    assert (again.boxes.labels, again.keypoints[0].label) == (["a"], "c")


def test_arrays_of_sizes_and_defaults() -> None:
    boxes = Boxes.of(xywh=[[1, 2, 3, 4]])
    assert list(boxes) == [Box(None, 1, 1, 2, 3, 4)]
    assert len(Boxes.of(xyxy=[])) == len(Boxes.of(xyxy=np.zeros((0, 4)))) == len(Boxes()) == 0
    assert Boxes([Box("a", 0.5, 1, 2, 3, 4)]).labels == ["a"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "either xyxy or xywh"),
        ({"xyxy": [[0, 0, 1, 1]], "xywh": [[0, 0, 1, 1]]}, "either xyxy or xywh"),
        ({"xyxy": [[0, 0, 1]]}, r"\(N, 4\), not \(1, 3\)"),
        ({"xyxy": [0, 0, 1, 1]}, r"\(N, 4\), not \(4,\)"),
        ({"xywh": [[0, 0, 1, 1]], "scores": [1, 2]}, r"scores must have the shape \(1,\)"),
        ({"xywh": [[0, 0, 1, 1]], "labels": []}, r"labels must have the shape \(1,\)"),
        # A text is a sequence, too: its letters became labels.
        ({"xywh": [[0, 0, 1, 1]], "labels": "a"}, r"labels must be one text per box, not a single text: \['a'\]"),
        ({"xywh": [[0, 0, 1, 1]], "labels": [7]}, "a label must be a str or None, not int"),
        ({"xywh": [[0, 0, 1, 1]], "tracks": [-1]}, "a track must be a number"),
        ({"xyxy": [[0, 0, 1, 1], [0, 0]]}, "boxes must be an array of numbers"),
        ({"xywh": [[0, 0, 1, 1]], "scores": ["high"]}, "scores must be an array of numbers"),
    ],
)
@pytest.mark.proves("R8")
def test_arrays_that_do_not_fit_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(FormatError, match=words):
        Boxes.of(**arguments)


def test_an_iterator_without_objects_is_an_empty_result(
    out: ResultsPublisher, sub: ResultsSubscriber, frame: VideoFrame
) -> None:
    """An iterator of masks that gives none raised ValueError from NumPy."""
    out.publish(frame, iter(()), keypoints=iter(()), classifications=iter(()), masks=iter(()))
    results = sub.receive_blocking(WAIT_MS)
    assert results is not None
    assert (len(results.boxes), results.keypoints, results.classifications, results.masks) == (0, [], [], [])


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"boxes": [Box("a", math.nan, 0, 0, 1, 1)]}, "boxes: score of entry 0 is nan, but must be a finite number"),
        ({"boxes": [Box("a", 1, math.inf, 0, 1, 1)]}, "boxes: x of entry 0 is inf"),
        (
            {"boxes": [Box("a", 1, 0, 0, 1, 1), Box("a", 1, 0, 0, -1, 1)]},
            "boxes: width of entry 1 is -1.0, but",
        ),
        ({"boxes": [Box("a", 1, 1e39, 0, 1, 1)]}, "a box cannot be represented"),
        ({"boxes": [Box("a", 1, "x", 0, 1, 1)]}, "a box cannot be represented"),
        ({"boxes": [Box("a", 1, 0, 0, 1, 1, -1)]}, "a box cannot be represented"),
        ({"boxes": [(1, 2, 3)]}, r"use Box\(label"),
        ({"boxes": [Box(7, 1, 0, 0, 1, 1)]}, "a label must be a str"),
        (
            {"boxes": [Box("x" * 4097, 1, 0, 0, 1, 1)]},
            "labels: size of entry 0 is 4097, but must be at",
        ),
        ({"boxes": [Box("a\0", 1, 0, 0, 1, 1)]}, "labels: text of entry 0"),
        (
            {"keypoints": [Keypoint("a", 0, 0, box=0)]},
            "keypoints: box of entry 0 is 0, but must be",
        ),
        ({"keypoints": [Keypoint("a", math.nan, 0)]}, "keypoints: x of entry 0 is nan"),
        ({"keypoints": [Keypoint("a", 0, 0, box=-1)]}, "a keypoint cannot be represented"),
        ({"keypoints": [("a", 0)]}, r"a keypoint cannot be represented \(not enough .*use Keypoint\(label"),
        ({"classifications": ["a"]}, r"a classification cannot be represented .*use Classification\(label"),
        ({"masks": [np.ones((2, 2))]}, r"a mask cannot be represented .*use Mask.of\("),
        ({"masks": [Mask(None, 0, 0, 1, 1, 2, 2, [-1, 5])]}, "a mask cannot be represented"),
        ({"classifications": [Classification("a", math.inf)]}, "classifications: score of entry 0 is inf"),
        (
            {"masks": [Mask(None, 0, 0, 1, 1, 2, 2, np.array([3], np.uint32))]},
            "masks: sum of the runs of entry 0 is 3, but must be 4",
        ),
        ({"tensor": ("t", np.zeros(2, complex))}, "tensor: dtype of entry 0 is complex128"),
        (
            {"tensor": ("t", np.zeros(1 << 22, np.float32))},
            "length: the result has 16777264 bytes, but",
        ),
        ({"tensor": np.zeros(3)}, r"the tensor cannot be represented .*use Tensor\(name, array\)"),
        ({"tensor": ("t", [[1], [1, 2]])}, "the tensor cannot be represented"),
        ({"tensor": (None, np.zeros(3))}, "the name of a tensor must be a str, not NoneType"),
        ({"json": math.nan}, "cannot be written as JSON"),
        ({"json": object()}, "cannot be written as JSON"),
        ({"json": "x" * (1 << 20)}, "json: size of entry 0 is 1048578, but must be at most 1048576"),
    ],
)
@pytest.mark.proves("R8")
def test_a_content_that_cannot_be_sent_is_refused(
    content: dict[str, Any], words: str, out: ResultsPublisher, frame: VideoFrame
) -> None:
    with pytest.raises(FormatError, match=words):
        out.publish(frame, content.pop("boxes", ()), **content)
    assert out.stats == (0, 0)


def test_a_label_of_4096_bytes_and_one_in_any_script_arrive(
    out: ResultsPublisher, sub: ResultsSubscriber, frame: VideoFrame
) -> None:
    labels = ["é" * 2048, "人", "🙂 \n\t\x1b[31m", ""]
    out.publish(frame, [Box(label, 1, 0, 0, 1, 1) for label in labels])
    assert arrived(sub.receive_blocking(WAIT_MS)).boxes.labels == labels


def test_100_000_boxes_arrive(out: ResultsPublisher, sub: ResultsSubscriber, frame: VideoFrame) -> None:
    edges = np.random.default_rng(1).random((100_000, 4), np.float32)
    out.publish(frame, Boxes.of(xywh=edges, labels=["a"] * 100_000))
    found = arrived(sub.receive_blocking(WAIT_MS))
    assert (found.boxes.xywh == edges).all()
    # The memory was replaced, and smaller results follow.
    out.publish(frame, [Box("a", 1, 0, 0, 1, 1)])
    assert len(arrived(sub.receive_blocking(WAIT_MS)).boxes) == 1


@pytest.mark.proves("R8")
def test_a_frame_without_a_stamp_has_no_results(out: ResultsPublisher) -> None:
    with VideoFramePublisher(SOURCE, aux_bytes=0) as publisher, VideoFrameSubscriber(SOURCE) as frames:
        publisher.publish(np.zeros((4, 4, 3), np.uint8))
        frame = arrived(frames.receive_blocking(WAIT_MS))
        with pytest.raises(FormatError, match="has no stamp, so results cannot be matched with it"):
            out.publish(frame, [Box("a", 1, 0, 0, 1, 1)])


def test_the_end_of_a_stream_has_no_results(
    out: ResultsPublisher, camera: Camera, frames: VideoFrameSubscriber
) -> None:
    camera.publisher.end_of_stream()
    end = arrived(frames.receive_blocking(WAIT_MS))
    assert end.is_eos()
    with pytest.raises(FormatError, match="has no stamp"):
        out.publish(end)


def test_something_else_has_no_results(out: ResultsPublisher) -> None:
    with pytest.raises(FormatError, match="a frame of a service, which has a stamp, not ndarray"):
        out.publish(np.zeros((4, 4, 3), np.uint8))  # type: ignore[arg-type]


def test_a_second_detector_of_the_same_name_is_refused(out: ResultsPublisher) -> None:
    """The error advised to raise max_publishers, which a service of results does not have."""
    refused = (
        '"video/cam0/results/yolo/v1" already has 1, which is its limit; close the other publisher, or use another'
    )
    with pytest.raises(TooManyPortsError, match=refused) as caught:
        ResultsPublisher("cam0", "yolo")
    assert "max_publishers" not in str(caught.value)
    with ResultsPublisher("cam0", "pose"), ResultsPublisher("cam1", "yolo"):
        pass


def test_a_name_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidServiceNameError, match="cannot be the name of a detector"):
        ResultsPublisher("cam0", "a/b")
    with pytest.raises(InvalidServiceNameError, match="does not name one"):
        ResultsSubscriber("sh4lt:/tmp/x", "yolo")
    with pytest.raises(InvalidServiceNameError, match="255"):
        ResultsSubscriber("x" * 250, "yolo")


def test_a_service_of_results_cannot_be_opened_for_frames() -> None:
    """Regression: the error said that it carries results, "not results"."""
    wrong = r"with the header VideoResultsHeader \(88 bytes.*, not video frames \(.* 104-byte header VideoFrameHeader"
    with ResultsPublisher("cam0", "yolo"), pytest.raises(ServiceMismatchError, match=wrong):
        VideoFrameSubscriber("video/cam0/results/yolo/v1")


def test_a_service_of_frames_with_the_name_of_results_is_refused() -> None:
    publisher = RawPublisher("video/cam0/results/yolo/v1")
    with pytest.raises(ServiceMismatchError, match=r"not results \(slices of u8 with the 88-byte header VideoResultsH"):
        ResultsSubscriber("cam0", "yolo")
    with pytest.raises(ServiceMismatchError, match="not results"):
        ResultsPublisher("cam0", "yolo")
    publisher.close()


def test_a_closed_publisher_and_a_closed_subscriber_say_so(
    out: ResultsPublisher, sub: ResultsSubscriber, frame: VideoFrame
) -> None:
    thread = threading.Timer(0.1, sub.close)
    thread.start()
    with pytest.raises(ClosedError):
        sub.receive_blocking(WAIT_MS)
    thread.join()
    assert list(sub) == []
    out.close()
    with pytest.raises(ClosedError):
        out.publish(frame)
    for port in (out, sub):
        with pytest.raises(TypeError, match=r"cannot pickle .* create Results.*\('cam0', 'yolo'\) in the process"):
            pickle.dumps(port)


# -- renditions and keys ---------------------------------------------------------------------------------------------


@pytest.fixture
def rendition(frame: VideoFrame) -> VideoFrame:
    """Return a frame of 32x32 pixels that shows the 64x48 frame between black bars. Its pixels are released."""
    return rendered(frame, "cam0@32x32", SOURCE)


def rendered(frame: VideoFrame, text: str, source: str, *metas: CustomMeta) -> VideoFrame:
    """Return a frame of a rendition, as it arrives."""
    name = RenditionName.parse(text)
    assert name is not None
    shape = name.shape(frame.width, frame.height, frame.format)
    service = f"video/{text}/frame/v2"
    with VideoFramePublisher(service) as publisher, VideoFrameSubscriber(service) as subscriber:
        picture = np.zeros((shape.height, shape.width), np.uint8)
        publisher.publish(picture, format="GRAY8", metas=[*metas, rendition_meta(frame, source, shape)])
        with arrived(subscriber.receive_blocking(WAIT_MS)) as rendition:
            return rendition


@pytest.mark.proves("R5")
def test_coordinates_in_a_rendition_become_those_of_the_source(
    out: ResultsPublisher, sub: ResultsSubscriber, frame: VideoFrame, rendition: VideoFrame
) -> None:
    assert Rendition.of(rendition) is not None
    out.publish(
        rendition,
        [Box("a", 1, 0, 4, 32, 24), Box("a", 1, 16, 16, 0.5, 0.5), Box("bar", 1, 0, 0, 32, 4)],
        keypoints=[Keypoint("middle", 16, 16)],
        masks=[Mask.of([[1]], 0, 4, 16, 12)],
    )
    found = arrived(sub.receive_blocking(WAIT_MS))
    assert (found.publisher, found.sequence, found.width, found.height) == (frame.stamp.publisher, 0, 64, 48)
    assert (found.captured_at, found.stamp.due) == (frame.captured_at, frame.due_at)
    assert found.boxes.xywh.tolist() == [[0, 0, 64, 48], [32, 24, 1, 1], [0, -8, 64, 8]]
    assert found.keypoints[0][1:3] == (32, 24)
    assert (found.masks[0].width, found.masks[0].height) == (32, 24)


@pytest.mark.parametrize("case", load("results")["mapping"], ids=lambda case: case["name"])
@pytest.mark.proves("R5")
def test_a_mapping_is_exact(
    case: dict[str, Any], out: ResultsPublisher, sub: ResultsSubscriber, frame: VideoFrame
) -> None:
    shown = Rendition(SOURCE, 1, 2, None, None, (1920, 1080), tuple(case["source_rect"]), tuple(case["rect"]))
    key = FrameKey(frame.stamp, 1920, 1080, shown)
    out.publish(key, Boxes.of(xywh=[case["box"]]))
    assert arrived(sub.receive_blocking(WAIT_MS)).boxes.xywh.tolist() == [case["source_box"]]


@pytest.mark.parametrize("other", ["video/cam1/frame/v2", "video/cam0@48x/frame/v2"])
def test_a_rendition_of_another_stream_is_refused(other: str, out: ResultsPublisher, frame: VideoFrame) -> None:
    with pytest.raises(FormatError, match=f"the frame was made from '{other}'"):
        out.publish(rendered(frame, "cam0@32x32", other))


def test_a_key_outlives_its_frame(out: ResultsPublisher, sub: ResultsSubscriber, rendition: VideoFrame) -> None:
    key = FrameKey.of(rendition)
    assert pickle.loads(pickle.dumps(key)) == key
    out.publish(key, [Box("a", 1, 0, 4, 32, 24)])
    assert arrived(sub.receive_blocking(WAIT_MS)).boxes.xywh.tolist() == [[0, 0, 64, 48]]


def test_the_meta_of_renditions_has_one_name() -> None:
    assert RENDITION_META == "Iox2Rendition"


# -- a foreign publisher ---------------------------------------------------------------------------------------------

SERVICE = "video/cam0/results/yolo/v1"
EXACT = load("results")["exact"]


def header(sequence: int, **changes: int) -> VideoResultsHeader:
    """Return a valid header, with changes."""
    fields = {"stream": 5, "sequence": sequence, "frame_publisher": 7, "frame_sequence": 8, "capture": 9, "due": 10}
    return VideoResultsHeader(**fields | {"width": 640, "height": 480, "version": 1} | changes)


BROKEN: dict[str, tuple[dict[str, int], bytes, str]] = {
    "another version": ({"version": 2}, bytes(8), "version"),
    "no frame": ({"frame_publisher": NONE_U64}, bytes(8), "key"),
    "no size": ({"width": 0}, bytes(8), "size"),
    "a section that is not there": ({"entries": 1}, bytes(8), "sections"),
    "a box that is not a number": (
        {"entries": 1},
        bytes([2, 0, 0, 0, 1, 0, 0, 0, 32]) + bytes(7) + b"\xff" * 32,
        "boxes",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.proves("R6")
def test_results_that_break_a_rule_are_dropped_and_counted(case: str, caplog: pytest.LogCaptureFixture) -> None:
    changes, payload, rule = BROKEN[case]
    raw = RawPublisher(SERVICE, 1 << 16, 10, VideoResultsHeader)
    with ResultsSubscriber("cam0", "yolo") as sub, caplog.at_level(logging.WARNING, "gst_iceoryx2"):
        for sequence in (0, 1):
            raw.send(header(sequence, **changes), payload)
        raw.send(header(2), bytes(8))
        assert arrived(sub.receive_blocking(WAIT_MS)).number == 2
        assert sub.stats.invalid == 2
    raw.close()
    assert [record.message.split(": ")[1] for record in caplog.records] == [rule]
    assert SERVICE in caplog.text


def test_an_invalid_result_arrived_and_is_not_counted_as_dropped() -> None:
    """Each result that broke a rule was counted twice: as invalid, and as a gap in the numbers."""
    raw = RawPublisher(SERVICE, 1 << 16, 10, VideoResultsHeader)
    with ResultsSubscriber("cam0", "yolo") as sub:
        raw.send(header(0), bytes(8))
        raw.send(header(1, width=0), bytes(8))
        raw.send(header(2, entries=1), bytes(8))
        raw.send(header(4), bytes(8))
        assert [arrived(sub.receive_blocking(WAIT_MS)).number for _ in range(2)] == [0, 4]
        assert sub.stats == (2, 1, 2)
    raw.close()


@pytest.mark.parametrize("length", [0, 1 << 30, 1 << 40, (1 << 64) - 1])
@pytest.mark.proves("R6")
def test_a_length_that_does_not_fit_into_the_memory_is_not_believed(length: int) -> None:
    raw = RawPublisher(SERVICE, 1 << 16, 10, VideoResultsHeader)
    with ResultsSubscriber("cam0", "yolo") as sub:
        raw.send(header(0), bytes(8), number=length)
        raw.send(header(1), bytes(8))
        assert arrived(sub.receive_blocking(WAIT_MS)).number == 1
        assert sub.stats.invalid == 1
    raw.close()


def test_a_text_that_is_not_json_is_an_error_of_the_one_who_asks() -> None:
    raw = RawPublisher(SERVICE, 1 << 20, 10, VideoResultsHeader)
    with ResultsSubscriber("cam0", "yolo") as sub:
        for text in (b"{", b"[" * 100_000):
            body = text + bytes(-len(text) % 8)
            head = (7).to_bytes(4, "little") + (1).to_bytes(4, "little") + len(text).to_bytes(8, "little")
            raw.send(header(0 if text == b"{" else 1, entries=1), head + body)
        for _ in range(2):
            found = arrived(sub.receive_blocking(WAIT_MS))
            with pytest.raises(FormatError, match="cannot be read"):
                _ = found.json
    raw.close()


# -- joining and restarting ------------------------------------------------------------------------------------------


def test_a_subscriber_that_joins_receives_the_latest_results(out: ResultsPublisher, frame: VideoFrame) -> None:
    for number in range(20):
        out.publish(frame, [Box("a", 1, number, 0, 1, 1)])
    with ResultsSubscriber("cam0", "yolo") as sub:
        found = [arrived(sub.receive_blocking(WAIT_MS)).number for _ in range(16)]
        assert found == list(range(4, 20))
        assert sub.receive_blocking(50) is None


@pytest.mark.proves("R4")
def test_results_continue_when_the_detector_restarts(frame: VideoFrame) -> None:
    with ResultsSubscriber("cam0", "yolo") as sub:
        streams = []
        for _ in range(3):
            with ResultsPublisher("cam0", "yolo") as out:
                out.publish(frame)
                found = arrived(sub.receive_blocking(WAIT_MS))
                assert (found.number, found.stream) == (0, out.stream)
                streams.append(found.stream)
        assert len(set(streams)) == 3
        assert sub.stats == (3, 0, 0)


@pytest.mark.proves("R7")
def test_results_that_a_busy_subscriber_missed_are_counted(
    out: ResultsPublisher, sub: ResultsSubscriber, frame: VideoFrame
) -> None:
    out.publish(frame)
    assert arrived(sub.receive_blocking(WAIT_MS)).number == 0
    for _ in range(100):
        out.publish(frame)
    found: list[Results] = []
    wait_until(lambda: found.extend(filter(None, [sub.receive()])) or len(found) == 64)
    assert [results.number for results in found] == list(range(37, 101))
    assert sub.stats == (65, 36, 0)
    assert out.stats == (101, 0)


@pytest.mark.proves("R7")
def test_publishing_does_not_wait_for_a_subscriber_that_does_not_read(
    out: ResultsPublisher, sub: ResultsSubscriber, frame: VideoFrame
) -> None:
    start = time.monotonic()
    for _ in range(1000):
        out.publish(frame)
    assert time.monotonic() - start < 50
    assert sub.receive() is not None
