"""The preview answers every input with a refusal or closes the connection; no input raises an error in the server."""

from __future__ import annotations

import contextlib
import json
import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gst_iceoryx2.preview.access import AccessCheck
from gst_iceoryx2.preview.request import MAX_HEAD, Refusal, parse
from gst_iceoryx2.preview.viewer import Viewer
from gst_iceoryx2.preview.websocket import WebSocket, WebSocketClosed, accept_key
from tests.damage import damages, examples

TOKEN = "a-token-of-this-test"
HEAD = (
    f"GET http://[::1]:80/{TOKEN}/live?x HTTP/1.1\r\nHost: 127.0.0.1:80\r\nUpgrade: websocket\r\nConnection: a, Upgrade"
    "\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://[::1]:80\r\n"
    "Content-Length: 0\r\nA: \xe9\r\n\r\n"
).encode("latin-1")
FRAMES = [
    head + bytes(4) + payload
    for payload in (b'{"clock": 1}', b"x" * 125)
    for head in (bytes((first, 0x80 | len(payload))) for first in (0x81, 0x88, 0x89, 0x8A, 0x01, 0x82))
] + [b"\x81\xfe\x01\x00" + bytes(260), b"\x81\xff" + (1 << 40).to_bytes(8, "big")]
NUMBERS = st.integers() | st.floats() | st.sampled_from((10**400, -(10**400), 2**63, 0, 1))
KEYS = ("drawn", "watch", "clock", "decodes", "decoded", "restart", "results", "x")
JSON = st.recursive(
    NUMBERS | st.none() | st.booleans() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=2),
    max_leaves=6,
)


@examples(300)
@given(damages([HEAD]) | st.binary(max_size=200).map(lambda data: data + b"\r\n\r\n") | st.binary(max_size=MAX_HEAD))
@pytest.mark.proves("H9")
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    access = AccessCheck("127.0.0.1", TOKEN)
    try:
        request = parse(data)
    except Refusal:
        return
    access.knows_host(request.host)
    access.knows_token(request.path[1:])
    access.knows_origin(request.headers.get("origin"), request.host or "")
    accept_key(request.headers)


def test_the_request_that_is_damaged_is_sound() -> None:
    request = parse(HEAD)
    assert request.path == f"/{TOKEN}/live"
    assert AccessCheck("127.0.0.1", TOKEN).knows_host(request.host)
    assert AccessCheck("127.0.0.1", TOKEN).knows_origin(request.headers["origin"], request.host or "")
    assert accept_key(request.headers) is not None


@examples(300)
@given(st.lists(st.sampled_from(FRAMES), max_size=4).map(b"".join).flatmap(lambda data: damages([data or b"\0"])))
def test_any_bytes_are_messages_or_close_the_connection(data: bytes) -> None:
    near, far = socket.socketpair()
    with near, far:
        far.sendall(data)
        far.shutdown(socket.SHUT_WR)
        websocket = WebSocket(near)
        with contextlib.suppress(WebSocketClosed):
            while True:
                websocket.receive()


class NoChannel:
    """A stream without a publisher and detectors."""

    results = ()

    @property
    def packets(self) -> NoChannel:
        """Its packets, which do not exist either."""
        return self

    def offers_packets(self) -> bool:
        """Nobody encodes it."""
        return False

    def watch(self, viewer: object, *, as_packets: bool | None) -> None:
        """Take note of nothing."""

    def want(self, viewer: object, wake: object) -> None:
        """Take note of nothing."""


@examples(300)
@given(JSON)
@example({"clock": float("inf")})
@example({"clock": 10**400})
@example({"drawn": [0, float("inf")]})
@example({"watch": [float("nan")]})
@example({"decodes": [10**400, 0]})
@example({"decoded": [0, 10**400]})
@example({"results": [10**400, 0]})
@example({"restart": 10**400})
def test_any_message_is_done_or_not(message: object) -> None:
    near, far = socket.socketpair()
    with near, far:
        viewer = Viewer(WebSocket(near), [NoChannel(), NoChannel()])  # type: ignore[list-item]
        try:
            has_asked = viewer._handle(message) and "clock" in message  # type: ignore[operator]
            near.shutdown(socket.SHUT_WR)
            answer = far.recv(4096)
            assert bool(answer) <= bool(has_asked)
            # Python would write NaN and Infinity, which is not JSON.
            assert not answer or json.loads(answer[2:], parse_constant=lambda name: None)["clock"][0] is not None
        finally:
            viewer._wake_end.close()
            viewer._waker.close()
