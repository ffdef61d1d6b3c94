"""The packets of servers that encode in real time, over TCP: containers, sizes that change, and damaged streams."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

av: Any = pytest.importorskip("av")

from gst_iceoryx2.discovery import full_name
from gst_iceoryx2.feed import SourceError, encoded
from gst_iceoryx2.feed.encoded import EncodedPicture, PacketFeeder
from gst_iceoryx2.feed.network import connect
from gst_iceoryx2.feed.network_packets import NetworkPackets, codec_of_connection
from gst_iceoryx2.packets import Packet, PacketSubscriber
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.packets import test_frame_decoder
from tests.packets.conftest import WAIT_MS
from tests.waiting import arrived, wait_until

MS = 1_000_000
TICK = Fraction(1, 30)


class Live:
    """A server that sends one stream to one client, piece by piece, and then says nothing more.

    Args:
        data: The stream.
        pause: Seconds after each 1,000 bytes.
    """

    def __init__(self, data: bytes, pause: float = 0.001) -> None:
        self._pause = pause
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._data = data
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with self._listener:
            client, _ = self._listener.accept()
        with client:
            try:
                for start in range(0, len(self._data), 1000):
                    client.sendall(self._data[start : start + 1000])
                    self._is_over.wait(self._pause)
                self._is_over.wait()
            except OSError:
                pass

    def close(self) -> None:
        """End the stream."""
        self._is_over.set()
        self._thread.join()


class Pipe(io.RawIOBase):
    """A file that cannot seek, as a network connection."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += data
        return len(data)


def muxed(format: str, codec: str, packets: list[Any], size: tuple[int, int] = (320, 240)) -> bytes:
    """Return packets in a container."""
    pipe = Pipe()
    container = av.open(pipe, "w", format=format)
    track = container.add_stream(test_frame_decoder.ENCODERS[codec], rate=30)
    track.width, track.height, track.pix_fmt = *size, "yuv420p"
    track.codec_context.time_base = TICK
    if format == "matroska":
        # A container with the parameter sets in its head.
        track.codec_context.flags |= 1 << 22
    track.codec_context.options = test_frame_decoder.OPTIONS[codec]
    track.codec_context.open()
    for packet in packets:
        copy = av.Packet(bytes(packet))
        copy.pts, copy.dts, copy.time_base, copy.is_keyframe = packet.pts, packet.dts, TICK, packet.is_keyframe
        copy.stream = track
        container.mux(copy)
    container.close()
    return bytes(pipe.data)


def gray() -> Any:
    """A gray picture with some noise, because FFmpeg delays streams that are only a few kilobytes."""
    planes = np.full((360, 320), 128, np.uint8)
    planes[:40] = np.random.default_rng(7).integers(0, 256, (40, 320))
    return av.VideoFrame.from_ndarray(planes, "yuv420p")


@pytest.fixture
def live() -> Iterator[Callable[..., Live]]:
    servers: list[Live] = []

    def start(data: bytes, pause: float = 0.001) -> Live:
        servers.append(Live(data, pause))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def feed() -> Iterator[Callable[[Any], PacketFeeder]]:
    """Publishes a source as cam0 in a thread."""
    started: list[tuple[PacketFeeder, threading.Thread]] = []

    def start(source: Any) -> PacketFeeder:
        feeder = PacketFeeder("cam0", source)

        def run() -> None:
            try:
                feeder.run()
            except SourceError as exc:
                feeder.error = exc  # type: ignore[attr-defined]

        thread = threading.Thread(target=run)
        thread.start()
        started.append((feeder, thread))
        return feeder

    yield start
    for feeder, thread in started:
        feeder.stop()
        thread.join(20)
        assert not thread.is_alive()


def source_of(url: str) -> NetworkPackets:
    connection = connect(url)
    assert codec_of_connection(connection) is not None
    return NetworkPackets(connection)


def taken(subscriber: PacketSubscriber, count: int) -> list[Packet]:
    """Receive copies of packets."""
    packets = []
    for _ in range(count):
        with arrived(subscriber.receive_blocking(WAIT_MS)) as packet:
            packets.append(packet.copy())
    return packets


def pictures(codec: str, packets: list[Any]) -> list[bytes]:
    """Decode packets to the luma of their pictures."""
    from gst_iceoryx2._extras.av import packet_decoder

    decoder = packet_decoder(codec)
    units = [av.Packet(bytes(getattr(packet, "data", packet))) for packet in packets]
    found = [picture for unit in units for picture in decoder.decode(unit)] + decoder.decode(None)
    return [picture.to_ndarray()[: picture.height].tobytes() for picture in found]


