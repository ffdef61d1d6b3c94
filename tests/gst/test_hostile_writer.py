"""A pipeline receives frames into which the publisher still writes: only private copies are checked and used."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.gst import scenes
from tests.gst.remote import Stage
from tests.processes.children import Child
from tests.transport.toggling import NUMBERS, TEXTS

# Number of frames that must arrive changed.
CHANGED = 50


@pytest.fixture
def writer(environment: dict[str, str], service: str, request: pytest.FixtureRequest) -> Iterator[Child]:
    """The hostile process."""
    child = Child("send_and_toggle", service, request.param, acts="tests.transport.toggling")
    child.told()
    yield child
    assert child.process.stdin is not None
    child.process.stdin.close()
    assert child.ends() == 0, child.complaint()
    child.close()


@pytest.mark.parametrize(
    "writer",
    [list(TEXTS), [name for name in NUMBERS if name != "the end of the stream"]],
    ids=["texts", "numbers"],
    indirect=True,
)
@pytest.mark.proves("H10", "H11")
def test_a_source_survives_frames_that_change_while_it_reads_them(
    stages: Callable[..., Stage], service: str, writer: Child
) -> None:
    """Caps and metas were parsed in shared memory (panics), and iceoryx2's length was trusted (SIGSEGV)."""
    stage = stages()
    stage.play(f"iceoryx2src name=src service={service} ! fakesink sync=false")
    stage.run(scenes.wait_for, element="src", prop="frames-invalid", value=CHANGED, timeout=60.0, limit=90.0)
    assert stage.get("src", "frames-received") > 0
    assert stage.message(["error"], timeout=0) is None
