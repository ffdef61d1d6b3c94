"""`feed.NetworkStream` receives from an RTSP server in another process, which also goes away and falls silent."""

from __future__ import annotations

import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")

from gst_iceoryx2.feed import Feeder, NetworkStream, SettingError, SourceError, network
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.conftest import Place
from tests.gst.rtsp import Server
from tests.waiting import arrived

CAM = "video/cam0/frame/v2"
MS = 1_000_000
PERIOD = 1000 * MS / 30


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of this machine may be late."""
    for limit in ("_OPEN_MAX", "_SILENCE_MAX", "BLIND_MAX"):
        monkeypatch.setattr(network, limit, 60.0)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def feed(domain: Place) -> Iterator[Callable[[NetworkStream], threading.Thread]]:
    """Publishes a stream as cam0 in a thread; a thread's `error` is what `run` raised."""
    started: list[tuple[Feeder, threading.Thread]] = []

    def start(stream: NetworkStream) -> threading.Thread:
        feeder = Feeder("cam0", stream, is_resumable=True)

        def run() -> None:
            try:
                feeder.run()
            except SourceError as exc:
                thread.error = exc  # type: ignore[attr-defined]

        thread = threading.Thread(target=run)
        thread.start()
        started.append((feeder, thread))
        return thread

    yield start
    for feeder, thread in started:
        feeder.stop()
        thread.join(60)
        assert not thread.is_alive()


def test_pictures_of_a_network_camera_arrive_with_their_colours_and_times(server: Server, feed) -> None:
    stream = NetworkStream(server.url())
    assert stream.shape.framerate == 30
    assert stream.about == f"stream {server.url().replace('ada:s3cret', '***')}"
    with VideoFrameSubscriber(CAM) as subscriber:
        feed(stream)
        times = []
        for _ in range(60):
            with arrived(subscriber.receive_blocking(60_000)) as frame:
                assert (frame.format, frame.width, frame.height) == ("I420", 320, 240)
                assert abs(frame.to_rgb().astype(int).mean((0, 1)) - (255, 0, 0)).max() < 6
                times.append(frame.pts)
                age = frame.age
    # A live stream's timestamps are those of its camera: 33.3 ms apart, however the network delays packets. A busy
    # machine loses pictures in between.
    for earlier, later in list(pairwise(times))[-20:]:
        pictures = round((later - earlier) / PERIOD)
        assert pictures > 0
        assert abs(later - earlier - pictures * PERIOD) < MS / 2
    assert age is not None
    assert age >= 0


def test_a_killed_server_is_an_error_without_the_password(server: Server, feed) -> None:
    with VideoFrameSubscriber(CAM) as subscriber:
        thread = feed(NetworkStream(server.url()))
        arrived(subscriber.receive_blocking(60_000)).release()
        server.process.kill()
        thread.join(60)
        while (frame := subscriber.receive()) is not None:
            with frame:
                # The supervisor will start the stream again.
                assert not frame.is_eos()
    assert "the server has ended rtsp://***@127.0.0.1" in str(thread.error)


