"""Numbers that a program gives, judged before they are used: a wrong one is a sentence, and not a wait without end."""

from __future__ import annotations

import math
import numbers
import operator
from fractions import Fraction

_SHOWN = 40


def whole(value: object, what: str, least: int | None = 0, most: int | None = None) -> int:
    """A whole number as a Python int.

    Args:
        value: An int, or what stands for one: a numpy integer.
        what: What to call it.
        least: The smallest one that is allowed; None for any.
        most: The largest one; None for any.

    Raises:
        TypeError: It is not a whole number. True and False are not.
        ValueError: It is too small or too large.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{what} is {_shown(value)}, it must be a whole number") from None
    if least is not None and number < least:
        raise ValueError(f"{what} is {_shown(number)}, it must be at least {least}")
    if most is not None and number > most:
        raise ValueError(f"{what} is {_shown(number)}, it must be at most {most:,}")
    return number


def real(value: object, what: str, unit: str) -> float:
    """A number, such as a time, as a Python float; what is larger than any float becomes infinite.

    Args:
        value: An int, a float, a Fraction, or a numpy scalar.
        what: What to call it.
        unit: What it counts: "seconds".

    Raises:
        TypeError: It is not a number. True and False are not.
        ValueError: It is NaN.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{what} is {_shown(value)}, it must be a number of {unit}")
    try:
        number = float(value)
    except OverflowError:
        return math.inf if operator.gt(value, 0) else -math.inf
    if math.isnan(number):
        raise ValueError(f"{what} is {_shown(value)}, it must be a number of {unit}")
    return number


def ratio(value: object, what: str) -> Fraction:
    """A rational number, such as a frame rate.

    Args:
        value: An int, a float, a Fraction, text that Fraction reads, or a numpy scalar.
        what: What to call it.

    Raises:
        TypeError: It is not a number. True and False are not.
        ValueError: It is NaN, infinite, or text that is not a number.
        ZeroDivisionError: It is text with a denominator of 0.
    """
    if isinstance(value, (str, Fraction)):
        return Fraction(value)
    # numpy's integers would stay what they are inside a Fraction, and overflow.
    if isinstance(value, numbers.Integral):
        return Fraction(whole(value, what, None))
    number = real(value, what, "frames a second")
    if math.isinf(number):
        raise ValueError(f"{what} is {_shown(value)}, it must be finite")
    return Fraction(number)


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:
        # Python does not write ints with thousands of digits.
        return "a number with thousands of digits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
