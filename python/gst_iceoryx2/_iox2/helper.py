"""The helper program that removes the leftovers of crashed participants. `cleanup` starts it.

It is a separate program, because listing dead nodes is harmful in a process that may contain a second copy of iceoryx2
(see `cleanup`). Without arguments, it cleans the domain set in its environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from typing import Final

from ..contract import message, seconds
from ..errors import Iox2VideoError
from .domain import Domain, current_domain
from .leftovers import Remains
from .objects import remove_left_behind
from .obstacle import check_folders

# Longest wait for another process that is cleaning the same domain.
_TURN_TIMEOUT: Final = seconds("cleanup_turn")


def main(arguments: list[str]) -> int:
    """Clean one domain.

    Args:
        arguments: Root path and prefix, or an empty list.

    Returns:
        Exit code: 0 after a clean-up, even if there was nothing to remove; 1 if the domain cannot be used; 2 if the
        arguments are invalid.
    """
    if len(arguments) not in (0, 2):
        sys.stderr.write("usage: helper [ROOT PREFIX]\n")
        return 2
    try:
        domain = Domain(*arguments) if arguments else current_domain()
        check_folders(domain, message("clean_up", root=domain.root))
        with _turn(domain):
            _clean(domain)
    except Iox2VideoError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


def _clean(domain: Domain) -> None:
    remove_left_behind(domain)
    remains = Remains(domain)
    # Remove files that only a tag refers to before the tag itself, so that an interrupted clean-up can be repeated.
    remains.remove_before()
    if remains.dead:
        from .binding import clean_dead_nodes

        clean_dead_nodes(domain, remains.dead)
        remains.remove_nodes()


@contextlib.contextmanager
def _turn(domain: Domain) -> Iterator[None]:
    """Wait until no other helper is cleaning the domain, using a lock on its folder. Without a folder, do not wait."""
    try:
        folder = os.open(domain.root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield
        return
    deadline = time.monotonic() + _TURN_TIMEOUT
    try:
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # After the timeout, two simultaneous clean-ups are better than none.
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
