"""A crash in one container never removes a file that lives in another, whatever they share.

``CONTAINER_KILLS=200`` makes the full number of kills while participants start.
"""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path

import pytest

from tests.conftest import Place
from tests.containers.conftest import Container, Start
from tests.waiting import wait_until

KILLS = int(os.environ.get("CONTAINER_KILLS", "12"))

pytestmark = pytest.mark.timeout(180 + 2 * KILLS)


def order(box: Container, command: str, timeout: float = 60) -> list[str]:
    """Make a container act; return its output."""
    already = len(box.lines())
    box.tell(command)

    def is_done() -> bool:
        assert box.process.poll() is None, box.output()
        return f"did {command}" in box.lines()[already:]

    wait_until(is_done, timeout)
    return box.lines()[already:]


def resident(
    container: Start, service: str, own: tuple[str, ...], kills: int = 0, *, in_python: bool = False
) -> Container:
    box = container("reside", service, kills, int(in_python), own=own)

    def resides() -> bool:
        assert box.process.poll() is None, box.output()
        return "resides" in box.output()

    wait_until(resides, 60)
    return box


def check(boxes: list[Container]) -> None:
    """Check that no file is missing, and that each stream reaches old and new subscribers."""
    for box in boxes:
        assert "missing [] True" in order(box, "check"), box.output()
    for box in boxes:
        box.finish()


def owned(domain: Place, own_memory: bool, own_folder: bool) -> tuple[str, ...]:
    return ("/dev/shm",) * own_memory + (str(domain.root),) * own_folder


@pytest.mark.parametrize(("own_memory", "own_folder", "count"), list(product([False, True], [False, True], [1, 2, 3])))
@pytest.mark.proves("L13")
def test_a_crash_in_one_container_removes_no_file_that_lives_in_another(
    container: Start, service: str, domain: Place, own_memory: bool, own_folder: bool, count: int
) -> None:
    own = owned(domain, own_memory, own_folder)
    # In different folders, the same name is a different service.
    names = [service if own_folder else f"{service}/{number}" for number in range(count)]
    # Both helper programs clean up in turn.
    boxes = [resident(container, name, own, in_python=count == 3) for name in names]
    for box, neighbour in zip(boxes, boxes[1:] + boxes[:1], strict=True):
        order(box, "kill")
        # The next participant cleans up: first in the other container, then in the one that crashed.
        order(neighbour, "start")
        order(box, "start")
    check(boxes)


@pytest.mark.parametrize("in_python", [False, True])
@pytest.mark.proves("L13")
def test_an_unfinished_service_of_a_process_in_another_pid_namespace_is_left_alone(
    container: Start, service: str, domain: Place, in_python: bool
) -> None:
    """Its owner cannot be seen there, but it may live, even if the file is old."""
    box = resident(container, service, (), in_python=in_python)
    digest = "0123456789012345678901234567890123456789"
    file = domain.root / "services" / f"{domain.prefix}{digest}.service"
    with file.open("w"):
        file.chmod(0o600)
        os.utime(file, (1, 1))
        # There is also a dead node, which does not name the service.
        order(box, "kill")
        order(box, "start")
        assert file.exists()
    check([box])
    file.unlink()


@pytest.mark.parametrize(
    ("count", "own_folder", "in_python"),
    [(1, False, False), (1, False, True), (2, False, False), (2, False, True), (2, True, False)],
)
@pytest.mark.proves("L8")
def test_kills_while_participants_start_leave_the_name_usable_and_the_living_alone(
    container: Start, service: str, domain: Place, count: int, own_folder: bool, in_python: bool
) -> None:
    own = owned(domain, False, own_folder)
    names = [f"{service}/{number}" for number in range(count)]
    boxes = [resident(container, name, own, KILLS // count, in_python=in_python) for name in names]
    for box in boxes:
        box.tell("kill starting")
    for box in boxes:
        wait_until(lambda box=box: "did kill starting" in box.output(), 60 + KILLS)  # type: ignore[misc]
        order(box, "start")
    check(boxes)
    # Young files may be unfinished; make them old, so that the last clean-up need not wait.
    for folder in (domain.root, Path("/dev/shm")):
        for file in folder.rglob(f"{domain.prefix}*"):
            os.utime(file, (1, 1))
