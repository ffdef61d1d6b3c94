"""Child processes of a test: they share its private domain and end with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import Place
from tests.processes.children import Child


@pytest.fixture
def start(domain: Place) -> Iterator[Callable[..., Child]]:
    """Return a function that starts a child, given an act and its arguments."""
    children: list[Child] = []

    def start_one(act: str, *arguments: object) -> Child:
        child = Child(act, *arguments)
        children.append(child)
        return child

    yield start_one
    for child in children:
        child.close()
