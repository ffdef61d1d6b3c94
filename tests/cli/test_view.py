"""`iox2-video view` without a browser: access, pictures, metrics, ends and errors."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import iceoryx2 as iox2
import numpy as np
import pytest

from gst_iceoryx2._wire.header import NONE_U64
from gst_iceoryx2.preview import Preview
from gst_iceoryx2.video import VideoFrameHeader, VideoFramePublisher
from tests.cli.conftest import CommandLine, Paint, Views, end
from tests.cli.page_client import Answer, PageClient, get, metrics
from tests.cli.painter import close_to, colours, gray, is_painted
from tests.transport.raw import RawPublisher
from tests.transport.raw import node as raw_node
from tests.waiting import wait_until

SERVICE = "video/cam0/frame/v2"


# --- access ---


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
    assert (done.returncode, "use at least 16" in done.stderr) == (2, True)
    done = iox2_video("view", "cam0", "--token-file", str(tmp_path / "nowhere" / "token"))
    assert (done.returncode, "No such file" in done.stderr) == (1, True)


def test_a_name_that_is_not_this_machines_is_refused(view: Views) -> None:
    """DNS rebinding: a page from another site, whose name points to this machine."""
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
    """All users can read the arguments of all processes."""
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
    assert view.processes[-1].wait(60) == 128 + signal.SIGTERM
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


def test_the_encoder_runs_only_while_a_viewer_watches(paint: Paint, view: Views) -> None:
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
        # Pictures that were on their way.
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
    # The stalled viewers read nothing; these viewers read.
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


# --- metrics ---


def test_the_metrics_are_prometheus_text(paint: Paint, view: Views) -> None:
    paint()
    answers: list[Answer] = []
    url = view("cam0", "nobody")
    live = 'iox2_video_live{service="video/cam0/frame/v2"} 1'
    wait_until(lambda: metrics(url)["frames_received_total"] > 3)
    # A publisher on a busy machine may pause.
    wait_until(lambda: live in (answer := get(url + "metrics")).text and answers.append(answer) is None)
    (answer,) = answers
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
    assert done.stderr.startswith(f"Error: port {port} on 127.0.0.1 is in use")
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


def test_ctrl_c_ends_it_while_a_viewer_watches(paint: Paint, view: Views) -> None:
    paint()
    with PageClient(view("cam0"), watch=[0]) as client:
        client.picture()
        process = view.processes[-1]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        opcode = 0
        while opcode != 8:
            opcode, _ = client.receive()


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
