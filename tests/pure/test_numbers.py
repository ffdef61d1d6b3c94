"""Numbers that a program gives: every kind of number is accepted, and anything else is an error that names it."""

from __future__ import annotations

import enum
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2._wire.caps import video_caps
from gst_iceoryx2._wire.numbers import ratio, real, whole
from gst_iceoryx2.discovery.thinning import Thinning
from gst_iceoryx2.video import Qos

NOT_NUMBERS = [None, "5", True, np.True_, 5j, [5]]


@pytest.mark.parametrize("value", [5, np.int8(5), np.uint64(5)])
def test_a_whole_number_of_any_type_becomes_an_int(value: object) -> None:
    assert type(whole(value, "n")) is int


@pytest.mark.parametrize("value", [*NOT_NUMBERS, 5.0, np.float32(5), math.nan, math.inf, Fraction(5)])
def test_what_is_not_a_whole_number_is_named(value: object) -> None:
    with pytest.raises(TypeError, match=r"^n is .*, but must be a whole number$"):
        whole(value, "n")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, r"^n is 0, but must be at least 1$"),
        (70_000, r"^n is 70000, but must be at most 65,536$"),
        (10**400, r"^n is 10+…, but must be at most"),
        pytest.param(10**5000, r"^n is a number with thousands of digits", id="huge"),
    ],
)
def test_a_whole_number_outside_its_range_is_told_with_the_range(value: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        whole(value, "n", 1, 1 << 16)


@pytest.mark.parametrize("value", [5, 5.0, np.float32(5), np.float64(5), np.int16(5), Fraction(5)])
def test_a_number_of_any_type_becomes_a_float(value: object) -> None:
    number = real(value, "timeout", "seconds")
    assert (type(number), number) == (float, 5.0)


@pytest.mark.parametrize(("value", "is_what"), [(math.inf, math.inf), (10**400, math.inf), (-(10**400), -math.inf)])
def test_what_is_larger_than_any_float_is_infinite(value: float, is_what: float) -> None:
    assert real(value, "timeout", "seconds") == is_what


@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_what_is_not_a_number_is_named(value: object) -> None:
    with pytest.raises(TypeError, match=r"^timeout is .*, but must be a number of seconds$"):
        real(value, "timeout", "seconds")


@pytest.mark.parametrize("value", [math.nan, np.float32("nan")])
def test_nan_is_not_a_number_of_anything(value: object) -> None:
    with pytest.raises(ValueError, match=r"^timeout is .*nan.*, but must be a number of seconds$"):
        real(value, "timeout", "seconds")


@pytest.mark.parametrize("value", [25, 25.0, "25", "50/2", Fraction(25), np.int64(25), np.float32(25)])
def test_a_rate_of_any_type_becomes_a_fraction_of_ints(value: object) -> None:
    rate = ratio(value, "framerate")
    assert (rate, type(rate.numerator)) == (25, int)


@pytest.mark.parametrize("value", [None, True, math.nan, math.inf, "x", "1/0"])
def test_what_is_not_a_rate_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError, ZeroDivisionError)):
        ratio(value, "framerate")


@pytest.mark.parametrize("rate", [1e-300, np.float32(1e-30), Fraction(1, 10**30)])
def test_hardly_any_frames_a_second_are_hardly_any(rate: Any) -> None:
    """An infinite pause is not compared with itself."""
    thinning = Thinning(rate)
    assert [thinning.takes(moment * 10**9) for moment in range(1, 4)] == [True, False, False]


class Level(enum.IntEnum):
    """A subclass of int."""

    LOW = 7


@pytest.mark.parametrize(
    ("value", "text"), [(Fraction(np.int64(4), np.int64(3)), "(fraction)4/3"), (Level.LOW, "(int)7")]
)
def test_caps_take_what_stands_for_a_number(value: Any, text: str) -> None:
    """Fractions and numpy numbers in a frame rate, a caps field and a meta."""
    assert f"x={text}" in video_caps("BGR", 4, 4, x=value)


def test_caps_take_a_rate_of_numpys() -> None:
    assert "framerate=(fraction)3/1" in video_caps("BGR", 4, 4, np.int64(3))  # type: ignore[arg-type]


def test_quality_of_service_is_made_of_ints_and_a_bool() -> None:
    qos = Qos(np.int64(4), np.uint8(5), np.int32(2), np.False_)  # type: ignore[arg-type]
    assert qos == Qos(4, 5, 2, safe_overflow=False)
    assert [type(value) for value in (qos.buffer_size, qos.borrowed_max, qos.safe_overflow)] == [int, int, bool]
    with pytest.raises(TypeError, match="safe_overflow is 1, but must be True or False"):
        Qos(safe_overflow=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="buffer_size is False, but must be a whole number"):
        Qos(buffer_size=False)
