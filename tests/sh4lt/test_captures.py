"""The messages between a writer and a reader equal those that were captured from Shmdata itself (captures.json)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sh4lt.conftest import HERE, Launch, on_tmpfs, preloaded
from tests.waiting import wait_until

CAPTURES = json.loads((HERE / "captures.json").read_text())
TYPE, SIZE = CAPTURES["type"], CAPTURES["frame_size"]
FRAMES = 3

PYTHON = {
    "writer": """
with Writer(path, type_text, initial_size=size) as writer:
    while writer.clients == 0:
        time.sleep(0.01)
    while writer.clients == 1:
        writer.write(bytes(size))
        time.sleep(0.01)
""",
    "reader": """
with Follower(path) as follower:
    for _ in range(frames):
        follower.read()
""",
}
RUST = {
    "writer": "videotestsrc is-live=true ! {caps} ! sh4ltsink socket-path={path} initial-size={size}",
    "reader": "sh4ltsrc socket-path={path} num-buffers={frames} ! fakesink",
}


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that records what a process sends."""
    return preloaded(tmp_path_factory.mktemp("recorder"), "recorder.c")


def captured(name: str, whole: bytes) -> bytes:
    """The captured message. The capture has only place and length of the type text, which `whole` supplies."""
    message = CAPTURES["messages"][name]
    begin = bytes.fromhex(message["begin"])
    end = message["last_byte_that_is_not_zero"] + 1
    between = whole[len(begin) : end] if end > len(begin) else b""
    return (begin + between).ljust(message["size"], b"\0")


CONNECT = captured("connect", bytes(16) + TYPE.encode())


def test_the_captures_agree_with_themselves() -> None:
    assert CONNECT[16:].rstrip(b"\0").decode() == TYPE
    assert CONNECT[203] != 0 == CONNECT[204]


@on_tmpfs
@pytest.mark.parametrize("reader", ["python", "rust"])
@pytest.mark.parametrize("writer", ["python", "rust"])
def test_what_is_said_on_the_wire_is_what_was_captured(
    path: Path, launch: Launch, recorder: Path, tmp_path: Path, writer: str, reader: str
) -> None:
    log = tmp_path / "log"
    log.touch()
    recording = {"LD_PRELOAD": str(recorder), "RECORD_PATH": str(path), "RECORD_LOG": str(log)}
    words = {"path": path, "size": SIZE, "frames": FRAMES, "caps": TYPE.replace(", ", ",")}

    def start(role: str, kind: str) -> subprocess.Popen[bytes]:
        if kind == "rust":
            return launch(RUST[role].format(**words), **recording)
        begin = "import time\nfrom gst_iceoryx2.sh4lt import Follower, Writer\n"
        values = f"path, type_text, size, frames = {str(path)!r}, {TYPE!r}, {SIZE}, {FRAMES}"
        program = begin + values + PYTHON[role]
        return subprocess.Popen([sys.executable, "-c", program], env=os.environ | recording)

    with start("writer", writer) as writing:
        with start("reader", reader) as reading:
            assert reading.wait(60) == 0
        # The writer has answered the good-bye.
        wait_until(lambda: "writer 0200\n" in log.read_text())
        if writer == "rust":
            writing.send_signal(signal.SIGINT)
        assert writing.wait(60) == 0

    sent: dict[str, list[bytes]] = {"writer": [], "reader": []}
    for line in log.read_text().splitlines():
        side, text = line.split()
        sent[side].append(bytes.fromhex(text))
    update, quit = captured("update", b""), captured("quit", b"")
    assert sent["reader"] == [CONNECT, quit]
    greeting, *updates, answer = sent["writer"]
    assert (greeting, answer) == (CONNECT, quit)
    assert len(updates) >= FRAMES
    assert set(updates) == {update}
