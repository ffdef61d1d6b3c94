"""Metas go with the picture: that of renditions while its coordinates are right, that of bridges always (SPEC.md)."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2._wire.clock import Origin
from gst_iceoryx2._wire.stamp import Stamp, boot_id
from gst_iceoryx2.serve import Rendition
from gst_iceoryx2.video import CustomMeta, VideoFramePublisher, VideoFrameSubscriber
from tests.gst.pairs import Stages
from tests.waiting import arrived

FIELDS: dict[str, Any] = {
    "service": "video/cam 0/frame/v2",
    "boot-id": boot_id().hex(),
    "publisher": "0123456789abcdef",
    "sequence": f"{2**63:016x}",
    "capture": 5,
    "due": 2**62,
    "source-size": (128, 64),
    "source-rect": (0, 0, 128, 64),
    "rect": (0, 16, 64, 32),
}
META = CustomMeta("Iox2Rendition", FIELDS)
OTHER = CustomMeta("LabelMeta", {"n": 1})
CLOCK = Origin(Stamp(bytes(range(16)), 2**63, 7, 5), error=9).meta()

KEEP = {
    "identity": "identity",
    "queue": "queue",
    "tee": "tee ! queue",
    "in a copy": "tee name=t ! queue ! fakesink async=false t. ! queue ! videobalance brightness=0.1",
    "the same format": "videoconvert",
    "another format": "videoconvert ! video/x-raw,format=I420",
    "nothing to scale": "videoconvertscale ! video/x-raw,format=RGBA,width=64,height=64",
}
SCALE: dict[str, tuple[str, tuple[int, int, int, int]]] = {
    "smaller": ("videoscale ! video/x-raw,width=32,height=32", (0, 8, 32, 16)),
    "larger": ("videoconvertscale ! video/x-raw,format=I420,width=100,height=100", (0, 25, 100, 50)),
    "rounded": ("videoscale ! video/x-raw,width=33,height=33", (0, 8, 33, 17)),
    "wide pixels": ("videoscale ! video/x-raw,width=32,height=64,pixel-aspect-ratio=2/1", (0, 16, 32, 32)),
}
"""Pipelines that scale the whole picture, and where the source is in their pictures."""
DROP = {
    "another shape": "videoscale ! video/x-raw,width=64,height=32,pixel-aspect-ratio=1/1",
    "another shape, stretched": "videoscale add-borders=false ! video/x-raw,width=64,height=32,pixel-aspect-ratio=1/1",
    "other pixels": "videoscale ! video/x-raw,pixel-aspect-ratio=2/1,width=64,height=64",
    # Not `method=`, which GStreamer 1.22.0 ignores.
    "mirrored": "videoflip video-direction=horiz",
    "turned": "videoflip video-direction=90r",
    "turned round": "videoflip video-direction=180",
    "cropped": "videocrop left=8 right=8",
    "with a border": "videobox left=-8 top=-8",
}


def through(stages: Stages, chains: dict[str, str], *metas: CustomMeta) -> dict[str, list[Any]]:
    """Return the metas of a frame after each of these pipelines between a publisher and a subscriber in Python."""
    stage = stages()
    seen: dict[str, list[Any]] = {}
    with contextlib.ExitStack() as stack:
        publisher = stack.enter_context(VideoFramePublisher("made", max_subscribers=len(chains)))
        subscribers = {name: stack.enter_context(VideoFrameSubscriber(name)) for name in chains}
        for name, chain in chains.items():
            sink = f'iceoryx2sink service="{name}" sync=false wait-for-connection=true'
            stage.play(f"iceoryx2src service=made ! {chain} ! {sink}", name)
        publisher.wait_for_subscribers(len(chains), timeout=60)
        publisher.publish(np.zeros((64, 64, 3), np.uint8), format="RGB", metas=metas)
        for name, subscriber in subscribers.items():
            frame = arrived(subscriber.receive_blocking(60_000))
            seen[name] = [meta for meta in frame.metas if isinstance(meta, CustomMeta)]
            assert (Rendition.of(frame) is not None) == any(meta.name == META.name for meta in seen[name])
    return seen


@pytest.mark.proves("D4")
def test_the_meta_goes_with_the_picture_until_its_coordinates_are_wrong(stages: Stages) -> None:
    """videoconvert dropped it with every change of format, because GStreamer's own function for custom metas refuses
    each request to scale, even by 1."""
    expected = {name: [OTHER, META] for name in KEEP} | {name: [OTHER] for name in DROP}
    assert through(stages, KEEP | DROP, OTHER, META) == expected


def test_the_origin_goes_with_the_picture_whatever_happens_to_it(stages: Stages) -> None:
    for name, metas in through(stages, KEEP | DROP, CLOCK).items():
        assert CLOCK in metas, name


def test_the_meta_is_scaled_with_the_whole_picture(stages: Stages) -> None:
    expected = {name: [OTHER, CustomMeta(META.name, FIELDS | {"rect": rect})] for name, (_, rect) in SCALE.items()}
    assert through(stages, {name: chain for name, (chain, _) in SCALE.items()}, OTHER, META) == expected


def test_a_frame_of_a_source_says_which_frame_it_is(stages: Stages) -> None:
    """The source adds the meta to frames that do not have it, so that results find the frame behind a pipeline."""
    stage = stages()
    with VideoFramePublisher("video/cam0/frame/v2") as publisher, VideoFrameSubscriber("out") as subscriber:
        chain = (
            "videoscale ! video/x-raw,width=32,height=32 ! iceoryx2sink service=out sync=false wait-for-connection=true"
        )
        stage.play(f"iceoryx2src service=video/cam0/frame/v2 ! {chain}")
        publisher.wait_for_subscribers(1, timeout=60)
        for number in range(3):
            publisher.publish(np.zeros((64, 64, 3), np.uint8), format="RGB")
            rendition = Rendition.of(arrived(subscriber.receive_blocking(60_000)))
            assert rendition is not None
            assert (rendition.service, rendition.sequence) == ("video/cam0/frame/v2", number)
            assert (rendition.source_rect, rendition.rect) == ((0, 0, 64, 64), (0, 0, 32, 32))
            assert rendition.captured_at is not None


def test_metas_of_other_names_cannot_use_up_their_places(stages: Stages) -> None:
    """A process learns at most 32 names."""
    others = [CustomMeta(f"Name{number}Meta", {"n": number}) for number in range(40)]
    assert through(stages, {"seen": "queue"}, *others, META, CLOCK) == {"seen": [*others[:32], META, CLOCK]}
