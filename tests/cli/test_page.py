"""The page of `iox2-video view` in a real browser."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gst_iceoryx2 import jpeg
from gst_iceoryx2.preview import Preview
from tests.cli.chromium import NAMES, Chromium, program
from tests.cli.conftest import CommandLine, Paint, end
from tests.cli.page_client import metrics
from tests.cli.painter import BLUE, GREEN, RED, gray
from tests.conftest import Place
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(program() is None, reason=f"none of {', '.join(NAMES)} here: apt-get install chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One browser for all tests, because it takes a second to start."""
    started = Chromium(tmp_path_factory.mktemp("chromium"))
    yield started
    started.close()


@pytest.fixture
def page(browser: Chromium) -> Iterator[Chromium]:
    """The browser. Its console must have no warnings and errors at the end of a test."""
    browser.console.clear()
    browser.resize(1280, 800)
    browser.prefer("light")
    yield browser
    browser.open("about:blank")
    assert browser.console == []


@pytest.fixture
def view(iox2_video: CommandLine, page: Chromium) -> Iterator[Callable[..., str]]:
    """Starts `iox2-video view` and opens its page; returns the address."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> str:
        process = iox2_video.start("view", "--no-browser", *arguments)
        started.append(process)
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        page.open(url)
        page.wait_for("document.querySelectorAll('.card').length")
        return url

    yield start
    page.open("about:blank")
    for process in started:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def number(page: Chromium, card: int = 0) -> int:
    """Number of the picture on a canvas; -1 before the first."""
    return int(page.evaluate(f"document.querySelectorAll('canvas')[{card}]?.dataset.number ?? -1"))


def moves(page: Chromium, card: int = 0) -> None:
    """Wait until the picture changes."""
    before = number(page, card)
    wait_until(lambda: number(page, card) >= before + 3)


def corners(page: Chromium) -> list[tuple[int, ...]]:
    """Colours in the middle of the four quarters of the canvas."""
    script = """(() => {
      const {width, height} = document.querySelector("canvas"), copy = new OffscreenCanvas(width, height);
      const context = copy.getContext("2d", {willReadFrequently: true});
      context.drawImage(document.querySelector("canvas"), 0, 0);
      return [[1, 1], [3, 1], [1, 3], [3, 3]].map(([x, y]) =>
        Array.from(context.getImageData(x * width >> 2, y * height >> 2, 1, 1).data.slice(0, 3)));
    })()"""
    return [tuple(colour) for colour in page.evaluate(script)]


def near(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 10


def texts(page: Chromium, selector: str) -> list[str]:
    found: list[str] = page.evaluate(f"[...document.querySelectorAll({selector!r})].map((each) => each.textContent)")
    return found


def boxes(page: Chromium, selector: str) -> list[list[float]]:
    """x, y, width and height of each element; zeros for hidden elements."""
    found: list[list[float]] = page.evaluate(
        f"[...document.querySelectorAll({selector!r})].map((each) => each.getBoundingClientRect())"
        ".map(({x, y, width, height}) => [x, y, width, height])"
    )
    return found


def click(page: Chromium, selector: str) -> None:
    page.evaluate(f"document.querySelector({selector!r}).click()")


def test_the_picture_is_the_publishers_and_moves(paint: Paint, view: Callable[..., str], page: Chromium) -> None:
    paint(width=640, height=480)
    view("cam0")
    moves(page)
    assert page.evaluate("[document.querySelector('canvas').width, document.querySelector('canvas').height]") == [
        640,
        480,
    ]
    seen = set()

    def three_grays() -> bool:
        red, green, blue, last = corners(page)
        assert near(red, RED)
        assert near(green, GREEN)
        assert near(blue, BLUE)
        assert any(near(last, (gray(step),) * 3) for step in range(10))
        seen.add(last)
        return len(seen) >= 3

    wait_until(three_grays)


def test_the_numbers_and_graphs_follow_the_stream(paint: Paint, view: Callable[..., str], page: Chromium) -> None:
    paint(fps=20)
    url = view("cam0")
    page.wait_for("Math.abs(parseFloat(document.querySelector('.fps .value').textContent) - 20) < 4")
    page.wait_for("parseFloat(document.querySelector('.latency .value').textContent) > 0")
    page.wait_for("/ms on arrival/.test(document.querySelector('.latency .hint').textContent)")
    page.wait_for("/shown here/.test(document.querySelector('.fps .hint').textContent)")
    # 0, unless the machine is busy.
    wait_until(lambda: texts(page, ".lost .value") == [f"{metrics(url)['frames_dropped_total']:.0f}"])
    points = "document.querySelector('.fps .line')?.getAttribute('points').split(' ').length ?? 0"
    before = page.wait_for(points)
    page.wait_for(f"({points}) > {before}")
    page.wait_for("!!document.querySelector('.latency .line')")
    click(page, "summary")
    page.wait_for("document.querySelectorAll('dd').length")
    details = dict(zip(texts(page, "dt"), texts(page, "dd"), strict=True))
    assert details["Service"] == "video/cam0/frame/v2"
    assert "video/x-raw, format=(string)RGB" in details["Caps"]
    assert "framerate=(fraction)20/1" in details["Caps"]


def test_drops_of_the_stream_are_drawn(domain: Place, page: Chromium) -> None:
    """A burst overflows the subscriber's buffer."""
    from gst_iceoryx2.video import VideoFramePublisher

    picture = np.zeros((48, 64, 3), np.uint8)
    with Preview(["cam0"]) as preview, VideoFramePublisher("video/cam0/frame/v2") as publisher:
        page.open(preview.url)
        wait_until(lambda: publisher.publish(picture) and number(page) >= 0)
        page.wait_for("document.querySelector('.lost .value').textContent === '0'")

        def dropped() -> int | None:
            for _ in range(400):
                publisher.publish(picture)
            return preview.status()[0].dropped

        wait_until(dropped)
        page.wait_for("!!document.querySelector('.lost rect.lost')")
        shown = f"{preview.status()[0].dropped:,}"
        page.wait_for(f"document.querySelector('.lost .value').textContent.replace(/\\D/g, ',') === {shown!r}")
        page.open("about:blank")


