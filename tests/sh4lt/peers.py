"""A writer and a reader that behave like Shmdata's own library, without our precautions.

Their semaphore operations have no timeout and no undo. The writer counts every reader to which it announced a frame.
The reader looks for segment and semaphores as soon as it is connected, and reconnects at once after a good-bye.

`python -m tests.sh4lt.peers PATH FPS` runs the writer. Each frame is its number, 8 bytes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gst_iceoryx2 import plugin_path
from gst_iceoryx2.sh4lt import Writer, dialect
from gst_iceoryx2.sh4lt.dialect import READERS, WRITER

TYPE = "application/x-count"
_CREATE = 0o1000 | 0o2000  # IPC_CREAT | IPC_EXCL
_RMID = 0
_libc = ctypes.CDLL(None, use_errno=True)
_libc.shmat.restype = ctypes.c_void_p
_libc.shmdt.argtypes = [ctypes.c_void_p]


def _semop(identity: int, *steps: tuple[int, int]) -> bool:
    """Do all steps at once, without a timeout; False if the semaphores no longer exist."""
    operations = (ctypes.c_short * (3 * len(steps)))(*(part for step in steps for part in (*step, 0)))
    return bool(_libc.semop(identity, operations, len(steps)) == 0)


class BareWriter:
    """The library's copying writer: announces a frame, counts the readers and then fills the segment."""

    def __init__(self, path: Path, size: int, type_text: str = TYPE) -> None:
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(10)
        keys = dialect.keys_of(path)
        self._segment = _libc.shmget(keys.segment, size, _CREATE | 0o600)
        self._semaphores = _libc.semget(keys.semaphores, 2, _CREATE | 0o600)
        assert min(self._segment, self._semaphores) >= 0, os.strerror(ctypes.get_errno())
        self._address = _libc.shmat(self._segment, None, 0)
        self._hello = dialect.connect_message(type_text, size)
        self._lock = threading.Lock()
        self._greeted: list[socket.socket] = []
        self._clients: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def write(self, frame: bytes) -> None:
        assert _semop(self._semaphores, (READERS, 0), (WRITER, 1), (READERS, 1))
        announced = 0
        with self._lock:
            for client in self._clients:
                with contextlib.suppress(OSError):
                    announced += client.send(dialect.update_message(len(frame))) > 0
        if announced:
            assert _semop(self._semaphores, (READERS, announced))
        ctypes.memmove(self._address, frame, len(frame))
        assert _semop(self._semaphores, (READERS, -1), (WRITER, -1))

    @property
    def clients(self) -> int:
        with self._lock:
            return len(self._clients)

    def close(self) -> None:
        _libc.semctl(self._semaphores, 0, _RMID)
        _libc.shmctl(self._segment, _RMID, None)
        self.path.unlink()

    def _serve(self) -> None:
        while True:
            for ready in select.select([self._listener, *self._greeted, *self._clients], [], [], 0.01)[0]:
                if ready is self._listener:
                    connection, _ = ready.accept()
                    connection.send(self._hello)
                    self._greeted.append(connection)
                    continue
                try:
                    message = ready.recv(dialect.CONNECT_SIZE)
                except ConnectionResetError:
                    message = b""
                with self._lock:
                    if ready in self._greeted:
                        self._greeted.remove(ready)
                        if message:
                            self._clients.append(ready)
                            continue
                    else:
                        self._clients.remove(ready)
                        if message:
                            ready.send(dialect.QUIT)
                    ready.close()


