"""Acts of second processes, as in `tests.processes.acts`: they print lines of JSON and read lines."""

from __future__ import annotations

import contextlib
import ctypes
import struct
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from gst_iceoryx2.video import CustomMeta, Qos, VideoFramePublisher, VideoFrameSubscriber
from tests.processes.acts import hear, tell


def run(act: str, *arguments: Any) -> None:
    globals()[act](*arguments)


def _stopped() -> threading.Event:
    """Set when a line comes."""
    stop = threading.Event()
    threading.Thread(target=lambda: (hear(), stop.set()), daemon=True).start()
    return stop


def send(services: list[str], fps: float = 30, width: int = 64, height: int = 48, **more: Any) -> None:
    """Publish moving stripes at a steady rate until a line comes; tell when the first frames are sent.

    Args:
        services: Full names.
        fps: Frames a second.
        width: Pixels.
        height: Pixels.
        **more: `count`: frames to send before a pause that lasts until the line comes; `end`: say end of stream then;
            `format`: BGR or GRAY8; `meta`: name of a custom meta; `subscribers`: places; `safe_overflow`.
    """
    stop = _stopped()
    kind = more.get("format", "BGR")
    shape = (height, width, 3) if kind == "BGR" else (height, width)
    metas = [CustomMeta(more["meta"], {"value": 1})] if "meta" in more else []
    publishers = [
        VideoFramePublisher(
            name,
            framerate=f"{int(fps)}/1",
            max_subscribers=more.get("subscribers", 8),
            qos=Qos(safe_overflow=more.get("safe_overflow", True)),
        )
        for name in services
    ]
    with contextlib.ExitStack() as open_ones:
        for publisher in publishers:
            open_ones.enter_context(publisher)
        due, number = time.monotonic(), 0
        while not stop.is_set() and number != more.get("count"):
            picture = np.empty(shape, np.uint8)
            # Numbers wrap, because a slow machine may need more than 256 frames.
            stripes = (np.arange(height) * 4 + number) % 256
            picture[...] = stripes.reshape(-1, *[1] * (len(shape) - 1))
            for publisher in publishers:
                publisher.publish(picture, format=kind, pts=int(number * 1e9 / fps), metas=metas)
            if number == 0:
                tell("sending")
            number += 1
            due += 1 / fps
            stop.wait(max(0.0, due - time.monotonic()))
        if more.get("end"):
            for publisher in publishers:
                publisher.end_of_stream()
        stop.wait()
    tell("stopped")


def send_with(options: dict[str, Any]) -> None:
    """`send` with its arguments by name."""
    send(**options)


def watch(service: str, subscribers: int) -> None:
    """Receive with `count` subscribers until a line comes; tell when all are connected."""
    stop = _stopped()
    with contextlib.ExitStack() as open_ones:
        ends = [open_ones.enter_context(VideoFrameSubscriber(service)) for _ in range(subscribers)]
        told = False
        while not stop.is_set():
            for end in ends:
                end.receive()
            if not told and all(end.stats.received for end in ends):
                told = True
                tell("watching")
            stop.wait(0.005)


def write_sh4lt(path: str) -> None:
    """Write to a Sh4lt path until a line comes; tell the first frame, then the longest write in seconds."""
    from gst_iceoryx2.sh4lt import Writer

    stop = _stopped()
    caps = "video/x-raw, format=(string)RGBA, width=(int)32, height=(int)16, framerate=(fraction)30/1"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Writer(path, caps, reader_timeout=10) as writer:
        picture = np.zeros(32 * 16 * 4, np.uint8)
        longest, told = 0.0, False
        while not stop.is_set():
            began = time.monotonic()
            writer.write(picture)
            longest = max(longest, time.monotonic() - began)
            if not told:
                told = True
                tell("writing")
            stop.wait(0.03)
    tell(longest)


def write_sh4lt_once(paths: list[str]) -> None:
    """Write one frame to each Sh4lt path, then pause until a line comes."""
    from gst_iceoryx2.sh4lt import Writer

    stop = _stopped()
    caps = "video/x-raw, format=(string)RGBA, width=(int)32, height=(int)16"
    with contextlib.ExitStack() as open_ones:
        for path in paths:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            open_ones.enter_context(Writer(path, caps)).write(np.zeros(32 * 16 * 4, np.uint8))
        tell("writing")
        stop.wait()


def with_plugin(service: str, other_plugin: str | None) -> None:
    """Publish with the SDK until a line comes, in a process with one or two builds of the plugin."""
    import warnings

    from gst_iceoryx2 import setup_gstreamer

    # PyGObject before 3.44 uses an import API that Python 3.11 deprecates.
    warnings.simplefilter("ignore", ImportWarning)
    setup_gstreamer()
    if other_plugin is not None:
        ctypes.CDLL(other_plugin)
    send([service], 5)


def lie(service: str, options: dict[str, Any]) -> None:
    """Publish frames with many large metas over plain iceoryx2 until a line comes; tell when the first is sent.

    Args:
        service: Full name.
        options: `metas`: how many; `fps`.
    """
    text = f"timestamp/x-monotonic, a={{{'{{{{{{1}}}}}},' * 1150}1}}".encode() + b"\0"
    record = _record(b"GstReferenceTimestampMeta", struct.pack("<QQ", 1, 2) + text)
    caps = "video/x-raw, format=(string)BGR, width=(int)16, height=(int)8"
    _lie([service], caps, [record] * options["metas"], options["fps"])


def lie_with_words(names: list[str]) -> None:
    """Publish frames over plain iceoryx2, with terminal escapes in all texts, until a line comes.

    Args:
        names: Of services, short or in full.
    """
    steers = "\x1b[31m\x9b\u202e"
    ctypes.CDLL(None).prctl(15, steers.encode()[:14] + b"\xff", 0, 0, 0)  # PR_SET_NAME
    caps = f'video/x-raw, format=(string)BGR, width=(int)16, height=(int)8, note=(string)"{steers}\n"'
    unix = _record(b"GstReferenceTimestampMeta", struct.pack("<QQ", 1, 2) + steers.encode() + b"\0")
    records = [_record(steers.encode() + b"\xff\n", b"x"), unix, b"\xff" * 40, b""]
    _lie([name if "/" in name else f"video/{name}/frame/v2" for name in names], caps, records, 20)


def _record(name: bytes, payload: bytes) -> bytes:
    return struct.pack("<II", 10 + len(name) + len(payload), len(name)) + name + b"\0\0" + payload


def _lie(services: list[str], caps: str, records: list[bytes], fps: float) -> None:
    from gst_iceoryx2.video import build_aux
    from tests.damage import sound_frame
    from tests.transport.raw import RawPublisher

    stop = _stopped()
    header, size = sound_frame("BGR", 16, 8)
    blob = build_aux(caps, records)
    header.aux_size = len(blob)
    publishers = [RawPublisher(service, len(blob) + size) for service in services]
    told = False
    while not stop.is_set():
        for publisher in publishers:
            publisher.send(header, bytes(size) + blob)
        if not told:
            told = True
            tell("sending")
        stop.wait(1 / fps)
    for publisher in publishers:
        publisher.close()
