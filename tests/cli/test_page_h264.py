"""The page of `iox2-video view` decodes H.264 in a real browser, and shows JPEG pictures where it cannot."""

from __future__ import annotations

import base64
import itertools
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gst_iceoryx2 import jpeg
from gst_iceoryx2.feed import read_number
from gst_iceoryx2.packets import PacketPublisher
from gst_iceoryx2.preview import Preview
from tests.cli.certificates import is_possible, self_signed
from tests.cli.chromium import NAMES, Chromium, program
from tests.cli.conftest import CommandLine, Paint, end
from tests.cli.page_client import metrics
from tests.cli.painter import RED, gray
from tests.cli.test_page import click, corners, moves, near, number, texts
from tests.conftest import Place
from tests.processes.children import Child
from tests.waiting import wait_until

pytest.importorskip("av")

pytestmark = pytest.mark.skipif(program() is None, reason=f"none of {', '.join(NAMES)} here: apt-get install chromium")

Encode = Callable[..., Child]
WAY = "document.querySelector('canvas')?.dataset.way"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One browser for all tests, because it takes a second to start. It accepts the tests' certificates."""
    started = Chromium(tmp_path_factory.mktemp("chromium"), "--ignore-certificate-errors")
    yield started
    started.close()


@pytest.fixture
def page(browser: Chromium, domain: Place) -> Iterator[Chromium]:
    """The browser. Its console must have no warnings and errors at the end of a test."""
    browser.console.clear()
    browser.resize(1280, 900)
    browser.prefer("light")
    yield browser
    browser.open("about:blank")
    assert browser.console == []


@pytest.fixture
def preview(page: Chromium) -> Iterator[Callable[..., Preview]]:
    """Serves cam0, and opens the page."""
    started: list[Preview] = []

    def start(**settings: Any) -> Preview:
        started.append(Preview(["cam0"], **settings))
        page.open(started[-1].url)
        page.wait_for("document.querySelectorAll('.card').length")
        return started[-1]

    yield start
    page.open("about:blank")
    for one in started:
        one.close()


def shows(page: Chromium, way: str) -> None:
    """Wait until pictures come in a way, and move."""
    page.wait_for(f"{WAY} === {way!r}")
    moves(page)


def detail(page: Chromium, name: str) -> str:
    """A row of the details."""
    if not page.evaluate("document.querySelector('details').open"):
        click(page, "summary")
    page.wait_for("document.querySelectorAll('dd').length")
    return dict(zip(texts(page, "dt"), texts(page, "dd"), strict=True))[name]


def keep_screenshot(page: Chromium, name: str) -> None:
    """Keep a screenshot in the folder IOX2_VIDEO_SCREENSHOTS, if set."""
    if folder := os.environ.get("IOX2_VIDEO_SCREENSHOTS"):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        Path(folder, f"{name}.png").write_bytes(page.screenshot())


def test_the_page_decodes_the_packets_and_nothing_is_encoded_for_it(
    paint: Paint, encode: Encode, preview: Callable[..., Preview], page: Chromium
) -> None:
    encode(keyint=60)
    paint(width=640, height=480, fps=30)
    served = preview()
    shows(page, "H.264")
    encoded = served.status()[0].encoded
    seen = set()

    def five_grays() -> bool:
        red, _, _, last = corners(page)
        assert near(red, RED)
        assert any(near(last, (gray(step),) * 3) for step in range(10))
        seen.add(last)
        return len(seen) >= 5

    wait_until(five_grays)
    assert detail(page, "Shown as").startswith("H.264, avc1.")
    page.wait_for("/H.264 640×480, \\d+ KiB per second/.test(document.querySelector('summary').textContent)")
    page.wait_for("Math.abs(parseFloat(document.querySelector('.fps .value').textContent) - 30) < 6")
    page.wait_for("parseFloat(document.querySelector('.latency .value').textContent) > 0")
    assert texts(page, ".card .pill") == ["Live"]
    assert served.status()[0].encoded == encoded
    keep_screenshot(page, "h264")


