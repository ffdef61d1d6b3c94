"""A private iceoryx2 domain for each test, and a look at what the test leaves in it.

Also tells pytest-xdist which tests share a process.
"""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tests.waiting import wait_until

_numbers = itertools.count()

# A shell without job control ignores Ctrl-C in commands that end in "&", and so would all processes of the tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# On a busy machine, any example may take more than 0.2 s. Only `make fuzz` tries other data each time.
settings.register_profile(
    "tests", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="FUZZ_FACTOR" not in os.environ
)
settings.load_profile("tests")


class Place:
    """A private domain.

    Attributes:
        root: Its root path; short, because socket names below it are limited.
        prefix: Prefix of its files.
        variable: Value of IOX2_VIDEO_DOMAIN.
    """

    def __init__(self) -> None:
        number = f"{os.getpid()}_{next(_numbers)}"
        self.root = Path(f"/tmp/x{number}")
        self.prefix = f"x{number}_"
        self.variable = f"{self.root}:{self.prefix}"

    def leftovers(self) -> list[str]:
        """Files that participants left, except for the 16 bytes for all nodes, which iceoryx2 never removes."""
        shared = [path.name for path in self.shared_memory() if not path.name.endswith(".global_mgmt")]
        # Not rglob, which raises if a folder goes while it looks.
        return shared + [os.path.join(folder, name) for folder, _, names in os.walk(self.root) for name in names]

    def shared_memory(self) -> list[Path]:
        """Shared memory objects of this domain."""
        return list(Path("/dev/shm").glob(f"{self.prefix}*"))

    def remove(self) -> None:
        """Remove every trace of it."""
        for path in self.shared_memory():
            path.unlink(missing_ok=True)
        shutil.rmtree(self.root, ignore_errors=True)


class ByFile(LoadScopeScheduling):
    """Runs the tests of a file in one process, because they share what they start; all tests of wheels share one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "tests/wheel" if file.startswith("tests/wheel/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


@pytest.fixture(autouse=True)
def _priority() -> Iterator[None]:
    """Undo SVT-AV1's change of priority.

    Regression: for root, this encoder gives the thread that uses it the highest real-time priority, which all later
    threads and child processes inherit. Two busy ones then leave no time for the rest of the machine.
    """
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    yield
    if os.sched_getscheduler(0) != policy:
        os.sched_setscheduler(0, policy, parameters)


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A domain of this test's own. Afterwards every loan must have come back and every file must be gone."""
    place = Place()
    place.remove()
    monkeypatch.setenv("IOX2_VIDEO_DOMAIN", place.variable)
    yield place
    # What a failed test or a raised exception still refers to is not what is asked about here.
    gc.collect()
    try:
        wait_until(lambda: not place.leftovers())
    except AssertionError:
        pytest.fail(f"left behind: {place.leftovers()}")
    finally:
        place.remove()


@pytest.fixture
def service() -> str:
    """Name of the test's service; slashes and spaces are part of it."""
    return "video/test cam 0/frame/v2"
