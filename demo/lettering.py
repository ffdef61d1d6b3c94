"""A 5×7 picture of each character on the contact sheet, so that the demo needs no font."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Seven rows from top to bottom, five bits each, the highest bit at the left.
_ROWS = {
    " ": "00 00 00 00 00 00 00",
    "%": "18 19 02 04 08 13 03",
    ",": "00 00 00 00 0C 04 08",
    "-": "00 00 00 0E 00 00 00",
    ".": "00 00 00 00 00 0C 0C",
    "0": "0E 11 13 15 19 11 0E",
    "1": "04 0C 04 04 04 04 0E",
    "2": "0E 11 01 02 04 08 1F",
    "3": "1F 02 04 02 01 11 0E",
    "4": "02 06 0A 12 1F 02 02",
    "5": "1F 10 1E 01 01 11 0E",
    "6": "06 08 10 1E 11 11 0E",
    "7": "1F 01 02 04 08 08 08",
    "8": "0E 11 11 0E 11 11 0E",
    "9": "0E 11 11 0F 01 02 0C",
    "A": "0E 11 11 1F 11 11 11",
    "B": "1E 11 11 1E 11 11 1E",
    "C": "0E 11 10 10 10 11 0E",
    "D": "1E 11 11 11 11 11 1E",
    "E": "1F 10 10 1E 10 10 1F",
    "F": "1F 10 10 1E 10 10 10",
    "G": "0E 11 10 17 11 11 0F",
    "H": "11 11 11 1F 11 11 11",
    "I": "0E 04 04 04 04 04 0E",
    "K": "11 12 14 18 14 12 11",
    "L": "10 10 10 10 10 10 1F",
    "M": "11 1B 15 15 11 11 11",
    "N": "11 19 15 13 11 11 11",
    "O": "0E 11 11 11 11 11 0E",
    "P": "1E 11 11 1E 10 10 10",
    "R": "1E 11 11 1E 14 12 11",
    "S": "0F 10 10 0E 01 01 1E",
    "T": "1F 04 04 04 04 04 04",
    "U": "11 11 11 11 11 11 0E",
    "Y": "11 11 0A 04 04 04 04",
    "©": "0E 11 17 19 17 11 0E",
}
_LETTERS = {
    sign: np.array([[int(row, 16) >> bit & 1 for bit in range(4, -1, -1)] for row in rows.split()], dtype=bool)
    for sign, rows in _ROWS.items()
}
_GAP = np.zeros((7, 1), dtype=bool)


def draw(text: str, picture: NDArray[np.uint8], x: int, y: int, scale: int = 2) -> None:
    """Draw capital letters, white on black, into `picture` (H, W, 3), with the upper left corner at (x, y)."""
    line = np.hstack([part for sign in text for part in (_LETTERS[sign], _GAP)])
    bits = np.pad(line, 1).repeat(scale, axis=0).repeat(scale, axis=1)
    area = picture[y : y + bits.shape[0], x : x + bits.shape[1]]
    area[:] = np.where(bits[: area.shape[0], : area.shape[1], np.newaxis], 255, 0)
