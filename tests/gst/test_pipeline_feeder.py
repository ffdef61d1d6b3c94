"""`feed.PipelineFeeder` runs a launch line in a process of its own, and tells why it failed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gst_iceoryx2 import _launch
from gst_iceoryx2.feed import PipelineFeeder, SettingError, SourceError
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.conftest import Place
from tests.processes.children import Child
from tests.serve.conftest import runs
from tests.waiting import arrived, wait_until

CAM = "video/cam0/frame/v2"
LIVE = "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=48,framerate=30/1"


@pytest.fixture(autouse=True)
def registry(plugin_environment: dict[str, str], domain: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of GStreamer for this test run; the plugin is found without GST_PLUGIN_PATH."""
    monkeypatch.setenv("GST_REGISTRY", plugin_environment["GST_REGISTRY"])
    monkeypatch.delenv("GST_PLUGIN_PATH", raising=False)


def run_in_thread(feeder: PipelineFeeder) -> threading.Thread:
    thread = threading.Thread(target=feeder.run)
    thread.start()
    return thread


def test_a_stopped_pipeline_leaves_the_stream_open_and_one_that_ends_ends_it() -> None:
    with VideoFrameSubscriber(CAM) as subscriber:
        first = PipelineFeeder("cam0", LIVE)
        thread = run_in_thread(first)
        with arrived(subscriber.receive_blocking(60_000)) as frame:
            assert (frame.format, frame.width, frame.height) == ("GRAY8", 64, 48)
        assert first.report().pid is not None
        first.stop()
        thread.join(60)
        assert not thread.is_alive()
        assert first.report().pid is None
        while (frame := subscriber.receive()) is not None:
            with frame:
                assert not frame.is_eos()
        # Regression: gst-launch-1.0 -e, or a sink that ends the stream when it is stopped, would end it here.
        last = PipelineFeeder("cam0", f"{LIVE} ! identity eos-after=4")
        last.run()
        frames = []
        while not arrived(frame := subscriber.receive_blocking(60_000)).is_eos():
            frames.append(frame.pts)
            frame.release()
        frame.release()
    assert len(frames) == 3


@pytest.mark.parametrize("name", ['a "b" c', "a\\b", "it's $HOME", "cam;0"])
def test_every_name_reaches_the_sink(name: str) -> None:
    with VideoFrameSubscriber(f"video/{name}/frame/v2") as subscriber:
        feeder = PipelineFeeder(name, LIVE)
        thread = run_in_thread(feeder)
        arrived(subscriber.receive_blocking(60_000)).release()
        feeder.stop()
        thread.join(60)


def test_quotes_mean_what_they_mean_in_a_shell() -> None:
    with VideoFrameSubscriber(CAM) as subscriber:
        caps = "'video/x-raw, format=(string)GRAY8, width=(int)64, height=(int)48'"
        feeder = PipelineFeeder("cam0", f'videotestsrc is-live=true name="a b" ! capsfilter caps={caps}')
        thread = run_in_thread(feeder)
        with arrived(subscriber.receive_blocking(60_000)) as frame:
            assert frame.width == 64
        feeder.stop()
        thread.join(60)


@pytest.mark.parametrize(
    ("line", "error", "text"),
    [
        ("videotestsrc ! nonsense", SettingError, 'cannot create the pipeline: no element "nonsense"'),
        ("videotestsrc foo=3", SettingError, 'no property "foo" in element "videotestsrc"'),
        ("videotestsrc ! x264enc", SettingError, "could not link x264enc0 to iceoryx2sink0"),
        ("filesrc location=/gone ! decodebin", SourceError, r'failed in filesrc0: .* \(No such file "/gone"\)'),
        (f"{LIVE} ! identity error-after=3", SourceError, "failed in identity0: Failed after iterations"),
        ("videotestsrc 'x", SettingError, "cannot be split into words: no closing quotation"),
        ("videotestsrc !", SettingError, 'ends with "!"; leave it out'),
        ("videotestsrc ! iceoryx2sink service=x", SettingError, 'ends with "iceoryx2sink"; leave it out'),
        (" ", SettingError, "is empty; write what to publish"),
    ],
)
def test_what_fails_is_told_in_gstreamers_words(line: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        PipelineFeeder("cam0", line).run()


def test_passwords_are_not_told() -> None:
    for line in ("rtspsrc location=rtsp://ada:s3cret@127.0.0.1:1/x ! nonsense", "rtspsrc user-pw=s3cret ! 'x"):
        with pytest.raises(SettingError) as caught:
            PipelineFeeder("cam0", line).run()
        assert "s3cret" not in str(caught.value)


def test_without_gst_launch_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match=r"gst-launch-1\.0, which is not on PATH; .* gstreamer1\.0-tools"):
        PipelineFeeder("cam0", LIVE)


def test_a_pipeline_dies_with_the_process_that_started_it() -> None:
    runner = Child("run_pipeline", "cam0", LIVE)
    pid = runner.told()
    with VideoFrameSubscriber(CAM) as subscriber:
        arrived(subscriber.receive_blocking(60_000)).release()
        runner.kill()
        runner.close()
        wait_until(lambda: not runs(pid))
        # The next publisher removes what the dead one has left.
        PipelineFeeder("cam0", f"{LIVE} ! identity eos-after=2").run()


def test_a_guard_whose_parent_has_died_before_does_not_start_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", "-c", _launch.GUARD]
    for parent, is_started in ((os.getpid(), True), (os.getpid() + 1, False)):
        mark = tmp_path / str(parent)
        subprocess.run([*command, str(parent), "touch", str(mark)], check=True)
        assert mark.exists() is is_started
