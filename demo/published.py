"""What a publisher hands back to the main process."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

# Seconds that a publisher waits for its consumers before it starts without them.
CONNECT_TIMEOUT = 20


@dataclass(frozen=True)
class Published:
    """One publisher's run: frames sent, and how many of them had been rendered straight into shared memory."""

    sent: int
    zero_copy: int

    def to_line(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str) -> Published:
        return cls(**json.loads(line))
