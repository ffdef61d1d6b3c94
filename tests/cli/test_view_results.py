"""`iox2-video view --results` sends results for the pictures that a page was sent, without a browser."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gst_iceoryx2._wire.stamp import monotonic_ns
from gst_iceoryx2.packets import PacketPublisher
from gst_iceoryx2.preview import Preview
from gst_iceoryx2.results import Box, FrameKey, ResultsPublisher
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.cli.conftest import CommandLine
from tests.cli.page_client import PageClient
from tests.conftest import Place
from tests.waiting import arrived, wait_until

SOURCE = "video/cam0/frame/v2"
KEYFRAME = b"\0\0\1\x67\x42\xc0\x0d\0\0\1\x68\xee\0\0\1\x65\x88"


class Camera:
    """A source and the keys of its frames."""

    def __init__(self) -> None:
        self.publisher = VideoFramePublisher(SOURCE)
        self._subscriber = VideoFrameSubscriber(SOURCE)

    def shoot(self) -> FrameKey:
        """Publish a frame; return its key."""
        self.publisher.publish(np.zeros((48, 64), np.uint8), format="GRAY8")
        with arrived(self._subscriber.latest(60)) as frame:
            return FrameKey.of(frame)

    def close(self) -> None:
        self._subscriber.close()
        self.publisher.close()


@pytest.fixture
def camera(domain: Place) -> Iterator[Camera]:
    there = Camera()
    yield there
    there.close()


@pytest.fixture
def url(camera: Camera) -> Iterator[str]:
    with Preview(["cam0"], results=["yolo"]) as preview:
        yield preview.url


def name(key: FrameKey) -> str:
    publisher, sequence = arrived(key.id)
    return f"{publisher:x}.{sequence}"


def shown(client: PageClient, camera: Camera) -> FrameKey:
    """Publish frames until a picture of one of them arrives; return its key."""
    keys = {}
    while True:
        key = camera.shoot()
        keys[name(key)] = key
        frame = client.picture().about["frame"]
        if frame in keys:
            return keys[frame]


def test_results_follow_their_picture_and_name_its_frame(camera: Camera, url: str) -> None:
    with PageClient(url, watch=[0]) as client, ResultsPublisher("cam0", "yolo") as out:
        client.say(results=[0])
        key = shown(client, camera)
        out.publish(key, [Box("a", 0.5, 1, 2, 3, 4)])
        found, _ = client.results()
        assert found.about["frames"][0] == name(key)
        assert (found.about["stream"], found.about["detector"]) == (0, "yolo")
        assert found.about["boxes"] == [[1, 2, 3, 4, 0, 0.5, None]]


def test_results_of_frames_that_were_not_sent_are_not_sent_either(camera: Camera, url: str) -> None:
    with PageClient(url, watch=[0]) as client, ResultsPublisher("cam0", "yolo") as out:
        client.say(results=[0])
        key = shown(client, camera)
        client.say(watch=[])
        client.status(wanting=0)
        other = camera.shoot()
        for each in (other, FrameKey(key.stamp._replace(publisher=1), 64, 48), key):
            out.publish(each, [Box("a", 1, 0, 0, 1, 1)])
        found, _ = client.results()
        assert found.about["frames"][0] == name(key)
        client.status()
        status = client.status()
        assert status["results"][0]["received"] == 3


def test_results_that_come_before_their_picture_are_sent_after_it(camera: Camera, url: str) -> None:
    with PageClient(url) as client, ResultsPublisher("cam0", "yolo") as out:
        client.say(results=[0])
        out.wait_for_subscribers(timeout=60)
        key = camera.shoot()
        out.publish(key, [Box("early", 1, 0, 0, 1, 1)])
        while client.status()["results"][0]["received"] == 0:
            pass
        client.say(watch=[0])
        found, pictures = client.results()
        assert name(key) in pictures
        assert found.about["labels"] == ["early"]


def test_results_of_decoded_frames_follow_the_packets_of_a_camera_that_encodes(camera: Camera, url: str) -> None:
    """Such packets show no frame, but the frames that are decoded from them have their capture times."""
    captured = monotonic_ns()
    key = camera.shoot()
    with (
        PacketPublisher("cam0", "h264", 64, 48) as packets,
        ResultsPublisher("cam0", "yolo") as out,
        PageClient(url, watch=[0], decodes=[0]) as client,
    ):
        client.say(results=[0])
        out.wait_for_subscribers(timeout=60)
        for place in range(2):
            packets.publish(KEYFRAME, is_keyframe=True, captured_at=captured + place)
        while client.packet().about["frame"] != f"@{captured + 1}":
            pass
        for place in (5, 1):
            decoded = key.stamp._replace(sequence=100 + place, capture=captured + place)
            out.publish(FrameKey(decoded, 64, 48), [Box("a", 1, 0, 0, 1, 1)])
        found, _ = client.results()
        assert found.about["frames"] == [name(FrameKey(decoded, 64, 48)), f"@{captured + 1}"]


def test_a_rendition_is_sent_as_pictures_because_packets_do_not_say_what_they_show(domain: Place) -> None:
    with (
        Preview(["cam0@64x48"], results=["yolo"]) as preview,
        VideoFramePublisher("video/cam0@64x48/frame/v2") as frames,
        PacketPublisher("cam0@64x48", "h264", 64, 48) as packets,
        PageClient(preview.url, watch=[0], decodes=[0]) as client,
    ):
        packets.publish(KEYFRAME, is_keyframe=True)
        frames.publish(np.zeros((48, 64), np.uint8), format="GRAY8")
        client.picture()
        status = client.status(encoder="running")
        assert status["packet_problem"] == "results are not drawn on the packets of a rendition"
        assert status["packet_viewers"] == 0


def test_results_are_received_only_while_a_page_wants_them(camera: Camera, url: str) -> None:
    with ResultsPublisher("cam0", "yolo") as out, PageClient(url, watch=[0]) as client:
        shown(client, camera)
        client.status()
        assert out.num_subscribers == 0
        client.say(results=[0])
        out.wait_for_subscribers(timeout=60)
        client.say(results=[])
        wait_until(lambda: out.num_subscribers == 0)
        client.say(results=[0])
        out.wait_for_subscribers(timeout=60)
        client.close()
        wait_until(lambda: out.num_subscribers == 0)


def test_a_broken_result_is_counted_and_the_next_one_is_sent(
    camera: Camera, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gst_iceoryx2.results import publisher

    with PageClient(url, watch=[0]) as client, ResultsPublisher("cam0", "yolo") as out:
        client.say(results=[0])
        key = shown(client, camera)
        out.wait_for_subscribers(timeout=60)
        with monkeypatch.context() as patch:
            patch.setattr(publisher, "encode_tables", lambda tables: (b"\xff" * 64, 3))
            out.publish(key)
        out.publish(key, [Box("good", 1, 0, 0, 1, 1)])
        found, _ = client.results()
        assert found.about["labels"] == ["good"]
        while client.status()["results"][0]["invalid"] != 1:
            pass


def test_a_page_without_detectors_gets_no_results(camera: Camera) -> None:
    with Preview(["cam0"]) as preview, PageClient(preview.url, watch=[0]) as client:
        client.say(results=[0])
        camera.shoot()
        assert client.picture().about["frame"] is None
        assert client.status()["results"] == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--results", "a b"], "'a b' cannot be the name of a detector"),
        (["--results-wait", "0.4"], "0.4 is not in the range"),
        (["--results", "yolo", "--snapshot", "a.jpg"], "--results draws on the page, not on a snapshot"),
    ],
)
def test_bad_options_are_refused(iox2_video: CommandLine, options: list[str], error: str) -> None:
    done = iox2_video("view", "cam0", "--no-browser", *options)
    assert done.returncode == 2
    assert error in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("wait", [-0.1, 0.31, float("nan")])
def test_a_wait_that_is_too_long_is_refused(domain: Place, wait: float) -> None:
    with pytest.raises(ValueError, match=r"results_wait is .* between 0 and 0\.3 seconds"):
        Preview(["cam0"], results_wait=wait)
