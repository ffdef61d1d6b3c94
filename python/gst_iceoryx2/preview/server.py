"""The web server of a preview: one page, one WebSocket a viewer, metrics; all of it behind a token."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import os
import re
import socket
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlsplit

from .channel import Channel, Status, service_of
from .door import Door, is_loopback
from .metrics import CONTENT_TYPE, exposition
from .viewer import Viewer
from .websocket import GOING_AWAY, WebSocket, accept_key

DEFAULT_MAX_FPS: Final = 60.0
DEFAULT_QUALITY: Final = 80

# How long one read or write of a connection may take.
_TIMEOUT: Final = 15.0
# Whoever else is on this machine can connect, though not come in.
_MAX_CONNECTIONS: Final = 128
# Little may wait in the kernel on its way to a page that has stopped reading.
_SEND_BUFFER: Final = 512 * 1024


class Preview:
    """Shows streams in a web browser.

    Receives the streams from now on, and serves them until `close()`. Streams that do not exist yet are waited for;
    they may end and begin again, in other sizes and formats.

    Args:
        names: Names of services, short (`cam0`) or in full.
        host: Address to listen on.
        port: TCP port; 0 = one that is free.
        max_fps: Pictures a second of each stream at most; None = as many as frames come.
        quality: JPEG quality, 1 to 100.
        token: Secret part of the address; None draws one.

    Raises:
        ValueError: No name, a name that is no iceoryx2 service, or a number out of its range.
        OSError: The address cannot be listened on; the message says why.
        ServiceError: A service is there and cannot be opened.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        max_fps: float | None = DEFAULT_MAX_FPS,
        quality: int = DEFAULT_QUALITY,
        token: str | None = None,
    ) -> None:
        wanted = _checked(names, max_fps, quality)
        self._door = Door(host, token)
        self._viewers: set[Viewer] = set()
        self._lock = threading.Lock()
        self._page, self._policy = _page()
        self._channels: list[Channel] = []
        self._ended = threading.Event()
        self._host = host
        self._server = _Server(self, host, port)
        try:
            for index, name in enumerate(wanted):
                self._channels.append(Channel(name, index, max_fps=max_fps, quality=quality))
        except BaseException:
            self._server.server_close()
            for channel in self._channels:
                channel.close()
            raise
        self._thread = threading.Thread(target=self._server.serve_forever, name="preview", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Address of the page, token included: whoever has it sees the video."""
        host = socket.gethostname() if self._host in ("", "0.0.0.0", "::") else self._host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/{self._door.token}/"

    @property
    def viewers(self) -> int:
        """Pages that are connected."""
        return len(self._viewers)

    def status(self) -> list[Status]:
        """What is known of each stream right now."""
        return [channel.status() for channel in self._channels]

    def wait(self) -> None:
        """Sleep until another thread calls `close`; Ctrl-C wakes it."""
        self._ended.wait()

    def close(self) -> None:
        """Send the viewers away and let go of the services. Idempotent."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            viewers = list(self._viewers)
        for viewer in viewers:
            viewer.end()
        for channel in self._channels:
            channel.close()
        self._thread.join()

    def __enter__(self) -> Preview:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- for the handler ---------------------------------------------------------------------------------------------

    def _serve(self, connection: socket.socket) -> None:
        websocket = WebSocket(connection)
        viewer = Viewer(websocket, self._channels)
        with self._lock:
            self._viewers.add(viewer)
        try:
            if not self._ended.is_set():
                viewer.serve()
        finally:
            with self._lock:
                self._viewers.discard(viewer)
            websocket.close(GOING_AWAY)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, preview: Preview, host: str, port: int) -> None:
        self.preview = preview
        self._connections = threading.Semaphore(_MAX_CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as exc:
            raise _explained(exc, host, port) from exc

    def server_bind(self) -> None:
        # That of HTTPServer asks the name service for this machine's name, and may wait for it.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks off is nobody's business; anything else is a fault of ours and goes to stderr."""
        import sys

        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "iox2-video"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = _TIMEOUT

    def setup(self) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().setup()

    def do_GET(self) -> None:
        preview = self.server.preview
        host = self.headers.get("Host")
        if not preview._door.knows_host(host):
            self._refuse(421, f"This server does not answer to the name {host!r}: use 127.0.0.1 or localhost.")
            return
        _, _, rest = urlsplit(self.path).path.partition("/")
        token, slash, place = rest.partition("/")
        if not preview._door.knows_token(token):
            self._refuse(403, "The address needs its token: take the whole address that was printed at the start.")
        elif not slash:
            self._answer(308, "", "text/plain", {"Location": f"/{token}/"})
        elif place == "":
            self._answer(200, preview._page, "text/html; charset=utf-8", {"Content-Security-Policy": preview._policy})
        elif place == "metrics":
            self._answer(200, exposition(preview.status(), preview.viewers), CONTENT_TYPE)
        elif place == "live":
            self._upgrade(host or "")
        else:
            self._refuse(404, "There is the page, and metrics; nothing else.")

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: addresses have the token in them."""

    def _upgrade(self, host: str) -> None:
        key = accept_key(self.headers)  # type: ignore[arg-type]
        if key is None:
            self._refuse(426, "This address is for a WebSocket.", {"Upgrade": "websocket"})
            return
        if not self.server.preview._door.knows_origin(self.headers.get("Origin"), host):
            self._refuse(403, "Another page may not open this.")
            return
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", key)):
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        self.server.preview._serve(self.connection)

    def _refuse(self, status: int, why: str, headers: dict[str, str] | None = None) -> None:
        # Whatever body there may be stays unread.
        self.close_connection = True
        self._answer(status, why + "\n", "text/plain; charset=utf-8", {**(headers or {}), "Connection": "close"})

    def _answer(self, status: int, text: str, kind: str, headers: dict[str, str] | None = None) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(data)


def _checked(names: Sequence[str], max_fps: float | None, quality: int) -> list[str]:
    wanted = list(dict.fromkeys(map(service_of, names)))
    if not wanted:
        raise ValueError("names: no stream to show")
    if max_fps is not None and not 0 < max_fps <= 1000:
        raise ValueError(f"max_fps: {max_fps} is not above 0 and at most 1000")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality: {quality} is not from 1 to 100")
    return wanted


def _explained(exc: OSError | OverflowError, host: str, port: int) -> OSError:
    number = exc.errno if isinstance(exc, OSError) else errno.EINVAL
    reasons = {
        errno.EADDRINUSE: f"port {port} of {host} is taken: choose another, or 0 for one that is free",
        errno.EACCES: f"port {port} of {host} is for root only: choose one from 1024 to 65535",
        errno.EADDRNOTAVAIL: f"{host} is no address of this machine",
        errno.EINVAL: f"{port} is no port: choose one from 1024 to 65535, or 0 for one that is free",
    }
    if isinstance(exc, socket.gaierror):
        return OSError(errno.EADDRNOTAVAIL, f"{host} is no address, and no name of one ({exc.strerror})")
    number = errno.EIO if number is None else number
    return OSError(number, reasons.get(number, f"cannot listen on port {port} of {host}: {os.strerror(number)}"))


def _page() -> tuple[str, str]:
    """The page, and the Content-Security-Policy under which it runs: its own script and style, by their hashes."""
    text = files(__package__).joinpath("page.html").read_text("utf-8")

    def hashes(tag: str) -> str:
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        return " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'" for part in found
        )

    policy = (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; connect-src 'self'; "
        "img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text, policy


def is_reachable_from_elsewhere(host: str) -> bool:
    """Whether other machines can reach a server that listens there."""
    return not is_loopback(host)
