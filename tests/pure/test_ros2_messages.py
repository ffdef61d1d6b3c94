"""ROS 2 messages: as rosbags reads and writes them, their hashes, hostile ones, formats, and calibrations."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("yaml")
rosbags: Any = pytest.importorskip("rosbags.typesys", reason="rosbags is not installed")

from gst_iceoryx2.bridge import Endpoint, EndpointError, check_pair
from gst_iceoryx2.bridge.message import Unsound
from gst_iceoryx2.bridge.parcel import Parcel
from gst_iceoryx2.bridge.ros2 import topic as topics
from gst_iceoryx2.bridge.ros2.calibration import Calibration
from gst_iceoryx2.bridge.ros2.encodings import pack_image, unpack_image
from gst_iceoryx2.bridge.ros2.messages import (
    Compressed,
    FfmpegPacket,
    Header,
    Image,
    Parts,
    compressed_image,
    compressed_video,
    ffmpeg_packet,
)
from gst_iceoryx2.bridge.ros2.packets import PacketReader
from tests.pictures import planes as noise_planes

STAMP = 1_796_123_456_123_456_789
HEADER = Header(STAMP, "camera_optical")
# The definitions of types that rosbags does not bring. Source: the packages of the same names.
DEFINITIONS = {
    "foxglove_msgs/msg/CompressedVideo": (
        "builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format"
    ),
    "ffmpeg_image_transport_msgs/msg/FFMPEGPacket": (
        "std_msgs/Header header\nint32 width\nint32 height\nstring encoding\nuint64 pts\nuint8 flags\n"
        "bool is_bigendian\nuint8[] data"
    ),
}
CALIBRATION = """
# written by hand, and longer than one line
image_width: 640
image_height: 480
camera_name: front
camera_matrix:
  rows: 3
  cols: 3
  data: [500.5, 0, 320,
         0, 501, 240.25, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.25, 1.0e-1, 0, 0, 0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix:
  rows: 3
  cols: 4
  data: [500, 0, 320, 0, 0, 500, 240, 0, 0, 0, 1, 0]
"""


@pytest.fixture(scope="module")
def store() -> Any:
    """rosbags' types, with those of the two packages for packets."""
    store = rosbags.get_typestore(rosbags.Stores.ROS2_JAZZY)
    for name, text in DEFINITIONS.items():
        store.register(rosbags.get_types_from_msg(text, name))
    return store


def joined(parts: Parts) -> bytes:
    return b"".join(bytes(part) for part in parts)


def picture(format: str, width: int = 64, height: int = 48) -> Parcel:
    return Parcel(format, width, height, noise_planes(format, width, height))


@pytest.mark.parametrize(
    "type",
    [topics.IMAGE, topics.COMPRESSED_IMAGE, topics.CAMERA_INFO, topics.FFMPEG_PACKET, topics.COMPRESSED_VIDEO],
)
def test_the_hash_of_each_type_is_the_one_that_rosbags_computes(store: Any, type: topics.MessageType) -> None:
    assert type.hash == store.hash_rihs01(type.name)


def test_rosbags_reads_our_messages(store: Any, tmp_path: Path) -> None:
    frame = picture("BGR")
    read = store.deserialize_cdr(joined(pack_image(frame, HEADER)), topics.IMAGE.name)
    assert (read.header.stamp.sec * 10**9 + read.header.stamp.nanosec, read.header.frame_id) == HEADER
    assert (read.width, read.height, read.encoding, read.is_bigendian, read.step) == (64, 48, "bgr8", 0, 192)
    assert np.array_equal(read.data, frame.planes[0].reshape(-1))

    read = store.deserialize_cdr(joined(compressed_image(HEADER, "jpeg", b"abc")), topics.COMPRESSED_IMAGE.name)
    assert (read.format, bytes(read.data)) == ("jpeg", b"abc")
    read = store.deserialize_cdr(joined(compressed_video(HEADER, "h264", b"abcde")), topics.COMPRESSED_VIDEO.name)
    assert (read.frame_id, read.format, bytes(read.data)) == ("camera_optical", "h264", b"abcde")
    read = store.deserialize_cdr(
        joined(ffmpeg_packet(HEADER, (64, 48), "h264;x", 7, True, b"abc")), topics.FFMPEG_PACKET.name
    )
    assert (read.width, read.height, read.encoding, read.pts, read.flags) == (64, 48, "h264;x", 7, 1)
    assert bytes(read.data) == b"abc"

    file = tmp_path / "front.yaml"
    file.write_text(CALIBRATION)
    read = store.deserialize_cdr(joined(Calibration.read(file).message(HEADER)), topics.CAMERA_INFO.name)
    assert (read.width, read.height, read.distortion_model, list(read.d)) == (
        640,
        480,
        "plumb_bob",
        [-0.25, 0.1, 0, 0, 0],
    )
    assert list(read.k) == [500.5, 0, 320, 0, 501, 240.25, 0, 0, 1]
    assert (list(read.r), read.p[6], read.p[10]) == ([1, 0, 0, 0, 1, 0, 0, 0, 1], 240, 1)
    assert (read.binning_x, read.roi.width, read.roi.do_rectify) == (0, 0, False)


@pytest.mark.parametrize("is_little", [True, False])
def test_we_read_the_messages_of_rosbags_in_both_byte_orders(store: Any, is_little: bool) -> None:
    types = store.types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](*divmod(STAMP, 10**9)), "frame é")
    data = np.arange(5 * 4, dtype=np.uint8)

    def sent(name: str, *fields: Any) -> bytes:
        return bytes(store.serialize_cdr(types[name](*fields), name, little_endian=is_little))

    image = Image.read(sent(topics.IMAGE.name, header, 4, 1, "bgr8", 0, 5, data))
    assert image[:6] == (Header(STAMP, "frame é"), 4, 1, "bgr8", False, 5)
    assert bytes(image.data) == data.tobytes()
    assert unpack_image(image).planes[0].tolist() == [[[0, 1, 2]], [[5, 6, 7]], [[10, 11, 12]], [[15, 16, 17]]]
    jpeg = Compressed.read_image(sent(topics.COMPRESSED_IMAGE.name, header, "jpeg", data))
    assert (jpeg.header.stamp, jpeg.format, len(jpeg.data)) == (STAMP, "jpeg", 20)
    video = Compressed.read_video(sent(topics.COMPRESSED_VIDEO.name, header.stamp, "f", data[:3], "h264"))
    assert (video.header, video.format, bytes(video.data)) == (Header(STAMP, "f"), "h264", b"\0\1\2")
    packet = FfmpegPacket.read(sent(topics.FFMPEG_PACKET.name, header, 64, 48, "hevc", 2**40, 1, False, data[:3]))
    assert packet[1:5] == (64, 48, "hevc", True)
    assert bytes(packet.data) == b"\0\1\2"