def test_the_pictures_of_iox2_video_serve_have_the_numbers_of_its_test_pattern(
    iox2_video: CommandLine, preview: Callable[..., Preview], page: Chromium, tmp_path: Path
) -> None:
    """The encoder starts because the page can decode. Until it has, the page shows JPEG pictures."""
    file = tmp_path / "streams.toml"
    file.write_text('[streams.cam0]\ntest = true\nsize = "640x360"\nfps = 30\n')
    process = iox2_video.start("serve", str(file))
    served = preview()
    shows(page, "H.264")
    numbers = []

    def increase() -> bool:
        url = page.evaluate("document.querySelector('canvas').toDataURL('image/jpeg', 0.98)")
        luma = jpeg.decode(base64.b64decode(url.partition(",")[2]))[..., 1]
        numbers.append(read_number(luma))
        return len(numbers) >= 8

    wait_until(increase)
    assert all(each is not None for each in numbers)
    assert numbers == sorted(numbers)
    assert numbers[-1] > numbers[0]
    wait_until(lambda: served.status()[0].encoder == "running")
    # Without the supervisor, neither frames nor packets come. The next one continues both.
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    page.wait_for("document.querySelector('.card .pill').textContent === 'Silent'")
    process = iox2_video.start("serve", str(file))
    shows(page, "H.264")
    page.open("about:blank")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130


def test_a_page_shows_a_picture_long_before_the_next_keyframe(
    paint: Paint, encode: Encode, preview: Callable[..., Preview], page: Chromium
) -> None:
    """Also a second page, while the first one is still there: it joins in the middle of the group."""
    encode(keyint=3600)
    paint(fps=30)
    served = preview()
    shows(page, "H.264")
    before = served.status()[0].encoded
    page.open(served.url)
    shows(page, "H.264")
    assert served.status()[0].encoded <= before + 3


def test_a_paused_page_and_a_hidden_page_want_no_packets(
    paint: Paint, encode: Encode, preview: Callable[..., Preview], page: Chromium
) -> None:
    encode(keyint=60)
    paint(fps=30)
    served = preview()
    shows(page, "H.264")
    click(page, ".pause")
    wait_until(lambda: served.status()[0].packet_viewers == 0)
    kept, colours = number(page), corners(page)
    received = served.status()[0].received
    wait_until(lambda: served.status()[0].received > received + 30)
    assert (number(page), corners(page)) == (kept, colours)
    click(page, ".pause")
    shows(page, "H.264")
    hide = "Object.defineProperty(document, 'hidden', {{value: {}, configurable: true}});"
    tell = "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(hide.format("true") + tell)
    wait_until(lambda: served.status()[0].packet_viewers == 0)
    page.evaluate(hide.format("false") + tell)
    shows(page, "H.264")


