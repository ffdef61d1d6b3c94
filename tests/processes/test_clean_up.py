"""Processes killed at any moment: the next start works, living processes are left alone, and nothing piles up."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gst_iceoryx2._iox2 import cleanup, liveness
from gst_iceoryx2._iox2.domain import Domain, current_domain
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber, create_node
from tests.conftest import Place
from tests.processes.children import ROOT, Child
from tests.waiting import arrived, wait_until

Start = Callable[..., Child]


@pytest.fixture(params=["python", "native"])
def helper(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Select each of the two helper programs; skip the native one if it was not built."""
    if request.param == "python":
        monkeypatch.setattr(cleanup, "_HELPER", Path("/nonexistent"))
    elif not os.access(cleanup._HELPER, os.X_OK):
        pytest.skip("the plugin's helper was not built")
    return str(request.param)


def test_what_a_killed_program_left_is_removed_by_the_helper(
    helper: str, service: str, start: Start, domain: Place
) -> None:
    publisher = start("publish_until_told", service)
    assert publisher.told() == "publishing"
    publisher.kill()
    assert domain.leftovers()
    assert liveness.dead_nodes(current_domain())
    assert cleanup.run_helper(current_domain())
    assert domain.leftovers() == []


@pytest.mark.parametrize("way", ["-c", "-m"])
@pytest.mark.proves("W4")
def test_the_helper_runs_nothing_from_the_working_directory(
    helper: str, service: str, start: Start, domain: Place, tmp_path: Path, way: str
) -> None:
    """`python -m` and `-c` put the working directory first on the path, where anyone may leave a `tempfile.py`."""
    for name in ("tempfile", "iceoryx2", "numpy", "gst_iceoryx2", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('planted', 'w').close()\nraise SystemExit(3)\n")
    # Python finds this module there; its own imports skip the folder, as the helper's must.
    (tmp_path / "asked.py").write_text(
        "import os, sys\n"
        f"sys.path.insert(0, {str(ROOT / 'python')!r})\n"
        "import importlib; here = sys.path.pop(1); import iceoryx2, tempfile, numpy; sys.path.insert(1, here)\n"
        "from pathlib import Path\n"
        "from gst_iceoryx2._iox2 import cleanup\n"
        "from gst_iceoryx2._iox2.domain import current_domain\n"
        + ("cleanup._HELPER = Path('/nonexistent')\n" if helper == "python" else "")
        + "sys.exit(not cleanup.run_helper(current_domain()))\n"
    )
    victim = start("publish_until_told", service)
    assert victim.told() == "publishing"
    victim.kill()
    words = ["-c", "import asked"] if way == "-c" else ["-m", "asked"]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "planted").exists()
    assert domain.leftovers() == []


@pytest.mark.proves("L13")
def test_shared_memory_of_other_programs_is_left_alone(helper: str, service: str, start: Start, domain: Place) -> None:
    """A name that only begins with the prefix is not iceoryx2's, whether the file is mapped or not."""
    publisher = start("publish_until_told", service)
    assert publisher.told() == "publishing"
    publisher.kill()
    digest = "0123456789012345678901234567890123456789"
    names = ["calibration", "calibration.data", f"{digest}_lut.data", f"{digest}_7.data", f"x{digest}_8.data"]
    files = [Path("/dev/shm", f"{domain.prefix}{name}") for name in names]
    for file in files:
        file.write_bytes(b"x" * 4096)
        os.utime(file, (1, 1))
    empty = Path("/dev/shm", f"{domain.prefix}empty")
    empty.touch(0o200)
    os.utime(empty, (1, 1))
    with files[0].open("r+b") as opened, mmap.mmap(opened.fileno(), 0):
        assert cleanup.run_helper(current_domain())
        assert all(file.exists() for file in (*files, empty))
    for file in (*files, empty):
        file.unlink()
    assert domain.leftovers() == []


def test_the_helper_leaves_the_living_alone(helper: str, service: str, start: Start, domain: Place) -> None:
    """Also in this process, whose locks show that it lives."""
    victim = start("publish_until_told", service + "/other")
    assert victim.told() == "publishing"
    with VideoFramePublisher(service) as pub, VideoFrameSubscriber(service) as sub:
        pub.wait_for_subscribers(1, timeout=60)
        victim.kill()
        assert cleanup.run_helper(current_domain())
        pub.publish(np.full((8, 8, 3), 5, np.uint8))
        frame = arrived(sub.receive_blocking(60_000))
        assert (frame.numpy_view() == 5).all()
        newcomer = start("start_and_tell", service + "/third")
        assert newcomer.told()["crossed"]
        assert newcomer.ends() == 0
        pub.publish(np.full((8, 8, 3), 6, np.uint8))
        assert sub.receive_blocking(60_000) is not None


