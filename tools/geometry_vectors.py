"""Write tests/vectors/geometry.json: the sizes, strides and offsets that follow from the format table.

    python3 tools/geometry_vectors.py

Run it when a format is added. The tests compare the file with both implementations and with GStreamer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gst_iceoryx2._wire.formats import FORMATS, VideoFormat

VECTORS = Path(__file__).parent.parent / "tests" / "vectors" / "geometry.json"

SIZES = [(1, 1), (33, 17), (333, 177), (640, 480), (1921, 1081), (32768, 32768)]

# Strides of the first plane, given as bytes beyond a row of 333 pixels: none, odd, and whole words. One is too short.
PADDED = ["BGR", "YUY2", "I420", "NV12", "NV24", "YUV9", "Y41B", "GBR", "AV12", "A420", "I420_10LE", "P010_10LE"]
PADDED += ["v210", "NV12_10LE40", "AYUV64", "RGB16"]
PADDING = [-1, 0, 1, 2, 64, 259]


def case(fmt: VideoFormat, width: int, height: int, stride0: int | None = None) -> dict[str, Any]:
    """One vector; `layout` is null if there is none."""
    try:
        layout = fmt.tight_layout(width, height, stride0)
    except ValueError:
        layout = None
    return {
        "format": fmt.name,
        "width": width,
        "height": height,
        "stride0": stride0,
        "row_bytes": [fmt.row_bytes(plane, width) for plane in range(fmt.n_planes)],
        "rows": [fmt.rows(plane, height) for plane in range(fmt.n_planes)],
        "layout": layout and {"strides": layout.strides, "offsets": layout.offsets, "size": layout.size},
    }


def main() -> None:
    """Write the file, one case a line."""
    formats = [fmt for fmt in FORMATS.values() if fmt.planes]
    tight = [case(fmt, width, height) for fmt in formats for width, height in SIZES]
    padded = [
        case(FORMATS[name], 333, 177, FORMATS[name].row_bytes(0, 333) + more) for name in PADDED for more in PADDING
    ]
    text: dict[str, list[Any]] = {
        "tight": tight,
        "padded": padded,
        "tiled": [[fmt.name, fmt.n_planes] for fmt in FORMATS.values() if not fmt.planes],
    }
    lists = [f'  "{key}": [\n' + ",\n".join(f"    {json.dumps(row)}" for row in text[key]) + "\n  ]" for key in text]
    VECTORS.write_text("{\n" + ",\n".join(lists) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
