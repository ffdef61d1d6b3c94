"""Sources in `streams.toml` that are programs and servers: pipelines and RTSP cameras."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gst_iceoryx2._plugin import plugin_library
from gst_iceoryx2.discovery import full_name
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.processes.children import Child
from tests.serve.conftest import CAM0, WAIT, WAIT_MS, Serve, children_of, first
from tests.waiting import arrived, wait_until

Serves = Callable[..., Serve]
Readers = Callable[[str], Child]

RED = 'pipeline = "videotestsrc is-live=true pattern=red ! video/x-raw,format=NV12,width=320,height=180,framerate=30/1"'


def test_a_pipeline_runs_on_demand_and_is_started_again(serve: Serves, reader: Readers) -> None:
    supervisor = serve(f"[streams.cam0]\n{RED}\nstop_after = 0.3\n")
    seen = first("cam0@64x-RGB")
    assert (seen.rgb.reshape(-1, 3).mean(0) > (200, -1, -1)).all()
    assert seen.rgb[..., 1:].max() < 60
    one = reader("cam0")
    one.told(WAIT)
    (worker,) = (child for child in supervisor.children() if children_of(child))
    (pipeline,) = children_of(worker)
    os.kill(pipeline, signal.SIGKILL)
    # It waits only for a moment before it starts again.
    supervisor.command.says("cam0: the pipeline was killed by SIGKILL", WAIT)
    while not one._told.empty():
        one.told()
    assert one.told(WAIT) != "end"
    one.kill()
    supervisor.wait_for("cam0", "off")
    wait_until(lambda: not Path(f"/proc/{pipeline}").exists())


def test_pipelines_that_cannot_run_are_told_and_others_go_on(serve: Serves, reader: Readers) -> None:
    supervisor = serve(
        f'[streams.a]\npipeline = "videotestsrc ! nosuchelement"\n'
        f'[streams.b]\npipeline = "videotestsrc ! audioconvert"\n{CAM0}'
    )
    for name, text in (("a", 'no element "nosuchelement"'), ("b", "could not link")):
        reader(name)
        supervisor.wait_for(name, "waiting")
        entry = supervisor.entry(name)
        assert entry is not None
        assert text in (entry.error or "")
    first("cam0@32x")


def test_a_pipeline_that_ends_ends_its_readers(serve: Serves) -> None:
    serve(f"[streams.cam0]\n{RED.replace('true', 'true num-buffers=15')}\nstop_after = 0.1\n")
    for name in ("cam0", "cam0@64x"):
        with VideoFrameSubscriber(full_name(name)) as subscriber:
            assert sum(1 for _ in subscriber) >= 3


def test_gstreamer_reads_a_rendition_that_is_off(serve: Serves, tmp_path: Path) -> None:
    supervisor = serve()
    supervisor.wait_for("cam0", "off")
    environment = os.environ | {
        "GST_PLUGIN_PATH": str(plugin_library().parent),
        "GST_REGISTRY": str(tmp_path / "r.bin"),
    }
    caps = "video/x-raw,format=I420,width=64,height=64"
    done = subprocess.run(
        ["gst-launch-1.0", "-q", "iceoryx2src", "service=video/cam0@64x64-RGB/frame/v2", "num-buffers=5", "!",
         "videoconvert", "!", caps, "!", "filesink", f"location={tmp_path}/out"],
        env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").stat().st_size == 5 * 64 * 64 * 3 // 2
    supervisor.wait_for("cam0", "off")


@pytest.fixture
def url() -> Iterator[tuple[str, Callable[[], None]]]:
    """Return the address of an RTSP camera, and a function that kills its server."""
    pytest.importorskip("av")
    from tests.gst.rtsp import Server

    server = Server()
    yield server.url(), server.process.kill
    server.close()


def test_an_rtsp_camera_runs_on_demand_and_its_loss_is_a_pause(
    serve: Serves, reader: Readers, url: tuple[str, Callable[[], None]]
) -> None:
    address, kill = url
    supervisor = serve(f'[streams.gate]\nrtsp = "{address}"\nstop_after = 0.3\n')
    one = reader("gate@64x-RGB")
    assert one.told(WAIT)[1:] == ["RGB", 64, 48]
    assert first("gate@64x-RGB").rgb[..., 0].mean() > 200
    kill()
    supervisor.wait_for("gate", "waiting")
    entry = supervisor.entry("gate")
    assert entry is not None
    assert entry.error is not None
    assert "s3cret" not in f"{entry}{supervisor.command.err}"
    assert "end" not in [one.told() for _ in range(one._told.qsize())]
    with VideoFrameSubscriber(full_name("gate")) as subscriber:
        supervisor.wait_for("gate", "waiting")
        assert subscriber.receive_blocking(100) is None


def test_a_picture_is_a_stream(serve: Serves, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    import numpy as np

    av.VideoFrame.from_ndarray(np.full((40, 60, 3), 200, np.uint8)).save(tmp_path / "card.png")
    serve('[streams.card]\nimage = "card.png"\nstop_after = 0\n')
    seen = first("card@30x-RGB")
    assert (seen.width, seen.height) == (30, 20)
    assert abs(seen.rgb.astype(int) - 200).max() < 6
    with VideoFrameSubscriber(full_name("card")) as subscriber:
        arrived(subscriber.receive_blocking(WAIT_MS)).release()
