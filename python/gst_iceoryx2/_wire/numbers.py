"""Check the numeric arguments of programs. An invalid number raises an error that names it."""

from __future__ import annotations

import math
import numbers
import operator
from fractions import Fraction

_SHOWN = 40


def whole(value: object, what: str, least: int | None = 0, most: int | None = None) -> int:
    """Check a whole number and return it as a Python int.

    Args:
        value: An int or a numpy integer.
        what: Name of the number for error messages.
        least: Smallest allowed value; None = no limit.
        most: Largest allowed value; None = no limit.

    Raises:
        TypeError: `value` is not a whole number. True and False are rejected.
        ValueError: `value` is too small or too large.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{what} is {shown(value)}, but must be a whole number") from None
    if least is not None and number < least:
        raise ValueError(f"{what} is {shown(number)}, but must be at least {least}")
    if most is not None and number > most:
        raise ValueError(f"{what} is {shown(number)}, but must be at most {most:,}")
    return number


def real(value: object, what: str, unit: str) -> float:
    """Check a number, such as a time, and return it as a Python float; numbers beyond a float become infinite.

    Args:
        value: An int, a float, a Fraction, or a numpy scalar.
        what: Name of the number for error messages.
        unit: Unit of the number for error messages, for example "seconds".

    Raises:
        TypeError: `value` is not a number. True and False are rejected.
        ValueError: `value` is NaN.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{what} is {shown(value)}, but must be a number of {unit}")
    try:
        number = float(value)
    except OverflowError:
        return math.inf if operator.gt(value, 0) else -math.inf
    if math.isnan(number):
        raise ValueError(f"{what} is {shown(value)}, but must be a number of {unit}")
    return number


def ratio(value: object, what: str) -> Fraction:
    """Check a rational number, such as a frame rate, and return it as a Fraction.

    Args:
        value: An int, a float, a Fraction, text that Fraction can parse, or a numpy scalar.
        what: Name of the number for error messages.

    Raises:
        TypeError: `value` is not a number. True and False are rejected.
        ValueError: `value` is NaN, infinite, or text that is not a number.
        ZeroDivisionError: `value` is text with a denominator of 0.
    """
    if isinstance(value, (str, Fraction)):
        return Fraction(value)
    # A Fraction would keep numpy integers, which overflow.
    if isinstance(value, numbers.Integral):
        return Fraction(whole(value, what, None))
    number = real(value, what, "frames per second")
    if math.isinf(number):
        raise ValueError(f"{what} is {shown(value)}, but must be finite")
    return Fraction(number)


def shown(value: object) -> str:
    """Return a value as short text for an error message."""
    try:
        text = repr(value)
    except ValueError:
        # Python refuses to print ints with thousands of digits.
        return "a number with thousands of digits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
