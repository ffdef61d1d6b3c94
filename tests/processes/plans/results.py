"""Plans for the snippets of docs/results.md."""

from __future__ import annotations

import pytest

from gst_iceoryx2._plugin import gstreamer_version
from tests.processes.markdown import Snippet, snippets
from tests.processes.plans.plan import runs, stop
from tests.processes.programs import ROOT, Programs, wait_for_text

DETECTS = 'ResultsPublisher("cam0", "yolo") as results'


@runs(DETECTS, "for results in subscriber:", "yolo.joined(wait=0.08) as joined")
def detects_and_receives(programs: Programs, snippet: Snippet) -> None:
    (detector,) = (one for one in snippets(ROOT / "docs" / "results.md") if DETECTS in one.text)
    running = [programs.shell("exec iox2-video publish cam0 --test --size 640x480"), programs.python(detector.text)]
    is_detector = snippet.text == detector.text
    reader = programs.shell("exec iox2-video results cam0 yolo") if is_detector else programs.python(snippet.text)
    wait_for_text(reader, "person 0.91 (10, 20) 64x128" if is_detector else "person", 60)
    stop(reader, *reversed(running))


@runs("results = Results.of(frame)")
def reads_what_a_pipeline_found(programs: Programs, snippet: Snippet) -> None:
    if gstreamer_version() is None:
        pytest.skip("there is no GStreamer on this machine")
    programs.use_plugin()
    (detector,) = (one for one in snippets(ROOT / "docs" / "results.md") if DETECTS in one.text)
    camera = programs.shell("exec iox2-video publish cam0 --test --size 640x480")
    pipeline = programs.shell(
        "exec gst-launch-1.0 -q iceoryx2src service=video/cam0/frame/v2 results=yolo ! queue ! "
        "iceoryx2sink service=video/cam0-boxes/frame/v2"
    )
    running = [camera, pipeline, programs.python(detector.text)]
    reader = programs.python(snippet.text)
    wait_for_text(reader, "['person']", 60)
    stop(reader, *reversed(running))