def test_the_snapshot_of_a_decoded_picture_is_the_picture(
    paint: Paint, encode: Encode, preview: Callable[..., Preview], page: Chromium
) -> None:
    encode()
    paint(fps=30, width=240, height=240, ratio="3/2")
    preview()
    shows(page, "H.264")
    click(page, ".pause")
    size = "[document.querySelector('canvas').width, document.querySelector('canvas').height]"
    assert page.evaluate(size) == [360, 240]
    shown = corners(page)
    click(page, ".save")
    wait_until(lambda: any(file.read_bytes().endswith(b"\xff\xd9") for file in page.downloads.glob("cam0-*.jpg")))
    (file,) = page.downloads.glob("cam0-*.jpg")
    saved = jpeg.decode(file.read_bytes())
    file.unlink()
    assert saved.shape == (240, 360, 3)
    spots = [saved[y * 240 // 4, x * 360 // 4] for x, y in ((1, 1), (3, 1), (1, 3), (3, 3))]
    assert all(near(tuple(map(int, spot)), colour) for spot, colour in zip(spots, shown, strict=True))


def test_the_page_continues_after_a_change_of_size_an_end_and_another_encoder(
    paint: Paint, encode: Encode, preview: Callable[..., Preview], page: Chromium
) -> None:
    encoder = encode(keyint=60)
    small = paint(fps=30, width=160, height=120)
    preview()
    shows(page, "H.264")
    end(small)
    middle = paint(fps=30, width=320, height=240, end=True)
    page.wait_for("document.querySelector('canvas').width === 320")
    shows(page, "H.264")
    end(middle)
    page.wait_for("document.querySelector('.card .pill').textContent === 'Ended'")
    paint(fps=30, width=640, height=480)
    page.wait_for("document.querySelector('canvas').width === 640")
    shows(page, "H.264")
    page.wait_for("document.querySelector('.card .pill').textContent === 'Live'")
    encoder.kill()
    shows(page, "JPEG")
    assert "no other process encodes this stream" in detail(page, "Shown as")
    keep_screenshot(page, "not-encoded")
    encode(keyint=60)
    shows(page, "H.264")
    assert near(corners(page)[0], RED)


def test_a_stream_that_the_decoder_does_not_understand_is_shown_as_jpeg_and_the_page_says_why(
    paint: Paint, preview: Callable[..., Preview], page: Chromium
) -> None:
    paint(fps=30)
    # Parameter sets as x264 writes them for 320x240, and a picture of noise.
    sps = bytes.fromhex("0000000167 42c00d da05077e5c05a808080a000003000200000300791e28553b".replace(" ", ""))
    noise = sps + bytes.fromhex("0000000168ce0fc8") + b"\0\0\1\x65" + os.urandom(5000).replace(b"\0", b"\1")
    with PacketPublisher("cam0", "h264", 320, 240) as hostile:
        preview()
        for sent in itertools.count():
            hostile.publish(noise, is_keyframe=True)
            if page.evaluate(WAY) == "JPEG" and "failed 3 times" in detail(page, "Shown as"):
                break
            assert sent < 1000
        shows(page, "JPEG")
        assert near(corners(page)[0], RED)
        keep_screenshot(page, "decoder-failed")


def test_a_codec_that_the_browser_does_not_know_is_shown_as_jpeg(
    paint: Paint, preview: Callable[..., Preview], page: Chromium
) -> None:
    paint(fps=30)
    with PacketPublisher("cam0", "h264", 320, 240) as publisher:
        preview()
        while page.evaluate(WAY) != "JPEG" or "does not decode avc1.ffffff" not in detail(page, "Shown as"):
            publisher.publish(b"\0\0\1\x67\xff\xff\xff\0\0\1\x68\xee\0\0\1\x65\x88", is_keyframe=True)
        shows(page, "JPEG")


def test_max_fps_limits_what_the_page_draws(
    paint: Paint, encode: Encode, preview: Callable[..., Preview], page: Chromium
) -> None:
    encode()
    paint(fps=30)
    preview(max_fps=5)
    shows(page, "H.264")
    page.wait_for("/^[3-6]\\.\\d shown here$/.test(document.querySelector('.fps .hint').textContent)")
    page.wait_for("parseFloat(document.querySelector('.fps .value').textContent) > 20")


def own_address() -> str | None:
    """An address of this machine that is not loopback; None if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # This sends nothing.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith("127.") else address


@pytest.mark.skipif(own_address() is None, reason="this machine has no address but loopback")
def test_from_another_machine_plain_http_shows_jpeg_and_says_what_helps(
    paint: Paint, encode: Encode, preview: Callable[..., Preview], page: Chromium
) -> None:
    encode()
    paint(fps=30)
    address = own_address()
    served = preview(host=address)
    shows(page, "JPEG")
    assert page.evaluate("isSecureContext") is False
    page.wait_for("[...document.querySelectorAll('dd')].length || (document.querySelector('summary').click(), 0)")
    wait_until(lambda: "no other process" not in detail(page, "Shown as"))
    told = detail(page, "Shown as")
    assert told.startswith("JPEG, because browsers decode H.264 only on pages from HTTPS or from your own machine.")
    assert "--tls" in told
    assert f"ssh -L {served.port}:{address}:{served.port} {address}" in told
    assert f"open http://127.0.0.1:{served.port}/" in told
    assert served.status()[0].packet_viewers == 0
    keep_screenshot(page, "not-secure")


@pytest.mark.skipif(own_address() is None, reason="this machine has no address but loopback")
@pytest.mark.skipif(not is_possible(), reason="needs openssl to make certificates")
def test_from_another_machine_https_shows_h264(
    paint: Paint, encode: Encode, preview: Callable[..., Preview], page: Chromium, tmp_path: Path
) -> None:
    encode()
    paint(fps=30)
    address = own_address()
    assert address is not None
    served = preview(host=address, tls=self_signed(tmp_path, address))
    assert served.url.startswith(f"https://{address}:")
    shows(page, "H.264")
    assert page.evaluate("isSecureContext") is True
    assert near(corners(page)[0], RED)


def test_the_metrics_tell_how_many_pages_receive_packets(
    paint: Paint, encode: Encode, preview: Callable[..., Preview], page: Chromium
) -> None:
    encode()
    paint(fps=30)
    served = preview()
    shows(page, "H.264")
    wait_until(lambda: metrics(served.url)["viewers_of_packets"] == 1)
    assert metrics(served.url)["live"] == 1
