"""Paths that cannot be used are refused with a reason. Peers and type texts that break the protocol disturb nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from gst_iceoryx2 import plugin_path
from gst_iceoryx2.errors import FormatError
from gst_iceoryx2.sh4lt import (
    AddressError,
    Follower,
    FrameSizeError,
    Sh4ltClosedError,
    TypeTextError,
    Writer,
    WriterIsAliveError,
    claim,
    dialect,
)
from gst_iceoryx2.sh4lt.sysv import Segment, Semaphores, max_segment
from tests.sh4lt.conftest import Launch, connect, on_tmpfs
from tests.waiting import arrived, wait_until

NOBODY = "65534"
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
PACED = (
    "videotestsrc is-live=true ! video/x-raw,format=RGBA,width=16,height=16,framerate=60/1 ! sh4ltsink socket-path={}"
)

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs to be root to be two users"
)


@pytest.fixture(scope="module")
def nobodys_files() -> Iterator[dict[str, str]]:
    """Environment for pipelines of another user: a registry, which takes long to build, and no home."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield {"GST_REGISTRY": f"{folder}/registry.bin", "HOME": "/nonexistent"}


def said(process: subprocess.Popen[bytes]) -> str:
    """Output of a pipeline that fails.

    Its source is live, because gst-launch 1.22 does not always exit after an error during preroll.
    """
    output = process.communicate(timeout=60)[0].decode()
    assert process.returncode != 0, output
    return output


def placed(name: str, folder: Path) -> tuple[Path, str]:
    """A path that cannot be used, and the text of the error."""
    if name == "a file":
        (folder / "file").write_text("precious")
        return folder / "file", "is a file, not a socket"
    if name == "a folder":
        return folder, "is a folder, not a socket"
    path = Path("/tmp") / ("x" * 103)
    assert len(str(path)) == 108
    return path, "has 108 bytes, but a socket path can have at most 107"


@pytest.mark.parametrize("name", ["a file", "a folder", "108 bytes"])
def test_a_path_that_no_socket_can_have_is_refused_with_the_reason(launch: Launch, tmp_path: Path, name: str) -> None:
    path, words = placed(name, tmp_path)
    with pytest.raises(AddressError, match=words):
        Writer(path)
    with pytest.raises(AddressError, match=r"not a socket|has 108 bytes"), Follower(path) as follower:
        follower.read(0)
    for line in ("videotestsrc is-live=true ! sh4ltsink socket-path={}", "sh4ltsrc socket-path={} ! fakesink"):
        assert words in said(launch(line.format(path)))
    if name == "a file":
        assert path.read_text() == "precious"


@needs_root
def test_a_folder_without_write_permission_is_refused_with_the_reason(
    launch: Launch, nobodys_files: dict[str, str]
) -> None:
    folder = Path(f"/tmp/sh4lt-closed-{os.getpid()}")
    folder.mkdir(mode=0o755)
    try:
        path = folder / "socket"
        plugin_must_be_readable()
        line = f"videotestsrc is-live=true ! sh4ltsink socket-path={path}"
        output = said(launch(line, before=AS_NOBODY, **nobodys_files))
        assert f"{path}: bind: Permission denied" in output
        assert not path.exists()
        python = as_nobody(f"from gst_iceoryx2.sh4lt import Writer; Writer({str(path)!r})")
        assert "PermissionError" in python
        assert str(path) in python
    finally:
        folder.rmdir()


def plugin_must_be_readable() -> None:
    folder = plugin_path()
    if subprocess.run([*AS_NOBODY, "test", "-r", folder], check=False).returncode != 0:
        pytest.skip(f"another user cannot read {folder}")


