"""Plans for the snippets of promised_snippets.md."""

from __future__ import annotations

import re

import numpy as np

from gst_iceoryx2.video import Qos, VideoFramePublisher, VideoFrameSubscriber
from tests.processes.markdown import Snippet
from tests.processes.plans.plan import CAMERA, camera_pipeline, ends_after, runs
from tests.processes.programs import Programs
from tests.waiting import arrived, wait_until

# The first lines of the promised session; the next snippets continue it.
SESSION = """\
import gi; gi.require_version("Gst", "1.0")
from gi.repository import Gst
from gst_iceoryx2 import setup_gstreamer
setup_gstreamer(); Gst.init(None)
"""
# Keeps a session open until its input ends.
UNTIL_INPUT_ENDS = "\nimport sys; sys.stdin.read(); pipeline.set_state(Gst.State.NULL)\n"


@runs('setup_gstreamer(); Gst.init(None)\npipeline = Gst.parse_launch(\n    "videotestsrc ')
def promised_sink(programs: Programs, snippet: Snippet) -> None:
    program = programs.python(snippet.text + UNTIL_INPUT_ENDS)
    with VideoFrameSubscriber(CAMERA) as subscriber:
        frame = arrived(subscriber.receive_blocking(60_000))
        assert frame.numpy_view().shape == (640, 640, 3)
    del frame
    program.finish()


@runs('pipeline = Gst.parse_launch(\n    "iceoryx2src service')
def promised_source(programs: Programs, snippet: Snippet) -> None:
    # autovideosink chooses the sink of the highest rank, so the environment replaces the window.
    programs.environment["GST_PLUGIN_FEATURE_RANK"] = "fakevideosink:MAX"
    count = """
import sys
from time import sleep
_, source = pipeline.iterate_sources().next()
while source.get_property("frames-received") < 10: sleep(0.01)
print("frames came", flush=True)
"""
    program = programs.python(SESSION + snippet.text + count + UNTIL_INPUT_ENDS)
    camera = camera_pipeline(programs)
    ends_after(camera, lambda: "frames came" in program.output())
    program.finish()


@runs("while (frame := sub.receive_blocking(block_ms=1000)) is not None:")
def promised_subscriber(programs: Programs, snippet: Snippet) -> None:
    """It gives up after a second without a frame. Where the machine takes that long, it runs again."""
    # The last frame is the end of the stream, an empty picture.
    promised = r"(\(480, 640, 3\) pts \d+\n){20}\(0, 0, 0\) pts .*\n"
    wait_until(lambda: re.fullmatch(promised, printed_for_a_camera(programs, snippet)))


def printed_for_a_camera(programs: Programs, snippet: Snippet) -> str:
    """Publish 20 frames, the first one before the snippet begins, and return what it prints."""
    picture = np.zeros((480, 640, 3), np.uint8)
    with VideoFramePublisher(CAMERA, qos=Qos(buffer_size=21)) as publisher:
        publisher.publish(picture, pts=0)
        program = programs.python(snippet.text)
        publisher.wait_for_subscribers(timeout=60)
        for number in range(1, 20):
            publisher.publish(picture, pts=number)
        publisher.end_of_stream()
        return program.finish()


@runs("pub.publish_frame(frame.tobytes(), FrameParams(")
def promised_publisher(programs: Programs, snippet: Snippet) -> None:
    program = programs.python(f"{snippet.text}\nimport sys; sys.stdin.read()\n")
    with VideoFrameSubscriber(CAMERA) as subscriber:
        frame = arrived(subscriber.receive_blocking(60_000))
        assert (frame.numpy_view().shape, frame.numpy_view().any(), frame.offset) == ((640, 640, 3), False, 0)
    del frame
    program.finish()


@runs("cfg = SinkConfig(service=")
def promised_settings(programs: Programs, snippet: Snippet) -> None:
    check = f"assert (sink.props.service, sink.props.max_bytes) == ({CAMERA!r}, 1228800)\n"
    programs.python(f"{SESSION}{snippet.text}\n{check}").finish()
