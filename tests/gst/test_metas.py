"""Reference timestamps and custom metas cross in both directions, between pipelines and Python."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from gst_iceoryx2._wire.text import read_structure
from gst_iceoryx2.video import CustomMeta, ReferenceTimestamp, VideoFramePublisher, VideoFrameSubscriber
from tests.gst import scenes
from tests.gst.pairs import Stages, receiver_of, sender_of
from tests.gst.pictures import rows_of
from tests.waiting import arrived, wait_until

SIZE = {"format": "GRAY8", "width": 40, "height": 30}
TEXT = (
    "on=(boolean)true, n=(int)-5, big=(gint64)5000000000, x=(double)1.5, rate=(fraction)30000/1001, "
    'what=(string)"a\\ \\"b\\"\\ c", list=(int){ 1, 2, 3 }'
)
VALUES = {
    "on": True,
    "n": -5,
    "big": 5_000_000_000,
    "x": 1.5,
    "rate": Fraction(30000, 1001),
    "what": 'a "b" c',
    "list": [1, 2, 3],
}


def foreign(frame: dict[str, Any]) -> list[list[Any]]:
    """Return the metas of a received frame, without the metas that every frame has."""
    times, every = "timestamp/x-monotonic", ("GstVideoMeta", "Iox2Rendition")
    return [meta for meta in frame["metas"] if meta[0] not in every and not meta[1].startswith(times)]


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


def fields_of(text: str) -> tuple[str, dict[str, Any]]:
    name, fields = read_structure(text)
    return name, {key: plain(value) for key, value in fields.items()}


@pytest.mark.proves("C4")
def test_metas_cross_from_a_pipeline(stages: Stages, service: str) -> None:
    """They cross to Python, and to a pipeline where the custom meta is not registered."""
    sender, receiver = sender_of(stages, service), receiver_of(stages, service)
    with VideoFrameSubscriber(service) as subscriber:
        times = [["timestamp/x-ntp", 3_900_000_000_000_000_000], ["timestamp/x-unix", 7]]
        sender.push(**SIZE, reference_times=times, custom_metas={"LabelMeta": TEXT})
        ntp, unix, label = foreign(receiver.pull())
        assert ntp == ["GstReferenceTimestampMeta", "timestamp/x-ntp", 3_900_000_000_000_000_000]
        assert unix == ["GstReferenceTimestampMeta", "timestamp/x-unix", 7]
        assert label[0] == "LabelMeta"
        assert fields_of(label[1]) == ("LabelMeta", VALUES)
        frame = arrived(subscriber.receive_blocking(60_000))
        ntp, unix, label = frame.metas
        assert (ntp.reference, ntp.timestamp) == ("timestamp/x-ntp", 3_900_000_000_000_000_000)
        assert (unix.reference, unix.timestamp) == ("timestamp/x-unix", 7)
        assert label.name == "LabelMeta"
        assert {key: plain(value) for key, value in label.fields.items()} == VALUES


def test_the_users_reference_timestamps_come_before_ours(stages: Stages, service: str) -> None:
    """A program that asked for any reference timestamp got the stamp's instead of the publisher's."""
    sender, receiver = sender_of(stages, service), receiver_of(stages, service)
    for _ in range(2):
        sender.push(**SIZE, reference_times=[["timestamp/x-ntp", 5], ["timestamp/x-unix", 7]])
    assert receiver.run(scenes.pull_reference_time) == ["timestamp/x-ntp", 5]
    assert receiver.run(scenes.pull_reference_time, reference="timestamp/x-monotonic") is not None
    sender.push(**SIZE)
    reference, _ = receiver.run(scenes.pull_reference_time)
    assert reference.startswith("timestamp/x-monotonic")


@pytest.mark.proves("C4")
def test_metas_cross_from_python(stages: Stages, service: str) -> None:
    receiver = receiver_of(stages, service)
    with VideoFramePublisher(service) as publisher:
        publisher.wait_for_subscribers(1, timeout=60)
        metas = [CustomMeta("AimMeta", VALUES), ReferenceTimestamp("timestamp/x-ptp", 12, 34)]
        publisher.publish(rows_of(**SIZE)[0], format="GRAY8", metas=metas)
        aim, ptp = foreign(receiver.pull())
        assert aim[0] == "AimMeta"
        assert fields_of(aim[1]) == ("AimMeta", VALUES)
        assert ptp == ["GstReferenceTimestampMeta", "timestamp/x-ptp", 12]


def test_a_relay_passes_metas_on(stages: Stages, service: str) -> None:
    """A relay of a source and a sink passes metas on and writes a new stamp."""
    sender, relay, receiver = sender_of(stages, service), stages(), receiver_of(stages, "relayed")
    relay.play(f"iceoryx2src service={service} ! iceoryx2sink service=relayed sync=false wait-for-connection=true")
    sender.push(**SIZE, reference_times=[["timestamp/x-ntp", 5]], custom_metas={"LabelMeta": "n=(int)1"})
    frame = receiver.pull()
    assert [meta[0] for meta in foreign(frame)] == ["GstReferenceTimestampMeta", "LabelMeta"]
    kinds = [meta[1].rsplit(")", 1)[1] for meta in frame["metas"] if meta[1].startswith("timestamp/x-monotonic")]
    assert kinds == ["due", "capture"]


def test_metas_beyond_the_reserve_are_left_out_by_reference_and_kept_in_copies(stages: Stages, service: str) -> None:
    sender, receiver = sender_of(stages, service), receiver_of(stages, service)
    big = {"BigMeta": f"text=(string){'x' * 5000}", "SmallMeta": "n=(int)1"}
    sender.push(**SIZE, custom_metas=big)
    assert [meta[0] for meta in foreign(receiver.pull())] == ["BigMeta", "SmallMeta"]
    sender.run(scenes.push_from_pool, **SIZE, padding=[0, 0, 0, 0], stride_align=0, custom_metas=big)
    assert foreign(receiver.pull()) == []
    assert [meta[0] for meta in foreign(receiver.pull())] == ["SmallMeta"]
    # The sink counts a frame after it has sent it.
    wait_until(lambda: (sender.get("sink", "frames-copied"), sender.get("sink", "frames-zero-copy")) == (2, 1))


def test_without_aux_bytes_neither_caps_nor_metas_nor_times_cross(stages: Stages, service: str) -> None:
    sender, receiver = sender_of(stages, service, "wait-for-connection=true aux-bytes=0"), receiver_of(stages, service)
    with VideoFrameSubscriber(service) as subscriber:
        sender.push(**SIZE, custom_metas={"LabelMeta": TEXT}, caps="framerate=(fraction)25/1")
        frame = receiver.pull()
        assert [meta[0] for meta in frame["metas"]] == ["GstVideoMeta"]
        assert "format=(string)GRAY8, width=(int)40, height=(int)30" in frame["caps"]
        assert "25/1" not in frame["caps"]
        received = arrived(subscriber.receive_blocking(60_000))
        assert (received.aux.nbytes, received.captured_at, received.metas) == (0, None, [])


def test_a_process_learns_a_bounded_number_of_custom_metas(stages: Stages, service: str) -> None:
    """Registered types are never freed, so a sender must not be able to add any number of names."""
    receiver = receiver_of(stages, service)
    with VideoFramePublisher(service) as publisher:
        publisher.wait_for_subscribers(1, timeout=60)
        seen = []
        for number in range(40):
            meta = CustomMeta(f"Name{number}Meta", {"n": number})
            publisher.publish(rows_of(**SIZE)[0], format="GRAY8", metas=[meta])
            seen += [meta[0] for meta in foreign(receiver.pull())]
        assert seen == [f"Name{number}Meta" for number in range(32)]
        # Known names are still received.
        publisher.publish(rows_of(**SIZE)[0], format="GRAY8", metas=[CustomMeta("Name3Meta", {"n": 1})])
        assert [meta[0] for meta in foreign(receiver.pull())] == ["Name3Meta"]


@pytest.mark.proves("C6")
def test_flags_of_the_picture_cross_and_others_stay_home(stages: Stages, service: str) -> None:
    """GST_BUFFER_FLAG_… and GST_VIDEO_BUFFER_FLAG_… of gst/gstbuffer.h and gst/video/video-frame.h."""
    crossing = {"CORRUPTED": 1 << 8, "MARKER": 1 << 9, "GAP": 1 << 11, "DROPPABLE": 1 << 12, "DELTA_UNIT": 1 << 13}
    crossing |= {"INTERLACED": 1 << 20, "TFF": 1 << 21, "RFF": 1 << 22, "ONEFIELD": 1 << 23}
    staying = {"LIVE": 1 << 4, "SYNC_AFTER": 1 << 15, "NON_DROPPABLE": 1 << 16}
    sender, receiver = sender_of(stages, service), receiver_of(stages, service)
    # The first frame is always a discontinuity.
    sender.push(**SIZE)
    receiver.pull()
    for flag in crossing.values():
        sender.push(**SIZE, flags=flag)
        assert receiver.pull()["flags"] & ~(1 << 14) == flag
    for flag in staying.values():
        sender.push(**SIZE, flags=flag)
        assert receiver.pull()["flags"] & flag == 0


def test_times_durations_and_offsets_cross(stages: Stages, service: str) -> None:
    sender = sender_of(stages, service)
    receiver = receiver_of(stages, service, "timestamp-mode=original")
    sender.push(**SIZE, pts=40_000_000, dts=20_000_000, duration=33_366_667, offset=77)
    frame = receiver.pull()
    assert (frame["pts"], frame["dts"], frame["duration"], frame["offset"]) == (40_000_000, 20_000_000, 33_366_667, 77)
    sender.push(**SIZE)
    frame = receiver.pull()
    assert (frame["dts"], frame["duration"], frame["offset"]) == (None, None, None)
