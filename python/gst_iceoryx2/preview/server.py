"""The web server of a preview. It serves a page, a WebSocket for each viewer, and metrics, all protected by a token."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Sequence
from typing import Final

from .._wire.results import results_service
from ..discovery.names import service_name
from .access import AccessCheck
from .channel import Channel
from .document import document
from .heads import HeadReader
from .metrics import CONTENT_TYPE, exposition
from .request import Refusal, Request, answer, parse, upgrade
from .status import Status
from .tls import server_context
from .viewer import Viewer
from .websocket import GOING_AWAY, WebSocket, accept_key

DEFAULT_MAX_FPS: Final = 60.0
"""Default maximum number of pictures per second that a page receives from each stream."""
DEFAULT_QUALITY: Final = 80
"""Default JPEG quality of the page's pictures, 1 to 100."""
DEFAULT_RESULTS_WAIT: Final = 0.1
"""Default of the longest time in seconds that the page holds a picture for its results."""

# A page that waits longer would confirm packets too late: `PacketFlow` allows 30 on their way, half a second at 60 fps.
_MAX_RESULTS_WAIT: Final = 0.3

# Time limit for sending one response or message, in seconds.
_TIMEOUT: Final = 15.0
# Maximum number of connections with the token. HeadReader limits the connections without a token.
_MAX_CONNECTIONS: Final = 128
# Small, so that little data waits in the kernel for a page that has stopped reading.
_SEND_BUFFER: Final = 512 * 1024


