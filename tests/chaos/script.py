"""The participants of a run and the actions on them, all drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

Kind = Literal["kill", "kill in start-up", "stop", "quit"]

_WEIGHTS: Final[dict[Kind, int]] = {"kill": 5, "kill in start-up": 2, "stop": 3, "quit": 2}
_PUBLISHERS: Final = tuple(
    [("publisher", habit) for habit in ("steady", "restless")]
    + [("sink", habit) for habit in ("steady", "tee", "restless")]
)
_SUBSCRIBERS: Final = tuple(
    [("subscriber", habit) for habit in ("steady", "latest", "iterate", "async", "poll", "lag", "hoard", "restless")]
    + [("source", habit) for habit in ("steady", "latest", "lag", "hoard", "restless")]
)


class Slot(NamedTuple):
    """A slot for one participant at a time.

    Attributes:
        name: Name for people.
        roles: Roles of the participant: a kind, or kinds to choose from, and the service.
        survives: Whether no action is performed on it.
        lossless: Whether its publisher waits for its subscribers.
    """

    name: str
    roles: tuple[tuple[str, str], ...]
    survives: bool = False
    lossless: bool = False

    def cast(self, rng: random.Random) -> list[dict[str, Any]]:
        """Return the roles of the next participant."""
        return [self._role(rng, kind, service) for kind, service in self.roles]

    def _role(self, rng: random.Random, kind: str, service: str) -> dict[str, Any]:
        choice = {
            "any publisher": _PUBLISHERS,
            "any subscriber": _SUBSCRIBERS,
            # Both ends of a lossless stream must keep up.
            "lossless sink": (("sink", "steady"),),
            "lossless reader": (("subscriber", "steady"), ("subscriber", "async"), ("source", "steady")),
            "restless reader": (("reader", "restless"),),
            "any detector": (("detector", "steady"), ("detector", "lag"), ("detector", "restless")),
            "any joined reader": (("joined reader", "steady"), ("joined reader", "restless")),
            "late packet reader": (("packet reader", "lag"),),
            "any packet reader": (("packet reader", "restless"), ("packet reader", "hoard")),
        }.get(kind, ((kind, "steady"),))
        chosen, habit = rng.choice(choice)
        spec = {"kind": chosen, "service": service, "habit": habit, "seed": rng.getrandbits(32)}
        return spec | {"lossless": True} if self.lossless else spec


STAGE: Final = (
    # Two subscribers that survive every publisher. One of them also joins the results of detectors that are killed.
    Slot("survivor-sdk", (("subscriber", "cam0"), ("joined reader", "cam3")), survives=True),
    Slot("survivor-gst", (("source", "cam0"),), survives=True),
    Slot("publisher-0", (("any publisher", "cam0"),)),
    Slot("subscriber-0a", (("any subscriber", "cam0"),)),
    Slot("subscriber-0b", (("any subscriber", "cam0"),)),
    # A publisher that survives every subscriber.
    Slot("survivor-pub", (("publisher", "cam1"),), survives=True),
    Slot("subscriber-1a", (("any subscriber", "cam1"),)),
    Slot("subscriber-1b", (("any subscriber", "cam1"),)),
    # SDK and plugin, two copies of iceoryx2, in one process, in every combination.
    Slot("both-a", (("subscriber", "cam1"), ("sink", "cam2"))),
    Slot("both-b", (("source", "cam2"), ("publisher", "cam3"))),
    Slot("both-c", (("source", "cam3"), ("subscriber", "cam2"))),
    # Results of a detector belong to their frames, also for the reader in survivor-sdk.
    Slot("detector-3", (("any detector", "cam3"),)),
    Slot("joined-3", (("any joined reader", "cam3"),)),
    # No frame may be lost.
    Slot("lossless-sink", (("lossless sink", "cam4"),), lossless=True),
    Slot("lossless-a", (("lossless reader", "cam4"),), lossless=True),
    Slot("lossless-b", (("lossless reader", "cam4"),), lossless=True),
    # Streams on demand: one with readers that survive its supervisor and its processes, one that starts and stops.
    Slot("survivor-served-a", (("reader", "serve0@96x96-RGB"),), survives=True),
    Slot("survivor-served-b", (("reader", "serve0@@10"),), survives=True),
    Slot("served-supervisor", (("server", "serve"),)),
    Slot("served-reader", (("restless reader", "serve1@64x"),)),
    # Encoded streams: the same, and a reader whose buffer overflows.
    Slot("survivor-served-packets", (("packet reader", "serve0@h264"),), survives=True),
    Slot("survivor-served-packets-late", (("late packet reader", "serve0@h264"),), survives=True),
    Slot("served-packet-reader", (("any packet reader", "serve1@h264"),)),
)


class Action(NamedTuple):
    """An action on the participant in a slot.

    Attributes:
        at: Seconds after the beginning.
        slot: Index of the slot.
        kind: Kill it, kill its successors while they start, stop it for a while, or tell it to end.
        lasts: Seconds for which it is stopped.
        late: Seconds until its successor starts.
        unreaped: Seconds until the killed process is reaped.
        early_kills: For "kill in start-up": the life of each successor in seconds.
        child: From 0 to 1: which process of a supervisor it hits; the supervisor itself from 0.6.
    """

    at: float
    slot: int
    kind: Kind
    lasts: float
    late: float
    unreaped: float
    early_kills: tuple[float, ...]
    child: float = 1.0


def actions(seed: int, seconds: float, every: float, stage: Sequence[Slot] = STAGE) -> list[Action]:
    """Return the actions of a run of so many seconds, on average one action `every` so many seconds."""
    rng = random.Random(seed)
    mortal = [index for index, slot in enumerate(stage) if not slot.survives]
    found, at = [], 0.0
    while (at := at + rng.expovariate(1 / every)) < seconds:
        kind = rng.choices(tuple(_WEIGHTS), tuple(_WEIGHTS.values()))[0]
        early_kills = tuple(rng.uniform(0.0, 1.0) for _ in range(rng.randint(1, 3)))
        found.append(
            Action(
                at,
                rng.choice(mortal),
                kind,
                rng.uniform(0.05, 3.0),
                rng.choice((0.0, rng.uniform(0.0, 1.5))),
                rng.choice((0.0, 0.0, rng.uniform(0.2, 3.0))),
                early_kills if kind == "kill in start-up" else (),
                rng.random(),
            )
        )
    return found
