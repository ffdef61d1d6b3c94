"""`iox2-video bridge` survives hostile messages on its keys, and loops of bridges."""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

zenoh = pytest.importorskip("zenoh", reason="Zenoh is not installed: pip install 'iox2-video[bridge]'")

from gst_iceoryx2 import jpeg
from gst_iceoryx2._wire.auxblob import build_aux
from gst_iceoryx2._wire.formats import FORMATS
from gst_iceoryx2._wire.stamp import Stamp, boot_id, monotonic_ns
from gst_iceoryx2.bridge.clocks import Clocks
from gst_iceoryx2.bridge.message import HEADER_SIZE, MAGIC, Codec, Unsound, pack, unpack
from gst_iceoryx2.bridge.parcel import HOPS_MAX, HOPS_META, Parcel
from gst_iceoryx2.errors import FormatError
from gst_iceoryx2.video import CustomMeta, ReferenceTimestamp, VideoFrameSubscriber
from gst_iceoryx2.video._layout import FrameLayout
from tests.cli.bridges import FAR, Bridge, Pair, flat, local_session
from tests.cli.commands import Command
from tests.conftest import Place
from tests.pictures import planes as noise_planes
from tests.waiting import wait_until


def unpacked(payload: bytes, attachment: bytes | None) -> Parcel:
    return unpack(payload, attachment, monotonic_ns(), Clocks())


def a_message(hops: tuple[str, ...] = ()) -> tuple[bytes, bytes]:
    parcel = Parcel("BGR", 64, 48, (flat((9, 8, 7)),), None, pts=7)
    message = pack(parcel, "raw", 80, hops)
    return bytes(message.payload), message.attachment


def refusals(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("refused from zenoh:")]


@pytest.mark.proves("B4")
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
    command.says(" to ")
    with VideoFrameSubscriber(FAR) as subscriber, local_session() as session:
        deadline = time.monotonic() + 60
        # Repeated, because a newer message replaces one that the bridge has not read.
        rounds = itertools.count(1)
        while next(rounds) <= 10 or (len(refusals(command.err)) < 4 and time.monotonic() < deadline):
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
    lines = refusals(said)
    assert len(lines) == len({line.split(": ")[1] for line in lines}), said
    assert 4 <= len(lines) <= 12, said
    assert "Traceback" not in said
    assert " refused" in said.splitlines()[-1]


@settings(max_examples=300)
@given(st.data())
def test_unpack_refuses_or_accepts_any_message(data: st.DataObject) -> None:
    payload, attachment = a_message(("0123456789abcdef",))
    at = data.draw(st.integers(0, len(attachment) - 1))
    damaged = attachment[:at] + data.draw(st.binary(max_size=12)) + attachment[at + data.draw(st.integers(0, 12)) :]
    pixels = data.draw(st.sampled_from([payload, payload[:-5], b"", b"\xff\xd8\xff\xe0"]))
    with contextlib.suppress(Unsound):
        parcel = unpacked(pixels, data.draw(st.sampled_from([damaged, attachment, None])))
        assert all(plane.size for plane in parcel.planes)


def test_a_header_cannot_reach_beyond_the_pixels() -> None:
    payload, attachment = a_message()
    begin = len(attachment) - HEADER_SIZE
    for at in range(40, 104):
        for value in (0x00, 0x01, 0x7F, 0xFF):
            changed = bytearray(attachment)
            changed[at + 16 if at + 16 < len(changed) else begin] = value
            with contextlib.suppress(Unsound):
                parcel = unpacked(payload, bytes(changed))
                assert all(plane.nbytes <= len(payload) for plane in parcel.planes)


def test_made_up_hops_are_ignored(bridge: Bridge, key: str, pair: Pair) -> None:
    command = bridge("near", f"zenoh:{key}", "--codec", "raw")
    bridge(f"zenoh:{key}", "far")
    for hops in ("nonsense", "0123456789abcdef-", "x" * 16, ""):
        frame = pair.send(flat((1, 2, 3)), metas=[CustomMeta(HOPS_META, {"hops": hops})])
        assert isinstance(frame.metas[0].fields["hops"], str)
        assert len(frame.metas[0].fields["hops"]) == 2 * 16 + 1
        del frame
    full = CustomMeta(HOPS_META, {"hops": "-".join(["0123456789abcdef"] * HOPS_MAX)})
    while "too many hops" not in command.err:
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
    assert frame.captured_at_error == 0.0
    assert (frame.pts, frame.captured_at, frame.metas[2:]) == (3, moment, metas)
    assert len(frame.metas[0].fields["hops"].split("-")) == 3
    assert all(np.array_equal(one, other) for one, other in zip(frame.planes, picture, strict=True))
    del frame


@pytest.mark.proves("B5")
def test_a_frame_with_many_metas_keeps_its_hops(bridge: Bridge, pair: Pair) -> None:
    """Receivers read at most 64 metas, so the hops must come first: otherwise a loop of bridges never ends."""
    bridge("near", "far")
    frame = pair.send(flat((1, 2, 3)), metas=[CustomMeta("Lens", {"number": number}) for number in range(64)])
    assert frame.metas[0].name == HOPS_META
    del frame


