"""Results of detectors in pipelines: attached to buffers, carried with them, published from them (SPEC.md, 11)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2._wire.clock import Origin
from gst_iceoryx2._wire.stamp import Stamp
from gst_iceoryx2.results import Box, Classification, FrameKey, Results, ResultsPublisher, ResultsSubscriber
from gst_iceoryx2.serve import RenditionName, rendition_meta
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.gst.onnx_model import write_model
from tests.gst.pairs import Stages
from tests.gst.remote import Stage, run
from tests.waiting import arrived, wait_until

SOURCE = "video/cam0/frame/v2"
SINK = "iceoryx2sink service=video/out/frame/v2 sync=false wait-for-connection=true name=sink"
HOUR = 3_600_000_000_000
HAS_ANALYTICS = find_library("gstanalytics-1.0") is not None
has_analytics = pytest.mark.skipif(not HAS_ANALYTICS, reason="GStreamer before 1.24 has no GstAnalyticsRelationMeta")

BOXES = [Box("cat", 0.5, 4, 8, 16, 12, 7), Box("é☃", 0.25, 32, 16, 8, 24), Box(None, 1.0, 0, 0, 64, 48)]


class Line:
    """A camera and a detector in this process, and a pipeline behind them with results of both."""

    def __init__(self, stage: Stage, chain: str, properties: str) -> None:
        self.stage = stage
        with contextlib.ExitStack() as stack:
            enter = stack.enter_context
            self.camera = enter(VideoFramePublisher(SOURCE))
            self.yolo = enter(ResultsPublisher("cam0", "yolo"))
            self.eye = enter(VideoFrameSubscriber(SOURCE))
            self.again = enter(ResultsSubscriber("cam0", "again"))
            self.out = enter(VideoFrameSubscriber("video/out/frame/v2"))
            for number, part in enumerate(f"iceoryx2src name=src service={SOURCE} {properties} ! {chain}".split(";")):
                # The last one has the sink of the test.
                stage.play(part, "p" if "name=sink" in part else f"p{number}")
            self.first = "p0" if ";" in chain else "p"
            self.camera.wait_for_subscribers(2, timeout=60)
            if "results=" in properties:
                self.yolo.wait_for_subscribers(1, timeout=60)
            self._stack = stack.pop_all()

    def close(self) -> None:
        self._stack.close()

    def show(self, number: int, boxes: list[Box] | None, **others: Any) -> tuple[Any, Any]:
        """Publish a frame, and what is in it; return publisher and sequence of its stamp."""
        self.camera.publish(np.full((48, 64, 3), number, np.uint8), format="RGB")
        with arrived(self.eye.receive_blocking(60_000)) as frame:
            if boxes is not None:
                self.yolo.publish(frame, boxes, **others)
            return frame.stamp.publisher, frame.stamp.sequence

    def skip(self) -> None:
        """Receive a frame behind the pipeline, and release it."""
        with arrived(self.out.receive_blocking(60_000)):
            pass


@pytest.fixture
def lines(stages: Stages) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:

        def start(chain: str, properties: str = f"results=yolo results-wait={HOUR}") -> Line:
            line = Line(stages(), chain, properties)
            stack.callback(line.close)
            return line

        yield start


def as_rows(boxes: Any) -> list[list[Any]]:
    return [[box.label, round(box.score, 3), box.x, box.y, box.width, box.height, box.track] for box in boxes]


def seen(boxes: Any, chain: str) -> list[list[Any]]:
    """Return boxes as rows, without what a GStreamer before 1.24 loses: videoconvert and videoscale drop parameters of
    regions of interest, which have the score and the track."""
    rows = as_rows(boxes)
    return [[row[0], *row[2:6]] for row in rows] if not HAS_ANALYTICS and "video/x-raw" in chain else rows


CHAINS = {
    "queue": "queue",
    "a tee": "tee ! queue",
    "another format": "videoconvert ! video/x-raw,format=I420",
    "half the size": "videoscale ! video/x-raw,width=32,height=24",
    "twice the size": "videoconvertscale ! video/x-raw,format=BGRA,width=128,height=96",
    "wide pixels": "videoscale ! video/x-raw,width=32,height=48,pixel-aspect-ratio=2/1",
    "another pipeline": "iceoryx2sink service=relay sync=false; iceoryx2src service=relay ! queue",
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
@pytest.mark.proves("R1", "R5")
def test_boxes_survive_a_pipeline_and_belong_to_the_frame_of_the_source(lines: Any, chain: str) -> None:
    line = lines(f"{chain} ! {SINK} results-name=again results-for=cam0")
    for number in range(3):
        boxes = [*BOXES, Box(str(number), 0.75, 4 * number, 0, 4, 4)]
        shown = line.show(number, boxes)
        with arrived(line.out.receive_blocking(60_000)) as frame:
            assert abs(int(np.asarray(frame.to_rgb())[0, 0, 0]) - number) <= 1
            own = Results.of(frame)
        assert own is not None
        assert (own.publisher, own.sequence) == shown
        scale = own.width / 64, own.height / 48
        assert [box.x / scale[0] for box in own.boxes] == [box.x for box in boxes]
        assert [box.height / scale[1] for box in own.boxes] == [box.height for box in boxes]
        result = arrived(line.again.receive_blocking(60_000))
        assert (result.publisher, result.sequence) == shown
        assert (result.width, result.height) == (64, 48)
        assert seen(result.boxes, chain) == seen(boxes, chain)
    assert line.stage.get("src", "results-joined", line.first) == 3
    # The sink counts results after it has sent them.
    wait_until(lambda: line.stage.get("sink", "results-sent") == 3)


CUTS = {
    "cropped": "videocrop left=8 ",
    "with borders": "videobox left=-8",
    "mirrored": "videoflip video-direction=horiz",
    "another shape": "videoscale ! video/x-raw,width=64,height=64,pixel-aspect-ratio=1/1",
}


@pytest.mark.parametrize("chain", CUTS.values(), ids=CUTS)
def test_boxes_on_an_unknown_part_of_the_source_are_refused_in_words(lines: Any, chain: str) -> None:
    line = lines(f"{chain} ! {SINK} results-name=again results-for=cam0")
    for number in range(2):
        line.show(number, BOXES)
        line.skip()
    text = line.stage.message(["warning"])["text"]
    assert "video/cam0/results/again/v1" in text
    assert "do not crop, rotate or stretch them" in text
    wait_until(lambda: line.stage.get("sink", "results-refused") == 2)
    assert line.again.receive() is None


def test_boxes_of_a_cropped_picture_can_belong_to_the_frames_of_the_sink(lines: Any) -> None:
    """Then their coordinates are known."""
    line = lines(f"videocrop left=8 ! {SINK} results-name=own")
    with ResultsSubscriber("out", "own") as own:
        line.show(0, BOXES)
        with arrived(line.out.receive_blocking(60_000)) as frame:
            result = arrived(own.receive_blocking(60_000))
            assert (result.publisher, result.sequence) == (frame.stamp.publisher, frame.sequence)
            assert (result.width, result.height) == (56, 48)


@pytest.mark.proves("R2")
def test_a_frame_without_results_in_time_has_no_boxes(lines: Any) -> None:
    line = lines(f"{SINK} results-name=again results-for=cam0", "results=yolo results-wait=50000000")
    line.show(0, None)
    line.skip()
    assert as_rows(arrived(line.again.receive_blocking(60_000)).boxes) == []
    assert line.stage.get("src", "results-missing") == 1


@pytest.mark.proves("R5")
def test_frames_that_crossed_a_bridge_have_the_key_of_the_first_frame(stages: Stages) -> None:
    """Also if they show a frame of a source: the order is Iox2Clock, Iox2Rendition, the own stamp."""
    shape = RenditionName.parse("cam0@32x24")
    assert shape is not None
    origins = [Stamp(bytes(range(16)), 77, 5, 1000), Stamp(bytes(range(16)), 77, None, 1000)]
    with (
        VideoFramePublisher(SOURCE) as camera,
        VideoFrameSubscriber(SOURCE) as eye,
        VideoFrameSubscriber("video/out/frame/v2") as out,
        ResultsPublisher("cam0", "yolo") as yolo,
        VideoFramePublisher("video/cam0@32x24/frame/v2") as small,
        ResultsSubscriber("cam0", "again") as again,
    ):
        stage = stages()
        source = f"iceoryx2src name=src service=video/cam0@32x24/frame/v2 results=yolo results-wait={HOUR}"
        stage.play(f"{source} ! queue ! {SINK} results-name=again results-for=cam0")
        camera.wait_for_subscribers(1, timeout=60)
        small.wait_for_subscribers(1, timeout=60)
        yolo.wait_for_subscribers(1, timeout=60)
        for number, origin in enumerate(origins):
            camera.publish(np.zeros((48, 64, 3), np.uint8), format="RGB")
            with arrived(eye.receive_blocking(60_000)) as frame:
                metas = [Origin(origin, 10).meta(), rendition_meta(frame, SOURCE, shape.shape(64, 48, "RGB"))]
                own = FrameKey.of(frame)
            assert own.id is not None
            ids = [(77, 5), own.id]
            other, right = (
                FrameKey(own.stamp._replace(publisher=a, sequence=b), 64, 48) for a, b in (ids[1 - number], ids[number])
            )
            # What belongs to another number of the frame does not belong to the frame, which goes on waiting.
            yolo.publish(other, [Box("dog", 0.5, 0, 0, 8, 8)])
            small.publish(np.zeros((24, 32, 3), np.uint8), format="RGB", metas=metas)
            assert out.receive_blocking(300) is None
            yolo.publish(right, [Box("cat", 0.5, 2, 4, 8, 16)])
            with arrived(out.receive_blocking(60_000)):
                pass
            found = arrived(again.receive_blocking(60_000))
            assert (found.publisher, found.sequence) == ids[number]
            assert as_rows(found.boxes) == [["cat", 0.5, 2, 4, 8, 16, None]]


def test_python_joins_the_boxes_of_a_pipeline(stages: Stages) -> None:
    """A pipeline publishes frames and boxes; a program joins them."""
    stage = stages()
    with ResultsSubscriber("made", "boxes") as results, results.joined(wait=60) as joined:
        sink = "iceoryx2sink service=video/made/frame/v2 sync=false results-name=boxes wait-for-connection=true"
        stage.play(f"appsrc name=in format=time ! {sink}")
        for number in range(3):
            regions = [["cat", number, 2, 3, 4]]
            stage.push(format="GRAY8", width=40, height=30, number=number, regions=regions)
            frame, found = next(joined)
            with frame:
                assert found is not None
                assert (found.sequence, found.width, found.height) == (frame.sequence, 40, 30)
                assert as_rows(found.boxes) == [["cat", 1.0, number, 2, 3, 4, None]]


def test_what_the_elements_attach_is_said_in_gst_inspect(environment: dict[str, str]) -> None:
    shown = run(["gst-inspect-1.0", "iceoryx2src"], environment).stdout
    assert "GstVideoRegionOfInterestMeta" in shown
    assert "since GStreamer 1.24 also as GstAnalyticsRelationMeta" in " ".join(shown.split())


# -- GStreamer 1.24 and newer ----------------------------------------------------------------------------------------


@has_analytics
def test_classifications_survive_a_pipeline(lines: Any) -> None:
    line = lines(f"videoconvert ! video/x-raw,format=I420 ! {SINK} results-name=again results-for=cam0")
    classes = [Classification("day", 0.5), Classification("tabby", 0.25, 0)]
    line.show(0, BOXES, classifications=classes)
    result = arrived(line.again.receive_blocking(60_000))
    assert as_rows(result.boxes) == as_rows(BOXES)
    assert {(row.label, row.score, row.box) for row in result.classifications} == {
        ("day", 0.5, None),
        ("tabby", 0.25, 0),
    }


@has_analytics
def test_objectdetectionoverlay_draws_the_boxes_of_the_frame(lines: Any) -> None:
    """Without videoconvert after the source, the overlay of 1.26.2 fails with not-negotiated."""
    line = lines(
        f"videoconvert ! objectdetectionoverlay draw-labels=false ! videoconvert ! video/x-raw,format=RGB ! {SINK}"
    )
    for number in range(3):
        line.show(10, [Box("x", 1, 10 + 10 * number, 12, 20, 16)])
        with arrived(line.out.receive_blocking(60_000)) as frame:
            drawn = np.argwhere(np.asarray(frame.to_rgb())[..., 0] > 128)
            assert abs(drawn.min(axis=0) - (12, 10 + 10 * number)).max() <= 2
            assert abs(drawn.max(axis=0) - (28, 30 + 10 * number)).max() <= 2


@has_analytics
@pytest.mark.parametrize("format", ["RGBA", "BGRA"])
def test_videoconvert_keeps_boxes_in_front_of_an_overlay_with_alpha(lines: Any, format: str) -> None:
    chain = f"videoconvert ! video/x-raw,format={format} ! objectdetectionoverlay draw-labels=false"
    line = lines(f"{chain} ! {SINK}")
    line.show(10, [Box("x", 1, 10, 12, 20, 16)])
    with arrived(line.out.receive_blocking(60_000)) as frame:
        assert (np.asarray(frame.to_rgb())[..., 0] > 128).any()


@has_analytics
def test_an_ssd_detector_of_gstreamer_arrives_in_numpy(lines: Any, tmp_path: Path, environment: dict[str, str]) -> None:
    """The boxes of the model belong to the frames of the camera, and are in their pixels."""
    if run(["gst-inspect-1.0", "--exists", "onnxinference"], environment).returncode:
        pytest.skip("this GStreamer has no onnxinference")
    model, labels = tmp_path / "bright.onnx", tmp_path / "labels.txt"
    write_model(model, 32, 24)
    labels.write_text("nothing\nbright\n")
    detector = f"onnxinference model-file={model} ! ssdobjectdetector label-file={labels}"
    chain = f"videoscale method=nearest-neighbour ! video/x-raw,width=32,height=24 ! {detector}"
    line = lines(f"{chain} ! {SINK} results-name=again results-for=cam0", "")
    for number in range(3):
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[8:20, 16 + 4 * number : 40 + 4 * number] = 255
        line.camera.publish(picture, format="RGB")
        with arrived(line.eye.receive_blocking(60_000)) as frame:
            shown = frame.stamp.publisher, frame.stamp.sequence
        line.skip()
        result = arrived(line.again.receive_blocking(60_000))
        assert (result.publisher, result.sequence) == shown
        (box,) = result.boxes
        assert (box.label, box.score) == ("bright", 0.75)
        # The detector cuts off fractions, and saw half the size.
        assert np.abs(np.subtract(box[2:6], (16 + 4 * number, 8, 24, 12))).max() <= 2
