"""Plans for the snippets of docs/gstreamer.md and docs/operations.md."""

from __future__ import annotations

from gst_iceoryx2.video import VideoFrameSubscriber
from tests.processes.markdown import Snippet
from tests.processes.plans.plan import CAMERA, ends_after, launch, runs, seen
from tests.processes.programs import Programs


@runs("! vp8enc deadline=1 ! vp8dec ! videoconvert")
def converts_what_was_decoded(programs: Programs, snippet: Snippet) -> None:
    (pipeline,) = launch(programs, snippet.text)
    assert "format=(string)BGR" in pipeline.finish()


@runs("! tee name=camera  camera. !")
def records_beside(programs: Programs, snippet: Snippet) -> None:
    with VideoFrameSubscriber(CAMERA) as subscriber:
        (pipeline,) = launch(programs, snippet.text)
        assert {frame.format for frame in subscriber} == {"RGB"}
        pipeline.finish()
    assert (programs.folder / "camera.mkv").stat().st_size > 1000


@runs("videoflip method=horizontal-flip")
def relays(programs: Programs, snippet: Snippet) -> None:
    relay, viewer, camera = launch(programs, snippet.text, is_endless=True)
    ends_after(camera, lambda: seen(viewer.output()) > 10)
    relay.finish()
    viewer.finish()


@runs("iox2-video doctor --fix\n")
def cleans_up(programs: Programs, snippet: Snippet) -> None:
    assert "no dead participants" in programs.shell(snippet.text).finish()


@runs("iox2-video --version")
def tells_versions(programs: Programs, snippet: Snippet) -> None:
    lines = programs.shell(snippet.text).finish().splitlines()
    assert lines[1] == "iceoryx2 0.10.0"
