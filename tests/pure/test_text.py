"""Texts of other programs, as they are read and shown."""

from __future__ import annotations

import json
import logging
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gst_iceoryx2.cli._screen import json_text
from gst_iceoryx2.errors import Iox2VideoError, ServicePermissionError, printable

ANYTHING = st.text(st.characters(categories=["L", "N", "P", "Z", "C"]))
"""Includes control characters, lone surrogates and unassigned characters."""


def test_what_steers_a_terminal_is_shown_as_an_escape() -> None:
    assert printable("\x1b[2Jhéllo ☃\n") == r"\x1b[2Jhéllo ☃\n"
    assert printable(os.fsdecode(b"caf\xe9")) == r"caf\xe9"
    assert printable("a\u202eb\x9bc\ud800") == r"a\u202eb\x9bc\ud800"


@given(ANYTHING)
def test_anything_is_one_line_that_can_be_encoded(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    assert shown.encode().decode() == shown


@given(ANYTHING, st.binary())
@pytest.mark.proves("W1")
def test_any_document_is_sound_json(text: str, data: bytes) -> None:
    document = {text: [text, {"bytes": data.decode("utf-8", "replace")}, os.fsdecode(data), 1, None]}
    written = json_text(document)
    assert written.isascii()
    assert written.isprintable()
    read = json.loads(written)
    assert json.dumps(read, ensure_ascii=False).encode()
    assert text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") in read


@given(ANYTHING)
def test_an_error_is_one_line(text: str) -> None:
    assert str(Iox2VideoError(text)) == printable(text)
    assert str(ServicePermissionError(text)) == printable(text)


def test_a_line_of_the_log_is_one_line(caplog) -> None:
    logging.getLogger("gst_iceoryx2").warning("from %s: %s", "cam\x1b[2J", "a\nb")
    assert caplog.messages == [r"from cam\x1b[2J: a\nb"]
