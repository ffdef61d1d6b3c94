"""Caps as text."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gst_iceoryx2._wire.caps import Caps, parse_caps, video_caps
from gst_iceoryx2._wire.text import MAX_TEXT_BYTES, check_size
from tests.damage import passes
from tests.vectors.notation import fields_of, load, same, text_of, value_of

VECTORS = load("caps")


def named(key: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", VECTORS[key], ids=lambda case: case.get("name", case.get("text")))


@named("parse")
def test_caps_give_media_type_features_and_fields(case):
    caps = parse_caps(case["text"])
    assert (caps.media, list(caps.features)) == (case["media"], case["features"])
    assert same(caps.fields, fields_of(case))


@named("errors")
def test_nonsense_is_a_value_error(case):
    with pytest.raises(ValueError, match="caps: "):
        parse_caps(text_of(case))


def test_the_error_for_a_value_that_is_not_flat_names_the_field():
    with pytest.raises(ValueError, match=r"^caps: field 'range' has no flat value"):
        parse_caps("video/x-raw, a=(int)1, range=(int)[ 1, 2 ]")
    words = r"^caps: field 'lists': expected a word or a string in the list at character 31"
    with pytest.raises(ValueError, match=words):
        parse_caps("video/x-raw, a=(int)1, lists={ { 1 } }")


@named("write")
def test_video_caps_have_the_form_that_gstreamer_gives(case):
    framerate = case["framerate"] and Fraction(case["framerate"])
    fields = {name: value_of(value) for name, value in case["fields"]}
    assert video_caps(case["format"], case["width"], case["height"], framerate, **fields) == case["text"]


def test_an_underscore_in_an_argument_is_a_hyphen_in_the_caps():
    text = video_caps("I420", 4, 2, pixel_aspect_ratio=Fraction(8, 9))
    assert text.endswith(", pixel-aspect-ratio=(fraction)8/9")


def test_a_semicolon_in_a_format_does_not_end_the_caps():
    text = video_caps("BGR; video/x-raw", 4, 2)
    assert parse_caps(text).fields["format"] == "BGR; video/x-raw"


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60), st.integers(0, 2**31 - 1)
)
def test_written_values_are_read_back(text, number):
    caps = parse_caps(video_caps(text, number, number, Fraction(number, 7), note=text))
    expected = {"format": text, "width": number, "height": number, "framerate": Fraction(number, 7), "note": text}
    assert caps == Caps("video/x-raw", expected)


@given(st.text(alphabet='video/x-raw,;=(){}[]<>"\\ \n0159.:é\0', max_size=80))
def test_no_text_raises_anything_but_a_value_error(text):
    read(f"video/x-raw, {text}")


def read(text):
    try:
        parse_caps(text)
    except ValueError:
        return


@pytest.mark.parametrize(
    "text",
    [
        '"' + '\\"' * (MAX_TEXT_BYTES // 2 - 1),
        '"' * MAX_TEXT_BYTES,
        "video/x-raw" + " " * 16000,
        "video/x-raw, a=" + "(" + " " * 16000 + ")",
        "video/x-raw, a=(" + "x" * 16000,
        "video/x-raw, a={" + "1," * 8000 + "x=}",
        "video/x-raw, a={" + " " * 16000 + "=}",
        "video/x-raw, a=" + "1" * 16000,
        "video/x-raw, a=(double)" + "1" * 16000,
        "video/x-raw" + ", a=1" * 3000 + ",,",
        "video/x-raw" + ", a={{}}" * 2000,
        "video/x-raw," + " ;" * 8000,
        'video/x-raw, a=(structure)"' + '\\"' * 8000 + '"',
        'video/x-raw, a=(structure)"' + '\\\\\\"' * 4000 + '"',
        "video/x-raw" + ', a=(structure)"x"' * 900,
        'video/x-raw, a=(structure)"x' + ', a=(caps)\\"x\\"' * 900 + '"',
        "video/x-raw, a={ " + '"x", ' * 3000 + '"x',
        "video/x-raw, a={ " + "(int)1 ," * 1900 + "[",
    ],
    ids=lambda text: f"{text[:20]}…",
)
def test_no_text_within_the_bound_takes_many_passes(text):
    """The worst of them takes about 20. Quadratic time would be more than 400 for a text of 16 KiB."""
    assert passes(read, text) < 200


def test_the_bound_is_checked_before_anything_is_parsed():
    with pytest.raises(ValueError, match=f"{MAX_TEXT_BYTES + 1} bytes long, but at most {MAX_TEXT_BYTES}"):
        check_size("{" * (MAX_TEXT_BYTES + 1))


def test_a_lone_surrogate_is_refused():
    with pytest.raises(ValueError, match="caps: "):
        parse_caps('video/x-raw, a="\ud800"')


@pytest.mark.parametrize("rate", ["1/0", float("inf"), float("nan"), "x"])
def test_a_frame_rate_that_is_not_a_number_is_refused(rate):
    """Infinity raised OverflowError and 1/0 ZeroDivisionError, also in caps that another program had sent."""
    with pytest.raises(ValueError, match=r"framerate|NaN|Invalid literal"):
        video_caps("BGR", 64, 48, framerate=rate)
