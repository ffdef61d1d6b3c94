"""`iox2-video bridge` to and from ROS 2 topics: another ROS 2 program is played by a Zenoh session, and rosbags."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("zenoh", reason="Zenoh is not installed: pip install 'iox2-video[bridge]'")
rosbags: Any = pytest.importorskip("rosbags.typesys", reason="rosbags is not installed")

from gst_iceoryx2 import jpeg
from gst_iceoryx2._extras import zenoh
from gst_iceoryx2._wire.stamp import monotonic_ns
from gst_iceoryx2.bridge import Bridge, EndpointError
from gst_iceoryx2.bridge.message import Unsound
from gst_iceoryx2.bridge.parcel import Parcel
from gst_iceoryx2.bridge.ros2 import node
from gst_iceoryx2.bridge.ros2.messages import Header
from gst_iceoryx2.bridge.ros2.source import FromTopic
from gst_iceoryx2.bridge.ros2.target import ToTopic
from gst_iceoryx2.bridge.ros2.topic import CAMERA_INFO, COMPRESSED_IMAGE, COMPRESSED_VIDEO, FFMPEG_PACKET, IMAGE, Topic
from gst_iceoryx2.packets import PacketPublisher, PacketSubscriber
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.cli.bridges import FAR, NEAR, flat, free_port
from tests.cli.bridges import Bridge as StartBridge
from tests.cli.router import Router
from tests.conftest import Place
from tests.pictures import planes as noise_planes
from tests.pure.test_ros2_messages import CALIBRATION, DEFINITIONS
from tests.waiting import wait_until

DOMAIN = 42
PATIENCE = 60.0
Start = Callable[..., Bridge]


@pytest.fixture(scope="module")
def router() -> Iterator[Router]:
    with Router(free_port()) as router:
        yield router


@pytest.fixture(scope="module")
def store() -> Any:
    store = rosbags.get_typestore(rosbags.Stores.ROS2_JAZZY)
    for name, text in DEFINITIONS.items():
        store.register(rosbags.get_types_from_msg(text, name))
    return store


@pytest.fixture
def start(router: Router, domain: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Runs bridges in threads: `start("near", "ros2:/cam0/image_raw")`."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    running: list[tuple[Bridge, threading.Thread]] = []

    def run(source: str, target: str, **settings: Any) -> Bridge:
        bridge = Bridge(source, target, **{"connect": [router.endpoint]} | settings)
        thread = threading.Thread(target=bridge.run)
        thread.start()
        running.append((bridge, thread))
        return bridge

    yield run
    for bridge, thread in running:
        bridge.stop()
        thread.join(60)
        assert not thread.is_alive()


class Ros:
    """Another ROS 2 program, on one topic of a type."""

    def __init__(self, router: Router, store: Any, topic: str, type: Any) -> None:
        self._session = router.client()
        self._store, self._type = store, type
        self.heard: list[Any] = []
        self._key = f"{DOMAIN}{topic}/{type.dds_name}/{type.hash}"
        self._numbers = 0
        self._declared: list[Any] = []
        self._place = f"0/1/{{}}/%/%/other/{topic.replace('/', '%')}/{type.dds_name}/{type.hash}/::,10:,:,:,,"

    def _tell(self, kind: str) -> None:
        token = f"@ros2_lv/{DOMAIN}/{self._session.info.zid()}/{self._place.format(kind)}"
        self._declared.append(self._session.liveliness().declare_token(token))

    def subscribe(self) -> Ros:
        self._tell("MS")
        self._declared.append(self._session.declare_subscriber(self._key, self.heard.append))
        return self

    def advertise(self) -> Ros:
        self._tell("MP")
        return self

    def withdraw(self) -> None:
        for one in self._declared:
            one.undeclare()
        self._declared.clear()

    def send(self, payload: bytes) -> None:
        self._numbers += 1
        attachment = struct.pack("<qqB16s", self._numbers, time.time_ns(), 16, bytes(range(16)))
        self._session.put(self._key, payload, attachment=attachment)

    def message(self, *fields: Any) -> bytes:
        return bytes(self._store.serialize_cdr(self._store.types[self._type.name](*fields), self._type.name))

    def header(self, stamp: int, frame_id: str = "cam") -> Any:
        types = self._store.types
        return types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](*divmod(stamp, 10**9)), frame_id)

    def read(self, sample: Any) -> Any:
        return self._store.deserialize_cdr(sample.payload.to_bytes(), self._type.name)

    def close(self) -> None:
        self._session.close()


@pytest.fixture
def ros(router: Router, store: Any) -> Iterator[Callable[..., Ros]]:
    opened: list[Ros] = []

    def open_one(topic: str, type: Any = IMAGE) -> Ros:
        opened.append(Ros(router, store, topic, type))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def until_heard(send: Callable[[], None], ros: Ros) -> Any:
    """Send until a message arrives; return the newest one."""
    deadline = time.monotonic() + PATIENCE
    while not ros.heard:
        assert time.monotonic() < deadline, "nothing arrived"
        send()
        time.sleep(0.02)
    return ros.heard[-1]


def until_received(send: Callable[[], None], subscriber: VideoFrameSubscriber) -> Any:
    """Send until a frame arrives, and return it."""
    deadline = time.monotonic() + PATIENCE
    while (frame := subscriber.receive_blocking(50)) is None or frame.is_eos():
        assert time.monotonic() < deadline, "no frame arrived"
        send()
    return frame


# -- to a topic ------------------------------------------------------------------------------------------------------


def test_frames_reach_a_topic_with_their_time_and_every_byte(
    start: Start, ros: Callable[..., Ros], domain: Place, tmp_path: Path
) -> None:
    file = tmp_path / "front.yaml"
    file.write_text(CALIBRATION.replace("640", "64").replace("480", "48"))
    other, info = ros("/cam0/image_raw").subscribe(), ros("/cam0/camera_info", CAMERA_INFO).subscribe()
    picture = noise_planes("BGR", 64, 48)[0]
    with VideoFramePublisher(NEAR) as publisher:
        start("near", "ros2:/cam0/image_raw", frame_id="lens", camera_info=file)
        captured = monotonic_ns() - 5_000_000_000
        expected = captured + time.time_ns() - monotonic_ns()
        sample = until_heard(lambda: publisher.publish(picture, captured_at=captured) and None, other)
        wait_until(lambda: info.heard, PATIENCE)
    message = other.read(sample)
    assert (message.width, message.height, message.encoding, message.step) == (64, 48, "bgr8", 192)
    assert np.array_equal(message.data, picture.reshape(-1))
    assert message.header.frame_id == "lens"
    stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
    assert abs(stamp - expected) < 1_000_000_000
    sequence, source, length, gid = struct.unpack("<qqB16s", sample.attachment.to_bytes())
    assert (sequence >= 1, length, any(gid)) == (True, 16, True)
    assert abs(source - time.time_ns()) < 60 * 10**9
    calibration = info.read(info.heard[-1])
    assert (calibration.header.frame_id, calibration.width, calibration.k[0]) == ("lens", 64, 500.5)
    stamps = {str(other.read(one).header.stamp) for one in other.heard}
    assert str(calibration.header.stamp) in stamps, "the calibration has the time of its picture"


def test_the_graph_shows_the_bridges_topic(start: Start, router: Router, domain: Place) -> None:
    session = router.client()
    tokens: list[str] = []
    watch = session.liveliness().declare_subscriber(
        f"@ros2_lv/{DOMAIN}/**", lambda sample: tokens.append(str(sample.key_expr)), history=True
    )
    bridge = start("near", "ros2:/graph/image_raw")
    end = f"/%graph%image_raw/{IMAGE.dds_name}/{IMAGE.hash}/1:2:1,10:,:,:,,"
    wait_until(lambda: any(token.endswith(end) for token in tokens), PATIENCE)
    token = next(token for token in tokens if token.endswith(end)).split("/")
    assert token[5:9] == ["MP", "%", "%", f"iox2_video_bridge_{bridge._id}"]
    node = f"@ros2_lv/{DOMAIN}/{token[2]}/0/0/NN/%/%/{token[8]}"
    assert node in tokens
    watch.undeclare()
    session.close()


def test_nothing_is_sent_without_a_subscriber(start: Start, domain: Place) -> None:
    with VideoFramePublisher(NEAR) as publisher:
        bridge = start("near", "ros2:/nobody/image_raw")
        deadline = time.monotonic() + PATIENCE
        while bridge.report().unwanted < 3:
            assert time.monotonic() < deadline
            publisher.publish(flat((1, 2, 3)))
            time.sleep(0.02)
        assert bridge.report().passed == 0


def test_humble_has_no_hashes(start: Start, ros: Callable[..., Ros], monkeypatch: pytest.MonkeyPatch) -> None:
    other = ros("/humble/image_raw", IMAGE._replace(hash="TypeHashNotSupported")).subscribe()
    monkeypatch.setenv("ROS_DISTRO", "humble")
    with VideoFramePublisher(NEAR) as publisher:
        start("near", "ros2:/humble/image_raw")
        until_heard(lambda: publisher.publish(flat((1, 2, 3))) and None, other)


def test_frames_without_an_encoding_are_counted_and_told_once(
    start: Start, ros: Callable[..., Ros], domain: Place, caplog: pytest.LogCaptureFixture
) -> None:
    other = ros("/cam1/image_raw").subscribe()
    with VideoFramePublisher(NEAR) as publisher:
        bridge = start("near", "ros2:/cam1/image_raw")

        def refused() -> bool:
            publisher.publish(noise_planes("I420", 64, 48), format="I420")
            return bridge.report().refused.get("format without an encoding in ROS 2", 0) > 2

        wait_until(refused, PATIENCE)
        until_heard(lambda: publisher.publish(flat((1, 2, 3))) and None, other)
    told = [record.getMessage() for record in caplog.records if "I420" in record.getMessage()]
    assert len(told) == 1
    assert "I420; convert it to one of RGB, BGR" in told[0]


@pytest.mark.parametrize("name", ["/cam0/image_raw", "/cam0/image_raw/compressed"])
def test_pictures_that_bridges_refuse_because_of_their_size_are_not_sent(name: str) -> None:
    """They were encoded and sent, and refused on arrival."""
    unused: Any = None
    target = ToTopic(unused, Topic.of(name), 85, "cam0", None)
    parcel = Parcel("GRAY8", 8193, 8192, (np.broadcast_to(np.uint8(0), (8192, 8193)),))
    with pytest.raises(Unsound, match="picture too large: 8193x8192 has more than 67,108,864 pixels"):
        target._message(parcel, Header(0, "cam0"))


def test_jpeg_crosses_in_both_directions(start: Start, ros: Callable[..., Ros], domain: Place) -> None:
    other = ros("/cam0/image_raw/compressed", COMPRESSED_IMAGE).subscribe()
    with VideoFramePublisher(NEAR) as publisher, VideoFrameSubscriber(FAR) as subscriber:
        start("near", "ros2:/cam0/image_raw/compressed", quality=90)
        start("ros2:/cam0/image_raw/compressed", "far")
        frame = until_received(lambda: publisher.publish(flat((30, 120, 200))) and None, subscriber)
        assert (frame.format, frame.width, frame.height) == ("BGR", 64, 48)
        assert abs(frame.numpy_view().astype(int) - (30, 120, 200)).max() < 4
        del frame
        wait_until(lambda: other.heard, PATIENCE)
    message = other.read(other.heard[0])
    assert (message.format, message.header.frame_id) == ("jpeg", "near")
    assert jpeg.decode(bytes(message.data)).shape == (48, 64, 3)


# -- from a topic ----------------------------------------------------------------------------------------------------


def test_frames_come_from_a_topic_with_every_byte_and_the_stream_ends_with_the_publisher(
    start: Start, ros: Callable[..., Ros], domain: Place
) -> None:
    other = ros("/camera/image").advertise()
    picture = np.arange(48 * 200, dtype=np.uint8).reshape(48, 200)
    stamp = time.time_ns() - 2_000_000_000
    # Rows are padded from 192 to 200 bytes.
    message = other.message(other.header(stamp), 48, 64, "rgb8", 0, 200, picture.reshape(-1))
    with VideoFrameSubscriber(FAR) as subscriber:
        start("ros2:/camera/image", "far")
        frame = until_received(lambda: other.send(message), subscriber)
        assert (frame.format, frame.width, frame.height, frame.pts) == ("RGB", 64, 48, stamp)
        assert np.array_equal(frame.numpy_view(), picture[:, :192].reshape(48, 64, 3))
        assert 2 <= frame.age < 120
        assert frame.captured_at_error is None
        assert frame.origin.sequence >= 1
        del frame
        other.withdraw()
        deadline = time.monotonic() + PATIENCE
        while (frame := subscriber.receive_blocking(200)) is None or not frame.is_eos():
            assert time.monotonic() < deadline, "no end of the stream"
        del frame
        # Another program with another hash, as in ROS 2 Humble, and a time that is not of this machine.
        later = ros("/camera/image", IMAGE._replace(hash="TypeHashNotSupported")).advertise()
        message = other.message(other.header(12_000_000_000), 48, 64, "rgb8", 0, 200, picture.reshape(-1))
        frame = until_received(lambda: later.send(message), subscriber)
        while frame.pts == stamp:
            # Frames of the first publisher may arrive after its end.
            # Zenoh does not keep their order.
            frame = until_received(lambda: later.send(message), subscriber)
        assert (frame.pts, 0 <= frame.age < 60) == (12_000_000_000, True)
        del frame


class Graph:
    """A node whose graph a test plays."""

    def connect(self) -> bool:
        return True

    def subscribe(self, *_: Any) -> None: ...

    def watch(self, _kind: str, _topic: str, _type: Any, changed: Callable[[str, bool], None]) -> None:
        self.changed = changed


def test_a_publisher_that_leaves_while_a_bridge_joins_ends_the_stream() -> None:
    """Regression: publishers were looked for after frames, so frames could come from one that was never seen."""

    class Leaving(Graph):
        def watch(self, *arguments: Any) -> None:
            super().watch(*arguments)
            self.changed("only", True)

        def subscribe(self, *_: Any) -> None:
            self.changed("only", False)

    graph: Any = Leaving()
    source = FromTopic(graph, Topic.of("/cam0/image_raw"))
    source.want(True)
    end = source.next(0)
    assert end is not None
    assert end.is_end


def test_a_publisher_that_replaces_another_one_does_not_end_the_stream() -> None:
    """The end of the first publisher came after frames of the second one, and stopped their readers."""
    graph: Any = Graph()
    source = FromTopic(graph, Topic.of("/cam0/image_raw"))
    source.want(True)
    graph.changed("first", True)
    graph.changed("first", False)
    graph.changed("second", True)
    assert source.next(0) is None
    graph.changed("second", False)
    end = source.next(0)
    assert end is not None
    assert end.is_end


def test_hostile_messages_are_counted_and_told_once_each(
    start: Start, ros: Callable[..., Ros], domain: Place, caplog: pytest.LogCaptureFixture
) -> None:
    other = ros("/hostile/image").advertise()
    pixels = np.zeros(48 * 192, np.uint8)
    sound = other.message(other.header(0), 48, 64, "rgb8", 0, 192, pixels)
    hostile = {
        "message is not plain CDR": b"\x00\x07\0\0" + sound[4:],
        "message ends early": sound[:-1],
        "unknown encoding": other.message(other.header(0), 48, 64, "32FC1", 0, 192, pixels),
        "length and size contradict each other": other.message(other.header(0), 48, 64, "rgb8", 0, 193, pixels),
        "size and step contradict each other": other.message(other.header(0), 48, 64, "rgb8", 0, 1, pixels),
        "picture too large": other.message(other.header(0), 2**31, 2**31, "rgb8", 0, 192, pixels),
    }
    with VideoFrameSubscriber(FAR) as subscriber:
        bridge = start("ros2:/hostile/image", "far")
        for kind, payload in hostile.items():

            def refused(kind: str = kind, payload: bytes = payload) -> bool:
                other.send(payload)
                return bridge.report().refused.get(kind, 0) > 1

            wait_until(refused, PATIENCE)
        frame = until_received(lambda: other.send(sound), subscriber)
        assert frame.width == 64
        del frame
    for kind in hostile:
        assert sum(kind in record.getMessage() for record in caplog.records) == 1, kind


# -- packets ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def packets() -> list[tuple[bytes, bool]]:
    """Packets of x264, and which of them are keyframes."""
    av: Any = pytest.importorskip("av")
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 320, 240, "yuv420p"
    encoder.time_base, encoder.framerate, encoder.gop_size = Fraction(1, 30), Fraction(30), 5
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    made = []
    for number in range(15):
        picture = av.VideoFrame.from_ndarray(np.full((240, 320, 3), number * 9, np.uint8), "rgb24")
        picture = picture.reformat(format="yuv420p")
        picture.pts = number
        made += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(picture)]
    return made


@pytest.mark.parametrize(("ending", "type"), [("ffmpeg", FFMPEG_PACKET), ("foxglove", COMPRESSED_VIDEO)])
def test_packets_cross_unchanged(
    start: Start, ros: Callable[..., Ros], packets: list[tuple[bytes, bool]], ending: str, type: Any
) -> None:
    topic = f"/cam0/image_raw/{ending}"
    other = ros(topic, type).subscribe()
    with PacketPublisher("near", "h264", 320, 240) as publisher, PacketSubscriber("far@h264") as subscriber:
        start("near@h264", f"ros2:{topic}")
        start(f"ros2:{topic}", "far@h264")
        got, numbers = [], iter(range(10**6))
        deadline = time.monotonic() + PATIENCE
        while len(got) < 7 or not any(packet[1] for packet in got[1:]):
            assert time.monotonic() < deadline, "packets do not arrive"
            data, is_keyframe = packets[next(numbers) % len(packets)]
            publisher.publish(data, is_keyframe=is_keyframe)
            packet = subscriber.receive_blocking(50)
            if packet is not None:
                with packet:
                    got.append((bytes(packet.data), packet.is_keyframe, packet.header.width, packet.header.height))
    assert got[0][1], "the first packet is a keyframe"
    assert all((data, is_keyframe) in packets for data, is_keyframe, *_ in got)
    assert {size for *_, width, height in got for size in [(width, height)]} == {(320, 240)}
    message = other.read(other.heard[-1])
    assert (bytes(message.data), True) in packets or (bytes(message.data), False) in packets
    assert (message.encoding if type is FFMPEG_PACKET else message.format).startswith("h264")


def test_a_subscriber_that_comes_gets_a_keyframe(
    start: Start, ros: Callable[..., Ros], packets: list[tuple[bytes, bool]]
) -> None:
    first = ros("/late/ffmpeg", FFMPEG_PACKET).subscribe()
    begun, later = packets[0], packets[1]
    with PacketPublisher("near", "h264", 320, 240) as publisher:
        bridge = start("near@h264", "ros2:/late/ffmpeg")

        def is_fulfilled() -> bool:
            """Fulfil the wish of the first subscriber. A wish is told half a second after the last keyframe."""
            heard = len(first.heard)
            publisher.publish(begun[0], is_keyframe=True)
            deadline = time.monotonic() + 5
            # A keyframe that passes later would fulfil the wish of the second subscriber.
            while len(first.heard) == heard and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(0.6)
            return bridge.report().passed > 2 and not publisher.is_keyframe_wanted

        wait_until(is_fulfilled, PATIENCE)
        ros("/late/ffmpeg", FFMPEG_PACKET).subscribe()

        def is_wanted() -> bool:
            publisher.publish(later[0], is_keyframe=False)
            return publisher.is_keyframe_wanted

        wait_until(is_wanted, PATIENCE)


# -- the router, and errors ------------------------------------------------------------------------------------------


def test_without_a_router_the_bridge_says_what_to_start_and_begins_when_it_is_there(
    bridge: StartBridge, store: Any, domain: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    port = free_port()
    command = bridge("near", "ros2:/late/image_raw", "--connect", f"tcp/127.0.0.1:{port}")
    text = f"no ROS 2 router at tcp/127.0.0.1:{port}; start one with `ros2 run rmw_zenoh_cpp rmw_zenohd`"
    wait_until(lambda: text in command.err, PATIENCE)
    picture = flat((1, 2, 3))
    with VideoFramePublisher(NEAR) as publisher:
        with Router(port) as router, contextlib.closing(Ros(router, store, "/late/image_raw", IMAGE)) as other:
            other.subscribe()
            until_heard(lambda: publisher.publish(picture) and None, other)
        lost = f"lost the ROS 2 router at tcp/127.0.0.1:{port}"
        wait_until(lambda: lost in command.err, PATIENCE)
        with Router(port) as router, contextlib.closing(Ros(router, store, "/late/image_raw", IMAGE)) as other:
            other.subscribe()
            until_heard(lambda: publisher.publish(picture) and None, other)
            # Only the first connection was told, so "reconnecting" was the last word.
            wait_until(lambda: command.err.count("connected to the ROS 2 router at") == 2, PATIENCE)
    command.process.terminate()
    said = command.ends(0)
    assert said.count("no ROS 2 router") == 1
    assert "Traceback" not in said


def test_a_router_at_the_second_endpoint_is_found(router: Router) -> None:
    """Zenoh never tried it while the first endpoint failed."""
    with contextlib.closing(node.Node("other", DOMAIN, [f"tcp/127.0.0.1:{free_port()}", router.endpoint])) as one:
        wait_until(one.connect, PATIENCE)


def test_a_router_that_hangs_does_not_make_closing_fail(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ended in a traceback: "close operation timed out!"."""
    opened: list[Any] = []

    class Hanging:
        def __init__(self, session: Any) -> None:
            self._session = session
            opened.append(self)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

        def close(self) -> None:
            self._session.close()
            raise zenoh.ZenohError("close operation timed out!")

    monkeypatch.setattr(node, "open_client", lambda *arguments: Hanging(zenoh.open_client(*arguments)))
    one = node.Node("other", DOMAIN, [router.endpoint])
    wait_until(one.connect, PATIENCE)
    one.close()
    assert opened


