"""A pipeline receives frames that break each rule of section 7 of SPEC.md."""

from __future__ import annotations

import pytest

from gst_iceoryx2._wire.formats import FORMATS
from gst_iceoryx2.video import build_aux
from tests.gst import scenes
from tests.gst.pairs import Stages, receiver_of
from tests.gst.remote import Stage
from tests.transport.raw import RawPublisher
from tests.transport.test_hostile import BROKEN, CAPS_BAD, CAPS_GOOD, PIXELS, header


@pytest.fixture
def victim(stages: Stages, service: str, liar: RawPublisher) -> Stage:
    """A pipeline that reads every byte of its frames."""
    stage = stages()
    stage.play(
        f"iceoryx2src name=src service={service} ! videoconvert ! video/x-raw,format=RGBA ! appsink name=out sync=false"
    )
    sound(liar)
    assert stage.pull() is not None
    return stage


def sound(liar: RawPublisher, caps: str | None = None) -> None:
    aux = build_aux(caps, []) if caps else b""
    frame = header()
    frame.aux_size = len(aux)
    liar.send(frame, PIXELS + aux)


def warnings(victim: Stage) -> list[str]:
    """Return the warnings of the source since the last call."""
    found = []
    while warning := victim.message(["warning"], timeout=0):
        found.append(warning["text"])
    return found


def test_every_broken_header_is_dropped_counted_and_told_once_a_kind(victim: Stage, liar: RawPublisher) -> None:
    rules = set()
    for number, (change, size, rule) in enumerate(BROKEN.values(), 1):
        broken = header()
        change(broken)
        for _ in range(2):
            liar.send(broken, PIXELS[:1] * size)
        victim.run(scenes.wait_for, element="src", prop="frames-invalid", value=2 * number)
        sound(liar)
        assert victim.pull() is not None, rule
        rules.add(rule)
    assert victim.get("src", "frames-invalid") == 2 * len(BROKEN)
    lines = warnings(victim)
    assert len(lines) == len(rules), lines
    for rule in rules:
        assert sum(f"dropped: {rule}: " in line for line in lines) == 1, (rule, lines)
    assert victim.message(["error"], timeout=0) is None


def test_bad_caps_cost_their_frame_and_one_line(victim: Stage, liar: RawPublisher) -> None:
    for number, caps in enumerate(CAPS_BAD.values(), 1):
        sound(liar, caps)
        victim.run(scenes.wait_for, element="src", prop="frames-invalid", value=number)
        sound(liar, CAPS_GOOD)
        assert "format=(string)NV12" in victim.run(scenes.query_caps, element="src", pad="src")
        assert victim.pull() is not None
    (line,) = warnings(victim)
    assert len(line) < 600


def test_a_flood_of_broken_frames_hides_no_sound_one(victim: Stage, liar: RawPublisher) -> None:
    broken = header()
    broken.width = 0
    for _ in range(2000):
        liar.send(broken, PIXELS)
    sound(liar)
    assert victim.pull() is not None
    assert len(warnings(victim)) == 1


@pytest.mark.parametrize("format", [name for name, known in FORMATS.items() if known.kind == "tiled"])
def test_tiles_that_are_not_where_gstreamer_looks_for_them_are_dropped(
    stages: Stages, service: str, liar: RawPublisher, format: str
) -> None:
    """Rows of tiled formats cannot be checked, so the layout must be GStreamer's default."""
    stage = receiver_of(stages, service)
    if format not in stage.run(scenes.formats_of, element="iceoryx2src", pad="src"):
        pytest.skip("this GStreamer does not know the format")
    layout = stage.run(scenes.default_layout_of, format=format, width=128, height=128)
    frame = header()
    frame.format_name, frame.width, frame.height = format, 128, 128
    frame.n_planes = len(layout["strides"])
    frame.stride[:] = [*layout["strides"], 0, 0, 0, 0][:4]
    frame.plane_offsets[:] = [*layout["offsets"], 0, 0, 0, 0][:4]
    liar.send(frame, bytes(layout["size"]))
    assert stage.pull() is not None
    liar.send(frame, bytes(layout["size"] - 1))
    stage.run(scenes.wait_for, element="src", prop="frames-invalid", value=1)
    frame.stride[0] += 1
    liar.send(frame, bytes(layout["size"] * 2))
    stage.run(scenes.wait_for, element="src", prop="frames-invalid", value=2)
    frame.stride[0] -= 1
    liar.send(frame, bytes(layout["size"]))
    assert stage.pull() is not None
    assert "frames-invalid" in stage.message(["warning"])["text"]
    assert stage.message(["warning"], timeout=0) is None


def test_an_end_of_stream_with_rubbish_is_still_the_end(victim: Stage, liar: RawPublisher) -> None:
    end = header()
    end.flags = 1 << 32
    end.width = 2**32 - 1
    liar.send(end, PIXELS)
    assert victim.pull() == {"eos": True}


def test_flags_that_are_not_the_pictures_stay_out(stages: Stages, service: str, liar: RawPublisher) -> None:
    stage = receiver_of(stages, service)
    frame = header()
    frame.flags = 2**32 - 1
    liar.send(frame, PIXELS)
    received = stage.pull()
    # LIVE, TAG_MEMORY and the bits of the mini object would change how GStreamer handles the buffer.
    local = 0xF | 1 << 4 | 1 << 14 | 1 << 15 | 1 << 16
    assert received["flags"] & local & ~(1 << 14) == 0
