"""`iox2-video bridge`: real bridges, real Zenoh, and hostile messages on the keys."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

zenoh = pytest.importorskip("zenoh", reason="Zenoh is not installed: pip install 'iox2-video[bridge]'")

from gst_iceoryx2 import jpeg
from gst_iceoryx2._wire.auxblob import build_aux
from gst_iceoryx2._wire.formats import FORMATS
from gst_iceoryx2._wire.header import BUFFER_FLAGS
from gst_iceoryx2._wire.stamp import Stamp, boot_id, monotonic_ns
from gst_iceoryx2.bridge.message import HEADER_SIZE, MAGIC, Codec, Unsound, pack, unpack
from gst_iceoryx2.bridge.parcel import HOPS_MAX, TRAIL_META, Parcel
from gst_iceoryx2.errors import FormatError
from gst_iceoryx2.sh4lt import Follower, Writer
from gst_iceoryx2.video import CustomMeta, ReferenceTimestamp, VideoFramePublisher, VideoFrameSubscriber
from gst_iceoryx2.video._layout import FrameLayout
from tests.cli.bridges import FAR, NEAR, Bridge, Pair, flat, free_port, local_session
from tests.cli.commands import Command
from tests.conftest import Place
from tests.pictures import planes as noise_planes
from tests.waiting import wait_until

# -- what crosses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["BGR", "NV12", "I420", "P010_10LE", "v210", "GRAY8", "YUY2"])
def test_raw_frames_cross_with_every_byte_and_everything_known_of_them(
    bridge: Bridge, key: str, domain: Place, format: str
) -> None:
    caps = "video/x-raw, colorimetry=(string)bt709, pixel-aspect-ratio=(fraction)4/3"
    picture = noise_planes(format, 166, 90)
    metas = [ReferenceTimestamp("timestamp/x-ntp", 77), CustomMeta("Lens", {"zoom": 2.5, "name": "wide"})]
    known: dict[str, Any] = {"pts": 5, "dts": 4, "duration": 33, "flags": BUFFER_FLAGS["MARKER"], "metas": metas}
    known |= {"captured_at": monotonic_ns() - 12345}
    bridge("near", f"zenoh:{key}", "--codec", "raw")
    bridge(f"zenoh:{key}", "far")
    with (
        VideoFramePublisher(NEAR, framerate=Fraction(30000, 1001), caps=caps) as publisher,
        VideoFrameSubscriber(FAR) as subscriber,
        VideoFrameSubscriber(NEAR) as direct,
    ):
        frame = Pair(publisher, subscriber).send(
            picture[0] if len(picture) == 1 else picture, format, width=166, **known
        )
        original = direct.latest(10)
        assert original is not None
        assert frame.caps == original.caps
        for name in ("format", "width", "height", "pts", "dts", "duration", "flags", "captured_at"):
            assert getattr(frame, name) == getattr(original, name), name
        assert frame.metas[0].name == TRAIL_META
        assert frame.metas[1:] == metas
        assert all(np.array_equal(one, other) for one, other in zip(frame.planes, picture, strict=True))
        del frame, original


def test_jpeg_frames_cross_in_their_colours_and_with_their_times(bridge: Bridge, key: str, pair: Pair) -> None:
    bridge("near", f"zenoh:{key}")
    bridge(f"zenoh:{key}", "far")
    frame = pair.send(flat((30, 120, 200)), pts=123, captured_at=monotonic_ns() - 999)
    assert (frame.format, frame.width, frame.height, frame.pts) == ("BGR", 64, 48, 123)
    assert abs(frame.numpy_view().astype(int) - (30, 120, 200)).max() < 4
    assert frame.age is not None
    assert 0 < frame.age < 20
    assert "framerate=(fraction)30/1" in frame.caps
    del frame
    # Another size and format on the way, without a restart.
    luma, chroma = np.full((90, 120), 200, np.uint8), np.full((45, 60, 2), 128, np.uint8)
    frame = pair.send((luma, chroma), "NV12")
    while frame.width != 120:
        frame = pair.send((luma, chroma), "NV12")
    assert abs(frame.numpy_view().astype(int) - 214).max() < 6
    del frame


def test_the_end_of_a_stream_crosses_and_the_bridge_goes_on(bridge: Bridge, key: str, pair: Pair) -> None:
    bridge("near", f"zenoh:{key}")
    bridge(f"zenoh:{key}", "far")
    for _ in range(2):
        frame = pair.send(flat((1, 2, 3)))
        del frame
        pair.publisher.end_of_stream()
        deadline = time.monotonic() + 20
        while (frame := pair.subscriber.receive_blocking(20_000)) is not None and not frame.is_eos():
            assert time.monotonic() < deadline
        assert frame is not None
        del frame


def test_a_sh4lt_path_is_an_end_like_any_other(bridge: Bridge, key: str, pair: Pair, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    bridge("near", f"sh4lt:{there}")
    bridge(f"sh4lt:{there}", f"zenoh:{key}", "--codec", "raw")
    bridge(f"zenoh:{key}", f"sh4lt:{back}")
    picture = noise_planes("RGBA", 64, 48)[0]
    with Follower(back) as follower:
        deadline = time.monotonic() + 30
        frame = None
        while frame is None and time.monotonic() < deadline:
            pair.publisher.publish(picture, format="RGBA")
            frame = follower.read(0.1)
        assert frame is not None, "nothing arrived"
        assert np.array_equal(frame.numpy_view(), picture)
        assert "framerate=(fraction)30/1" in frame.datatype


def test_a_sh4lt_writer_reaches_a_service(bridge: Bridge, domain: Place, tmp_path: Path) -> None:
    path = tmp_path / "score"
    bridge(f"sh4lt:{path}", "far")
    picture = noise_planes("RGBA", 64, 48)[0]
    with (
        VideoFrameSubscriber(FAR) as subscriber,
        Writer(path, "video/x-raw, format=RGBA, width=64, height=48, framerate=30/1") as writer,
    ):
        deadline = time.monotonic() + 20
        frame = None
        while frame is None and time.monotonic() < deadline:
            writer.write(picture)
            frame = subscriber.receive_blocking(50)
        assert frame is not None
        assert np.array_equal(frame.numpy_view(), picture)
        del frame


def test_max_fps_and_frames_hold_for_bridges_too(bridge: Bridge, pair: Pair) -> None:
    command = bridge("near", "far", "--max-fps", "10", "--frames", "5")
    number = 0
    while command.process.poll() is None:
        pair.publisher.publish(flat((1, 2, 3)), captured_at=1 + number * 20_000_000)
        number += 1
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.process.wait(0.01)
    said = command.ends(0)
    assert "near to far" in said
    assert "5 frames, 46 kB" in said
    assert number > 20


def test_a_picture_of_some_other_program_is_taken(bridge: Bridge, key: str, domain: Place) -> None:
    bridge(f"zenoh:{key}", "far")
    picture = jpeg.encode_rgb(flat((200, 100, 50)))
    with VideoFrameSubscriber(FAR) as subscriber, local_session() as session:
        frame = None
        deadline = time.monotonic() + 20
        while frame is None and time.monotonic() < deadline:
            session.put(key, picture)
            frame = subscriber.receive_blocking(100)
        assert frame is not None
        assert abs(frame.to_rgb().astype(int) - (200, 100, 50)).max() < 4
        del frame


# -- trouble ---------------------------------------------------------------------------------------------------------


def a_message(trail: tuple[str, ...] = ()) -> tuple[bytes, bytes]:
    parcel = Parcel("BGR", 64, 48, (flat((9, 8, 7)),), None, pts=7)
    message = pack(parcel, "raw", 80, trail)
    return bytes(message.payload), message.attachment


def test_garbage_on_a_key_is_counted_told_once_a_kind_and_harmless(bridge: Bridge, key: str, domain: Place) -> None:
    payload, attachment = a_message()
    picture = jpeg.encode_rgb(flat((1, 2, 3)))
    garbage: list[tuple[bytes, bytes | None]] = [
        (b"hello", None),
        (b"\xff\xd8\xff" + os.urandom(500), None),
        (picture[: len(picture) // 2], None),
        (payload, b""),
        (payload, b"something else"),
        (payload, MAGIC[:-1] + b"\x09" + attachment[8:]),
        (payload, attachment[:-1]),
        (payload, attachment + b"x"),
        (payload[:-1], attachment),
        (payload, attachment[:8] + b"\x07" + attachment[9:]),
        (payload, attachment[:9] + b"\xff" + attachment[10:]),
        (payload, attachment[:10] + b"\x01" + attachment[11:]),
        (payload, b"\x00" * 100_000),
        (b"", attachment),
        (os.urandom(1 << 20), os.urandom(300)),
    ]
    command = bridge(f"zenoh:{key}", "far")
    with VideoFrameSubscriber(FAR) as subscriber, local_session() as session:
        deadline = time.monotonic() + 30
        # Again and again: a newer message replaces one that the bridge has not looked at.
        for _ in range(10):
            for content, extra in garbage:
                session.put(key, content, attachment=extra)
                time.sleep(0.005)
        frame = None
        while frame is None and time.monotonic() < deadline:
            session.put(key, payload, attachment=attachment)
            frame = subscriber.receive_blocking(100)
        assert frame is not None, command.err
        assert (frame.pts, frame.numpy_view()[0, 0].tolist()) == (7, [9, 8, 7])
        del frame
    command.interrupt()
    said = command.ends(130)
    lines = [line for line in said.splitlines() if line.startswith("refused from zenoh:")]
    assert len(lines) == len({line.split(": ")[1] for line in lines}), said
    assert 4 <= len(lines) <= 12, said
    assert "Traceback" not in said
    assert " refused" in said.splitlines()[-1]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_message_breaks_the_one_who_judges_it(data: st.DataObject) -> None:
    payload, attachment = a_message(("0123456789abcdef",))
    at = data.draw(st.integers(0, len(attachment) - 1))
    damaged = attachment[:at] + data.draw(st.binary(max_size=12)) + attachment[at + data.draw(st.integers(0, 12)) :]
    pixels = data.draw(st.sampled_from([payload, payload[:-5], b"", b"\xff\xd8\xff\xe0"]))
    with contextlib.suppress(Unsound):
        parcel = unpack(pixels, data.draw(st.sampled_from([damaged, attachment, None])))
        assert all(plane.size for plane in parcel.planes)


def test_a_header_cannot_reach_beyond_the_pixels() -> None:
    payload, attachment = a_message()
    begin = len(attachment) - HEADER_SIZE
    for at in range(40, 104):
        for value in (0x00, 0x01, 0x7F, 0xFF):
            changed = bytearray(attachment)
            changed[at + 24 if at + 24 < len(changed) else begin] = value
            with contextlib.suppress(Unsound):
                parcel = unpack(payload, bytes(changed))
                assert all(plane.nbytes <= len(payload) for plane in parcel.planes)


def test_a_trail_that_somebody_made_up_is_none(bridge: Bridge, key: str, pair: Pair) -> None:
    command = bridge("near", f"zenoh:{key}", "--codec", "raw")
    bridge(f"zenoh:{key}", "far")
    for trail in ("nonsense", "0123456789abcdef-", "x" * 16, ""):
        frame = pair.send(flat((1, 2, 3)), metas=[CustomMeta(TRAIL_META, {"trail": trail})])
        assert isinstance(frame.metas[0].fields["trail"], str)
        assert len(frame.metas[0].fields["trail"]) == 2 * 16 + 1
        del frame
    full = CustomMeta(TRAIL_META, {"trail": "-".join(["0123456789abcdef"] * HOPS_MAX)})
    while "too many bridges" not in command.err:
        pair.publisher.publish(flat((1, 2, 3)), metas=[full])
        time.sleep(0.01)
    frame = pair.send(flat((1, 2, 3)))
    del frame


def test_what_is_known_of_a_frame_survives_from_key_to_key(bridge: Bridge, key: str, pair: Pair) -> None:
    bridge("near", f"zenoh:{key}", "--codec", "raw")
    bridge(f"zenoh:{key}", f"zenoh:{key}/next", "--codec", "raw")
    bridge(f"zenoh:{key}/next", "far")
    metas = [ReferenceTimestamp("timestamp/x-ntp", 77), CustomMeta("Lens", {"zoom": 2.5})]
    moment = monotonic_ns() - 5
    picture = noise_planes("NV12", 64, 48)
    frame = pair.send(picture, "NV12", pts=3, captured_at=moment, metas=metas)
    assert (frame.pts, frame.captured_at, frame.metas[1:]) == (3, moment, metas)
    assert len(frame.metas[0].fields["trail"].split("-")) == 3
    assert all(np.array_equal(one, other) for one, other in zip(frame.planes, picture, strict=True))
    del frame


def test_a_frame_with_many_metas_keeps_its_trail(bridge: Bridge, pair: Pair) -> None:
    """A receiver reads 64 metas: the trail was the last one, and lost, and a loop of bridges had no end."""
    bridge("near", "far")
    frame = pair.send(flat((1, 2, 3)), metas=[CustomMeta("Lens", {"number": number}) for number in range(64)])
    assert frame.metas[0].name == TRAIL_META
    del frame


def test_two_bridges_in_a_loop_are_told_and_pass_each_frame_once(bridge: Bridge, key: str, domain: Place) -> None:
    bridge("near", f"zenoh:{key}", "--codec", "raw")
    second = bridge(f"zenoh:{key}", "near")
    payload, attachment = a_message()
    heard: list[int] = []
    with local_session() as session:
        listening = session.declare_subscriber(key, lambda sample: heard.append(sample.attachment.to_bytes()[9]))
        deadline = time.monotonic() + 30
        while "bridge loop" not in second.err and time.monotonic() < deadline:
            session.put(key, payload, attachment=attachment)
            time.sleep(0.05)
        listening.undeclare()
    text = f"frames sent to near come back to zenoh:{key} through another bridge; stop one of the bridges"
    assert text in second.err
    # Those of this test, and those that crossed both bridges.
    assert set(heard) == {0, 2}
    second.interrupt()
    assert " refused" in second.ends(130).splitlines()[-1]


def test_a_longer_loop_ends_by_the_number_of_bridges() -> None:
    trail = tuple(f"{number:016x}" for number in range(HOPS_MAX + 1))
    _, attachment = a_message(trail[:-1])
    assert unpack(a_message()[0], attachment).trail == trail[:-1]
    with pytest.raises(Unsound, match="17 bridges"):
        unpack(a_message()[0], a_message(trail)[1])


class Sender:
    """Puts messages to the key of a bridge; hears what the bridge puts to the key behind it."""

    def __init__(self, session: Any, key: str, command: Command) -> None:
        self._session = session
        self._key = key
        self._command = command
        self.heard: list[bytes] = []
        session.declare_subscriber(f"{key}/next", lambda sample: self.heard.append(sample.attachment.to_bytes()))

    def put_until(self, is_done: Callable[[], object], payload: bytes, attachment: bytes | None) -> None:
        """Put a message again and again: a newer one replaces one that the bridge has not looked at."""
        deadline = time.monotonic() + 30
        while not is_done():
            assert self._command.process.poll() is None, self._command.err
            assert time.monotonic() < deadline, self._command.err
            self._session.put(self._key, payload, attachment=attachment)
            time.sleep(0.02)

    def is_told(self, text: str, payload: bytes, attachment: bytes | None) -> None:
        """Put a message until the bridge has said that."""
        self.put_until(lambda: text in self._command.err, payload, attachment)


@contextlib.contextmanager
def attacked(bridge: Bridge, key: str, end: str, *options: str, prefix: tuple[str, ...] = ()) -> Iterator[Sender]:
    """A bridge from a key, which afterwards still passes frames on: it ends by itself after three."""
    command = bridge(f"zenoh:{key}", end, *options, "--frames", "3", prefix=prefix)
    with local_session() as session:
        sender = Sender(session, key, command)
        yield sender
        sender.put_until(lambda: command.process.poll() is not None, *a_message())
    said = command.ends(0)
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("3 frames, ")
    assert " refused" in said.splitlines()[-1]


def test_a_trail_in_a_message_never_ends_a_bridge(bridge: Bridge, key: str, domain: Place) -> None:
    """One message with 16 hops did, and one with the id that the bridge puts into its own messages."""
    with attacked(bridge, key, f"zenoh:{key}/next") as sender:
        full = tuple(f"{number:016x}" for number in range(HOPS_MAX))
        sender.is_told("a frame that has crossed too many bridges: 16, at most 15", *a_message(full))
        sender.put_until(lambda: sender.heard, *a_message())
        own = sender.heard[0][24:32]
        sender.is_told("bridge loop: frames sent to", *a_message((own.hex(),)))
        sender.is_told("an end of stream with a picture", b"x", MAGIC + b"" + bytes(14) + own)


# Among them texts that Python takes for a fraction.
_VALUES = [
    *("(string)1/0", "(string)x", "(string)1e999", '(string)""', '(string)"\\""', "(string)bt709", "(string)9:9:9:9"),
    *("(double)inf", "(double)nan", "(double)1e999", "(fraction)-5/1", "(fraction)2147483647/1", "(string)é"),
    *("(int)-3", "(gint64)5", "(guint64)18446744073709551615", "(boolean)true", "(bitmask)0xf", "NULL"),
    *("{(int)1,(int)2}", "[1,5]", "<1,2>"),
]
_FIELDS = [
    *("framerate", "colorimetry", "pixel-aspect-ratio", "multiview-mode", "interlace-mode", "chroma-site", "views"),
    *("a", "self", "name"),
]


def crafted(kind: int, format: str, more: str, numbers: tuple[int, ...], metas: list[bytes]) -> tuple[bytes, bytes]:
    """A message of sound geometry that says whatever else it likes."""
    layout = FrameLayout(format, 6, 4, None, {}, None)
    aux = build_aux(f"video/x-raw, format=(string){format}, width=(int)6, height=(int)4{more}", metas)
    head = struct.pack("<8sBBHIq", MAGIC, kind, 0, 0, len(aux), numbers[4] - (1 << 63))
    header = layout.header(*numbers[:4], numbers[5] & 0xFFFFFFFF, len(aux))
    return bytes(layout.size) if kind == 1 else _PICTURE, head + header + aux


_PICTURE = jpeg.encode_rgb(flat((1, 2, 3), (6, 4)))
_NUMBERS = st.sampled_from([0, 1, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 2, (1 << 64) - 1])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from([1, 2]),
    format=st.sampled_from([name for name, format in FORMATS.items() if format.planes]),
    fields=st.lists(st.tuples(st.sampled_from(_FIELDS), st.sampled_from(_VALUES)), max_size=3),
    numbers=st.tuples(*[_NUMBERS] * 6),
    metas=st.lists(st.tuples(st.sampled_from(["Lens", TRAIL_META, "___"]), st.sampled_from(_VALUES)), max_size=3),
    moment=_NUMBERS,
)
@example(1, "BGR", [("framerate", "(string)1/0")], (0,) * 6, [], 0)
@example(2, "BGR", [("framerate", "(double)inf")], (0,) * 6, [], 0)
def test_what_is_accepted_is_passed_on_to_every_end_or_refused(
    kind: int, format: str, fields: Any, numbers: Any, metas: Any, moment: int
) -> None:
    """A frame rate of "1/0" or infinity ended the bridge."""
    texts = [(name.encode(), f"{name}, trail={value};".encode() + b"\0") for name, value in metas]
    records = [
        struct.pack("<II", 10 + len(name) + len(text), len(name)) + name + b"\0\0" + text for name, text in texts
    ]
    records = [Stamp(boot_id(), 7, moment, moment, moment).record(), *records]
    message = crafted(kind, format, "".join(f", {name}={value}" for name, value in fields), numbers, records)
    try:
        parcel = unpack(*message)
    except Unsound:
        return
    for codec in get_args(Codec):
        with contextlib.suppress(FormatError):
            again = pack(parcel, codec, 80, (*parcel.trail, "0" * 16))
            assert unpack(bytes(again.payload), again.attachment).width == 6


@pytest.mark.parametrize(
    ("end", "options"), [("far", ()), ("zenoh:{}/next", ()), ("zenoh:{}/next", ("--codec", "raw"))]
)
def test_a_frame_rate_that_is_not_a_number_ends_no_bridge(
    bridge: Bridge, key: str, domain: Place, end: str, options: tuple[str, ...]
) -> None:
    with attacked(bridge, key, end.format(key), *options) as sender:
        message = crafted(1, "BGR", ", framerate=(string)1/0", (0,) * 6, [])
        sender.is_told("cannot publish 'BGR' at 6x4: framerate: ", *message)


def test_caps_that_are_too_long_for_a_path_end_no_bridge(bridge: Bridge, key: str, domain: Place) -> None:
    with attacked(bridge, key, f"sh4lt:{domain.root}s") as sender:
        message = crafted(1, "BGR", f', a="{"y" * 5000}"', (0,) * 6, [])
        sender.is_told("a frame that a path cannot carry: the type text has 50", *message)


@pytest.mark.parametrize(
    ("namespace", "limit", "end", "reason"),
    [
        ("--mount", "mount -t tmpfs -o size=64m none /dev/shm", "far", "/dev/shm"),
        ("--ipc", "echo 10000 >/proc/sys/kernel/shmmax", "sh4lt:{}s", "a frame that a path cannot carry"),
        ("--ipc", "echo 10 >/proc/sys/kernel/shmall", "sh4lt:{}s", "No space left"),
    ],
)
def test_a_picture_for_which_there_is_no_memory_ends_no_bridge(
    bridge: Bridge, key: str, domain: Place, namespace: str, limit: str, end: str, reason: str
) -> None:
    """A JPEG picture of one colour is a small message, and a large frame."""
    prefix = ("unshare", namespace, "sh", "-c", f'{limit} && exec "$@"', "sh")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to make namespaces")
    with attacked(bridge, key, end.format(domain.root), prefix=prefix) as sender:
        sender.is_told(reason, jpeg.encode_rgb(flat((1, 2, 3), (4000, 3000))), None)


def test_a_picture_beyond_the_limit_is_neither_taken_nor_sent() -> None:
    """Raw pictures of any size were taken. 8192x8192 are 67 million pixels, the last ones that are allowed."""
    for height, is_allowed in ((8192, True), (8193, False)):
        layout = FrameLayout("GRAY8", 8192, height, None, {}, None)
        header = layout.header(0, 0, 0, 0, 0, 0)
        for kind, payload in ((1, bytes(layout.size)), (2, _PICTURE)):
            message = payload, struct.pack("<8sBBHIq", MAGIC, kind, 0, 0, 0, 0) + header
            with contextlib.nullcontext() if is_allowed else pytest.raises(Unsound, match="8192x8193 is more than"):
                unpack(*message)
    plane = np.zeros((8193, 8192), np.uint8)
    for codec in get_args(Codec):
        with pytest.raises(FormatError, match="8192x8193 is more than 67108864 pixels"):
            pack(Parcel("GRAY8", 8192, 8193, (plane,)), codec, 80, ())
    with pytest.raises(FormatError, match="a message of 2684"):
        pack(Parcel("RGBA", 8192, 8192, (np.zeros((8192, 8192, 4), np.uint8),)), "raw", 80, ())
    with pytest.raises(FormatError, match="an attachment of 7"):
        pack(Parcel("GRAY8", 8, 8, (plane[:8, :8],), metas=[bytes(70_000)]), "raw", 80, ())


def test_both_ends_find_each_other_again_after_a_kill(bridge: Bridge, key: str, pair: Pair) -> None:
    sender, receiver = bridge("near", f"zenoh:{key}"), bridge(f"zenoh:{key}", "far")
    frame = pair.send(flat((1, 1, 1)))
    del frame
    sender.process.kill()
    sender.process.wait()
    sender = bridge("near", f"zenoh:{key}")
    frame = pair.send(flat((2, 2, 2)))
    del frame
    receiver.interrupt(signal.SIGTERM)
    receiver.ends(0)
    bridge(f"zenoh:{key}", "far")
    frame = pair.send(flat((3, 3, 3)))
    del frame


def test_endpoints_connect_whoever_is_first_and_after_a_restart(bridge: Bridge, key: str, pair: Pair) -> None:
    endpoint = f"tcp/127.0.0.1:{free_port()}"
    # It has tried in vain before the other one is started.
    bridge("near", f"zenoh:{key}", "--connect", endpoint).says("near to zenoh:")
    listener = bridge(f"zenoh:{key}", "far", "--listen", endpoint)
    frame = pair.send(flat((1, 1, 1)))
    del frame
    listener.interrupt(signal.SIGTERM)
    listener.ends(0)
    bridge(f"zenoh:{key}", "far", "--listen", endpoint)
    frame = pair.send(
        flat((2, 2, 2)),
    )
    del frame


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_receiver_that_stands_still_costs_the_sender_no_memory(bridge: Bridge, key: str, pair: Pair) -> None:
    """Ten minutes of it: benchmarks/bridge.py."""
    sender = bridge("near", f"zenoh:{key}", "--codec", "raw")
    receiver = bridge(f"zenoh:{key}", "far")
    picture = flat((5, 5, 5), (640, 480))
    frame = pair.send(picture)
    del frame
    receiver.process.send_signal(signal.SIGSTOP)
    for _ in range(60):
        pair.publisher.publish(picture)
        time.sleep(0.005)
    before = resident(sender.process.pid)
    # 500 frames of 0.9 MB.
    for _ in range(500):
        pair.publisher.publish(picture)
        time.sleep(0.004)
    assert resident(sender.process.pid) - before < 40 << 20
    receiver.process.send_signal(signal.SIGCONT)
    frame = pair.send(flat((6, 6, 6), (640, 480)))
    while frame.numpy_view()[0, 0, 0] != 6:
        frame = pair.send(flat((6, 6, 6), (640, 480)))
    del frame
    wait_until(lambda: pair.subscriber.stats.held == 0)


# -- what cannot be done ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("cam0", "cam0"), "both ends are cam0: frames would go round in a circle"),
        (("cam0", "zenoh:"), "'zenoh:' names nothing: an end is NAME, sh4lt:PATH or zenoh:KEY"),
        (("cam0", "zenoh:/x//y"), "'/x//y' is not a key"),
        (("zenoh:site/**", "cam0"), "'site/**' is a pattern; name one key"),
        (("cam0", "cam1", "--listen", "tcp/0.0.0.0:7447"), "no end is a zenoh:KEY"),
        (
            ("cam0", "zenoh:x", "--connect", "nonsense"),
            "Error: not an endpoint of Zenoh: Endpoints must be of the form",
        ),
        (("cam0", "zenoh:x", "--quality", "0"), "0 is not in the range"),
        (("cam0", "zenoh:x", "--codec", "png"), "'png' is not one of"),
        (("cam0",), "Missing argument 'TO'"),
    ],
)
def test_ends_that_make_no_bridge_are_usage_errors(bridge: Bridge, arguments: tuple[str, ...], text: str) -> None:
    assert text in bridge(*arguments).ends(2)


def test_an_endpoint_that_cannot_be_listened_on_is_told(bridge: Bridge) -> None:
    said = bridge("cam0", "zenoh:x", "--listen", "tcp/203.0.113.9:7447").ends(1)
    assert "Error: Zenoh cannot use tcp/203.0.113.9:7447" in said
    assert "Traceback" not in said
    assert ".rs:" not in said, "where Zenoh noticed it helps nobody"


def test_a_name_that_somebody_publishes_under_is_refused(bridge: Bridge, pair: Pair) -> None:
    with VideoFramePublisher("video/taken/frame/v2"):
        command = bridge("near", "taken")
        deadline = time.monotonic() + 20
        while command.process.poll() is None and time.monotonic() < deadline:
            pair.publisher.publish(flat((1, 1, 1)))
            with contextlib.suppress(subprocess.TimeoutExpired):
                command.process.wait(0.05)
        assert "already has its 1 publisher" in command.ends(1)


@pytest.mark.parametrize(
    ("library", "arguments", "extra"),
    [
        ("zenoh", ("bridge", "cam0", "zenoh:x"), "bridge"),
        ("av", ("record", "cam0", "a.mkv"), "record"),
        ("av", ("publish", "cam0", "--file", "a.mkv"), "record"),
    ],
)
def test_a_missing_extra_says_what_to_install(
    domain: Place, tmp_path: Path, library: str, arguments: tuple[str, ...], extra: str
) -> None:
    program = (
        f"import sys; sys.modules[{library!r}] = None; from gst_iceoryx2.cli import main; main({list(arguments)!r})"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 2, ended.stderr
    assert f"pip install 'iox2-video[{extra}]'" in ended.stderr
    assert "Traceback" not in ended.stderr
