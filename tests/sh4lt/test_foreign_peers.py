"""Our writers and readers together with peers that behave like Shmdata's own library."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gst_iceoryx2.sh4lt import Writer, WriterIsAliveError
from tests.sh4lt.conftest import Launch, on_tmpfs, preloaded
from tests.sh4lt.peers import BareReader, writing
from tests.waiting import wait_until

pytestmark = on_tmpfs


def descriptors(process: subprocess.Popen[bytes]) -> int:
    return len(os.listdir(f"/proc/{process.pid}/fd"))


@pytest.mark.parametrize("kind", ["bare", "python", "rust"])
@pytest.mark.proves("S1")
def test_a_writer_that_is_sending_is_not_disturbed_by_a_second_one(path: Path, launch: Launch, kind: str) -> None:
    """Regression: the second writer acknowledged the greeting and never finished the frame that was announced to it."""

    def second_writer() -> None:
        with pytest.raises(WriterIsAliveError, match="already has a writer"):
            Writer(path)

    def second_sink() -> None:
        sink = launch(f"videotestsrc is-live=true ! sh4ltsink socket-path={path}")
        assert b"already has a writer" in sink.communicate(timeout=60)[0]

    with writing(kind, path) as writer:
        reader = BareReader(path)
        wait_until(lambda: reader.numbers)
        held = descriptors(writer)
        for probe in [*[second_writer] * 20, *[second_sink] * 2]:
            probe()
            seen = len(reader.numbers)
            wait_until(lambda seen=seen: len(reader.numbers) > seen + 1)
        assert (reader.missed(), reader.connections) == (0, 1)
        wait_until(lambda: descriptors(writer) == held)
        reader.close()


@pytest.mark.parametrize("kind", ["python", "rust"])
@pytest.mark.proves("S2")
def test_a_stuck_reader_costs_one_renewal_and_the_living_miss_nothing(path: Path, tmp_path: Path, kind: str) -> None:
    """Regression: live readers were sent away before the old semaphores were removed, and had to reconnect twice."""
    stops = 5
    with writing(kind, path, timeout=0.3, LD_PRELOAD=str(preloaded(tmp_path, "slow.c"))) as writer:
        assert writer.poll() is None
        stuck, *living = [BareReader(path) for _ in range(5)]
        wait_until(lambda: all(reader.numbers for reader in (stuck, *living)))
        before = [reader.connections for reader in living]
        for stop in range(stops):
            # Long enough for a second renewal.
            stuck.hold = 1.05
            wait_until(lambda stop=stop: stuck.connections == stop + 2)
            seen = [len(reader.numbers) for reader in living]
            wait_until(
                lambda seen=seen: all(
                    len(reader.numbers) > count + 5 for reader, count in zip(living, seen, strict=True)
                )
            )
        assert [reader.connections - count for reader, count in zip(living, before, strict=True)] == [stops] * 4
        assert [reader.missed() for reader in living] == [0] * 4
        for reader in (stuck, *living):
            reader.close()


@pytest.mark.proves("S8")
def test_a_python_writer_that_changes_its_type_waits_for_its_readers(path: Path) -> None:
    """A new type text needs a new writer. Regression: it wrote frames before the readers had reconnected."""
    writer = Writer(path, "application/x-count, part=(int)0")
    readers = [BareReader(path) for _ in range(2)]
    wait_until(lambda: writer.clients == 2)
    number = 0
    for part in range(4):
        writer = writer.retyped(f"application/x-count, part=(int){part}")
        for _ in range(20):
            number += 1
            writer.write(number.to_bytes(8, sys.byteorder))
            time.sleep(0.005)
    writer.close()
    for reader in readers:
        reader.close()
        assert reader.numbers == list(range(1, number + 1))
        assert reader.types == [f"application/x-count, part=(int){part}" for part in range(4)]