@pytest.mark.parametrize(
    ("format", "codec", "b_frames"),
    [("mpegts", "h264", 0), ("mpegts", "h264", 2), ("mpegts", "h265", 0), ("matroska", "av1", 0)],
)
def test_packets_of_a_container_are_published_as_they_come(format, codec, b_frames, live, feed) -> None:
    sent = test_frame_decoder.encoded(codec, 60, b_frames)
    with PacketSubscriber("cam0", codec) as subscriber:
        feed(source_of(live(muxed(format, codec, sent)).url))
        packets = taken(subscriber, 50)
    assert packets[0].is_keyframe
    assert {(packet.width, packet.height, packet.codec) for packet in packets} == {(320, 240, codec)}
    assert pictures(codec, packets)[:40] == pictures(codec, sent)[:40]
    first = sent[0].dts
    for packet, original in zip(packets, sent, strict=False):
        # Matroska counts milliseconds.
        assert abs((packet.pts or 0) - (original.pts - first) * 1000 * MS // 30) <= MS
        # There may be no frame.
        assert (packet.publisher, packet.sequence) == (None, None)
    assert all(later.captured_at > earlier.captured_at for earlier, later in pairwise(packets))


def waits_after(count: int, source: NetworkPackets, go_on: threading.Event) -> NetworkPackets:
    """Make a source wait after some packets: a reader starts at the newest of the keyframes that it finds."""
    all_packets = source.packets

    def packets() -> Iterator[EncodedPicture | None]:
        left = count
        for packet in all_packets():
            yield packet
            left -= packet is not None
            if left == 0:
                go_on.wait(50)

    source.packets = packets  # type: ignore[method-assign]
    return source


def test_length_prefixed_units_become_a_byte_stream_with_parameter_sets(live, feed) -> None:
    pipe = Pipe()
    container = av.open(pipe, "w", format="matroska")
    track = container.add_stream("libx264", rate=30, options={"tune": "zerolatency", "g": "10", "sc_threshold": "0"})
    track.width, track.height, track.pix_fmt = 320, 240, "yuv420p"
    for _ in range(60):
        container.mux(track.encode(gray()))
    container.mux(track.encode(None))
    container.close()
    with av.open(io.BytesIO(bytes(pipe.data))) as file:
        assert not any(bytes(packet).startswith(b"\0\0\0\1") for packet in file.demux(video=0) if packet.size)
    with PacketSubscriber("cam0") as subscriber:
        is_joined = threading.Event()
        feed(waits_after(5, source_of(live(bytes(pipe.data)).url), is_joined))
        packets = taken(subscriber, 1)
        is_joined.set()
        packets += taken(subscriber, 29)
    assert [packet.is_keyframe for packet in packets] == [number % 10 == 0 for number in range(30)]
    # The publisher refuses anything else.
    assert all(bytes(packet.data).startswith((b"\0\0\0\1", b"\0\0\1")) for packet in packets)


def test_a_new_size_continues_with_a_new_publisher_and_frames_of_that_size(live, feed) -> None:
    sizes = [(320, 240), (640, 480)]
    data = b"".join(
        muxed("mpegts", "h264", test_frame_decoder.encoded("h264", 40, 0, size), size) for size in (*sizes, sizes[0])
    )
    shown: list[tuple[int, int]] = []
    seen: list[tuple[int, int]] = []
    streams = set()

    def is_complete() -> bool:
        packet, frame = subscriber.receive_blocking(5), frames.receive()
        if packet is not None:
            with packet:
                streams.add(packet.stream)
                if (packet.width, packet.height) not in seen[-1:]:
                    assert packet.is_keyframe
                    assert packet.is_discont
                    seen.append((packet.width, packet.height))
        if frame is not None:
            with frame:
                if (frame.width, frame.height) not in shown[-1:]:
                    shown.append((frame.width, frame.height))
        return len(seen) == len(shown) == 3

    with PacketSubscriber("cam0") as subscriber, VideoFrameSubscriber(full_name("cam0")) as frames:
        feeder = feed(source_of(live(data, 0.05).url))
        feeder.is_raw_wanted = True
        wait_until(is_complete, 60)
    assert seen == shown == [*sizes, sizes[0]]
    assert len(streams) == 3


def test_frames_are_those_of_the_packets_with_the_same_capture_time(live, feed) -> None:
    sent = test_frame_decoder.encoded("h264", 300)
    feeder = feed(source_of(live(muxed("mpegts", "h264", sent), 0.05).url))
    packets: dict[int | None, Packet] = {}
    with PacketSubscriber("cam0") as subscriber:
        for packet in taken(subscriber, 20):
            packets[packet.captured_at] = packet
        assert feeder.report().frames == 0
        feeder.is_raw_wanted = True
        frames = {}
        with VideoFrameSubscriber(full_name("cam0")) as reader:
            while len(frames) < 5:
                with arrived(reader.receive_blocking(WAIT_MS)) as frame:
                    frames[frame.captured_at] = frame.pts, frame.planes[0].tobytes()
        last = max(time for time in frames if time is not None)
        while max(time for time in packets if time is not None) < last:
            (packet,) = taken(subscriber, 1)
            packets[packet.captured_at] = packet
    assert frames.keys() <= packets.keys()
    luma = dict(zip(packets, pictures("h264", list(packets.values())), strict=True))
    for time, (pts, pixels) in frames.items():
        assert packets[time].pts == pts
        assert pixels == luma[time]


class Made:
    """A source of packets of this test."""

    codec = "h264"
    extradata = None
    size = (0, 0)
    framerate = None
    about = "a test"

    def __init__(self, packets: Iterator[EncodedPicture | None]) -> None:
        self._packets = packets

    def packets(self) -> Iterator[EncodedPicture | None]:
        return self._packets

    def close(self) -> None:
        pass


def as_it_comes(data: bytes, *, is_keyframe: bool, number: int = 0) -> EncodedPicture:
    return EncodedPicture(data, is_keyframe, number * MS, number * MS, None, number + 1)


def test_a_source_without_keyframes_says_so_and_its_frames_are_shown(feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded, "_KEYFRAME_MAX", 0.1)
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 320, 240, "yuv420p", TICK
    encoder.options = {"tune": "zerolatency", "x264-params": "intra-refresh=1:keyint=10:scenecut=0"}
    packets = [packet for _ in range(90) for packet in encoder.encode(gray())]
    # The reader comes after the only IDR picture. Later pictures are refreshed column by column.
    refreshed = packets[1:]

    def sent() -> Iterator[EncodedPicture | None]:
        for number in range(10**6):
            packet = refreshed[number % len(refreshed)]
            told = b"\x06\x06" in bytes(packet)[:40] or packet.is_keyframe
            yield as_it_comes(sets + bytes(packet) if told else bytes(packet), is_keyframe=told, number=number)
            threading.Event().wait(0.005)

    head = bytes(packets[0])
    sets = head[: head.index(b"\0\0\1\x06")]
    feeder = feed(Made(sent()))
    feeder.is_raw_wanted = True
    with VideoFrameSubscriber(full_name("cam0")) as frames:
        arrived(frames.receive_blocking(WAIT_MS)).release()
    wait_until(lambda: feeder.codec is None)
    with PacketSubscriber("cam0") as subscriber:
        assert subscriber.receive_blocking(200) is None


def test_damaged_packets_are_counted_and_readers_continue_at_a_keyframe(feed) -> None:
    good = [bytes(packet) for packet in test_frame_decoder.encoded("h264", 4)]
    queue: list[EncodedPicture | None] = []

    def sent() -> Iterator[EncodedPicture | None]:
        while True:
            yield queue.pop(0) if queue else None
            threading.Event().wait(0.001)

    feeder = feed(Made(sent()))
    found = []
    with PacketSubscriber("cam0") as subscriber:
        for units in (
            [(b"\0\0\1\x65rubbish", True), (b"", False), (good[1], False), (good[0], True), (good[1], False)],
            [(b"\1\2\3", False), (good[2], False), (good[0], True), (good[1], False)],
        ):
            queue += [as_it_comes(data, is_keyframe=is_keyframe) for data, is_keyframe in units]
            found += [(packet.is_keyframe, packet.is_discont) for packet in taken(subscriber, 2)]
    assert found == [(True, True), (False, False)] * 2
    assert feeder.report().damaged == 2


def test_rubbish_is_no_stream(live) -> None:
    with pytest.raises(SourceError, match="not a video that FFmpeg can read"):
        connect(live(bytes(range(251)) * 4000 + b"\0" * 6_000_000).url)


def test_rubbish_in_mid_stream_does_not_stop_it(live, feed) -> None:
    sent = muxed("mpegts", "h264", test_frame_decoder.encoded("h264", 40))
    rubbish = b"\x47\x41\0\x10" + bytes(range(184))
    feeder = feed(source_of(live(sent + rubbish * 200 + b"\xff" * 5000 + sent).url))
    feeder.is_raw_wanted = True
    with PacketSubscriber("cam0") as subscriber:
        keyframes = 0
        while keyframes < 2:
            with arrived(subscriber.receive_blocking(WAIT_MS)) as packet:
                keyframes += packet.is_keyframe


def test_the_end_of_a_server_is_an_error_and_no_end_of_the_stream(live, feed) -> None:
    server = live(muxed("mpegts", "h264", test_frame_decoder.encoded("h264", 40)))
    feeder = feed(source_of(server.url))
    with PacketSubscriber("cam0") as subscriber:
        taken(subscriber, 10)
        server.close()
        wait_until(lambda: hasattr(feeder, "error"))
        while (packet := subscriber.receive()) is not None:
            assert not packet.is_eos()
    assert "the server has ended tcp://127.0.0.1" in str(feeder.error)
