"""Publishes known pictures from a second process, as in `tests.processes.acts`."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from gst_iceoryx2.video import VideoFramePublisher
from tests.processes.acts import hear, tell

RED, GREEN, BLUE = (220, 30, 40), (40, 190, 60), (30, 60, 210)


def run(act: str, *arguments: Any) -> None:
    globals()[act](*arguments)


def picture(number: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """RGB picture of shape (H, W, 3): red, green, blue, and a gray that depends on the number."""
    painted = np.empty((height, width, 3), np.uint8)
    top, left = slice(0, height // 2), slice(0, width // 2)
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    painted[top, left], painted[top, right], painted[bottom, left] = RED, GREEN, BLUE
    painted[bottom, right] = gray(number)
    return painted


def gray(number: int) -> int:
    """The gray of a picture: one of ten that JPEG keeps apart."""
    return 20 + number % 10 * 20


def paint(service: str, options: dict[str, Any]) -> None:
    """Publish `width` x `height` at `fps` until a line comes on stdin. With `count`, pause after that many frames.

    With `ratio` its pixels are so many times as wide as high.
    """
    stop = threading.Event()
    threading.Thread(target=lambda: (hear(), stop.set()), daemon=True).start()
    width, height, fps = options.get("width", 320), options.get("height", 240), options.get("fps", 30)
    caps = f"video/x-raw, pixel-aspect-ratio=(fraction){options['ratio']}" if "ratio" in options else None
    with VideoFramePublisher(service, framerate=fps, caps=caps) as publisher:
        due, number = time.monotonic(), 0
        while not stop.is_set() and number != options.get("count"):
            publisher.publish(picture(number, width, height), format="RGB", pts=number)
            if number == 0:
                tell("painting")
            number += 1
            due += 1 / fps
            stop.wait(max(0.0, due - time.monotonic()))
        if options.get("end"):
            publisher.end_of_stream()
        stop.wait()


def encode(name: str, settings: dict[str, Any]) -> None:
    """Publish the packets of a stream, such as "cam0@h264", until a line comes on stdin."""
    from gst_iceoryx2.codec.packet_encoder import PacketEncoder

    stop = threading.Event()
    threading.Thread(target=lambda: (hear(), stop.set()), daemon=True).start()
    encoder = PacketEncoder(name, settings)
    tell("encoding")
    while not stop.is_set():
        encoder.step()
    encoder.close()


def colours(rgb: np.ndarray) -> list[tuple[int, ...]]:
    """Colours in the middle of the four quarters."""
    height, width = rgb.shape[:2]
    spots = [(height // 4, width // 4), (height // 4, 3 * width // 4), (3 * height // 4, width // 4)]
    return [tuple(map(int, rgb[spot])) for spot in [*spots, (3 * height // 4, 3 * width // 4)]]


def close_to(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 8


def is_painted(rgb: np.ndarray) -> bool:
    red, green, blue, last = colours(rgb)
    grays = [(gray(number),) * 3 for number in range(10)]
    return (
        close_to(red, RED) and close_to(green, GREEN) and close_to(blue, BLUE) and any(close_to(last, g) for g in grays)
    )
