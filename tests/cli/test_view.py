"""`iox2-video view` without a browser: what the server says, to whom, and what it costs."""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import iceoryx2 as iox2
import numpy as np
import pytest

from gst_iceoryx2 import jpeg
from gst_iceoryx2._wire.header import NONE_U64
from gst_iceoryx2.preview import Preview, encode_png
from gst_iceoryx2.video import VideoFrameHeader, VideoFramePublisher, build_aux
from tests.cli.conftest import CommandLine, Paint, Views, end
from tests.cli.page_client import PageClient, get, metrics
from tests.cli.painter import BLUE, GREEN, RED, gray, picture
from tests.damage import sound_frame
from tests.transport.raw import RawPublisher
from tests.transport.raw import node as raw_node
from tests.waiting import wait_until

SERVICE = "video/cam0/frame/v2"


def colours(rgb: np.ndarray) -> list[tuple[int, ...]]:
    """The middles of the four quarters."""
    height, width = rgb.shape[:2]
    spots = [(height // 4, width // 4), (height // 4, 3 * width // 4), (3 * height // 4, width // 4)]
    return [tuple(map(int, rgb[spot])) for spot in [*spots, (3 * height // 4, 3 * width // 4)]]


def close_to(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 8


def is_painted(rgb: np.ndarray) -> bool:
    red, green, blue, last = colours(rgb)
    grays = [(gray(number),) * 3 for number in range(10)]
    return (
        close_to(red, RED) and close_to(green, GREEN) and close_to(blue, BLUE) and any(close_to(last, g) for g in grays)
    )


# --- who comes in ---


def test_nothing_is_told_without_the_token(view: Views) -> None:
    url = view("cam0")
    root, token = re.fullmatch(r"(http://127\.0\.0\.1:\d+/)([\w-]{32})/", url).groups()  # type: ignore[union-attr]
    for path in ("", "metrics", "live", f"{token[:-1]}/", f"{token}x/metrics", f"x/{token}/", "%00/"):
        answer = get(root + path)
        assert answer.status == 403
        assert "cam0" not in answer.text
        assert token not in answer.text
    assert get(root + token).headers["Location"] == f"/{token}/"
    page = get(url)
    assert page.status == 200
    assert page.text.startswith("<!doctype html>")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert get(url + "elsewhere").status == 404


def test_each_start_has_another_token(view: Views) -> None:
    assert view("cam0").rsplit("/", 2)[1] != view("cam0").rsplit("/", 2)[1]


def test_the_address_stays_the_same_with_a_token_file(view: Views, iox2_video: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "token"
    first = view("cam0", "--token-file", str(file)).rsplit("/", 2)[1]
    assert first == file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert view("cam0", "--token-file", str(file)).rsplit("/", 2)[1] == first
    file.chmod(0o640)
    done = iox2_video("view", "cam0", "--token-file", str(file))
    assert done.returncode == 2
    assert "other users can read" in done.stderr
    file.chmod(0o600)
    file.write_text("short\n")
    done = iox2_video("view", "cam0", "--token-file", str(file))
    assert (done.returncode, "16 or more" in done.stderr) == (2, True)
    done = iox2_video("view", "cam0", "--token-file", str(tmp_path / "nowhere" / "token"))
    assert (done.returncode, "No such file" in done.stderr) == (1, True)


def test_a_name_that_is_not_this_machines_is_refused(view: Views) -> None:
    """A page from elsewhere whose own name was made to point here."""
    url = view("cam0")
    for host in ("evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil.example:80", "[", "@"):
        assert get(url, Host=host).status == 421, host


def test_every_port_is_good_so_that_ports_can_be_forwarded(view: Views) -> None:
    url = view("cam0")
    for host in ("localhost", "localhost:1", "LOCALHOST:80", "127.0.0.1:8080", "[::1]:99", "127.0.0.2"):
        assert get(url, Host=host).status == 200, host


def test_a_script_of_another_page_gets_no_pictures(view: Views) -> None:
    url = view("cam0")
    for origin in ("http://evil.example", "null", "http://["):
        with pytest.raises(ConnectionRefusedError, match="403"):
            PageClient(url, origin=origin)
    PageClient(url, origin=url.rsplit("/", 2)[0]).close()


def test_it_listens_on_the_loopback_only_unless_told_otherwise_and_then_warns(
    iox2_video: CommandLine, view: Views
) -> None:
    port = int(view("cam0").split(":")[2].split("/")[0])
    elsewhere = next(iter({each[4][0] for each in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}))
    if not elsewhere.startswith("127."):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((elsewhere, port), 5)
    url = view("cam0", "--host", "0.0.0.0")
    assert view.says("Warning: other machines can reach 0.0.0.0")
    token = url.rsplit("/", 2)[1]
    own = f"http://127.0.0.1:{url.split(':')[2].split('/')[0]}/{token}/"
    assert get(own, Host="192.0.2.7:1234").status == 200
    assert get(own, Host=socket.gethostname()).status == 200
    assert get(own, Host="evil.example").status == 421


def test_without_a_display_the_address_is_enough(view: Views) -> None:
    view("cam0")
    assert view.says("No display")


def test_the_browser_is_given_a_private_file_and_no_token(view: Views, tmp_path: Path) -> None:
    """Every user can read the arguments of every process."""
    browser, told = tmp_path / "browser", tmp_path / "told"
    browser.write_text(f'#!/bin/sh\necho "$@" >{told}.part\nmv {told}.part {told}\n')
    browser.chmod(0o755)
    url = view("cam0", BROWSER=f"{browser} %s", XDG_RUNTIME_DIR=str(tmp_path))
    wait_until(told.exists)
    file = Path(told.read_text().strip().removeprefix("file://"))
    assert url in file.read_text()
    assert url.rsplit("/", 2)[1] not in told.read_text()
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    view.processes[-1].terminate()
    assert view.processes[-1].wait(10) == 128 + signal.SIGTERM
    assert not file.exists()


# --- pictures ---


def test_the_pictures_are_the_publishers_and_move(paint: Paint, view: Views) -> None:
    paint(fps=20)
    with PageClient(view("cam0"), watch=[0]) as client:
        shown = [client.picture() for _ in range(12)]
    numbers = [one.about["number"] for one in shown]
    assert numbers == sorted(set(numbers))
    assert all(is_painted(one.rgb) for one in shown)
    assert len({colours(one.rgb)[3] for one in shown}) >= 3
    assert {(one.about["width"], one.about["height"]) for one in shown} == {(320, 240)}
    assert all(one.about["encoded"] >= one.about["captured"] for one in shown)


def test_several_streams_come_through_one_connection(paint: Paint, view: Views) -> None:
    paint("cam0", width=320)
    paint("cam1", width=160)
    with PageClient(view("cam0", "cam1"), watch=[0, 1]) as client:
        widths = {}
        while len(widths) < 2:
            one = client.picture()
            widths[one.about["stream"]] = one.about["width"]
    assert widths == {0: 320, 1: 160}


def test_the_encoder_runs_only_while_somebody_watches(paint: Paint, view: Views) -> None:
    paint()
    url = view("cam0")
    wait_until(lambda: metrics(url)["frames_received_total"] > 10)
    with PageClient(url) as client:
        client.status(state="live")
        assert metrics(url)["pictures_encoded_total"] == 0
        client.say(watch=[0])
        for _ in range(5):
            client.picture()
        client.say(watch=[])
        # Whatever was on its way.
        wait_until(lambda: metrics(url)["viewers_waiting"] == 0)
        encoded, received = (metrics(url)[f"{name}_total"] for name in ("pictures_encoded", "frames_received"))
        wait_until(lambda: metrics(url)["frames_received_total"] > received + 10)
        assert metrics(url)["pictures_encoded_total"] <= encoded + 1


def test_viewers_share_each_picture(paint: Paint, view: Views) -> None:
    paint(fps=10)
    url = view("cam0")
    with PageClient(url, watch=[0]) as one, PageClient(url, watch=[0]) as other:
        shown = [(one.picture(), other.picture()) for _ in range(12)]
        first, second = ({each.about["number"]: each.jpeg for each in side} for side in zip(*shown, strict=True))
        both = first.keys() & second.keys()
        assert len(both) >= 6
        assert all(first[number] == second[number] for number in both)
        counted = metrics(url)
    assert counted["pictures_encoded_total"] <= counted["frames_received_total"]


def test_a_viewer_that_confirms_nothing_gets_three_pictures_and_no_more(paint: Paint, view: Views) -> None:
    paint()
    url = view("cam0")
    with PageClient(url, watch=[0]) as client:
        pictures, statuses = [], 0
        while statuses < 4:
            one = client.next()
            if isinstance(one, dict):
                statuses += len(pictures) == 3
            else:
                pictures.append(one)
        assert len(pictures) == 3
        encoded = metrics(url)["pictures_encoded_total"]
        client.say(drawn=[0, pictures[-1].about["number"]])
        following = client.picture()
    assert following.about["number"] >= encoded - 1, "it shall get the newest, not what it missed"


def test_a_stalled_viewer_stalls_nobody_and_memory_stays_flat(paint: Paint, view: Views) -> None:
    paint(width=1280, height=720, fps=60)
    url = view("cam0", "--quality", "100")
    pid = view.processes[-1].pid
    # They read nothing, not even into a buffer of their own; these do.
    stalled = [PageClient(url, watch=[0]) for _ in range(4)]
    with PageClient(url, watch=[0]) as client:
        for _ in range(40):
            client.picture()
        before = resident(pid)
        first = client.picture().about["number"]
        for _ in range(150):
            last = client.picture().about["number"]
        assert last - first >= 150
        assert resident(pid) - before < 24 << 20
    for each in stalled:
        each.close()
    wait_until(lambda: metrics(url)["viewers"] == 0)


def resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_no_more_pictures_come_than_asked_for(paint: Paint, view: Views) -> None:
    paint(fps=60)
    url = view("cam0", "--max-fps", "5")
    with PageClient(url, watch=[0]) as client:
        shown = [client.picture() for _ in range(10)]
    took = (shown[-1].about["encoded"] - shown[0].about["encoded"]) / 1000
    assert took >= 9 / 5 * 0.85


def test_who_comes_late_sees_the_picture_of_a_publisher_that_pauses(paint: Paint, view: Views) -> None:
    paint(count=4)
    url = view("cam0")
    wait_until(lambda: metrics(url)["frames_received_total"] >= 1)
    wait_until(lambda: metrics(url)["live"] == 0)
    with PageClient(url, watch=[0]) as client:
        shown = client.picture()
        assert is_painted(shown.rgb)
        assert close_to(colours(shown.rgb)[3], (gray(3),) * 3), "it shall be the newest"
        received = client.status(state="silent")["received"]
        client.say(watch=[])
        client.say(watch=[0])
        assert client.status(state="silent")["received"] == received, "the same frame counts once"


def test_the_picture_goes_on_when_the_publisher_comes_back_with_another_size(paint: Paint, view: Views) -> None:
    first = paint(width=320, height=240)
    url = view("cam0")
    with PageClient(url, watch=[0]) as client:
        assert client.picture().rgb.shape == (240, 320, 3)
        end(first)
        paint(width=648, height=486)
        while (shown := client.picture()).about["width"] == 320:
            pass
        assert shown.rgb.shape == (486, 648, 3)
        assert is_painted(shown.rgb)
        assert client.status(state="live")["width"] == 648


def test_the_end_of_the_stream_is_told(paint: Paint, view: Views) -> None:
    paint(count=3, end=True)
    with PageClient(view("cam0"), watch=[0]) as client:
        client.status(state="ended")


def test_a_stream_that_is_not_there_yet_is_waited_for(paint: Paint, view: Views) -> None:
    url = view("cam0", "--no-browser")
    assert "no such stream" in view.says("Waiting:")
    with PageClient(url, watch=[0]) as client:
        client.status(state="waiting", width=None)
        paint()
        assert is_painted(client.picture().rgb)
        client.status(state="live", width=320, format="RGB")


def test_a_name_given_twice_is_one_stream(view: Views) -> None:
    with PageClient(view("cam0", SERVICE)) as client:
        message = client.next()
        assert isinstance(message, dict)
        assert [stream["name"] for stream in message["streams"]] == [SERVICE]


NONSENSE = (
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
"""Code of the close frame that answers it, the first byte of a frame, its payload, whether that is masked."""


@pytest.mark.proves("H9")
def test_a_viewer_that_talks_nonsense_is_sent_away_and_the_others_stay(paint: Paint, view: Views) -> None:
    """Numbers beyond what a float can hold ended with a traceback."""
    paint()
    url = view("cam0")
    with PageClient(url, watch=[0]) as good:
        for code, first, payload, masked in NONSENSE:
            with PageClient(url) as bad:
                bad.send_raw(first, payload, masked)
                assert bad.close_code() == code, (first, payload)
        assert is_painted(good.picture().rgb)


def test_a_length_of_64_bits_is_read_as_one(view: Views) -> None:
    """It was read as 127, and the eight bytes of the length as mask and text."""
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


# --- metrics ---


def test_the_metrics_are_prometheus_text(paint: Paint, view: Views) -> None:
    paint()
    url = view("cam0", "nobody")
    wait_until(lambda: metrics(url)["frames_received_total"] > 3)
    answer = get(url + "metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert answer.text.endswith("\n")
    kinds: dict[str, str] = {}
    for line in answer.text.splitlines():
        if match := re.fullmatch(r"# TYPE (\w+) (gauge|counter)", line):
            kinds[match[1]] = match[2]
        elif not re.fullmatch(r"# HELP \w+ \S.*", line):
            sample = re.fullmatch(r'(\w+)(\{service="([^"\\\n]|\\.)*"\})? (-?[0-9.e+-]+)', line)
            assert sample, line
            assert sample[1] in kinds
            assert sample[1].endswith("_total") == (kinds[sample[1]] == "counter")
    assert 'iox2_video_live{service="video/cam0/frame/v2"} 1' in answer.text
    assert 'iox2_video_live{service="video/nobody/frame/v2"} 0' in answer.text
    assert 'frame_width_pixels{service="video/nobody' not in answer.text


# --- ends and errors ---


def test_a_taken_port_is_named(iox2_video: CommandLine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = iox2_video("view", "cam0", "--port", str(port))
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: port {port} of 127.0.0.1 is in use")
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "NAME"),
        (("cam0", "--quality", "0"), 2, "--quality"),
        (("cam0", "--max-fps", "0"), 2, "--max-fps"),
        (("cam0", "--port", "70000"), 2, "--port"),
        (("sh4lt:/tmp/x",), 2, "bridge"),
        (("cam0", "--host", "192.0.2.1"), 1, "not an address of this machine"),
        (("cam0", "--snapshot", "picture.gif"), 2, ".jpg or .png"),
        (("cam0", "cam1", "--snapshot", "picture.png"), 2, "one"),
        (("cam0", "--snapshot", "picture.png", "--timeout", "0.3"), 3, 'no such stream "cam0'),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    iox2_video: CommandLine, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = iox2_video("view", *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stdout == ""
    assert [line.startswith("Error: ") for line in done.stderr.splitlines()][-1]
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_it_while_somebody_watches(paint: Paint, view: Views) -> None:
    paint()
    with PageClient(view("cam0"), watch=[0]) as client:
        client.picture()
        process = view.processes[-1]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        opcode = 0
        while opcode != 8:
            opcode, _ = client.receive()


# --- snapshots ---


@pytest.mark.parametrize("ending", ["jpg", "jpeg", "JPG"])
def test_a_snapshot_as_jpeg_is_the_picture(paint: Paint, iox2_video: CommandLine, tmp_path: Path, ending: str) -> None:
    paint()
    file = tmp_path / f"picture.{ending}"
    done = iox2_video("view", "cam0", "--snapshot", str(file))
    assert done.returncode == 0, done.stderr
    assert is_painted(jpeg.decode(file.read_bytes()))
    assert done.stderr.startswith(f"{file}: 320x240, {file.stat().st_size} bytes")
    assert done.stdout == ""


def test_a_snapshot_as_png_is_the_picture_bit_by_bit(paint: Paint, iox2_video: CommandLine, tmp_path: Path) -> None:
    paint(count=6)
    file = tmp_path / "picture.png"
    file.write_text("something old")
    done = iox2_video("view", "cam0", "--snapshot", str(file))
    assert done.returncode == 0, done.stderr
    saved = decoded_png(file.read_bytes())
    assert any(np.array_equal(saved, picture(number, 320, 240)) for number in range(6))
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize(("ratio", "size"), [("2/1", (640, 240)), ("3/4", (320, 320)), ("999999/1", (320, 240))])
@pytest.mark.proves("C7")
def test_a_snapshot_has_square_pixels(
    paint: Paint, iox2_video: CommandLine, tmp_path: Path, ratio: str, size: tuple[int, int]
) -> None:
    """What was filmed anamorphic was saved too narrow. A ratio that cannot be meant is left alone."""
    paint(ratio=ratio, count=6)
    for name in ("picture.png", "picture.jpg"):
        done = iox2_video("view", "cam0", "--snapshot", str(tmp_path / name))
        assert done.returncode == 0, done.stderr
        assert f": {size[0]}x{size[1]}, " in done.stderr
    data = (tmp_path / "picture.png").read_bytes()
    for saved in (decoded_png(data), jpeg.decode((tmp_path / "picture.jpg").read_bytes())):
        assert saved.shape == (size[1], size[0], 3)
        assert is_painted(saved)


def test_the_page_is_told_the_shape_of_pictures(paint: Paint, view: Views) -> None:
    paint(ratio="2/1")
    with PageClient(view("cam0"), watch=[0]) as client:
        about = client.picture().about
        assert (about["width"], about["height"], about["shown"]) == (320, 240, [640, 240])


def test_a_snapshot_of_a_publisher_without_frames_ends_with_3(
    domain: object, iox2_video: CommandLine, tmp_path: Path
) -> None:
    with VideoFramePublisher(SERVICE):
        done = iox2_video("view", "cam0", "--snapshot", str(tmp_path / "a.png"), "--timeout", "0.5")
    assert done.returncode == 3
    assert "0.5 s" in done.stderr
    assert not (tmp_path / "a.png").exists()


def test_a_snapshot_ends_in_time_although_frames_come_that_are_refused(
    domain: object, iox2_video: CommandLine, tmp_path: Path
) -> None:
    """Its timeout did not count while another frame was waiting."""
    lying, size = sound_frame("BGR", 16, 8)
    lists = f"a={'<' * 6}{'{1},' * 3800}{'>' * 6}"
    blobs = [build_aux(f"video/x-raw, format=(string)BGR, width=(int)17, x=(int){x}, {lists}", []) for x in (1, 2)]
    lying.aux_size = len(blobs[0])
    raw, ends = RawPublisher(SERVICE, buffer_size=8), threading.Event()

    def send() -> None:
        for blob in itertools.cycle(blobs):
            raw.send(lying, bytes(size) + blob)
            if ends.wait(0.002):
                break

    sender = threading.Thread(target=send)
    sender.start()
    try:
        done = iox2_video("view", "cam0", "--snapshot", str(tmp_path / "a.png"), "--timeout", "0.5")
    finally:
        ends.set()
        sender.join()
        raw.close()
    assert done.returncode == 3
    assert re.search(r"within 0\.5 s: \d+ frames were refused", done.stderr)


def test_a_snapshot_that_cannot_be_written_names_the_path(
    paint: Paint, iox2_video: CommandLine, tmp_path: Path
) -> None:
    paint()
    file = tmp_path / "nowhere" / "a.png"
    done = iox2_video("view", "cam0", "--snapshot", str(file))
    assert done.returncode == 1
    assert done.stderr == f"Error: cannot write {file}: No such file or directory\n"


@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 1, 3), (8, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, ">u2"])
def test_png_pictures_decode_to_what_they_were(shape: tuple[int, ...], dtype: Any) -> None:
    if len(shape) == 3 and dtype != np.uint8:
        shape = shape[:2]
    array = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    assert np.array_equal(decoded_png(encode_png(array)), array)


def decoded_png(data: bytes) -> np.ndarray:
    """Decode a PNG picture of one channel or three, with any filter but Paeth's."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length) == (zlib.crc32(kind + body),)
        chunks[kind] = body
        at += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    channels = {0: 1, 2: 3}[colour]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert set(rows[:, 0]) == {2}
    pixels = np.cumsum(rows[:, 1:].astype(np.uint64), 0).astype(np.uint8)
    whole = np.ascontiguousarray(pixels).view(np.uint8 if depth == 8 else ">u2")
    return whole.reshape((height, width, 3) if channels == 3 else (height, width))


# --- from Python ---


def test_nothing_is_borrowed_while_a_preview_waits(paint: Paint) -> None:
    paint(count=3)
    with Preview(["cam0"]) as preview:
        with PageClient(preview.url, watch=[0]) as client:
            client.picture()
        subscriber = preview._channels[0]._subscriber
        assert subscriber is not None
        wait_until(lambda: subscriber.stats.held == 0)
        assert preview.status()[0].width == 320
        wait_until(lambda: preview.viewers == 0)


def test_a_picture_that_cannot_be_made_is_a_problem_until_another_one_can(domain: object) -> None:
    tiled = VideoFrameHeader()
    tiled.pts = tiled.dts = tiled.duration = tiled.offset = NONE_U64
    tiled.width, tiled.height, tiled.n_planes, tiled.format_name = 16, 8, 2, "NV12_64Z32"
    tiled.stride[:2], tiled.plane_offsets[:2] = [16, 16], [0, 128]
    raw = RawPublisher(SERVICE)
    with Preview(["cam0"]) as preview, PageClient(preview.url, watch=[0]) as client:
        client.status(state="waiting")
        wait_until(lambda: raw.send(tiled, bytes(192)) or preview.status()[0].problem)
        assert "NV12_64Z32" in client.status(state="problem")["problem"]
        raw.close()
        with VideoFramePublisher(SERVICE) as publisher:
            wait_until(lambda: publisher.publish(np.zeros((48, 64, 3), np.uint8)))
            assert client.picture().about["width"] == 64
            assert client.status(state="live")["problem"] is None


def test_a_service_of_another_kind_is_refused_at_once(domain: object, iox2_video: CommandLine) -> None:
    node = raw_node()
    other = node.service_builder(iox2.ServiceName.new(SERVICE)).publish_subscribe(ctypes.c_uint64).create()
    done = iox2_video("view", "cam0", "--no-browser")
    assert done.returncode == 1
    assert "carries u64" in done.stderr
    del other, node


def test_a_preview_refuses_what_makes_no_sense(domain: object) -> None:
    for arguments, named in (
        ({"names": []}, "names"),
        ({"names": ["cam0"], "quality": 101}, "quality"),
        ({"names": ["cam0"], "max_fps": 0}, "max_fps"),
        ({"names": ["cam0"], "token": "short"}, "token"),
        ({"names": ["zenoh:cam"]}, "zenoh:cam"),
    ):
        with pytest.raises(ValueError, match=named):
            Preview(**arguments)  # type: ignore[arg-type]


def test_it_can_be_closed_twice_and_from_another_thread(domain: object) -> None:
    preview = Preview(["cam0"])
    threading.Timer(0.05, preview.close).start()
    preview.wait()
    preview.close()


def test_importing_the_command_line_for_help_imports_no_encoder() -> None:
    program = "import sys, gst_iceoryx2.cli.view; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"simplejpeg", "numpy", "iceoryx2"} & set(loaded)