@pytest.mark.parametrize(
    ("format", "encoding"),
    [
        ("RGB", "rgb8"),
        ("BGR", "bgr8"),
        ("RGBA", "rgba8"),
        ("BGRA", "bgra8"),
        ("GRAY8", "mono8"),
        ("GRAY16_LE", "mono16"),
        ("GRAY16_BE", "mono16"),
        ("RGBA64_LE", "rgba16"),
        ("BGRA64_BE", "bgra16"),
        ("UYVY", "yuv422"),
        ("YUY2", "yuv422_yuy2"),
        # Was refused, although ROS 2 has it since Kilted.
        ("NV12", "nv12"),
        ("NV21", "nv21"),
        ("NV24", "nv24"),
    ],
)
def test_each_format_comes_back_with_every_byte(format: str, encoding: str) -> None:
    frame = picture(format)
    # Rows in shared memory may be padded, but those of messages are not.
    padded = tuple(np.pad(plane, [(0, 0), (0, 3), *[(0, 0)] * (plane.ndim - 2)])[:, :-3] for plane in frame.planes)
    message = joined(pack_image(Parcel(format, 64, 48, padded), HEADER))
    assert message == joined(pack_image(frame, HEADER))
    image = Image.read(message)
    assert image.encoding == encoding
    got = unpack_image(image)
    assert got.format == format
    assert all(np.array_equal(one, other) for one, other in zip(got.planes, frame.planes, strict=True))


