"""Publishers and subscribers in processes of their own, of both SDKs, under the same commands.

A test that takes `publisher` and `reader` runs four times: Python to Python, Python to Rust, Rust to Python, Rust to
Rust. The processes stay for the next test, which gets a domain of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Place

ROOT = Path(__file__).parents[2]
LANGUAGES = ("python", "rust")
HELPER = ROOT / "python" / "gst_iceoryx2" / "plugins"
"""Folder of the program that cleans up; a Rust program looks for it on PATH."""

SERVICE = "video/behaviour/frame/v2"


class PeerError(Exception):
    """A peer answers with an error: the name of Python's class for it, and its text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind, self.text = kind, text


@cache
def rust_peer() -> str:
    """The compiled peer."""
    command = ["cargo", "build", "--message-format=json-render-diagnostics"]
    command += ["-p", "iox2-video-core", "--all-features", "--example", "behaviour_peer"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    messages = map(json.loads, built.stdout.splitlines())
    (program,) = {message["executable"] for message in messages if message.get("executable")}
    return str(program)


class Peer:
    """A process that does what it is told.

    Attributes:
        language: "python" or "rust".
    """

    def __init__(self, language: str) -> None:
        self.language = language
        command = [rust_peer()] if language == "rust" else [sys.executable, "-u", "-m", "tests.behaviour.python_peer"]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'python'}", "PATH": f"{HELPER}:{os.environ['PATH']}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answers: queue.Queue[str] = queue.Queue()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._answers.put(line)

    def begin(self, do: str, **arguments: Any) -> Callable[[], Any]:
        """Send a command; the result waits for its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do} | arguments) + "\n")
        self.process.stdin.flush()
        return self._answer

    def do(self, do: str, **arguments: Any) -> Any:
        """Send a command and wait for its answer."""
        return self.begin(do, **arguments)()

    def _answer(self) -> Any:
        answer = json.loads(self._answers.get(timeout=120))
        if "error" in answer:
            raise PeerError(answer["error"], answer["text"])
        return answer["ok"]

    def error(self, do: str, **arguments: Any) -> PeerError:
        """The error with which a command is answered."""
        with pytest.raises(PeerError) as caught:
            self.do(do, **arguments)
        return caught.value

    def kill(self) -> None:
        """End it without a chance to clean up."""
        self.process.kill()
        self.end()

    def end(self) -> None:
        """End it in order, if it has not ended yet."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(60)
        self._reading.join(20)
        self.process.stdout.close()


_idle: list[Peer] = []


@pytest.fixture(scope="session", autouse=True)
def _end_of_peers() -> Iterator[None]:
    yield
    for peer in _idle:
        peer.end()


@pytest.fixture
def make_peer(domain: Place) -> Iterator[Callable[[str], Peer]]:
    """Make a process of a language that takes part in the test's domain."""
    if shutil.which("cargo") is None:
        pytest.skip("without cargo there is no Rust side")
    taken: list[Peer] = []

    def take(language: str) -> Peer:
        idle = next((peer for peer in _idle if peer.language == language), None)
        if idle is not None:
            _idle.remove(idle)
        peer = idle or Peer(language)
        taken.append(peer)
        peer.do("domain", root=str(domain.root), prefix=domain.prefix)
        return peer

    yield take
    # Readers were taken last: a publisher does not wait for a reader that has gone.
    for peer in reversed(taken):
        if peer.process.poll() is None:
            try:
                peer.do("domain", root=str(domain.root), prefix=domain.prefix)
            except (queue.Empty, BrokenPipeError):
                peer.kill()
            else:
                _idle.append(peer)


class End:
    """One publisher or subscriber of a peer."""

    def __init__(self, peer: Peer, name: str) -> None:
        self.peer, self.name = peer, name

    def do(self, do: str, **arguments: Any) -> Any:
        """Do a command with it."""
        return self.peer.do(do, id=self.name, **arguments)

    def begin(self, do: str, **arguments: Any) -> Callable[[], Any]:
        """Begin a command with it."""
        return self.peer.begin(do, id=self.name, **arguments)

    def error(self, do: str, **arguments: Any) -> PeerError:
        """The error of a command."""
        return self.peer.error(do, id=self.name, **arguments)


class Side:
    """What a test asks of one process: ends of one kind.

    Args:
        peer: The process.
        kind: "publisher" or "subscriber".
    """

    def __init__(self, peer: Peer, kind: str) -> None:
        self.peer, self._kind = peer, kind
        self._names = (f"{kind}{number}" for number in itertools.count())

    @property
    def language(self) -> str:
        """Its language."""
        return self.peer.language

    def open(self, service: str = SERVICE, **settings: Any) -> End:
        """Make one."""
        name = next(self._names)
        self.peer.do(self._kind, id=name, service=service, **settings)
        return End(self.peer, name)

    def refused(self, service: str = SERVICE, **settings: Any) -> PeerError:
        """The error that making one gives."""
        return self.peer.error(self._kind, id=next(self._names), service=service, **settings)


@pytest.fixture(params=LANGUAGES, ids=lambda language: f"from-{language}")
def publisher(request: pytest.FixtureRequest, make_peer: Callable[[str], Peer]) -> Side:
    """A process that publishes."""
    return Side(make_peer(request.param), "publisher")


@pytest.fixture(params=LANGUAGES, ids=lambda language: f"to-{language}")
def reader(request: pytest.FixtureRequest, make_peer: Callable[[str], Peer]) -> Side:
    """A process that subscribes."""
    return Side(make_peer(request.param), "subscriber")