def test_a_silent_server_is_an_error(server: Server, feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_SILENCE_MAX", 0.5)
    with VideoFrameSubscriber(CAM) as subscriber:
        thread = feed(NetworkStream(server.url()))
        arrived(subscriber.receive_blocking(60_000)).release()
        server.process.send_signal(signal.SIGSTOP)
        thread.join(60)
    assert "sends no data any more" in str(thread.error)
    # Regression: the error of FFmpeg that was chained to it had the password.
    assert "s3cret" not in "".join(traceback.format_exception(thread.error))


def test_a_silent_server_does_not_hold_up_a_stop(server: Server, feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_SILENCE_MAX", 600.0)
    with VideoFrameSubscriber(CAM) as subscriber:
        feed(NetworkStream(server.url()))
        arrived(subscriber.receive_blocking(60_000)).release()
        server.process.send_signal(signal.SIGSTOP)
        # The fixture stops the feed, and its thread must end.


def test_a_server_that_accepts_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_OPEN_MAX", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for scheme in ("rtsp", "http"):
            with pytest.raises(SourceError, match=r"the server does not answer within"):
                NetworkStream(f"{scheme}://127.0.0.1:{port}/cam")


def test_a_server_that_is_away_and_a_wrong_path_are_told_apart(server: Server) -> None:
    with pytest.raises(SourceError, match=r"cannot open rtsp://\*\*\*@.*/gone: the server does not have this path"):
        NetworkStream(server.url("gone"))
    server.process.kill()
    server.process.wait()
    with pytest.raises(SourceError, match="connection refused; no server listens on this port") as caught:
        NetworkStream(server.url())
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(SourceError, match="the host cannot be reached, its name is unknown"):
        # No network is asked, because the parts of names have at most 63 characters.
        NetworkStream(f"rtsp://{'x' * 64}.invalid/cam")


class Refusing(BaseHTTPRequestHandler):
    """Answers with the status in the path."""

    def do_GET(self) -> None:
        self.send_response(int(self.path[1:]))
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "refuses the user name or the password; write them as in rtsp://USER:PASSWORD@HOST/PATH"),
     (403, "the server forbids access"), (404, "the server does not have this path"), (500, "5XX Server Error"),
     (200, "or it closed the connection")],
)  # fmt: skip
def test_a_refusal_is_told_with_its_remedy(status: int, reason: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        with pytest.raises(SourceError, match=reason) as caught:
            NetworkStream(f"http://ada:s3cret@127.0.0.1:{web.server_port}/{status}")
        web.shutdown()
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["cam0", "/dev/video0", "file:///tmp/clip.mp4", "concat:a|b", "", "://x"])
def test_an_address_of_no_network_protocol_is_refused(url: str) -> None:
    with pytest.raises(SettingError, match="is not the address of a stream; begin it with rtsp://, "):
        NetworkStream(url)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address of a server that sends its files, but no parts of them."""
    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    with web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield tmp_path, f"http://127.0.0.1:{web.server_port}"
        web.shutdown()


def write_clip(path: Path, pictures: Iterable[npt.NDArray[np.uint8]], **options: str) -> None:
    with av.open(str(path), "w", options=options) as container:
        track = container.add_stream("libx264", rate=25)
        track.width, track.height, track.pix_fmt = 320, 240, "yuv420p"
        for picture in pictures:
            container.mux(track.encode(av.VideoFrame.from_ndarray(picture, "yuv420p")))
        container.mux(track.encode(None))


def test_a_recording_on_a_web_server_is_played_in_real_time_to_its_end(domain: Place, folder: tuple[Path, str]) -> None:
    place, url = folder
    write_clip(place / "clip.mp4", [np.full((360, 320), 10 * number, np.uint8) for number in range(20)])
    stream = NetworkStream(f"{url}/clip.mp4")
    assert not stream.is_live
    done = Feeder("cam0", stream, is_resumable=True).run()
    assert (done.sent, done.lost) == (20, 0)
    # The last of 20 pictures is due 0.76 s after the first, which a busy machine may send late.
    assert done.seconds > 0.3
    with pytest.raises(SourceError, match="the server does not have this path"):
        NetworkStream(f"{url}/clip.mp4x")


def test_an_index_behind_the_pictures_is_told_with_its_remedy(folder: tuple[Path, str]) -> None:
    """Only "Input/output error" was told, although the remedy changes one option of the recorder."""
    place, url = folder
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (360, 320), np.uint8) for _ in range(5)]
    write_clip(place / "last.mp4", pictures)
    write_clip(place / "first.mp4", pictures, movflags="faststart")
    with pytest.raises(SourceError, match=r"its index may be at its end, .* write the index first, with `ffmpeg"):
        NetworkStream(f"{url}/last.mp4")
    NetworkStream(f"{url}/first.mp4").close()
