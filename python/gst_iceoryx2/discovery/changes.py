"""Wakes a program when participants come and go: a descriptor that becomes readable when a folder changes."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

# Source: inotify(7) and linux/inotify.h.
_CREATE: Final = 0x100
_DELETE: Final = 0x200
_MOVED_TO: Final = 0x80
_ONLY_FOLDERS: Final = 0x01000000
_MOST_EVENTS: Final = 1 << 16


class FolderChanges:
    """Notices files that are created in or removed from folders, with inotify.

    Folders that do not exist yet are noticed through their parent.

    Args:
        folders: The folders.

    Attributes:
        fd: Descriptor that becomes readable after a change; -1 if the system has no inotify, or no more of it.
        is_blind: Whether changes may not be noticed, because the limits of inotify are reached or a folder cannot be
            watched.
    """

    def __init__(self, folders: Iterable[str | Path]) -> None:
        self._folders = [os.fspath(folder) for folder in folders]
        self._libc = ctypes.CDLL(None, use_errno=True)
        make = getattr(self._libc, "inotify_init1", None)
        self.fd: int = -1 if make is None else make(os.O_NONBLOCK | os.O_CLOEXEC)
        self.is_blind = True
        # inotify's numbers of the watched places.
        self._watched: set[int] = set()
        self.watch()

    def watch(self) -> bool:
        """Watch the folders that exist now; return whether they are others than before."""
        if self.fd < 0:
            return False
        before, self._watched = self._watched, set()
        self.is_blind = False
        for folder in self._folders:
            place = folder
            while not os.path.isdir(place) and place != os.path.dirname(place):
                place = os.path.dirname(place)
            mask = _CREATE | _DELETE | _MOVED_TO | _ONLY_FOLDERS
            # Watching a folder again changes nothing.
            number = self._libc.inotify_add_watch(self.fd, os.fsencode(place), ctypes.c_uint32(mask))
            if number < 0:
                self.is_blind = True
            else:
                self._watched.add(number)
        for number in before - self._watched:
            # The parent of a folder that exists now. It may be as busy as /tmp.
            self._libc.inotify_rm_watch(self.fd, number)
        return before != self._watched

    def clear(self) -> None:
        """Forget the changes so far."""
        while True:
            with contextlib.suppress(BlockingIOError):
                while self.fd >= 0 and os.read(self.fd, _MOST_EVENTS):
                    pass
            # The end of a watch is an event, too.
            if not self.watch():
                return

    def close(self) -> None:
        """Close the descriptor. Idempotent."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
