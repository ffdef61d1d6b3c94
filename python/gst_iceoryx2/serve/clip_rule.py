"""Rules that trigger clips by what a detector finds: `results:yolo person>0.8`."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..errors import Iox2VideoError

if TYPE_CHECKING:
    from ..results import Results

_RULE: Final = re.compile(r"results:(?P<detector>[A-Za-z0-9_.-]{1,64})(?: +(?P<label>[^>]*?))?(?: *> *(?P<score>.+))?")
_FORM: Final = '"results:DETECTOR LABEL>SCORE", such as "results:yolo person>0.8"'
# Shortest time without a find after which the next one is another event, in seconds.
_SHORTEST_PAUSE: Final = 1.0
# Pause after the results could not be received, in seconds.
_RETRY: Final = 1.0


@dataclass(frozen=True, slots=True)
class ClipRule:
    """What a detector must find to trigger a clip.

    Attributes:
        detector: Name of the detector.
        label: Label of a box or of a class; None = any.
        score: The score must be above this; None = any.
    """

    detector: str
    label: str | None = None
    score: float | None = None

    @classmethod
    def parse(cls, text: str) -> ClipRule:
        """Return the rule in a text.

        Raises:
            ValueError: The text is not a rule; the message is a clause.
        """
        match = _RULE.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"must have the form {_FORM}")
        return cls(match["detector"], match["label"] or None, _score_of(match["score"]))

    def matches(self, results: Results) -> bool:
        """Return whether a box or a class has the label, and a score above the rule's."""
        import numpy as np

        # The tables and not the objects, because these would take a second to create from the largest result.
        tables = results._tables
        labels = [number for number, label in enumerate(tables.labels) if label == self.label]
        for rows in (tables.boxes, tables.classifications):
            found = rows["score"] > (-math.inf if self.score is None else self.score)
            if self.label is not None:
                found &= np.isin(rows["label"], labels)
            if found.any():
                return True
        return False


def _score_of(text: str | None) -> float | None:
    """Return the score in a rule; None = none.

    Raises:
        ValueError: The text is not a number, or the number is NaN or infinite.
    """
    if text is None:
        return None
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise ValueError(f'has the score "{text}", which is not a finite number; write {_FORM}')
    return score


async def watch(rule: ClipRule, source: str, pause: float, trigger: Callable[[int], None]) -> None:
    """Trigger once for each event, until this is cancelled.

    An event begins when the detector finds something, and ends when it has found nothing for `pause` seconds.
    Results of frames that were captured before the call trigger nothing: a new subscriber receives earlier results
    again, and their clips may have been written already.

    Args:
        rule: What is searched for.
        source: Short name of the stream that is analysed.
        pause: Seconds; at least one.
        trigger: Called with the capture time of the first frame of an event, in nanoseconds of CLOCK_MONOTONIC.
    """
    from ..results import ResultsSubscriber

    began = time.monotonic_ns()
    pause_ns = int(max(pause, _SHORTEST_PAUSE) * 1e9)
    found_at: int | None = None
    while True:
        try:
            with ResultsSubscriber(source, rule.detector) as subscriber:
                async for results in subscriber:
                    now = time.monotonic_ns()
                    at = min(results.captured_at or now, now)
                    if at >= began and rule.matches(results):
                        if found_at is None or at - found_at > pause_ns:
                            trigger(at)
                        found_at = max(found_at or at, at)
        except Iox2VideoError:
            # Its service is not usable at present, for example because another release made it.
            await asyncio.sleep(_RETRY)
