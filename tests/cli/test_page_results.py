"""The page of `iox2-video view --results` draws results on the picture of their own frame, in a real browser."""

from __future__ import annotations

import io
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2.preview import Preview
from gst_iceoryx2.results import Box, Classification, FrameKey, Keypoint, Mask, ResultsPublisher
from gst_iceoryx2.video import VideoFrame, VideoFramePublisher, VideoFrameSubscriber
from tests.cli import detector
from tests.cli.chromium import NAMES, Chromium, program
from tests.cli.conftest import CommandLine, Paint, end
from tests.cli.page_client import metrics
from tests.cli.test_page import click, moves, near, texts
from tests.conftest import Place
from tests.processes.children import Child
from tests.waiting import arrived, wait_until

av: Any = pytest.importorskip("av")

pytestmark = pytest.mark.skipif(program() is None, reason=f"none of {', '.join(NAMES)} here: apt-get install chromium")

SOURCE = "video/cam0/frame/v2"
Detect = Callable[..., Child]
WAY = "document.querySelector('canvas')?.dataset.way"

# For some seconds, what each new picture shows: its number, and the left edge of the box on it in pixels of the source.
SAMPLES = """new Promise((done) => {{
  const [picture, overlay] = document.querySelectorAll("canvas"), seen = [], until = performance.now() + {ms};
  let last = null;
  const pixels = (canvas, x, y, width) => {{
    const copy = new OffscreenCanvas(width, 1), context = copy.getContext("2d", {{willReadFrequently: true}});
    context.drawImage(canvas, -x, -y);
    return context.getImageData(0, 0, width, 1).data;
  }};
  const look = () => {{
    if (picture.dataset.number !== last) {{
      last = picture.dataset.number;
      const {{width, height}} = picture, strip = pixels(picture, 0, height - 6, width);
      let number = 0;
      for (let bit = 0; bit < 24; bit++) number = number << 1 | strip[4 * Math.floor((bit + .5) * width / 24)] > 127;
      const scale = Math.min(overlay.width / width, overlay.height / height);
      const top = (overlay.height - height * scale) / 2, left = (overlay.width - width * scale) / 2;
      const row = pixels(overlay, 0, Math.round(top + {y} * height / 360 * scale), overlay.width), columns = [];
      for (let x = 0; x < overlay.width; x++) if (row[4 * x + 3] > 127) columns.push(x);
      const edge = columns.filter((x) => x - columns[0] < 8);
      const place = columns.length ? edge.reduce((sum, x) => sum + x + .5, 0) / edge.length : null;
      seen.push([number, place === null ? null : (place - left) / scale * 640 / width]);
    }}
    if (performance.now() < until) requestAnimationFrame(look); else done(seen);
  }};
  look();
}})"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One browser for all tests, because it takes a second to start."""
    started = Chromium(tmp_path_factory.mktemp("chromium"))
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
    """Serves cam0 with the results of yolo, and opens the page."""
    started: list[Preview] = []

    def start(name: str = "cam0", **settings: Any) -> Preview:
        started.append(Preview([name], **{"results": ["yolo"]} | settings))
        page.open(started[-1].url)
        page.wait_for("document.querySelectorAll('.card').length")
        return started[-1]

    yield start
    page.open("about:blank")
    for one in started:
        one.close()


@pytest.fixture
def command(iox2_video: CommandLine) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `iox2-video`, and ends it with Ctrl-C."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        started.append(iox2_video.start(*arguments))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130


