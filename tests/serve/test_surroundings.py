"""`iox2-video serve` where its surroundings change: files, folders, other supervisors, containers, limits."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2.discovery.demand import DemandFinder
from gst_iceoryx2.discovery.served import served
from gst_iceoryx2.serve import Supervisor, load
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.cli.conftest import CommandLine
from tests.conftest import Place
from tests.containers.conftest import unshare, why_not
from tests.processes.children import ROOT, Child
from tests.serve.conftest import CAM0, WAIT, WAIT_MS, Serve, first
from tests.waiting import arrived, wait_until

Serves = Callable[..., Serve]
Readers = Callable[[str], Child]

CAM = "video/cam0/frame/v2"
SMALL = "cam0@64x36-RGB"


def frames(reader: Child, count: int) -> list[list[object]]:
    """Return new reports about frames of a reader."""
    while not reader._told.empty():
        reader.told()
    return [reader.told(WAIT) for _ in range(count)]


# -- the file --------------------------------------------------------------------------------------------------------


def test_lines_above_a_stream_and_its_times_change_without_a_new_start(serve: Serves, reader: Readers) -> None:
    """A comment above a stream was a change of it, and so was another `stop_after`."""
    supervisor = serve()
    one = reader("cam0")
    frames(one, 2)
    before = supervisor.children()
    assert supervisor.file is not None
    supervisor.file.write_text(f"# more\n[streams.cam9]\ntest = true\n{CAM0.replace('0.5s', '0.2s')}")
    supervisor.command.interrupt(signal.SIGHUP)
    supervisor.wait_for("cam9", "off")
    assert supervisor.children() == before
    supervisor.file.write_text(CAM0.replace('stop_after = "0.5s"', "always = true"))
    supervisor.command.interrupt(signal.SIGHUP)
    supervisor.wait_for("cam9", None)
    frames(one, 2)
    one.kill()
    time.sleep(1)
    assert supervisor.children() == before


def test_streams_that_leave_the_file_end_in_order(serve: Serves, reader: Readers, domain: Place) -> None:
    """They were killed, and left their memory behind."""
    supervisor = serve(CAM0 + CAM0.replace("cam0", "cam1"))
    one = reader("cam1@64x-RGB")
    frames(one, 2)
    assert len(supervisor.children()) == 2
    assert supervisor.file is not None
    supervisor.file.write_text(CAM0)
    supervisor.command.interrupt(signal.SIGHUP)
    supervisor.wait_for("cam1", None)
    wait_until(lambda: not supervisor.children())
    one.tell()
    assert one.ends() == 0
    wait_until(
        lambda: not domain.leftovers() or [name for name in domain.leftovers() if "served" not in str(name)] == []
    )


def test_a_file_that_vanishes_changes_nothing(serve: Serves, reader: Readers) -> None:
    supervisor = serve()
    one = reader("cam0")
    frames(one, 2)
    assert supervisor.file is not None
    supervisor.file.unlink()
    for _ in range(3):
        supervisor.command.interrupt(signal.SIGHUP)
    supervisor.command.says("No such file or directory; everything goes on as before", WAIT)
    frames(one, 2)
    supervisor.file.symlink_to("other.toml")
    supervisor.file.with_name("other.toml").write_text(CAM0 + CAM0.replace("cam0", "cam1"))
    supervisor.command.interrupt(signal.SIGHUP)
    supervisor.wait_for("cam1", "off")


def test_modules_in_the_current_folder_are_not_imported(serve: Serves, tmp_path: Path) -> None:
    """A file named json.py beside streams.toml was run by all processes of streams."""
    if sys.version_info < (3, 11):
        pytest.skip("Python 3.10 always looks into the current folder first")
    (tmp_path / "json.py").write_text("raise SystemExit('imported')\n")
    serve()
    first(SMALL)


# -- the domain ------------------------------------------------------------------------------------------------------


def test_a_domain_that_is_removed_and_created_again_is_served(serve: Serves) -> None:
    supervisor = serve()
    supervisor.wait_for("cam0", "off")
    shutil.rmtree(current_domain().root)
    first(SMALL)
    supervisor.wait_for("cam0", "off")


def test_a_domain_that_cannot_be_written_is_told(
    serve: Serves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOX2_VIDEO_DOMAIN", "/dev/null/domain")
    said = Serve(tmp_path, CAM0).command.ends(1, WAIT)
    assert "cannot write to the iceoryx2 domain" in said
    assert "Traceback" not in said
    monkeypatch.undo()


def test_a_domain_with_a_space_is_served(serve: Serves, monkeypatch: pytest.MonkeyPatch) -> None:
    root = f"{current_domain().root} b"
    monkeypatch.setenv("IOX2_VIDEO_DOMAIN", f"{root}:p r_")
    try:
        supervisor = serve()
        first(SMALL)
        supervisor.wait_for("cam0", "off")
        supervisor.command.interrupt(signal.SIGTERM)
        supervisor.command.ends(0, WAIT)
    finally:
        shutil.rmtree(root)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"[" * 100_000, b"null", b'{"pid": 1, "file": 2, "streams": []}',
        b'{"pid": "1", "file": null, "streams": []}', b'{"pid": 1, "file": null, "streams": 3}',
        b'{"pid": 1, "file": null, "streams": [1, null, {"name": 3}, {"name": "video/a/frame/v2"}]}',
        json.dumps({"pid": 1, "file": None, "streams": [{
            "name": ["x"], "state": "off", "about": "", "readers": 0, "supervisor": 1, "file": None, "error": None,
            "retry_at": "soon"}]}).encode(),
    ],
)  # fmt: skip
def test_damaged_files_of_supervisors_are_ignored(iox2_video: CommandLine, text: bytes) -> None:
    """`list` and other supervisors failed for a file of another release, or a damaged one."""
    import fcntl

    folder = Path(current_domain().root)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{current_domain().prefix}served_1_2.json"
    path.write_bytes(text)
    with path.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert served(current_domain()) == {}
        if text.startswith(b'{"pid": 1, "file": null, "streams": [{'):
            assert iox2_video.json("list", "--json")["streams"] == []
    path.unlink()


def test_a_fifo_in_place_of_a_supervisors_file_stops_nobody() -> None:
    folder = Path(current_domain().root)
    folder.mkdir(parents=True, exist_ok=True)
    os.mkfifo(folder / f"{current_domain().prefix}served_1_2.json")
    (folder / f"{current_domain().prefix}served_1_3.json").symlink_to("/dev/zero")
    assert served(current_domain()) == {}
    for path in folder.glob("*served*"):
        path.unlink()


# -- other supervisors -----------------------------------------------------------------------------------------------


def test_a_name_is_taken_over_when_its_supervisor_has_ended(serve: Serves, tmp_path: Path) -> None:
    """The second supervisor never served it, and readers waited for nobody."""
    one = serve()
    one.wait_for("cam0", "off")
    (tmp_path / "b").mkdir()
    second = serve(CAM0, tmp_path / "b")
    second.command.says(f"cam0: process {one.pid} already serves it", WAIT)
    one.command.interrupt(signal.SIGTERM)
    one.command.ends(0, WAIT)
    second.wait_for("cam0", "off")
    first(SMALL)


def test_a_supervisor_of_all_streams_leaves_those_of_a_file_to_it(
    serve: Serves, reader: Readers, tmp_path: Path
) -> None:
    everything = serve(None)
    one = reader(SMALL)
    everything.wait_for(SMALL, "waiting")
    (tmp_path / "b").mkdir()
    file = serve(CAM0, tmp_path / "b")
    frames(one, 3)
    wait_until(lambda: len(file.children()) == 2, WAIT)
    assert everything.children() == set()
    assert everything.state(SMALL) == "running"


def test_a_rendition_that_somebody_else_publishes_is_left_alone(serve: Serves, reader: Readers) -> None:
    """It was reported as failed, and its source ran for nothing."""
    with VideoFramePublisher(f"video/{SMALL}/frame/v2") as publisher:
        supervisor = serve()
        one = reader(SMALL)
        picture = np.zeros((36, 64, 3), np.uint8)
        wait_until(lambda: publisher.publish(picture, format="RGB") >= 1, WAIT)
        assert one.told(WAIT)[1:] == ["RGB", 64, 36]
        time.sleep(1)
        assert supervisor.children() == set()
        assert supervisor.state(SMALL) is None
        publisher.close()
        frames(one, 3)
    supervisor.wait_for("cam0", "running")


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [CAM0, None])
def test_a_rendition_of_a_rendition_is_told_and_others_go_on(serve: Serves, reader: Readers, text: str | None) -> None:
    """Its readers waited, and nobody knew for what."""
    supervisor = serve(text)
    reader("cam0@64x@@15@32x32")
    supervisor.wait_for("cam0@64x@@15@32x32", "waiting", WAIT)
    entry = supervisor.entry("cam0@64x@@15@32x32")
    assert entry is not None
    assert entry.error == (
        'cannot make "cam0@64x@@15@32x32": cam0@64x@@15 is a rendition itself; ask for one shape of cam0'
    )
    assert supervisor.children() == set()


def test_a_stream_that_is_off_can_be_named(
    serve: Serves, reader: Readers, iox2_video: CommandLine, tmp_path: Path
) -> None:
    """`view --snapshot`, `record` and `top` called it missing."""
    supervisor = serve('[streams.cam9]\ncamera = "/dev/video97"\n' + CAM0)
    supervisor.wait_for("cam0", "off")
    done = iox2_video("view", SMALL, "--snapshot", str(tmp_path / "a.png"))
    assert (done.returncode, "64x36" in done.stderr) == (0, True), done.stderr
    supervisor.wait_for("cam0", "off")
    assert iox2_video("top", "cam0", SMALL, "--count", "1").returncode == 0
    said = iox2_video("info", SMALL)
    assert f"process {supervisor.pid}" in said.stdout
    assert "on demand: from cam0" in said.stdout
    reader("cam9")
    supervisor.wait_for("cam9", "waiting")
    for words in (
        ("view", "cam9@64x", "--snapshot", str(tmp_path / "b.png"), "--timeout", "1"),
        ("record", "cam9", str(tmp_path / "b.mkv"), "--timeout", "1"),
    ):
        done = iox2_video(*words)
        assert done.returncode == 3
        assert "cannot use the camera /dev/video97: No such file or directory" in done.stderr
    done = iox2_video("info", "cam0@0x0")
    assert done.returncode == 3
    assert "the width is 0" in done.stderr
    done = iox2_video("", _IOX2_VIDEO_COMPLETE="bash_complete", COMP_WORDS="iox2-video view cam", COMP_CWORD="2")
    assert {"plain,cam0", "plain,cam9"} <= set(done.stdout.split())


# -- files that end --------------------------------------------------------------------------------------------------


def test_a_file_that_has_ended_starts_again_for_each_new_reader(serve: Serves, tmp_path: Path) -> None:
    """A program that read it twice waited forever, and a reader of its rendition only received the end."""
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10):
            container.mux(
                stream.encode(
                    av.VideoFrame.from_ndarray(np.zeros((48, 64), np.uint8), "gray").reformat(format="yuv420p")
                )
            )
        container.mux(stream.encode(None))
    serve('[streams.clip]\nfile = "clip.mkv"\nloop = false\nstop_after = 60\n')
    for name in ("clip", "clip@32x-GRAY8", "clip@32x-GRAY8", "clip"):
        with VideoFrameSubscriber(f"video/{name}/frame/v2") as subscriber:
            assert sum(1 for _ in subscriber) >= 3, name


# -- stopped, limited, contained -------------------------------------------------------------------------------------


def test_a_supervisor_that_is_stopped_and_continued_goes_on(serve: Serves, reader: Readers) -> None:
    supervisor = serve()
    one = reader(SMALL)
    frames(one, 2)
    os.kill(supervisor.pid, signal.SIGSTOP)
    frames(one, 30)
    second = reader("cam0")
    os.kill(supervisor.pid, signal.SIGCONT)
    frames(second, 2)
    one.kill()
    second.kill()
    supervisor.wait_for("cam0", "off")


def test_processes_that_hang_do_not_delay_the_end(serve: Serves, reader: Readers) -> None:
    supervisor = serve()
    one = reader(SMALL)
    frames(one, 2)
    children = supervisor.children()
    for child in children:
        os.kill(child, signal.SIGSTOP)
    began = time.monotonic()
    supervisor.command.interrupt(signal.SIGTERM)
    supervisor.command.ends(0, WAIT)
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    # Much longer than the two seconds that it should take.
    assert time.monotonic() - began < 40


def test_without_inotify_readers_are_found(tmp_path: Path, serve: Serves, reader: Readers) -> None:
    """With too many programs that watch folders, a reader waited for up to ten seconds."""
    (tmp_path / "streams.toml").write_text(CAM0)
    limited = (
        "echo 0 > /proc/sys/user/max_inotify_instances && exec "
        f"{sys.executable} -m gst_iceoryx2 serve {tmp_path}/streams.toml"
    )
    if subprocess.run(["unshare", "-Ur", "sh", "-c", limited.partition("&&")[0]], capture_output=True).returncode:
        pytest.skip("user namespaces are not permitted here")
    with subprocess.Popen(
        ["unshare", "-Ur", "sh", "-c", limited], env=os.environ | {"PYTHONPATH": f"{ROOT}/python"}
    ) as process:
        try:
            wait_until(lambda: CAM in served(current_domain()), WAIT)
            time.sleep(1)
            with VideoFrameSubscriber(CAM) as subscriber:
                wait_until(lambda: served(current_domain())[CAM].state != "off", 9)
                arrived(subscriber.receive_blocking(WAIT_MS))
            wait_until(lambda: served(current_domain())[CAM].state == "off", WAIT)
        finally:
            process.terminate()


FINDER = """
from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2.discovery.demand import DemandFinder
for demand in DemandFinder(current_domain()).find().values():
    print(*(f"{one.pid} {one.is_here}" for one in demand.readers))
