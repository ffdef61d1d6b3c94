"""Plans for the snippets of docs/packets.md."""

from __future__ import annotations

import pytest

from gst_iceoryx2.errors import ServiceNotFoundError
from gst_iceoryx2.packets import lookback
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.processes.markdown import Snippet, snippets
from tests.processes.plans.plan import runs, stop
from tests.processes.plans.serve import serving
from tests.processes.programs import ROOT, Program, Programs, wait_for_text
from tests.waiting import wait_until

ENCODES = "for packet in encoder.encode(picture):"


def encoded(programs: Programs) -> list[Program]:
    """Publish a test picture, and encode it by the snippet that does so."""
    (snippet,) = (one for one in snippets(ROOT / "docs" / "packets.md") if ENCODES in one.text)
    camera = programs.shell("exec iox2-video publish cam0 --test --size 640x480")
    # The encoder is stopped first, because the end of the camera ends it as well.
    return [programs.python(snippet.text), camera]


@runs("print(packet.is_keyframe, len(packet.data)", 'PacketSubscriber("cam0@h264") as subscriber', ENCODES)
def encodes_and_receives(programs: Programs, snippet: Snippet) -> None:
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")
    running = encoded(programs)
    text = snippet.text
    if ENCODES in text:
        text = (
            "from gst_iceoryx2.packets import PacketSubscriber\nfor packet in PacketSubscriber('cam0'): print(packet)"
        )
    reader = programs.python(text)
    wait_for_text(reader, "(480, 640, 3)" if "rgb24" in text else "keyframe" if "print(packet)" in text else "True ")
    stop(reader, *running)


@runs('FrameDecoder("copy0", "h264")')
def decodes_packets(programs: Programs, snippet: Snippet) -> None:
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")
    running = encoded(programs)
    decoder = programs.python(snippet.text)
    with VideoFrameSubscriber("video/copy0/frame/v2") as subscriber:
        frame = subscriber.receive_blocking(60_000)
        assert frame is not None
        with frame:
            assert (frame.format, frame.width, frame.height) == ("I420", 640, 480)
    stop(decoder, *running)


@runs('PacketFile("cam0.mp4") as file')
def writes_packets(programs: Programs, snippet: Snippet) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")
    running = encoded(programs)
    writer = programs.python(snippet.text)
    file = programs.folder / "cam0.mp4"
    wait_until(lambda: file.exists() and file.stat().st_size > 10_000, 60)
    stop(writer, *running)
    with av.open(str(file)) as container:
        assert len(list(container.decode(video=0))) > 2


@runs("make_reader(file).iter_messages")
def reads_an_mcap_file(programs: Programs, snippet: Snippet) -> None:
    pytest.importorskip("mcap", reason="mcap is not installed: pip install 'iox2-video[mcap]'")
    camera = programs.shell("exec iox2-video publish cam0 --test --size 640x480")
    assert "30 frames" in programs.shell("exec iox2-video record cam0 drive.mcap --frames 30 --timeout 30").finish()
    assert programs.python(snippet.text).finish().count(" h264 ") == 30
    stop(camera)


@runs('packets_for("cam0") as source')
def encodes_by_itself(programs: Programs, snippet: Snippet) -> None:
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")
    camera = programs.shell("exec iox2-video publish cam0 --test --size 640x480")
    assert "h264 keyframe 640x480" in programs.python(snippet.text).finish()
    stop(camera)


@runs("picture = past.at(seconds=-2.0)")
def looks_back(programs: Programs, snippet: Snippet) -> None:
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")
    supervisor = serving(programs, 'keep = "30s"')
    wait_until(lambda: has_kept(4.0), 60)
    printed = programs.python(snippet.text).finish()
    assert "(180, 320, 3)" in printed
    assert "True " in printed
    stop(supervisor)


def has_kept(seconds: float) -> bool:
    """Whether a ring has so many seconds of cam0."""
    try:
        return lookback("cam0").seconds >= seconds
    except ServiceNotFoundError:
        return False
