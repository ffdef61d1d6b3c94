"""`iox2-video serve` with cameras: on demand, unplugged, busy, in another size, killed, and again and again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from gst_iceoryx2.discovery import full_name
from gst_iceoryx2.video import VideoFrame, VideoFrameSubscriber
from tests.camera.conftest import Camera, plug, unplug
from tests.cli.commands import Command
from tests.cli.conftest import CommandLine, iox2_video
from tests.cli.recordings import decoded
from tests.conftest import Place
from tests.processes.children import Child
from tests.serve.conftest import WAIT, WAIT_MS, Serve, _cleaned, first, reader, runs, serve
from tests.waiting import arrived, wait_until

__all__ = ["_cleaned", "iox2_video", "reader", "serve"]

Commands = Callable[..., Command]
Serves = Callable[..., Serve]
Readers = Callable[[str], Child]

# Numbers of vivid's test patterns.
RED, GREEN, BLUE, RAMP = 7, 8, 9, 20
RGB = {RED: (255, 0, 0), GREEN: (0, 255, 0), BLUE: (0, 0, 255)}


def table(name: str, device: str, *more: str, size: str = "320x180") -> str:
    """Return the table of a camera in streams.toml."""
    lines = [f"[streams.{name}]", f'camera = "{device}"', f'size = "{size}"', "fps = 15", 'stop_after = "0.5s"']
    return "\n".join([*lines, *more, ""])


def shows(frame: VideoFrame, pattern: int) -> bool:
    """Whether every pixel of a frame has the colour of a test pattern."""
    return bool((abs(frame.to_rgb().astype(int) - RGB[pattern]) <= 8).all())


def see(subscriber: VideoFrameSubscriber, pattern: int, count: int = 3) -> None:
    """Wait for a frame with this colour; the frames after it must have it, too."""
    wait_until(lambda: shows(arrived(subscriber.receive_blocking(WAIT_MS)), pattern), WAIT)
    assert all(shows(arrived(subscriber.receive_blocking(WAIT_MS)), pattern) for _ in range(count))


def users(device: str) -> set[int]:
    """The processes that have a device open."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if os.readlink(link) == device:
                found.add(int(link.parts[2]))
    return found


def skip(child: Child) -> None:
    """Forget what a reader has reported so far."""
    while not child._told.empty():
        child.told()


def reports(child: Child, count: int) -> list[list[object]]:
    """Return the next reports of a reader, which must not be that the stream has ended."""
    found = [child.told(WAIT) for _ in range(count)]
    assert "end" not in found
    return found


def error_of(supervisor: Serve, name: str) -> str:
    """The error that the supervisor tells about a stream; empty if there is none."""
    entry = supervisor.entry(name)
    return (entry and entry.error) or ""


# -- demand ----------------------------------------------------------------------------------------------------------


def test_each_camera_is_opened_for_its_first_reader_and_closed_after_its_last_one(
    cameras: tuple[Camera, Camera], serve: Serves, iox2_video: CommandLine
) -> None:
    left, right = cameras
    left.paint(RED)
    right.paint(GREEN)
    supervisor = serve(table("left", left.path) + table("right", right.path))
    supervisor.wait_for("right", "off")
    with VideoFrameSubscriber(full_name("left")) as one:
        see(one, RED)
        assert supervisor.state("right") == "off"
        assert (len(users(left.path)), users(right.path)) == (1, set())
        said = iox2_video("info", "left").stdout
        assert f"camera vivid, YUYV, written by the driver into shared memory, no copy; {left.path}" in said
        with VideoFrameSubscriber(full_name("right")) as other:
            see(other, GREEN)
            see(one, RED)
            with (
                VideoFrameSubscriber(full_name("left@64x36-RGB")) as small,
                VideoFrameSubscriber(full_name("right@x48-RGB+crop")) as low,
            ):
                see(small, RED)
                see(low, GREEN)
                # A rendition does not open its camera once more.
                assert [len(users(camera.path)) for camera in cameras] == [1, 1]
                assert len(supervisor.children()) == 4
                listed = {one["short_name"]: one for one in iox2_video.json("list", "--json")["streams"]}
                assert {one["served"]["state"] for one in listed.values()} == {"running"}
                assert "no copy" in listed["right"]["served"]["about"]
    for name in ("left", "right"):
        supervisor.wait_for(name, "off")
    wait_until(lambda: not supervisor.children(), WAIT)
    assert not users(left.path) | users(right.path)


