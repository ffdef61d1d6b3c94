"""Elements of another user than the one who was first in the domain: refused in words, and nobody is disturbed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gst_iceoryx2._plugin import gstreamer_version, plugin_library
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.conftest import Place

NOBODY = "65534"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root to be two users"),
    pytest.mark.skipif(sys.platform != "linux" or not shutil.which("setpriv"), reason="needs setpriv"),
    pytest.mark.skipif(gstreamer_version() is None, reason="GStreamer is not installed"),
]


@pytest.fixture
def plugin() -> Path:
    """Folder of the plugin, where another user may read it."""
    folder = plugin_library().parent
    readable = subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "test", "-r", plugin_library()],
        check=False,
    )
    if readable.returncode != 0:
        pytest.skip(f"another user cannot read {folder}")
    return folder


@pytest.mark.parametrize(
    "line", ["iceoryx2src service={} ! fakesink", "videotestsrc num-buffers=5 ! iceoryx2sink service={}"]
)
def test_an_element_of_another_user_is_refused_in_words(line: str, domain: Place, plugin: Path) -> None:
    service = "video/mine/frame/v2"
    picture = np.ones((48, 64, 3), np.uint8)
    with VideoFramePublisher(service) as publisher, VideoFrameSubscriber(service) as subscriber:
        publisher.wait_for_subscribers(1, timeout=5)
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        environment = os.environ | {"GST_PLUGIN_PATH": str(plugin), "GST_REGISTRY": f"/tmp/reg{os.getpid()}.bin"}
        try:
            ended = subprocess.run(
                [*command, "gst-launch-1.0", *line.format(service).split()],
                env=environment | {"HOME": "/nonexistent"},
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        finally:
            Path(environment["GST_REGISTRY"]).unlink(missing_ok=True)
        assert ended.returncode in (1, 255), ended.stderr
        assert "no permission to" in ended.stderr
        assert service in ended.stderr
        assert "belongs to user 0 (this process runs as 65534)" in ended.stderr
        assert "IOX2_VIDEO_DOMAIN" in ended.stderr
        publisher.publish(picture)
        frame = subscriber.receive_blocking(2000)
        assert frame is not None
        frame.release()