@pytest.mark.parametrize(("encoding", "format"), [("16UC1", "GRAY16_LE"), ("yuyv", "YUY2"), ("uyvy", "UYVY")])
def test_other_names_of_encodings_are_accepted(encoding: str, format: str) -> None:
    image = Image(HEADER, 4, 2, encoding, False, 4, memoryview(bytes(16)))
    assert unpack_image(image).format == format


@pytest.mark.parametrize(
    ("format", "size", "text"),
    [
        ("I420", (64, 48), "format without an encoding in ROS 2: I420; convert it to one of RGB, BGR"),
        ("P010_10LE", (64, 48), "P010_10LE; convert it"),
        ("NV12", (64, 47), "odd size: 64x47, but NV12 in ROS 2 needs even numbers"),
        ("NV21", (63, 48), "odd size: 63x48, but NV21 in ROS 2 needs even numbers"),
        ("NV21", (64, 47), "odd size"),
        ("YUY2", (63, 48), "odd size"),
    ],
)
def test_frames_that_ros_cannot_carry_are_refused_in_words(format: str, size: tuple[int, int], text: str) -> None:
    with pytest.raises(Unsound, match=text):
        pack_image(picture(format, *size), HEADER)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"encoding": "32FC1"}, "unknown encoding: '32FC1'; let the sender convert it to one of 16UC1"),
        ({"encoding": "bayer_rggb8"}, "unknown encoding"),
        ({"step": 11}, "size and step contradict each other: bgr8: stride0 is 11 bytes, but a BGR row of width 4"),
        (
            {"step": 13},
            "length and size contradict each other: 4x2 bgr8 with step 13 has 26 bytes, but the message has 24",
        ),
        ({"step": 2**32 - 1}, "length and size contradict each other|size and step"),
        ({"width": 0}, "size and step contradict each other"),
        ({"height": 0}, "size and step contradict each other"),
        ({"width": 2**32 - 1, "height": 2**32 - 1}, "picture too large"),
        ({"encoding": "nv21", "step": 4, "width": 3}, "odd size"),
        ({"data": memoryview(b"")}, "but the message has 0"),
    ],
)
def test_pictures_that_contradict_themselves_are_refused(change: dict[str, Any], text: str) -> None:
    image = Image(HEADER, 2, 4, "bgr8", False, 12, memoryview(bytes(24)))
    assert unpack_image(image).format == "BGR"
    with pytest.raises(Unsound, match=text):
        unpack_image(image._replace(**change))


def test_an_error_quotes_only_the_beginning_of_a_received_name() -> None:
    """The whole name was logged, up to 256 MB."""
    name = "x" * 10_000
    image = Image(HEADER, 2, 4, name, False, 12, memoryview(bytes(24)))
    packet = joined(ffmpeg_packet(HEADER, (4, 2), name, 1, True, b"abc"))
    for read in (lambda: unpack_image(image), lambda: PacketReader(topics.FFMPEG_PACKET).read(packet)):
        with pytest.raises(Unsound, match="xxx'; let the sender") as caught:
            read()
        assert len(str(caught.value)) < 500


def test_pictures_that_bridges_would_not_receive_are_not_sent() -> None:
    """They were copied and sent, and dropped on arrival; more than 4 GiB ended the bridge."""
    planes = (np.broadcast_to(np.uint16(0), (8192, 8192, 4)),)
    with pytest.raises(Unsound, match="picture too large: it has 536,870,912 bytes, but the limit is 268,369,920"):
        pack_image(Parcel("RGBA64_LE", 8192, 8192, planes), HEADER)


