"""Packets of H.264 on a key that are damaged, or not what they say."""

from __future__ import annotations

import contextlib
import os
import random
import time
from fractions import Fraction
from typing import Any

import pytest

zenoh = pytest.importorskip("zenoh", reason="Zenoh is not installed: pip install 'iox2-video[bridge]'")
av: Any = pytest.importorskip("av")

from gst_iceoryx2._extras.av import packet_decoder
from gst_iceoryx2._wire.packet import VideoPacketHeader
from gst_iceoryx2._wire.stamp import Stamp, boot_id, monotonic_ns
from gst_iceoryx2.bridge.clocks import Clocks
from gst_iceoryx2.bridge.message import ATTACHMENT_MAX, Unsound, is_packet, pack, unpack
from gst_iceoryx2.bridge.parcel import Parcel
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.cli.bridges import FAR, Bridge, local_session
from tests.cli.h264_camera import HEIGHT, WIDTH
from tests.conftest import Place
from tests.pattern_encoder import PatternEncoder


def message(data: bytes, number: int, *, is_keyframe: bool = True, **fields: Any) -> tuple[bytes, bytes]:
    header = VideoPacketHeader(pts=number, dts=number, duration=1, stream=9, sequence=number, version=1)
    header.stamp = Stamp(boot_id(), 7, number, monotonic_ns())
    header.codec, header.width, header.height, header.flags = b"h264", WIDTH, HEIGHT, int(is_keyframe)
    for name, value in fields.items():
        setattr(header, name, value)
    sent = pack(Parcel(header=header, data=data), "h264", 80, ("00000000000000aa",))
    return bytes(sent.payload), sent.attachment


@pytest.mark.parametrize(
    ("fields", "data", "text"),
    [
        ({"codec": b"h266"}, b"x", "codec 'h266'"),
        ({"codec": b"12345678"}, b"x", "codec"),
        ({"version": 2}, b"x", "invalid packet"),
        ({"width": 0}, b"x", "invalid packet"),
        ({"width": 40_000}, b"x", "invalid packet"),
        ({"width": 32768, "height": 32768}, b"x", "picture too large"),
        ({}, b"", "invalid packet"),
        ({"flags": 2}, b"x", "invalid packet"),
    ],
)
@pytest.mark.proves("B4")
def test_a_packet_with_an_invalid_header_is_refused(fields: dict[str, Any], data: bytes, text: str) -> None:
    with pytest.raises(Unsound, match=text):
        unpack(*message(data, 1, **fields), monotonic_ns(), Clocks())


@pytest.mark.proves("B4")
def test_a_packet_with_a_long_attachment_does_not_wait() -> None:
    """Regression: 128 packets with attachments of 256 MiB could wait, because only payloads were counted."""
    attachment = message(b"x", 1)[1]
    assert is_packet(attachment)
    assert not is_packet(attachment + bytes(ATTACHMENT_MAX))


@pytest.mark.proves("B4")
def test_hostile_packets_end_no_bridge_and_no_decoder(bridge: Bridge, key: str, domain: Place) -> None:
    command = bridge(f"zenoh:{key}", "far")
    command.says(" to ")
    encoder = PatternEncoder(gop=8)
    good = [encoder.encode() for _ in range(200)]
    chance = random.Random(5)
    number = 0
    with VideoFrameSubscriber(FAR) as subscriber, local_session() as session:

        def put(data: bytes, **fields: Any) -> None:
            nonlocal number
            number += 1
            payload, attachment = message(data, number, **fields)
            session.put(key, payload, attachment=attachment)

        deadline = time.monotonic() + 100
        # The decoder runs before the attack begins.
        while subscriber.receive_blocking(50) is None:
            put(bytes(good[0]))
            assert time.monotonic() < deadline, command.err
        for packet in good[:150]:
            data = bytearray(bytes(packet))
            for _ in range(chance.randrange(8)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            put(bytes(data[: chance.randrange(1, len(data))]), is_keyframe=packet.is_keyframe)
            put(os.urandom(100), is_keyframe=bool(chance.randrange(2)))
            put(b"\0\0\0\1\x67\0\0\1\x68\0\0\1\x65" + os.urandom(50))
            session.put(key, b"x", attachment=message(b"x", number)[1][: chance.randrange(130)])
            while subscriber.receive() is not None:
                pass
            time.sleep(0.002)
        good = [PatternEncoder(gop=8).encode()]
        while True:
            put(bytes(good[0]))
            frame = subscriber.latest(0.1)
            if frame is not None and not frame.is_eos() and frame.pts is not None and frame.pts > number - 50:
                break
            assert time.monotonic() < deadline, command.err
            assert command.process.poll() is None, command.err
        del frame
    command.interrupt()
    said = command.ends(130)
    assert "Traceback" not in said
    assert " refused" in said.splitlines()[-1]
    assert "frame cannot be sent" in said or "packet" in said


@pytest.mark.proves("B4")
@pytest.mark.parametrize(("height", "is_allowed"), [(8192, True), (8208, False)])
def test_a_small_packet_with_a_huge_picture_is_not_decoded(height: int, is_allowed: bool) -> None:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 8192, height, "yuv420p", Fraction(1, 30)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    (packet,) = encoder.encode(av.VideoFrame(8192, height, "yuv420p"))
    with contextlib.nullcontext() if is_allowed else pytest.raises(av.FFmpegError):
        decoder = packet_decoder("h264")
        assert decoder.decode(av.Packet(bytes(packet))) + decoder.decode(None)
