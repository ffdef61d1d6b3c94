"""`iox2-video view` under attack by connections without the token: the owner gets in, and memory does not grow."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gst_iceoryx2.preview import Preview, heads, server
from gst_iceoryx2.preview.heads import HeadReader
from tests.cli.conftest import Paint, Views
from tests.cli.page_client import PageClient, get, metrics
from tests.waiting import wait_until

ATTACKERS = 200
"""More connections than may wait at a time."""
_TURN = 0.0002
"""How long a thread may keep the others of this process waiting during an attack, in seconds."""


def connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60)


def answer_to(url: str, request: bytes, *, half_close: bool = False) -> bytes:
    """The whole answer."""
    with connected(url) as connection:
        connection.sendall(request)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while data := connection.recv(1 << 16):
                received += data
    return received


def status_of(answer: bytes) -> int:
    """The status code; 0 for an empty answer."""
    return int(answer.split()[1]) if answer else 0


def resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


class Attack:
    """Keeps many connections busy, in threads, until it is closed.

    Threads of this process take turns more often meanwhile. Otherwise, a client that has connected waits for its turn
    to send a request, until the server has closed its connection for 128 newer ones.

    Args:
        url: Of the page.
        first: What each connection sends when it is open; None = it closes at once.
        more: What it sends again and again; empty = nothing.
        half_close: Whether it says that it sends no more.
    """

    def __init__(self, url: str, first: bytes | None, more: bytes = b"", half_close: bool = False) -> None:
        self._parts, self._first, self._more, self._half_close = urlsplit(url), first, more, half_close
        self._open: list[socket.socket] = []
        self._ends = threading.Event()
        self.opened = 0
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(_TURN)
        self._threads = [threading.Thread(target=self._run) for _ in range(2)]
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.opened >= 2 * ATTACKERS)

    def _run(self) -> None:
        connections: list[socket.socket] = []
        for turn in itertools.count():
            # Without a pause, the attackers would take the processors from the server, which is not what is tested.
            if self._ends.wait(0.001):
                break
            with contextlib.suppress(OSError):
                connections.append(socket.create_connection((self._parts.hostname or "", self._parts.port or 0), 5))
                self.opened += 1
                connections[-1].setblocking(False)
                if self._first is None:
                    connections.pop().close()
                else:
                    connections[-1].send(self._first)
                    if self._half_close:
                        connections[-1].shutdown(socket.SHUT_WR)
            if self._more and connections:
                with contextlib.suppress(OSError):
                    connections[turn % len(connections)].send(self._more)
            if len(connections) > ATTACKERS:
                connections.pop(0).close()
        for each in connections:
            each.close()

    def __enter__(self) -> Attack:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()
        sys.setswitchinterval(self._interval)


HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
ATTACKS = {
    "connections that say nothing": (b"",),
    "quick connections": (None,),
    "slow first lines": (b"G", b"E"),
    "slow fields": (HEAD, b"a: b\r\n"),
    "long fields": (HEAD + b"a: " + b"b" * 16_000, b"b"),
    "endless fields": (HEAD, b"a: " + b"b" * 65_000 + b"\r\n"),
    "slow bodies": (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n", b"b"),
    "answers that nobody reads": ((HEAD + b"\r\n") * 100, HEAD + b"\r\n"),
    "wrong tokens": (b"GET /" + b"t" * 32 + b"/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",),
    "half of a head, and no more to come": (HEAD, b"", True),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.proves("H9")
def test_the_owner_comes_in_while_others_attack(paint: Paint, view: Views, attack: str) -> None:
    """Regression: 128 connections that sent a byte now and then kept out all others."""
    paint()
    url = view("cam0")
    pid = view.processes[-1].pid
    with PageClient(url, watch=[0]) as watching:
        watching.picture()
        before, few = resident(pid), descriptors(pid)
        with Attack(url, *ATTACKS[attack]):  # type: ignore[arg-type]
            for _ in range(5):
                assert get(url).status == 200
                with PageClient(url, watch=[0]) as coming:
                    coming.picture()
                watching.picture()
            assert descriptors(pid) - few < 160
            assert resident(pid) - before < 24 << 20
        wait_until(lambda: metrics(url)["viewers"] == 1)


@pytest.mark.proves("H9")
def test_long_heads_cost_no_memory(view: Views) -> None:
    """Regression: 120 connections with 98 fields of 65 kB each took 3.7 GB."""
    url = view("cam0")
    pid = view.processes[-1].pid
    get(url)
    before, most = resident(pid), 0
    field = b"a: " + b"b" * 65_000 + b"\r\n"
    refused = []
    with contextlib.ExitStack() as stack:
        for _ in range(120):
            connection = stack.enter_context(connected(url))
            with contextlib.suppress(OSError):
                connection.sendall(HEAD + field * 98)
            with contextlib.suppress(OSError):
                refused.append(status_of(connection.recv(100)))
            most = max(most, resident(pid))
    assert most - before < 16 << 20
    assert set(refused) <= {431}
    assert get(url).status == 200


def test_the_owner_comes_in_when_descriptors_are_few(paint: Paint, view: Views) -> None:
    paint()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        url = view("cam0")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connected(url)).sendall(HEAD)
        for _ in range(10):
            with PageClient(url, watch=[0]) as coming:
                coming.picture()


# --- requests ---

FULL = "GET /{token}/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
LIVE = (
    "GET /{token}/live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
)
REQUESTS = (
    (200, FULL + "\r\n"),
    (200, FULL.replace("1.1", "1.0") + "\r\n"),
    (200, FULL.replace("1.1\r", "1.9\r") + "\r\n"),
    (200, FULL.replace("/ HTTP", "/?x=[&y#z HTTP") + "\r\n"),
    (200, FULL + "A:\r\nB:\t b \t\r\na: \xe9\r\nA: c\r\nContent-Length: 0\r\n\r\n"),
    (200, FULL + "\r\n" + FULL + "\r\n" + "nonsense"),
    (200, FULL.replace("/{", "http://localhost:1/{") + "\r\n"),
    (200, FULL.replace("/{", "HTTP://[::1]/{").replace("127.0.0.1", "evil.example") + "\r\n"),
    (405, FULL.replace("GET", "POST") + "\r\n"),
    (405, FULL.replace("GET", "OPTIONS") + "\r\n"),
    (421, FULL.replace("/{", "http://evil.example/{") + "\r\n"),
    (400, FULL.replace("Host: 127.0.0.1\r\n", "") + "\r\n"),
    (421, FULL.replace("1.1\r\nHost: 127.0.0.1", "1.0") + "\r\n"),
    (421, FULL.replace(" 127.0.0.1", "") + "\r\n"),
    (421, FULL.replace("127.0.0.1", "127.0.0.1, 127.0.0.1") + "\r\n"),
    (421, FULL.replace("127.0.0.1", "evil.example@127.0.0.1") + "\r\n"),
    (421, FULL.replace("127.0.0.1", "127.0.0.1/evil.example") + "\r\n"),
    (421, FULL.replace("127.0.0.1", "[x") + "\r\n"),
    (421, FULL.replace("127.0.0.1", "\xb2\xbc\xb9") + "\r\n"),
    (421, FULL.replace("127.0.0.1", "1" * 9000) + "\r\n"),
    (421, "GET http://[x/ HTTP/1.0\r\n\r\n"),
    (421, "GET http://[x/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    (400, "GET http://127.0.0.1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    (400, "GET http:/// HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    (400, "GET * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    (400, "CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    (400, "GET /{token}/\r\n\r\n"),
    (400, "GET /{token}/ HTTP/0.9\r\n\r\n"),
    (400, "GET /{token}/ HTTP/1.10\r\nHost: 127.0.0.1\r\n\r\n"),
    (400, "GET /{token}/ HTTP/" + "9" * 400 + "\r\nHost: 127.0.0.1\r\n\r\n"),
    (400, "GET /{token}/ HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n"),
    (400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    (400, "GET /{token}/\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    (400, "GET /{token}/\x00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    (400, "get /{token}/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    (400, "GET  /{token}/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    (400, "GET\r\n\r\n"),
    (400, "\r\n\r\n"),
    (400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    (400, FULL + "Host: 127.0.0.1\r\n\r\n"),
    (400, FULL + "host: evil.example\r\n\r\n"),
    (400, FULL + "Content-Length: 5\r\n\r\nhello"),
    (400, FULL + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n"),
    (400, FULL + "Content-Length: 0, 0\r\n\r\n"),
    (400, FULL + "Content-Length: -1\r\n\r\n"),
    (400, FULL + "Content-Length: " + "9" * 5000 + "\r\n\r\n"),
    (400, FULL + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, FULL + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    (400, FULL + " folded\r\n\r\n"),
    (400, FULL + "A : b\r\n\r\n"),
    (400, FULL + ": b\r\n\r\n"),
    (400, FULL + "A\r\n\r\n"),
    (400, FULL + "A: b\rB: c\r\n\r\n"),
    (400, FULL + "A: b\nB: c\r\n\r\n"),
    (400, FULL + "A: \x00\r\n\r\n"),
    (200, FULL + "A: " + "b" * 16_000 + "\r\n\r\n"),
    (431, FULL + "A: " + "b" * 16_400 + "\r\n\r\n"),
    (431, "GET /" + "a" * 16_400),
    (431, "G" * 100_000),
    (101, LIVE + "\r\n"),
    (426, LIVE.replace("GET", "HEAD") + "\r\n"),
    (426, LIVE.replace("1.1\r", "1.0\r") + "\r\n"),
    (426, LIVE + "\r\n\x81\x80"),
    (426, LIVE.replace("AA==", "AA") + "\r\n"),
    (426, LIVE.replace("AA==", "\xe9\xe9==") + "\r\n"),
    (426, LIVE.replace(": 13", ": 14") + "\r\n"),
    (426, LIVE.replace("websocket", "h2c") + "\r\n"),
    (400, LIVE + "Sec-WebSocket-Key: BAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"),
    (400, LIVE + "Sec-WebSocket-Version: 13\r\n\r\n"),
    (400, LIVE + "Origin: null\r\nOrigin: null\r\n\r\n"),
    (403, LIVE + "Origin: http://127.0.0.1.evil.example\r\n\r\n"),
    (403, LIVE + "Origin: ftp://127.0.0.1\r\n\r\n"),
    (101, LIVE + "Origin: https://127.0.0.1\r\n\r\n"),
)


@pytest.mark.proves("H9")
def test_each_request_gets_one_answer_whatever_it_is(view: Views) -> None:
    """Regression: `GET http://[x/` ended with a traceback, and a second Host was ignored."""
    url = view("cam0")
    token = url.split("/")[3]
    for status, text in REQUESTS:
        # A WebSocket ends when its client does.
        answer = answer_to(url, text.replace("{token}", token).encode("latin-1"), half_close=status == 101)
        assert status_of(answer) == status, (text[:200], answer[:200])
        assert len(re.findall(rb"^HTTP/1.1 \d", answer, re.MULTILINE)) == 1
        if status in (400, 403, 421, 431):
            assert token.encode() not in answer
        if status not in (101, 431):
            head, _, body = answer.partition(b"\r\n\r\n")
            assert re.search(rb"^Connection: close\r?$", head, re.MULTILINE)
            assert re.search(rb"^Content-Length: %d\r?$" % len(body), head, re.MULTILINE) or text.startswith("HEAD")


def test_the_answer_to_head_has_no_body(view: Views) -> None:
    url = view("cam0")
    head = f"HEAD {urlsplit(url).path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    answer = answer_to(url, head, half_close=True)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")
    (length,) = re.findall(rb"Content-Length: (\d+)", answer)
    assert int(length) == len(get(url).text.encode())


# --- one part of it ---


@pytest.fixture
def reading() -> Iterator[Callable[[], tuple[str, list[bytes]]]]:
    """Starts a HeadReader; returns its address and the heads that it has read."""
    readers: list[tuple[HeadReader, threading.Thread]] = []

    def start() -> tuple[str, list[bytes]]:
        taken: list[bytes] = []

        def take(connection: socket.socket, received: bytes) -> None:
            taken.append(received)
            connection.close()

        listener = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        reader = HeadReader(listener, take)
        thread = threading.Thread(target=reader.run, daemon=True)
        readers.append((reader, thread))
        thread.start()
        return url, taken

    yield start
    for reader, thread in readers:
        reader.end()
        thread.join()


@pytest.mark.proves("H9")
def test_one_deadline_is_for_the_whole_head(
    reading: Callable[[], tuple[str, list[bytes]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: each read had its own deadline of 15 s."""
    monkeypatch.setattr(heads, "_DEADLINE", 0.5)
    url, taken = reading()
    began = time.monotonic()
    with connected(url) as connection, contextlib.suppress(ConnectionError):
        connection.settimeout(0.02)
        while True:
            connection.send(b"G")
            with contextlib.suppress(TimeoutError):
                assert connection.recv(1) == b""
                break
    assert time.monotonic() - began >= 0.5
    assert taken == []
    with connected(url) as silent:
        assert silent.recv(1) == b""
    monkeypatch.setattr(heads, "_DEADLINE", 1000.0)
    with connected(url) as quick:
        quick.sendall(b"GET")
        quick.sendall(b" /\r\n\r")
        quick.sendall(b"\n")
        assert quick.recv(1) == b""
    assert taken == [b"GET /\r\n\r\n"]


