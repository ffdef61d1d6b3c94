"""The contact sheet: twelve pictures that a consumer received, each with its motion below."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from demo.clip import CREDIT
from demo.lettering import draw
from demo.png import write_png

COLUMNS, ROWS = 4, 3
# While the clip plays, every n-th frame is drawn; at the end, the pictures for the sheet are chosen from these frames.
EVERY = 8
_MARGIN = 6
_FOOTER = 24

Picture = NDArray[np.uint8]


class ContactSheet:
    """Collects small pictures and lays them out."""

    def __init__(self) -> None:
        self._seen = 0
        self._moments: list[tuple[str, Picture]] = []

    def offer(self, pts: int | None, motion: float, make: Callable[[], tuple[Picture, Picture]]) -> None:
        """Take every n-th frame; `make` returns the frame and its motion as pictures of one size."""
        # The first frame has no motion yet.
        if self._seen % EVERY == 1:
            label = f"FRAME {self._seen}" + ("" if pts is None else f"  {pts / 1e9:.2f} S") + f"  MOTION {motion:.0%}"
            self._moments.append((label, np.vstack(make())))
        self._seen += 1

    def write(self, path: Path) -> None:
        """Write the sheet as a PNG file."""
        wanted = min(len(self._moments), COLUMNS * ROWS)
        if wanted == 0:
            raise ValueError("no frame arrived, so there is nothing to draw")
        chosen = [self._moments[round(i)] for i in np.linspace(0, len(self._moments) - 1, wanted)]
        height, width, _ = chosen[0][1].shape
        tiles = ROWS * (height + _MARGIN)
        sheet = np.zeros((_MARGIN + tiles + _FOOTER, _MARGIN + COLUMNS * (width + _MARGIN), 3), dtype=np.uint8)
        for place, (label, picture) in enumerate(chosen):
            y = _MARGIN + place // COLUMNS * (height + _MARGIN)
            x = _MARGIN + place % COLUMNS * (width + _MARGIN)
            sheet[y : y + height, x : x + width] = picture
            draw(label, sheet, x, y)
        draw(CREDIT.upper(), sheet, _MARGIN, _MARGIN + tiles)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, sheet, {"Title": "What a Python process without GStreamer saw", "Copyright": CREDIT})