"""


def test_processes_of_other_containers_are_told_apart(reader: Readers) -> None:
    """A reader with the process ID of a supervisor's own process, but in another container, did not count."""
    reason = why_not()
    if reason is not None:
        pytest.skip(f"making namespaces is not permitted here: {reason}")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}/python:{ROOT}"}
    program = "from tests.serve.acts import run; run('read', 'video/cam0/frame/v2')"
    with subprocess.Popen(
        [*unshare(), sys.executable, "-c", program],
        cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as contained:  # fmt: skip
        assert contained.stdout is not None
        assert contained.stdout.readline()
        (member,) = DemandFinder(current_domain()).find()[CAM].readers
        assert member.is_here
        assert Path(f"/proc/{member.pid}/stat").read_text().split()[3] == str(contained.pid)
        outer = reader("cam0")
        found = subprocess.run(
            [*unshare(), sys.executable, "-c", FINDER], cwd=ROOT, env=environment, capture_output=True, text=True
        ).stdout
        assert f"{outer.pid} False" in found
        assert "True" not in found
        contained.communicate(b"end\n", WAIT)


def test_a_stop_after_the_end_writes_to_no_file(tmp_path: Path) -> None:
    """The number of the closed pipe may belong to another file."""
    (tmp_path / "streams.toml").write_text(CAM0)
    supervisor = Supervisor(load(tmp_path / "streams.toml"))
    supervisor.stop()
    supervisor.run()
    files = [(tmp_path / str(number)).open("wb") for number in range(4)]
    supervisor.stop()
    supervisor.reload()
    for file in files:
        file.close()
        assert Path(file.name).read_bytes() == b""


def test_an_interrupt_while_it_starts_leaves_no_file(
    domain: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: Ctrl-C just after the file of states was written left it behind."""

    def interrupted(_folders: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gst_iceoryx2.serve.supervisor.FolderChanges", interrupted)
    (tmp_path / "streams.toml").write_text(CAM0)
    with pytest.raises(KeyboardInterrupt):
        Supervisor(load(tmp_path / "streams.toml")).run()
    assert domain.leftovers() == []