def test_a_served_camera_is_recorded_and_viewed(
    camera: Camera, serve: Serves, command: Commands, tmp_path: Path
) -> None:
    camera.paint(RED)
    supervisor = serve(table("cam0", camera.path))
    supervisor.wait_for("cam0", "off")
    command("record", "cam0", "a.mkv", "--codec", "ffv1", "--frames", "6", "--timeout", "60").ends(0, 120)
    supervisor.wait_for("cam0", "off")
    command("view", "cam0@160x-RGB", "--snapshot", "a.png", "--timeout", "60").ends(0, 120)
    supervisor.wait_for("cam0", "off")
    recorded, snapshot = decoded(tmp_path / "a.mkv"), decoded(tmp_path / "a.png")
    assert (len(recorded), len(snapshot)) == (6, 1)
    assert (snapshot[0].width, snapshot[0].height) == (160, 90)
    for frame in [*recorded, *snapshot]:
        assert (abs(frame.to_ndarray(format="rgb24").astype(int) - RGB[RED]) <= 8).all()


# -- the file --------------------------------------------------------------------------------------------------------


def test_controls_format_and_flip_of_the_file_apply(cameras: tuple[Camera, Camera], serve: Serves) -> None:
    left, right = cameras
    controls = 'controls = { test_pattern = 20, osd_text_mode = "none", gain_automatic = false, gain = 33 }'
    supervisor = serve(
        table("left", left.path, controls, 'format = "UYVY"') + table("right", right.path, controls, 'flip = "180"')
    )
    straight, turned = first("left"), first("right")
    assert (straight.format, turned.format) == ("UYVY", "YUY2")
    assert np.ptp(straight.rgb) > 100
    assert np.array_equal(straight.rgb[::-1, ::-1], turned.rgb)
    entry = supervisor.entry("right")
    assert entry is not None
    assert "one copy per frame, because it is flipped" in entry.about


def test_what_a_camera_does_not_have_is_told_and_the_other_camera_runs(
    cameras: tuple[Camera, Camera], serve: Serves, reader: Readers, iox2_video: CommandLine
) -> None:
    left, right = cameras
    right.paint(GREEN)
    supervisor = serve(table("left", left.path, "controls = { brigtness = 1 }") + table("right", right.path))
    reader("left")
    wait_until(lambda: "has no control 'brigtness'; did you mean brightness" in error_of(supervisor, "left"), WAIT)
    assert "did you mean brightness" in iox2_video("info", "left").stdout
    with VideoFrameSubscriber(full_name("right")) as subscriber:
        see(subscriber, GREEN)


def test_another_size_in_the_file_reaches_the_readers_and_costs_the_other_camera_nothing(
    cameras: tuple[Camera, Camera], serve: Serves, reader: Readers
) -> None:
    left, right = cameras
    left.paint(RED)
    right.paint(GREEN)
    supervisor = serve(table("left", left.path) + table("right", right.path))
    raw, small, kept = reader("left"), reader("left@64x-RGB"), reader("right")
    assert reports(raw, 1)[0][1:] == ["YUY2", 320, 180]
    assert reports(small, 1)[0][1:] == ["RGB", 64, 36]
    reports(kept, 1)
    users_before = users(right.path)
    assert supervisor.file is not None
    supervisor.file.write_text(table("left", left.path, size="640x480") + table("right", right.path))
    numbers = [reports(kept, 1)[0][0]]
    supervisor.command.interrupt(signal.SIGHUP)
    wait_until(lambda: reports(small, 1)[0][1:] == ["RGB", 64, 48], WAIT)
    wait_until(lambda: reports(raw, 1)[0][1:] == ["YUY2", 640, 480], WAIT)
    numbers += [report[0] for report in reports(kept, kept._told.qsize() + 1)]
    assert numbers == list(range(int(str(numbers[0])), int(str(numbers[0])) + len(numbers)))
    assert users(right.path) == users_before
    with VideoFrameSubscriber(full_name("left@64x-RGB")) as subscriber:
        see(subscriber, RED)


# -- cameras that fail -----------------------------------------------------------------------------------------------


def test_readers_of_an_unplugged_camera_wait_until_it_is_plugged_in(
    camera: Camera, serve: Serves, reader: Readers, iox2_video: CommandLine
) -> None:
    camera.paint(RED)
    path = camera.path
    missing = f"cannot use the camera {path}: No such file or directory"
    supervisor = serve(table("cam0", path))
    raw, small = reader("cam0"), reader("cam0@64x36-RGB")
    reports(raw, 3)
    reports(small, 3)
    for pattern in (GREEN, BLUE):
        unplug()
        supervisor.command.says(f"cam0: the camera {path} was unplugged", WAIT)
        wait_until(lambda: missing in error_of(supervisor, "cam0"), WAIT)
        if pattern == GREEN:
            assert missing in iox2_video("info", "cam0").stdout
            listed = {one["short_name"]: one["served"] for one in iox2_video.json("list", "--json")["streams"]}
            assert listed["cam0"]["state"] in ("waiting", "starting")
            assert missing in listed["cam0"]["error"]
        # Everything that was sent before.
        reports(raw, raw._told.qsize())
        reports(small, small._told.qsize())
        plug()
        wait_until(lambda: camera.is_plugged, WAIT)
        assert camera.path == path
        camera.paint(pattern)
        reports(raw, 3)
        reports(small, 3)
        supervisor.wait_for("cam0", "running")
        assert error_of(supervisor, "cam0") == ""
        with VideoFrameSubscriber(full_name("cam0@64x36-RGB")) as subscriber:
            see(subscriber, pattern)


