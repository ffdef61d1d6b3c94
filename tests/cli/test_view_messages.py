"""Messages from pages to `iox2-video view`: valid, invalid, in pieces."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Paint, Views
from tests.cli.page_client import PageClient
from tests.cli.painter import is_painted

SERVICE = "video/cam0/frame/v2"


INVALID = (
    (1002, 0x81, b"{}", False),  # not masked
    (1002, 0x83, b"{}", True),
    (1002, 0x8F, b"", True),
    (1002, 0xC1, b"{}", True),
    (1002, 0xF1, b"{}", True),
    (1002, 0x09, b"half a ping", True),
    (1002, 0x89, bytes(126), True),
    (1002, 0x88, b"\x03", True),  # half a code
    (1002, 0x88, (1005).to_bytes(2, "big"), True),
    (1003, 0x82, b"{}", True),
    (1003, 0x01, b"{}", True),
    (1003, 0x80, b"{}", True),
    (1007, 0x81, b"\xff\xfe", True),
    (1009, 0x81, b"{" + b" " * 2000, True),
    (1009, 0x81, b"{" + b" " * 70_000, True),
    *(
        (1008, 0x81, text, True)
        for text in (
            b"",
            b"no json",
            b"[1, 2]",
            b"null",
            b"NaN",
            b"[" * 1000,
            b'{"drawn":' * 100 + b"1" + b"}" * 100,
            b"9" * 1000,
            b"{}",
            b'{"close": 1}',
            b'{"drawn": [7, 0]}',
            b'{"drawn": [-1, 0]}',
            b'{"drawn": [0]}',
            b'{"drawn": [0, 1, 2]}',
            b'{"drawn": [0, 1e999]}',
            b'{"drawn": [1e999, 0]}',
            b'{"drawn": [0, NaN]}',
            b'{"drawn": [0, "1"]}',
            b'{"drawn": 3}',
            b'{"watch": null}',
            b'{"watch": "0"}',
            b'{"watch": {"0": 1}}',
            b'{"watch": [1e999]}',
            b'{"watch": [-Infinity]}',
            b'{"watch": [[0]]}',
            b'{"clock": "now"}',
            b'{"clock": 1e999}',
            b'{"clock": NaN}',
            b'{"clock": -Infinity}',
            b'{"clock": %s}' % (b"9" * 400),
            b'{"clock": [1]}',
        )
    ),
)
"""Expected close code, first byte of the frame, payload, whether the payload is masked."""


@pytest.mark.proves("H9")
def test_an_invalid_message_disconnects_its_viewer_only(paint: Paint, view: Views) -> None:
    """Regression: numbers beyond the range of float ended with a traceback."""
    paint()
    url = view("cam0")
    with PageClient(url, watch=[0]) as good:
        for code, first, payload, masked in INVALID:
            with PageClient(url) as bad:
                bad.send_raw(first, payload, masked)
                assert bad.close_code() == code, (first, payload)
        assert is_painted(good.picture().rgb)


def test_a_length_of_64_bits_is_read_as_one(view: Views) -> None:
    """Regression: the length was read as 127, and its eight bytes as mask and text."""
    url = view("cam0")
    for length in (1025, 65536, 1 << 63, (1 << 64) - 1):
        with PageClient(url) as client:
            client.send_bytes(b"\x81\xff" + length.to_bytes(8, "big"))
            assert client.close_code() == 1009
    with PageClient(url) as client:
        client.send_bytes(b"\x81\xff" + (11).to_bytes(8, "big") + bytes(4) + b'{"clock":7}')
        while "clock" not in (message := client.next()):
            pass
        assert isinstance(message, dict)
        assert message["clock"][0] == 7


def test_a_message_may_come_byte_by_byte_and_several_at_once(view: Views) -> None:
    with PageClient(view("cam0")) as client:
        clock = b"\x81\x8c" + bytes(4) + b'{"clock":12}'
        for at in range(len(clock)):
            client.send_bytes(clock[at : at + 1])
        client.send_bytes(clock * 2 + b"\x89\x82" + bytes(4) + b"hi" + clock)
        heard = [client.receive() for _ in range(9)]
        while sum(opcode == 10 for opcode, _ in heard) < 1 or sum(b"clock" in each for _, each in heard) < 4:
            heard.append(client.receive())


def test_numbers_of_any_size_that_are_whole_are_numbers(paint: Paint, view: Views) -> None:
    paint()
    with PageClient(view("cam0")) as client:
        client.send_raw(0x81, b'{"watch": [0, 7, -1, %s]}' % (b"9" * 400))
        client.send_raw(0x81, b'{"drawn": [0, %s]}' % (b"9" * 400))
        assert is_painted(client.picture().rgb)


def test_a_ping_is_answered_and_a_close_too(view: Views) -> None:
    with PageClient(view("cam0")) as client:
        client.send_raw(0x89, b"are you there")
        while (frame := client.receive())[0] != 10:
            pass
        assert frame[1] == b"are you there"
        client.send_raw(0x88, (1001).to_bytes(2, "big"))
        while (frame := client.receive())[0] != 8:
            pass
        assert frame[1] == (1001).to_bytes(2, "big")


def test_clocks_can_be_compared(view: Views) -> None:
    with PageClient(view("cam0")) as client:
        client.say(clock=12.5)
        while "clock" not in (message := client.next()):
            pass
        assert isinstance(message, dict)
        assert message["clock"][0] == 12.5
        assert message["clock"][1] > 0
