"""Streams that are slow to probe: a probe ends in time, and other streams are probed meanwhile."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2._wire import metas
from gst_iceoryx2.discovery.details import details
from gst_iceoryx2.discovery.names import video_records
from gst_iceoryx2.discovery.probe import probe
from gst_iceoryx2.discovery.sh4lt import sh4lt_paths, sh4lt_stream
from gst_iceoryx2.discovery.stream import Stream
from gst_iceoryx2.sh4lt import dialect
from gst_iceoryx2.sh4lt.sysv import Operation, Semaphores, Step
from gst_iceoryx2.video import VideoFrame
from tests.cli.conftest import CommandLine
from tests.cli.test_list import CAM0, services
from tests.conftest import Place
from tests.processes.children import Child
from tests.sh4lt.test_bad_input import false_writer
from tests.waiting import wait_until

Source = Callable[..., Child]
CAM1 = "video/cam1/frame/v2"


@pytest.mark.proves("W3")
def test_a_probe_ends_in_the_middle_of_a_stream_that_is_faster_than_it(source: Source) -> None:
    """Regression: a probe took frames until none was waiting, so a fast stream kept it busy forever."""
    source(CAM0, CAM1, fps=100)
    looks: list[str] = []

    def slow(name: str, frame: VideoFrame) -> None:
        looks.append(name)
        assert len(looks) < 30, "the look goes on and on"
        if name == CAM0:
            time.sleep(0.1)

    found = probe(current_domain(), sorted(video_records(current_domain()), key=lambda one: one.name), 0.3, slow)
    assert [stream.format for stream in found] == ["BGR", "BGR"]
    assert CAM1 in looks, "the slow stream took all the time"


@pytest.mark.proves("W3")
def test_a_probe_does_not_decode_heavy_metas(
    source: Source, child: Source, iox2_video: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: with 64 metas of 16 kB in each frame, `list` took over 50 s and `top --count 5` took 20 s."""
    source(CAM1)
    liar = child("lie", CAM0, {"metas": 64, "fps": 20})
    assert liar.told() == "sending"

    def listed() -> dict[str, str | None]:
        return {stream["name"]: stream["format"] for stream in services(iox2_video.json("list", "--json"))}

    wait_until(lambda: listed() == {CAM0: "BGR", CAM1: "BGR"})
    top = iox2_video("top", "--count", "2", "--json")
    assert top.returncode == 0, top.stderr
    decoded: list[int] = []
    monkeypatch.setattr(metas, "read_structure", lambda text: decoded.append(len(text)))
    monkeypatch.setattr(metas, "parse_caps", lambda text: decoded.append(len(text)))

    def sees_several() -> bool:
        """Look; return whether there was more than one frame, because a publisher on a busy machine may pause."""
        info = details(CAM0, 0.5)
        counted = {"GstReferenceTimestampMeta (timestamp/x-monotonic)": info.frames_seen} if info.frames_seen else {}
        assert info.metas == counted
        return info.frames_seen > 1

    wait_until(sees_several)
    assert decoded == []


def drips(peer: socket.socket) -> None:
    """Sends a greeting byte by byte, each byte before the timeout for one byte."""
    for byte in dialect.connect_message("video/x-raw", 64):
        peer.send(bytes([byte]))
        time.sleep(0.2)


def stays_inside(peer: socket.socket) -> None:
    """Announces a frame while the segment stays locked, as by a suspended writer."""
    peer.send(dialect.connect_message("video/x-raw, format=(string)RGBA, width=(int)4, height=(int)4", 64))
    peer.recv(dialect.CONNECT_SIZE)
    peer.send(dialect.update_message(64))
    peer.recv(1)


@pytest.mark.skipif(sys.platform != "linux", reason="Sh4lt is for Linux")
@pytest.mark.parametrize("behave", [drips, stays_inside])
@pytest.mark.proves("W3")
def test_a_sh4lt_writer_that_never_finishes_is_listed_as_one_that_does_not_answer(
    runtime: Path, domain: Place, behave: Callable[[socket.socket], None]
) -> None:
    path = runtime / "sh4lt" / "cam0"
    path.parent.mkdir()
    with false_writer(path) as listener:
        Semaphores(dialect.keys_of(path).semaphores).operate(Operation(Step(dialect.WRITER, 1)))

        def serve() -> None:
            with contextlib.suppress(OSError):
                peer = listener.accept()[0]
                with peer:
                    behave(peer)

        threading.Thread(target=serve, daemon=True).start()
        answer: list[Stream] = []
        (found,) = [one for one in sh4lt_paths() if one.path == path]
        look = threading.Thread(target=lambda: answer.append(sh4lt_stream(found, 0.2)), daemon=True)
        look.start()
        look.join(60)
        assert not look.is_alive(), "the look goes on and on"
    assert answer[0].problem == ("its writer did not answer" if behave is drips else None)