def test_readers_of_disconnected_cameras_see_a_pause(
    cameras: tuple[Camera, Camera], serve: Serves, reader: Readers
) -> None:
    """Their devices stay. They work again when every program has closed them and unmapped their buffers."""
    left, right = cameras
    supervisor = serve(table("left", left.path, 'flip = "180"') + table("right", right.path))
    readers = [reader(name) for name in ("left", "right", "left@64x36-RGB")]
    for _ in range(2):
        for one in readers:
            reports(one, 3)
        before = [users(camera.path) for camera in cameras]
        for camera in cameras:
            camera.set(disconnect=1)
        for camera, former in zip(cameras, before, strict=True):
            wait_until(lambda camera=camera, former=former: users(camera.path) not in (set(), former), WAIT)
        for one in readers:
            reports(one, one._told.qsize())
    for one in readers:
        reports(one, 3)
    for name, camera in zip(("left", "right"), cameras, strict=True):
        assert supervisor.command.err.count(f"{name}: the camera {camera.path} was unplugged") == 2


def test_a_camera_that_is_busy_is_told_and_starts_when_it_is_free(
    camera: Camera, serve: Serves, command: Commands, iox2_video: CommandLine
) -> None:
    camera.paint(RED)
    publisher = command("publish", "other", "--camera", camera.path, "--size", "320x180", "--fps", "15")
    with VideoFrameSubscriber(full_name("other")) as subscriber:
        see(subscriber, RED)
    supervisor = serve(table("cam0", camera.path))
    supervisor.wait_for("cam0", "off")
    with VideoFrameSubscriber(full_name("cam0@64x36-RGB")) as subscriber:
        busy = f"(process {publisher.process.pid}) uses it; a camera gives its pictures to one program at a time"
        wait_until(lambda: busy in error_of(supervisor, "cam0"), WAIT)
        assert busy in iox2_video("info", "cam0").stdout
        publisher.interrupt()
        publisher.ends(130, 60)
        see(subscriber, RED)


def test_a_camera_that_is_not_there_starts_when_it_is_plugged_in(camera: Camera, serve: Serves) -> None:
    path = camera.path
    unplug()
    supervisor = serve(table("cam0", path))
    supervisor.wait_for("cam0", "off")
    with VideoFrameSubscriber(full_name("cam0")) as subscriber:
        wait_until(lambda: "No such file or directory" in error_of(supervisor, "cam0"), WAIT)
        plug()
        wait_until(lambda: camera.is_plugged, WAIT)
        camera.paint(BLUE)
        see(subscriber, BLUE)


def test_a_kill_while_the_driver_writes_changes_no_frame_and_the_next_start_works(
    camera: Camera, serve: Serves, reader: Readers
) -> None:
    camera.paint(RED)
    supervisor = serve(table("cam0", camera.path))
    small = reader("cam0@64x36-RGB")
    with VideoFrameSubscriber(full_name("cam0")) as subscriber:
        for pattern in (BLUE, GREEN):
            reports(small, 2)
            held = [arrived(subscriber.receive_blocking(WAIT_MS)) for _ in range(2)]
            before = [frame.to_rgb() for frame in held]
            (victim,) = users(camera.path)
            os.kill(victim, signal.SIGKILL)
            camera.paint(pattern)
            see(subscriber, pattern, count=10)
            assert all(np.array_equal(frame.to_rgb(), rgb) for frame, rgb in zip(held, before, strict=True))
            del held
            skip(small)
            assert victim not in users(camera.path)
        reports(small, 3)
    assert supervisor.command.err.count("cam0: its process was killed by SIGKILL") == 2


# -- again and again -------------------------------------------------------------------------------------------------


def test_quick_cycles_leave_nothing(camera: Camera, serve: Serves, domain: Place) -> None:
    camera.paint(RED)
    supervisor = serve(table("cam0", camera.path).replace('"0.5s"', "0"))
    supervisor.wait_for("cam0", "off")

    def held() -> tuple[int, list[str]]:
        descriptors = len(list(Path(f"/proc/{supervisor.pid}/fd").iterdir()))
        return descriptors, sorted(domain.leftovers())

    before = None
    for number in range(20):
        name = "cam0" if number % 8 else "cam0@64x36-RGB"
        assert (abs(first(name).rgb.astype(int) - RGB[RED]) <= 8).all()
        # Every second reader comes while the former stream stops.
        if number % 2:
            supervisor.wait_for("cam0", "off")
        if number % 4 == 3:
            wait_until(lambda: not supervisor.children(), WAIT)
            before = before or held()
            assert held() == before
    assert not users(camera.path)
    assert supervisor.command.err.count("already") == 0
    assert runs(supervisor.pid)
