"""Shows streams live in Foxglove. Needs the Foxglove SDK (`pip install 'iox2-video[foxglove]'`).

    from gst_iceoryx2.foxglove import FoxgloveView

    with FoxgloveView(["cam0"], results=["yolo"]) as view:
        print(view.url)
        view.wait(print)

Every user of this machine, and every web page in its browsers, can see the streams, because Foxglove's protocol has no
token. Other machines cannot.
"""

from __future__ import annotations

from .view import DEFAULT_PORT, FoxgloveView

__all__ = ["DEFAULT_PORT", "FoxgloveView"]
