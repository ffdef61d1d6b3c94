"""Every example does what its docstring says, in processes of its own."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gst_iceoryx2._plugin import gstreamer_version
from gst_iceoryx2.packets import PacketPublisher
from gst_iceoryx2.results import Box, ResultsPublisher, ResultsSubscriber
from gst_iceoryx2.sh4lt import Follower, Writer
from gst_iceoryx2.video import Qos, VideoFramePublisher, VideoFrameSubscriber
from tests.conftest import Place
from tests.processes.programs import ROOT, Program, Programs, wait_for_text
from tests.waiting import arrived, wait_until

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
CAMERA, OTHER = "video/cam0/frame/v2", "video/cam 1/frame/v2"

needs_gstreamer = pytest.mark.skipif(gstreamer_version() is None, reason="there is no GStreamer on this machine")


@pytest.fixture
def programs(tmp_path: Path, domain: Place) -> Iterator[Programs]:
    running = Programs(tmp_path, tmp_path / "registry.bin")
    yield running
    running.end()


def numbers(pattern: str, text: str) -> list[int]:
    match = re.search(pattern, text)
    assert match is not None, f"no {pattern!r} in {text!r}"
    return [int(number) for number in match.groups()]


def test_every_example_has_a_test_here() -> None:
    tree = ast.parse(Path(__file__).read_text())
    calls = [node for node in ast.walk(tree) if getattr(getattr(node, "func", None), "attr", "") == "example"]
    started = {call.args[0].value for call in calls}
    assert started == {path.stem for path in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_says_what_it_does(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 40
    assert f"Usage: python {path.name}" in (ast.get_docstring(ast.parse(text)) or "")


def test_what_moves_is_found_on_the_frame_on_which_it_moves(programs: Programs) -> None:
    """A square of 64 pixels jumps to the right in each frame; the box is around the old and the new place."""
    programs.example("detect_motion", "cam0")
    with (
        VideoFramePublisher(CAMERA) as camera,
        ResultsSubscriber("cam0", "motion") as subscriber,
        subscriber.joined(wait=20) as joined,
    ):
        camera.wait_for_subscribers(2, timeout=60)
        for number in range(5):
            picture = np.zeros((240, 640), np.uint8)
            picture[80:144, number * 64 : number * 64 + 64] = 255
            camera.publish(picture, format="GRAY8")
        for number in range(5):
            frame, results = next(joined)
            assert frame.numpy_view()[80, number * 64] == 255
            assert results is not None
            boxes = results.boxes.xywh.tolist()
            assert boxes == ([] if number == 0 else [[number * 64 - 64, 80, 128, 64]])
            frame.release()


def test_a_loaned_picture_arrives_at_the_subscriber_that_prints_numbers(programs: Programs) -> None:
    subscriber = programs.example("subscribe", CAMERA)
    publisher = programs.example("publish_loan", CAMERA, "45")
    assert "sent=45" in publisher.finish()
    printed = subscriber.finish()
    assert re.search(r"^640x480 BGR, \d+\.\d fps, age \d+\.\d\d ms, mean \d+\.\d, dropped \d+$", printed, re.MULTILINE)
    received, dropped = numbers(r"end of stream: (\d+) frames received, (\d+) dropped", printed)
    assert received + dropped == 45
    # What its buffer keeps beside the end of the stream, if it does not run for a while.
    assert received >= 9


def test_nv12_planes_arrive_in_the_event_loop_beside_other_work(programs: Programs) -> None:
    def ticks_between_frames() -> bool:
        consumer = programs.example("asyncio_consumer", CAMERA)
        programs.example("publish_nv12", CAMERA, "30").finish()
        printed = consumer.finish()
        means = [float(value) for value in re.findall(r"frame \d+: mean (\d+\.\d)", printed)]
        assert len(means) >= 9
        assert all(120 < mean < 131 for mean in means)
        return "tick" in printed.partition("frame")[2].rpartition("frame")[0]

    # After a pause, all frames may come between two ticks.
    wait_until(ticks_between_frames)


def test_nv12_carries_the_colorimetry_that_its_publisher_names(programs: Programs) -> None:
    with VideoFrameSubscriber(CAMERA) as subscriber:
        publisher = programs.example("publish_nv12", CAMERA, "3")
        frame = arrived(subscriber.receive_blocking(60_000))
        assert frame.caps is not None
        assert "colorimetry=(string)bt709" in frame.caps
        luma, chroma = frame.planes
        assert (luma.shape, chroma.shape) == ((720, 1280), (360, 640, 2))
        assert (luma[0, 0], luma[-1, 0], chroma[0, 0].tolist()) == (16, 235, [128, 64])
        del frame, luma, chroma
        publisher.finish()


def test_motion_is_told_when_it_begins_and_when_it_ends(programs: Programs) -> None:
    detector = programs.example("motion", CAMERA)
    still, flash = np.zeros((240, 320, 3), np.uint8), np.zeros((240, 320, 3), np.uint8)
    flash[:, :160] = 255
    with VideoFramePublisher(CAMERA) as publisher:
        publisher.wait_for_subscribers(1, timeout=60)
        # No more frames at once than a subscriber's buffer holds.
        for picture in [still] * 8 + [flash]:
            publisher.publish(picture)
        wait_for_text(detector, "motion at frame 8: 50.0%")
        for picture in [still, flash, still, flash, flash]:
            publisher.publish(picture)
        wait_for_text(detector, "still at frame 13: 0.0%")
        publisher.end_of_stream()
        assert len(detector.finish().splitlines()) == 2


def test_several_cameras_are_seen_newest_first(programs: Programs) -> None:
    viewer = programs.example("several_cameras", CAMERA, OTHER)
    cameras = [programs.example("publish_loan", name, "25") for name in (CAMERA, OTHER)]
    for camera in cameras:
        camera.finish()
    printed = viewer.finish()
    for name in (CAMERA, OTHER):
        seen, skipped = numbers(rf"{name}: (\d+) seen, (\d+) skipped", printed)
        assert seen > 0
        assert seen + skipped <= 25


@needs_gstreamer
def test_a_pipeline_takes_packets_through_appsrc(programs: Programs) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 48, "yuv420p", Fraction(1, 30)
    encoder.options = {"tune": "zerolatency"}
    player = programs.example(
        "gstreamer_packets", "cam0@h264", f"avdec_h264 ! videoconvert ! filesink location={programs.folder}/out.yuv"
    )
    with PacketPublisher("cam0", "h264", 64, 48) as publisher:
        publisher.wait_for_subscribers(1, timeout=60)
        for number in range(20):
            picture = av.VideoFrame.from_ndarray(np.full((72, 64), 128, np.uint8), "yuv420p")
            picture.pts = number
            for packet in encoder.encode(picture):
                publisher.publish(packet, is_keyframe=packet.is_keyframe, pts=packet.pts * 1_000_000_000 // 30)
        publisher.end_of_stream()
        assert player.finish().splitlines() == ["end of stream"]
    assert (programs.folder / "out.yuv").stat().st_size == 20 * 64 * 48 * 3 // 2


@needs_gstreamer
def test_a_pipeline_from_python_publishes_without_copying(programs: Programs) -> None:
    source = "videotestsrc num-buffers=45 is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=30/1"
    with VideoFrameSubscriber(CAMERA) as subscriber:
        pipeline = programs.example("gstreamer_sink", CAMERA, source)
        assert {(frame.format, frame.width, frame.height) for frame in subscriber} == {("BGR", 320, 240)}
        printed = pipeline.finish()
    assert "1 subscribers" in printed
    assert numbers(r"(\d+) sent, (\d+) of them copied", printed) == [45, 0]


def test_a_relay_sends_on_what_it_draws_and_keeps_the_moment_of_capture(programs: Programs) -> None:
    relay = programs.example("relay", CAMERA, OTHER)
    picture = np.full((120, 160, 3), (10, 20, 30), np.uint8)
    moments = [1_000_000, 2_000_000, 3_000_000]
    with VideoFramePublisher(CAMERA) as publisher, VideoFrameSubscriber(OTHER) as subscriber:
        publisher.wait_for_subscribers(1, timeout=60)
        for moment in moments:
            publisher.publish(picture, format="BGR", pts=moment, captured_at=moment)
            frame = arrived(subscriber.receive_blocking(60_000))
            assert (frame.captured_at, frame.pts, frame.format) == (moment, moment, "RGB")
            view = frame.numpy_view()
            assert view[60, 80].tolist() == [30, 20, 10]
            assert view[0, 0].tolist() == view[-1, -1].tolist() == [255, 0, 0]
            del frame, view
        publisher.end_of_stream()
        assert numbers(r"(\d+) of (\d+) frames sent on", relay.finish()) == [3, 3]


@pytest.mark.skipif(sys.platform != "linux", reason="Sh4lt is for Linux")
def test_a_picture_comes_back_as_its_negative_over_sh4lt_paths(programs: Programs, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    picture = np.full((48, 64, 4), (10, 20, 30, 200), np.uint8)
    caps = "video/x-raw, format=(string)RGBA, width=(int)64, height=(int)48, framerate=(fraction)30/1"
    with Writer(there, caps) as writer, Follower(back) as follower:
        example = programs.example("sh4lt_negative", str(there), str(back))
        wait_until(lambda: writer.clients == 1)
        frame = None
        while frame is None:
            writer.write(picture)
            frame = follower.read(0.2)
        assert frame.datatype == caps
        assert frame.numpy_view()[24, 32].tolist() == [245, 235, 225, 200]
    assert numbers(r"(\d+) frames", example.finish())[0] > 0


def skip_without(library: str, program: Program) -> None:
    """Skip if an example's library is missing, after a check that the example names it."""
    if importlib.util.find_spec(library) is None:
        assert program.process.wait(60) == 1
        assert "pip install" in program.output()
        pytest.skip(f"{library} is not installed: {program.output().strip()}")