def test_pause_pauses_and_resume_goes_on(paint: Paint, view: Callable[..., str], page: Chromium) -> None:
    paint()
    url = view("cam0")
    moves(page)
    click(page, ".pause")
    assert texts(page, ".card .pill") == ["Paused"]
    assert texts(page, ".pause") == ["Resume"]
    kept, colours = number(page), corners(page)
    # No picture is wanted now: the numbers are updated, and the encoder rests.
    wait_until(lambda: metrics(url)["viewers_waiting"] == 0)
    counted = metrics(url)
    wait_until(lambda: metrics(url)["frames_received_total"] > counted["frames_received_total"] + 10)
    assert metrics(url)["pictures_encoded_total"] <= counted["pictures_encoded_total"] + 1
    assert number(page) == kept
    assert corners(page) == colours
    page.press("p")
    assert texts(page, ".pause") == ["Pause"]
    moves(page)


def test_a_hidden_page_wants_no_pictures(paint: Paint, view: Callable[..., str], page: Chromium) -> None:
    paint()
    url = view("cam0")
    moves(page)
    hide = "Object.defineProperty(document, 'hidden', {{value: {}, configurable: true}});"
    tell = "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(hide.format("true") + tell)
    wait_until(lambda: metrics(url)["viewers_waiting"] == 0)
    page.evaluate(hide.format("false") + tell)
    moves(page)


