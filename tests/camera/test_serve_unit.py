"""The systemd unit of `iox2-video serve --install`, with the systemd of a user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2.discovery.served import served, supervisors
from tests.cli.conftest import CommandLine, iox2_video
from tests.processes.children import Child
from tests.serve.conftest import CAM0, WAIT, _cleaned, children_of, reader, runs
from tests.waiting import wait_until

__all__ = ["_cleaned", "iox2_video", "reader"]

Readers = Callable[[str], Child]

NAME = "iox2-video-streams.service"
CAM = "video/cam0/frame/v2"
SCRIPT = Path(sys.executable).with_name("iox2-video")


def systemctl(*arguments: str, code: int = 0) -> str:
    """Run `systemctl --user`; return the text on stdout."""
    done = subprocess.run(
        ["systemctl", "--user", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT
    )
    assert done.returncode == code, done.stderr
    return done.stdout


class Unit:
    """The unit of a file with streams.

    Attributes:
        file: The file.
        path: The file of the unit.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.path = Path.home() / ".config/systemd/user" / NAME

    def write(self, text: str) -> None:
        """Replace the streams."""
        self.file.write_text(text)

    def install(self, **settings: str) -> str:
        """Install the unit, with settings of its section [Service]; return what the command says."""
        if settings:
            folder = self.path.with_name(f"{NAME}.d")
            folder.mkdir(parents=True, exist_ok=True)
            lines = [f"{name}={value}" for name, value in settings.items()]
            (folder / "test.conf").write_text("\n".join(["[Service]", *lines, ""]))
        done = subprocess.run(
            [SCRIPT, "serve", self.file, "--install"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=WAIT,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stderr

    def show(self, name: str) -> str:
        """A property of the unit."""
        return systemctl("show", NAME, f"--property={name}", "--value").strip()

    @property
    def pid(self) -> int:
        """The process of the supervisor; 0 if it does not run."""
        return int(self.show("MainPID"))

    @property
    def restarts(self) -> int:
        """How often systemd has restarted it after a failure."""
        return int(self.show("NRestarts"))

    def wait_for(self, name: str, value: str) -> None:
        """Wait until a property has a value."""
        try:
            wait_until(lambda: self.show(name) == value, WAIT)
        except AssertionError:
            raise AssertionError(f"{name} is not {value}: {systemctl('show', NAME)}") from None

    def remove(self) -> None:
        """Stop the unit, and remove it."""
        subprocess.run(["systemctl", "--user", "disable", "--now", NAME], timeout=WAIT, capture_output=True)
        for path in (self.path, self.path.with_name(f"{NAME}.d") / "test.conf"):
            path.unlink(missing_ok=True)
        subprocess.run(["systemctl", "--user", "daemon-reload"], timeout=WAIT, check=True)
        subprocess.run(["systemctl", "--user", "reset-failed", NAME], timeout=WAIT, capture_output=True)


@pytest.fixture
def unit(_cleaned: None, tmp_path: Path) -> Iterator[Unit]:
    """A unit of the test's domain, with the stream cam0."""
    wait_until(lambda: subprocess.run(["systemctl", "--user", "show"], capture_output=True).returncode == 0, WAIT)
    made = Unit(tmp_path / "streams.toml")
    made.write(CAM0)
    yield made
    made.remove()


def reports(child: Child, count: int) -> list[list[object]]:
    """Return the next reports of a reader, which must not be that the stream has ended."""
    found = [child.told(WAIT) for _ in range(count)]
    assert "end" not in found
    return found


def skip(child: Child) -> None:
    """Read what a reader has reported so far."""
    reports(child, child._told.qsize())


def test_the_unit_is_installed_and_tells_what_runs(unit: Unit, reader: Readers) -> None:
    said = unit.install()
    assert f"{NAME} runs, and starts when you log in ({unit.path})" in said
    # The user of these tests has it.
    assert "enable-linger" not in said
    printed = subprocess.run(
        [SCRIPT, "serve", unit.file, "--install", "--print"], capture_output=True, text=True, check=True
    )
    assert printed.stdout == unit.path.read_text()
    verified = subprocess.run(["systemd-analyze", "verify", "--user", unit.path], capture_output=True, text=True)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    assert [unit.show(name) for name in ("ActiveState", "UnitFileState", "Type")] == ["active", "enabled", "notify"]
    unit.wait_for("StatusText", "0 of 1 streams run")
    one = reader("cam0@64x36-RGB")
    reports(one, 2)
    unit.wait_for("StatusText", "2 of 2 streams run")
    one.kill()
    unit.wait_for("StatusText", "0 of 1 streams run")
    assert unit.restarts == 0


def test_the_unit_is_active_when_its_streams_can_be_read(unit: Unit) -> None:
    unit.install()
    systemctl("stop", NAME)
    systemctl("start", "--no-block", NAME)
    states = []
    while "active" not in states:
        states.append(unit.show("ActiveState"))
        assert len(states) < 1_000
    assert "activating" in states
    assert CAM in served(current_domain())


def test_a_supervisor_that_hangs_is_restarted_and_its_readers_see_a_pause(unit: Unit, reader: Readers) -> None:
    unit.install(WatchdogSec="4")
    one = reader("cam0")
    reports(one, 3)
    pid, children = unit.pid, children_of(unit.pid)
    assert len(children) == 1
    os.kill(pid, signal.SIGSTOP)
    unit.wait_for("NRestarts", "1")
    wait_until(lambda: unit.pid not in (0, pid), WAIT)
    wait_until(lambda: not any(map(runs, children)), WAIT)
    unit.wait_for("ActiveState", "active")
    skip(one)
    reports(one, 3)
    assert set(supervisors(current_domain())) == {unit.pid}


def test_a_supervisor_that_waits_answers_the_watchdog(unit: Unit) -> None:
    """Without readers, it could sleep for ten seconds."""
    unit.install(WatchdogSec="3")
    pid = unit.pid
    # Without answers, it would be killed.
    time.sleep(8)
    assert (unit.pid, unit.restarts) == (pid, 0)


def test_a_supervisor_that_is_killed_is_restarted_and_its_readers_see_a_pause(unit: Unit, reader: Readers) -> None:
    unit.install()
    one = reader("cam0@64x36-RGB")
    for number in (1, 2):
        reports(one, 3)
        pid, children = unit.pid, children_of(unit.pid)
        assert len(children) == 2
        os.kill(pid, signal.SIGKILL)
        unit.wait_for("NRestarts", str(number))
        unit.wait_for("ActiveState", "active")
        assert unit.pid != pid
        assert not any(map(runs, children))
        skip(one)
    reports(one, 3)


def test_a_reload_adds_streams_and_costs_the_others_no_frame(unit: Unit, reader: Readers) -> None:
    unit.install()
    one = reader("cam0")
    pid = unit.pid
    numbers = [reports(one, 1)[0][0]]
    unit.write(CAM0 + CAM0.replace("cam0", "cam1"))
    systemctl("reload", NAME)
    wait_until(lambda: "video/cam1/frame/v2" in served(current_domain()), WAIT)
    reports(reader("cam1"), 2)
    unit.wait_for("StatusText", "2 of 2 streams run")
    unit.write("[streams.cam0\n")
    systemctl("reload", NAME)
    numbers += [report[0] for report in reports(one, one._told.qsize() + 20)]
    assert numbers == list(range(int(str(numbers[0])), int(str(numbers[0])) + len(numbers)))
    assert (unit.pid, unit.show("ActiveState")) == (pid, "active")


def test_a_stop_leaves_no_process_and_ends_no_stream(unit: Unit, reader: Readers) -> None:
    # It ends in 2 s, so systemd does not have to kill it.
    unit.install(TimeoutStopSec="3")
    one = reader("cam0@64x36-RGB")
    reports(one, 3)
    pid, children = unit.pid, children_of(unit.pid)
    systemctl("stop", NAME)
    assert [unit.show(name) for name in ("ActiveState", "Result", "ExecMainStatus")] == ["inactive", "success", "0"]
    assert not any(map(runs, {pid, *children}))
    assert supervisors(current_domain()) == {}
    skip(one)
    systemctl("start", NAME)
    reports(one, 3)


def test_a_file_with_mistakes_is_not_installed_and_not_restarted(unit: Unit, iox2_video: CommandLine) -> None:
    unit.write(CAM0 + "szie = 3\n")
    done = iox2_video("serve", str(unit.file), "--install")
    assert done.returncode == 2
    assert f'{unit.file}:8: unknown key "szie" of "cam0"; did you mean "size"?' in done.stderr
    assert not unit.path.exists()
    unit.write(CAM0)
    unit.install()
    unit.write("[streams.cam0\n")
    systemctl("restart", NAME, code=1)
    assert [unit.show(name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")] == ["failed", "2", "0"]
    unit.write(CAM0)
    systemctl("restart", NAME)
    assert unit.show("ActiveState") == "active"


# -- logging out -----------------------------------------------------------------------------------------------------

# A user who has no password.
VISITOR = "visitor"


@pytest.fixture
def visitor(tmp_path: Path) -> Iterator[Callable[[str], subprocess.CompletedProcess[str]]]:
    """Return a function that logs in as a user without lingering services, runs a command of a shell, and logs out."""
    domain = f"/tmp/v{os.getpid()}"
    head = f"export IOX2_VIDEO_DOMAIN={domain}:v{os.getpid()}_ PATH={SCRIPT.parent}:$PATH PYTHONWARNINGS=error; "

    def run(command: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["su", "--login", VISITOR, "--command", head + command], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=2 * WAIT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    yield run
    run(f"systemctl --user disable --now {NAME}; rm -rf ~/.config {domain}; systemctl --user daemon-reload")


def belongs_to_visitor(path: Path) -> bool:
    try:
        return path.owner() == VISITOR
    except FileNotFoundError:
        return False


def test_a_log_out_ends_the_unit_and_the_next_login_starts_it(
    visitor: Callable[[str], subprocess.CompletedProcess[str]],
) -> None:
    """logind removes the shared memory of a user who has logged out, unless it lingers."""
    text = CAM0.replace('stop_after = "0.5s"', "always = true")
    done = visitor(
        f"printf %b {text!r} >streams.toml; iox2-video serve streams.toml --install && "
        "iox2-video view cam0 --snapshot a.png --timeout 60 && touch /dev/shm/left-by-visitor"
    )
    assert any(map(belongs_to_visitor, Path("/dev/shm").iterdir()))
    assert "it ends when you log out, and so do the streams; to keep them, run `loginctl enable-linger`" in done.stderr
    wait_until(lambda: not any(map(belongs_to_visitor, Path("/proc").glob("[0-9]*"))), WAIT)
    wait_until(lambda: not any(map(belongs_to_visitor, Path("/dev/shm").iterdir())), WAIT)
    # Nothing is left that could hinder the next one.
    visitor("iox2-video view cam0 --snapshot b.png --timeout 60")
