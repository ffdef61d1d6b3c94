"""Metrics of a preview, in the Prometheus text format.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from .status import Status

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class _Metric(NamedTuple):
    name: str
    kind: str
    help: str
    value: Callable[[Status], float | None]


_METRICS: Final = (
    _Metric("live", "gauge", "Whether a frame arrived within two seconds.", lambda of: of.state == "live"),
    _Metric("frames_received_total", "counter", "Frames that arrived.", lambda of: of.received),
    _Metric("frames_dropped_total", "counter", "Frames that were sent but did not arrive.", lambda of: of.dropped),
    _Metric("frames_invalid_total", "counter", "Frames that violated the wire contract.", lambda of: of.invalid),
    _Metric("frames_per_second", "gauge", "Frames per second that arrived, over two seconds.", lambda of: of.fps),
    _Metric("frame_age_seconds", "gauge", "Time from capture to arrival of the newest frame.", lambda of: of.age),
    _Metric("silence_seconds", "gauge", "Time since the newest frame.", lambda of: of.silence),
    _Metric("frame_width_pixels", "gauge", "Width of the newest frame.", lambda of: of.width),
    _Metric("frame_height_pixels", "gauge", "Height of the newest frame.", lambda of: of.height),
    _Metric("pictures_encoded_total", "counter", "JPEG pictures encoded.", lambda of: of.encoded),
    _Metric("encode_seconds_total", "counter", "Processor time for encoding.", lambda of: of.encode_seconds),
    _Metric("viewers_waiting", "gauge", "Viewers ready for a picture.", lambda of: of.wanting),
    _Metric("viewers_of_packets", "gauge", "Viewers that receive packets.", lambda of: of.packet_viewers),
    _Metric("results_received_total", "counter", "Results of detectors that arrived.", lambda of: _sum(of, "received")),
    _Metric("results_dropped_total", "counter", "Results that did not arrive.", lambda of: _sum(of, "dropped")),
    _Metric(
        "results_invalid_total", "counter", "Results that broke the wire contract.", lambda of: _sum(of, "invalid")
    ),
)


def _sum(status: Status, name: str) -> int | None:
    return sum(getattr(detector, name) for detector in status.results) if status.results else None


def exposition(statuses: Sequence[Status], viewers: int) -> str:
    """Return the response to a scrape. Unknown values are omitted.

    Args:
        statuses: The state of each stream.
        viewers: Number of connected pages.
    """
    lines = [
        "# HELP iox2_video_viewers Connected pages.",
        "# TYPE iox2_video_viewers gauge",
        f"iox2_video_viewers {viewers}",
    ]
    for metric in _METRICS:
        name = f"iox2_video_{metric.name}"
        samples = [
            f"{name}{{service={_quoted(status.name)}}} {value + 0:.15g}"
            for status in statuses
            if (value := metric.value(status)) is not None
        ]
        if samples:
            lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}", *samples]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
