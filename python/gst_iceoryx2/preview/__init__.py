"""Shows streams live in a web browser, and saves single pictures.

    from gst_iceoryx2.preview import Preview, save_snapshot

    with Preview(["cam0", "cam1"]) as preview:
        print(preview.url)
        preview.wait()

    save_snapshot("cam0", "cam0.png")

The page's address contains a secret. Other machines can reach the page only if `host` is not a loopback address.
"""

from __future__ import annotations

from .access import is_loopback, token_from
from .png import encode_png
from .server import DEFAULT_MAX_FPS, DEFAULT_QUALITY, DEFAULT_RESULTS_WAIT, Preview
from .snapshot import SNAPSHOT_QUALITY, Snapshot, check_path, save_snapshot
from .status import DetectorStatus, State, Status

__all__ = [
    "DEFAULT_MAX_FPS",
    "DEFAULT_QUALITY",
    "DEFAULT_RESULTS_WAIT",
    "SNAPSHOT_QUALITY",
    "DetectorStatus",
    "Preview",
    "Snapshot",
    "State",
    "Status",
    "check_path",
    "encode_png",
    "is_loopback",
    "save_snapshot",
    "token_from",
]
