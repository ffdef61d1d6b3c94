"""Values as people read them."""

from __future__ import annotations

import pytest

from gst_iceoryx2.cli import _words as words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0004, "0 ms"),
        (0.0351, "35 ms"),
        (1.25, "1.2 s"),
        (42.4, "42 s"),
        (600, "10 min"),
        (10_000, "3 h"),
        (-0.2, "-200 ms"),
    ],
)
def test_ages_have_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert words.age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (149_299_200, "149 MB"), (25_300_000_000, "25 GB")],
)
def test_amounts_have_powers_of_a_thousand(count: int | None, text: str) -> None:
    assert words.amount(count) == text


def test_what_is_not_known_is_a_dash() -> None:
    unknown = (words.size(None, 2), words.rate(None), words.share(None, 8), words.text(None), words.megabytes(None))
    assert set(unknown) == {"-"}


@pytest.mark.parametrize(("seconds", "text"), [(0.00042, "0.42 ms"), (0.0093, "9.3 ms"), (0.017, "17 ms"), (None, "-")])
def test_short_spans_keep_the_digits_that_tell_something(seconds: float | None, text: str) -> None:
    assert words.milliseconds(seconds) == text


def test_a_row_has_the_first_sentence_of_a_problem() -> None:
    assert words.note("it is half made. Either this. Or that", has_ended=False) == "it is half made"
    assert words.note(None, has_ended=True) == "end of stream"
    assert words.note(None, has_ended=False) == ""