@pytest.mark.proves("B5")
def test_two_bridges_in_a_loop_are_told_and_pass_each_frame_once(bridge: Bridge, key: str, domain: Place) -> None:
    bridge("near", f"zenoh:{key}", "--codec", "raw")
    second = bridge(f"zenoh:{key}", "near")
    payload, attachment = a_message()
    heard: list[int] = []
    with local_session() as session:
        listening = session.declare_subscriber(key, lambda sample: heard.append(sample.attachment.to_bytes()[9]))
        deadline = time.monotonic() + 60
        while "bridge loop" not in second.err and time.monotonic() < deadline:
            session.put(key, payload, attachment=attachment)
            time.sleep(0.05)
        wait_until(lambda: {0, 2} <= set(heard))
        listening.undeclare()
    text = f"frames sent to near come back to zenoh:{key} through another bridge; stop one of the two"
    assert text in second.err
    # Messages of this test have 0 hops, messages that crossed both bridges have 2.
    assert set(heard) == {0, 2}
    second.interrupt()
    assert " refused" in second.ends(130).splitlines()[-1]


@pytest.mark.proves("B5")
def test_a_longer_loop_ends_by_the_number_of_bridges() -> None:
    hops = tuple(f"{number:016x}" for number in range(HOPS_MAX + 1))
    _, attachment = a_message(hops[:-1])
    assert unpacked(a_message()[0], attachment).hops == hops[:-1]
    with pytest.raises(Unsound, match="17 hops"):
        unpacked(a_message()[0], a_message(hops)[1])


class KeyWriter:
    """Puts messages to the key of a bridge, and collects what the bridge puts to the next key."""

    def __init__(self, session: Any, key: str, command: Command) -> None:
        self._session = session
        self._key = key
        self._command = command
        self.heard: list[bytes] = []
        session.declare_subscriber(f"{key}/next", lambda sample: self.heard.append(sample.attachment.to_bytes()))

    def put_until(self, is_done: Callable[[], object], payload: bytes, attachment: bytes | None) -> None:
        """Put a message repeatedly, because a newer one replaces one that the bridge has not read."""
        deadline = time.monotonic() + 60
        while not is_done():
            assert self._command.process.poll() is None, self._command.err
            assert time.monotonic() < deadline, self._command.err
            self._session.put(self._key, payload, attachment=attachment)
            time.sleep(0.02)

    def is_told(self, text: str, payload: bytes, attachment: bytes | None) -> None:
        """Put a message until the bridge logs the text."""
        self.put_until(lambda: text in self._command.err, payload, attachment)


@contextlib.contextmanager
def attacked(bridge: Bridge, key: str, end: str, *options: str, prefix: tuple[str, ...] = ()) -> Iterator[KeyWriter]:
    """Runs a bridge from a key. Afterwards it must still pass on three frames."""
    command = bridge(f"zenoh:{key}", end, *options, "--frames", "3", prefix=prefix)
    with local_session() as session:
        sender = KeyWriter(session, key, command)
        yield sender
        sender.put_until(lambda: command.process.poll() is not None, *a_message())
    said = command.ends(0)
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("3 frames, ")
    assert " refused" in said.splitlines()[-1]


@pytest.mark.proves("B4")
def test_hops_in_a_message_never_end_a_bridge(bridge: Bridge, key: str, domain: Place) -> None:
    """Regression: a message with 16 hops ended the bridge, and so did a message with the bridge's own id."""
    with attacked(bridge, key, f"zenoh:{key}/next") as sender:
        full = tuple(f"{number:016x}" for number in range(HOPS_MAX))
        sender.is_told("too many hops: the frame has crossed 16 bridges, but the limit is 15", *a_message(full))
        sender.put_until(lambda: sender.heard, *a_message())
        own = sender.heard[0][16:24]
        sender.is_told("bridge loop: frames sent to", *a_message((own.hex(),)))
        sender.is_told("end of stream with a picture", b"x", MAGIC + b"" + bytes(6) + own)


# Some of these texts are fractions to Python.
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
    """A message with valid geometry, and with any other content."""
    layout = FrameLayout(format, 6, 4, None, {}, None)
    aux = build_aux(f"video/x-raw, format=(string){format}, width=(int)6, height=(int)4{more}", metas)
    head = struct.pack("<8sBBHI", MAGIC, kind, 0, 0, len(aux))
    header = layout.header(*numbers[:4], numbers[4] & 0xFFFFFFFF, len(aux))
    return bytes(layout.size) if kind == 1 else _PICTURE, head + header + aux


_PICTURE = jpeg.encode_rgb(flat((1, 2, 3), (6, 4)))
_NUMBERS = st.sampled_from([0, 1, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 2, (1 << 64) - 1])