READERS: list[Callable[[bytes], Any]] = [
    Image.read,
    Compressed.read_image,
    Compressed.read_video,
    FfmpegPacket.read,
]
WHOLE = [
    joined(pack_image(picture("GRAY8", 4, 2), HEADER)),
    joined(compressed_image(HEADER, "jpeg", b"abc")),
    joined(compressed_video(HEADER, "h264", b"abc")),
    joined(ffmpeg_packet(HEADER, (4, 2), "h264", 1, True, b"abc")),
]


@pytest.mark.parametrize(("read", "message"), list(zip(READERS, WHOLE, strict=True)))
def test_hostile_messages_are_refused_and_never_crash(read: Callable[[bytes], Any], message: bytes) -> None:
    read(message)
    for size in range(len(message)):
        with pytest.raises(Unsound, match=r"message ends early|message is not plain CDR"):
            read(message[:size])
    # The length of the first string, and that of a sequence.
    for value in (2**32 - 1, 2**31, len(message)):
        with pytest.raises(Unsound, match=f"a string needs {value} bytes at byte 12, but the message has"):
            read(message[:12] + struct.pack("<I", value) + message[16:])
    for encapsulation in (b"\x00\x02\0\0", b"\x00\x07\0\0", b"\xff\xff\0\0", b"\x01\x00\0\0"):
        with pytest.raises(Unsound, match=f"not plain CDR: {len(message)} bytes that begin with {encapsulation.hex()}"):
            read(encapsulation + message[4:])
    random = np.random.default_rng(7)
    for _ in range(300):
        damaged = bytearray(message)
        for _ in range(3):
            damaged[random.integers(len(damaged))] = random.integers(256)
        try:
            result = read(bytes(damaged))
            if isinstance(result, Image):
                unpack_image(result)
        except Unsound:
            pass