@pytest.fixture
def pattern(command: Callable[..., subprocess.Popen[str]]) -> Callable[..., subprocess.Popen[str]]:
    """Starts publishers of the test pattern."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        return command("publish", "cam0", "--test", "--size", "640x360", "--fps", "30", *arguments)

    return start


@pytest.fixture
def detect(domain: Place) -> Iterator[Detect]:
    """Starts detectors of numbers."""
    children = []

    def start(source: str = "cam0", name: str = "yolo", pause: float = 0.0, boxes: int = 1) -> Child:
        child = Child("detect", source, name, pause, boxes, acts="tests.cli.detector")
        children.append(child)
        assert child.told() == "detecting"
        return child

    yield start
    for child in children:
        end(child)


@pytest.fixture
def frame(domain: Place) -> Iterator[VideoFrame]:
    """A frame of cam0, gray and 320 pixels wide. Its publisher then pauses."""
    with VideoFramePublisher(SOURCE) as publisher, VideoFrameSubscriber(SOURCE) as subscriber:
        publisher.publish(np.full((240, 320, 3), 90, np.uint8), format="RGB")
        with arrived(subscriber.receive_blocking(60_000)) as frame:
            yield frame


@pytest.fixture
def out(frame: VideoFrame) -> Iterator[ResultsPublisher]:
    with ResultsPublisher("cam0", "yolo") as publisher:
        yield publisher


def samples(page: Chromium, seconds: float = 2.0) -> list[tuple[int, float | None]]:
    """What pictures showed: the number in their pixels, and the left edge of their box."""
    y = detector.TOP + detector.HEIGHT / 2
    return [(number, place) for number, place in page.evaluate(SAMPLES.format(ms=1000 * seconds, y=y))]


def check(seen: list[tuple[int, float | None]]) -> int:
    """Check that each box is on its own frame; return the number of pictures with a box."""
    with_box = [(number, place) for number, place in seen if place is not None]
    for number, place in with_box:
        assert abs(place - detector.left(number)) < detector.STEP / 3, seen
    return len(with_box)


def draws(page: Chromium, least: float = 0.5) -> list[tuple[int, float | None]]:
    """Wait until this part of the pictures has boxes, and check all of them."""
    found: list[list[tuple[int, float | None]]] = []

    def enough() -> bool:
        seen = samples(page)
        found.append(seen)
        return len(seen) >= 5 and check(seen) >= least * len(seen)

    page.wait_for("document.querySelector('.overlay')?.width > 0 && document.querySelector('.overlay').clientWidth")
    wait_until(enough, 60)
    return found[-1]


def detail(page: Chromium, name: str = "Results of yolo") -> str:
    """A row of the details."""
    if not page.evaluate("document.querySelector('details').open"):
        click(page, "summary")
    page.wait_for("document.querySelectorAll('dd').length")
    return dict(zip(texts(page, "dt"), texts(page, "dd"), strict=True))[name]


def screen(page: Chromium, name: str) -> np.ndarray:
    """The window as it is shown, RGB; kept in the folder IOX2_VIDEO_SCREENSHOTS, if set."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    png = page.screenshot()
    if folder := os.environ.get("IOX2_VIDEO_SCREENSHOTS"):
        Path(folder, f"{name}.png").write_bytes(png)
    with av.open(io.BytesIO(png)) as container:
        picture: np.ndarray = next(container.decode(video=0)).to_ndarray(format="rgb24")
    return picture


def canvas(page: Chromium) -> tuple[float, float, float]:
    """Left and top edge of the picture in the window, and its scale."""
    script = """(() => {
      const picture = document.querySelector("canvas"), {x, y, width, height} = picture.getBoundingClientRect();
      const scale = Math.min(width / picture.width, height / picture.height);
      return [x + (width - picture.width * scale) / 2, y + (height - picture.height * scale) / 2, scale];
    })()"""
    x, y, scale = page.evaluate(script)
    return x, y, scale


def pixel(page: Chromium, picture: np.ndarray, x: float, y: float) -> tuple[int, ...]:
    """The colour of the window at a place of the picture."""
    left, top, scale = canvas(page)
    return tuple(map(int, picture[round(top + y * scale), round(left + x * scale)]))


def colour(page: Chromium, words: str) -> tuple[int, ...]:
    """The colour in which the page draws a label."""
    script = f"""(() => {{
      const context = new OffscreenCanvas(1, 1).getContext("2d");
      context.fillStyle = colourOf({words!r});
      context.fillRect(0, 0, 1, 1);
      return Array.from(context.getImageData(0, 0, 1, 1).data.slice(0, 3));
    }})()"""
    return tuple(page.evaluate(script))


def test_each_box_is_on_the_frame_in_which_it_was_found(
    pattern: Callable[..., object], detect: Detect, preview: Callable[..., Preview], page: Chromium
) -> None:
    """The detector takes two frames' time, so boxes that are drawn on the newest picture would be elsewhere."""
    pattern()
    detect(pause=0.05)
    served = preview()
    draws(page, 0.3)
    assert page.evaluate(WAY) == "JPEG"
    assert "on their picture" in detail(page)
    assert metrics(served.url)["results_received_total"] > 10


def test_boxes_are_on_decoded_packets(
    pattern: Callable[..., object],
    encode: Callable[..., Child],
    detect: Detect,
    preview: Callable[..., Preview],
    page: Chromium,
) -> None:
    encode(keyint=60)
    pattern()
    detect(pause=0.05)
    served = preview()
    page.wait_for(f"{WAY} === 'H.264'")
    encoded = served.status()[0].encoded
    draws(page, 0.3)
    assert page.evaluate(WAY) == "H.264"
    assert served.status()[0].encoded == encoded


