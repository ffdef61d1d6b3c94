"""The line that a publisher prints for the main process."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

# After this many seconds, a publisher starts without its consumers.
CONNECT_TIMEOUT = 20


@dataclass(frozen=True)
class Published:
    """The results of a publisher: the number of frames sent, and how many were rendered directly into shared memory."""

    sent: int
    zero_copy: int

    def to_line(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str) -> Published:
        return cls(**json.loads(line))
