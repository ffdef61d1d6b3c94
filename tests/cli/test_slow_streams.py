"""Streams that take long to look at: a look ends when its time is over, and other streams are seen meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from gst_iceoryx2._domain import current_domain
from gst_iceoryx2.discovery.details import details
from gst_iceoryx2.discovery.glance import glance
from gst_iceoryx2.discovery.names import video_records
from gst_iceoryx2.video import VideoFrame, metas
from tests.cli.conftest import CommandLine
from tests.cli.test_list import CAM0, services
from tests.processes.children import Child

Source = Callable[..., Child]
CAM1 = "video/cam1/frame/v2"


def test_a_look_ends_in_the_middle_of_a_stream_that_is_faster_than_it_can_be_looked_at(source: Source) -> None:
    """A look took frames until none was waiting: a stream faster than that held the look for as long as it ran."""
    source(CAM0, CAM1, fps=100)
    looks: list[str] = []

    def slow(name: str, frame: VideoFrame) -> None:
        looks.append(name)
        assert len(looks) < 30, "the look goes on and on"
        if name == CAM0:
            time.sleep(0.1)

    found = glance(current_domain(), sorted(video_records(current_domain()), key=lambda one: one.name), 0.3, slow)
    assert [stream.format for stream in found] == ["BGR", "BGR"]
    assert CAM1 in looks, "the slow stream took all the time"


def test_heavy_metas_are_not_decoded_to_look_at_a_stream(
    source: Source, child: Source, iox2_video: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 64 metas of 16 kB on each frame `list` was not done after 50 s, and `top --count 5` took 20 s."""
    source(CAM1)
    liar = child("lie", CAM0, {"metas": 64, "fps": 20})
    assert liar.told() == "sending"
    listed = {stream["name"]: stream["format"] for stream in services(iox2_video.json("list", "--json"))}
    assert listed == {CAM0: "BGR", CAM1: "BGR"}
    top = iox2_video("top", "--count", "2", "--json")
    assert top.returncode == 0, top.stderr
    decoded: list[int] = []
    monkeypatch.setattr(metas, "read_structure", lambda text: decoded.append(len(text)))
    monkeypatch.setattr(metas, "parse_caps", lambda text: decoded.append(len(text)))
    info = details(CAM0, 0.5)
    assert info.metas == {"GstReferenceTimestampMeta (timestamp/x-monotonic)": info.frames_seen}
    assert info.frames_seen > 1
    assert decoded == []
