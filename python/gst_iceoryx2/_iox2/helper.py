"""The helper program that removes what crashed participants left; `cleanup` starts it.

A program of its own, because looking after dead nodes is harmful in a process where a second copy of iceoryx2 may live
(see `cleanup`). Without arguments it serves the domain of its environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from typing import Final

from .._contract import seconds
from ..errors import Iox2VideoError
from .domain import Domain, current_domain
from .leftovers import Remains, remove_left_behind
from .obstacle import in_folders

# How long another process is waited for that cleans the same domain.
_TURN_PATIENCE: Final = seconds("cleanup_turn")


def main(arguments: list[str]) -> int:
    """Clean one domain.

    Args:
        arguments: Root path and prefix, or nothing.

    Returns:
        Exit code: 0 when it ran, whatever there was to do; 2 for wrong arguments, 1 if the domain cannot be used.
    """
    if len(arguments) not in (0, 2):
        sys.stderr.write("usage: _cleanup [ROOT PREFIX]\n")
        return 2
    try:
        domain = Domain(*arguments) if arguments else current_domain()
        obstacle = in_folders(domain)
        if obstacle is not None:
            # Somebody else would choose what is removed.
            raise obstacle.error(f"clean up in the iceoryx2 domain {domain.root}")
        with _turn(domain):
            _clean(domain)
    except Iox2VideoError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


def _clean(domain: Domain) -> None:
    remove_left_behind(domain)
    remains = Remains(domain)
    # What only a tag tells goes before the tag: a clean-up that is killed can be repeated.
    remains.remove_before()
    if remains.dead:
        from .binding import clean_dead_nodes

        clean_dead_nodes(domain, remains.dead)
        remains.remove_nodes()


@contextlib.contextmanager
def _turn(domain: Domain) -> Iterator[None]:
    """Be the only one of its kind that cleans the domain, by a lock on its folder; without a folder it is clean."""
    try:
        folder = os.open(domain.root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield
        return
    deadline = time.monotonic() + _TURN_PATIENCE
    try:
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # Without its turn in time a clean-up does less harm than none.
                if time.monotonic() > deadline:
                    break
                time.sleep(0.002)
            else:
                break
        yield
    finally:
        os.close(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