@pytest.mark.parametrize(
    ("encoding", "data", "text"),
    [
        ("vp9", b"\0\0\1\x65", "unknown codec: 'vp9'; let the sender publish h264"),
        ("h264", b"\x65abc", "packet that readers cannot decode: this h264 packet does not begin with a start code"),
        ("libx264", b"\0\0\1\x65", "this h264 keyframe has no SPS and no PPS"),
        ("h264", b"", "1 to"),
    ],
)
def test_packets_that_no_decoder_could_use_are_refused(encoding: str, data: bytes, text: str) -> None:
    message = joined(ffmpeg_packet(HEADER, (4, 2), encoding, 1, True, data))
    with pytest.raises(Unsound, match=text):
        PacketReader(topics.FFMPEG_PACKET).read(message)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("image_width: 640", "image_width: wide"), "the size is widex480"),
        (("image_width: 640", "image_width: -1"), "the size is -1x480"),
        (("distortion_model: plumb_bob", ""), "it lacks 'distortion_model'"),
        (("distortion_model: plumb_bob", "distortion_model: 3"), "distortion_model is 3, not a name"),
        # Was accepted, and then ended the bridge at the first frame.
        (("plumb_bob", r'"plumb\ud800"'), r"distortion_model is 'plumb\\ud800', not a name"),
        (("240.25, ", ""), "camera_matrix has 8 numbers, but needs 9"),
        (("[500, 0,", "[x, 0,"), "projection_matrix has a value that is not a number: .*'x'"),
        (("[500, 0,", "[true, 0,"), "projection_matrix has no list of numbers named data"),
        # Ended in a traceback: too large for a double, an impossible date, and nesting.
        (("[500, 0,", f"[{'9' * 400}, 0,"), "projection_matrix has a value that is not a number"),
        (("camera_name: front", "camera_name: 2026-13-41"), "cannot read the calibration .*: month must be"),
        (("camera_name: front", f"camera_name: {'[' * 5000}"), "cannot read the calibration"),
        ((CALIBRATION, "- 1"), "it has no keys at the top"),
        ((CALIBRATION, ""), "it has no keys at the top"),
        ((CALIBRATION, "a: [1"), "cannot read the calibration"),
        ((CALIBRATION, "!!python/object/apply:os.system [exit]"), "cannot read the calibration"),
    ],
)
def test_a_file_that_is_no_calibration_is_told(tmp_path: Path, change: tuple[str, str], text: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(CALIBRATION.replace(*change))
    with pytest.raises(EndpointError, match=text) as caught:
        Calibration.read(file)
    assert str(file) in str(caught.value)


def test_numbers_without_a_point_and_with_an_exponent_are_read(tmp_path: Path) -> None:
    """Calibrations that camera_info_manager had written were refused, because PyYAML reads 1e-05 as text."""
    file = tmp_path / "c.yaml"
    file.write_text(CALIBRATION.replace("-0.25", "-1e-05"))
    assert Calibration.read(file).distortion[0] == -1e-05


def test_numbers_that_are_not_finite_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(CALIBRATION.replace("-0.25", ".nan"))
    assert math.isnan(Calibration.read(file).distortion[0])


@pytest.mark.parametrize(
    ("name", "type", "info"),
    [
        ("/cam0/image_raw", "sensor_msgs::msg::dds_::Image_", "/cam0/camera_info"),
        ("/image", "sensor_msgs::msg::dds_::Image_", "/camera_info"),
        ("/cam0/image_raw/compressed", "sensor_msgs::msg::dds_::CompressedImage_", "/cam0/camera_info"),
        ("/a/cam0/image/ffmpeg", "ffmpeg_image_transport_msgs::msg::dds_::FFMPEGPacket_", "/a/cam0/camera_info"),
        ("/cam0/image/foxglove", "foxglove_msgs::msg::dds_::CompressedVideo_", "/cam0/camera_info"),
    ],
)
def test_the_end_of_a_topics_name_says_what_it_carries(name: str, type: str, info: str) -> None:
    topic = topics.Topic.of(name)
    assert (topic.type.dds_name, topic.camera_info) == (type, info)
    assert str(Endpoint.of(f"ros2:{name}")) == f"ros2:{name}"


@pytest.mark.parametrize("name", ["cam0", "cam0/image", "/", "//x", "/x/", "/0cam", "/a-b", "/a b", "/é", "/*", "~/x"])
def test_names_that_ros_does_not_allow_are_refused(name: str) -> None:
    with pytest.raises(
        EndpointError, match=r"is not a topic, because .*; a topic is absolute, such as /cam0/image_raw"
    ):
        Endpoint.of(f"ros2:{name}")


def test_names_that_ros_accepts_are_accepted() -> None:
    """Names with "__" were refused, although rmw accepts them; longer ones than rmw's limit were accepted."""
    longest = "/" + "a" * 246
    for name in ("/a__b/image", "/_hidden", longest):
        assert topics.Topic.of(name).name == name
    with pytest.raises(EndpointError, match="it has 248 characters; use at most 247"):
        Endpoint.of(f"ros2:{longest}a")


def test_the_domain_is_a_number() -> None:
    assert topics.domain_of({}) == topics.domain_of({"ROS_DOMAIN_ID": ""}) == 0
    assert topics.domain_of({"ROS_DOMAIN_ID": "42"}) == 42
    for text in ("-1", "233", "x", "1.0", "9" * 40):
        with pytest.raises(EndpointError, match=r"ROS_DOMAIN_ID is .*, but must be a number from 0 to 232"):
            topics.domain_of({"ROS_DOMAIN_ID": text})


@pytest.mark.parametrize("ends", [("ros2:/a", "ros2:/b"), ("zenoh:a", "ros2:/b"), ("ros2:/a", "zenoh:b")])
def test_a_bridge_has_at_most_one_network(ends: tuple[str, str]) -> None:
    with pytest.raises(EndpointError, match=r"are both on a network; bridge .* to a service, and the service to"):
        check_pair(*map(Endpoint.of, ends))