def test_a_rendition_shows_the_boxes_of_its_source(
    command: Callable[..., object], detect: Detect, preview: Callable[..., Preview], page: Chromium, tmp_path: Path
) -> None:
    """The rendition has black bars, which the coordinates must take into account."""
    file = tmp_path / "streams.toml"
    file.write_text('[streams.cam0]\ntest = true\nsize = "640x360"\nfps = 30\n')
    command("serve", str(file))
    detect()
    preview("cam0@320x320")
    moves(page)
    size = "[document.querySelector('canvas').width, document.querySelector('canvas').height]"
    assert page.evaluate(size) == [320, 320]
    page.wait_for("streams[0].results.current?.found.get('yolo')?.boxes.length")
    click(page, ".pause")
    page.wait_for("streams[0].results.current?.found.get('yolo')?.boxes.length")
    x, y, width, height = page.evaluate("streams[0].results.current.found.get('yolo').boxes[0].slice(0, 4)")
    assert [y, width, height] == [detector.TOP, detector.WIDTH, detector.HEIGHT]
    seen, inked = screen(page, "rendition"), colour(page, "number")
    # 640x360 pixels are shown as 320x180, below 70 rows of black.
    assert near(pixel(page, seen, x / 2, 70 + (y + height / 2) / 2), inked)
    assert near(pixel(page, seen, (x + width / 2) / 2, 70 + (y + height) / 2), inked)


def test_boxes_have_the_place_and_the_colour_of_their_label_and_can_be_switched_off(
    frame: VideoFrame, out: ResultsPublisher, preview: Callable[..., Preview], page: Chromium
) -> None:
    """Also a picture that is paused, or whose publisher pauses, gets results that come later."""
    preview()
    page.wait_for("document.querySelector('canvas')?.dataset.number >= 0")
    click(page, ".pause")
    box = Box("person", 0.91, 80, 60, 100, 120, track=7)
    cells = np.zeros((2, 2), bool)
    cells[0, 0] = True
    out.publish(
        frame,
        [box],
        keypoints=[Keypoint("nose", 110, 100, box=0)],
        classifications=[Classification("indoors", 0.8), Classification("sitting", 0.7, box=0)],
        masks=[Mask.of(cells, 200, 100, 100, 100, label="cat")],
    )
    page.wait_for("streams[0].results.current?.found.size")
    inked, gray = colour(page, "person"), (90, 90, 90)
    seen = screen(page, "everything")
    for x, y in ((80, 150), (180, 150), (150, 180)):
        assert near(pixel(page, seen, x, y), inked), (x, y)
    assert near(pixel(page, seen, 110, 100), inked)
    mixed = tuple(round(0.45 * each + 0.55 * 90) for each in colour(page, "cat"))
    assert near(pixel(page, seen, 225, 125), mixed)
    for x, y in ((275, 125), (130, 130), (20, 200)):
        assert near(pixel(page, seen, x, y), gray), (x, y)
    assert texts(page, ".results") == ["Results"]
    page.press("r")
    assert page.evaluate("document.querySelector('.results').ariaPressed") == "false"
    assert near(pixel(page, screen(page, "off"), 80, 150), gray)
    wait_until(lambda: detail(page).startswith("not shown"))
    click(page, ".results")
    page.wait_for("streams[0].results.current?.found.size")
    assert near(pixel(page, screen(page, "on"), 80, 150), inked)
    page.press("f")
    page.wait_for("!!document.querySelector('.card.full')")
    for exact in (False, True):
        if exact:
            click(page, ".exactly")
        assert near(pixel(page, screen(page, f"full-{exact}"), 80, 150), inked)


def test_labels_are_only_text_and_many_boxes_are_bounded(
    frame: VideoFrame, out: ResultsPublisher, preview: Callable[..., Preview], page: Chromium
) -> None:
    preview()
    page.wait_for("document.querySelector('canvas')?.dataset.number >= 0")
    hostile = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
    odd = ["\u202eright", "\x1b[31m", "é" * 2000, "", "\n" * 100, "'\"`${1}"]
    out.publish(
        frame,
        [Box(label, 1, 10, 10 + 20 * row, 30, 10) for row, label in enumerate([hostile, *odd])],
        classifications=[Classification(hostile, 1)],
    )
    page.wait_for("streams[0].results.current?.found.size")
    labels = page.evaluate("streams[0].results.current.found.get('yolo').labels")
    assert labels[0] == hostile[:39] + "…"
    assert all(len(label) <= 40 for label in labels)
    assert labels[1:3] == ["\\u202eright", "\\x1b[31m"]
    screen(page, "hostile")
    assert page.evaluate("document.title") == "cam0 – iox2-video"
    assert page.evaluate("document.querySelectorAll('script, img').length") == 1
    far = 3.4e38
    with ResultsPublisher("cam0", "many") as many:
        served = preview(results=["many"])
        page.wait_for("document.querySelector('canvas')?.dataset.number >= 0")
        many.publish(frame, [Box("a", 1, 100, 100, 40, 40), Box(None, far, -far, -far, far, far)] * 50_000)
        page.wait_for("streams[0].results.current?.found.size")
        drawn = "streams[0].results.current.found.get('many')"
        assert page.evaluate(f"[{drawn}.boxes.length, {drawn}.left]") == [2000, 98_000]
        assert near(pixel(page, screen(page, "many"), 100, 120), colour(page, "a"))
        huge = [Mask.of(np.ones((3000, 4000), bool), 0, 0, 160, 240, label="a")] * 30
        many.publish(frame, masks=huge)
        # A second result for the same frame is not drawn.
        wait_until(lambda: served.status()[0].results[0].received == 2)
        assert page.evaluate(f"{drawn}.boxes.length") == 2000