def test_the_snapshot_is_the_picture_that_is_shown(paint: Paint, view: Callable[..., str], page: Chromium) -> None:
    paint(width=648, height=486)
    view("cam0")
    moves(page)
    click(page, ".pause")
    shown = corners(page)
    click(page, ".save")
    wait_until(lambda: any(file.read_bytes().endswith(b"\xff\xd9") for file in page.downloads.glob("cam0-*.jpg")))
    (file,) = page.downloads.glob("cam0-*.jpg")
    saved = jpeg.decode(file.read_bytes())
    assert saved.shape == (486, 648, 3)
    spots = [saved[y * 486 // 4, x * 648 // 4] for x, y in ((1, 1), (3, 1), (1, 3), (3, 3))]
    assert all(near(tuple(map(int, spot)), colour) for spot, colour in zip(spots, shown, strict=True))
    assert near(tuple(map(int, spots[0])), RED)
    file.unlink()


@pytest.mark.proves("C7")
def test_pixels_that_are_not_square_are_shown_and_saved_in_their_shape(
    paint: Paint, view: Callable[..., str], page: Chromium
) -> None:
    """Regression: a 4:3 picture of 720x576 pixels was shown as 5:4."""
    paint(width=240, height=240, ratio="3/2")
    view("cam0")
    moves(page)
    assert page.evaluate("[document.querySelector('canvas').width, document.querySelector('canvas').height]") == [
        360,
        240,
    ]
    assert near(corners(page)[0], RED)
    click(page, ".save")
    wait_until(lambda: any(file.read_bytes().endswith(b"\xff\xd9") for file in page.downloads.glob("cam0-*.jpg")))
    (file,) = page.downloads.glob("cam0-*.jpg")
    saved = jpeg.decode(file.read_bytes())
    assert saved.shape == (240, 360, 3)
    assert near(tuple(map(int, saved[60, 90])), RED)
    file.unlink()


def test_full_size_fills_the_window_and_shows_pixels_one_to_one(
    paint: Paint, view: Callable[..., str], page: Chromium
) -> None:
    paint("cam0", width=320, height=240)
    paint("cam1")
    view("cam0", "cam1")
    moves(page)
    page.press("f")
    assert boxes(page, ".card")[0][2:] == [1280, 800]
    assert page.evaluate("document.querySelectorAll('.card')[1].checkVisibility()") is False
    moves(page)
    click(page, ".exactly")
    assert boxes(page, "canvas")[0][2:] == [320, 240]
    page.press("Escape", 27)
    assert page.evaluate("document.querySelectorAll('.card')[1].checkVisibility()") is True
    assert boxes(page, ".card")[0][2] < 700


def test_streams_stand_side_by_side_and_on_a_phone_one_below_the_other(
    paint: Paint, view: Callable[..., str], page: Chromium
) -> None:
    paint("cam0", width=640, height=360)
    paint("cam1", width=640, height=360)
    view("cam0", "cam1")
    moves(page, 0)
    moves(page, 1)
    assert texts(page, "h2") == ["cam0", "cam1"]
    # The text changes with the next status from the server.
    wait_until(lambda: texts(page, "#link") == ["2 of 2 live"])
    (x0, y0, *_), (x1, y1, *_) = boxes(page, ".card")
    assert y0 == y1
    assert x0 < x1
    page.resize(390, 844, 2, mobile=True)
    (x0, y0, *_), (x1, y1, *_) = boxes(page, ".card")
    assert x0 == x1
    assert y0 < y1
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert all(height >= 40 for _, _, width, height in boxes(page, ".card button") if width)
    page.press(" ")
    assert texts(page, "#pause-all") == ["Resume all"]
    assert texts(page, ".card .pill") == ["Paused", "Paused"]


def test_everything_can_be_reached_and_used_from_the_keyboard(
    paint: Paint, view: Callable[..., str], page: Chromium
) -> None:
    paint("cam0")
    paint("cam1")
    view("cam0", "cam1")
    moves(page, 1)
    reached = []
    for _ in range(9):
        page.press("Tab", 9)
        reached.append(page.evaluate("document.activeElement.className || document.activeElement.tagName"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", reached
    assert reached == ["BUTTON", *["pause", "size", "save", "SUMMARY"] * 2]
    # The second card has the focus.
    page.press("p")
    assert texts(page, ".card .pill")[1] == "Paused"
    assert page.evaluate("document.querySelectorAll('.pause')[1].ariaPressed") == "true"
    assert page.evaluate("document.querySelectorAll('.pause')[0].ariaPressed") == "false"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(
    paint: Paint, view: Callable[..., str], page: Chromium, scheme: str
) -> None:
    """WCAG 2.2 (1.4.3) demands a contrast of 4.5 to 1 for text of this size."""
    page.prefer(scheme)
    paint("cam0")
    view("cam0", "nobody")
    moves(page)
    script = """[...document.querySelectorAll(
        "h1, h2, .host, .pill, button, .label, .value, .hint, .note, .note strong, summary, .foot")]
      .filter((each) => each.checkVisibility() && each.textContent.trim() && !each.disabled)
      .map((each) => {
        const background = (node) => getComputedStyle(node).backgroundColor;
        let back = each;
        while (background(back) === "rgba(0, 0, 0, 0)") back = back.parentElement ?? document.body;
        return [each.className || each.tagName, getComputedStyle(each).color, background(back)];
      })"""
    checked = page.evaluate(script)
    assert len(checked) > 20
    for name, ink, back in checked:
        assert contrast(ink, back) >= 4.5, (name, ink, back)
    assert (luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) < 0.2) == (scheme == "dark")


def luminance(colour: str) -> float:
    parts = [int(each) / 255 for each in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)


def contrast(ink: str, back: str) -> float:
    light, dark = sorted((luminance(ink), luminance(back)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_page_waits_for_a_stream_and_follows_it_to_another_size(
    paint: Paint, view: Callable[..., str], page: Chromium
) -> None:
    view("cam0")
    page.wait_for(
        "/Waiting for the first frame.*video\\/cam0\\/frame\\/v2/.test(document.querySelector('.note').textContent)"
    )
    assert texts(page, ".card .pill") == ["Waiting"]
    first = paint(width=320, height=240)
    moves(page)
    page.wait_for("document.querySelector('.card .pill').textContent === 'Live'")
    end(first)
    page.wait_for("document.querySelector('.card .pill').textContent === 'Silent'")
    page.wait_for("/No new frame for \\d+ s/.test(document.querySelector('.note').textContent)")
    paint(width=800, height=600)
    page.wait_for("document.querySelector('canvas').width === 800")
    moves(page)
    page.wait_for("document.querySelector('.card .pill').textContent === 'Live'")
    assert page.evaluate("document.querySelector('.note').checkVisibility()") is False


def test_the_page_comes_back_when_the_server_does(domain: Place, paint: Paint, page: Chromium) -> None:
    paint()
    token = "a-token-of-this-test"
    with Preview(["cam0"], token=token) as preview:
        port = preview.port
        page.open(preview.url)
        page.wait_for("document.querySelector('canvas')?.dataset.number > 1")
    page.wait_for("/Connection lost/.test(document.querySelector('#link').textContent)")
    with Preview(["cam0"], token=token, port=port):
        page.wait_for("document.querySelector('#link').textContent === 'Connected'")
        moves(page)
        page.open("about:blank")
    # The browser reports failed connections on the console.
    page.console[:] = [line for line in page.console if "WebSocket connection to" not in line]


class Forwarder:
    """Forwards connections from another port to the server, as `ssh -L` does."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        self._sockets = [self._listener]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [near, far]
                for ends in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._carry, args=ends, daemon=True))
                    self._threads[-1].start()

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(60)


def test_it_works_through_a_forwarded_port(paint: Paint, domain: Place, page: Chromium) -> None:
    paint()
    with Preview(["cam0"]) as preview:
        forwarder = Forwarder(preview.port)
        for name in ("127.0.0.1", "localhost"):
            page.open(preview.url.replace(f"127.0.0.1:{preview.port}", f"{name}:{forwarder.port}"))
            page.wait_for("document.querySelector('canvas')?.dataset.number > 3")
            assert page.evaluate("location.host") == f"{name}:{forwarder.port}"
        page.open("about:blank")
        forwarder.close()


def test_names_and_caps_are_text_whatever_they_contain(domain: Place, page: Chromium) -> None:
    from gst_iceoryx2.video import VideoFramePublisher

    name = 'video/<img src=x onerror="boom()">/frame/v2'
    with (
        Preview([name]) as preview,
        VideoFramePublisher(name, caps='video/x-raw, colorimetry=(string)"<b>x</b>"') as publisher,
    ):
        page.open(preview.url)
        wait_until(lambda: publisher.publish(np.zeros((48, 64, 3), np.uint8)) and number(page) >= 0)
        click(page, "summary")
        page.wait_for("document.querySelectorAll('dd').length")
        assert page.evaluate("document.querySelectorAll('img, b').length") == 0
        assert texts(page, "dd")[0] == name
        page.open("about:blank")


def test_a_screenshot_has_the_picture_in_it(paint: Paint, view: Callable[..., str], page: Chromium) -> None:
    """The screenshot has the pixels of the screen. The folder IOX2_VIDEO_SCREENSHOTS keeps it, if set."""
    paint(width=640, height=360)
    view("cam0")
    moves(page)
    data = base64.b64encode(page.screenshot()).decode()
    script = f"""(async () => {{
      const bytes = Uint8Array.from(atob("{data}"), (each) => each.charCodeAt(0));
      const bitmap = await createImageBitmap(new Blob([bytes], {{type: "image/png"}}));
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height), context = canvas.getContext("2d");
      context.drawImage(bitmap, 0, 0);
      const box = document.querySelector("canvas").getBoundingClientRect();
      return Array.from(context.getImageData(box.x + box.width / 4, box.y + box.height / 4, 1, 1).data.slice(0, 3));
    }})()"""
    assert near(tuple(page.evaluate(script)), RED)
    if folder := os.environ.get("IOX2_VIDEO_SCREENSHOTS"):
        Path(folder, "page.png").write_bytes(base64.b64decode(data))
