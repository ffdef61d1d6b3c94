"""A test pattern: colour bars, a moving box, and the frame number in digits and in machine-readable form."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .._wire.formats import get_format
from ..video.loan import LoanedFrame
from .canvas import Canvas, Colour, Palette
from .errors import SettingError
from .source import Lend, Picture, Shape

_NS: Final = 1_000_000_000
_LEVEL: Final = 191  # 75 % bars
_BLACK: Final = (0, 0, 0)
_WHITE: Final = (255, 255, 255)
_BARS: Final[tuple[Colour, ...]] = tuple(
    (_LEVEL * red, _LEVEL * green, _LEVEL * blue)
    for red, green, blue in ((1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1))
)
_REVERSED: Final[tuple[Colour, ...]] = tuple(bar if at % 2 == 0 else _BLACK for at, bar in enumerate(_BARS[::-1]))
# Each digit has five rows of three dots, given as bit masks.
_FONT: Final = {
    "0": (7, 5, 5, 5, 7),
    "1": (2, 6, 2, 2, 7),
    "2": (7, 1, 7, 4, 7),
    "3": (7, 1, 7, 1, 7),
    "4": (5, 5, 7, 1, 1),
    "5": (7, 4, 7, 1, 7),
    "6": (7, 4, 7, 5, 7),
    "7": (7, 1, 2, 2, 2),
    "8": (7, 5, 7, 5, 7),
    "9": (7, 5, 7, 1, 7),
}
_COUNTER_DIGITS: Final = 7
NUMBER_BITS: Final = 24
"""Number of squares at the bottom edge. They show the frame number in binary, highest bit first; white means 1."""
_LEAST_SIDE: Final = 48
_PERIOD: Final = 4  # seconds in which the box moves to the other side and back


class TestPattern:
    """Colour bars with a moving box and the frame number.

    Drawing a picture takes about as long as copying it.

    Args:
        width: Width in pixels, at least 48.
        height: Height in rows, at least 48.
        format: GStreamer's name for the format.
        fps: Frames per second.

    Raises:
        SettingError: The size is too small, the rate is not positive, or the pattern cannot be drawn in the format.
        FormatError: The format is unknown.
    """

    # Not a test class for pytest.
    __test__ = False

    is_live = False
    damaged = lost = 0
    about = "test pattern"

    def __init__(
        self, width: int = 1280, height: int = 720, format: str = "I420", fps: Fraction = Fraction(30)
    ) -> None:
        if min(width, height) < _LEAST_SIDE:
            raise SettingError(
                f"{width}x{height} is too small for the pattern; it needs at least {_LEAST_SIDE}x{_LEAST_SIDE}"
            )
        if fps <= 0:
            raise SettingError(f"fps is {fps}, but must be greater than 0")
        known = get_format(format)
        self._palette = Palette(known, height)
        layout = known.tight_layout(width, height)
        pixels = np.zeros(layout.size, np.uint8)
        self._background = known.views(pixels, width, height, layout.strides, layout.offsets)
        self._shape = Shape(width, height, format, fps)
        self._draw_background(Canvas(self._background, self._palette))

    @property
    def shape(self) -> Shape:
        """Size, format and rate of the frames."""
        return self._shape

    def pictures(self, lend: Lend) -> Iterator[Picture]:
        """Yield pictures indefinitely."""
        fps = self._shape.framerate
        assert fps is not None
        number = 0
        while True:
            yield Picture(int(number * _NS / fps), self._filler(number), duration=int(_NS / fps))
            number += 1

    def close(self) -> None:
        """Do nothing, because a pattern does not hold resources."""

    def draw(self, planes: tuple[npt.NDArray[Any], ...], number: int) -> None:
        """Draw picture `number` into planes that have the pattern's size and format."""
        for target, source in zip(planes, self._background, strict=True):
            np.copyto(target, source)
        canvas, shape = Canvas(planes, self._palette), self._shape
        self._draw_box(canvas, number)
        self._draw_counter(canvas, number)
        top = shape.height - _strip(shape.height)
        for bit in range(NUMBER_BITS):
            if number >> (NUMBER_BITS - 1 - bit) & 1:
                left, right = (at * shape.width // NUMBER_BITS for at in (bit, bit + 1))
                canvas.fill(left, top, right, shape.height, _WHITE)

    def _filler(self, number: int) -> Any:
        def fill(frame: LoanedFrame) -> None:
            self.draw(frame.planes, number)

        return fill

    def _draw_background(self, canvas: Canvas) -> None:
        width, height = self._shape.width, self._shape.height
        # First set all samples, including alpha and unused bytes.
        canvas.fill(0, 0, width, height, _BLACK)
        for at, (bar, below) in enumerate(zip(_BARS, _REVERSED, strict=True)):
            left, right = at * width // 7, (at + 1) * width // 7
            canvas.fill(left, 0, right, height * 2 // 3, bar)
            canvas.fill(left, height * 2 // 3, right, height * 3 // 4, below)
        gray = 255
        for at in range(8):
            canvas.fill(at * width // 8, height * 3 // 4, (at + 1) * width // 8, height * 7 // 8, (gray * at // 7,) * 3)

    def _draw_box(self, canvas: Canvas, number: int) -> None:
        shape = self._shape
        assert shape.framerate is not None
        phase = number / shape.framerate % _PERIOD / _PERIOD
        travel = 1 - abs(2 * phase - 1)
        side = shape.height // 8
        left = int(travel * (shape.width - side)) // 2 * 2
        top = shape.height // 2
        canvas.fill(left, top, left + side, top + side, _WHITE)
        canvas.fill(left + side // 4, top + side // 4, left + side - side // 4, top + side - side // 4, _BLACK)

    def _draw_counter(self, canvas: Canvas, number: int) -> None:
        shape = self._shape
        # Dots with an even size look the same with and without subsampling.
        dot = max(1, min(shape.height // 40, shape.width // (5 * _COUNTER_DIGITS)) // 2 * 2)
        text = f"{number:0{_COUNTER_DIGITS}}"[-_COUNTER_DIGITS:]
        canvas.fill(0, 0, dot * (4 * _COUNTER_DIGITS + 1), dot * 7, _BLACK)
        for at, digit in enumerate(text):
            for row, dots in enumerate(_FONT[digit]):
                for column in range(3):
                    if dots >> (2 - column) & 1:
                        x, y = dot * (1 + 4 * at + column), dot * (1 + row)
                        canvas.fill(x, y, x + dot, y + dot, _WHITE)


def read_number(gray: npt.NDArray[Any]) -> int:
    """Read the frame number from a picture of the pattern. This works even after lossy encoding or scaling.

    Args:
        gray: Brightness, uint8 of shape (H, W).

    Returns:
        The number, modulo 2**24.
    """
    height, width = gray.shape
    side = width / NUMBER_BITS
    row = height - _strip(height) // 2
    number = 0
    for bit in range(NUMBER_BITS):
        number = number << 1 | int(gray[row - 1, int((bit + 0.5) * side)] > 127)
    return number


def _strip(height: int) -> int:
    """Return the height in rows of the squares that show the number."""
    return max(4, height // 20) // 2 * 2