def test_a_detector_that_is_slow_killed_or_restarted_neither_delays_pictures_nor_marks_other_frames(
    pattern: Callable[..., object], detect: Detect, preview: Callable[..., Preview], page: Chromium
) -> None:
    pattern()
    quick = detect(pause=0.03)
    served = preview()
    draws(page, 0.3)
    quick.kill()
    # Pictures do not wait any more, and no box remains.
    page.wait_for("streams[0].results.held.length === 0 && !streams[0].results.current?.found.size")
    seen = samples(page, 3)
    assert check(seen) == 0
    assert len(seen) >= 10
    assert page.evaluate("streams[0].results.held.length") == 0
    wait_until(lambda: detail(page).startswith("the detector does not run"))
    # It takes ten frames' time.
    slow = detect(pause=0.33)
    late = "streams[0].results.count('yolo').late"
    before = page.evaluate(late)
    page.wait_for(f"{late} >= {before} + 3")
    assert check(samples(page, 3)) <= 1
    assert "too late" in detail(page)
    end(slow)
    detect(pause=0.03)
    draws(page, 0.3)
    assert served.status()[0].results[0].invalid == 0


def test_a_restarted_source_does_not_get_the_boxes_of_its_earlier_frames(
    pattern: Callable[..., subprocess.Popen[str]], detect: Detect, preview: Callable[..., Preview], page: Chromium
) -> None:
    """Sequence numbers begin anew, but the publisher is another one."""
    first = pattern()
    detect(pause=0.05)
    preview()
    draws(page, 0.3)
    first.kill()
    first.wait()
    pattern("--format", "NV12")
    page.wait_for("streams[0].status.format === 'NV12'")
    draws(page, 0.3)


def test_several_detectors_are_drawn_at_once(
    pattern: Callable[..., object], detect: Detect, preview: Callable[..., Preview], page: Chromium
) -> None:
    pattern()
    detect(name="yolo")
    detect(name="pose", pause=0.03)
    preview(results=["yolo", "pose", "absent"])
    page.wait_for("streams[0].results.current?.found.size === 2", 60)
    draws(page, 0.3)
    assert "0 received" in detail(page, "Results of absent")


def test_a_stream_without_stamps_is_shown_without_results(
    preview: Callable[..., Preview], page: Chromium, domain: Place
) -> None:
    with VideoFramePublisher(SOURCE, aux_bytes=0) as publisher:
        preview()
        picture = np.zeros((48, 64), np.uint8)
        wait_until(
            lambda: (
                publisher.publish(picture, format="GRAY8") is not None
                and page.evaluate("document.querySelector('canvas')?.dataset.number > 3")
            ),
            60,
        )
        assert page.evaluate("streams[0].results.current") is None


def test_a_page_without_detectors_has_no_switch(paint: Paint, preview: Callable[..., Preview], page: Chromium) -> None:
    paint()
    preview(results=[])
    moves(page)
    assert page.evaluate("document.querySelector('.results').checkVisibility()") is False
    assert page.evaluate("document.querySelectorAll('canvas').length") == 1
    page.press("r")
    assert page.evaluate("streams[0].results.on") is True


def test_the_command_draws_results(
    pattern: Callable[..., object], detect: Detect, command: Callable[..., subprocess.Popen[str]], page: Chromium
) -> None:
    pattern()
    detect()
    process = command("view", "cam0", "--results", "yolo", "--results-wait", "0.2", "--no-browser")
    assert process.stdout is not None
    page.open(process.stdout.readline().strip())
    page.wait_for("document.querySelectorAll('.card').length")
    page.wait_for("streams[0].results.current?.found.size", 60)
    assert page.evaluate("resultsWait") == 200
    page.open("about:blank")


def test_the_key_of_a_released_frame_is_enough(
    frame: VideoFrame, out: ResultsPublisher, preview: Callable[..., Preview], page: Chromium
) -> None:
    """Results that were published before the page was opened are drawn as well."""
    out.publish(FrameKey.of(frame), [Box("a", 1, 100, 100, 50, 50)])
    preview()
    page.wait_for("streams[0]?.results.current?.found.size")
    assert near(pixel(page, screen(page, "earlier"), 100, 125), colour(page, "a"))