def test_edges_are_found_in_shared_memory_and_put_there(programs: Programs) -> None:
    edges = programs.example("opencv_edges", CAMERA, OTHER)
    skip_without("cv2", edges)
    picture = np.full((120, 160, 3), 20, np.uint8)
    picture[40:80, 50:100] = 220
    with VideoFramePublisher(CAMERA) as publisher, VideoFrameSubscriber(OTHER) as subscriber:
        publisher.wait_for_subscribers(1, timeout=60)
        publisher.publish(picture, pts=5, captured_at=7)
        frame = arrived(subscriber.receive_blocking(60_000))
        assert (frame.format, frame.pts, frame.captured_at) == ("GRAY8", 5, 7)
        view = frame.numpy_view()
        assert view[60, 45:55].max() == 255
        assert view[60, 70] == view[10, 10] == 0
        del frame, view
        publisher.end_of_stream()
        assert edges.finish() == "1 frames\n"


def test_supervision_draws_boxes_on_the_frame_in_which_they_were_found(programs: Programs) -> None:
    drawing = programs.example("supervision_boxes", "cam0", "found", "cam 1")
    skip_without("supervision", drawing)
    with (
        VideoFramePublisher(CAMERA) as camera,
        VideoFrameSubscriber(CAMERA) as frames,
        ResultsPublisher("cam0", "found") as found,
        VideoFrameSubscriber(OTHER) as subscriber,
    ):
        camera.wait_for_subscribers(2, timeout=40)
        found.wait_for_subscribers(1, timeout=40)
        for number in range(3):
            camera.publish(np.full((120, 160, 3), 10 * number, np.uint8), captured_at=number + 1)
            with arrived(frames.receive_blocking(60_000)) as frame:
                found.publish(frame, [Box("x", 0.9, 20 + 30 * number, 40, 30, 50)])
            with arrived(subscriber.receive_blocking(60_000)) as frame:
                picture = frame.numpy_view()
                assert (frame.captured_at, picture[5, 5].tolist()) == (number + 1, [10 * number] * 3)
                painted = np.argwhere((picture != 10 * number).any(axis=2))
                assert np.abs(painted.min(axis=0) - (40, 20 + 30 * number)).max() <= 3
                assert np.abs(painted.max(axis=0) - (90, 50 + 30 * number)).max() <= 3
        camera.end_of_stream()
        drawing.finish()


def test_workers_of_a_data_loader_share_the_frames_of_a_stream(programs: Programs) -> None:
    loader = programs.example("torch_dataset", CAMERA, "2")
    skip_without("torch", loader)
    with VideoFramePublisher(CAMERA, qos=Qos(buffer_size=60)) as publisher:
        publisher.wait_for_subscribers(2, timeout=40)
        for number in range(32):
            publisher.publish(np.full((48, 64, 3), number, np.uint8))
        publisher.end_of_stream()
        printed = loader.finish()
    batches = re.findall(r"^\((\d+), 3, 48, 64\) mean (\d+\.\d)$", printed, re.MULTILINE)
    assert sum(int(count) for count, _ in batches) == 32
    # One worker has the even frames, the other the odd ones.
    assert abs(sum(int(count) * float(mean) for count, mean in batches) / 32 - 15.5) < 0.1