class BareReader:
    """The library's follower: reads numbered frames in a thread until it is closed.

    Attributes:
        numbers: The numbers that it read.
        connections: How often it connected to a writer.
        types: The type text of each connection.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.numbers: list[int] = []
        self.types: list[str] = []
        self.hold = 0.0
        """Seconds for which it keeps the next frame."""
        self._closed = False
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    @property
    def connections(self) -> int:
        return len(self.types)

    def close(self) -> None:
        self._closed = True
        self._thread.join(10)
        assert not self._thread.is_alive(), "it is stuck"

    def missed(self) -> int:
        """How many numbers between the first and the last were not read."""
        return self.numbers[-1] - self.numbers[0] + 1 - len(self.numbers)

    def _follow(self) -> None:
        while not self._closed:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(self.path))
                self._read(connection)
                continue
            time.sleep(0.03)

    def _read(self, connection: socket.socket) -> None:
        keys = dialect.keys_of(self.path)
        segment, semaphores = _libc.shmget(keys.segment, 0, 0), _libc.semget(keys.semaphores, 2, 0)
        address = _libc.shmat(segment, None, 0)
        if min(segment, semaphores) < 0:
            raise FileNotFoundError(self.path)
        try:
            connection.settimeout(1)
            hello = dialect.receive_greeting(connection)
            connection.send(hello)
            self.types.append(dialect.type_text_of(hello))
            said_good_bye = False
            last = 0
            while True:
                if self._closed and not said_good_bye:
                    connection.send(dialect.QUIT)
                    said_good_bye = True
                if not select.select([connection], [], [], 0.01)[0]:
                    continue
                message = connection.recv(dialect.UPDATE_SIZE)
                size = dialect.announced_size(message)
                if size is None:
                    return
                if size != last:
                    # It attaches again only if the size of the frames changes.
                    _libc.shmdt(address)
                    address, last = _libc.shmat(_libc.shmget(keys.segment, 0, 0), None, 0), size
                if _semop(semaphores, (WRITER, 0)):
                    number = int.from_bytes(ctypes.string_at(address, 8), sys.byteorder)
                    hold, self.hold = self.hold, 0.0
                    time.sleep(hold)
                    if _semop(semaphores, (READERS, -1)):
                        self.numbers.append(number)
        finally:
            _libc.shmdt(address)


OURS = """
import sys
from gst_iceoryx2.sh4lt import Writer
with Writer({path!r}, "application/x-count", reader_timeout={timeout}) as writer:
    while number := sys.stdin.buffer.read(8):
        writer.write(number)
"""
SINK = "fdsrc fd=0 blocksize=8 ! application/x-count ! sh4ltsink socket-path={path} sync=false reader-timeout={timeout}"


class Feeder(threading.Thread):
    """Sends numbers to a process through a pipe."""

    def __init__(self, process: subprocess.Popen[bytes], fps: float) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._pause = 1 / fps
        self._stopped = threading.Event()
        self.start()

    def run(self) -> None:
        assert self._process.stdin is not None
        number = 0
        with contextlib.suppress(BrokenPipeError):
            while not self._stopped.wait(self._pause):
                number += 1
                os.write(self._process.stdin.fileno(), number.to_bytes(8, sys.byteorder))

    def stop(self) -> None:
        self._stopped.set()
        self.join(10)


@contextmanager
def writing(
    kind: str, path: Path, *, fps: float = 200, timeout: float = 1.0, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes numbered frames: "bare", "python" or "rust"."""
    environment = os.environ | {"GST_PLUGIN_PATH": str(plugin_path())} | variables
    sink = SINK.format(path=path, timeout=round(timeout * 1e9))
    command = {
        "bare": [sys.executable, "-m", "tests.sh4lt.peers", str(path), str(fps)],
        "python": [sys.executable, "-c", OURS.format(path=str(path), timeout=timeout)],
        "rust": ["gst-launch-1.0", "-q", *sink.split()],
    }[kind]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    feeder = Feeder(process, fps) if kind != "bare" else None
    try:
        yield process
    finally:
        if feeder is not None:
            feeder.stop()
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            # The next writer removes what this one left.
            Writer(path).close()
            raise


def main() -> None:
    writer = BareWriter(Path(sys.argv[1]), 8)
    pause = 1 / float(sys.argv[2])
    number = 0
    while not select.select([sys.stdin], [], [], pause)[0]:
        number += 1
        writer.write(number.to_bytes(8, sys.byteorder))
    writer.close()


if __name__ == "__main__":
    main()
