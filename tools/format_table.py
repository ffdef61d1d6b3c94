"""Write python/gst_iceoryx2/contract/formats.json from the GstVideoFormatInfo of the installed GStreamer.

    python3 tools/format_table.py            rewrite the table
    python3 tools/format_table.py --check    only check whether it is current (exit code 1 if not)

Rows of formats that this GStreamer does not know are kept, so the table never shrinks on an older machine. The three
tables below have what GstVideoFormatInfo lacks: the groups of pixels in opaque rows, and the bits of each component.

Source: gst-libs/gst/video/video-format.c (the unpack functions) and video-info.c (fill_planes) of gst-plugins-base.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent.parent / "python" / "gst_iceoryx2" / "contract" / "formats.json"

# The head of the file, for readers without this code.
COLUMNS = {
    "name": "GStreamer's name",
    "kind": "planes: rows of whole samples; packed: the same, one plane; opaque: rows of groups of pixels packed into "
    "bytes; tiled: tiles or a palette, no rows",
    "dtype": "a sample in numpy's notation: < or > for the byte order, u or f, bytes",
    "n_planes": "number of planes",
    "align": "a row is rounded up to whole groups of so many pixels",
    "planes": "planes and packed: [w_shift, h_shift, channels], a row is ceil(width / 2^w_shift) pixels of so many "
    "samples; opaque: [pixels, bytes, h_shift], a row is ceil(width / pixels) groups of so many bytes; "
    "there are ceil(height / 2^h_shift) rows",
    "components": "what the samples of a pixel hold, in memory order, plane after plane; of align pixels; of a word, "
    "where one sample holds all; x is unused",
    "bits": "bits of each component",
    "shift": "how far each stands from the low end of its sample",
}

# Bits of GstVideoFormatFlags. The last one is newer than the oldest GStreamer supported, hence numbers.
YUV, RGB, GRAY, LE, PALETTE, TILED, FLOAT = 1 << 0, 1 << 1, 1 << 2, 1 << 4, 1 << 5, 1 << 8, 1 << 10

# Opaque rows: (pixels, bytes) of a group, and the components in their order.
OPAQUE = {
    "v210": (6, 16, "UYVY"),
    "UYVP": (2, 5, "UYVY"),
    "IYU1": (4, 6, "UYYVYY"),
    "GRAY10_LE32": (3, 4, "Y"),
    "NV12_10LE32": (3, 4, "YUV"),
    "NV16_10LE32": (3, 4, "YUV"),
    "NV12_10LE40": (4, 5, "YUV"),
    "NV16_10LE40": (4, 5, "YUV"),
}

# One word per pixel: components, then bits and shift of each.
WORDS = {
    "RGB16": ("RGB", [5, 6, 5], [11, 5, 0]),
    "BGR16": ("BGR", [5, 6, 5], [11, 5, 0]),
    "RGB15": ("RGB", [5, 5, 5], [10, 5, 0]),
    "BGR15": ("BGR", [5, 5, 5], [10, 5, 0]),
    "r210": ("RGB", [10, 10, 10], [20, 10, 0]),
    "Y410": ("UYVA", [10, 10, 10, 2], [0, 10, 20, 30]),
    "BGR10A2_LE": ("BGRA", [10, 10, 10, 2], [0, 10, 20, 30]),
    "RGB10A2_LE": ("RGBA", [10, 10, 10, 2], [0, 10, 20, 30]),
    "BGR10x2_LE": ("BGRx", [10, 10, 10, 2], [0, 10, 20, 30]),
    "RGB10x2_LE": ("RGBx", [10, 10, 10, 2], [0, 10, 20, 30]),
}

# Whole samples whose order differs from GstVideoFormatInfo's offsets (0 for all, or copied from a narrower format).
ORDER = {
    "VYUY": "VYUY",
    "P010_10BE": "YUV",
    "P010_10LE": "YUV",
    "P012_BE": "YUV",
    "P012_LE": "YUV",
    "P016_BE": "YUV",
    "P016_LE": "YUV",
    "Y210": "YUYV",
    "Y212_BE": "YUYV",
    "Y212_LE": "YUYV",
    "Y216_BE": "YUYV",
    "Y216_LE": "YUYV",
    "Y412_BE": "UYVA",
    "Y412_LE": "UYVA",
    "Y416_BE": "UYVA",
    "Y416_LE": "UYVA",
}

# Samples in the high bits of their word, although GstVideoFormatInfo has no shift.
HIGH_BITS = {"Y210": 6}

# Little-endian, although GstVideoFormatInfo lacks the flag.
UNFLAGGED_LE = {"v216", "Y210", "Y410"}


@dataclass(frozen=True, slots=True)
class Info:
    """The fields of a GstVideoFormatInfo that the table is made of; the lists have one entry a component."""

    name: str
    flags: int
    n_planes: int
    shift: Sequence[int]
    depth: Sequence[int]
    pixel_stride: Sequence[int]
    plane: Sequence[int]
    poffset: Sequence[int]
    w_sub: Sequence[int]
    h_sub: Sequence[int]

    @property
    def names(self) -> str:
        """Component letters in GStreamer's order; a colour format without alpha has three."""
        return ("RGBA" if self.flags & RGB else "YUVA")[: len(self.depth)]

    def components_of(self, plane: int) -> list[int]:
        """Indices of the components that live in a plane."""
        return [index for index, owner in enumerate(self.plane) if owner == plane]


