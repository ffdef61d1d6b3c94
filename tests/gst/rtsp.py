"""Starts an RTSP server as a network camera."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.gst.remote import ROOT


class Server:
    """An RTSP server.

    Args:
        pattern: Pattern of `videotestsrc`.
        port: Port; 0 = any.
        encoders: Encoder and payloader of each stream; without them, it sends H.264 with a keyframe every 0.5 s.
    """

    def __init__(self, pattern: str = "red", *encoders: str, port: str = "0") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.gst.rtsp_server", pattern, port, *encoders],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self.process.stdout is not None
        self.port = self.process.stdout.readline().strip()
        if not self.port:
            _, complaint = self.process.communicate()
            reason = "GStreamer's RTSP server is not installed (gir1.2-gst-rtsp-server-1.0): scripts/setup does that"
            assert "GstRtspServer" in complaint, complaint
            pytest.skip(reason)

    def url(self, path: str = "cam") -> str:
        return f"rtsp://ada:s3cret@127.0.0.1:{self.port}/{path}"

    def close(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.communicate()
