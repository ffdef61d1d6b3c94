"""Shows streams and the boxes of detectors in Rerun, or writes them to a file. Needs Rerun's SDK.

    from pathlib import Path

    from gst_iceoryx2.rerun import RerunView

    RerunView(["cam0"], Path("cam0.rrd"), results=["yolo"]).run()

Install the SDK with `pip install 'iox2-video[rerun]'`.
"""

from __future__ import annotations

from .view import RerunReport, RerunStreamReport, RerunView
from .viewer import RerunError, RerunViewer

__all__ = ["RerunError", "RerunReport", "RerunStreamReport", "RerunView", "RerunViewer"]
