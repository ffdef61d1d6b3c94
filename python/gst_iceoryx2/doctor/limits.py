"""Checks the limits on the number of open files."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .._iox2.domain import Domain
from ..discovery.participants import node_processes
from .finding import Finding, ok, problem

# Descriptors used by a subscriber with one publisher, on Linux with iceoryx2 0.10.0; counted in /proc/self/fd.
_PER_SUBSCRIBER: Final = 20
# Number of streams that a process should be able to receive.
_STREAMS: Final = 25
_NEARLY: Final = 0.8
_LIMIT: Final = re.compile(r"^Max open files\s+(\d+)", re.MULTILINE)
_REMEDY: Final = (
    "run `ulimit -n 65536` before the program starts; with systemd, set LimitNOFILE=65536; "
    "with Docker, use docker run --ulimit nofile=65536"
)


def check(domain: Domain, fix: bool) -> Iterator[Finding]:
    """Compare the limits of this process and of the participants with the number of files that streams need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = (
        f"a process started here may open {soft} files (hard limit {hard}); a subscriber uses about {_PER_SUBSCRIBER}"
    )
    if soft != resource.RLIM_INFINITY and soft < _STREAMS * _PER_SUBSCRIBER:
        yield problem(f"{text}, so the limit allows only {soft // _PER_SUBSCRIBER} streams", _REMEDY)
    else:
        yield ok(text)
    for pid, name in sorted(node_processes(domain).items()):
        try:
            limit = _LIMIT.search(Path(f"/proc/{pid}/limits").read_text())
            used = len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            continue
        if limit is not None and used > _NEARLY * int(limit[1]):
            yield problem(f"process {pid} ({name}) has {used} files open, and its limit is {limit[1]}", _REMEDY)
