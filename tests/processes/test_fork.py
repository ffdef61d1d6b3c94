"""fork() after opening ports: the child gets an error, and its exit leaves the parent's ports alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.processes.children import Child

Start = Callable[..., Child]


@pytest.fixture
def forked(service: str, start: Start) -> Callable[[str], Any]:
    def fork(what: str) -> Any:
        child = start("fork_with", service, what)
        told = child.told()
        assert child.ends() == 0, child.complaint()
        assert child.complaint() == ""
        assert told["following"] == [2, 3]
        assert (told["view"], told["last"], told["subscribers"]) == (1, 9, 1)
        code, answer = told["child"]
        assert code == 0
        return answer

    return fork


@pytest.mark.proves("L10")
def test_a_child_that_ends_normally_leaves_its_parents_ports_alone(forked: Callable[[str], Any]) -> None:
    assert forked("nothing") is None


@pytest.mark.proves("L10")
def test_the_parents_ports_refuse_to_work_in_the_child(forked: Callable[[str], Any], service: str) -> None:
    errors, view = forked("parent's ports")
    ports, (loan, frame) = errors[:-2], errors[-2:]
    assert all(error.startswith("ForkedError: ") and service in error and "spawn" in error for error in ports)
    assert loan.startswith("FrameReleasedError: ")
    assert frame.startswith("ForkedError: ")
    assert view == 1


def test_the_child_can_have_ports_of_its_own(forked: Callable[[str], Any]) -> None:
    assert forked("its own ports") == 5