def as_nobody(program: str) -> str:
    """Error output of a Python program that another user runs."""
    command = [*AS_NOBODY, sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if "No module named" in ended.stderr or "Permission denied: '/" in ended.stderr.partition("sh4lt")[0]:
        pytest.skip("another user cannot read the package")
    assert ended.returncode != 0
    return ended.stderr


@needs_root
@on_tmpfs
def test_another_user_is_refused_with_both_user_ids_and_disturbs_nothing(
    path: Path, launch: Launch, nobodys_files: dict[str, str]
) -> None:
    plugin_must_be_readable()
    with Writer(path, "application/x-count") as writer, Follower(path) as follower:
        connect(writer, follower)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        words = f"belongs to user 0 (this process runs as user {NOBODY})"
        for line in (
            f"sh4ltsrc socket-path={path} ! fakesink",
            f"videotestsrc is-live=true ! sh4ltsink socket-path={path}",
        ):
            assert words in said(launch(line, before=AS_NOBODY, **nobodys_files))
        for program in ("Follower({!r}).read()", "Writer({!r})"):
            output = as_nobody(f"from gst_iceoryx2.sh4lt import *; {program.format(str(path))}")
            assert "PermissionError" in output
            assert words in output
        writer.write(b"still here")
        assert follower.read(60) is not None
        assert writer.clients == 1


def test_a_live_writer_is_not_disturbed_by_a_second_one(path: Path, launch: Launch) -> None:
    with Writer(path) as writer, Follower(path) as follower:
        connect(writer, follower)
        with pytest.raises(WriterIsAliveError, match="already has a writer"):
            Writer(path)
        assert "already has a writer" in said(launch(PACED.format(path)))
        wait_until(lambda: writer.clients == 1)
        assert writer.write(b"still here") == 1
        assert follower.read(60) is not None


@on_tmpfs
def test_a_live_sink_is_not_disturbed_by_a_second_writer(path: Path, launch: Launch) -> None:
    launch(PACED.format(path))
    with Follower(path) as follower:
        assert follower.read(60) is not None
        assert "already has a writer" in said(launch(PACED.format(path)))
        with pytest.raises(WriterIsAliveError, match="already has a writer"):
            Writer(path)
        for _ in range(3):
            assert follower.read(60) is not None


def test_a_dead_writers_socket_is_taken_over(path: Path, launch: Launch) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with Writer(path) as writer, Follower(path) as follower:
        connect(writer, follower)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    launch(PACED.format(path))
    with Follower(path) as follower:
        assert follower.read(60) is not None


@on_tmpfs
@pytest.mark.parametrize("kind", ["python", "rust"])
def test_a_writer_avoids_the_keys_of_a_writer_on_another_path(path: Path, launch: Launch, kind: str) -> None:
    """Keys contain only 16 bits of the inode number. The numbers of tmpfs increase, so the next ones are known."""

    def inode_after_occupied_keys() -> tuple[int, range]:
        path.touch()
        meta = path.stat()
        path.unlink()
        occupied = range(meta.st_ino + 1, meta.st_ino + 6)
        keys = [dialect.SEGMENT_PROJECT << 24 | (meta.st_dev & 0xFF) << 16 | (inode & 0xFFFF) for inode in occupied]
        segments: list[Segment] = []
        try:
            for key in keys:
                # A writer that uses this inode number already may have its segment.
                with contextlib.suppress(FileExistsError):
                    segments.append(Segment.create(key, 1, 0o600))
            if kind == "python":
                with Writer(path), Follower(path) as follower:
                    assert follower.read(0) is None
                    return path.stat().st_ino, occupied
            sink = launch(PACED.format(path))
            with Follower(path) as follower:
                assert follower.read(60) is not None
                inode = path.stat().st_ino
            sink.send_signal(signal.SIGINT)
            assert sink.wait(60) == 0
            return inode, occupied
        finally:
            for segment in segments:
                segment.discard()

    # Other programs may take the next numbers, and another processor has other ones.
    for _ in range(10):
        inode, occupied = inode_after_occupied_keys()
        assert inode not in occupied
        if occupied.stop <= inode < occupied.stop + 5:
            return
    pytest.skip("inode numbers of /dev/shm are not consecutive here")


def greeted(odd: socket.socket) -> bytes:
    hello = b""
    while len(hello) < dialect.CONNECT_SIZE:
        part = odd.recv(dialect.CONNECT_SIZE - len(hello))
        if not part:
            raise ConnectionResetError
        hello += part
    return hello


def says_nothing(odd: socket.socket) -> None:
    greeted(odd)


def acknowledges_and_goes(odd: socket.socket) -> None:
    odd.send(greeted(odd))


def acknowledges_and_reads_and_goes(odd: socket.socket) -> None:
    odd.send(greeted(odd))
    odd.recv(dialect.UPDATE_SIZE)


PEERS: dict[str, Callable[[socket.socket], object]] = {
    "closes at once": lambda odd: None,
    "says nothing": says_nothing,
    "says garbage": lambda odd: odd.send(b"garbage"),
    "says good-bye first": lambda odd: odd.send(dialect.QUIT),
    "says too much": lambda odd: odd.send(b"x" * 5000),
    "acknowledges half": lambda odd: odd.send(greeted(odd)[:100]),
    "acknowledges and goes": acknowledges_and_goes,
    "goes in the middle of a frame": acknowledges_and_reads_and_goes,
}


@on_tmpfs
@pytest.mark.parametrize("kind", ["python", "rust"])
def test_a_reader_that_breaks_the_protocol_does_not_stop_the_writer(path: Path, launch: Launch, kind: str) -> None:
    if kind == "rust":
        process = launch(f"{PACED.format(path)} reader-timeout=100000000").pid
    else:
        program = f"""
import time
from gst_iceoryx2.sh4lt import TypeTextError, Writer
with Writer({str(path)!r}, reader_timeout=0.1) as writer:
    while not time.sleep(1 / 60):
        writer.write(bytes(1024))
"""
        child = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
        process = child.pid
    try:
        with Follower(path) as follower:
            assert follower.read(60) is not None
            held = len(os.listdir(f"/proc/{process}/fd"))
            for name, behave in PEERS.items():
                for _ in range(3):
                    with socket.socket(socket.AF_UNIX) as odd:
                        odd.settimeout(10)
                        odd.connect(str(path))
                        # A writer drops a reader that takes longer than the timeout, also if the test is slow.
                        with contextlib.suppress(ConnectionError):
                            behave(odd)
                        for _ in range(2):
                            assert follower.read(60) is not None, name
                for _ in range(2):
                    assert follower.read(60) is not None, name
            wait_until(lambda: len(os.listdir(f"/proc/{process}/fd")) == held)
    finally:
        if kind == "python":
            child.send_signal(signal.SIGINT)
            child.wait(20)


@on_tmpfs
def test_a_reader_that_never_finishes_does_not_stop_a_sink(path: Path, launch: Launch) -> None:
    launch(f"{PACED.format(path)} reader-timeout=200000000")
    with Follower(path) as follower:
        assert follower.read(60) is not None
        with socket.socket(socket.AF_UNIX) as odd:
            odd.connect(str(path))
            odd.send(greeted(odd))
            for _ in range(10):
                assert follower.read(60) is not None


@contextmanager
def false_writer(path: Path) -> Iterator[socket.socket]:
    """A listener with segment and semaphores of a writer, which sends nothing by itself."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(10)
        listener.settimeout(20)
        keys = dialect.keys_of(path)
        segment, semaphores = Segment.create(keys.segment, 64, 0o600), Semaphores.create(keys.semaphores, 0o600)
        try:
            yield listener
        finally:
            segment.discard()
            semaphores.discard()
            path.unlink()


@on_tmpfs
@pytest.mark.parametrize("kind", ["python", "rust"])
def test_a_writer_that_breaks_the_protocol_is_left_and_the_next_one_found(
    path: Path, launch: Launch, tmp_path: Path, kind: str
) -> None:
    received = tmp_path / "received"
    with false_writer(path) as listener:
        if kind == "rust":
            reader = launch(f"sh4ltsrc socket-path={path} num-buffers=1 ! filesink location={received}")
        else:
            program = f"from gst_iceoryx2.sh4lt import Follower\nprint(bytes(Follower({str(path)!r}).read()))"
            with received.open("wb") as output:
                reader = subprocess.Popen([sys.executable, "-c", program], stdout=output)
        # The first writer closes at once.
        listener.accept()[0].close()
        # The second one closes in the middle of its greeting.
        with listener.accept()[0] as peer:
            peer.send(b"half a greeting")
        # The third one sends nothing. The reader leaves after a second.
        with listener.accept()[0] as peer:
            assert peer.recv(1) == b""
        # The fourth one announces a frame larger than its segment, and sends something that is not a message.
        with listener.accept()[0] as peer:
            peer.send(dialect.connect_message("application/x-count", 64))
            assert len(greeted(peer)) == dialect.CONNECT_SIZE
            peer.send(dialect.update_message(1 << 40))
            peer.send(b"\x07garbage")
            assert not select.select([peer], [], [], 0.1)[0], "the reader left although the writer sent its greeting"
    with Writer(path, "application/x-count") as writer:
        wait_until(lambda: writer.clients == 1)
        writer.write(b"true")
        assert reader.wait(60) == 0
    assert b"true" in received.read_bytes()


def test_a_type_text_that_is_not_caps_arrives_unchanged(path: Path, launch: Launch, tmp_path: Path) -> None:
    received = tmp_path / "received"
    with Writer(path, "no caps at all {") as writer, Follower(path) as follower:
        reader = launch(f"sh4ltsrc socket-path={path} num-buffers=1 ! filesink location={received}")
        assert follower.read(0) is None
        wait_until(lambda: writer.clients == 2)
        writer.write(b"1234")
        frame = arrived(follower.read(60))
        assert frame.datatype == "no caps at all {"
        assert frame.caps is None
        with pytest.raises(FormatError):
            _ = frame.planes
        assert reader.wait(60) == 0
    assert received.read_bytes() == b"1234"
    with pytest.raises(Sh4ltClosedError):
        writer.write(b"late")


RAW = "video/x-raw, format=(string)BGR, width=(int)16, height=(int)8, framerate=(fraction)30/1"
ODD_CAPS = {
    "no picture": ("video/x-raw", None),
    "a list of widths": ("video/x-raw, format=(string)BGR, width=(int){ 64, 65 }, height=(int)8", None),
    "a range of heights": ("video/x-raw, format=(string)BGR, width=(int)16, height=(int)[ 1, 8 ]", None),
    "two formats": ("video/x-raw, format=(string){ BGR, RGB }, width=(int)16, height=(int)8", None),
    "a width below nothing": ("video/x-raw, format=(string)BGR, width=(int)-16, height=(int)8", None),
    "a size that is text": ("video/x-raw, format=(string)BGR, width=(string)a, height=(int)8", None),
    "a list of rates": ("audio/x-raw, format=(string)S16LE, rate=(int){ 8000, 48000 }, channels=(int)1", None),
    "an unknown view": (f"{RAW}, multiview-mode=(string)xx", RAW),
    "a view that is a number": (f"{RAW}, multiview-mode=(int)3", RAW),
    "no views": (f"{RAW}, views=(int)0", RAW),
    "an aspect of nothing": (f"{RAW}, pixel-aspect-ratio=(fraction)0/1", RAW),
    "an aspect that is text": (f"{RAW}, pixel-aspect-ratio=(string)xx", RAW),
    "an unknown interlacing": (f"{RAW}, interlace-mode=(string)xx, field-order=(string)xx", ""),
    "an unknown colour": (f"{RAW}, colorimetry=(string)xx, chroma-site=(string)xx", ""),
    "unknown flags": (f"{RAW}, multiview-flags=(string)xx", ""),
}
"""Type texts, and the caps that the source sets: None = no caps, "" = the type text."""


@on_tmpfs
@pytest.mark.proves("W2")
def test_a_type_text_with_meaningless_values_causes_no_warning_and_no_wrong_caps(path: Path, launch: Launch) -> None:
    """Regression: lists became caps, and meaningless values were passed on, which caused criticals and GLib warnings.

    Here a pipeline ends at the first warning of GLib.
    """
    plain = launch(f"sh4ltsrc socket-path={path} ! fakesink silent=false", "-v")
    elements = f"sh4ltsrc socket-path={path} ! videoscale ! video/x-raw,width=32 ! videoconvert ! fakesink"
    readers = [plain, launch(elements)]
    announced: list[str] = []
    typed = [text if caps == "" else caps for text, caps in ODD_CAPS.values()]
    for (text, _), caps in sorted(zip(ODD_CAPS.values(), typed, strict=True), key=lambda each: each[1] is None):
        pass_on(path, text, readers)
        if caps is not None and announced[-1:] != [caps]:
            announced.append(caps)
    for reader in readers:
        reader.send_signal(signal.SIGINT)
    lines = plain.communicate(timeout=60)[0].decode().replace("\\", "").replace('"', "")
    assert re.findall(r"fakesink0\.GstPad:sink: caps = (.*)", lines) == announced
    shown = sum(caps is not None for caps in typed)
    assert shown <= lines.count("chain   ******* ") < len(typed) * 3, "frames without caps kept earlier caps"


@on_tmpfs
@pytest.mark.proves("W2")
def test_frames_without_a_usable_type_text_are_passed_on_without_caps(path: Path, launch: Launch) -> None:
    reader = launch(f"sh4ltsrc socket-path={path} ! fakesink", "-v")
    for text, caps in ODD_CAPS.values():
        if caps is None:
            pass_on(path, text, [reader])
    reader.send_signal(signal.SIGINT)
    assert b"GstPad:sink: caps = " not in reader.communicate(timeout=60)[0]


def pass_on(path: Path, text: str, readers: Sequence[subprocess.Popen[bytes]]) -> None:
    """Write frames with a type text until all pipelines have received three of them."""
    with Writer(path, text) as writer:
        for _ in range(3):
            wait_until(
                lambda: writer.write(bytes(16 * 8 * 3)) == len(readers) or any(one.poll() for one in readers), 20
            )
    ended = [reader.communicate()[0] for reader in readers if reader.poll() is not None]
    assert not ended, (text, ended)


@on_tmpfs
def test_type_texts_have_their_limits(path: Path) -> None:
    with pytest.raises(TypeTextError, match="4096 bytes"):
        Writer(path, "x" * 4096)
    with pytest.raises(TypeTextError, match="NUL"):
        Writer(path, "a\0b")
    with Writer(path, "x" * 4095) as writer, Follower(path) as follower:
        connect(writer, follower)
        assert follower.datatype == "x" * 4095


@on_tmpfs
def test_a_frame_larger_than_the_kernels_limit_is_refused_and_the_next_goes_through(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FrameSizeError, match=r"kernel\.shmmax"):
        Writer(path, initial_size=max_segment() + 1)
    with Writer(path) as writer, Follower(path) as follower:
        connect(writer, follower)
        monkeypatch.setattr(claim, "max_segment", lambda: 1000)
        with pytest.raises(FrameSizeError, match=r"1001 bytes .*\(1000 bytes\); raise kernel\.shmmax"):
            writer.write(bytes(1001))
        writer.write(b"small")
        frame = arrived(follower.read(60))
        assert bytes(frame) == b"small"


@on_tmpfs
def test_a_frame_without_memory_for_its_segment_is_refused_and_the_next_goes_through(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the next frame was written into the removed segment, where no reader looks."""

    def no_memory(*_: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    with Writer(path, initial_size=100) as writer, Follower(path) as follower:
        connect(writer, follower)
        with monkeypatch.context() as patch:
            patch.setattr(Segment, "create", no_memory)
            with pytest.raises(OSError, match="memory"):
                writer.write(bytes(1000))
        writer.write(b"small")
        frame = arrived(follower.read(60))
        assert bytes(frame) == b"small"


@on_tmpfs
def test_a_writer_that_accepts_no_connections_blocks_nothing(path: Path, launch: Launch) -> None:
    """Regression: once its queue was full, a second sink waited indefinitely, and a reader could not be stopped."""
    waiting = []
    with false_writer(path):
        while True:
            connection = socket.socket(socket.AF_UNIX)
            connection.setblocking(False)
            waiting.append(connection)
            try:
                connection.connect(str(path))
            except BlockingIOError:
                break
        reader = launch(f"sh4ltsrc socket-path={path} num-buffers=1 ! fakesink")
        with pytest.raises(WriterIsAliveError, match="already has a writer"):
            Writer(path)
        assert "already has a writer" in said(launch(PACED.format(path)))
        with Follower(path) as follower:
            assert follower.read(0.2) is None
    for connection in waiting:
        connection.close()
    with Writer(path) as writer:
        wait_until(lambda: writer.clients == 1)
        writer.write(b"true")
        assert reader.wait(60) == 0


@on_tmpfs
def test_a_sink_with_frames_larger_than_the_kernels_limit_fails_with_the_reason(path: Path, launch: Launch) -> None:
    """The pipeline runs in its own IPC namespace, where the limit can be set."""
    limited = ("unshare", "--ipc", "sh", "-c", 'echo 10000 >/proc/sys/kernel/shmmax && exec "$@"', "sh")
    if subprocess.run([*limited, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to make an IPC namespace")
    line = f"videotestsrc is-live=true ! video/x-raw,format=RGBA,width=64,height=64 ! sh4ltsink socket-path={path}"
    output = said(launch(line, before=limited))
    assert "16384 bytes exceeds the size limit for a shared memory segment (10000 bytes); raise kernel.shmmax" in output


@on_tmpfs
def test_the_source_drops_a_frame_shorter_than_its_caps_and_the_follower_raises(
    path: Path, launch: Launch, tmp_path: Path
) -> None:
    received = tmp_path / "received"
    caps = "video/x-raw,format=(string)RGBA,width=(int)6,height=(int)4,framerate=30/1"
    with Writer(path, caps) as writer, Follower(path) as follower:
        reader = launch(f"sh4ltsrc socket-path={path} num-buffers=1 ! filesink location={received}")
        assert follower.read(0) is None
        wait_until(lambda: writer.clients == 2)
        writer.write(b"1234")
        frame = arrived(follower.read(60))
        with pytest.raises(FrameSizeError, match=r"4 bytes.*96"):
            _ = frame.planes
        writer.write(b"\7" * 96)
        assert follower.read(60) is not None
        assert reader.wait(60) == 0
    assert received.read_bytes() == b"\7" * 96


@on_tmpfs
def test_a_type_text_that_is_too_long_leaves_the_writer_open(path: Path) -> None:
    """The writer was closed first. A bridge used it for the next frame, and ended."""
    with Writer(path, "application/x-count") as writer:
        with pytest.raises(TypeTextError, match="at most 4095"):
            writer.retyped(f"application/x-count, text={'y' * 5000}")
        assert writer.write(b"next") == 0