class Preview:
    """Shows streams in a web browser.

    It serves the streams until `close()`. Streams may start later, end, and restart with a different size and format.

    Args:
        names: Names of services, short (`cam0`) or in full.
        host: Address to listen on.
        port: TCP port; 0 selects a free port.
        max_fps: Maximum number of pictures per second for each stream; None encodes every frame.
        quality: JPEG quality, 1 to 100.
        token: Secret part of the address; None generates a random one.
        tls: Paths of a certificate and its key in PEM format, to serve HTTPS; None serves HTTP.
        results: Names of detectors. What they find is drawn on the pictures in which they found it.
        results_wait: Longest time in seconds that the page holds a picture until its results are there, at most 0.3.
            It does so only while the results of a detector come within this time.

    Raises:
        ValueError: `names` is empty, a name is not a service name, a number is out of range, or the certificate or its
            key cannot be used.
        InvalidServiceNameError: The name of a detector cannot be used.
        OSError: The server cannot listen on the address, or cannot read the certificate or the key; the message states
            the reason.
        ServiceError: A service exists but cannot be opened.
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
        tls: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
        results: Sequence[str] = (),
        results_wait: float = DEFAULT_RESULTS_WAIT,
    ) -> None:
        wanted = _checked(names, max_fps, quality)
        detectors = _checked_results(wanted, results, results_wait)
        context = None if tls is None else server_context(*tls)
        self._access = AccessCheck(host, token)
        self._viewers: set[Viewer] = set()
        self._lock = threading.Lock()
        self._page, self._policy = document()
        self._channels: list[Channel] = []
        self._ended = threading.Event()
        self._host = host
        self._max_fps = max_fps
        self._results_wait = results_wait
        self._scheme = "http" if tls is None else "https"
        self._places = threading.Semaphore(_MAX_CONNECTIONS)
        listener = _listening(host, port)
        self._port = int(listener.getsockname()[1])
        try:
            for index, name in enumerate(wanted):
                self._channels.append(Channel(name, index, max_fps=max_fps, quality=quality, detectors=detectors))
        except BaseException:
            listener.close()
            for channel in self._channels:
                channel.close()
            raise
        self._heads = HeadReader(listener, self._take, context)
        self._thread = threading.Thread(target=self._heads.run, name="preview", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The TCP port."""
        return self._port

    @property
    def url(self) -> str:
        """Address of the page, including the token. Everyone who knows it can see the video."""
        host = socket.gethostname() if self._host in ("", "0.0.0.0", "::") else self._host
        return f"{self._scheme}://{f'[{host}]' if ':' in host else host}:{self.port}/{self._access.token}/"

    @property
    def viewers(self) -> int:
        """Number of connected pages."""
        return len(self._viewers)

    def status(self) -> list[Status]:
        """Return the current state of each stream."""
        return [channel.status() for channel in self._channels]

    def wait(self) -> None:
        """Block until another thread calls `close`, or until Ctrl-C."""
        self._ended.wait()

    def close(self) -> None:
        """Disconnect the viewers and close the subscribers. Idempotent."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._heads.end()
        self._thread.join()
        with self._lock:
            viewers = list(self._viewers)
        for viewer in viewers:
            viewer.end()
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> Preview:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- requests ----------------------------------------------------------------------------------------------------

    def _take(self, connection: socket.socket, received: bytes) -> None:
        """Start a thread for a request that has the token; refuse other requests."""
        try:
            request = parse(received)
            place = self._place(request)
            if not self._places.acquire(blocking=False):
                raise Refusal(503, f"{_MAX_CONNECTIONS} connections are open, the maximum. Close another page first.")
            try:
                arguments = (connection, request, place)
                threading.Thread(target=self._serve, args=arguments, name="preview's page", daemon=True).start()
            except RuntimeError:
                self._places.release()
                raise Refusal(503, "This process cannot start another thread.") from None
        except Refusal as refusal:
            # The send buffer of a new connection is large enough, so this cannot block.
            with connection, contextlib.suppress(OSError):
                connection.send(refusal.answer())

    def _place(self, request: Request) -> str | None:
        """Return the part of the path after the token; None if the slash after the token is missing."""
        if not self._access.knows_host(request.host):
            fault = "has no host name" if request.host is None else f"is for the host {request.host[:80]!r}"
            raise Refusal(421, f"The request {fault}. Use 127.0.0.1 or localhost.")
        token, slash, place = request.path[1:].partition("/")
        if not self._access.knows_token(token):
            raise Refusal(403, "The token is missing or wrong. Use the complete address that was printed at the start.")
        return place if slash else None

    def _serve(self, connection: socket.socket, request: Request, place: str | None) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(_TIMEOUT)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    if place == "live":
                        connection.sendall(self._upgrade(request))
                        self._watch(connection)
                    else:
                        connection.sendall(self._answer(request, place))
                except Refusal as refusal:
                    connection.sendall(refusal.answer())
        finally:
            self._places.release()

    def _answer(self, request: Request, place: str | None) -> bytes:
        if request.method not in ("GET", "HEAD"):
            raise Refusal(405, "Use GET or HEAD.", {"Allow": "GET, HEAD"})
        with_body = request.method == "GET"
        if place is None:
            location = {"Location": f"/{self._access.token}/"}
            return answer(308, "", "text/plain", location, with_body=with_body)
        if place == "":
            policy = {"Content-Security-Policy": self._policy}
            return answer(200, self._page, "text/html; charset=utf-8", policy, with_body=with_body)
        if place == "metrics":
            return answer(200, exposition(self.status(), self.viewers), CONTENT_TYPE, with_body=with_body)
        raise Refusal(404, "This server serves only the page and its metrics.")

    def _upgrade(self, request: Request) -> bytes:
        key = accept_key(request.headers) if request.method == "GET" and request.can_upgrade else None
        if key is None:
            raise Refusal(426, "This address accepts only WebSocket connections.", {"Upgrade": "websocket"})
        if not self._access.knows_origin(request.headers.get("origin"), request.host or ""):
            raise Refusal(403, "Pages from other sites cannot open this WebSocket.")
        return upgrade(key)

    def _watch(self, connection: socket.socket) -> None:
        websocket = WebSocket(connection)
        viewer = Viewer(websocket, self._channels, self._max_fps, self._results_wait)
        with self._lock:
            self._viewers.add(viewer)
        try:
            if not self._ended.is_set():
                viewer.serve()
        finally:
            with self._lock:
                self._viewers.discard(viewer)
            websocket.close(GOING_AWAY)


def _listening(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(socket.SOMAXCONN)
    except BaseException as exc:
        listener.close()
        if isinstance(exc, (OSError, OverflowError)):
            raise _explained(exc, host, port) from exc
        raise
    return listener


def _checked(names: Sequence[str], max_fps: float | None, quality: int) -> list[str]:
    wanted = list(dict.fromkeys(map(service_name, names)))
    if not wanted:
        raise ValueError("names is empty; pass at least one stream name")
    if max_fps is not None and not 0 < max_fps <= 1000:
        raise ValueError(f"max_fps is {max_fps}, but must be greater than 0 and at most 1000")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality is {quality}, but must be between 1 and 100")
    return wanted


def _checked_results(names: Sequence[str], detectors: Sequence[str], wait: float) -> list[str]:
    if not 0 <= wait <= _MAX_RESULTS_WAIT:
        raise ValueError(f"results_wait is {wait}, but must be between 0 and {_MAX_RESULTS_WAIT} seconds")
    wanted = list(dict.fromkeys(detectors))
    for name in names:
        for detector in wanted:
            results_service(name, detector)
    return wanted


def _explained(exc: OSError | OverflowError, host: str, port: int) -> OSError:
    number = exc.errno if isinstance(exc, OSError) else errno.EINVAL
    reasons = {
        errno.EADDRINUSE: f"port {port} on {host} is in use; choose another port, or 0 for a free one",
        errno.EACCES: f"port {port} on {host} requires root; choose a port from 1024 to 65535",
        errno.EADDRNOTAVAIL: f"{host} is not an address of this machine",
        errno.EINVAL: f"{port} is not a port; choose a port from 1024 to 65535, or 0 for a free one",
    }
    if isinstance(exc, socket.gaierror):
        return OSError(errno.EADDRNOTAVAIL, f"{host} is neither an address nor a host name ({exc.strerror})")
    number = errno.EIO if number is None else number
    return OSError(number, reasons.get(number, f"cannot listen on port {port} on {host}: {os.strerror(number)}"))
