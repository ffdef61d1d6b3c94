"""Converts between frames and encoded video, with PyAV (`pip install 'iox2-video[record]'`).

    from gst_iceoryx2.codec import packets_for

`packets_for` makes sure that a stream is encoded while it is read.
"""

from __future__ import annotations

from .on_demand import PacketsOnDemand, packets_for

__all__ = ["PacketsOnDemand", "packets_for"]