@pytest.mark.proves("H9")
def test_the_oldest_connection_gives_way_and_the_others_stay(
    reading: Callable[[], tuple[str, list[bytes]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "_MAX_WAITING", 3)
    monkeypatch.setattr(heads, "_DEADLINE", 1000.0)
    url, taken = reading()
    with contextlib.ExitStack() as stack:
        connections = []
        for number in range(5):
            connections.append(stack.enter_context(connected(url)))
            connections[-1].sendall(b"%d" % number)
        for given_way in connections[:2]:
            with contextlib.suppress(ConnectionResetError):
                assert given_way.recv(1) == b""
        for connection in connections[2:]:
            connection.sendall(b"\r\n\r\n")
            assert connection.recv(1) == b""
    assert taken == [b"2\r\n\r\n", b"3\r\n\r\n", b"4\r\n\r\n"]


class Exhausted(socket.socket):
    """A listening socket in a process with three free descriptors."""

    connections: list[socket.socket]

    def accept(self) -> tuple[socket.socket, Any]:
        if sum(each.fileno() >= 0 for each in self.connections) == 3:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        connection, address = super().accept()
        self.connections.append(connection)
        return connection, address


def test_without_a_free_descriptor_the_oldest_connection_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "_DEADLINE", 1000.0)
    taken: list[bytes] = []
    listener = Exhausted()
    listener.connections = []
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    reader = HeadReader(listener, lambda connection, received: taken.append(received) or connection.close())
    thread = threading.Thread(target=reader.run, daemon=True)
    thread.start()
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(connected(url)).sendall(b"slow")
        last = stack.enter_context(connected(url))
        last.sendall(b"quick\r\n\r\n")
        assert last.recv(1) == b""
    reader.end()
    thread.join()
    assert taken == [b"quick\r\n\r\n"]


def test_too_many_pages_with_the_token_are_told_so(domain: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_MAX_CONNECTIONS", 2)
    with Preview(["cam0"]) as preview:
        with PageClient(preview.url) as first, PageClient(preview.url) as second:
            first.status()
            second.status()
            answer = get(preview.url)
            assert (answer.status, "2 connections are open" in answer.text) == (503, True)
            assert get(preview.url.rsplit("/", 2)[0] + "/").status == 403
        wait_until(lambda: get(preview.url).status == 200)
