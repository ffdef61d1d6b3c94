"""A ring of frames in multiprocessing.shared_memory, with a named pipe that wakes the reader.

Usage: python -m benchmarks.peers.ring send|receive --folder FOLDER --bytes BYTES [--appsink CAPS] [FRAMES FPS]

The sender copies each array into the next slot and writes the slot's number into the pipe; the receiver has the slot
as an array, and gives it back through another pipe. What a careful program would do: without the way back, frames are
torn.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np

from benchmarks.peers.ends import Pixels, main

SLOTS = 10


@contextmanager
def sender(folder: Path, size: int) -> Iterator[Callable[[Pixels], None]]:
    memory = _own_nothing(SharedMemory(_name(folder), create=True, size=SLOTS * size))
    pipes = [folder / "forth", folder / "back"]
    for pipe in pipes:
        os.mkfifo(pipe)
    # Opened for reading and writing: opening only one end would wait for the other process.
    forth, back = (os.open(pipe, os.O_RDWR) for pipe in pipes)
    os.write(back, bytes(range(SLOTS)))
    slots = _slots(memory, size)

    def send(pixels: Pixels) -> None:
        # With a time limit, because the other process has exited at the end of the run.
        if not select.select([back], [], [], 1)[0]:
            return
        slot = os.read(back, 1)
        np.copyto(slots[slot[0]], pixels)
        os.write(forth, slot)

    yield send
    slots.clear()
    memory.close()


@contextmanager
def receiver(folder: Path, size: int) -> Iterator[Iterator[Pixels]]:
    memory = _own_nothing(SharedMemory(_name(folder)))
    forth, back = (os.open(folder / pipe, os.O_RDWR) for pipe in ("forth", "back"))
    slots = _slots(memory, size)

    def arrays() -> Iterator[Pixels]:
        while True:
            slot = os.read(forth, 1)
            yield slots[slot[0]]
            os.write(back, slot)

    yield arrays()
    slots.clear()
    memory.close()


def _slots(memory: SharedMemory, size: int) -> list[Pixels]:
    # A list that can be emptied: the memory cannot be closed while arrays over it exist.
    return [np.frombuffer(memory.buf, np.uint8, size, slot * size) for slot in range(SLOTS)]


def _name(folder: Path) -> str:
    # The run removes files with the name of its folder from /dev/shm.
    return folder.name


def _own_nothing(memory: SharedMemory) -> SharedMemory:
    # Python before 3.13 treats every process that opens a memory as its owner, and removes it when the first exits.
    resource_tracker.unregister(memory._name, "shared_memory")  # type: ignore[attr-defined]
    return memory


if __name__ == "__main__":
    main(sender, receiver)