def installed_infos() -> Iterator[Info]:
    """Every format of the installed GStreamer, in its own order; raw or not."""
    import gi

    gi.require_version("GstVideo", "1.0")
    from gi.repository import GstVideo

    index = 0
    while True:
        try:
            value = GstVideo.VideoFormat(index)
        except ValueError:
            return
        index += 1
        info = GstVideo.VideoFormat.get_info(value)
        count = info.n_components
        yield Info(
            info.name,
            int(info.flags),
            info.n_planes,
            *(
                tuple(values[:count])
                for values in (
                    info.shift,
                    info.depth,
                    info.pixel_stride,
                    info.plane,
                    info.poffset,
                    info.w_sub,
                    info.h_sub,
                )
            ),
        )


def is_raw(info: Info) -> bool:
    """Whether there are pixels to lay out: UNKNOWN, ENCODED, DMA_DRM and AHARDWARE_BUFFER have no plane."""
    return info.n_planes > 0


def row_of(info: Info) -> dict[str, Any]:
    """The table's row of a raw format."""
    if info.flags & (TILED | PALETTE):
        return _row(info, "tiled", "", 1, [], "", [], [])
    if info.name in OPAQUE:
        return _opaque_row(info)
    return _sample_row(info)


def _row(
    info: Info,
    kind: str,
    dtype: str,
    align: int,
    planes: list[list[int]],
    components: str,
    bits: list[int],
    shift: list[int],
) -> dict[str, Any]:
    return {
        "name": info.name,
        "kind": kind,
        "dtype": dtype,
        "n_planes": info.n_planes,
        "align": align,
        "planes": planes,
        "components": components,
        "bits": bits,
        "shift": shift,
    }


def _opaque_row(info: Info) -> dict[str, Any]:
    pixels, size, components = OPAQUE[info.name]
    planes = [
        [pixels, size, min(info.h_sub[index] for index in info.components_of(plane))] for plane in range(info.n_planes)
    ]
    bits = [info.depth[0]] * len(components)
    return _row(info, "opaque", "u1", 1, planes, components, bits, [0] * len(components))


def _sample_row(info: Info) -> dict[str, Any]:
    word = WORDS.get(info.name)
    sample = info.pixel_stride[0] if word else _sample_bytes(info)
    code = "f" if info.flags & FLOAT else "u"
    order = "" if sample == 1 else "<" if info.flags & LE or info.name in UNFLAGGED_LE else ">"
    planes, slots = [], ""
    # A row of packed 4:2:2 consists of whole pairs of pixels, which share chroma but not luma.
    align = 1 << max(info.w_sub) if info.n_planes == 1 else 1
    for plane in range(info.n_planes):
        indices = info.components_of(plane)
        channels = min(info.pixel_stride[index] for index in indices) // sample
        planes.append([min(info.w_sub[i] for i in indices), min(info.h_sub[i] for i in indices), channels])
        slots += _slots(info, indices, sample, channels * align)
    if word:
        components, bits, shift = word
    else:
        components = ORDER.get(info.name, slots)
        bits = [info.depth[0]] * len(components)
        shift = [HIGH_BITS.get(info.name, info.shift[0])] * len(components)
    kind = "packed" if info.n_planes == 1 else "planes"
    return _row(info, kind, f"{order}{code}{sample}", align, planes, components, bits, shift)


def _sample_bytes(info: Info) -> int:
    bits = max(depth + shift for depth, shift in zip(info.depth, info.shift, strict=True))
    return 1 if bits <= 8 else 2 if bits <= 16 else 4


def _slots(info: Info, indices: Sequence[int], sample: int, count: int) -> str:
    """Letters of one plane in memory order over `count` samples; x = unused."""
    letters = ["x"] * count
    for index in indices:
        for place in range(info.poffset[index] // sample, count, info.pixel_stride[index] // sample):
            letters[place] = info.names[index]
    return "".join(letters)


def render(rows: Sequence[dict[str, Any]]) -> str:
    """The file's text: one row a line, so that a change shows as one line."""
    columns = ",\n".join(f"    {json.dumps(name)}: {json.dumps(meaning)}" for name, meaning in COLUMNS.items())
    body = ",\n".join("    " + json.dumps(row) for row in rows)
    return f'{{\n  "columns": {{\n{columns}\n  }},\n  "formats": [\n{body}\n  ]\n}}\n'


def updated(text: str) -> str:
    """The table with the rows of the installed GStreamer, and those it does not know unchanged after them."""
    rows = [row_of(info) for info in installed_infos() if is_raw(info)]
    known = {row["name"] for row in rows}
    kept = [row for row in json.loads(text)["formats"] if row["name"] not in known] if text else []
    return render(rows + kept)


def main(arguments: Sequence[str]) -> int:
    """Rewrite or check the table; the exit code is 1 where a check finds a difference."""
    before = TABLE.read_text(encoding="utf-8") if TABLE.exists() else ""
    after = updated(before)
    if "--check" in arguments:
        if before != after:
            print(f"{TABLE.name} differs from the installed GStreamer: run tools/format_table.py", file=sys.stderr)
        return int(before != after)
    TABLE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