@pytest.mark.proves("L9")
def test_outside_processes_that_clean_up_take_nobody_here_for_dead(service: str, start: Start) -> None:
    """They would, if this process had opened and closed the lock file of a node."""
    program = (
        "from tests.transport import raw; import os\n"
        "node = raw.node(); state = node.try_cleanup_dead_nodes()\n"
        "print(state.cleanups, state.failed_cleanups)"
    )
    with VideoFramePublisher(service) as pub, VideoFrameSubscriber(service) as sub:
        pub.wait_for_subscribers(1, timeout=60)
        for _ in range(2):
            # This process does nothing else about files of other processes.
            cleanup.clean_up_if_stale(current_domain())
            assert pub.num_subscribers == 1
            answer = subprocess.run(
                [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
            )
            assert answer.stdout.split() == ["0", "0"], answer.stderr
            pub.publish(np.full((8, 8, 3), 6, np.uint8))
            assert sub.receive_blocking(60_000) is not None


@pytest.mark.proves("L8")
def test_starts_that_are_killed_half_way_never_block_the_next(
    helper: str, service: str, start: Start, domain: Place
) -> None:
    """iceoryx2 0.10.0 leaves an unfinished description in 5 to 10 of 100 such cases, and never removes it.

    The test makes the files old, because the clean-up leaves young files alone.
    """
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    generator = random.Random(seed)
    for _ in range(12):
        child = start("start_until_killed", service)
        assert child.told() == "starting"
        time.sleep(generator.uniform(0, 0.02))
        child.kill()
    for folder in (domain.root, Path("/dev/shm")):
        for file in folder.rglob(f"{domain.prefix}*"):
            # A helper that a killed process started may still run.
            with contextlib.suppress(FileNotFoundError):
                os.utime(file, (1, 1))
    with VideoFramePublisher(service) as pub, VideoFrameSubscriber(service) as sub:
        pub.wait_for_subscribers(1, timeout=60)
        pub.publish(np.full((8, 8, 3), 5, np.uint8))
        assert sub.receive_blocking(60_000) is not None
    # A helper that a killed process started may still run.
    wait_until(lambda: not domain.leftovers())


def test_a_start_beside_the_dead_takes_a_moment_only(service: str, start: Start) -> None:
    for number in range(5):
        child = start("publish_until_told", f"{service}/{number}")
        assert child.told() == "publishing"
        child.kill()
    newcomer = start("start_and_tell", service)
    assert newcomer.told()["crossed"]
    assert newcomer.ends() == 0
    assert liveness.dead_nodes(current_domain()) == []


@pytest.mark.proves("L15")
def test_a_process_cleans_up_once_behind_one_that_had_many_ports(
    service: str, start: Start, domain: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All ports of a process share one clean-up."""
    runs: list[Domain] = []
    run_helper = cleanup.run_helper
    monkeypatch.setattr(cleanup, "run_helper", lambda place: (runs.append(place), run_helper(place))[1])
    names = [f"{service}/{number}" for number in range(6)]
    with contextlib.ExitStack() as ports:
        publishers = [ports.enter_context(VideoFramePublisher(name)) for name in names]
        readers = start("receive_many", *names)
        assert readers.told() == "receiving"
        wait_until(lambda: all(publisher.num_subscribers == 1 for publisher in publishers))
        readers.kill()
        wait_until(lambda: all(publisher.num_subscribers == 0 for publisher in publishers))
    assert len(runs) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root to be two users")
@pytest.mark.proves("E1")
def test_a_domain_of_another_user_is_refused_in_words(service: str, domain: Place) -> None:
    """Not even if the folder is closed to the group."""
    create_node()
    program = f"from tests.processes import acts; acts.fail_to_start({service!r})"
    try:
        answer = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "python"))), "HOME": "/"},
            capture_output=True,
            text=True,
            timeout=60,
            user=65534,
            group=65534,
            extra_groups=[],
        )
    except PermissionError:
        pytest.skip("the other user cannot run this Python")
    if "can't open file" in answer.stderr or "ModuleNotFoundError" in answer.stderr:
        pytest.skip("the other user cannot read the source tree")
    lines = answer.stdout.splitlines()
    assert len(lines) == 2, answer.stderr
    for line in map(json.loads, lines):
        assert {"ServicePermissionError", "PermissionError"} <= set(line["kinds"])
        assert line["text"].startswith(f'cannot open "{service}" in the iceoryx2 domain {domain.root}: {domain.root} ')
        assert "belongs to user 0 (this process runs as user 65534)" in line["text"]


def in_small_shared_memory(program: str, megabytes: int) -> subprocess.CompletedProcess[str]:
    """Run Python with a small /dev/shm, as in a container."""
    mount = f"mount -t tmpfs -o size={megabytes}m tmpfs /dev/shm"
    command = f'{mount} && exec "$0" -c "$1"'
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", command, sys.executable, program],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "python")))},
        capture_output=True,
        text=True,
        timeout=60,
    )


def may_mount() -> bool:
    try:
        return in_small_shared_memory("", 1).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not may_mount(), reason="needs to mount a /dev/shm of its own")
@pytest.mark.proves("M8")
def test_in_a_small_dev_shm_the_error_comes_before_the_bus_error(service: str) -> None:
    program = "from tests.processes import acts; acts.write_beyond({!r}, {}, {})"
    refused = in_small_shared_memory(program.format(service, 1920, 1080), 64)
    assert refused.returncode == 0, refused.stderr
    assert "149.3 MB" in refused.stdout
    assert "67.1 MB free" in refused.stdout
    fits = in_small_shared_memory(program.format(service, 640, 480), 64)
    assert fits.returncode == 0, fits.stderr
    assert "published" in fits.stdout
