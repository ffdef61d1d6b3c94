"""Pictures that show a number in stripes, one for each bit: yellow for 1 and blue for 0.

Both colours differ much in brightness, so that a lossy codec keeps them apart, and in the order of red and blue.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 320, 240
_BITS = 10


def drawn(number: int) -> npt.NDArray[np.uint8]:
    """Return an RGB picture (240, 320, 3) that shows a number below 1024."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for bit, stripe in enumerate(np.array_split(picture, _BITS, axis=1)):
        stripe[:] = (220, 220, 0) if number >> bit & 1 else (0, 0, 220)
    return picture


def number_in(picture: npt.NDArray[Any]) -> int:
    """Return the number that an RGB picture shows. With the channels exchanged, it is 1023 minus the number."""
    stripes = np.array_split(picture.astype(float), _BITS, axis=1)
    redness = [stripe[..., 0].mean() - stripe[..., 2].mean() for stripe in stripes]
    assert min(map(abs, redness)) > 0.3 * picture.max(), f"this picture shows no number: {redness}"
    return sum(1 << bit for bit, red in enumerate(redness) if red > 0)
