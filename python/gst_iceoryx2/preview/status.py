"""The state of one stream of a preview, as the page and the metrics show it."""

from __future__ import annotations

from typing import Literal, NamedTuple

State = Literal["waiting", "live", "silent", "ended", "problem"]
"""State of a watched stream: waiting for a publisher, sending, silent, ended, or impossible to receive."""


class DetectorStatus(NamedTuple):
    """The state of a detector whose results are drawn on a stream.

    Attributes:
        detector: Name of the detector.
        is_connected: Whether results are received at present: the detector runs, and a page shows them.
        problem: Why results cannot be received, in one line; None if there is no problem.
        received: Results received.
        dropped: Results that did not arrive.
        invalid: Results that violated the wire contract.
    """

    detector: str
    is_connected: bool
    problem: str | None
    received: int
    dropped: int
    invalid: int


class Status(NamedTuple):
    """The state of a stream at one point in time; None means unknown.

    While all viewers receive packets, the numbers are those of the packets.

    Attributes:
        name: Full name of the service.
        short_name: Short name of the service.
        state: `waiting` (no frame yet), `live`, `silent` (no frame for two seconds), `ended` (end of stream) or
            `problem`.
        problem: What is wrong, in one line.
        format: GStreamer's name for the pixel format of the newest frame; `H264` for a packet.
        width: Width of the newest frame, in pixels.
        height: Height of the newest frame, in rows.
        caps: Caps of the newest frame.
        fps: Frames per second that arrived, over two seconds.
        age: Seconds from the capture of the newest frame to its arrival.
        silence: Seconds since the newest frame.
        received: Frames that arrived.
        dropped: Frames that were sent but did not arrive.
        invalid: Frames that violated the wire contract, and packets that are not H.264.
        encoded: Pictures that were encoded.
        encode_seconds: Processor time for encoding them, including colour conversion.
        jpeg_bytes: Size of the newest picture, in bytes.
        wanting: Number of viewers that are ready for a picture.
        encoder: Whether packets of this stream are published, or `iox2-video serve` would encode them on demand. None
            if not, or if no page is open.
        packet_viewers: Number of viewers that receive packets.
        packet_problem: Why no packets can be sent to viewers; None if they can, or if `encoder` is None.
        results: The detectors whose results are drawn.
    """

    name: str
    short_name: str
    state: State
    problem: str | None
    format: str | None
    width: int | None
    height: int | None
    caps: str | None
    fps: float
    age: float | None
    silence: float | None
    received: int
    dropped: int | None
    invalid: int
    encoded: int
    encode_seconds: float
    jpeg_bytes: int | None
    wanting: int
    encoder: Literal["running", "on demand"] | None
    packet_viewers: int
    packet_problem: str | None
    results: tuple[DetectorStatus, ...]