@settings(max_examples=300)
@given(
    kind=st.sampled_from([1, 2]),
    format=st.sampled_from([name for name, format in FORMATS.items() if format.planes]),
    fields=st.lists(st.tuples(st.sampled_from(_FIELDS), st.sampled_from(_VALUES)), max_size=3),
    numbers=st.tuples(*[_NUMBERS] * 5),
    metas=st.lists(st.tuples(st.sampled_from(["Lens", HOPS_META, "___"]), st.sampled_from(_VALUES)), max_size=3),
    moment=_NUMBERS,
)
@example(1, "BGR", [("framerate", "(string)1/0")], (0,) * 5, [], 0)
@example(2, "BGR", [("framerate", "(double)inf")], (0,) * 5, [], 0)
@pytest.mark.proves("B4")
def test_what_is_accepted_is_passed_on_to_every_end_or_refused(
    kind: int, format: str, fields: Any, numbers: Any, metas: Any, moment: int
) -> None:
    """Regression: a frame rate of "1/0" or infinity ended the bridge."""
    texts = [(name.encode(), f"{name}, hops={value};".encode() + b"\0") for name, value in metas]
    records = [
        struct.pack("<II", 10 + len(name) + len(text), len(name)) + name + b"\0\0" + text for name, text in texts
    ]
    records = [Stamp(boot_id(), 7, moment, moment, moment).record(), *records]
    message = crafted(kind, format, "".join(f", {name}={value}" for name, value in fields), numbers, records)
    try:
        parcel = unpacked(*message)
    except Unsound:
        return
    for codec in get_args(Codec):
        with contextlib.suppress(FormatError):
            again = pack(parcel, codec, 80, (*parcel.hops, "0" * 16))
            assert unpacked(bytes(again.payload), again.attachment).width == 6


@pytest.mark.parametrize(
    ("end", "options"), [("far", ()), ("zenoh:{}/next", ()), ("zenoh:{}/next", ("--codec", "raw"))]
)
@pytest.mark.proves("B4")
def test_a_frame_rate_that_is_not_a_number_ends_no_bridge(
    bridge: Bridge, key: str, domain: Place, end: str, options: tuple[str, ...]
) -> None:
    with attacked(bridge, key, end.format(key), *options) as sender:
        message = crafted(1, "BGR", ", framerate=(string)1/0", (0,) * 5, [])
        sender.is_told("cannot publish 'BGR' at 6x4: framerate: ", *message)


@pytest.mark.proves("B4")
def test_caps_that_are_too_long_for_a_path_end_no_bridge(bridge: Bridge, key: str, domain: Place) -> None:
    with attacked(bridge, key, f"sh4lt:{domain.root}s") as sender:
        message = crafted(1, "BGR", f', a="{"y" * 5000}"', (0,) * 5, [])
        sender.is_told("frame cannot be sent over a Sh4lt path: the type text has 50", *message)


@pytest.mark.parametrize(
    ("namespace", "limit", "end", "reason"),
    [
        ("--mount", "mount -t tmpfs -o size=64m none /dev/shm", "far", "/dev/shm"),
        ("--ipc", "echo 10000 >/proc/sys/kernel/shmmax", "sh4lt:{}s", "frame cannot be sent over a Sh4lt path"),
        ("--ipc", "echo 10 >/proc/sys/kernel/shmall", "sh4lt:{}s", "No space left"),
    ],
)
@pytest.mark.proves("B4")
def test_a_picture_for_which_there_is_no_memory_ends_no_bridge(
    bridge: Bridge, key: str, domain: Place, namespace: str, limit: str, end: str, reason: str
) -> None:
    """A JPEG picture of one colour is a small message and a large frame."""
    prefix = ("unshare", namespace, "sh", "-c", f'{limit} && exec "$@"', "sh")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to make namespaces")
    with attacked(bridge, key, end.format(domain.root), prefix=prefix) as sender:
        sender.is_told(reason, jpeg.encode_rgb(flat((1, 2, 3), (4000, 3000))), None)


@pytest.mark.proves("B4")
def test_a_picture_beyond_the_limit_is_neither_taken_nor_sent() -> None:
    """Regression: raw pictures of any size were accepted. The limit is 8192x8192, 67 million pixels."""
    for height, is_allowed in ((8192, True), (8193, False)):
        layout = FrameLayout("GRAY8", 8192, height, None, {}, None)
        header = layout.header(0, 0, 0, 0, 0, 0)
        for kind, payload in ((1, bytes(layout.size)), (2, _PICTURE)):
            message = payload, struct.pack("<8sBBHI", MAGIC, kind, 0, 0, 0) + header
            with contextlib.nullcontext() if is_allowed else pytest.raises(Unsound, match="8192x8193 has more than"):
                unpacked(*message)
    plane = np.zeros((8193, 8192), np.uint8)
    for codec in get_args(Codec):
        with pytest.raises(FormatError, match="8192x8193 has more than 67,108,864 pixels"):
            pack(Parcel("GRAY8", 8192, 8193, (plane,)), codec, 80, ())
    with pytest.raises(FormatError, match="message has 2684"):
        pack(Parcel("RGBA", 8192, 8192, (np.zeros((8192, 8192, 4), np.uint8),)), "raw", 80, ())
    with pytest.raises(FormatError, match="attachment has 7"):
        pack(Parcel("GRAY8", 8, 8, (plane[:8, :8],), metas=[bytes(70_000)]), "raw", 80, ())
