"""The processes of a run, in an iceoryx2 domain of their own.

What the native ones do is told in crates/gst/examples/bench/main.rs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.transports import Transport
from demo.shared_memory import SharedMemoryUse

SERVICE = "video/benchmark/frame/v2"
OUT = ROOT / "build" / "benchmark"
# Time limit in seconds; a run takes a few.
TIMEOUT = 120

Result = dict[str, Any]


class BenchmarkError(RuntimeError):
    """A process of a benchmark failed."""


@dataclass(frozen=True)
class Size:
    """Format and size of the frames; no row needs padding."""

    width: int
    height: int
    format: str = "BGR"

    def __str__(self) -> str:
        return f"{self.width}×{self.height}" + (f" {self.format}" if self.format != "BGR" else "")

    @property
    def bytes(self) -> int:
        return self.width * self.height * _BITS[self.format] // 8

    @property
    def caps(self) -> str:
        return f"video/x-raw,format={self.format},width={self.width},height={self.height},framerate=60/1"


_BITS = {"BGR": 24, "NV12": 12}
VGA, HD720, HD, UHD = Size(640, 480), Size(1280, 720), Size(1920, 1080), Size(3840, 2160)


def build() -> Path:
    """Compile the native programs and return the path of the executable."""
    cargo = shutil.which("cargo") or shutil.which("cargo", path=Path("~/.cargo/bin").expanduser())
    if cargo is None:
        raise BenchmarkError("the benchmarks need Rust, and there is no cargo; `make develop` says how to get it")
    command = [cargo, "build", "--release", "--package", "iox2-video", "--example", "bench"]
    built = subprocess.run(
        [*command, "--message-format=json-render-diagnostics"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    programs = [
        message["executable"]
        for message in map(json.loads, built.stdout.splitlines())
        if message["reason"] == "compiler-artifact" and message["target"]["name"] == "bench"
    ]
    if built.returncode != 0 or not programs:
        raise BenchmarkError(f"`{' '.join(command)}` failed")
    return Path(programs[-1])


@dataclass
class Bench:
    """Starts the processes of runs.

    Attributes:
        program: The native program.
    """

    program: Path
    _runs: int = field(default=0, init=False)

    def hop(self, frames: int, size: Size) -> Result:
        """Send frames from an appsrc to an appsink in one process."""
        with self.domain(None) as place, place.start(str(self.program), "hop", frames, *_numbers(size)) as hop:
            return hop.result()

    def feed(self, frames: int, fps: int, size: Size) -> Callable[[Place, Transport], Process]:
        """Start a publisher whose frames cost nothing; 0 frames per second means without a limit."""
        arguments = (frames, fps, *_numbers(size))
        return lambda place, way: place.start(str(self.program), way.feed, place.line(way.sink, size), *arguments)

    def floor(self, name: str, *arguments: int) -> Result:
        """Measure bare system calls: `wake`, `send` or `copy`, see crates/gst/examples/bench/main.rs."""
        with self.domain(None) as place, place.start(str(self.program), f"floor-{name}", *arguments) as floor:
            return floor.result()

    def publisher(self, frames: int, fps: int, size: Size) -> Callable[[Place, Transport], Process]:
        """Start the publisher of a transport: the native one, or its Python program."""

        def start(place: Place, way: Transport) -> Process:
            if not way.sender:
                return self.feed(frames, fps, size)(place, way)
            return place.start_module(way.sender, size, frames, fps)

        return start

    def receiver(self, size: Size) -> Callable[[Place, Transport], Process]:
        """Start the receiver of a transport: the native one, or its Python program."""

        def start(place: Place, way: Transport) -> Process:
            return place.start_module(way.receiver, size) if way.receiver else self.drain(size)(place, way)

        return start

    def render(self, source: str, frames: int, fps: int, size: Size) -> Callable[[Place, Transport], Process]:
        """Start a publisher whose frames are drawn by the source of a launch line."""
        line = f"{source} ! capsfilter caps={size.caps}"
        return lambda place, way: place.start(
            str(self.program), "render", line, place.line(way.sink, size), frames, fps
        )

    def drain(self, size: Size, behind: bool = False) -> Callable[[Place, Transport], Process]:
        """Start a pipeline that receives; with `behind` it is too slow, so it never sleeps and need not be woken."""
        slow = " ! identity sleep-time=200" if behind else ""
        return lambda place, way: place.start(str(self.program), "drain", place.line(f"{way.source}{slow}", size))

    def stream(
        self,
        way: Transport,
        publisher: Callable[[Place, Transport], Process],
        receivers: Sequence[Callable[[Place, Transport], Process]] = (),
    ) -> Stream:
        """Let a publisher send its frames to receivers; frames count once all receivers are connected."""
        with self.domain(way.plugins) as place, ExitStack() as running:
            sender = running.enter_context(publisher(place, way))
            sender.wait_until_ready()
            others = [running.enter_context(receiver(place, way)) for receiver in receivers]
            for other in others:
                other.wait_until_ready()
            place.look_at_memory()
            sender.go()
            received = [other.result() for other in others]
            place.look_at_memory()
            return Stream(sender.result(), received, place.memory)

    @contextmanager
    def domain(self, plugins: Path | None) -> Iterator[Place]:
        """Create a domain and a folder for the processes of one run."""
        self._runs += 1
        OUT.mkdir(parents=True, exist_ok=True)
        prefix = f"bench{os.getpid()}-{self._runs}_"
        with tempfile.TemporaryDirectory(prefix=prefix) as folder:
            # Scanning all plugins takes seconds, so each set of plugins keeps its registry.
            registry = OUT / f"registry-{str(plugins).replace('/', '_')}.bin"
            environment = os.environ | {"IOX2_VIDEO_DOMAIN": f"{folder}/d:{prefix}", "GST_REGISTRY": str(registry)}
            environment.pop("GST_PLUGIN_PATH", None)
            if plugins is not None:
                environment["GST_PLUGIN_PATH"] = str(plugins)
            memory = SharedMemoryUse(prefix)
            try:
                yield Place(SERVICE, folder, environment, memory)
            finally:
                memory.remove_leftovers()


def _numbers(size: Size) -> tuple[object, ...]:
    return size.format, size.width, size.height


@dataclass(frozen=True)
class Stream:
    """Output of a publisher and its receivers, and the shared memory of their domain."""

    sent: Result
    received: list[Result]
    memory: SharedMemoryUse


@dataclass(frozen=True)
class Place:
    """Domain and folder of the processes of one run."""

    service: str
    folder: str
    environment: dict[str, str]
    memory: SharedMemoryUse

    def line(self, line: str, size: Size) -> str:
        # One more page for each frame, because shmsink stores some administration between frames.
        pool = 16 * (size.bytes + 4096)
        numbers = {"format": size.format, "width": size.width, "height": size.height, "bytes": size.bytes}
        return line.format(service=self.service, folder=self.folder, caps=size.caps, pool=pool, **numbers)

    def start_module(self, command: Sequence[str], size: Size, *arguments: object) -> Process:
        """Start a module of this package."""
        module, *given = (self.line(part, size) for part in command)
        return self.start(sys.executable, "-m", f"benchmarks.{module}", *given, *arguments)

    def start(self, *command: object) -> Process:
        return Process([str(part) for part in command], self.environment)

    def look_at_memory(self) -> None:
        self.memory.sample()


class Process:
    """A process that prints `ready` at its start and one line of JSON at its end."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._command = command
        self._child = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        # A hanging process must not stop an hour's work.
        self._watchdog = threading.Timer(TIMEOUT, self._child.kill)
        self._watchdog.daemon = True
        self._watchdog.start()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._watchdog.cancel()
        self._child.kill()
        self._child.communicate()
        # A shmsink that is killed leaves its memory behind.
        for left in Path("/dev/shm").glob(f"shmpipe.{self.pid:5}.*"):
            left.unlink(missing_ok=True)

    @property
    def pid(self) -> int:
        return self._child.pid

    def wait_until_ready(self) -> None:
        """Wait for the process's first frame, sent or received."""
        if self._read() != "ready\n":
            self._fail()

    def signal(self, number: int) -> None:
        self._child.send_signal(number)

    def go(self) -> None:
        """Start the counted frames."""
        assert self._child.stdin is not None
        self._child.stdin.write("g")
        self._child.stdin.flush()

    def result(self) -> Result:
        """Wait for the end and return the result.

        A publisher stays until its input is closed, so that its subscribers can receive all frames.
        """
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.stdin = None
        while (line := self._read()) == "ready\n":
            pass
        if not line or self._child.wait(TIMEOUT) != 0:
            self._fail()
        result: Result = json.loads(line)
        return result

    def _read(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline()

    def _fail(self) -> None:
        raise BenchmarkError(f"{self._command} ended with exit code {self._child.wait(TIMEOUT)}; its reasons are above")