@pytest.mark.parametrize(
    ("ends", "settings", "text"),
    [
        (("cam0", "ros2:cam0"), {}, "ros2:cam0 is not a topic, because it does not begin with a slash"),
        (("ros2:/cam-0/x", "cam0"), {}, "ros2:/cam-0/x is not a topic, because of 'cam-0'"),
        (("cam0", "ros2:"), {}, "'ros2:' lacks a name; use NAME, sh4lt:PATH, zenoh:KEY or ros2:/TOPIC"),
        (("cam0", "ros2:/x/ffmpeg"), {"codec": "h264"}, "leave out --codec h264: the end of the topic's name chooses"),
        (("cam0@h264", "ros2:/x"), {}, "use a topic that ends in /ffmpeg or /foxglove"),
        (("ros2:/x", "cam0@h264"), {}, "use a topic that ends in /ffmpeg or /foxglove"),
        (("sh4lt:/tmp/x", "ros2:/x/ffmpeg"), {}, "sh4lt:/tmp/x has raw video, but /x/ffmpeg has packets"),
        (("cam0", "ros2:/x"), {"listen": ["tcp/127.0.0.1:7447"]}, "a ros2:/TOPIC takes only --connect"),
        (("cam0", "ros2:/x"), {"connect": ["nonsense"]}, "invalid Zenoh endpoint: Endpoints must be of the form"),
        (("cam0", "cam1"), {"frame_id": "x"}, "--frame-id and --camera-info require the target to be a ros2:/TOPIC"),
        # Were accepted, and then ended the bridge with UnicodeEncodeError at the first frame.
        (("cam0", "ros2:/x"), {"frame_id": os.fsdecode(b"\xff")}, r"frame ID '\udcff' is not UTF-8, or contains NUL"),
        ((f"sh4lt:{os.fsdecode(b'/tmp/x' + bytes([255]))}", "ros2:/x"), {}, r"frame ID 'x\udcff' is not UTF-8"),
        (("cam0", "ros2:/x"), {"camera_info": os.devnull}, "/dev/null is not a calibration: it has no keys at the top"),
    ],
)
def test_ends_that_make_no_bridge_are_refused(
    domain: Place, ends: tuple[str, str], settings: dict[str, Any], text: str
) -> None:
    with pytest.raises(EndpointError) as caught:
        Bridge(*ends, **settings)
    assert text in str(caught.value)


def test_a_name_that_is_no_topic_is_a_usage_error(bridge: StartBridge) -> None:
    assert "Error: ros2:/cam-0 is not a topic, because of 'cam-0'" in bridge("cam0", "ros2:/cam-0").ends(2)
